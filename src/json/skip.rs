//! Where a JSON value ends.

use memchr::memchr3;

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
pub(super) fn skip_string(text: &[u8], at: usize, newline_breaks: bool) -> Skip {
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
}
