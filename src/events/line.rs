//! One event → the line that is printed of it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::aggregate::{Interner, Observation, Seen};
use crate::report::timesketch_line;
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
    /// The line with its newline; empty for the original of a record that was printed.
    pub(super) fn line(self, passing: &Passing<'_>) -> Vec<u8> {
        let mut line = match self {
            Form::Original if passing.original.is_empty() => return Vec::new(),
            Form::Original => passing.original.clone(),
            Form::Json => json_line(passing),
            Form::Timesketch => timesketch(passing),
        };
        line.push(b'\n');
        line
    }
}

/// The members of the event, then ours. A member of the record that is named like one of these gives way.
fn json_line(passing: &Passing<'_>) -> Vec<u8> {
    let native = passing.view.native();
    // The items of an EventList do not repeat what they are.
    let mut members = Map::new();
    members.insert("kind".to_owned(), "Event".into());
    members.insert("apiVersion".to_owned(), "audit.k8s.io/v1".into());
    members.extend(native.as_object().cloned().unwrap_or_default());
    members.shift_remove("origin");
    members.shift_remove("evidence");
    let origin = passing.origin;
    let mut told = json!({
        "platform": origin.platform, "cluster": origin.cluster, "account": origin.account, "region": origin.region,
    });
    if let Value::Object(told) = &mut told {
        told.retain(|_, value| !value.is_null());
    }
    members.insert("origin".to_owned(), told);
    members.insert("evidence".to_owned(), json!(passing.evidence));
    Value::Object(members).to_string().into_bytes()
}

/// With the keys of hits.jsonl.
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
    timesketch_line(&json!(Arc::clone(&observation.record))).to_string().into_bytes()
}
