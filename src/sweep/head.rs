//! A second look at records that the prefilter passes: what stands outside their bodies refutes most of them.
//!
//! The API server writes verb, user, objectRef and responseStatus in front of the bodies (k8s.io/apiserver,
//! `pkg/apis/audit/v1/types.go`), which are most of a record. A field that stands behind them once more would count,
//! and so would another record behind this one: where there may be either, the record is parsed.

use crate::evaluate::may_match;
use crate::event::Origin;
use crate::json::{self, Fields, Skip};
use crate::normalize::{Normalized, normalize, normalize_head};
use crate::rule::{Pack, Prefilter, Searcher, View};
use crate::unwrap::{Leaf, gcp_audit_log};

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

/// Keys whose string is the event of an envelope: a second one would count in place of the first.
const HOLDERS: [&str; 3] = ["\"properties\"", "\"log\"", "\"message\""];
/// The key of another record: an entry of GKE.
const ENTRY: &str = "\"protoPayload\"";
/// Another way to write the quotes of keys in a string.
const QUOTE: &str = r"\u0022";

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
    pub(super) fn passes(&self, record: &[u8], start: Start, odds: &mut Odds) -> bool {
        self.prefilter.may_match(record) && !odds.refute(|| self.heads.refute(self.pack, record, start))
    }
}

/// Decides whether checking heads still pays: a check costs half a parse. It affects speed only, since parsing refutes
/// whatever a head does.
#[derive(Debug)]
pub(super) struct Odds {
    /// Grows with every record that is refuted, by twice what it loses with every other.
    good: u32,
    /// Records let pass without a look.
    unseen: u32,
}

/// Records that are looked at in vain before most are let pass.
const PATIENCE: u32 = 16;

impl Default for Odds {
    fn default() -> Self {
        Odds { good: PATIENCE, unseen: 0 }
    }
}

impl Odds {
    /// Whether a look refutes, where one is taken.
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

/// What is searched for in a record that its head refutes.
#[derive(Debug)]
pub(super) struct Heads {
    plain: Keys,
    in_string: Keys,
    /// Passes what is not whole, and what an escape may hide.
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

    /// Whether no rule matches a record, and no interest wants it, whatever its bodies say.
    pub(super) fn refute(&self, pack: &Pack, record: &[u8], start: Start) -> bool {
        let (keys, event) = match start {
            Start::Plain | Start::Entry => (&self.plain, record),
            Start::InString(quote) => (&self.in_string, &record[quote..]),
        };
        let Some(end) = keys.end(event, start) else { return false };
        let (head, rest) = event.split_at(end);
        let decoded;
        let head = match start {
            Start::Plain | Start::Entry => head,
            Start::InString(_) => {
                decoded = json::cut_string(head);
                if decoded.contains(char::REPLACEMENT_CHARACTER) {
                    return false;
                }
                decoded.as_bytes()
            }
        };
        // What costs most comes last: most of what is asked is kept, or whole. Of a head that is damaged nothing can be
        // said: what would decide may be hidden in it.
        is_refuted(pack, head, start)
            && !keys.come_again(rest)
            && if matches!(start, Start::Entry) { is_whole(record) } else { json::is_between_members(head) }
            && self.odd.as_ref().is_some_and(|odd| !odd.may_match(record))
    }
}

/// Keys of an event, between quotes as the text around it has them.
#[derive(Debug)]
struct Keys {
    /// Those after what is read.
    behind: Option<Searcher>,
    /// Those of what is read, and others that would count in their place.
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

/// Whether nothing stands behind the value that a text begins with.
fn is_whole(text: &[u8]) -> bool {
    json::skip_lenient(text, 0) == Skip::End(text.len())
}

/// Whether no rule matches an event, of which the first members or all but the bodies are told, and no interest wants
/// it.
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
