//! Base64 inside commands that decodes to text.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Shorter words, in characters, are not taken for base64.
const LEAST: usize = 20;
/// Most texts decoded from one string.
const MOST: usize = 60_000;
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// What base64 in a text decodes to, and what base64 in the result decodes to.
pub(super) fn decode_twice(text: &str) -> Vec<String> {
    let mut once = decode(text);
    let twice: Vec<String> = once.iter().flat_map(|text| decode(text)).take(MOST).collect();
    once.extend(twice);
    once
}

/// What base64 in a text decodes to, if that is text.
pub(super) fn decode(text: &str) -> Vec<String> {
    let standard = runs(text, &STANDARD, b"+/");
    let url = runs(text, &URL_SAFE, b"-_");
    let mut found: Vec<(usize, String)> = standard.chain(url).take(MOST).collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, text)| text).collect()
}

/// Decoded runs of an alphabet, with their start.
fn runs<'t>(text: &'t str, alphabet: &'t Alphabet, extra: &'t [u8; 2]) -> impl Iterator<Item = (usize, String)> + 't {
    let bytes = text.as_bytes();
    let engine = GeneralPurpose::new(alphabet, CONFIG);
    let within = move |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
    let mut at = 0;
    let blocks = std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            at += run(bytes, start, within).max(1);
            if at - start >= LEAST {
                let lines = lines(bytes, start, within);
                at = lines.last().map_or(at, |line| line.1);
                return Some(lines);
            }
        }
        None
    });
    blocks.flat_map(move |lines| {
        // A line longer than the next may be a word before the blob, even if it decodes to text.
        let is_longer = matches!(&*lines, [first, second, ..] if first.1 - first.0 > second.1 - second.0);
        let mut found = texts(bytes, &lines, &engine);
        found.extend(texts(bytes, if is_longer { &lines[1..] } else { &[] }, &engine));
        found
    })
}

/// The texts in a block of lines, with their starts: each is as many lines as are text together. A line that is none,
/// such as a long word before the blob, is skipped. No line is decoded more than twice, so that this stays linear.
fn texts(bytes: &[u8], lines: &[(usize, usize)], engine: &GeneralPurpose) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = lines;
    while let Some(&(start, _)) = rest.first().filter(|(from, to)| to - from >= LEAST) {
        let mut blob = Blob::default();
        let count = rest.iter().take_while(|&&(from, to)| blob.add(&bytes[from..to], engine).is_some()).count();
        found.extend(blob.finish(engine).filter(|_| count > 0).map(|text| (start, text)));
        rest = &rest[count.max(1)..];
    }
    found
}

/// How many bytes from here on belong to the alphabet.
fn run(bytes: &[u8], from: usize, within: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().take_while(|byte| within(**byte)).count()
}

/// The line of a blob that starts here, and those that continue it: full lines, then one that may be short.
fn lines(bytes: &[u8], start: usize, within: impl Fn(u8) -> bool + Copy) -> Vec<(usize, usize)> {
    let run = |from: usize| from + run(bytes, from, within);
    let mut lines = vec![(start, run(start))];
    while let Some(&(from, to)) = lines.last().filter(|(from, to)| to - from >= LEAST) {
        let breaks = bytes[to..].iter().take_while(|byte| matches!(byte, b'\\' | b'\r' | b'\n')).count();
        let next = to + breaks;
        let is_line = bytes[to..next].contains(&b'\n') && run(next) > next && run(next) - next <= to - from;
        if !is_line {
            break;
        }
        lines.push((next, run(next)));
    }
    lines
}

/// Lines of base64, decoded one by one.
#[derive(Default)]
struct Blob {
    /// Characters after the last group of four.
    open: Vec<u8>,
    /// Bytes of a character that is not complete.
    bytes: Vec<u8>,
    text: String,
    /// Whether it is UTF-16 little-endian, in which PowerShell encodes commands; the first line tells.
    is_wide: Option<bool>,
}

impl Blob {
    /// Adds a line; `None` if what it decodes to is no text here, and nothing is added.
    fn add(&mut self, line: &[u8], engine: &GeneralPurpose) -> Option<()> {
        let characters = [&self.open, line].concat();
        let (groups, open) = characters.split_at(characters.len() / 4 * 4);
        self.extend(&engine.decode(groups).ok()?)?;
        self.open = open.to_vec();
        Some(())
    }

    fn extend(&mut self, decoded: &[u8]) -> Option<()> {
        let bytes = [&self.bytes, decoded].concat();
        let zeros = bytes.iter().skip(1).step_by(2).filter(|byte| **byte == 0).count();
        let is_wide = self.is_wide.unwrap_or(zeros * 4 > bytes.len());
        let (text, used) = if is_wide { utf16(&bytes)? } else { utf8(&bytes)? };
        let is_text = |char: char| !char.is_control() || matches!(char, '\t' | '\n' | '\r' | '\u{1b}');
        if !text.chars().all(is_text) {
            return None;
        }
        self.text.push_str(&text);
        self.bytes = bytes[used..].to_vec();
        self.is_wide = Some(is_wide);
        Some(())
    }

    /// The text. What the last characters decode to counts if it is text.
    fn finish(mut self, engine: &GeneralPurpose) -> Option<String> {
        let last = engine.decode(&self.open);
        last.ok().and_then(|last| self.extend(&last));
        (!self.text.trim().is_empty()).then_some(self.text)
    }
}

/// The text at the start of some bytes, and how many bytes it is: all but the start of a character.
fn utf8(bytes: &[u8]) -> Option<(Cow<'_, str>, usize)> {
    let used = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return None,
    };
    Some((String::from_utf8_lossy(&bytes[..used]), used))
}

/// The same in UTF-16.
fn utf16(bytes: &[u8]) -> Option<(Cow<'_, str>, usize)> {
    let mut units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    units.pop_if(|unit| matches!(unit, 0xd800..0xdc00));
    Some((String::from_utf16(&units).ok()?.into(), units.len() * 2))
}
