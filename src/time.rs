//! Timestamps as the clouds write them, read into one type.

use jiff::{Timestamp, civil, fmt::strtime, tz::Offset};

use crate::json::{self, Raw};

/// Formats other than RFC 3339, all in UTC: Panther and Athena rows, BigQuery, the Azure portal, Event Hub capture.
const OTHERS: [&str; 6] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%m/%d/%Y, %I:%M:%S%.f %p",
    "%m/%d/%Y %I:%M:%S%.f %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y, %I:%M:%S %p",
];

/// Reads a timestamp in any of the forms that audit exports use.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let civil = OTHERS.iter().find_map(|format| strtime::parse(format, text).ok()?.to_datetime().ok());
        civil.or_else(|| text.parse::<civil::DateTime>().ok()).and_then(|time| Offset::UTC.to_timestamp(time).ok())
    })
}

/// Reads a time from a JSON value: text, or a number (perhaps in a string) of seconds, milliseconds, microseconds or
/// nanoseconds since 1970.
#[must_use]
pub fn from_json(raw: Raw<'_>) -> Option<Timestamp> {
    if json::is_string(raw) {
        let text = json::string(raw)?;
        return parse(&text).or_else(|| from_epoch(text.parse().ok()?));
    }
    from_epoch(json::number(raw)?)
}

/// Guesses the unit, which exports never state: seconds up to the year 5138; larger numbers are milliseconds,
/// microseconds or nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "microseconds of any date that jiff has fit")]
fn from_epoch(value: f64) -> Option<Timestamp> {
    if !value.is_finite() {
        return None;
    }
    let micros = match value.abs() {
        size if size < 1e11 => value * 1e6,
        size if size < 1e14 => value * 1e3,
        size if size < 1e17 => value,
        _ => value / 1e3,
    };
    Timestamp::from_microsecond(micros.round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for text in [
            "2026-11-24T03:16:43.101Z",
            "2026-11-24T03:16:43.101000+00:00",
            "2026-11-24T04:16:43.101+01:00",
            "2026-11-24 03:16:43.101",
            "2026-11-24 03:16:43.101000 UTC",
            "2026-11-24T03:16:43.101",
            "11/24/2026, 3:16:43.101 AM",
            "11/24/2026 3:16:43.101 AM",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), "2026-11-24T03:16:43.101Z", "{text}");
        }
        assert_eq!(parse("11/24/2026 3:16:05 PM").unwrap().to_string(), "2026-11-24T15:16:05Z");
        assert_eq!(parse("yesterday"), None);
        assert_eq!(from_json(b"1795490175101").unwrap().to_string(), "2026-11-24T03:16:15.101Z");
        assert_eq!(from_json(b"1795490175.5").unwrap().to_string(), "2026-11-24T03:16:15.5Z");
    }
}
