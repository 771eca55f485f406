//! Timesketch: JSON lines with the three members it requires, and flat attributes.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::plain::Plain;
use crate::aggregate::Hit;
use crate::spill::{Sorted, write_json};

/// Where Timesketch and plaso put events without a time: an import fails if a line has none.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

pub(super) fn lines(hits: &Sorted<Hit>, out: &mut dyn Write) -> io::Result<()> {
    hits.read()?.try_for_each(|hit| write_json(&line(&json!(*hit?)), &mut Plain::new(&mut *out)))
}

/// A hit or record as Timesketch reads it: `message`, `datetime`, `timestamp_desc`, then its own members, nested ones
/// dotted.
#[must_use]
pub fn line(record: &Value) -> Value {
    let (datetime, description) = match (record["time"].as_str(), record["time_source"].as_str()) {
        (Some(time), Some("requestReceived")) => (time, "Kubernetes audit: request received"),
        (Some(time), Some("stage")) => (time, "Kubernetes audit: stage reached"),
        (Some(time), _) => (time, "Kubernetes audit: logged"),
        (None, _) => (NO_TIME, "Not a time"),
    };
    let mut members = Map::new();
    members.insert("message".to_owned(), message(record).into());
    members.insert("datetime".to_owned(), datetime.into());
    members.insert("timestamp_desc".to_owned(), description.into());
    flatten("", record, &mut members);
    Value::Object(members)
}

/// The title of its alert, or else the request in words.
fn message(record: &Value) -> String {
    if let Some(title) = record["title"].as_str() {
        return title.to_owned();
    }
    let text = |key: &str| record[key].as_str();
    let object = match text("resource") {
        Some(_) => ["resource", "subresource", "namespace", "name"]
            .map(text)
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("/"),
        None => text("request_uri").unwrap_or("-").to_owned(),
    };
    let words = [text("username").unwrap_or("-"), text("verb").unwrap_or("-"), &object, text("outcome").unwrap_or("-")];
    words.join(" ")
}

/// Flattens nested objects. Lists of plain values stay lists, which Timesketch searches item by item; in lists of
/// objects, each becomes JSON text.
fn flatten(path: &str, value: &Value, members: &mut Map<String, Value>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, members);
            }
        }
        Value::Array(items) => {
            let item = |item: &Value| if item.is_object() { item.to_string().into() } else { item.clone() };
            members.insert(path.to_owned(), items.iter().map(item).collect());
        }
        plain => {
            members.insert(path.to_owned(), plain.clone());
        }
    }
}
