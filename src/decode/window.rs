//! A growing view of a byte stream: look ahead as far as needed, go back a little.

use std::io::{self, BufRead, Read};

/// Bytes requested from the reader at once. Larger chunks gain nothing.
pub(super) const CHUNK: usize = 128 * 1024;

/// A buffered reader that can look ahead without limit, and back over a fixed number of bytes.
#[derive(Debug)]
pub struct Window<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Stream offset of `buffer[0]`.
    base: u64,
    keep: usize,
    /// The error that stopped a look ahead; the next read returns it.
    stopped: Option<io::Error>,
}

impl<R: Read> Window<R> {
    /// A window that keeps no consumed bytes.
    pub fn new(inner: R) -> Self {
        Self::keeping(inner, 0)
    }

    /// A window that can [go back](Self::rewind) over the last `keep` bytes.
    pub fn keeping(inner: R, keep: usize) -> Self {
        Window { inner, buffer: Vec::new(), start: 0, end: 0, base: 0, keep, stopped: None }
    }

    /// The same window, with its reader wrapped by `name`.
    pub(super) fn map<S>(self, name: impl FnOnce(R) -> S) -> Window<S> {
        let Window { inner, buffer, start, end, base, keep, stopped } = self;
        Window { inner: name(inner), buffer, start, end, base, keep, stopped }
    }

    /// Stream offset of the first byte not yet consumed.
    pub fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// The bytes at hand not yet consumed.
    pub fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads one more chunk after the bytes at hand. Returns its size; 0 at the end of the stream.
    pub fn extend(&mut self) -> io::Result<usize> {
        if let Some(error) = self.stopped.take() {
            return Err(error);
        }
        self.make_room();
        loop {
            match self.inner.read(&mut self.buffer[self.end..self.end + CHUNK]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// At least `count` bytes, or all that can be read. Fails only if none can be.
    pub fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count {
            if self.stopped.is_some() && self.start < self.end {
                break;
            }
            match self.extend() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if self.start == self.end => return Err(error),
                Err(error) => self.stopped = Some(error),
            }
        }
        Ok(self.available())
    }

    /// Goes back to a stream offset, or as near to it as the kept bytes allow.
    pub fn rewind(&mut self, offset: u64) {
        let back = self.offset().saturating_sub(offset.max(self.base));
        self.start -= usize::try_from(back).unwrap_or(0).min(self.start);
    }

    fn make_room(&mut self) {
        if self.buffer.len() - self.end >= CHUNK {
            return;
        }
        let drop = self.start.saturating_sub(self.keep);
        // Moving pays off if it frees at least as much as it moves; otherwise the buffer doubles.
        if drop > 0 && drop >= self.end - drop || self.start == self.end {
            self.buffer.copy_within(drop..self.end, 0);
            self.base += drop as u64;
            self.start -= drop;
            self.end -= drop;
        }
        if self.buffer.len() - self.end < CHUNK {
            let size = (self.end + CHUNK).max(self.buffer.len() * 2);
            self.buffer.resize(size, 0);
        }
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Large reads bypass the buffer when nothing has to be kept.
        if self.start == self.end && self.keep == 0 && out.len() >= CHUNK && self.stopped.is_none() {
            let count = self.inner.read(out)?;
            self.base = self.offset() + count as u64;
            (self.start, self.end) = (0, 0);
            return Ok(count);
        }
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Window<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.extend()?;
        }
        Ok(self.available())
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_of_any_size_give_the_stream() {
        let stream: Vec<u8> = (0..=250).cycle().take(40 * CHUNK).collect();
        for keep in [0, 1000] {
            let mut window = Window::keeping(stream.as_slice(), keep);
            let mut out = vec![0; 2 * CHUNK];
            for size in [10, 2 * CHUNK, CHUNK, 2 * CHUNK, CHUNK - 1, CHUNK].repeat(3) {
                let (at, count) = (window.offset(), window.read(&mut out[..size]).unwrap());
                let at = usize::try_from(at).unwrap();
                assert!(count > 0 && out[..count] == stream[at..at + count], "{size} at {at}");
                assert_eq!(window.offset(), (at + count) as u64);
                window.rewind(0);
                let back = usize::try_from(window.offset()).unwrap();
                assert!(stream[back..].starts_with(window.available()), "{size} at {back}");
                window.consume(at + count - back);
            }
        }
    }
}
