//! UTF-16 with a byte order mark, as PowerShell's `>` writes it, read as UTF-8.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, UTF_8};

/// Transcodes as it reads. Offsets behind it are those of the UTF-8 text.
pub(super) struct Utf8<R> {
    inner: R,
    decoder: Decoder,
    input: Vec<u8>,
    output: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Utf8<R> {
    /// The byte order mark at the start tells the encoding.
    pub(super) fn new(inner: R) -> Self {
        let decoder = UTF_8.new_decoder();
        Utf8 { inner, decoder, input: vec![0; 64 * 1024], output: Vec::new(), given: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let count = self.inner.read(&mut self.input)?;
        self.ended = count == 0;
        let room = self.decoder.max_utf8_buffer_length(count).unwrap_or(count * 3 + 16);
        self.output.resize(room, 0);
        let (result, _, written, _) = self.decoder.decode_to_utf8(&self.input[..count], &mut self.output, self.ended);
        debug_assert_eq!(result, CoderResult::InputEmpty, "the buffer is as large as the decoder asks");
        self.output.truncate(written);
        self.given = 0;
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.output.len() {
            if self.ended {
                return Ok(0);
            }
            self.refill()?;
        }
        let count = (&self.output[self.given..]).read(out)?;
        self.given += count;
        Ok(count)
    }
}
