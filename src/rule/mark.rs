//! Marks: what can be searched for in a raw record without parsing it.
//!
//! JSON may write any character as `\uXXXX`, and so may JSON in a JSON string. The texts searched for are runs of ASCII
//! letters, digits and hyphens, so an escape can hide one only if it stands for such a character or a backslash:
//! `\u002d`, `\u003x`, `\u004x` to `\u007x`. Such an escape is a mark of its own: a record that contains one must be
//! parsed.

use std::fmt;

use memchr::{memchr2_iter, memmem};

use crate::event::is_failure;

/// Something to search for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    /// A text.
    Text(Box<Text>),
    /// A key `code` with a wanted number, or with a number in an unusual form.
    Code(Codes),
    /// An escape that may hide a text or a key.
    Escape,
    /// The start of an audit event.
    Event,
}

impl Mark {
    /// Texts of which one occurs wherever the mark does, at a fixed offset in the mark.
    pub(super) fn patterns(&self) -> Vec<&str> {
        match self {
            Mark::Text(text) => vec![text.text()],
            // Keys of a status are read ignoring case. A longer pattern would have more spellings.
            Mark::Code(_) => vec!["cod", "Cod", "cOd", "coD", "COd", "CoD", "cOD", "COD"],
            Mark::Escape => vec![ESCAPE],
            Mark::Event => vec![GROUP],
        }
    }

    /// Whether the mark is at this index.
    pub(super) fn stands_at(&self, raw: &[u8], at: usize) -> bool {
        match self {
            Mark::Text(text) => text.stands_at(raw, at),
            Mark::Code(codes) => codes.stand_at(raw, at),
            Mark::Escape => escape_stands_at(raw, at),
            Mark::Event => event_stands_at(raw, at),
        }
    }

    /// Whether the mark is anywhere in the record.
    pub(super) fn is_in(&self, raw: &[u8]) -> bool {
        match self {
            Mark::Text(text) => text.is_in(raw),
            Mark::Code(codes) => memchr2_iter(b'd', b'D', raw).any(|at| at >= 2 && codes.stand_at(raw, at - 2)),
            Mark::Escape => memmem::find_iter(raw, ESCAPE).any(|at| escape_stands_at(raw, at)),
            Mark::Event => memmem::find_iter(raw, GROUP).any(|at| event_stands_at(raw, at)),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Text(text) => f.write_str(text.text()),
            Mark::Code(Codes::Failed) => f.write_str("code of a failure"),
            Mark::Code(Codes::Of(codes)) => {
                let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
                write!(f, "code {}", codes.join("/"))
            }
            Mark::Escape => f.write_str(ESCAPE),
            Mark::Event => f.write_str(GROUP),
        }
    }
}

/// The start of escapes of characters below U+1000. It has three bytes, because the search compares as many bytes of
/// each pattern as the shortest pattern has, and a fourth would cost it a third of its speed.
const ESCAPE: &str = r"\u0";

fn escape_stands_at(raw: &[u8], at: usize) -> bool {
    match raw.get(at + 3..at + 6) {
        Some([b'0', b'2', digit]) => digit.eq_ignore_ascii_case(&b'd'),
        Some([b'0', b'3', digit]) => digit.is_ascii_digit(),
        Some([b'0', b'4'..=b'7', _]) => true,
        _ => false,
    }
}

/// The rarest part of the API group of audit events; the names of audit logs do not contain it.
const GROUP: &str = "t.k8s.io";

/// What precedes it at the start of an event as every API server writes it, also inside a JSON string.
const EVENT_STARTS: [&[u8]; 2] =
    [br#"{"kind":"Event","apiVersion":"audi"#, br#"{\"kind\":\"Event\",\"apiVersion\":\"audi"#];

fn event_stands_at(raw: &[u8], at: usize) -> bool {
    raw[at..].starts_with(GROUP.as_bytes()) && EVENT_STARTS.iter().any(|start| raw[..at].ends_with(start))
}

/// A text, and whether it must start and end a word.
#[derive(Debug, Clone)]
pub(super) struct Text {
    finder: memmem::Finder<'static>,
    run: String,
    starts: bool,
    ends: bool,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        (&self.run, self.starts, self.ends) == (&other.run, other.starts, other.ends)
    }
}

impl Text {
    pub(super) fn new(text: &str, starts: bool, ends: bool) -> Self {
        Text { finder: memmem::Finder::new(text).into_owned(), run: text.to_owned(), starts, ends }
    }

    pub(super) fn text(&self) -> &str {
        &self.run
    }

    fn stands_at(&self, raw: &[u8], at: usize) -> bool {
        let end = at + self.run.len();
        raw.get(at..end) == Some(self.run.as_bytes())
            && (!self.starts || starts_word(raw, at))
            && (!self.ends || !raw.get(end).is_some_and(|byte| in_word(*byte)))
    }

    fn is_in(&self, raw: &[u8]) -> bool {
        let mut from = 0;
        // Finds may overlap.
        while let Some(found) = self.finder.find(&raw[from..]) {
            if self.stands_at(raw, from + found) {
                return true;
            }
            from += found + 1;
        }
        false
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Whether a word may start here. A letter or digit before it may be the end of an escape (`\n`, `\u002f`).
fn starts_word(raw: &[u8], at: usize) -> bool {
    let before = |count: usize| at.checked_sub(count).map(|at| raw[at]);
    !before(1).is_some_and(in_word) || before(2) == Some(b'\\') || (before(6), before(5)) == (Some(b'\\'), Some(b'u'))
}

/// Response codes to search for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Codes {
    /// All failures, HTTP or google.rpc.
    Failed,
    /// These.
    Of(Vec<i64>),
}

impl Codes {
    /// Whether a key `code` at this index may have a wanted value. The number may be in a string, with white space
    /// around it.
    fn stand_at(&self, raw: &[u8], at: usize) -> bool {
        if !raw.get(at..at + 4).is_some_and(|key| key.eq_ignore_ascii_case(b"code")) {
            return false;
        }
        let between = |byte: &u8| matches!(byte, b'\\' | b'"' | b':') || byte.is_ascii_whitespace();
        let start = at + 4 + raw[at + 4..].iter().take_while(|byte| between(byte)).count();
        let digits = raw[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return is_odd(raw[start - 1], raw.get(start));
        }
        let number = std::str::from_utf8(&raw[start..start + digits]).ok().and_then(|digits| digits.parse().ok());
        let is_plain = matches!(raw.get(start + digits), Some(b',' | b'}' | b'"' | b'\\' | b' '));
        number.filter(|_| is_plain).is_none_or(|code| self.want(code))
    }

    fn want(&self, code: i64) -> bool {
        match self {
            Codes::Failed => is_failure(code),
            Codes::Of(codes) => codes.contains(&code),
        }
    }
}

/// Whether what stands in place of a number may still be one: it starts with a sign, with white space that is escaped
/// or not ASCII, or the text ends here.
fn is_odd(before: u8, byte: Option<&u8>) -> bool {
    before == b'\\' || byte.is_none_or(|byte| matches!(byte, b'+' | b'-') || !byte.is_ascii())
}
