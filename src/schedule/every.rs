//! `@every` and its Go durations.

use std::time::Duration;

use super::quoted;

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A Go duration as robfig's `Every` keeps it: whole seconds, and one second for anything shorter or negative.
pub(super) fn parse_every(text: &str) -> Result<Duration, String> {
    let nanoseconds = go_nanoseconds(text);
    let nanoseconds = nanoseconds.ok_or_else(|| format!("{} is not a duration such as 1h30m or 90s", quoted(text)))?;
    Ok(Duration::from_secs((nanoseconds / 1_000_000_000).max(1)))
}

/// Go's `time.ParseDuration`, with anything negative as zero; `None` if Go refuses the text.
fn go_nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = go_duration_part(rest)?;
        total = total.checked_add(part).filter(|total| i64::try_from(*total).is_ok())?;
        rest = after;
    }
    Some(if text.starts_with('-') { 0 } else { total })
}

/// One number with its unit, in nanoseconds, and the text after it.
fn go_duration_part(text: &str) -> Option<(u64, &str)> {
    // Further digits of a fraction are worth less than a nanosecond in every unit.
    const USED_DIGITS: usize = 18;
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = rest.split_at(rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len()));
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let whole: u128 = format!("0{whole}").parse().ok()?;
    let fraction: String = fraction.chars().take(USED_DIGITS).collect();
    let tenths = fraction.chars().fold(1, |power: u128, _| power * 10);
    let part: u128 = format!("0{fraction}").parse().ok()?;
    let nanoseconds = whole.checked_mul(*scale)?.checked_add(part * scale / tenths)?;
    Some((u64::try_from(nanoseconds).ok()?, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}
