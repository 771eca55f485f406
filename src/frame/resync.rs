//! Where to continue after a broken document.
//!
//! A new document starts where no value may stand: not after `:`, `,` or `[`. So an event hidden in the body of a
//! broken record is not taken for a document; inside a string its quotes are escaped.

use memchr::memmem;

use crate::event::EVENT_START;
use crate::json::{self, Skip};

/// Starts tried in one broken document before the rest of it is given up.
const MAX_TRIES: usize = 256;

/// Where the document at the start of `text` ends at the latest: a compact one at the end of its line, a pretty-printed
/// one before the next brace in the first column. Text after that says nothing about it.
pub(super) fn bound(text: &[u8]) -> Option<usize> {
    if is_compact(text) {
        return memchr::memchr(b'\n', text);
    }
    memmem::find(text, b"\n{").map(|at| at + 1)
}

/// Where to continue after the document at the start of `text`: at its bound, or earlier if it runs into the next
/// document; `None` if the text at hand does not show it.
pub(super) fn document(text: &[u8], more: bool) -> Option<usize> {
    let bound = bound(text);
    let text = &text[..bound.map_or(text.len(), |bound| bound + 1)];
    let more = more && bound.is_none();
    let balanced = match json::skip_lenient(text, 0) {
        Skip::End(end) if starts_anew(text, end, more) => Some(end),
        _ => None,
    };
    let end = balanced.or(bound);
    glued(&text[..end.unwrap_or(text.len())], more && end.is_none()).or(end)
}

/// Whether only a new document, the end of a line or the end of the text follows `at`.
fn starts_anew(text: &[u8], at: usize, more: bool) -> bool {
    let next = text[at..].iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    next.map_or(!more, |next| matches!(next, b'\n' | b'{' | 0))
}

/// Where a document begins inside this broken one, whose end is missing.
fn glued(text: &[u8], more: bool) -> Option<usize> {
    let mut tries = 0;
    for at in memchr::memchr_iter(b'{', text).skip_while(|&at| at == 0) {
        let after = text[at + 1..].iter().find(|byte| **byte != b' ');
        if after != Some(&b'"') || is_value_position(&text[..at]) {
            continue;
        }
        tries += 1;
        if tries > MAX_TRIES {
            return None;
        }
        let is_event = text[at..].starts_with(EVENT_START);
        match json::skip_strict(text, at) {
            Skip::End(end) if !matches!(next_byte(text, end), Some(b'}' | b']' | b',' | b':')) => return Some(at),
            Skip::Incomplete if !more => return Some(at),
            // Only its end shows whether it is a document of its own.
            Skip::Incomplete if is_event => return None,
            Skip::Broken(_) if is_event => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether a value may follow this text.
fn is_value_position(before: &[u8]) -> bool {
    let last = before.iter().rev().find(|byte| !byte.is_ascii_whitespace());
    matches!(last, Some(b':' | b',' | b'['))
}

fn next_byte(text: &[u8], at: usize) -> Option<u8> {
    text[at..].iter().find(|byte| !byte.is_ascii_whitespace()).copied()
}

/// Where to continue after a broken element of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// At the next element.
    Element(usize),
    /// Outside the array: a new document starts here.
    Document(usize),
}

/// Where to continue after the element at the start of `text`; `None` if the text at hand does not show it. `own_lines`
/// says that each element begins a line; `first` is the start of the first element.
pub(super) fn element(text: &[u8], first: &[u8], own_lines: bool, more: bool) -> Option<Next> {
    let balanced = match json::skip_lenient(text, 0) {
        Skip::End(end) if matches!(next_byte(text, end), Some(b',' | b']')) => Some(end),
        _ => None,
    };
    let column = memmem::find(text, b"\n{").map(|at| at + 1);
    let own = if matches!(text.first(), Some(b'{' | b'[')) { signature(text) } else { b"" };
    let signed = [own, first].into_iter().filter_map(|signature| signed(text, signature)).min();
    let is_open = |at: &usize| matches!(json::skip_strict(text, *at), Skip::Incomplete);
    let nearest = [signed, balanced, column].into_iter().flatten().min();
    if more && signed.filter(is_open).is_some_and(|signed| nearest == Some(signed)) {
        return None;
    }
    let next = [balanced, signed].into_iter().flatten().min();
    match (next, column) {
        (Some(next), Some(column)) if column <= next && !own_lines => Some(Next::Document(column)),
        (Some(next), Some(column)) if own_lines => Some(Next::Element(next.min(column))),
        (Some(next), _) => Some(Next::Element(next)),
        (None, Some(column)) if own_lines => Some(Next::Element(column)),
        (None, Some(column)) => Some(Next::Document(column)),
        (None, None) => None,
    }
}

/// Where the next element begins: one that starts with `signature` and is followed as an element is.
fn signed(text: &[u8], signature: &[u8]) -> Option<usize> {
    let signature = Some(signature).filter(|signature| signature.len() > 1)?;
    let followed = |at: &usize| match json::skip_strict(text, *at) {
        Skip::End(end) => matches!(next_byte(text, end), Some(b',' | b']') | None),
        Skip::Incomplete => true,
        Skip::Broken(_) => false,
    };
    memmem::find_iter(&text[1..], signature).map(|at| at + 1).take(MAX_TRIES).find(followed)
}

/// The start of a document up to the end of its first key. For an audit event, up to its API group.
pub(crate) fn signature(text: &[u8]) -> &[u8] {
    if text.starts_with(EVENT_START) {
        return EVENT_START;
    }
    let key = text.iter().position(|&byte| byte == b'"').unwrap_or(0);
    let end = text.iter().skip(key + 1).position(|&byte| byte == b'"').map_or(1, |end| key + end + 2);
    &text[..end.min(text.len())]
}

/// Whether a text begins as an audit event or as this document does.
pub(crate) fn begins_as(document: &[u8], text: &[u8]) -> bool {
    let signature = signature(document);
    text.starts_with(EVENT_START) || signature.len() > 2 && text.starts_with(signature)
}

/// Whether a document continues on the line of its opening brace, as single-line documents do.
pub(super) fn is_compact(text: &[u8]) -> bool {
    !text[1..].iter().take_while(|byte| byte.is_ascii_whitespace()).any(|&byte| byte == b'\n')
}

/// Where an audit event begins inside a line of text. It must follow the text directly, as messages written without a
/// separator do, and be followed only by its own end or another document.
pub(super) fn event_in_text(line: &[u8]) -> Option<usize> {
    memmem::find_iter(line, EVENT_START).find(|&at| {
        let before = at.checked_sub(1).map(|at| line[at]);
        let is_glued = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b".)]}\"\t".contains(&byte));
        let ends = || match json::skip_strict(line, at) {
            Skip::End(end) => next_byte(line, end).is_none_or(|byte| byte == b'{' || byte.is_ascii_alphabetic()),
            _ => true,
        };
        is_glued && ends()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"create"}"#;

    #[test]
    fn a_cut_document_ends_where_the_next_begins() {
        for broken in [r#"{"a":"cu"#, r#"{"a":{"b":1"#, r#"{"x" 1}"#, r#"{"a":"cut[Truncated...]"#] {
            for rest in [EVENT.to_owned(), format!("{EVENT}{EVENT}"), format!("{EVENT}\n{EVENT}\n")] {
                let text = format!("{broken}{rest}");
                assert_eq!(document(text.as_bytes(), false), Some(broken.len()), "{text}");
            }
        }
    }

    #[test]
    fn a_nested_event_is_no_document() {
        for text in [
            format!(r#"{{"a":{EVENT},"b":"cut"#),
            format!(r#"{{"a":[{EVENT},{EVENT}],"b":"cut"#),
            format!(r#"{{"a":{EVENT}"#),
        ] {
            assert_eq!(document(text.as_bytes(), false), None, "{text}");
            let lines = format!("{text}\n{EVENT}\n");
            assert_eq!(document(lines.as_bytes(), false), Some(text.len()), "{text}");
        }
    }

    #[test]
    fn elements_go_on_behind_a_broken_one() {
        let text = format!(r#"{{"x" 1}},{EVENT}]"#);
        assert_eq!(element(text.as_bytes(), b"", false, false), Some(Next::Element(7)));
        let text = "{\"a\":\"cut\n{\"a\":1}\n";
        assert_eq!(element(text.as_bytes(), b"", false, false), Some(Next::Document(10)));
        assert_eq!(element(text.as_bytes(), b"", true, false), Some(Next::Element(10)));
    }

    #[test]
    fn text_may_run_into_an_event() {
        assert_eq!(event_in_text(format!("I0710 done{EVENT}").as_bytes()), Some(10));
        for forged in [format!("user-agent:{EVENT}"), format!("Body: {EVENT}"), format!("ua={EVENT},x")] {
            assert_eq!(event_in_text(forged.as_bytes()), None, "{forged}");
        }
    }
}
