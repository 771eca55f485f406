//! Where a log event of CloudWatch Logs ends: found by blocks, since its message is one long string full of escapes.

/// Bytes that are looked at together.
const BLOCK: usize = 64;
/// Bytes in front of each that tell whether it is escaped.
const BEFORE: usize = 4;

/// The end of the element that `text` starts with, where it is an id, a time and a message as CloudWatch Logs writes
/// them, and nothing else: what reading it token by token would give. `None` where only that can tell.
pub(super) fn end(text: &[u8]) -> Option<usize> {
    let id = behind(text, 0, br#"{"id":""#)?;
    let timestamp = behind(text, digits(text, id), br#"","timestamp":"#)?;
    let timestamp_end = digits(text, timestamp);
    let message = behind(text, timestamp_end, br#","message":""#)?;
    let end = string_end(text, message)? + 1;
    (timestamp_end > timestamp && text.get(end) == Some(&b'}')).then_some(end + 1)
}

fn behind(text: &[u8], at: usize, expected: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(expected).then_some(at + expected.len())
}

fn digits(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The closing quote of the string whose inside starts at `from`; `None` where it holds a newline or has no end.
fn string_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(block) = text.get(at - BEFORE..).and_then(|text| text.first_chunk()) {
        if holds_odd_quote(block)
            && let Some(found) = (at..at + BLOCK).find(|at| ends_string(text, *at))
        {
            return Some(found).filter(|found| text[*found] == b'"');
        }
        at += BLOCK;
    }
    (at..text.len()).find(|at| ends_string(text, *at)).filter(|found| text[*found] == b'"')
}

/// Whether a block, behind the bytes in front of it, holds a newline, or a quote that is not escaped by one backslash or
/// three, as quotes in JSON in a string are.
#[expect(clippy::needless_bitwise_bool, reason = "without branches it becomes vector instructions")]
fn holds_odd_quote(block: &[u8; BEFORE + BLOCK]) -> bool {
    let mut found = false;
    for at in BEFORE..BEFORE + BLOCK {
        let slash = |back: usize| block[at - back] == b'\\';
        let is_escaped = slash(1) & (!slash(2) | slash(3) & !slash(4));
        found |= (block[at] == b'\n') | (block[at] == b'"') & !is_escaped;
    }
    found
}

/// Whether a newline stands here, or a quote that no backslash escapes.
fn ends_string(text: &[u8], at: usize) -> bool {
    let is_escaped = || text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    text[at] == b'\n' || text[at] == b'"' && !is_escaped()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Skip, skip_strict};

    const PIECES: [&str; 8] = ["", "\n", "x", r"\", r#"""#, r#"\""#, r#"\\\""#, r"\n"];

    /// It is the end that reading token by token finds, however escapes, quotes and newlines lie across blocks.
    #[test]
    fn it_is_where_the_tokens_end() {
        let mut told = 0;
        for (length, first) in (0..2 * BLOCK).flat_map(|length| PIECES.map(|piece| (length, piece))) {
            for (second, third) in PIECES.iter().flat_map(|second| PIECES.map(|third| (second, third))) {
                for behind in [r#""}"#, r#""},{"id":""}"#, r#"","x":{}}"#, r#"" }"#] {
                    let message = format!("{}{first}{second}{third}", "x".repeat(length));
                    let text = format!(r#"{{"id":"1","timestamp":2,"message":"{message}{behind}"#);
                    let end = end(text.as_bytes());
                    assert!(end.is_none_or(|end| skip_strict(text.as_bytes(), 0) == Skip::End(end)), "{text}");
                    told += usize::from(end.is_some());
                }
            }
        }
        assert!(told > 40_000, "{told}");
    }

    #[test]
    fn only_what_cloudwatch_writes_is_told() {
        for (element, is_told) in [
            (r#"{"id":"385","timestamp":1795424400795,"message":""}"#, true),
            (r#"{"id":"385","timestamp":1,"message":"{\"a\":\"\\\"b\\\" \\\\\\\"c\\\\\\\"\n\"}"}"#, true),
            (r#"{"id":"385","timestamp":,"message":""}"#, false),
            (r#"{"id":"385","timestamp":1,"message":""#, false),
            (r#"{"id":"385","timestamp":1,"message":"","extractedFields":{}}"#, false),
            (r#"{"id":385,"timestamp":1,"message":""}"#, false),
            (r#"{"id":"385"#, false),
            (r#"{"id":"385","timestamp":1"#, false),
        ] {
            assert_eq!(end(element.as_bytes()), is_told.then_some(element.len()), "{element}");
            let followed = format!("{element}]}}");
            assert_eq!(end(followed.as_bytes()), is_told.then_some(element.len()), "{followed}");
        }
    }
}
