//! Log text for a page: none of it is markup, and none of it is hidden.

use std::fmt::Write;

use jiff::Timestamp;

use crate::report::hidden::is_hidden;

/// Escapes text for an element or a quoted attribute of HTML or SVG.
pub(super) fn escape(text: &str, out: &mut impl Write) -> std::fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|c| matches!(c, '&' | '<' | '>' | '"' | '\'') || is_hidden(c)) {
        out.write_str(&rest[..at])?;
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('&') => out.write_str("&amp;")?,
            Some('<') => out.write_str("&lt;")?,
            Some('>') => out.write_str("&gt;")?,
            Some('"') => out.write_str("&quot;")?,
            Some('\'') => out.write_str("&#39;")?,
            Some(c) => write!(out, "{}", c.escape_unicode())?,
            None => {}
        }
        rest = chars.as_str();
    }
    out.write_str(rest)
}

/// [`escape`] as a string.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Writing to a String cannot fail.
    let _ = escape(text, &mut out);
    out
}

/// The first `most` characters of a text, with a mark that says how many are left out.
pub(super) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => {
            let left = text[at..].chars().count();
            format!("{}… ({} more characters)", &text[..at], count(left as u64))
        }
    }
}

/// A number with thousands separated by commas.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number for a small cell.
pub(super) fn short(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{}k", count(number / 1000)),
    }
}

/// A count with its noun.
pub(super) fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A time to the second. Other text is returned unchanged.
pub(super) fn seconds(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_markup_and_shows_hidden_characters() {
        assert_eq!(escaped("<a href='x' b=\"y\">&"), "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;");
        assert_eq!(
            escaped("a\u{202e}b\u{feff}\n\u{9b}\0\u{2028}ü"),
            "a\\u{202e}b\\u{feff}\\u{a}\\u{9b}\\u{0}\\u{2028}ü"
        );
    }

    #[test]
    fn clips_with_a_mark() {
        assert_eq!(clip("äbc", 3), "äbc");
        assert_eq!(clip("äbcd", 3), "äbc… (1 more characters)");
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!((short(999), short(5051), short(229_803)), ("999".into(), "5k".into(), "229k".into()));
        assert_eq!(seconds("2026-11-24T03:12:44.120331Z"), "2026-11-24 03:12:44Z");
        assert_eq!(seconds("yesterday"), "yesterday");
    }
}
