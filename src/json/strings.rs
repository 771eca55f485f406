//! Strings, decoded.

use std::borrow::Cow;

use super::Raw;
use super::block::{self, Block};

/// A decoded JSON string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text; what could not be decoded stands as U+FFFD.
    pub text: Cow<'a, str>,
    /// Whether anything was replaced: invalid UTF-8, a lone surrogate, an unknown escape.
    pub replaced: bool,
}

/// The text of a string value; `None` for any other type and for a string without its closing quote.
#[must_use]
pub fn string(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    is_string(raw).then(|| decode(raw).text)
}

/// Whether this is a whole string value.
#[must_use]
pub fn is_string(raw: Raw<'_>) -> bool {
    raw.len() >= 2 && raw[0] == b'"' && raw[raw.len() - 1] == b'"'
}

/// What is left of a string whose end is cut off, without an escape that is cut in two.
#[must_use]
pub fn cut_string(raw: Raw<'_>) -> Cow<'_, str> {
    let inner = raw.strip_prefix(b"\"").unwrap_or(raw);
    let escape =
        memchr::memrchr(b'\\', &inner[inner.len().saturating_sub(6)..]).map(|at| at + inner.len().saturating_sub(6));
    let whole_escape = |at: usize| match inner.get(at + 1) {
        None => false,
        Some(b'u') => at + 6 <= inner.len(),
        Some(_) => true,
    };
    // A backslash that is itself escaped belongs to the escape before it.
    let escaped = |at: usize| inner[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1;
    let end = escape.filter(|&at| !escaped(at) && !whole_escape(at)).unwrap_or(inner.len());
    if memchr::memchr(b'\\', inner).is_some() { unescape(&inner[..end]).text } else { String::from_utf8_lossy(inner) }
}

/// Decodes a string with its quotes.
#[must_use]
pub fn decode(raw: Raw<'_>) -> Decoded<'_> {
    let inner = &raw[1..raw.len() - 1];
    if memchr::memchr(b'\\', inner).is_some() {
        return unescape(inner);
    }
    match std::str::from_utf8(inner) {
        Ok(text) => Decoded { text: Cow::Borrowed(text), replaced: false },
        Err(_) => Decoded { text: String::from_utf8_lossy(inner), replaced: true },
    }
}

fn unescape(text: &[u8]) -> Decoded<'static> {
    let mut out = Unescaped { bytes: vec![0; text.len() + RUN], length: 0, replaced: false };
    let (mut done, mut escaped) = (0, 0);
    for start in (0..text.len()).step_by(block::SIZE) {
        let mut slashes = Block::at(text, start).equal(b'\\');
        while slashes != 0 {
            let slash = start + slashes.trailing_zeros() as usize;
            slashes &= slashes - 1;
            // A backslash may have been escaped by the one before.
            if slash < escaped {
                continue;
            }
            out.plain(&text[done..], slash - done);
            if matches!(text.get(slash + 1), Some(b'"' | b'\\' | b'/')) {
                // It stands for itself, and begins the next run.
                (done, escaped) = (slash + 1, slash + 2);
            } else {
                done = slash + out.escape(&text[slash..]);
                escaped = done;
            }
        }
    }
    out.plain(&text[done..], text.len() - done);
    out.finish()
}

/// Most runs between two escapes are shorter, and copying a fixed number of bytes is faster than counting.
const RUN: usize = 32;

/// Text being unescaped, in a buffer that is longer.
struct Unescaped {
    bytes: Vec<u8>,
    length: usize,
    replaced: bool,
}

impl Unescaped {
    /// Takes over the first `count` bytes of `text`.
    #[inline]
    fn plain(&mut self, text: &[u8], count: usize) {
        let room = &mut self.bytes[self.length..];
        match (text.first_chunk::<RUN>(), room.first_chunk_mut()) {
            (Some(run), Some(room)) if count <= RUN => *room = *run,
            _ => room[..count].copy_from_slice(&text[..count]),
        }
        self.length += count;
    }

    /// Takes over what the escape means with which `text` starts; gives its length.
    fn escape(&mut self, text: &[u8]) -> usize {
        let byte = match text.get(1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'u') => {
                let (character, taken) = unicode_escape(text);
                self.character(character);
                return taken;
            }
            _ => {
                self.character(None);
                return 1;
            }
        };
        self.bytes[self.length] = byte;
        self.length += 1;
        2
    }

    fn character(&mut self, character: Option<char>) {
        self.replaced |= character.is_none();
        let mut bytes = [0; 4];
        let bytes = character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut bytes).as_bytes();
        // What stands for an unknown escape is longer than the escape.
        self.bytes.resize(self.bytes.len() + bytes.len(), 0);
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn finish(mut self) -> Decoded<'static> {
        self.bytes.truncate(self.length);
        let mut replaced = self.replaced;
        let text = String::from_utf8(self.bytes).unwrap_or_else(|error| {
            replaced = true;
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        });
        Decoded { text: Cow::Owned(text), replaced }
    }
}

/// The character of the `\uXXXX` that `text` starts with (surrogate pairs joined) and the bytes it takes.
fn unicode_escape(text: &[u8]) -> (Option<char>, usize) {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        let digits = std::str::from_utf8(&escape[2..]).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
            (char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12)
        }
        (Some(unit), _) => (char::from_u32(unit), 6),
        (None, _) => (None, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_decode_leniently() {
        let cases = [
            (r#""a\u00e9\ud83d\ude00\/""#, "a\u{e9}\u{1F600}/", false),
            (r#""\ud800x""#, "\u{FFFD}x", true),
            (r#""\q""#, "\u{FFFD}q", true),
            (r#""\uZZ""#, "\u{FFFD}ZZ", true),
        ];
        for (raw, text, replaced) in cases {
            assert_eq!(decode(raw.as_bytes()), Decoded { text: text.into(), replaced }, "{raw}");
        }
        assert_eq!(decode(b"\"\xff\"").text, "\u{FFFD}");
    }
}
