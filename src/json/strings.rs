//! Strings, decoded.

use std::borrow::Cow;

use super::Raw;

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
    let text = String::from_utf8_lossy(inner);
    let replaced = matches!(text, Cow::Owned(_));
    Decoded { text, replaced }
}

fn unescape(mut rest: &[u8]) -> Decoded<'static> {
    let mut out = Vec::with_capacity(rest.len());
    let mut replaced = false;
    while let Some(slash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..slash]);
        let plain = match rest.get(slash + 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(b'u') => {
                let (character, taken) = unicode_escape(&rest[slash..]);
                replaced |= character.is_none();
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[slash + taken..];
                continue;
            }
            _ => {
                replaced = true;
                out.extend_from_slice("\u{FFFD}".as_bytes());
                rest = &rest[slash + 1..];
                continue;
            }
        };
        out.push(plain);
        rest = &rest[slash + 2..];
    }
    out.extend_from_slice(rest);
    let text = String::from_utf8(out).unwrap_or_else(|error| {
        replaced = true;
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    Decoded { text: Cow::Owned(text), replaced }
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
