//! Reads members of the type they should have, and names those that have another.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::event::Text;
use crate::json::{self, Fields, Raw};
use crate::time;

/// Collects the names of malformed fields while members are read.
///
/// A value that is null, `""`, 0, false, `[]` or `{}` is missing, whatever type it should have. One of another
/// type is missing too, and named.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub malformed: Vec<&'static str>,
}

impl Reader {
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
        if fields.is_none() {
            self.malformed(name);
        }
        fields
    }

    /// A time.
    pub(super) fn time(&mut self, raw: Option<Raw<'_>>, name: &'static str) -> Option<Timestamp> {
        let raw = present(raw)?;
        let time = time::from_json(raw);
        if time.is_none() {
            self.malformed(name);
        }
        time
    }

    /// A response code: an integral number, or one in a string. A boolean is none.
    pub(super) fn code(&mut self, raw: Option<Raw<'_>>, name: &'static str) -> Option<i64> {
        let raw = present(raw)?;
        let code = json::integer(raw);
        if code.is_none() {
            self.malformed(name);
        }
        code
    }

    /// A request or response body: an object or (a JSON Patch) an array. AKS puts a marker string in place of one
    /// that was too large; `true` beside `None` says that this is one.
    pub(super) fn body<'a>(&mut self, raw: Option<Raw<'a>>, name: &'static str) -> (Option<Cow<'a, [u8]>>, bool) {
        let Some(raw) = present(raw) else { return (None, false) };
        match raw.first() {
            Some(b'{' | b'[') => (Some(Cow::Borrowed(raw)), false),
            _ if raw == br#""skipped-too-big-size-object""# => (None, true),
            _ => {
                self.malformed(name);
                (None, false)
            }
        }
    }
}

/// The value, unless it counts as missing.
pub(super) fn present(raw: Option<Raw<'_>>) -> Option<Raw<'_>> {
    raw.filter(|raw| !json::is_empty(raw))
}
