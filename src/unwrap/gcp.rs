//! GKE: LogEntry as it is, in BigQuery's column names, and inside Pub/Sub messages.

use super::{Envelope, Fields, Platform, Step, Walk, filled};
use crate::json::{self, Raw};

/// The audit log of an entry of service k8s.io. Looked up ignoring case, as Panther's rule does.
pub(crate) fn audit_log<'a>(fields: &Fields<'a>) -> Option<Fields<'a>> {
    payload(fields).filter(|payload| payload.get_folded("serviceName").is_some_and(|name| name == b"\"k8s.io\""))
}

/// The audit log of an entry: `protoPayload`, or BigQuery's `protopayload_auditlog`.
fn payload<'a>(fields: &Fields<'a>) -> Option<Fields<'a>> {
    ["protoPayload", "protopayload_auditlog"].iter().find_map(|key| Fields::read(fields.get_folded(key)?))
}

/// What an entry tells: the labels of its resource, and its time of receipt.
pub(super) fn told<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    let format = if fields.get_folded("protopayload_auditlog").is_some() { "gke-bigquery" } else { "gke-logentry" };
    let mut told = envelope.named(format, Some(Platform::Gke));
    let labels = fields.get_folded("resource").and_then(Fields::read).and_then(|resource| resource.object("labels"));
    if let Some(labels) = labels {
        told.origin.cluster = filled(&labels, "cluster_name").or(told.origin.cluster);
        told.origin.account = filled(&labels, "project_id").or(told.origin.account);
        told.origin.region = filled(&labels, "location").or(told.origin.region);
    }
    told.time = fields.get_folded("timestamp").or(told.time);
    told
}

/// Opens the envelopes of Google Cloud, and takes entries of its other services for what they are.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let is_entry = ["insertId", "resource", "jsonPayload", "textPayload"].iter().any(|key| fields.get(key).is_some());
    if payload(fields).is_some() || fields.get("logName").is_some() && is_entry {
        walk.leaf(super::Leaf::Other, &envelope.named("gcp-logentry", None));
        return true;
    }
    pubsub(fields, envelope, walk)
}

/// A message as pulled (`{"ackId","message":{"data"}}`), as pushed, or as an Avro or BigQuery row of messages.
fn pubsub<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let told = || envelope.named("pubsub", Some(Platform::Gke));
    if let Some(data) = fields.object("message").and_then(|message| message.get("data")) {
        walk.inside(Step::Key("message"), |walk| walk.base64("data", data, &told()));
        return true;
    }
    let wrapped = ["attributes", "messageId", "message_id", "publishTime"].iter().any(|key| fields.get(key).is_some());
    let Some(data) = fields.get("data").filter(|data: &Raw<'_>| wrapped && json::is_string(data)) else { return false };
    walk.base64("data", data, &told());
    true
}
