//! GKE: a LogEntry as it is, with BigQuery's column names, or inside Pub/Sub messages.

use super::fragments::is_one_value;
use super::signs::holds_event;
use super::{Envelope, Fields, Leaf, Platform, Step, Walk};
use crate::json::{self, Raw};

/// Where an entry keeps its audit log. BigQuery uses another name.
const PAYLOADS: [&str; 2] = ["protoPayload", "protopayload_auditlog"];

/// The audit log of an entry of service k8s.io. Key lookup ignores case, as Panther's rule does.
pub(crate) fn audit_log<'a>(fields: &Fields<'a>) -> Option<Fields<'a>> {
    // A query chose other fields. In an entry that is cut, anything may follow; Panther's rule reads its rows as they are.
    let is_projection = |payload: &Fields<'a>| {
        payload.is_whole() && payload.get_folded("serviceName").is_none() && fields.get("p_log_type").is_none()
    };
    let text = |payload: &Fields<'a>, key| payload.get_folded(key).and_then(json::string);
    let of_kubernetes = |payload: &Fields<'a>| match text(payload, "serviceName") {
        Some(name) => name == "k8s.io",
        None => is_projection(payload) && text(payload, "methodName").is_some_and(|name| name.starts_with("io.k8s.")),
    };
    payload(fields).filter(of_kubernetes)
}

/// The audit log of an entry.
fn payload<'a>(fields: &Fields<'a>) -> Option<Fields<'a>> {
    PAYLOADS.iter().find_map(|key| Fields::read(fields.get_folded(key)?))
}

/// An entry whose payload is JSON in a string, as table cells are, with objects and lists in place of their strings;
/// `None` for any other entry. The payload comes last, because it may be cut.
fn unquoted(fields: &Fields<'_>) -> Option<String> {
    let text = |raw| json::string(raw).filter(|text| text.trim_start().starts_with(['{', '[']));
    let is_payload = |key: &str| PAYLOADS.iter().any(|payload| json::equal_folded(payload, key));
    let (payload, others): (Vec<_>, Vec<_>) = fields.iter().partition(|(key, _)| is_payload(key));
    payload.iter().any(|(_, raw)| text(raw).is_some()).then_some(())?;
    let members = others.into_iter().chain(payload).map(|(key, raw)| {
        let unquoted = text(raw).filter(|text| is_payload(key) || is_one_value(text));
        let value = unquoted.unwrap_or_else(|| String::from_utf8_lossy(raw));
        format!("{}:{value}", serde_json::Value::from(key))
    });
    Some(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}

/// What an entry says: the labels of its resource, and its time of receipt.
pub(super) fn told<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    let format = if fields.get_folded("protopayload_auditlog").is_some() { "gke-bigquery" } else { "gke-logentry" };
    let mut told = envelope.named(format, Some(Platform::Gke));
    let labels = fields.get_folded("resource").and_then(Fields::read).and_then(|resource| resource.get("labels"));
    let label = |key: &str| json::string(label(labels?, key)?).filter(|text| !text.is_empty());
    told.origin.cluster = label("cluster_name").or(told.origin.cluster);
    told.origin.account = label("project_id").or(told.origin.account);
    told.origin.region = label("location").or(told.origin.region);
    told.time = fields.get_folded("timestamp").or(told.time);
    told
}

/// The value of a label: a member of an object or, in BigQuery, of a list of keys and values.
pub(crate) fn label<'a>(labels: Raw<'a>, key: &str) -> Option<Raw<'a>> {
    if let Some(labels) = Fields::read(labels) {
        return labels.get(key);
    }
    let mut pairs = json::elements(labels).filter_map(Fields::read);
    pairs.find(|pair| pair.text("key").as_deref() == Some(key))?.get("value")
}

/// Opens the envelopes of Google Cloud, and recognises entries of its other services.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    if let Some(text) = unquoted(fields) {
        match Fields::read(text.as_bytes()).filter(|inner| payload(inner).is_some()) {
            Some(inner) => walk.members(text.as_bytes(), &inner, envelope),
            None => walk.leaf(Leaf::Broken(text.as_bytes()), envelope),
        }
        return true;
    }
    // Of which service it is was lost.
    if payload(fields).is_some_and(|payload| !payload.is_whole() && payload.get_folded("serviceName").is_none()) {
        walk.leaf(Leaf::Broken(b""), &envelope.named("gcp-logentry", None));
        return true;
    }
    let is_entry = ["insertId", "resource", "jsonPayload", "textPayload"].iter().any(|key| fields.get(key).is_some());
    if payload(fields).is_some() || fields.get("logName").is_some() && is_entry {
        let leaf = if is_of_agent(fields) { Leaf::Unopened } else { Leaf::Other };
        walk.leaf(leaf, &envelope.named("gcp-logentry", None));
        return true;
    }
    pubsub(fields, envelope, walk)
}

/// Whether an entry holds an audit event that an agent on a machine sent. A container may have written anything.
fn is_of_agent(fields: &Fields<'_>) -> bool {
    let resource = fields.object("resource").and_then(|resource| resource.text("type"));
    let of_container = resource.is_none_or(|kind| kind == "k8s_container");
    !of_container && payload(fields).is_none() && fields.iter().any(|(_, raw)| holds_event(raw))
}

/// Opens a message as pulled (`{"ackId","message":{"data"}}`), as pushed, or as an Avro or BigQuery row.
fn pubsub<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let told = || envelope.named("pubsub", Some(Platform::Gke));
    if let Some(data) = fields.object("message").and_then(|message| message.get("data")) {
        walk.inside(Step::Key("message"), |walk| walk.base64(Step::Key("data"), data, &told()));
        return true;
    }
    let wrapped = ["attributes", "messageId", "message_id", "publishTime"].iter().any(|key| fields.get(key).is_some());
    let Some(data) = fields.get("data").filter(|data: &Raw<'_>| wrapped && json::is_string(data)) else { return false };
    walk.base64(Step::Key("data"), data, &told());
    true
}
