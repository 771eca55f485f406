//! Reading ahead: one thread reads and decodes while another processes what arrived, through a few recycled buffers.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::window::CHUNK;
use crate::stats::{Stage, Stats, enter};

/// Most chunks waiting to be processed.
const WAITING: usize = 4;

/// A filled buffer and its filled length.
type Chunk = (Vec<u8>, usize);

/// Runs `work` on the bytes and errors that `reader` gives, in order, while a separate thread reads on.
///
/// The stream is cut into reads as [`Full`] cuts it, so `work` cannot tell the two apart.
///
/// # Panics
/// If `reader` or `work` panics.
pub fn ahead<R: Read + Send>(
    mut reader: R,
    stage: Stage,
    stats: Option<&Stats>,
    work: impl FnOnce(&mut (dyn Read + Send)),
) {
    let mut work = Some(work);
    thread::scope(|scope| {
        let (sender, filled) = sync_channel(WAITING);
        let (empty, emptied) = sync_channel(WAITING + 2);
        let reader = &mut reader;
        let produce = move || {
            let _stage = enter(stats, stage);
            produce(reader, &sender, &emptied, stats);
        };
        if thread::Builder::new().spawn_scoped(scope, produce).is_ok()
            && let Some(work) = work.take()
        {
            work(&mut Ahead { filled, empty, chunk: (Vec::new(), 0), at: 0, stats });
        }
    });
    // No thread could be started: read without one.
    if let Some(work) = work {
        work(&mut Full::new(reader));
    }
}

/// Sends everything a reader gives, until its end or until the receiver is gone.
fn produce(
    reader: &mut dyn Read,
    filled: &SyncSender<io::Result<Chunk>>,
    emptied: &Receiver<Vec<u8>>,
    stats: Option<&Stats>,
) {
    let send = |chunk| {
        let _wait = enter(stats, Stage::Wait);
        filled.send(chunk).is_ok()
    };
    loop {
        let mut buffer = emptied.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        let (count, error) = fill(reader, &mut buffer);
        let is_end = count < CHUNK && error.is_none();
        if count > 0 && !send(Ok((buffer, count))) || error.is_some_and(|error| !send(Err(error))) || is_end {
            return;
        }
    }
}

/// Reads until the buffer is full, the stream ends, or an error occurs. The error comes after the bytes read.
fn fill(reader: &mut dyn Read, out: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut count = 0;
    while count < out.len() {
        match reader.read(&mut out[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (count, Some(error)),
        }
    }
    (count, None)
}

/// The receiving end.
struct Ahead<'s> {
    filled: Receiver<io::Result<Chunk>>,
    empty: SyncSender<Vec<u8>>,
    chunk: Chunk,
    at: usize,
    stats: Option<&'s Stats>,
}

impl Ahead<'_> {
    /// Moves to the next chunk; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let (used, _) = std::mem::take(&mut self.chunk);
        self.at = 0;
        if !used.is_empty() {
            // If the other thread has ended, it needs no buffer.
            let _ = self.empty.try_send(used);
        }
        let _wait = enter(self.stats, Stage::Wait);
        let Ok(chunk) = self.filled.recv() else { return Ok(false) };
        self.chunk = chunk?;
        Ok(true)
    }
}

impl Read for Ahead<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.1 && !self.next()? {
            return Ok(0);
        }
        let (buffer, end) = &self.chunk;
        let count = (&buffer[self.at..*end]).read(out)?;
        self.at += count;
        Ok(count)
    }
}

/// Fills each buffer completely, so that the reads do not depend on how bytes arrive.
pub struct Full<R> {
    inner: R,
    /// What stopped the last read; the next one reports it.
    stopped: Option<io::Error>,
}

impl<R: Read> Full<R> {
    /// Wraps a reader.
    pub fn new(inner: R) -> Self {
        Full { inner, stopped: None }
    }
}

impl<R: Read> Read for Full<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.stopped.take() {
            return Err(error);
        }
        match fill(&mut self.inner, out) {
            (0, Some(error)) => Err(error),
            (count, error) => {
                self.stopped = error;
                Ok(count)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces one by one, then ends.
    struct Pieces(Vec<io::Result<&'static [u8]>>);

    impl Read for Pieces {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Ok(0) } else { self.0.remove(0)?.read(out) }
        }
    }

    fn pieces() -> Pieces {
        let broken = |what| Err(io::Error::other(what));
        Pieces(vec![broken("first"), Ok(b"one "), Ok(b"two "), broken("second"), broken("third"), Ok(b"three")])
    }

    fn all(reader: &mut dyn Read) -> Vec<Result<String, String>> {
        let (mut found, mut chunk) = (Vec::new(), vec![0; CHUNK]);
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return found,
                Ok(count) => found.push(Ok(String::from_utf8_lossy(&chunk[..count]).into_owned())),
                Err(error) => found.push(Err(error.to_string())),
            }
        }
    }

    fn ahead_of(reader: impl Read + Send, work: impl FnOnce(&mut (dyn Read + Send))) {
        ahead(reader, Stage::Read, None, work);
    }

    #[test]
    fn text_and_errors_keep_their_order_and_their_cuts() {
        let expected = [Err("first"), Ok("one two "), Err("second"), Err("third"), Ok("three")];
        let expected = expected.map(|piece| piece.map(str::to_owned).map_err(str::to_owned));
        assert_eq!(all(&mut Full::new(pieces())), expected);
        ahead_of(pieces(), |reader| assert_eq!(all(reader), expected));
    }

    #[test]
    fn reading_ends_where_nobody_wants_more() {
        ahead_of(io::repeat(b'x'), |reader| assert_eq!(reader.read(&mut [0; 10]).ok(), Some(10)));
    }

    #[test]
    fn a_panic_on_either_side_reaches_the_caller() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("while reading")
            }
        }
        let reading = std::panic::catch_unwind(|| ahead_of(Panics, |reader| drop(all(reader))));
        let working = std::panic::catch_unwind(|| ahead_of(io::repeat(b'x'), |_| panic!("while working")));
        assert!(reading.is_err() && working.is_err());
    }
}
