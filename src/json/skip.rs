//! Where a JSON value ends.
//!
//! There are two ways to the same answers. [`walk`] goes from token to token and handles every case. [`blocks`] finds
//! in 64 bytes at once which of them open and close strings, arrays and objects, as simdjson does (Langdale and Lemire,
//! "Parsing Gigabytes of JSON per Second"), and leaves rare cases to [`walk`]: text that is not JSON, or is not written
//! as encoders write it.

use serde::de::IgnoredAny;

use super::block::{Block, SIZE};

/// Where a value ends, as far as the text at hand tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The value is whole; the index is that of the first byte after it.
    End(usize),
    /// The text stops inside the value.
    Incomplete,
    /// The text cannot be JSON at this index.
    Broken(usize),
}

/// Finds the end of the value at `at` and checks on the way that tokens follow each other as RFC 8259 says.
///
/// Brackets are counted, not matched: `[}` passes, and [`is_matched`] finds it. A raw newline in a string is
/// [`Skip::Broken`], because it shows that a line was cut. So is a zero byte anywhere, because it shows that a disk
/// block was lost.
#[must_use]
pub fn skip_strict(text: &[u8], at: usize) -> Skip {
    skip::<true>(text, at)
}

/// Finds the end of the value at `at` by quotes and brackets alone.
#[must_use]
pub fn skip_lenient(text: &[u8], at: usize) -> Skip {
    skip::<false>(text, at)
}

fn skip<const STRICT: bool>(text: &[u8], mut at: usize) -> Skip {
    while text.get(at).is_some_and(is_blank) {
        at += 1;
    }
    match text.get(at) {
        Some(b'"') => skip_string::<STRICT>(text, at),
        Some(b'{' | b'[') => blocks::<STRICT>(text, at).unwrap_or_else(|| walk::<STRICT>(text, at)),
        _ => walk::<STRICT>(text, at),
    }
}

/// The closing brackets that `text` lacks, innermost last; `None` if one closes the wrong kind.
#[must_use]
pub fn unclosed(text: &[u8]) -> Option<Vec<u8>> {
    left_open(text).map(|(brackets, _)| brackets)
}

/// Whether a text is the beginning of an object and ends directly in it, not inside a nested value or a string.
#[must_use]
pub fn is_between_members(text: &[u8]) -> bool {
    left_open(text).is_some_and(|(brackets, in_string)| brackets == b"}" && !in_string)
}

/// A cut object or array, closed where it was cut; `None` if that does not make valid JSON. A cut string keeps its
/// beginning, and the second value says that there is one. A number or word that may be cut, and the missing value of a
/// key, become null.
#[must_use]
pub fn closed(text: &[u8]) -> Option<(String, bool)> {
    let (brackets, in_string) = left_open(text)?;
    let mut begun = String::from_utf8_lossy(text).into_owned();
    if in_string {
        let escape = begun.rfind('\\').filter(|at| begun.len() - at < ESCAPE);
        // A backslash that is itself escaped does not begin an escape.
        let slashes = |at: usize| begun[..=at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if let Some(at) = escape.filter(|at| slashes(*at) % 2 == 1 && !is_escape(&begun[*at..])) {
            begun.truncate(at);
        }
        begun.push('"');
    } else {
        let is_open = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let whole = begun.trim_end_matches(is_open).trim_end_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        begun.truncate(whole.len());
    }
    let brackets: String = brackets.iter().rev().map(|bracket| char::from(*bracket)).collect();
    let tails = ["", ":null", "null"].iter().map(|tail| [&begun, *tail, &brackets].concat());
    let closed = tails.into_iter().find(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    closed.map(|closed| (closed, in_string))
}

/// Bytes of the longest escape, `\u0041`.
const ESCAPE: usize = 6;

/// Whether a text begins with a whole escape.
fn is_escape(text: &str) -> bool {
    match text.as_bytes() {
        [b'\\', b'u', digits @ ..] => digits.len() >= 4,
        escape => escape.len() >= 2,
    }
}

/// The same as [`unclosed`], and whether the text ends inside a string.
fn left_open(text: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut strings, mut unclosed) = (Strings::default(), Vec::new());
    for at in (0..text.len()).step_by(SIZE) {
        let block = Block::at(text, at);
        let Quoted { quotes, inside, .. } = strings.next(block);
        let mut brackets = (block.equal_with_0x20(b'{') | block.equal_with_0x20(b'}')) & !(inside | quotes);
        while brackets != 0 {
            match text[at + brackets.trailing_zeros() as usize] {
                opening @ (b'{' | b'[') => unclosed.push(opening + 2),
                closing => unclosed.pop().filter(|expected| *expected == closing).map(|_| ())?,
            }
            brackets &= brackets - 1;
        }
    }
    Some((unclosed, strings.inside != 0))
}

/// Whether every bracket of a text that [`skip_strict`] finds sound closes one of its kind.
#[must_use]
pub fn is_matched(text: &[u8]) -> bool {
    unclosed(text).is_some_and(|unclosed| unclosed.is_empty())
}

/// Finds the end of the string that opens at `at`.
pub(super) fn skip_string<const STRICT: bool>(text: &[u8], at: usize) -> Skip {
    let mut from = at + 1;
    let mut escapes = Escapes::default();
    while from < text.len() {
        let block = Block::at(text, from);
        let cuts = if STRICT { block.equal(b'\n') | block.equal(0) } else { 0 };
        let ends = (block.equal(b'"') | cuts) & !escapes.next(block.equal(b'\\'));
        if ends != 0 {
            let end = from + ends.trailing_zeros() as usize;
            return if text[end] == b'"' { Skip::End(end + 1) } else { Skip::Broken(end) };
        }
        from += SIZE;
    }
    Skip::Incomplete
}

/// Finds the end of the key that opens at `at`, if it is short, in ASCII, and without escapes and control bytes.
#[inline]
pub(super) fn skip_plain_key(text: &[u8], at: usize) -> Option<usize> {
    let block = Block::at(text, at + 1);
    let quotes = block.equal(b'"');
    let before_quote = (quotes & quotes.wrapping_neg()).checked_sub(1)?;
    let is_plain = block.not_plain() & before_quote == 0;
    let end = at + 1 + quotes.trailing_zeros() as usize + 1;
    (is_plain && end <= text.len()).then_some(end)
}

/// Finds the escaped bytes, block after block.
#[derive(Default)]
struct Escapes {
    /// 1 if the first byte of the next block is escaped.
    next: u64,
}

impl Escapes {
    /// The bytes after each backslash that is not itself escaped; `slashes` are the backslashes of a block.
    ///
    /// Subtracting a run of backslashes from the odd bits makes a carry run through it; the bit that then differs at
    /// its end shows whether its length is odd (simdjson, `json_escape_scanner`).
    #[inline]
    fn next(&mut self, slashes: u64) -> u64 {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        if slashes == 0 {
            return std::mem::take(&mut self.next);
        }
        let starts = slashes & !self.next;
        let escaped_and_escaping = ((starts << 1 | ODD).wrapping_sub(starts)) ^ ODD;
        let escaped = escaped_and_escaping ^ (slashes | self.next);
        self.next = (escaped_and_escaping & slashes) >> 63;
        escaped
    }
}

/// Finds the end of the array or object that opens at `start`; `None` if [`walk`] must decide.
fn blocks<const STRICT: bool>(text: &[u8], start: usize) -> Option<Skip> {
    let (mut strings, mut order, mut depth) = (Strings::default(), Order::default(), 0);
    for at in (start..text.len()).step_by(SIZE) {
        let block = Block::at(text, at);
        let Quoted { quotes, inside, slashes, .. } = strings.next(block);
        if quotes == 0 && inside == u64::MAX && !(STRICT && block.controls() != 0) {
            order = Order::default();
            continue;
        }
        let outside = !(inside | quotes);
        let brackets =
            Brackets { opening: block.equal_with_0x20(b'{') & outside, closing: block.equal_with_0x20(b'}') & outside };
        let mut odd = slashes & outside;
        if STRICT {
            odd |= order.misfits(block, quotes, inside, &brackets) | odd_controls(block, text, at, inside);
        }
        match brackets.close(&mut depth) {
            Some(bit) if odd & (bit | (bit - 1)) == 0 => {
                return Some(Skip::End(at + bit.trailing_zeros() as usize + 1));
            }
            None if odd == 0 => {}
            _ => return None,
        }
    }
    Some(Skip::Incomplete)
}

/// Finds the bytes that belong to strings, block after block.
#[derive(Default)]
pub(super) struct Strings {
    escapes: Escapes,
    /// All bits set if the next block begins inside a string.
    inside: u64,
}

/// The parts of a block that belong to strings.
pub(super) struct Quoted {
    /// The quotes that open and close strings.
    pub quotes: u64,
    /// The bytes of strings, from the opening quote up to, but not including, the closing one.
    pub inside: u64,
    pub slashes: u64,
    /// The bytes after backslashes that are not themselves escaped.
    pub escaped: u64,
}

impl Strings {
    #[inline]
    pub(super) fn next(&mut self, block: Block) -> Quoted {
        let slashes = block.equal(b'\\');
        let escaped = self.escapes.next(slashes);
        let quotes = block.equal(b'"') & !escaped;
        // Each bit becomes the parity of the quotes up to it.
        let inside = [1, 2, 4, 8, 16, 32].iter().fold(quotes, |bits, shift| bits ^ bits << shift) ^ self.inside;
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        Quoted { quotes, inside, slashes, escaped }
    }
}

/// The brackets of a block that are not in strings, of either kind.
struct Brackets {
    opening: u64,
    closing: u64,
}

impl Brackets {
    /// Updates the depth. Returns the bit of the bracket that brings it back to 0.
    #[inline]
    fn close(&self, depth: &mut usize) -> Option<u64> {
        let (opening, closing) = (self.opening.count_ones() as usize, self.closing.count_ones() as usize);
        if closing < *depth {
            *depth = *depth + opening - closing;
            return None;
        }
        let mut left = self.opening | self.closing;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            *depth = if self.opening & bit == 0 { *depth - 1 } else { *depth + 1 };
            if *depth == 0 {
                return Some(bit);
            }
            left ^= bit;
        }
        None
    }
}

/// Control bytes that are not blanks between tokens.
#[inline]
fn odd_controls(block: Block, text: &[u8], at: usize, inside: u64) -> u64 {
    let controls = block.controls();
    let mut odd = controls & inside;
    let mut left = controls & !inside;
    while left != 0 {
        let bit = left & left.wrapping_neg();
        if !is_blank(&text[at + bit.trailing_zeros() as usize]) {
            odd |= bit;
        }
        left ^= bit;
    }
    odd
}

/// Finds tokens that may not follow the one before them, block after block.
#[derive(Default)]
struct Order {
    /// 1 if the block before ended in a number or literal.
    atom: u64,
    text: Behind,
    other: Behind,
    separator: Behind,
}

impl Order {
    /// The tokens of a block for which [`fits`] is false.
    #[inline]
    fn misfits(&mut self, block: Block, quotes: u64, inside: u64, brackets: &Brackets) -> u64 {
        let outside = !(inside | quotes);
        let (commas, colons) = (block.equal(b',') & outside, block.equal(b':') & outside);
        let blanks = block.blanks() & outside;
        let atoms = outside & !(brackets.opening | brackets.closing | commas | colons | blanks);
        let beginning = atoms & !(atoms << 1 | self.atom);
        self.atom = atoms >> 63;
        let after_text = self.text.next(quotes & !inside, blanks);
        let after_value = after_text | self.other.next(brackets.closing | atoms, blanks);
        let after_separator = self.separator.next(commas | colons, blanks);
        let values = quotes & inside | brackets.opening | beginning;
        values & after_value | brackets.closing & after_separator | commas & !after_value | colons & !after_text
    }
}

/// Finds what follows tokens of a kind, block after block.
#[derive(Default)]
struct Behind {
    /// 1 if the next block begins after such a token, or after blanks that follow one.
    next: u64,
}

impl Behind {
    /// The first non-blank byte after each of `tokens`.
    #[inline]
    fn next(&mut self, tokens: u64, blanks: u64) -> u64 {
        let next = tokens << 1 | self.next;
        if next & blanks == 0 {
            self.next = tokens >> 63;
            return next;
        }
        // Added to the first bit of a run of blanks, the carry comes out after the run.
        let (sum, carry) = blanks.overflowing_add(next & blanks);
        self.next = tokens >> 63 | u64::from(carry);
        (next | sum) & !blanks
    }
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

/// Finds the end of the value at `at`, token by token.
fn walk<const STRICT: bool>(text: &[u8], mut at: usize) -> Skip {
    let mut depth = 0_usize;
    let mut before = Before::Start;
    while let Some(&byte) = text.get(at) {
        if is_blank(&byte) {
            at += 1;
            continue;
        }
        let separates = matches!(byte, b',' | b':');
        let closes = matches!(byte, b'}' | b']');
        if STRICT && !fits(before, byte) || depth == 0 && (separates || closes) {
            return Skip::Broken(at);
        }
        let next = match byte {
            b'"' => skip_string::<STRICT>(text, at),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => Skip::End(at + 1),
            0 if STRICT => return Skip::Broken(at),
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is a test of iterators")]
pub(super) fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
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

/// Finds the end of a number or literal. The text must continue after it, because otherwise it may be cut.
fn skip_atom(text: &[u8], at: usize) -> Skip {
    let ends =
        |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':' | b'"' | b'{' | b'[' | 0) || byte.is_ascii_whitespace();
    // The first byte is always taken, so that a caller always advances.
    text[at + 1..].iter().position(ends).map_or(Skip::Incomplete, |n| Skip::End(at + 1 + n))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

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
    fn what_was_cut_is_closed() {
        for (text, expected) in [
            (r#"{"a":{"b":["x","y"#, r#"{"a":{"b":["x","y"]}}"#),
            (r#"{"a":1,"#, r#"{"a":1}"#),
            (r#"{"a":[1,2"#, r#"{"a":[1]}"#),
            (r#"{"a":tru"#, r#"{"a":null}"#),
            (r#"{"a":"#, r#"{"a":null}"#),
            (r#"{"a":1,"b"#, r#"{"a":1,"b":null}"#),
            (r#"{"a":"x\"#, r#"{"a":"x"}"#),
            (r#"{"a":"x\\"#, r#"{"a":"x\\"}"#),
            (r#"{"a":"x\u00"#, r#"{"a":"x"}"#),
            (r#"{"a":"x\u0041"#, r#"{"a":"x\u0041"}"#),
        ] {
            assert_eq!(closed(text.as_bytes()).map(|(closed, _)| closed).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(closed(b"{\"a\":1]"), None);
    }

    #[test]
    fn strict_breaks_where_tokens_do_not_fit() {
        for (text, at) in [
            ("{\"a\":1}", None),
            ("{\"a\":{\"b\":1}\n{\"c\":2}", Some(13)),
            ("{\"a\":\"cut\n{\"b\":1}", Some(9)),
            ("{\"a\" \"b\"}", Some(5)),
            ("{\"a\":1,}", Some(7)),
            ("{\"a\":\"\0\"}", Some(6)),
            ("{\"a\":1\0}", Some(6)),
            ("{\"a\0\":1}", Some(3)),
        ] {
            let expected = at.map_or(Skip::End(text.len()), Skip::Broken);
            assert_eq!(skip_strict(text.as_bytes(), 0), expected, "{text}");
        }
    }

    #[test]
    fn brackets_match_or_not() {
        let long = format!(r#"{{"a":"{}","b":[{{}}]}}"#, "]".repeat(100));
        for (text, matched) in [
            (r#"{"a":[1,{"b":"]"}]}"#, true),
            (r#"{"a":[1,{"b":2]}}"#, false),
            ("[}", false),
            (r#"{"a":[{"b":1}"#, false),
            ("]", false),
            (&long, true),
            (&long.replace("{}", "{]"), false),
        ] {
            assert_eq!(is_matched(text.as_bytes()), matched, "{text}");
        }
        assert_eq!(unclosed(br#"{"a":[{"b":1},["c"#), Some(b"}]]".to_vec()));
    }

    /// The same as [`skip_string`], byte by byte.
    fn plain_string(text: &[u8], at: usize, strict: bool) -> Skip {
        let mut at = at + 1;
        loop {
            match text.get(at) {
                None => return Skip::Incomplete,
                Some(b'"') => return Skip::End(at + 1),
                Some(b'\n' | 0) if strict => return Skip::Broken(at),
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        }
    }

    fn pieces() -> impl Strategy<Value = String> {
        let tokens =
            r#"{ } [ ] , : " \ \" \\ \\" 1 true "a" "a\"b" "a": "": {"a":1} {} []"#.split(' ').map(str::to_owned);
        let blanks = [" ", "\n", "\t", "\r", "\u{c}", "\u{0}", "\u{1}", "\u{e9}"].map(str::to_owned);
        let long =
            [r"\".repeat(63), r"\".repeat(64), " ".repeat(64), "[".repeat(70), format!("\"{}\"", "x".repeat(62))];
        let all: Vec<String> = tokens.chain(blanks).chain(long).collect();
        proptest::collection::vec(proptest::sample::select(all), 0..60).prop_map(|pieces| pieces.concat())
    }

    /// Objects that are sound, most of them except for one byte.
    pub(in crate::json) fn nearly_sound() -> impl Strategy<Value = String> {
        let leaf = select(vec!["1", "true", "\"\"", r#""a\\\"b""#, "{}", "[]", "-1.5e3 "]).prop_map(str::to_owned);
        let value = leaf.prop_recursive(4, 48, 6, |inner| {
            let (key, blank) =
                (select(vec!["a", "b\\\\", "long key with {[,:]} in it"]), select(vec!["", " ", "\n", "  \t"]));
            let member = (key, blank, inner.clone())
                .prop_map(|(key, blank, value)| format!("{blank}\"{key}\"{blank}:{blank}{value}"));
            prop_oneof![
                proptest::collection::vec(member, 1..6).prop_map(|all| format!("{{{}}}", all.join(","))),
                proptest::collection::vec(inner, 1..6).prop_map(|all| format!("[{}]", all.join(" ,"))),
            ]
        });
        (value, any::<prop::sample::Index>(), select(vec!["", "", ",", ":", "\"", "}", "1", "\n", "\0", "\\"]))
            .prop_map(|(text, at, change)| {
                let at = at.index(text.len());
                format!("{}{change}{}", &text[..at], &text[at..])
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn blocks_answer_as_tokens_do(text in prop_oneof![pieces(), nearly_sound()]) {
            let text = text.as_bytes();
            for at in 0..text.len().min(80) {
                if matches!(text[at], b'{' | b'[') {
                    let (lenient, strict) = (walk::<false>(text, at), walk::<true>(text, at));
                    prop_assert_eq!(blocks::<false>(text, at).unwrap_or(lenient), lenient, "lenient, {}", at);
                    prop_assert_eq!(blocks::<true>(text, at).unwrap_or(strict), strict, "strict, {}", at);
                }
                prop_assert_eq!(skip_string::<false>(text, at), plain_string(text, at, false), "lenient, {}", at);
                prop_assert_eq!(skip_string::<true>(text, at), plain_string(text, at, true), "strict, {}", at);
            }
        }

        #[test]
        fn what_is_cut_anywhere_is_closed(text in nearly_sound()) {
            let is_sound = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            for cut in (1..text.len()).filter(|_| is_sound && text.starts_with(['{', '['])) {
                let closed = closed(&text.as_bytes()[..cut]);
                let is_json = closed.as_ref().is_some_and(|(text, _)| serde_json::from_str::<IgnoredAny>(text).is_ok());
                prop_assert!(is_json, "{} {:?}", &text[..text.floor_char_boundary(cut)], closed);
            }
        }

        /// Sound values must be decided, or the fast path gains nothing.
        #[test]
        fn blocks_decide_what_is_sound(text in nearly_sound()) {
            let text = text.as_bytes();
            let is_sound = serde_json::from_slice::<IgnoredAny>(text).is_ok();
            if is_sound && matches!(text[0], b'{' | b'[') {
                prop_assert_eq!(blocks::<true>(text, 0), Some(walk::<true>(text, 0)));
            }
        }
    }
}
