//! Strings, decoded.

use std::borrow::Cow;

use super::Raw;
use super::block::{self, Block};

/// A decoded JSON string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text. U+FFFD replaces what could not be decoded.
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

/// What is left of a string whose end is cut off, without a cut escape.
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
    let mut out = vec![0; text.len() + RUN];
    let (mut length, mut replaced) = (0, false);
    // Text is copied up to `done`. A backslash before `escaped` is escaped by the one before it.
    let (mut done, mut escaped) = (0, 0);
    for start in (0..text.len()).step_by(block::SIZE) {
        let mut slashes = Block::at(text, start).equal(b'\\');
        while slashes != 0 {
            let slash = start + slashes.trailing_zeros() as usize;
            slashes &= slashes - 1;
            if slash < escaped {
                continue;
            }
            length = copy(&text[done..], slash - done, &mut out, length);
            if matches!(text.get(slash + 1), Some(b'"' | b'\\' | b'/')) {
                // The second backslash stands for itself and begins the next run.
                (done, escaped) = (slash + 1, slash + 2);
            } else {
                let (character, taken) = escape(&text[slash..]);
                replaced |= character.is_none();
                length = write(character.unwrap_or(char::REPLACEMENT_CHARACTER), &mut out, length);
                (done, escaped) = (slash + taken, slash + taken);
            }
        }
    }
    length = copy(&text[done..], text.len() - done, &mut out, length);
    out.truncate(length);
    let text = String::from_utf8(out).unwrap_or_else(|error| {
        replaced = true;
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    Decoded { text: Cow::Owned(text), replaced }
}

/// Most runs between two escapes are shorter than this, and copying a fixed number of bytes is faster than counting.
const RUN: usize = 32;

/// Copies the first `count` bytes of `text` after the first `length` of `out`. Returns the new length.
#[inline]
fn copy(text: &[u8], count: usize, out: &mut [u8], length: usize) -> usize {
    let room = &mut out[length..];
    match (text.first_chunk::<RUN>(), room.first_chunk_mut()) {
        (Some(run), Some(room)) if count <= RUN => *room = *run,
        _ => room[..count].copy_from_slice(&text[..count]),
    }
    length + count
}

/// Writes a character after the first `length` bytes of `out`. Returns the new length.
fn write(character: char, out: &mut Vec<u8>, length: usize) -> usize {
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).as_bytes();
    // The replacement of an unknown escape may be longer than the escape.
    out.resize(out.len() + bytes.len(), 0);
    out[length..][..bytes.len()].copy_from_slice(bytes);
    length + bytes.len()
}

/// The character of the escape that `text` starts with, `None` if unknown, and the number of bytes it takes.
fn escape(text: &[u8]) -> (Option<char>, usize) {
    match text.get(1) {
        Some(b'n') => (Some('\n'), 2),
        Some(b't') => (Some('\t'), 2),
        Some(b'r') => (Some('\r'), 2),
        Some(b'b') => (Some('\u{8}'), 2),
        Some(b'f') => (Some('\u{c}'), 2),
        Some(b'u') => unicode_escape(text),
        _ => (None, 1),
    }
}

/// The character of the `\uXXXX` that `text` starts with (surrogate pairs joined) and the number of bytes it takes.
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Escapes lie at every position of a block, and the runs between them are short and long.
        #[test]
        fn strings_decode_as_serde_json_does(text in r#"([ab"/\\\n\t\u{1}\u{e9}\u{1F600}]{0,9}|x{0,70}){0,12}"#) {
            let escaped = serde_json::to_string(&text).unwrap();
            for raw in [escaped.replace('/', "\\/"), escaped] {
                prop_assert_eq!(decode(raw.as_bytes()), Decoded { text: text.as_str().into(), replaced: false });
            }
        }
    }

    #[test]
    fn strings_decode_leniently() {
        let cases = [
            (r#""a\u00e9\ud83d\ude00\/""#, "a\u{e9}\u{1F600}/", false),
            (r#""\ud800x""#, "\u{FFFD}x", true),
            (r#""\q""#, "\u{FFFD}q", true),
            (r#""\q\q\\\"\\\\x\q""#, "\u{FFFD}q\u{FFFD}q\\\"\\\\x\u{FFFD}q", true),
            (r#""\uZZ""#, "\u{FFFD}ZZ", true),
        ];
        for (raw, text, replaced) in cases {
            assert_eq!(decode(raw.as_bytes()), Decoded { text: text.into(), replaced }, "{raw}");
        }
        assert_eq!(decode(b"\"\xff\"").text, "\u{FFFD}");
    }
}
