//! The fast path: records that no rule can match, told by their first and last bytes and counted without being parsed.
//!
//! It knows five forms, byte for byte as the API server and the clouds write them. Anything else, anything that ends
//! otherwise, and anything that the prefilter passes takes the slow path. Its slow twin is `--validate`.

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::memmem::{Finder, FinderRev};

use super::head::Start;
use crate::json::{self, Fields};
use crate::paths::azure_cluster;

/// Searchers for what tells a record; building one costs more than searching a record with it.
#[derive(Debug)]
pub(super) struct Skimmer {
    event: Finder<'static>,
    inner_event: Finder<'static>,
    time: FinderRev<'static>,
    inner_time: Finder<'static>,
    last_inner_time: FinderRev<'static>,
    log_end: Finder<'static>,
    resource_id: Finder<'static>,
    log_events: Finder<'static>,
    message: Finder<'static>,
    payload_end: Finder<'static>,
    proto_payload: Finder<'static>,
    json_payload: Finder<'static>,
    service: Finder<'static>,
    cluster_name: FinderRev<'static>,
    timestamp: FinderRev<'static>,
    split: Finder<'static>,
}

/// An audit event as every API server begins it.
const EVENT: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;
/// The same inside a JSON string; the part that `\/` and `/` share.
const INNER_EVENT: &[u8] = br#""{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io"#;
const TIME: &[u8] = br#""requestReceivedTimestamp":""#;
const INNER_TIME: &[u8] = br#"\"requestReceivedTimestamp\":\""#;
const MESSAGE: &[u8] = br#","message":""#;
const RESOURCE_ID: &[u8] = br#""resourceId":"#;
const CLUSTER_NAME: &[u8] = br#""cluster_name":"#;
const TIMESTAMP: &[u8] = br#","timestamp":""#;
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

impl Skimmer {
    pub(super) fn new() -> Self {
        Skimmer {
            event: Finder::new(EVENT),
            inner_event: Finder::new(INNER_EVENT),
            time: FinderRev::new(TIME),
            inner_time: Finder::new(INNER_TIME),
            last_inner_time: FinderRev::new(INNER_TIME),
            log_end: Finder::new(r#"}\n""#),
            resource_id: Finder::new(RESOURCE_ID),
            log_events: Finder::new(r#","logEvents":["#),
            message: Finder::new(MESSAGE),
            payload_end: Finder::new(r#""}]}"#),
            proto_payload: Finder::new(r#""protoPayload":{"#),
            json_payload: Finder::new(r#""jsonPayload":"#),
            service: Finder::new(r#""serviceName":"k8s.io""#),
            cluster_name: FinderRev::new(CLUSTER_NAME),
            timestamp: FinderRev::new(TIMESTAMP),
            split: Finder::new(r#""split":"#),
        }
    }

    /// Recognises a line or document; `None` where it must be parsed.
    pub(super) fn look<'a>(&self, text: &'a [u8]) -> Option<Look<'a>> {
        if text.last() != Some(&b'}') {
            return None;
        }
        match text {
            [b'{', ..] if text.starts_with(EVENT) => self.plain(text, "audit-log"),
            [b'0'..=b'9', ..] if is_export(text) => self.plain(&text[25..], "cloudwatch-export"),
            _ if text.starts_with(br#"{"messageType":"DATA_MESSAGE""#) => self.subscription(text),
            _ if text.starts_with(br#"{"insertId":"#) => self.entry(text),
            _ => self.azure(text),
        }
    }

    /// Where the event of a line or document begins, or of an element of a payload; `None` where it is none of a form that
    /// begins with its event, or may be none.
    pub(super) fn start(&self, text: &[u8]) -> Option<Start> {
        match text {
            _ if text.starts_with(EVENT) => Some(Start::Plain(0)),
            [b'0'..=b'9', ..] if is_export(text) => Some(Start::Plain(25)),
            _ if text.starts_with(br#"{"insertId":"#) => Some(Start::Entry),
            _ => {
                let quote = self.inner_event.find(head(text))?;
                let before = text[..quote].trim_ascii_end();
                let is_value =
                    quote == 0 || [&br#""log":"#[..], br#""message":"#].iter().any(|key| before.ends_with(key));
                is_value.then_some(Start::InString(quote))
            }
        }
    }

    /// The end of the CloudWatch Logs payload at the start of `text`: its array and object close behind a string.
    pub(super) fn payload_end(&self, text: &[u8]) -> Option<usize> {
        let closes = |at: &usize| *at > 0 && text[at - 1] != b'\\';
        self.payload_end.find_iter(text).find(closes).map(|at| at + 4)
    }

    /// The events of a CloudWatch Logs payload, where it holds nothing else: each from its start to the next one's, the
    /// first with what stands before it.
    pub(super) fn payload_events<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut starts = self.inner_event.find_iter(text).skip(1);
        let mut start = Some(0);
        std::iter::from_fn(move || {
            let from = start?;
            start = starts.next();
            Some(&text[from..start.unwrap_or(text.len())])
        })
    }

    fn plain<'a>(&self, event: &'a [u8], format: &'static str) -> Option<Look<'a>> {
        let tail = tail(event);
        let time = time(tail, self.time.rfind(tail)? + TIME.len())?;
        let runs_on = self.event.find(&event[1..]).is_some();
        (!runs_on).then(|| Look { format, cluster: None, times: vec![time] })
    }

    /// A diagnostic record whose `log` is a whole event with its newline.
    fn azure<'a>(&self, text: &'a [u8]) -> Option<Look<'a>> {
        let event = self.inner_event.find(head(text))?;
        if !text[..event].trim_ascii_end().ends_with(br#""log":"#) {
            return None;
        }
        let tail = tail(text);
        let time = time(tail, self.last_inner_time.rfind(tail)? + INNER_TIME.len())?;
        let id =
            self.resource_id.find(tail).map(|at| (tail, at)).or_else(|| Some((text, self.resource_id.find(text)?)))?;
        let id = json::string(value_at(id.0, id.1 + RESOURCE_ID.len())?)?;
        let cluster = azure_cluster(&id)?.to_owned();
        let is_whole = self.log_end.find(tail).is_some();
        let is_one = self.inner_event.find_iter(text).nth(1).is_none();
        let look = || Look { format: "azure-diagnostic", cluster: Some(cluster.into()), times: vec![time] };
        (is_whole && is_one).then(look)
    }

    /// A CloudWatch Logs payload of events alone.
    fn subscription<'a>(&self, text: &'a [u8]) -> Option<Look<'a>> {
        let events = self.log_events.find(text)?;
        let group = Fields::read(&text[..events])?.text("logGroup")?;
        let cluster = group.strip_prefix("/aws/eks/")?.split('/').next()?.to_owned();
        let messages = self.message.find_iter(&text[events..]).count();
        let starts = self.inner_event.find_iter(&text[events..]).count();
        let times: Option<Vec<&[u8]>> =
            self.inner_time.find_iter(text).map(|at| time(text, at + INNER_TIME.len())).collect();
        let times = times.filter(|times| times.len() == starts && starts == messages && starts > 0)?;
        Some(Look { format: "cloudwatch-subscription", cluster: Some(cluster.into()), times })
    }

    /// One element of the `logEvents` of such a payload; `around` is what stands before the array.
    pub(super) fn log_event<'a>(&self, element: &'a [u8], around: &[u8]) -> Option<Look<'a>> {
        if !around.starts_with(br#"{"messageType":"DATA_MESSAGE""#) || !element.ends_with(br#"}"}"#) {
            return None;
        }
        let group = Fields::read(around)?.text("logGroup")?;
        let cluster = group.strip_prefix("/aws/eks/")?.split('/').next()?.to_owned();
        let start = self.message.find(head(element))? + MESSAGE.len() - 1;
        let starts_event = element[start..].starts_with(INNER_EVENT);
        let mut events = self.inner_event.find_iter(&element[start..]).skip(1);
        let mut times = self.inner_time.find_iter(element);
        let time = time(element, times.next()? + INNER_TIME.len())?;
        let is_one = starts_event && events.next().is_none() && times.next().is_none();
        let look = || Look { format: "cloudwatch-subscription", cluster: Some(cluster.into()), times: vec![time] };
        is_one.then(look)
    }

    /// A LogEntry of service k8s.io, keys sorted as GCS sinks write them.
    fn entry<'a>(&self, text: &'a [u8]) -> Option<Look<'a>> {
        let end = tail(text);
        let cluster = self.cluster_name.rfind(end)? + CLUSTER_NAME.len();
        let cluster = json::string(value_at(end, cluster)?)?;
        let at = self.timestamp.rfind(end)? + TIMESTAMP.len();
        let length = memchr::memchr(b'"', &end[at..])?;
        // What a container logs has the same ends, and may hold the rest: there its own payload stands in front.
        let payload = self.proto_payload.find(text)?;
        let is_logged = self.json_payload.find(&text[..payload]).is_some();
        let behind = &text[payload..];
        // It stands near the end, behind request and response.
        let of_service = self.service.find(tail(behind)).or_else(|| self.service.find(behind));
        let is_audit = !is_logged && of_service.is_some();
        let is_whole = self.split.find(end).is_none();
        let look = || Look { format: "gke-logentry", cluster: Some(cluster), times: vec![&end[at..at + length]] };
        (is_audit && is_whole).then(look)
    }
}

/// `2026-11-24T03:16:43.101Z {"kind":"Event"…`
fn is_export(text: &[u8]) -> bool {
    text.get(23..25) == Some(b"Z ") && text[10] == b'T' && text[25..].starts_with(EVENT)
}

fn head(text: &[u8]) -> &[u8] {
    &text[..text.len().min(TAIL)]
}

fn tail(text: &[u8]) -> &[u8] {
    &text[text.len().saturating_sub(TAIL)..]
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
