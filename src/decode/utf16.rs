//! UTF-16, as PowerShell's `>` writes it, read as UTF-8. Its byte order mark may be lost.
//!
//! After a lost byte, all that follows decodes to other characters, none of them invalid. Logs are nearly all ASCII,
//! and a run of ASCII code units with swapped bytes reveals the loss: one byte is then skipped. What a later PowerShell
//! appended with `>>` is UTF-8, which a run of pairs of ASCII bytes reveals.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

use encoding_rs::{CoderResult, Decoder, UTF_16BE, UTF_16LE};

use super::{Damage, Window};

/// This many code units in a row that are ASCII with swapped bytes are not text in any language.
const SWAPPED: usize = 16;
/// This many code units in a row whose bytes are both ASCII are UTF-8: in Chinese text, a third of all are.
const NARROW: usize = 24;
/// At least this many of the swapped ones must differ: U+2500 draws lines, and U+3000 is a space.
const VARIED: usize = 4;

/// Transcodes as it reads, and continues after an error that is a [`Damage`]. Text offsets in errors count the UTF-8
/// text.
pub(super) struct Utf8<R> {
    input: Window<R>,
    /// Reads the two bytes of a code unit in the order of the stream; `None` until its beginning is read.
    unit: Option<fn([u8; 2]) -> u16>,
    /// Whether what was appended as UTF-8 has begun.
    appended: bool,
    decoder: Decoder,
    output: Vec<u8>,
    given: usize,
    /// Bytes of UTF-8 text produced so far.
    text: u64,
    ended: bool,
}

impl<R: Read> Utf8<R> {
    /// Starts at the byte order mark, which gives the byte order, or at a character of ASCII, whose zero gives it.
    pub(super) fn new(input: Window<R>) -> Self {
        let decoder = UTF_16LE.new_decoder();
        Utf8 { input, unit: None, appended: false, decoder, output: Vec::new(), given: 0, text: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let bytes = self.input.peek(2 * NARROW)?;
        if self.appended {
            self.pass_on();
            return Ok(());
        }
        let count = bytes.len();
        let is_little = bytes.first() == Some(&0xff) || bytes.get(1) == Some(&0);
        let unit = *self.unit.get_or_insert_with(|| {
            let order = if is_little { UTF_16LE } else { UTF_16BE };
            self.decoder = order.new_decoder_with_bom_removal();
            if is_little { u16::from_le_bytes } else { u16::from_be_bytes }
        });
        match sound(bytes, unit) {
            (0, Some(Run::Swapped)) => return Err(self.pass("a byte of UTF-16 text is lost, or one too many")),
            (0, Some(Run::Narrow)) => self.appended = true,
            (0, None) if count == 1 => return Err(self.pass("UTF-16 text ends inside a character")),
            // Nothing follows that could show more.
            (_, None) if count < 2 * NARROW => self.decode(count / 2 * 2),
            (sound, _) => self.decode(sound),
        }
        Ok(())
    }

    /// Decodes the next `count` bytes; 0 at the end.
    fn decode(&mut self, count: usize) {
        self.ended = count == 0;
        let room = self.decoder.max_utf8_buffer_length(count).unwrap_or(count * 3 + 16);
        self.output.resize(room, 0);
        let bytes = &self.input.available()[..count];
        let (result, _, written, _) = self.decoder.decode_to_utf8(bytes, &mut self.output, self.ended);
        debug_assert_eq!(result, CoderResult::InputEmpty, "the buffer is as large as the decoder asks");
        self.input.consume(count);
        self.output.truncate(written);
        self.text += written as u64;
        self.given = 0;
    }

    /// Gives out what is at hand as it is.
    fn pass_on(&mut self) {
        self.output.clear();
        self.output.extend_from_slice(self.input.available());
        self.input.consume(self.output.len());
        (self.ended, self.given) = (self.output.is_empty(), 0);
        self.text += self.output.len() as u64;
    }

    /// Skips one byte, so that the following bytes are code units again.
    fn pass(&mut self, what: &str) -> io::Error {
        let at = self.input.offset();
        self.input.consume(1);
        Damage { what: what.to_owned(), at, text_start: self.text }.into()
    }
}

/// A run of code units that are not what they seem.
enum Run {
    /// Of ASCII characters with swapped bytes.
    Swapped,
    /// Of two ASCII characters each.
    Narrow,
}

/// How many bytes are sound: up to the first run, or up to what may be the start of one.
fn sound(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (usize, Option<Run>) {
    let is_text = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let (mut units, mut swapped, mut narrow) = (0, 0, 0);
    for pair in bytes.chunks_exact(2) {
        let [high, low] = unit([pair[0], pair[1]]).to_be_bytes();
        units += 1;
        swapped = if low == 0 && is_text(high) { swapped + 1 } else { 0 };
        narrow = if is_text(low) && is_text(high) { narrow + 1 } else { 0 };
        if swapped >= SWAPPED && is_varied(&bytes[2 * (units - SWAPPED)..2 * units]) {
            return (2 * (units - SWAPPED), Some(Run::Swapped));
        }
        if narrow == NARROW {
            return (2 * (units - NARROW), Some(Run::Narrow));
        }
    }
    (2 * (units - swapped.min(SWAPPED - 1).max(narrow)), None)
}

/// Whether these are more than a ruled line or a row of wide spaces.
fn is_varied(units: &[u8]) -> bool {
    units.chunks_exact(2).collect::<BTreeSet<_>>().len() >= VARIED
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of all reads, and the errors with their offset in the text.
    fn read_all(bytes: &[u8]) -> (String, Vec<(u64, String)>) {
        let (mut reader, mut text, mut errors) = (Utf8::new(Window::new(bytes)), Vec::new(), Vec::new());
        let mut chunk = [0; 100];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return (String::from_utf8(text).unwrap(), errors),
                Ok(count) => text.extend_from_slice(&chunk[..count]),
                Err(error) => errors.push((Damage::of(&error).unwrap().text_start, error.to_string())),
            }
        }
    }

    fn encoded(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn a_lost_byte_loses_a_character() {
        let line = r#"{"kind":"Event","user":"ünïcødé 日本語 🦀"}"#;
        let [text, behind] = [8, 6].map(|lines| vec![line; lines].join("\r\n") + &"─\u{3000}".repeat(40));
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let whole = encoded(&text, to_bytes);
            assert_eq!(read_all(&whole), (text.clone(), vec![]));
            for at in 2..line.encode_utf16().count() * 2 {
                let (read, errors) = read_all(&[&whole[..at], &whole[at + 1..]].concat());
                assert!(read.ends_with(&behind), "{at}: {read}");
                assert!(errors.len() == 1 && errors[0].1.contains("lost") && errors[0].0 < 140, "{at}: {errors:?}");
            }
        }
    }

    /// Windows PowerShell writes UTF-16, PowerShell 7 appends UTF-8 to it.
    #[test]
    fn what_is_appended_in_utf8_is_read() {
        let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","user":"ünïcødé 日本語 🦀"}"#;
        for (lines, to_bytes) in
            [(1, u16::to_le_bytes as fn(u16) -> [u8; 2]), (300, u16::to_le_bytes), (2, u16::to_be_bytes)]
        {
            let [before, behind] = ["\r\n", "\n"].map(|end| format!("{line}{end}").repeat(lines));
            let file = [encoded(&before, to_bytes), behind.clone().into_bytes()].concat();
            assert_eq!(read_all(&file), (before + &behind, vec![]));
        }
    }

    #[test]
    fn a_cut_inside_a_character_is_told() {
        let whole = encoded("{}", u16::to_le_bytes);
        let (text, errors) = read_all(&whole[..whole.len() - 1]);
        let told = "UTF-16 text ends inside a character at byte 4".to_owned();
        assert_eq!((text.as_str(), errors), ("{", vec![(1, told)]));
    }
}
