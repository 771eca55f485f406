//! A second look at records that the prefilter passes: what stands outside their bodies refutes most of them.
//!
//! The API server writes verb, user, objectRef and responseStatus in front of the bodies (k8s.io/apiserver,
//! `pkg/apis/audit/v1/types.go`), which are most of a record. A field that stands behind them once more would count, so a
//! record in which such a key is found there is parsed.

use std::borrow::Cow;

use memchr::memmem::Finder;

use crate::evaluate::may_match;
use crate::event::Origin;
use crate::json::{self, Fields};
use crate::normalize::{Normalized, normalize, normalize_head};
use crate::rule::{Pack, Prefilter, Searcher, View};
use crate::unwrap::Leaf;

/// Keys behind what is read: bodies, or a time where there are none.
const BEHIND: [&str; 3] = ["requestObject", "responseObject", "requestReceivedTimestamp"];
/// Keys of what is read.
const READ: [&str; 11] = [
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
];

/// Where the event of a record begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// JSON, with the record.
    Plain,
    /// JSON in the JSON string whose quote stands here.
    InString(usize),
    /// A LogEntry of GKE, whose bodies stand between its other members: it is read to its end.
    Entry,
}

/// What a record must pass to be parsed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate<'g> {
    pub prefilter: &'g Prefilter,
    pub heads: &'g Heads,
    pub pack: &'g Pack,
}

impl Gate<'_> {
    /// Whether a record must be parsed, as far as its text and what stands outside its bodies tell.
    pub(super) fn passes(&self, record: &[u8], start: Start) -> bool {
        self.prefilter.may_match(record) && !self.heads.refute(self.pack, record, start)
    }
}

/// What is searched for in a record before its head is read.
#[derive(Debug)]
pub(super) struct Heads {
    plain: Keys,
    in_string: Keys,
    /// Passes what is not whole, and what an escape may hide.
    odd: Option<Prefilter>,
}

impl Heads {
    pub(super) fn new() -> Self {
        Heads { plain: Keys::new("\""), in_string: Keys::new("\\\""), odd: Prefilter::new(&[], &[]) }
    }

    /// Whether no rule matches a record, and no interest wants it, whatever its bodies say.
    pub(super) fn refute(&self, pack: &Pack, record: &[u8], start: Start) -> bool {
        let keys = if let Start::InString(_) = start { &self.in_string } else { &self.plain };
        let Some((head, end)) = head(keys, record, start) else { return false };
        let is_refuted = |normalized: Normalized<'_>| match normalized {
            Normalized::Event(event) if event.malformed_fields.is_empty() => {
                !may_match(pack, &View::new(&event, &Origin::default(), None))
            }
            _ => false,
        };
        let is_refuted = Fields::read(&head).is_some_and(|fields| match start {
            Start::Entry => fields
                .object("protoPayload")
                .is_some_and(|payload| normalize(&Leaf::LogEntry(&fields, &payload), is_refuted)),
            _ => normalize_head(&fields, is_refuted),
        });
        // What costs most comes last.
        is_refuted
            && keys.read.as_ref().is_some_and(|read| read.find(record, end).is_none())
            && self.odd.as_ref().is_some_and(|odd| !odd.may_match(record))
    }
}

/// The fields in front of the bodies, as JSON that ends behind the comma after one of them, and where that stands.
fn head<'r>(keys: &Keys, record: &'r [u8], start: Start) -> Option<(Cow<'r, [u8]>, usize)> {
    match start {
        Start::Entry => Some((record.into(), record.len())),
        Start::Plain => {
            let end = keys.end(record)?;
            Some((record[..end].into(), end))
        }
        Start::InString(quote) => {
            // The backslash behind the comma stands where the closing quote would.
            let end = quote + keys.end(&record[quote..])?;
            let text = match json::decode(&record[quote..=end]).text {
                Cow::Borrowed(text) => text.as_bytes().into(),
                Cow::Owned(text) => text.into_bytes().into(),
            };
            Some((text, end))
        }
    }
}

/// Keys as one form of record writes them.
#[derive(Debug)]
struct Keys {
    behind: Vec<Finder<'static>>,
    /// With the quote behind them alone: it tells as much, and vectors look at the first bytes.
    read: Option<Searcher>,
}

impl Keys {
    fn new(quote: &str) -> Self {
        let behind = BEHIND.map(|key| Finder::new(&format!(",{quote}{key}{quote}:")).into_owned());
        let read = Searcher::new(&READ.map(|key| format!("{key}{quote}")));
        Keys { behind: behind.into(), read }
    }

    /// Where the fields in front of the bodies end, behind a comma.
    fn end(&self, event: &[u8]) -> Option<usize> {
        let earlier = |end: usize, key: &Finder<'_>| key.find(&event[..end]).unwrap_or(end);
        let end = self.behind.iter().fold(event.len(), earlier);
        (end < event.len()).then_some(end + 1)
    }
}
