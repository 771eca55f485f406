//! Standard input, read by a separate thread, so that a stop takes effect even while no bytes arrive.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::stop::Cut;

/// Most bytes read at once.
const CHUNK: usize = 64 << 10;
/// Most chunks waiting to be processed.
const WAITING: usize = 4;
/// How long a stop may take to be noticed.
const PATIENCE: Duration = Duration::from_millis(100);

/// The bytes of a stream, up to its end or to a stop.
struct Stdin<'c> {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
    cut: &'c Cut<'c>,
}

/// Standard input. If no thread can be started, a stop waits for the next bytes.
pub(super) fn standard_input<'c>(cut: &'c Cut<'_>) -> Box<dyn Read + Send + 'c> {
    let (sender, chunks) = sync_channel(WAITING);
    let produce = move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match io::stdin().read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_over = read.is_err();
            if sender.send(read).is_err() || is_over {
                return;
            }
        }
    };
    match thread::Builder::new().spawn(produce) {
        Ok(_) => Box::new(Stdin { chunks, chunk: Vec::new(), at: 0, cut }),
        Err(_) => Box::new(io::stdin()),
    }
}

impl Read for Stdin<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => (self.chunk, self.at) = (chunk?, 0),
                Err(RecvTimeoutError::Timeout) if self.cut.is_due() => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let count = (&self.chunk[self.at..]).read(out)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::sweep::Stop;

    #[test]
    fn a_stop_is_heeded_while_nothing_comes() {
        let (sender, chunks) = sync_channel(WAITING);
        sender.send(Ok(b"one".to_vec())).unwrap();
        let (done, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let asked = Arc::new(AtomicBool::new(true));
            let stop = Stop::by(asked);
            let cut = Cut::by(&stop);
            let mut text = String::new();
            let read = Stdin { chunks, chunk: Vec::new(), at: 0, cut: &cut }.read_to_string(&mut text);
            done.send((read.unwrap(), text, cut.was_made())).unwrap();
        });
        let read = told.recv_timeout(Duration::from_secs(30));
        assert_eq!(read, Ok((3, "one".to_owned(), true)));
        drop(sender);
    }
}
