//! The ledger: every record of every input ends in exactly one counter.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why an input was not read to its end when the run was stopped.
pub const INTERRUPTED: &str = "interrupted";

/// How reading an input ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything was read and decided.
    #[default]
    Ok,
    /// Not read, for a reason other than damage.
    Skipped,
    /// Read, except for bytes that could not be decoded or records that could not be decided.
    Partial,
    /// Not read.
    Failed,
}

/// One input: a file, or a member of an archive. A row of `inputs.csv`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Input {
    /// Path relative to the PATH argument.
    pub path: Arc<str>,
    /// Path inside the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Arc<str>>,
    /// Size as stored, in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes as stored; absent if not all were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Containers around the text, outermost first, joined by `+`.
    pub container: String,
    /// Names of the formats of its records.
    pub format: BTreeSet<Cow<'static, str>>,
    /// Number of members, for an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// `events + not_audit + malformed`.
    pub records: u64,
    /// Audit events.
    pub events: u64,
    /// Records of something else.
    pub not_audit: u64,
    /// Records that could not be decided.
    pub malformed: u64,
    /// Events that have lost a part.
    pub truncated: u64,
    /// Cut events that could be decided from the fields that are left.
    pub salvaged: u64,
    /// CronJob requests that are another copy of one kept elsewhere.
    pub duplicates: u64,
    /// Events outside every requested window.
    pub outside: u64,
    /// Hits whose evidence is in this input.
    pub hits: u64,
    /// Earliest event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_time: Option<Timestamp>,
    /// Latest event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Timestamp>,
    /// How reading ended.
    pub status: Status,
    /// Why it is not `ok`, or the first problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The status it had when the case took it in, if it was damaged then.
    #[serde(skip)]
    pub in_case: Option<Status>,
}

impl Input {
    /// A row with nothing counted yet.
    #[must_use]
    pub fn new(path: Arc<str>, member: Option<Arc<str>>) -> Self {
        Input { path, member, ..Input::default() }
    }

    /// Notes a problem. The gravest status and the first reason given for it are kept.
    pub fn problem(&mut self, status: Status, reason: impl Into<String>) {
        if status > self.status || self.error.is_none() {
            self.error = Some(reason.into());
        }
        self.status = self.status.max(status);
    }

    /// Notes that a stop ended its reading. An earlier problem stays in the message.
    pub fn interrupt(&mut self) {
        self.error = Some(match self.error.take() {
            Some(told) if told.starts_with(INTERRUPTED) => told,
            Some(before) => format!("{INTERRUPTED}; before that {before}"),
            None => INTERRUPTED.to_owned(),
        });
        self.status = self.status.max(Status::Partial);
    }

    /// Widens the span of event times.
    pub fn seen(&mut self, time: Timestamp) {
        self.first_time = Some(self.first_time.map_or(time, |first| first.min(time)));
        self.last_time = Some(self.last_time.map_or(time, |last| last.max(time)));
    }
}

/// The ledger of the whole sweep: sums over all inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "sums of the fields of Input")]
pub struct Totals {
    /// Files, not counting archive members.
    pub files: u64,
    /// Bytes of the files as stored.
    pub bytes: u64,
    pub records: u64,
    pub events: u64,
    pub not_audit: u64,
    pub malformed: u64,
    pub truncated: u64,
    pub salvaged: u64,
    pub duplicates: u64,
    pub outside: u64,
    /// Inputs by status.
    pub ok: u64,
    pub skipped: u64,
    pub partial: u64,
    pub failed: u64,
}

impl Totals {
    /// Sums up rows.
    #[must_use]
    pub fn of(inputs: &[Input]) -> Self {
        let mut totals = Totals::default();
        for input in inputs {
            totals.add(input);
        }
        totals
    }

    fn add(&mut self, input: &Input) {
        if input.member.is_none() {
            self.files += 1;
            self.bytes += input.bytes;
        }
        self.records += input.records;
        self.events += input.events;
        self.not_audit += input.not_audit;
        self.malformed += input.malformed;
        self.truncated += input.truncated;
        self.salvaged += input.salvaged;
        self.duplicates += input.duplicates;
        self.outside += input.outside;
        *match input.status {
            Status::Ok => &mut self.ok,
            Status::Skipped => &mut self.skipped,
            Status::Partial => &mut self.partial,
            Status::Failed => &mut self.failed,
        } += 1;
    }
}
