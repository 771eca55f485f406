//! A value as serde_json prints it.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::Raw;
use super::block::{Block, SIZE};
use super::skip::{Quoted, Strings};

/// Below serde_json's own limit, to leave room for what may be put around a value.
const MAX_NESTING: u32 = 100;

/// A value without blanks between tokens, each string and number in one canonical form; `None` if serde_json refuses
/// it. Most values are written like that already and need no parsing.
#[must_use]
pub fn compact(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let plain = if is_plain(raw) { std::str::from_utf8(raw).ok() } else { None };
    match plain.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => Some(serde_json::from_slice::<Value>(raw).ok()?.to_string().into()),
    }
}

/// Whether a value, if it is JSON, has only one way to be printed and cannot be refused: it has only short escapes,
/// only short integers as numbers, no white space between tokens, and no deep nesting. Repeated keys are not checked.
fn is_plain(raw: Raw<'_>) -> bool {
    let (mut strings, mut opened) = (Strings::default(), 0);
    for at in (0..raw.len()).step_by(SIZE) {
        let block = Block::at(raw, at);
        let filled = u64::MAX >> (SIZE - (raw.len() - at).min(SIZE));
        let Quoted { quotes, inside, escaped, .. } = strings.next(block);
        let outside = filled & !(inside | quotes);
        opened += (block.equal_with_0x20(b'{') & outside).count_ones();
        let is_odd = block.controls() != 0
            || block.equal(b' ') & outside != 0
            || opened > MAX_NESTING
            || has_odd_escape(raw, at, escaped)
            || has_odd_number(block, outside);
        if is_odd {
            return false;
        }
    }
    true
}

/// Whether one of the escaped bytes does not complete a short escape.
fn has_odd_escape(raw: Raw<'_>, at: usize, escaped: u64) -> bool {
    let mut left = escaped;
    while left != 0 {
        let second = raw.get(at + left.trailing_zeros() as usize);
        if !second.is_some_and(|second| br#""\bfnrt"#.contains(second)) {
            return true;
        }
        left &= left - 1;
    }
    false
}

/// Whether there may be a number that is not a short integer, perhaps spread over two blocks.
fn has_odd_number(block: Block, outside: u64) -> bool {
    let digits = block.digits() & outside;
    let two = digits & digits << 1;
    let four = two & two << 2;
    let ten = four & four << 4 & two << 8;
    let exponents = block.equal_with_0x20(b'e') & (digits << 1 | 1);
    (ten | (exponents | block.equal(b'.') | block.equal(b'-')) & outside) != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn most_values_need_no_parsing() {
        let digest =
            r#"{"image":"a@sha256:1e90e5e1: {1.5}","command":["sh","-c","echo \"a\\nb\"\n"],"runAsUser":100065000}"#;
        for (text, plain) in [
            (digest, true),
            (r#"{"a": 1}"#, false),
            (r#"["a b", true]"#, false),
            ("[true,false,null,-1]", false),
            ("[1.0]", false),
            ("[1e2]", false),
            ("[1000650000]", false),
            (r#""\u0041""#, false),
            (r#""\/""#, false),
            ("\"a\tb\"", false),
        ] {
            assert_eq!(is_plain(text.as_bytes()), plain, "{text}");
        }
        assert!(!is_plain("[".repeat(101).as_bytes()));
    }

    proptest! {
        /// A value is printed the same whether it is parsed or not, wherever it lies in a block.
        #[test]
        fn plain_values_are_printed_as_they_are(tokens in prop::collection::vec(select(vec![
            "{", "}", "[", "]", ":", ",", r#""k""#, r#""a b""#, r#""\n\\\"""#, r#""\u00e9""#, r#""1e5""#, "true", "null", "-0",
            "1.50", "2e3", "123456789", "1234567890123456789012", " ", r#""é""#, "\\", "0",
        ]), 0..9), ahead in 0_usize..130) {
            for inner in [tokens.concat(), tokens.join(",")] {
                let text = format!(r#"["{}",{inner}]"#, "x".repeat(ahead));
                let parsed = serde_json::from_str::<Value>(&text).ok().map(|value| value.to_string());
                prop_assert_eq!(compact(text.as_bytes()).map(Cow::into_owned), parsed);
            }
        }
    }
}
