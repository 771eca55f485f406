//! JSON as logs really hold it: cut, broken, deep, with duplicate keys; read without recursion and without copying.
//!
//! A strict parser refuses a record whose body is cut or deep, and with it the identifying fields in front of
//! the body. This reader delimits values by quotes and brackets alone, so those fields survive. Bodies are
//! handed on as raw text; whoever needs their inside parses it with serde_json.

use std::borrow::Cow;

use memchr::memchr3;

/// The raw text of one JSON value, surrounding white space removed. Its first byte tells its type.
pub type Raw<'a> = &'a [u8];

/// Where a value ends, as far as the text at hand tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The value is whole; the index is that of the first byte behind it.
    End(usize),
    /// The text stops inside the value.
    Incomplete,
    /// The text cannot be JSON at this index.
    Broken(usize),
}

/// Finds the end of the value at `at` and checks on the way that tokens follow each other as RFC 8259 says.
///
/// Brackets are counted, not matched: `[}` passes. A raw newline in a string is [`Skip::Broken`], since it is
/// how a line that was cut shows.
#[must_use]
pub fn skip_strict(text: &[u8], at: usize) -> Skip {
    skip::<true>(text, at)
}

/// Finds the end of the value at `at` by quotes and brackets alone.
#[must_use]
pub fn skip_lenient(text: &[u8], at: usize) -> Skip {
    skip::<false>(text, at)
}

/// What stood before the current token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    Open,
    Separator,
    Text,
    Other,
}

fn skip<const STRICT: bool>(text: &[u8], mut at: usize) -> Skip {
    let mut depth = 0_usize;
    let mut before = Before::Start;
    while let Some(&byte) = text.get(at) {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
            continue;
        }
        let separates = matches!(byte, b',' | b':');
        let closes = matches!(byte, b'}' | b']');
        if STRICT && !fits(before, byte) || depth == 0 && (separates || closes) {
            return Skip::Broken(at);
        }
        let next = match byte {
            b'"' => skip_string(text, at, STRICT),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => Skip::End(at + 1),
            _ => skip_atom(text, at),
        };
        let Skip::End(end) = next else { return next };
        at = end;
        before = match byte {
            b'{' | b'[' => Before::Open,
            b',' | b':' => Before::Separator,
            b'"' => Before::Text,
            _ => Before::Other,
        };
        depth = depth + usize::from(before == Before::Open) - usize::from(closes);
        if depth == 0 {
            return Skip::End(at);
        }
    }
    Skip::Incomplete
}

/// Whether a token that starts with this byte may stand here.
fn fits(before: Before, byte: u8) -> bool {
    let value_ended = matches!(before, Before::Text | Before::Other);
    match byte {
        b'}' | b']' => before != Before::Separator,
        b',' => value_ended,
        b':' => before == Before::Text,
        _ => !value_ended,
    }
}

/// Finds the end of a number or literal; the text must go on behind it, or it may be cut.
fn skip_atom(text: &[u8], at: usize) -> Skip {
    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':' | b'"' | b'{' | b'[') || byte.is_ascii_whitespace();
    // The first byte is taken whatever it is, so that a caller always moves forward.
    text[at + 1..].iter().position(ends).map_or(Skip::Incomplete, |n| Skip::End(at + 1 + n))
}

/// Finds the end of the string that opens at `at`.
fn skip_string(text: &[u8], at: usize, newline_breaks: bool) -> Skip {
    let mut from = at + 1;
    while let Some(found) = find_special(text.get(from..).unwrap_or_default()) {
        let found = from + found;
        match text[found] {
            b'"' => return Skip::End(found + 1),
            b'\\' => from = found + 2,
            _ if newline_breaks => return Skip::Broken(found),
            _ => from = found + 1,
        }
    }
    Skip::Incomplete
}

/// Most strings of an event are short: looking at some bytes one by one is faster than setting a vector search up.
fn find_special(text: &[u8]) -> Option<usize> {
    let (near, far) = text.split_at(text.len().min(NEAR));
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'\n');
    near.iter().position(is_special).or_else(|| Some(near.len() + memchr3(b'"', b'\\', b'\n', far)?))
}

/// Bytes that are looked at one by one.
const NEAR: usize = 16;

/// The members of one object, in document order, duplicates kept.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    entries: Vec<(Cow<'a, str>, Raw<'a>)>,
    /// The member whose string value has no closing quote, because the text ends in it.
    cut: Option<(Cow<'a, str>, Raw<'a>)>,
    whole: bool,
}

impl<'a> Fields<'a> {
    /// Reads the members of the object that `text` starts with; `None` where it starts with anything else.
    ///
    /// Where the text ends inside a member, the members before it are kept, and so is a cut array or object
    /// (its own whole members can be read); a cut string, number or literal is left out, since what is left of
    /// it would be another value.
    #[must_use]
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let text = text.trim_ascii_start();
        if text.first() != Some(&b'{') {
            return None;
        }
        let mut fields = Fields { entries: Vec::with_capacity(16), cut: None, whole: false };
        let mut at = 1;
        loop {
            at = skip_blank(text, at, b',');
            match text.get(at) {
                Some(b'}') => {
                    fields.whole = true;
                    return Some(fields);
                }
                Some(b'"') => {}
                _ => return Some(fields),
            }
            let Skip::End(key_end) = skip_string(text, at, false) else { return Some(fields) };
            let key = decode(&text[at..key_end]).text;
            at = skip_blank(text, key_end, b':');
            let Skip::End(end) = skip_lenient(text, at) else {
                match text.get(at) {
                    Some(b'{' | b'[') => fields.entries.push((key, &text[at..])),
                    Some(b'"') => fields.cut = Some((key, &text[at..])),
                    _ => {}
                }
                return Some(fields);
            };
            fields.entries.push((key, &text[at..end]));
            at = end;
        }
    }

    /// Members made from other sources, a CSV row for instance.
    #[must_use]
    pub fn from_entries(entries: Vec<(Cow<'a, str>, Raw<'a>)>) -> Self {
        Fields { entries, cut: None, whole: true }
    }

    /// Whether the closing brace was reached.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The members in document order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.entries.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    /// The last member of exactly this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// The member of exactly this key, else the first whose key is equal ignoring case (and of that spelling the last).
    #[must_use]
    pub fn get_folded(&self, key: &str) -> Option<Raw<'a>> {
        self.get(key).or_else(|| {
            let spelling = self.entries.iter().map(|(name, _)| name).find(|name| equal_folded(name, key))?;
            self.get(spelling)
        })
    }

    /// The member of this key (ignoring case), even where it is a string that is cut: an envelope may have been
    /// cut inside the record that it holds.
    #[must_use]
    pub fn get_even_cut(&self, key: &str) -> Option<Raw<'a>> {
        let cut = || self.cut.as_ref().filter(|(name, _)| equal_folded(name, key)).map(|(_, value)| *value);
        self.get_folded(key).or_else(cut)
    }

    /// The key as it is written here, of the member that [`get_even_cut`](Self::get_even_cut) gives.
    #[must_use]
    pub fn spelling(&self, key: &str) -> Option<String> {
        let names = || self.entries.iter().map(|(name, _)| name).chain(self.cut.iter().map(|(name, _)| name));
        let exact = names().find(|name| *name == key);
        exact.or_else(|| names().find(|name| equal_folded(name, key))).map(|name| name.clone().into_owned())
    }

    /// The string member of this key, decoded; `None` for any other type.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(string)
    }

    /// The members of the object member of this key.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Fields<'a>> {
        self.get(key).and_then(Fields::read)
    }
}

/// Whether two keys are equal ignoring case.
#[must_use]
pub fn equal_folded(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || (!left.is_ascii() && left.to_lowercase() == right.to_lowercase())
}

fn skip_blank(text: &[u8], mut at: usize, also: u8) -> usize {
    while text.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == also) {
        at += 1;
    }
    at
}

/// The elements of the array that `text` starts with; a cut last element is kept where it is an array or object.
pub fn elements(text: Raw<'_>) -> impl Iterator<Item = Raw<'_>> {
    let mut at = usize::from(text.first() == Some(&b'['));
    let array = at == 1;
    std::iter::from_fn(move || {
        if !array {
            return None;
        }
        at = skip_blank(text, at, b',');
        let start = at;
        match skip_lenient(text, at) {
            Skip::End(end) => {
                at = end;
                Some(&text[start..end])
            }
            Skip::Incomplete if matches!(text.get(at), Some(b'{' | b'[')) => {
                at = text.len();
                Some(&text[start..])
            }
            _ => None,
        }
    })
}

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

/// Whether a value counts as missing: `null`, `""`, `0`, `false`, `[]`, `{}` (what is false in Panther's Python).
#[must_use]
pub fn is_empty(raw: Raw<'_>) -> bool {
    match raw {
        b"null" | b"false" | b"\"\"" => true,
        [b'[', inner @ .., b']'] | [b'{', inner @ .., b'}'] => inner.trim_ascii().is_empty(),
        [b'-' | b'0'..=b'9', ..] => number(raw) == Some(0.0),
        _ => false,
    }
}

/// The value of a JSON number, as a double.
#[must_use]
pub fn number(raw: Raw<'_>) -> Option<f64> {
    matches!(raw.first(), Some(b'-' | b'0'..=b'9')).then_some(())?;
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// An integer, written as a JSON number (`403`, `403.0`) or in a string (`"403"`); beyond i64 it saturates.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "saturation is what is meant")]
pub fn integer(raw: Raw<'_>) -> Option<i64> {
    let text = if is_string(raw) { string(raw)? } else { String::from_utf8_lossy(raw) };
    let text = text.trim();
    text.parse().ok().or_else(|| {
        text.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(())?;
        text.parse().ok().filter(|value: &f64| value.fract() == 0.0 || value.is_infinite()).map(|value| value as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_ends_behind_the_value() {
        for (text, end) in
            [(r#"{"a":1} x"#, 7), (r#"[{"a":"}"}]"#, 11), (r#""a\"b","#, 6), (r#"{"a":{},"b":[]}"#, 15), ("12,", 2)]
        {
            assert_eq!(skip_strict(text.as_bytes(), 0), Skip::End(end), "{text}");
            assert_eq!(skip_lenient(text.as_bytes(), 0), Skip::End(end), "{text}");
        }
    }

    #[test]
    fn strict_breaks_where_tokens_do_not_fit() {
        for (text, at) in [
            ("{\"a\":1}", None),
            ("{\"a\":{\"b\":1}\n{\"c\":2}", Some(13)),
            ("{\"a\":\"cut\n{\"b\":1}", Some(9)),
            ("{\"a\" \"b\"}", Some(5)),
            ("{\"a\":1,}", Some(7)),
        ] {
            let expected = at.map_or(Skip::End(text.len()), Skip::Broken);
            assert_eq!(skip_strict(text.as_bytes(), 0), expected, "{text}");
        }
    }

    #[test]
    fn cut_objects_keep_what_is_certain() {
        let read = |text: &'static str| {
            let fields = Fields::read(text.as_bytes()).unwrap();
            let names: Vec<String> = fields.iter().map(|(name, _)| name.to_owned()).collect();
            (names.join(","), fields.is_whole())
        };
        assert_eq!(read(r#"{"a":1,"b":"cu"#), ("a".to_owned(), false));
        assert_eq!(read(r#"{"a":1,"b":20"#), ("a".to_owned(), false));
        assert_eq!(read(r#"{"a":1,"b":{"c":2,"d":"#), ("a,b".to_owned(), false));
        assert_eq!(read(r#"{"a":NaN,"b":1}"#), ("a,b".to_owned(), true));
    }

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

    #[test]
    fn integers_come_in_many_spellings() {
        let cases = [
            ("403", Some(403)),
            ("403.0", Some(403)),
            ("\"403\"", Some(403)),
            ("403.5", None),
            ("true", None),
            ("99999999999999999999", Some(i64::MAX)),
            ("1e400", Some(i64::MAX)),
            ("\"x\"", None),
        ];
        for (raw, value) in cases {
            assert_eq!(integer(raw.as_bytes()), value, "{raw}");
        }
    }
}
