//! Base64 inside commands that decodes to text.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Shorter words, in characters, are not taken for base64.
const LEAST: usize = 20;
/// Most texts decoded from one string.
const MOST: usize = 60_000;

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

/// Decoded runs of an alphabet, with their start. Lines of one blob form one run.
fn runs<'t>(text: &'t str, alphabet: &'t Alphabet, extra: &'t [u8; 2]) -> impl Iterator<Item = (usize, String)> + 't {
    let bytes = text.as_bytes();
    let within = move |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            at += run(bytes, start, within).max(1);
            if at - start >= LEAST {
                let lines = lines(bytes, start, within);
                at = lines.last().map_or(at, |line| line.1);
                let Some(decoded) = decoded(bytes, &lines, alphabet) else { continue };
                return Some((start, decoded));
            }
        }
        None
    })
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

/// What the lines decode to. A short last line may be an ordinary word after the blob.
fn decoded(bytes: &[u8], lines: &[(usize, usize)], alphabet: &Alphabet) -> Option<String> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(alphabet, config);
    let ends = [lines.len(), lines.len() - 1].into_iter().filter(|end| *end > 0);
    ends.into_iter().find_map(|end| {
        let mut joined: Vec<u8> = lines[..end].iter().flat_map(|&(from, to)| &bytes[from..to]).copied().collect();
        if joined.len() % 4 == 1 {
            joined.pop();
        }
        printable(&engine.decode(&joined).ok()?)
    })
}

/// Text in UTF-8, or in UTF-16 little-endian, in which PowerShell encodes commands.
fn printable(bytes: &[u8]) -> Option<String> {
    let zeros = bytes.iter().skip(1).step_by(2).filter(|byte| **byte == 0).count();
    let text = if zeros * 4 > bytes.len() {
        let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        char::decode_utf16(units).collect::<Result<String, _>>().ok()?
    } else {
        std::str::from_utf8(bytes).ok()?.to_owned()
    };
    let is_text = |char: char| !char.is_control() || matches!(char, '\t' | '\n' | '\r' | '\u{1b}');
    (!text.trim().is_empty() && text.chars().all(is_text)).then_some(text)
}
