//! One event → the line printed for it.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::aggregate::{Interner, Observation, Seen};
use crate::event::{Origin, Platform};
use crate::redact::Redactor;
use crate::report::{Plain, timesketch_line};
use crate::sweep::Passing;

/// How an event is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As audit.k8s.io/v1 writes it, with `origin` and `evidence` at the end.
    Json,
    /// For Timesketch.
    Timesketch,
    /// The bytes of its record.
    Original,
}

impl Form {
    /// The line with its newline; empty for an original that was already printed.
    pub(super) fn line(self, passing: &Passing<'_>, redactor: Option<&Redactor>) -> Vec<u8> {
        let mut line = match self {
            Form::Original if passing.original.is_empty() => return Vec::new(),
            Form::Original => passing.original.clone(),
            Form::Json => json(&Line(passing)),
            Form::Timesketch => timesketch(passing),
        };
        if let Some(redactor) = redactor {
            line = redacted(&line, redactor);
        }
        line.push(b'\n');
        line
    }
}

/// The members of the event, then ours. A member of the record with the name of one of ours is left out.
struct Line<'l, 'p>(&'l Passing<'p>);

#[derive(Serialize)]
struct Told<'t> {
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'t str>,
}

impl Serialize for Line<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Passing { view, origin, evidence, .. } = self.0;
        let mut line = serializer.serialize_map(None)?;
        let native = view.native();
        // Items of an EventList lack these two members.
        for (key, value) in [("kind", "Event"), ("apiVersion", "audit.k8s.io/v1")] {
            if native.get(key).is_none() {
                line.serialize_entry(key, value)?;
            }
        }
        let members = native.as_object().into_iter().flatten();
        for (key, value) in members.filter(|(key, _)| *key != "origin" && *key != "evidence") {
            line.serialize_entry(key, value)?;
        }
        let Origin { platform, account, cluster, region } = origin;
        let (cluster, account, region) = (cluster.as_deref(), account.as_deref(), region.as_deref());
        line.serialize_entry("origin", &Told { platform: *platform, cluster, account, region })?;
        line.serialize_entry("evidence", evidence)?;
        line.end()
    }
}

fn json(line: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to memory cannot fail, and every key is text.
    let _ = serde_json::to_writer(Plain::new(&mut text), line);
    text
}

/// A line of JSON printed by this module, with secrets masked.
fn redacted(line: &[u8], redactor: &Redactor) -> Vec<u8> {
    match serde_json::from_slice::<Value>(line) {
        Ok(mut value) => {
            redactor.value(&mut value);
            json(&value)
        }
        // A number that does not fit an f64, or nesting too deep for serde_json.
        Err(_) => redactor.text(&String::from_utf8_lossy(line)).into_bytes(),
    }
}

/// The event for Timesketch, with the keys of hits.jsonl.
fn timesketch(passing: &Passing<'_>) -> Vec<u8> {
    let seen = Seen {
        time: passing.time,
        origin: passing.origin.clone(),
        category: None,
        evidence: passing.evidence.clone(),
        digest: String::new(),
        matches: Vec::new(),
        interests: Vec::new(),
    };
    let observation = Observation::new(passing.view.event, seen, &mut Interner::default());
    let mut record = json!(observation.record);
    if let Value::Object(members) = &mut record {
        // These are known only after everything was read.
        members.shift_remove("copies");
        members.shift_remove("damaged");
    }
    json(&timesketch_line(&record))
}
