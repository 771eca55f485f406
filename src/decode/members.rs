//! Compressed streams as they are stored in buckets: any number of units, some of them damaged.
//!
//! Firehose writes one gzip member per delivery, and thousands per object: a reader that stops at the first one loses
//! nearly everything. After damage, reading continues with the next unit whose header is found.

use std::io::{self, BufRead, Read};

use super::codec::{Codec, Decoder};
use super::{Damage, window::Window};

/// After this many units in a row without text, the search only goes forward.
const MAX_BARREN: u32 = 64;

/// Reads the text of all units. After an error that is a [`Damage`], reading continues with the next unit found.
pub(super) struct Members<R: Read> {
    codec: Codec,
    state: State<R>,
    /// Compressed offset of the current unit.
    member_start: u64,
    /// Text offset of the current unit.
    text_start: u64,
    text: u64,
    /// Number of the current unit, from 1.
    number: u64,
    /// Units in a row that gave no text.
    barren: u32,
}

enum State<R: Read> {
    Between(Window<R>),
    Inside(Decoder<Window<R>>),
    Done,
}

impl<R: Read> Members<R> {
    /// Starts at the first unit, or searches for it.
    pub(super) fn new(codec: Codec, input: R) -> Self {
        let state = State::Between(Window::keeping(input, codec.look_back()));
        Members { codec, state, member_start: 0, text_start: 0, text: 0, number: 0, barren: 0 }
    }

    fn open(&mut self, mut input: Window<R>) -> io::Result<()> {
        let codec = self.codec;
        match input.peek(codec.header()).map(|head| (head.is_empty(), codec.begins(head))) {
            // An error of the stream below is not final: it may continue after its own damage.
            Err(error) => {
                self.state = State::Between(input);
                Err(error)
            }
            Ok((true, _)) => Ok(()),
            Ok((_, false)) => self.skip(input),
            Ok((_, true)) => {
                self.member_start = input.offset();
                self.text_start = self.text;
                self.number += 1;
                match Decoder::new(codec, input) {
                    Ok(decoder) => self.state = State::Inside(decoder),
                    Err((_, error)) => return Err(error),
                }
                Ok(())
            }
        }
    }

    /// Skips what is not a unit. Padding at the end or between units is none either; anything else is damage.
    fn skip(&mut self, input: Window<R>) -> io::Result<()> {
        let (at, unit) = (input.offset(), self.codec.unit());
        match (self.skip_to_header(input)?, self.number) {
            (true, 1..) => Ok(()),
            (_, number) => {
                let what = match number {
                    0 => format!("bytes in front of any {unit}"),
                    _ => format!("bytes behind {unit} {number} that are no {unit}"),
                };
                Err(Damage { what, at, text_start: self.text }.into())
            }
        }
    }

    /// Finds the next header. True if only padding comes before it, or before the end: zeros, or what Firehose writes
    /// behind each record if it is to separate them.
    fn skip_to_header(&mut self, mut input: Window<R>) -> io::Result<bool> {
        let is_padding = |byte: &u8| matches!(byte, 0 | b'\n' | b'\r');
        let mut only_padding = true;
        loop {
            let bytes = input.available();
            if let Some(found) = self.codec.find(bytes) {
                only_padding &= bytes[..found].iter().all(is_padding);
                input.consume(found);
                self.state = State::Between(input);
                return Ok(only_padding);
            }
            let skip = bytes.len().saturating_sub(self.codec.header() - 1);
            only_padding &= bytes.iter().all(is_padding);
            input.consume(skip);
            match input.extend() {
                Ok(0) => return Ok(only_padding),
                Ok(_) => {}
                Err(error) => {
                    self.state = State::Between(input);
                    return Err(error);
                }
            }
        }
    }

    fn recover(&mut self, mut input: Window<R>, error: &io::Error) -> io::Error {
        let failed_at = input.offset();
        // False headers would be tried again and again, each over the bytes of the next ones.
        self.barren = if self.text == self.text_start { self.barren + 1 } else { 0 };
        if self.barren < MAX_BARREN {
            input.rewind(self.member_start + 1);
        }
        // A failed decoder may have consumed nothing.
        let at_header = input.offset() == self.member_start;
        input.consume(usize::from(at_header));
        let damage = Damage { what: self.describe(error), at: failed_at, text_start: self.text_start };
        // What lies between is part of the failed unit, so it is not reported a second time.
        self.skip_to_header(input).err().unwrap_or(damage.into())
    }

    fn describe(&self, error: &io::Error) -> String {
        let what = match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("{} stream ends early", self.codec.name()),
            _ => error.to_string(),
        };
        format!("{what} ({} {})", self.codec.unit(), self.number)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Ok(0),
                State::Between(input) => self.open(input)?,
                State::Inside(mut decoder) => match decoder.read(out) {
                    Ok(0) => self.state = State::Between(decoder.into_inner()),
                    Ok(count) => {
                        self.text += count as u64;
                        self.state = State::Inside(decoder);
                        return Ok(count);
                    }
                    Err(error) => return Err(self.recover(decoder.into_inner(), &error)),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Zstd, Codec::Bzip2, Codec::Xz];

    fn unit(codec: Codec, text: &str) -> Vec<u8> {
        let text = text.as_bytes();
        match codec {
            Codec::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    /// The text of all reads and the messages of the errors between them.
    fn read_all(codec: Codec, bytes: &[u8]) -> (String, Vec<String>) {
        let mut members = Members::new(codec, bytes);
        let (mut text, mut errors, mut chunk) = (Vec::new(), Vec::new(), [0; 64]);
        loop {
            match members.read(&mut chunk) {
                Ok(0) => return (String::from_utf8_lossy(&text).into_owned(), errors),
                Ok(count) => text.extend_from_slice(&chunk[..count]),
                Err(error) => errors.push(error.to_string()),
            }
        }
    }

    #[test]
    fn units_follow_each_other() {
        for codec in CODECS {
            for between in ["", "\n", "\r\n"] {
                let bytes = [&unit(codec, "one "), between.as_bytes(), &unit(codec, "two "), &[0; 600]].concat();
                assert_eq!(read_all(codec, &bytes), ("one two ".to_owned(), vec![]), "{codec:?} {between:?}");
            }
        }
        let skipped = [b"\x5a\x2a\x4d\x18\x03\0\0\0abc".as_slice(), &unit(Codec::Zstd, "one ")].concat();
        assert_eq!(read_all(Codec::Zstd, &skipped), ("one ".to_owned(), vec![]));
    }

    #[test]
    fn a_unit_that_is_cut_anywhere_does_not_hide_the_next() {
        for codec in CODECS {
            let whole = unit(codec, "lost text, lost text, lost");
            for cut in 1..whole.len() {
                let bytes = [&unit(codec, "one "), &whole[..cut], &unit(codec, "three")].concat();
                let (text, errors) = read_all(codec, &bytes);
                assert!(text.starts_with("one ") && text.ends_with("three"), "{codec:?} cut at {cut}: {text}");
                assert_eq!(errors.len(), 1, "{codec:?} cut at {cut}: {errors:?}");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_is_reported_and_passed() {
        for (codec, from_end, word) in
            [(Codec::Gzip, 8, "checksum"), (Codec::Zstd, 1, "checksum"), (Codec::Bzip2, 1, "bzip2")]
        {
            let mut bad = unit(codec, "two ");
            let at = bad.len() - from_end;
            bad[at] ^= 0x80;
            let bytes = [unit(codec, "one "), bad, unit(codec, "three")].concat();
            let (text, errors) = read_all(codec, &bytes);
            assert!(text.starts_with("one ") && text.ends_with("three"), "{codec:?}: {text} {errors:?}");
            assert!(errors[0].contains(word) && errors[0].contains(" 2"), "{codec:?}: {errors:?}");
        }
    }

    #[test]
    fn what_is_no_unit_is_damage() {
        for codec in CODECS {
            let garbage = [unit(codec, "one").as_slice(), b"garbage"].concat();
            let (text, errors) = read_all(codec, &garbage);
            assert_eq!((text.as_str(), errors.len()), ("one", 1), "{codec:?}: {errors:?}");
            // Zero bytes are padding only after a unit.
            for lost in [vec![0; 600], b"lost".to_vec()] {
                let (text, errors) = read_all(codec, &[lost.clone(), unit(codec, "one")].concat());
                assert_eq!((text.as_str(), errors.len()), ("one", 1), "{codec:?}: {errors:?}");
                assert_eq!(read_all(codec, &lost).1.len(), 1, "{codec:?}");
            }
        }
    }
}
