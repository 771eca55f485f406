//! Text that Markdown cannot misread: log text is hostile, so it is put in code spans that it cannot close, or printed bare
//! if nothing in it means anything to Markdown, HTML or a terminal.

use std::borrow::Cow;

use serde_json::Value;

use crate::report::hidden::is_hidden;

/// Most characters shown of a value.
pub(super) const LIMIT: usize = 300;
/// Bytes that mean nothing to Markdown inside a line, besides ASCII letters and digits.
const BARE: &[u8] = b" ,.;:()/-?+='\"%";
/// Where a link in bare text would begin.
const LINKS: [&[u8]; 2] = [b"//", b"www."];

/// The text of a value, unescaped and as hostile as the log.
pub(super) fn raw(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::String(text) => text.into(),
        Value::Array(all) => all.iter().map(raw).collect::<Vec<_>>().join(", ").into(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string().into(),
        other => other.to_string().into(),
    }
}

/// A time as `2026-11-24 03:12:44Z`. Other text is handled as log text.
pub(super) fn when(text: &str) -> String {
    let is_time = text.len() > 18 && text.is_ascii() && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    if is_time && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte)) {
        format!("{} {}Z", &text[..10], &text[11..19])
    } else {
        prose(text)
    }
}

/// Bare if it is a single word that Markdown leaves alone, otherwise code.
pub(super) fn name(text: &str) -> String {
    if text.contains(' ') { code(text) } else { prose(text) }
}

/// Bare if nothing in it could be Markdown, HTML or a link, otherwise code.
pub(super) fn prose(text: &str) -> String {
    let (whole, text) = (text, text.trim_matches(' '));
    if text.len() <= LIMIT && text.bytes().all(is_bare) && !has_link(text) && !is_list(text) {
        text.to_owned()
    } else {
        code(whole)
    }
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || BARE.contains(&byte)
}

fn has_link(text: &str) -> bool {
    // A dot before a letter may be a domain, which some renderers turn into a link.
    let is_domain = text.as_bytes().windows(2).any(|pair| pair[0] == b'.' && pair[1].is_ascii_alphabetic());
    let is_at = |link: &[u8]| text.as_bytes().windows(link.len()).any(|part| part.eq_ignore_ascii_case(link));
    is_domain || LINKS.iter().any(|link| is_at(link))
}

/// Whether Markdown might take its beginning for that of a list: it starts with a number, or with anything but a word.
fn is_list(text: &str) -> bool {
    let numbered = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered =
        numbered.len() < text.len() && [".", ")"].contains(&numbered.split(' ').next().unwrap_or_default());
    is_numbered || !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '(')
}

/// Text from the log in a code span.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { fence(&clean(text)) }
}

/// A code span around text without control characters: its fence is longer than any run of backticks inside.
pub(super) fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let touches = |c: char| text.starts_with(c) || text.ends_with(c);
    // A renderer removes one space from each end if both have one.
    let pad = if touches('`') || touches(' ') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A table cell. A pipe ends a cell even in code, unless one backslash precedes it.
pub(super) fn cell(text: &str) -> String {
    text.replace("\\|", "\\u{5c}|").replace('|', "\\|")
}

/// Text that cannot control a terminal, break a line or hide; cut if it is long.
pub(super) fn clean(text: &str) -> String {
    if text.len() <= LIMIT && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let (mut out, mut length) = (String::new(), 0);
    for c in text.chars() {
        let from = out.len();
        show(c, &mut out);
        length += out[from..].chars().count();
        if length > LIMIT {
            out.truncate(from);
            out.push('…');
            break;
        }
    }
    out
}

/// Adds a character, or an escape if it cannot be seen.
fn show(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        c if is_hidden(c) => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}
