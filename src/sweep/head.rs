//! A second check of records that the prefilter passes: the fields outside their bodies refute most of them.
//!
//! The API server writes verb, user, objectRef and responseStatus before the bodies (k8s.io/apiserver,
//! `pkg/apis/audit/v1/types.go`), which are most of a record. A field repeated after the bodies would count instead,
//! and another record may follow this one: if either is possible, the record is parsed.

use crate::evaluate::may_match;
use crate::event::Origin;
use crate::json::{self, Fields, Skip};
use crate::normalize::{Normalized, normalize, normalize_head};
use crate::rule::{Pack, Prefilter, Searcher, View};
use crate::unwrap::{Leaf, gcp_audit_log};

/// The first key after what is read: a body, or a time if there are no bodies.
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

/// Keys whose string holds the event in an envelope: a second one would count instead of the first.
const HOLDERS: [&str; 3] = ["\"properties\"", "\"log\"", "\"message\""];
/// A key that shows another record: an entry of GKE.
const ENTRY: &str = "\"protoPayload\"";
/// Another way to write the quotes of keys inside a string.
const QUOTE: &str = r"\u0022";

/// Where the event of a record begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// JSON, with the record.
    Plain,
    /// JSON in the JSON string whose opening quote is at this index.
    InString(usize),
    /// A LogEntry of GKE, whose bodies are between its other members, so it is read to its end.
    Entry,
}

/// Decides whether a record must be parsed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate<'g> {
    pub prefilter: &'g Prefilter,
    pub heads: &'g Heads,
    pub pack: &'g Pack,
}

impl Gate<'_> {
    /// Whether a record must be parsed, judging by its text and the fields outside its bodies.
    pub(super) fn passes(&self, record: &[u8], start: Start, odds: &mut Odds) -> bool {
        self.prefilter.may_match(record) && !odds.refute(|| self.heads.refute(self.pack, record, start))
    }
}

/// Decides whether checking heads still pays off: a check costs half a parse. This affects speed only, because parsing
/// refutes whatever a head does.
#[derive(Debug)]
pub(super) struct Odds {
    /// Each refuted record adds 2, each other one subtracts 1.
    good: u32,
    /// Records passed without a check since the last one.
    unseen: u32,
}

/// After this many checks in vain, this many records are passed between two checks.
const PATIENCE: u32 = 16;

impl Default for Odds {
    fn default() -> Self {
        Odds { good: PATIENCE, unseen: 0 }
    }
}

impl Odds {
    /// Whether the check was made and refuted the record.
    fn refute(&mut self, look: impl FnOnce() -> bool) -> bool {
        if self.good == 0 && self.unseen < PATIENCE {
            self.unseen += 1;
            return false;
        }
        self.unseen = 0;
        let refuted = look();
        self.good = if refuted { PATIENCE.min(self.good + 2) } else { self.good.saturating_sub(1) };
        refuted
    }
}

/// Searchers for the text of a record whose head is checked.
#[derive(Debug)]
pub(super) struct Heads {
    plain: Keys,
    in_string: Keys,
    /// Finds records that are not whole, and escapes that may hide something.
    odd: Option<Prefilter>,
}

impl Heads {
    pub(super) fn new() -> Self {
        Heads {
            plain: Keys::new("\"", &[ENTRY]),
            in_string: Keys::new("\\\"", &[&HOLDERS[..], &[ENTRY, QUOTE]].concat()),
            odd: Prefilter::new(&[], &[]),
        }
    }

    /// Whether no rule matches a record and no interest wants it, whatever its bodies contain.
    pub(super) fn refute(&self, pack: &Pack, record: &[u8], start: Start) -> bool {
        let (keys, event) = match start {
            Start::Plain | Start::Entry => (&self.plain, record),
            Start::InString(quote) => (&self.in_string, &record[quote..]),
        };
        let Some(end) = keys.end(event, start) else { return false };
        let (head, rest) = event.split_at(end);
        let decoded;
        let head = match start {
            // A key that is no text could be any.
            Start::Plain | Start::Entry if std::str::from_utf8(head).is_err() => return false,
            Start::Plain | Start::Entry => head,
            Start::InString(_) => {
                decoded = json::cut_string(head);
                if decoded.contains(char::REPLACEMENT_CHARACTER) {
                    return false;
                }
                decoded.as_bytes()
            }
        };
        // The most expensive checks come last. A damaged head cannot be judged, because it may hide the field that
        // decides.
        is_refuted(pack, head, start)
            && !keys.come_again(rest)
            && is_sound(head, start)
            && self.odd.as_ref().is_some_and(|odd| !odd.may_match(record))
    }
}

/// Keys of an event, in quotes as the surrounding text has them.
#[derive(Debug)]
struct Keys {
    /// Keys after what is read.
    behind: Option<Searcher>,
    /// Keys of what is read, and others that would count instead.
    again: Option<Searcher>,
}

impl Keys {
    fn new(quote: &str, others: &[&str]) -> Self {
        let read = READ.iter().map(|key| format!("{key}{quote}"));
        let again: Vec<String> = others.iter().map(|&key| key.to_owned()).chain(read).collect();
        Keys {
            behind: Searcher::new(&BEHIND.map(|key| format!(",{quote}{key}{quote}:"))),
            again: Searcher::new(&again),
        }
    }

    /// Where the fields that are read end, after a comma.
    fn end(&self, event: &[u8], start: Start) -> Option<usize> {
        if let Start::Entry = start {
            return Some(event.len());
        }
        self.behind.as_ref()?.find(event, 0).map(|(_, comma)| comma + 1)
    }

    fn come_again(&self, rest: &[u8]) -> bool {
        self.again.as_ref().is_none_or(|again| again.find(rest, 0).is_some())
    }
}

/// Whether a head is sound JSON as far as it goes: an entry as a whole, any other up to the end of a member.
fn is_sound(head: &[u8], start: Start) -> bool {
    match (start, json::skip_strict(head, 0)) {
        (Start::Entry, skip) => skip == Skip::End(head.len()),
        (_, skip) => skip == Skip::Incomplete && json::is_between_members(head),
    }
}

/// Whether no rule matches an event and no interest wants it. `head` has its first members, or all but the bodies.
fn is_refuted(pack: &Pack, head: &[u8], start: Start) -> bool {
    let is_refuted = |normalized: Normalized<'_>| match normalized {
        Normalized::Event(event) if event.malformed_fields.is_empty() => {
            !may_match(pack, &View::new(&event, &Origin::default(), None).tuned(&pack.tuning))
        }
        _ => false,
    };
    Fields::read(head).is_some_and(|fields| match start {
        Start::Entry => {
            gcp_audit_log(&fields).is_some_and(|payload| normalize(&Leaf::LogEntry(&fields, &payload), is_refuted))
        }
        _ => normalize_head(&fields, is_refuted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_looked_at_while_that_refutes() {
        let looked = |odds: &mut Odds, refutes: bool| {
            let mut looked = 0;
            for _ in 0..1700 {
                odds.refute(|| {
                    looked += 1;
                    refutes
                });
            }
            looked
        };
        let mut odds = Odds::default();
        assert_eq!(looked(&mut odds, true), 1700);
        let in_vain = looked(&mut odds, false);
        assert!((100..150).contains(&in_vain), "{in_vain}");
        assert!(looked(&mut odds, true) > 1600);
    }
}
