//! A record of any platform → an [`AuditEvent`]. Cannot fail: fields it cannot read are named in the event.

mod gke;
mod native;
mod reader;
mod rewrite;
mod uri;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::AuditEvent;
use crate::json::Fields;
use crate::time;
use crate::unwrap::{Envelope, Leaf};

/// What a record turned out to be.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is handed on at once, and boxing would cost an allocation a record")]
pub enum Normalized<'a> {
    /// An audit event.
    Event(AuditEvent<'a>),
    /// A record of something else.
    NotAudit,
    /// A record that looks like an audit event but cannot be decided; with the reason.
    Malformed(&'static str),
}

/// Reads a record and passes the result to `then`.
pub fn normalize<T>(leaf: &Leaf<'_>, then: impl FnOnce(Normalized<'_>) -> T) -> T {
    match leaf {
        Leaf::Event(fields) => then(native::record(fields, fields.is_whole())),
        Leaf::LogEntry(fields, payload) => then(gke::event(fields, payload)),
        Leaf::Row(fields) => {
            let (event, is_whole) = rewrite::row(fields);
            rewrite::then(&event, is_whole && fields.is_whole(), then)
        }
        Leaf::Ocsf(fields) => rewrite::then(&rewrite::ocsf(fields).to_string(), fields.is_whole(), then),
        Leaf::Legacy(line) => {
            let (event, is_whole) = rewrite::legacy(line);
            rewrite::then(&event.to_string(), is_whole, then)
        }
        Leaf::Other => then(Normalized::NotAudit),
        Leaf::Unopened => then(Normalized::Malformed("it holds an audit event in an envelope that is not known")),
        Leaf::Broken(_) => then(Normalized::Malformed("no whole JSON, and too little of it left to decide")),
        Leaf::TooLong => then(Normalized::Malformed("larger than --max-record")),
    }
}

/// Reads an event of audit.k8s.io of which only the first members are present.
pub fn normalize_head<T>(fields: &Fields<'_>, then: impl FnOnce(Normalized<'_>) -> T) -> T {
    then(native::event(fields, true))
}

/// Where the time of an event comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum TimeSource {
    /// `requestReceivedTimestamp`.
    RequestReceived,
    /// `stageTimestamp`.
    Stage,
    /// The envelope or line prefix.
    Envelope,
}

impl TimeSource {
    /// As reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TimeSource::RequestReceived => "requestReceived",
            TimeSource::Stage => "stage",
            TimeSource::Envelope => "envelope",
        }
    }
}

/// The time of an event: when it was received, else when its stage was reached, else when it was logged.
#[must_use]
pub fn time_of(event: &AuditEvent<'_>, envelope: &Envelope<'_>) -> Option<(Timestamp, TimeSource)> {
    let received = event.request_received.map(|time| (time, TimeSource::RequestReceived));
    let stage = || event.stage_timestamp.map(|time| (time, TimeSource::Stage));
    let logged = || {
        let time = envelope.time.and_then(time::from_json).or_else(|| time::parse(envelope.line_time?));
        time.map(|time| (time, TimeSource::Envelope))
    };
    received.or_else(stage).or_else(logged)
}
