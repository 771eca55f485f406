//! JSON as logs really contain it: cut, broken, deep, with duplicate keys; read without recursion and without copying.
//!
//! A strict parser refuses a record whose body is cut or deep, and with it the identifying fields before the body. This
//! reader delimits values by quotes and brackets alone, so those fields survive. Bodies are passed on as raw text; code
//! that needs their content parses it with serde_json.

mod block;
mod fields;
mod plain;
mod skip;
mod strings;

pub use fields::{Fields, elements, equal_folded};
pub use plain::compact;
pub use skip::{Skip, closed, is_between_members, is_matched, skip_lenient, skip_strict, unclosed};
pub use strings::{Decoded, cut_string, decode, is_string, string};

/// The raw text of one JSON value, without surrounding white space. Its first byte shows its type.
pub type Raw<'a> = &'a [u8];

/// Whether a value counts as missing: `null`, `""`, `0`, `false`, `[]`, `{}` (the values that are false in Panther's
/// Python).
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
    starts_number(raw).then_some(())?;
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// Whether a text begins as a number does. Rust would also read `-inf` and `nan` as numbers.
fn starts_number(text: &[u8]) -> bool {
    text.strip_prefix(b"-").unwrap_or(text).first().is_some_and(u8::is_ascii_digit)
}

/// An integer, written as a JSON number (`403`, `403.0`) or in a string (`"403"`). Saturates beyond i64.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "saturation is what is meant")]
pub fn integer(raw: Raw<'_>) -> Option<i64> {
    let text = if is_string(raw) { string(raw)? } else { String::from_utf8_lossy(raw) };
    let text = text.trim();
    // A digit was lost in front of it, or put there.
    let is_padded = matches!(raw, [b'0', digit, ..] | [b'-', b'0', digit, ..] if digit.is_ascii_digit());
    (!is_padded).then_some(())?;
    text.parse().ok().or_else(|| {
        starts_number(text.as_bytes()).then_some(())?;
        text.parse().ok().filter(|value: &f64| value.fract() == 0.0 || value.is_infinite()).map(|value| value as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_in_many_spellings() {
        let cases = [
            ("403", Some(403)),
            ("403.0", Some(403)),
            ("\"403\"", Some(403)),
            ("01", None),
            ("0.0", Some(0)),
            ("\"-inf\"", None),
            ("\"-infinity\"", None),
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
