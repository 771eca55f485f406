//! Ending a sweep early, with what was read so far.

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Asks a sweep to end. Clones share the request.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A stop that is requested when the flag is set.
    #[must_use]
    pub fn by(flag: Arc<AtomicBool>) -> Self {
        Stop(flag)
    }

    fn is_asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Whether a stop cut a source short. Checked for each piece of a stream, not for each record.
#[derive(Debug)]
pub(super) struct Cut<'s> {
    stop: &'s Stop,
    made: AtomicBool,
}

impl<'s> Cut<'s> {
    pub(super) fn by(stop: &'s Stop) -> Self {
        Cut { stop, made: AtomicBool::new(false) }
    }

    /// Makes the cut if a stop is requested. True if so.
    pub(super) fn is_due(&self) -> bool {
        let is_asked = self.stop.is_asked();
        if is_asked {
            self.made.store(true, Relaxed);
        }
        is_asked
    }

    /// Whether the cut was made.
    pub(super) fn was_made(&self) -> bool {
        self.made.load(Relaxed)
    }
}

/// Ends a text when a stop is requested. What it gave before is whole, except for its last record.
pub(super) struct Ending<'c, R> {
    inner: R,
    cut: &'c Cut<'c>,
    ended: &'c Cell<bool>,
}

impl<'c, R> Ending<'c, R> {
    /// Sets `ended` if a stop ends the text.
    pub(super) fn new(inner: R, cut: &'c Cut<'c>, ended: &'c Cell<bool>) -> Self {
        Ending { inner, cut, ended }
    }
}

impl<R: Read> Read for Ending<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.cut.is_due() {
            let read = self.inner.read(out);
            // If a stop caused this end or error, do not report it as damage of the text.
            if matches!(read, Ok(count) if count > 0) || !self.cut.was_made() {
                return read;
            }
        }
        self.ended.set(true);
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends, or fails, because a stop was requested while it was read.
    struct Cuts<'c>(&'c Stop, &'c Cut<'c>, bool);

    impl Read for Cuts<'_> {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.0.store(true, Relaxed);
            assert!(self.1.is_due());
            if self.2 { Err(io::Error::other("ends early")) } else { Ok(0) }
        }
    }

    #[test]
    fn what_a_stop_makes_of_a_stream_is_no_damage() {
        for fails in [true, false] {
            let (stop, ended) = (Stop::default(), Cell::new(false));
            let cut = Cut::by(&stop);
            let mut reader = Ending::new(Cuts(&stop, &cut, fails), &cut, &ended);
            assert!(reader.read(&mut [0]).is_ok_and(|count| count == 0) && ended.get());
        }
        let (stop, ended) = (Stop::default(), Cell::new(false));
        let cut = Cut::by(&stop);
        let mut reader = Ending::new(io::empty(), &cut, &ended);
        assert!(reader.read(&mut [0]).is_ok_and(|count| count == 0) && !ended.get());
    }
}
