//! Reads members of the expected type, and names those of another type.

use std::borrow::Cow;

use jiff::tz::Offset;
use jiff::{Timestamp, civil};

use crate::event::Text;
use crate::json::{self, Fields, Raw, Skip};
use crate::time;

/// Collects the names of malformed fields while members are read.
///
/// A value that is null, `""`, 0, false, `[]` or `{}` counts as missing, whatever its expected type. A value of another
/// type counts as missing too, and its field is named. So is an object that is broken where its record is not.
#[derive(Debug)]
pub(super) struct Reader {
    pub malformed: Vec<&'static str>,
    whole: bool,
}

impl Reader {
    /// Reads members of a record that is whole, or not.
    pub(super) fn of(whole: bool) -> Self {
        Reader { malformed: Vec::new(), whole }
    }

    pub(super) fn malformed(&mut self, name: &'static str) {
        if !self.malformed.contains(&name) {
            self.malformed.push(name);
        }
    }

    /// A string.
    pub(super) fn text<'a>(&mut self, raw: Option<Raw<'a>>, name: &'static str) -> Option<Text<'a>> {
        let raw = present(raw)?;
        if !json::is_string(raw) {
            self.malformed(name);
            return None;
        }
        let decoded = json::decode(raw);
        if decoded.replaced {
            self.malformed(name);
        }
        Some(decoded.text)
    }

    /// A list of strings.
    pub(super) fn texts<'a>(&mut self, raw: Option<Raw<'a>>, name: &'static str) -> Vec<Text<'a>> {
        let Some(raw) = present(raw) else { return Vec::new() };
        if raw.first() != Some(&b'[') {
            self.malformed(name);
            return Vec::new();
        }
        json::elements(raw).filter_map(|element| self.text(Some(element), name)).collect()
    }

    /// An object.
    pub(super) fn object<'a>(&mut self, raw: Option<Raw<'a>>, name: &'static str) -> Option<Fields<'a>> {
        let fields = Fields::read(present(raw)?);
        if fields.as_ref().is_none_or(|fields| self.whole && !fields.is_whole()) {
            self.malformed(name);
        }
        fields
    }

    /// A time.
    pub(super) fn time(&mut self, raw: Option<Raw<'_>>, name: &'static str) -> Option<Timestamp> {
        let raw = present(raw).filter(|raw| !raw.starts_with(NO_TIME))?;
        let time = api_server_time(raw).or_else(|| time::from_json(raw));
        if time.is_none() {
            self.malformed(name);
        }
        time
    }

    /// A response code: an integral number, or one in a string. A boolean is malformed.
    pub(super) fn code(&mut self, raw: Option<Raw<'_>>, name: &'static str) -> Option<i64> {
        let raw = present(raw)?;
        let code = json::integer(raw);
        if code.is_none() {
            self.malformed(name);
        }
        code
    }

    /// A request or response body: an object or (a JSON Patch) an array, perhaps as text. The second value is true if AKS
    /// put a marker string in place of a body that was too large.
    pub(super) fn body<'a>(&mut self, raw: Option<Raw<'a>>, name: &'static str) -> (Option<Cow<'a, [u8]>>, bool) {
        let Some(raw) = present(raw) else { return (None, false) };
        match raw.first() {
            Some(b'{' | b'[') => (Some(Cow::Borrowed(raw)), false),
            _ if raw == br#""skipped-too-big-size-object""# => (None, true),
            _ => {
                let body = unquoted(raw);
                if body.is_none() {
                    self.malformed(name);
                }
                (body, false)
            }
        }
    }
}

/// The start of the time that Go and .NET write if there is none.
const NO_TIME: &[u8] = b"\"0001-01-01T00:00:00";

/// Reads a time in the form that API servers write, as nearly every record has it: `2026-11-24T03:16:43.101000Z`.
fn api_server_time(raw: Raw<'_>) -> Option<Timestamp> {
    let raw: &[u8; 29] = raw.try_into().ok()?;
    let separators =
        [(0, b'"'), (5, b'-'), (8, b'-'), (11, b'T'), (14, b':'), (17, b':'), (20, b'.'), (27, b'Z'), (28, b'"')];
    let number = |from: usize, to: usize| {
        raw[from..to]
            .iter()
            .try_fold(0_i32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0')))
    };
    let small = |from: usize| i8::try_from(number(from, from + 2)?).ok();
    let is_one = separators.iter().all(|(at, byte)| raw[*at] == *byte);
    let year = i16::try_from(number(1, 5).filter(|_| is_one)?).ok()?;
    let nanoseconds = number(21, 27)? * 1000;
    let time =
        civil::DateTime::new(year, small(6)?, small(9)?, small(12)?, small(15)?, small(18)?, nanoseconds).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

/// The one object or array that a text holds, as tables and forwarders write bodies.
fn unquoted(raw: Raw<'_>) -> Option<Cow<'_, [u8]>> {
    let text = json::string(raw)?;
    let inner = text.trim_ascii().as_bytes();
    let is_one = json::skip_strict(inner, 0) == Skip::End(inner.len()) && json::is_matched(inner);
    (inner.starts_with(b"{") || inner.starts_with(b"[")).then_some(())?;
    is_one.then(|| Cow::Owned(inner.to_vec()))
}

/// The value, unless it counts as missing.
pub(super) fn present(raw: Option<Raw<'_>>) -> Option<Raw<'_>> {
    raw.filter(|raw| !json::is_empty(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_the_same_either_way() {
        let mut read = 0;
        for month in ["00", "02", "11", "13", "1x"] {
            for day in ["00", "24", "29", "30", "31", " 4"] {
                for rest in [
                    "T03:16:43.101000Z",
                    "T24:00:00.000000Z",
                    "T23:59:60.000000Z",
                    "t03:16:43.101000z",
                    "T03:16:43.10100Z",
                ] {
                    let raw = format!("\"2026-{month}-{day}{rest}\"");
                    let (fast, slow) = (api_server_time(raw.as_bytes()), time::from_json(raw.as_bytes()));
                    assert!(fast.is_none() || fast == slow, "{raw}");
                    read += usize::from(fast.is_some());
                }
            }
        }
        assert_eq!(read, 4);
    }
}
