//! The fast path: records that no rule can match are recognised by their first and last bytes and counted without being
//! parsed.
//!
//! It knows five forms, byte for byte as the API server and the clouds write them. Framing offers no line with a zero
//! byte. Anything else, anything that ends in another way, and anything that the prefilter passes takes the slow path.
//! `--validate` forces the slow path for all records.
//!
//! Between its ends a record is scanned once, by the prefilter, which also finds the start of a second event.

use jiff::Timestamp;
use memchr::memmem::Finder;

use super::head::{Gate, Odds, Start};
use crate::event::{EVENT_START, SUBSCRIPTION_START};
use crate::json::{self, Fields};
use crate::paths::{azure_cluster, eks_cluster};

/// Searchers for what identifies a record, because building one costs more than searching a record; and what was read
/// from the envelope of the record before, because most have the same.
#[derive(Debug)]
pub(super) struct Skimmer {
    inner_event: Finder<'static>,
    time: Finder<'static>,
    inner_time: Finder<'static>,
    log_end: Finder<'static>,
    resource_id: Finder<'static>,
    message: Finder<'static>,
    proto_payload: Finder<'static>,
    json_payload: Finder<'static>,
    service: Finder<'static>,
    cluster_name: Finder<'static>,
    timestamp: Finder<'static>,
    split: Finder<'static>,
    next_entry: Finder<'static>,
    of_resource: Memo,
    of_payload: Memo,
    of_label: Memo,
    odds: Odds,
}

/// [`EVENT_START`] inside a JSON string, up to where `\/` and `/` differ.
const INNER_EVENT: &[u8] = br#""{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io"#;
const TIME: &[u8] = br#""requestReceivedTimestamp":""#;
const INNER_TIME: &[u8] = br#"\"requestReceivedTimestamp\":\""#;
/// A LogEntry of GKE as sinks begin it.
const ENTRY: &[u8] = br#"{"insertId":"#;
const MESSAGE: &[u8] = br#","message":""#;
const RESOURCE_ID: &[u8] = br#""resourceId":"#;
const CLUSTER_NAME: &[u8] = br#""cluster_name":"#;
const TIMESTAMP: &[u8] = br#","timestamp":""#;
/// How far from the end of a record its time may be: annotations follow it.
const TAIL: usize = 1024;
/// How far it mostly is.
const NEAR: usize = 512;
/// The length of `2026-11-24T03:16:43.101000Z`, the only form in which Kubernetes writes a time.
const TIME_LENGTH: usize = 27;

/// What is read of a skimmed record.
#[derive(Debug)]
pub(super) struct Look<'a> {
    /// Its form, as `inputs.csv` names it.
    pub format: &'static str,
    /// The cluster that its envelope names.
    pub cluster: Option<&'a str>,
    /// The time of its event.
    pub time: &'a [u8],
}

impl Skimmer {
    pub(super) fn new() -> Self {
        Skimmer {
            inner_event: Finder::new(INNER_EVENT),
            time: Finder::new(TIME),
            inner_time: Finder::new(INNER_TIME),
            log_end: Finder::new(r#"}\n""#),
            resource_id: Finder::new(RESOURCE_ID),
            message: Finder::new(MESSAGE),
            proto_payload: Finder::new(r#""protoPayload":{"#),
            json_payload: Finder::new(r#""jsonPayload":"#),
            service: Finder::new(r#""serviceName":"k8s.io""#),
            cluster_name: Finder::new(CLUSTER_NAME),
            timestamp: Finder::new(TIMESTAMP),
            split: Finder::new(r#""split":"#),
            next_entry: Finder::new(ENTRY),
            of_resource: Memo::default(),
            of_payload: Memo::default(),
            of_label: Memo::default(),
            odds: Odds::default(),
        }
    }

    /// Recognises a line or document; `None` if it must be parsed.
    pub(super) fn line<'a>(&'a mut self, text: &'a [u8], gate: &Gate<'_>) -> Option<Look<'a>> {
        if text.last() != Some(&b'}') {
            return None;
        }
        match text {
            [b'{', ..] if text.starts_with(EVENT_START) => self.plain(text, "audit-log", gate),
            [b'0'..=b'9', ..] if is_export(text) => self.plain(&text[25..], "cloudwatch-export", gate),
            _ if text.starts_with(ENTRY) => self.entry(text, gate),
            _ => self.azure(text, gate),
        }
    }

    fn plain<'a>(&mut self, event: &'a [u8], format: &'static str, gate: &Gate<'_>) -> Option<Look<'a>> {
        let (time, _) = time(event, &self.time)?;
        (!gate.passes(event, Start::Plain, &mut self.odds)).then_some(Look { format, cluster: None, time })
    }

    /// Recognises a diagnostic record whose `log` is a whole event with its newline.
    fn azure<'a>(&'a mut self, text: &'a [u8], gate: &Gate<'_>) -> Option<Look<'a>> {
        let event = self.inner_event.find(head(text))?;
        if !text[..event].trim_ascii_end().ends_with(br#""log":"#)
            || gate.passes(text, Start::InString(event), &mut self.odds)
        {
            return None;
        }
        let (time, at) = time(text, &self.inner_time)?;
        let log_end = at + self.log_end.find(&text[at..])?;
        let behind = self.resource_id.find(&text[log_end..]).map(|id| log_end + id);
        let id = behind.or_else(|| self.resource_id.find(text))? + RESOURCE_ID.len();
        let id = value_at(text, id)?;
        let cluster = self.of_resource.tell(id, |id| Some(azure_cluster(&json::string(id)?)?.to_owned()))?;
        Some(Look { format: "azure-diagnostic", cluster: Some(cluster), time })
    }

    /// Recognises one element of the `logEvents` of a CloudWatch Logs payload; `around` is the text before the array.
    pub(super) fn log_event<'a>(&'a mut self, element: &'a [u8], around: &[u8], gate: &Gate<'_>) -> Option<Look<'a>> {
        if !around.starts_with(SUBSCRIPTION_START) || !element.ends_with(br#"}"}"#) {
            return None;
        }
        let start = self.message.find(head(element))? + MESSAGE.len() - 1;
        if !element[start..].starts_with(INNER_EVENT) || gate.passes(element, Start::InString(start), &mut self.odds) {
            return None;
        }
        let (time, _) = time(element, &self.inner_time)?;
        let cluster = |around: &[u8]| Some(eks_cluster(&Fields::read(around)?.text("logGroup")?)?.to_owned());
        let cluster = self.of_payload.tell(around, cluster)?;
        Some(Look { format: "cloudwatch-subscription", cluster: Some(cluster), time })
    }

    /// Recognises a LogEntry of service k8s.io, with its keys sorted as GCS sinks write them.
    fn entry<'a>(&'a mut self, text: &'a [u8], gate: &Gate<'_>) -> Option<Look<'a>> {
        if gate.passes(text, Start::Entry, &mut self.odds) {
            return None;
        }
        let name = value_at(text, near_end(text, &self.cluster_name)? + CLUSTER_NAME.len())?;
        let at = near_end(text, &self.timestamp)? + TIMESTAMP.len();
        let time = &text[at..at + memchr::memchr(b'"', &text[at..])?];
        // An entry that a container logged has the same ends, and may contain the rest: its own payload then comes
        // first.
        let payload = self.proto_payload.find(text)?;
        let is_logged = self.json_payload.find(&text[..payload]).is_some();
        let behind = &text[payload..];
        // It is near the end, after request and response.
        let of_service = near_end(behind, &self.service).or_else(|| self.service.find(behind));
        if !is_within_hour(time) || is_logged || of_service.is_none() || self.split.find(tail(text, TAIL)).is_some() {
            return None;
        }
        // Two entries on one line have the start of the first and the end of the last.
        if self.next_entry.find(&text[ENTRY.len()..]).is_some() {
            return None;
        }
        let cluster = self.of_label.tell(name, |name| json::string(name).map(Into::into))?;
        Some(Look { format: "gke-logentry", cluster: Some(cluster), time })
    }
}

/// The last text read, and the cluster that it names.
#[derive(Debug, Default)]
struct Memo {
    text: Vec<u8>,
    cluster: Option<String>,
}

impl Memo {
    fn tell(&mut self, text: &[u8], read: impl FnOnce(&[u8]) -> Option<String>) -> Option<&str> {
        if self.text != text {
            self.cluster = read(text);
            text.clone_into(&mut self.text);
        }
        self.cluster.as_deref()
    }
}

/// `2026-11-24T03:16:43.101Z {"kind":"Event"…`
fn is_export(text: &[u8]) -> bool {
    text.get(23..25) == Some(b"Z ") && text[10] == b'T' && text[25..].starts_with(EVENT_START)
}

fn head(text: &[u8]) -> &[u8] {
    &text[..text.len().min(TAIL)]
}

fn tail(text: &[u8], size: usize) -> &[u8] {
    &text[text.len().saturating_sub(size)..]
}

/// The index of the last match near the end. Searches forwards, because searching backwards uses no vector
/// instructions.
fn near_end(text: &[u8], finder: &Finder<'_>) -> Option<usize> {
    [NEAR, TAIL].into_iter().find_map(|size| {
        let tail = tail(text, size);
        finder.find_iter(tail).last().map(|at| text.len() - tail.len() + at)
    })
}

/// The time after a key near the end, and its index.
fn time<'a>(text: &'a [u8], key: &Finder<'_>) -> Option<(&'a [u8], usize)> {
    let at = near_end(text, key)? + key.needle().len();
    let time = text.get(at..at + TIME_LENGTH)?;
    is_within_hour(time).then_some((time, at))
}

/// Whether this is a time if its hour is one: of the times of an [`Hour`], only the first and the last are parsed.
fn is_within_hour(time: &[u8]) -> bool {
    let [b':', b'0'..=b'5', b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9', fraction @ .., b'Z'] =
        time.get(13..).unwrap_or_default()
    else {
        return false;
    };
    fraction
        .strip_prefix(b".")
        .map_or(fraction.is_empty(), |digits| (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit))
}

fn value_at(text: &[u8], at: usize) -> Option<&[u8]> {
    let at = at + text.get(at..)?.iter().take_while(|byte| **byte == b' ').count();
    match json::skip_lenient(text, at) {
        json::Skip::End(end) => Some(&text[at..end]),
        _ => None,
    }
}

/// The span of times of one cluster and hour, as written: times of one length compare as text.
#[derive(Debug, Default)]
pub(super) struct Hour {
    cluster: Option<String>,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Hour {
    /// Adds a time. Returns the span before if the cluster, hour or length changes.
    pub(super) fn add(&mut self, cluster: Option<&str>, time: &[u8]) -> Option<(Option<String>, [Timestamp; 2])> {
        let same = self.first.len() == time.len()
            && self.first.get(..13) == time.get(..13)
            && self.cluster.as_deref() == cluster;
        if same {
            if time < self.first.as_slice() {
                self.first.copy_from_slice(time);
            } else if time > self.last.as_slice() {
                self.last.copy_from_slice(time);
            }
            return None;
        }
        let before = self.take();
        self.cluster = cluster.map(str::to_owned);
        self.first.extend_from_slice(time);
        self.last.extend_from_slice(time);
        before
    }

    /// The span so far, if there is one.
    pub(super) fn take(&mut self) -> Option<(Option<String>, [Timestamp; 2])> {
        let parse = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        let span = parse(&self.first).zip(parse(&self.last));
        self.first.clear();
        self.last.clear();
        span.map(|(first, last)| (self.cluster.take(), [first, last]))
    }
}
