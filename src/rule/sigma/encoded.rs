//! The texts that a value stands for under the modifiers that encode it, as pySigma makes them.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use regex::Regex;
use rsigma_parser::Modifier;
use rsigma_parser::value::{SigmaString, SigmaValue, StringPart};

/// What may introduce a parameter: hyphen, slash, en dash, em dash, horizontal bar.
const DASHES: [&str; 5] = ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"];
/// More of them in one value make too many texts. pySigma has the same limit.
const MAX_DASHES: usize = 3;
/// A hyphen or slash that begins a word.
static DASH: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\B[-/]\b").ok());

/// Whether a modifier makes other texts of a value, rather than saying where in a field they are looked for.
pub(super) fn is_encoder(modifier: Modifier) -> bool {
    use Modifier::{Base64, Base64Offset, Utf16, Utf16be, Wide, WindAsh};
    matches!(modifier, WindAsh | Wide | Utf16 | Utf16be | Base64 | Base64Offset)
}

/// The texts of which one must be found where a value is wanted.
pub(super) fn texts(value: SigmaValue, modifiers: &[Modifier]) -> Result<Vec<SigmaValue>, String> {
    let mut encoders: Vec<Modifier> = modifiers.iter().copied().filter(|modifier| is_encoder(*modifier)).collect();
    if encoders.is_empty() {
        return Ok(vec![value]);
    }
    let SigmaValue::String(text) = value else { return Err("encodes text, which one of its values is not".to_owned()) };
    let is_dashed = encoders[0] == Modifier::WindAsh;
    let texts = if is_dashed { with_any_dash(&text)? } else { vec![text] };
    encoders.drain(..usize::from(is_dashed));
    if encoders.is_empty() {
        return Ok(texts.into_iter().map(SigmaValue::String).collect());
    }
    let is_place =
        |modifier: &Modifier| matches!(modifier, Modifier::Contains | Modifier::StartsWith | Modifier::EndsWith);
    let last = modifiers.iter().rposition(|modifier| encoders.contains(modifier)).unwrap_or(0);
    if modifiers[..last].iter().any(is_place) || encoders.contains(&Modifier::WindAsh) {
        return Err("stands in the wrong place; write windash first, contains, startswith or endswith last".to_owned());
    }
    texts.iter().map(|text| in_bytes(text, &encoders)).collect::<Result<Vec<_>, _>>().map(|texts| texts.concat())
}

/// The text with every dash that begins a word replaced by each of the dashes. Wildcards stay.
fn with_any_dash(text: &SigmaString) -> Result<Vec<SigmaString>, String> {
    let mut dashes = 0;
    let mut all = vec![Vec::new()];
    for part in &text.parts {
        let StringPart::Plain(plain) = part else {
            for parts in &mut all {
                parts.push(part.clone());
            }
            continue;
        };
        let places: Vec<usize> =
            DASH.iter().flat_map(|dash| dash.find_iter(plain)).map(|found| found.start()).collect();
        dashes += places.len();
        if dashes > MAX_DASHES {
            return Err(format!("takes at most {MAX_DASHES} dashes in a value; make several values of it"));
        }
        let plains = with_dashes_at(plain, &places);
        let longer = |parts: &Vec<StringPart>| {
            let parts = parts.clone();
            plains.iter().map(move |plain| [parts.clone(), vec![StringPart::Plain(plain.clone())]].concat()).collect()
        };
        all = all.iter().map(longer).collect::<Vec<Vec<_>>>().concat();
    }
    Ok(all.into_iter().map(|parts| SigmaString { parts, original: text.original.clone() }).collect())
}

fn with_dashes_at(text: &str, places: &[usize]) -> Vec<String> {
    // From the back, so that places before stay where they are.
    places.iter().rev().fold(vec![text.to_owned()], |texts, at| {
        let each = |text: &String| DASHES.map(|dash| format!("{}{dash}{}", &text[..*at], &text[at + 1..]));
        texts.iter().flat_map(each).collect()
    })
}

fn in_bytes(text: &SigmaString, encoders: &[Modifier]) -> Result<Vec<SigmaValue>, String> {
    let plain = text.as_plain().ok_or("encodes text without wildcards only; take * and ? out, or escape them")?;
    if plain.len() < 2 && encoders.contains(&Modifier::Base64Offset) {
        return Err("takes at least two characters: of one, nothing is the same at every place".to_owned());
    }
    let all = encoders.iter().fold(vec![plain.into_bytes()], |texts, encoder| {
        texts.iter().flat_map(|bytes| encoded(bytes, *encoder)).collect()
    });
    let text = |bytes| String::from_utf8(bytes).map(|text| SigmaValue::from_raw_string(&text));
    let texts: Result<_, _> = all.into_iter().map(text).collect();
    texts.map_err(|_| "makes bytes that no audit event contains; write base64offset behind it".to_owned())
}

fn encoded(bytes: &[u8], encoder: Modifier) -> Vec<Vec<u8>> {
    let units = |bytes_of: fn(u16) -> [u8; 2]| {
        String::from_utf8_lossy(bytes).encode_utf16().flat_map(bytes_of).collect::<Vec<u8>>()
    };
    match encoder {
        Modifier::Wide => vec![units(u16::to_le_bytes)],
        Modifier::Utf16be => vec![units(u16::to_be_bytes)],
        Modifier::Utf16 => vec![[vec![0xFF, 0xFE], units(u16::to_le_bytes)].concat()],
        Modifier::Base64Offset => (0..3).map(|offset| at_offset(bytes, offset)).collect(),
        _ => vec![BASE64.encode(bytes).into_bytes()],
    }
}

/// The characters that bytes give in base64 behind `offset` others, without those that depend on what stands before
/// and after them.
fn at_offset(bytes: &[u8], offset: usize) -> Vec<u8> {
    let text = BASE64.encode([vec![0; offset].as_slice(), bytes].concat());
    let start = [0, 2, 3][offset];
    let end = text.len() - [0, 3, 2][(bytes.len() + offset) % 3];
    text.as_bytes().get(start..end).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(value: &str, modifiers: &[Modifier]) -> Result<Vec<String>, String> {
        let texts = texts(SigmaValue::String(SigmaString::new(value)), modifiers)?;
        let text = |value| if let SigmaValue::String(text) = value { text.as_plain().unwrap() } else { unreachable!() };
        Ok(texts.into_iter().map(text).collect())
    }

    /// The expected texts are those of pySigma 2.0.1.
    #[test]
    fn base64_offsets_leave_out_what_depends_on_neighbours() {
        let offset = Modifier::Base64Offset;
        for (value, modifiers, expected) in [
            ("foo", &[offset][..], &["Zm9v", "Zvb", "mb2"][..]),
            ("fooB", &[offset], &["Zm9vQ", "Zvb0", "mb29C"]),
            ("foobar!", &[offset], &["Zm9vYmFyI", "Zvb2Jhci", "mb29iYXIh"]),
            ("id", &[Modifier::Wide, offset], &["aQBkA", "kAZA", "pAGQA"]),
            ("id", &[Modifier::Utf16, offset], &["//5pAGQA", "/+aQBkA", "//mkAZA"]),
            ("id", &[Modifier::Utf16be, offset], &["AGkAZ", "BpAG", "AaQBk"]),
            ("foo", &[Modifier::Base64], &["Zm9v"]),
        ] {
            assert_eq!(made(value, modifiers).unwrap(), expected, "{value} {modifiers:?}");
        }
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let many = "-a -b -c -d";
        for (value, modifiers, why) in [
            ("a*", &[Modifier::Base64Offset][..], "without wildcards"),
            ("a", &[Modifier::Base64Offset][..], "at least two characters"),
            ("a", &[Modifier::Contains, Modifier::Base64][..], "wrong place"),
            ("a", &[Modifier::Base64, Modifier::WindAsh][..], "wrong place"),
            ("a", &[Modifier::Utf16][..], "no audit event contains"),
            (many, &[Modifier::WindAsh][..], "at most 3 dashes"),
        ] {
            assert!(made(value, modifiers).unwrap_err().contains(why), "{value} {modifiers:?}");
        }
        assert!(texts(SigmaValue::Integer(1), &[Modifier::Base64]).is_err());
    }
}
