//! Gzip as it lies in buckets: any number of members, damaged ones among them.
//!
//! Firehose writes one member per delivery and thousands per object; a reader that stops at the first member
//! loses nearly everything. RFC 1952 lets members follow each other with nothing in between.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use memchr::memmem;

use super::{Damage, window::Window};

/// How far the search for the next member goes back from where inflating failed.
const LOOK_BACK: usize = 64 * 1024;

/// Members in a row without any text after which the search goes forward only.
const MAX_BARREN: u32 = 64;

/// Reads the text of all members. After an error that is a [`Damage`] reading goes on with the next member found.
pub(super) struct Members<R: Read> {
    state: State<R>,
    /// Compressed offset of the current member.
    member_start: u64,
    /// Text offset of the current member.
    text_start: u64,
    text: u64,
    /// Number of the current member, from 1.
    number: u64,
    /// Members in a row that gave no text.
    barren: u32,
}

enum State<R: Read> {
    Between(Window<R>),
    Inside(Box<GzDecoder<Window<R>>>),
    Done,
}

impl<R: Read> Members<R> {
    /// Starts at the first member.
    pub(super) fn new(input: R) -> Self {
        let input = Window::keeping(input, LOOK_BACK);
        Members { state: State::Between(input), member_start: 0, text_start: 0, text: 0, number: 0, barren: 0 }
    }

    fn open(&mut self, mut input: Window<R>) -> io::Result<()> {
        let head = input.peek(3).map(|head| (head.is_empty(), head.starts_with(b"\x1f\x8b\x08")));
        match head {
            // An error of the stream below ends nothing: it may go on behind its own damage.
            Err(error) => {
                self.state = State::Between(input);
                Err(error)
            }
            Ok((true, _)) => Ok(()),
            Ok((_, false)) => self.skip_to_member(input, "bytes behind a gzip member that are no member"),
            Ok((_, true)) => {
                self.member_start = input.offset();
                self.text_start = self.text;
                self.number += 1;
                self.state = State::Inside(Box::new(GzDecoder::new(input)));
                Ok(())
            }
        }
    }

    /// Looks for the next member header; zero bytes up to the end are padding, anything else is damage.
    fn skip_to_member(&mut self, mut input: Window<R>, what: &str) -> io::Result<()> {
        let at = input.offset();
        let mut only_zeros = true;
        loop {
            let bytes = input.available();
            if let Some(found) = find_header(bytes) {
                only_zeros &= bytes[..found].iter().all(|&byte| byte == 0);
                input.consume(found);
                self.state = State::Between(input);
                break;
            }
            let skip = bytes.len().saturating_sub(3);
            only_zeros &= bytes.iter().all(|&byte| byte == 0);
            input.consume(skip);
            match input.extend() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.state = State::Between(input);
                    return Err(error);
                }
            }
        }
        if only_zeros { Ok(()) } else { Err(self.damage(what, at)) }
    }

    fn damage(&self, what: &str, at: u64) -> io::Error {
        Damage { what: format!("{what} (gzip member {})", self.number), at, text_start: self.text_start }.into()
    }

    fn recover(&mut self, mut input: Window<R>, error: &io::Error) -> io::Error {
        let failed_at = input.offset();
        // Headers that start nothing would be tried again and again, each over the bytes of the next ones.
        self.barren = if self.text == self.text_start { self.barren + 1 } else { 0 };
        if self.barren < MAX_BARREN {
            input.rewind(self.member_start + 1);
        }
        let damage = self.damage(&describe(error), failed_at);
        // What lies between is part of the member that failed, so it is not reported a second time.
        match self.skip_to_member(input, "") {
            Err(io) if io.get_ref().is_none_or(|inner| !inner.is::<Damage>()) => io,
            _ => damage,
        }
    }
}

fn describe(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof { "gzip stream ends early".to_owned() } else { error.to_string() }
}

/// A member header: magic, deflate, no reserved flag (RFC 1952, 2.3).
fn find_header(bytes: &[u8]) -> Option<usize> {
    memmem::find_iter(bytes, b"\x1f\x8b\x08").find(|&at| bytes.get(at + 3).is_some_and(|flags| flags & 0xe0 == 0))
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

    fn member(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// The text of all reads and the messages of the errors between them.
    fn read_all(bytes: &[u8]) -> (String, Vec<String>) {
        let mut members = Members::new(bytes);
        let (mut text, mut errors, mut chunk) = (String::new(), Vec::new(), [0; 64]);
        loop {
            match members.read(&mut chunk) {
                Ok(0) => return (text, errors),
                Ok(count) => text.push_str(std::str::from_utf8(&chunk[..count]).unwrap()),
                Err(error) => errors.push(error.to_string()),
            }
        }
    }

    #[test]
    fn members_follow_each_other() {
        let bytes = [member("one "), member("two "), vec![0; 600]].concat();
        assert_eq!(read_all(&bytes), ("one two ".to_owned(), vec![]));
    }

    #[test]
    fn a_cut_member_does_not_hide_the_next() {
        let cut = &member("lost text, lost text, lost")[..20];
        let bytes = [member("one ").as_slice(), cut, &member("three")].concat();
        let (text, errors) = read_all(&bytes);
        assert!(text.starts_with("one ") && text.ends_with("three"), "{text}");
        assert_eq!(errors.len(), 1, "{errors:?}");
    }

    #[test]
    fn a_wrong_checksum_is_reported_and_passed() {
        let mut bad = member("two ");
        let crc = bad.len() - 8;
        bad[crc] ^= 1;
        let (text, errors) = read_all(&[member("one "), bad, member("three")].concat());
        assert_eq!(text, "one two three");
        assert!(errors[0].contains("checksum") && errors[0].contains("member 2"), "{errors:?}");
    }

    #[test]
    fn trailing_garbage_is_damage() {
        let (text, errors) = read_all(&[member("one").as_slice(), b"garbage"].concat());
        assert_eq!(text, "one");
        assert_eq!(errors.len(), 1);
    }
}
