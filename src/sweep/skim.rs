//! The fast path: records that no rule can match, told by their first and last bytes and counted without being parsed.
//!
//! It knows five forms, byte for byte as the API server and the clouds write them. Anything else, anything that ends
//! otherwise, and anything that holds a literal of the prefilter takes the slow path. Its slow twin is `--validate`.

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::memmem;

use crate::json::{self, Fields};
use crate::paths::azure_cluster;

/// An audit event as every API server begins it.
const EVENT: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;
/// The same inside a JSON string; the part that `\/` and `/` share.
const INNER_EVENT: &[u8] = br#""{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io"#;
const TIME: &[u8] = br#""requestReceivedTimestamp":""#;
const INNER_TIME: &[u8] = br#"\"requestReceivedTimestamp\":\""#;
/// How far from a record's end its time stands: annotations follow it.
const TAIL: usize = 1024;
/// `2026-11-24T03:16:43.101000Z`, the one way in which Kubernetes writes a time.
const TIME_LENGTH: usize = 27;

/// What a record that is skimmed tells.
#[derive(Debug)]
pub(super) struct Look<'a> {
    /// Its form, as `inputs.csv` names it; `None` for a plain event.
    pub format: &'static str,
    /// The cluster that its envelope names.
    pub cluster: Option<Cow<'a, str>>,
    /// Times of its events, one each.
    pub times: Vec<&'a [u8]>,
}

/// Recognises a line or document; `None` where it must be parsed.
pub(super) fn look(text: &[u8]) -> Option<Look<'_>> {
    // Panther adds columns of its own to rows.
    let panther = br#""p_log_type""#;
    let ends = [&text[..text.len().min(TAIL)], tail(text)];
    if text.last() != Some(&b'}') || ends.iter().any(|end| memmem::find(end, panther).is_some()) {
        return None;
    }
    match text {
        [b'{', ..] if text.starts_with(EVENT) => plain(text, "audit-log"),
        [b'0'..=b'9', ..] if is_export(text) => plain(&text[25..], "cloudwatch-export"),
        _ if text.starts_with(br#"{"messageType":"DATA_MESSAGE""#) => subscription(text),
        _ if text.starts_with(br#"{"insertId":"#) => entry(text),
        _ => azure(text),
    }
}

/// `2026-11-24T03:16:43.101Z {"kind":"Event"…`
fn is_export(text: &[u8]) -> bool {
    text.get(23..25) == Some(b"Z ") && text[10] == b'T' && text[25..].starts_with(EVENT)
}

fn plain<'a>(event: &'a [u8], format: &'static str) -> Option<Look<'a>> {
    let tail = tail(event);
    let runs_on = memmem::find(&event[1..], EVENT).is_some();
    let time = time(tail, memmem::rfind(tail, TIME)? + TIME.len())?;
    (!runs_on && !is_marked(tail)).then(|| Look { format, cluster: None, times: vec![time] })
}

/// A diagnostic record whose `log` is a whole event.
fn azure(text: &[u8]) -> Option<Look<'_>> {
    let event = memmem::find(&text[..text.len().min(TAIL)], INNER_EVENT)?;
    if !text[..event].trim_ascii_end().ends_with(br#""log":"#) {
        return None;
    }
    let tail = tail(text);
    let whole =
        [br#"}\n","#.as_slice(), br#"}\n"}"#, br#"}","#, br#"}"}"#].iter().any(|end| memmem::find(tail, end).is_some());
    let id = memmem::find(text, br#""resourceId":"#)?;
    let id = json::string(value_at(text, id + 13)?)?;
    let cluster = azure_cluster(&id)?.to_owned();
    let time = time(tail, memmem::rfind(tail, INNER_TIME)? + INNER_TIME.len())?;
    let skipped = memmem::find(text, b"skipped-too-big").is_some();
    let looks_sound = whole && !skipped && !is_marked(tail) && memmem::find_iter(text, INNER_EVENT).nth(1).is_none();
    looks_sound.then(|| Look { format: "azure-diagnostic", cluster: Some(cluster.into()), times: vec![time] })
}

/// A CloudWatch Logs payload of events alone.
fn subscription(text: &[u8]) -> Option<Look<'_>> {
    let events = memmem::find(text, br#","logEvents":["#)?;
    let head = Fields::read(&text[..events])?;
    let group = head.text("logGroup")?;
    let cluster = group.strip_prefix("/aws/eks/")?.split('/').next()?.to_owned();
    let messages = memmem::find_iter(&text[events..], br#","message":""#).count();
    let starts = memmem::find_iter(&text[events..], INNER_EVENT).count();
    let times: Option<Vec<&[u8]>> =
        memmem::find_iter(text, INNER_TIME).map(|at| time(text, at + INNER_TIME.len())).collect();
    let times = times.filter(|times| times.len() == starts && starts == messages && starts > 0)?;
    let sound =
        memmem::find(text, b"[Truncated...]").is_none() && memmem::find(text, b"audit.k8s.io/truncated").is_none();
    sound.then(|| Look { format: "cloudwatch-subscription", cluster: Some(cluster.into()), times })
}

/// A LogEntry of service k8s.io, keys sorted as GCS sinks write them.
fn entry(text: &[u8]) -> Option<Look<'_>> {
    memmem::find(text, br#""serviceName":"k8s.io""#)?;
    let tail = tail(text);
    let cluster = memmem::rfind(tail, br#""cluster_name":"#)?;
    let cluster = json::string(value_at(tail, cluster + 15)?)?;
    let at = memmem::rfind(tail, br#","timestamp":""#)? + 14;
    let end = memchr::memchr(b'"', &tail[at..])?;
    let marked =
        memmem::find(text, b"audit.k8s.io/truncated").is_some() || memmem::find(tail, br#""split":"#).is_some();
    (!marked).then(|| Look { format: "gke-logentry", cluster: Some(cluster), times: vec![&tail[at..at + end]] })
}

fn tail(text: &[u8]) -> &[u8] {
    &text[text.len().saturating_sub(TAIL)..]
}

/// The API server's mark on an event whose bodies it dropped.
fn is_marked(tail: &[u8]) -> bool {
    memmem::find(tail, b"audit.k8s.io").is_some_and(|_| memmem::find(tail, b"truncated").is_some())
}

fn time(text: &[u8], at: usize) -> Option<&[u8]> {
    text.get(at..at + TIME_LENGTH).filter(|time| time[TIME_LENGTH - 1] == b'Z' && time[19] == b'.')
}

fn value_at(text: &[u8], at: usize) -> Option<&[u8]> {
    let at = at + text.get(at..)?.iter().take_while(|byte| **byte == b' ').count();
    match json::skip_lenient(text, at) {
        json::Skip::End(end) => Some(&text[at..end]),
        _ => None,
    }
}

/// The end of the CloudWatch Logs payload at the start of `text`: its array and object close behind a string.
pub(super) fn payload_end(text: &[u8]) -> Option<usize> {
    let closes = |at: &usize| *at > 0 && text[at - 1] != b'\\';
    memmem::find_iter(text, br#""}]}"#).find(closes).map(|at| at + 4)
}

/// The span of times of one cluster and hour, kept as written: times of one length compare as text.
#[derive(Debug, Default)]
pub(super) struct Hour {
    cluster: Option<String>,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Hour {
    /// Takes a time in; gives back the span before where this one is of another cluster, hour or length.
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
