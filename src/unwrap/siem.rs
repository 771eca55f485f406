//! Containers, forwarders and SIEMs: one key around the record, recognised by name.

use super::fragments::{Fragment, is_one_value};
use super::{Envelope, Fields, Platform, Raw, Step, Walk, step};
use crate::json;

/// Keys that forwarders put around a record, the format each shows, and the platform if only one uses it.
///
/// The order decides if several are present: Splunk's `result` holds `_raw`, Elastic's `_source` holds `message`.
const WRAPPERS: [(&str, &str, Option<Platform>); 14] = [
    ("RawEventData", "defender", Some(Platform::Aks)),
    ("rawResponse", "elastic", None),
    ("result", "splunk", None),
    ("_raw", "splunk", None),
    ("_source", "elastic", None),
    ("@message", "cloudwatch-insights", Some(Platform::Eks)),
    ("line", "loki", None),
    ("attributes", "datadog", None),
    ("json", "filebeat", None),
    ("kinesis", "stream-record", None),
    ("event", "forwarder", None),
    ("message", "forwarder", None),
    ("log", "fluent-bit", None),
    ("log_processed", "fluent-bit", None),
];

/// Keys that hold the time next to a record, in any case.
const TIMES: [&str; 11] = [
    "@timestamp",
    "timestamp",
    "time",
    "_time",
    "date",
    "TimeGenerated",
    "TimeGenerated [UTC]",
    "eventTime",
    "datetime",
    "_messagetime",
    "ts",
];

/// What stands next to a record: its time, the log group in Logs Insights, the cluster in the Elastic Common Schema.
pub(super) fn beside<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    let mut told = super::aws::told_by_log(fields, envelope);
    let is_time = |raw: &Raw<'_>| crate::time::from_json(raw).is_some();
    told.time = TIMES.iter().find_map(|key| fields.get_folded(key).filter(is_time)).or(told.time);
    let of_ecs = || json::string(fields.inside(&["orchestrator", "cluster", "name"])?);
    let cluster = || fields.text("orchestrator.cluster.name").or_else(of_ecs).filter(|name| !name.is_empty());
    told.origin.cluster = told.origin.cluster.or_else(cluster);
    told
}

/// Opens the envelopes of forwarders and SIEMs.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    elastic_hits(fields, envelope, walk)
        || elastic_field(fields, envelope, walk)
        || loki(fields, envelope, walk)
        || docker(fields, envelope, walk)
        || encoded(fields, envelope, walk)
        || told(fields, envelope, walk)
        || wrapper(fields, envelope, walk)
}

/// Opens an Elasticsearch response: `hits.hits[]._source`.
fn elastic_hits<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(hits) = fields.object("hits").and_then(|hits| hits.list("hits")) else { return false };
    let told = envelope.named("elastic", None);
    walk.inside(Step::Key("hits"), |walk| {
        walk.inside(Step::Key("hits"), |walk| walk.each(hits, &told, Walk::value));
    });
    true
}

/// Opens Elastic's own parsing: the event as an object in `kubernetes.audit` (elastic/integrations, audit_logs).
fn elastic_field<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let told = || beside(fields, &envelope.named("elastic", None));
    if let Some(audit) = fields.get("kubernetes.audit") {
        walk.member("kubernetes.audit", audit, &told());
        return true;
    }
    let Some(audit) = fields.object("kubernetes").and_then(|kubernetes| kubernetes.get("audit")) else { return false };
    walk.inside(Step::Key("kubernetes"), |walk| walk.member("audit", audit, &told()));
    true
}

/// Opens a Loki response: `data.result[].values[][1]`, or what is pushed to it and what it gives to who follows a query:
/// `streams[].values[][1]`.
fn loki<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    if let Some(streams) = fields.list("streams") {
        let told = envelope.named("loki", None);
        walk.inside(Step::Key("streams"), |walk| walk.each(streams, &told, loki_stream));
        return true;
    }
    let Some(result) = fields.object("data").and_then(|data| data.list("result")) else { return false };
    let told = envelope.named("loki", None);
    walk.inside(Step::Key("data"), |walk| {
        walk.inside(Step::Key("result"), |walk| walk.each(result, &told, loki_stream));
    });
    true
}

fn loki_stream<'a>(walk: &mut Walk<'_, '_>, stream: Raw<'a>, told: &Envelope<'a>) {
    let Some(values) = Fields::read(stream).and_then(|stream| stream.list("values")) else {
        return walk.leaf(super::Leaf::Other, told);
    };
    walk.inside(Step::Key("values"), |walk| {
        walk.each(values, told, |walk, pair, told| {
            let mut pair = json::elements(pair);
            let timed = Envelope { time: pair.next(), ..told.clone() };
            match pair.next() {
                Some(line) => walk.inside(Step::Index(1), |walk| walk.value(line, &timed)),
                None => walk.leaf(super::Leaf::Other, told),
            }
        });
    });
}

/// Opens a line of docker's json-file driver: lines over 16 KiB are split, and only the last part ends with a newline.
/// Fluent Bit's CRI parser writes the same without newlines, and `logtag` F where a line ends.
fn docker<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let (Some(log), Some(stream)) = (fields.text("log"), fields.text("stream")) else { return false };
    if fields.get("time").is_none() {
        return false;
    }
    let mut told = envelope.named("docker", None);
    told.time = fields.get("time");
    walk.inside(Step::Key("log"), |walk| {
        let tag = fields.text("logtag");
        let ends = tag.as_deref() == Some("F") || tag.is_none() && (log.ends_with('\n') || is_one_value(&log));
        let fragment = Fragment { source: &stream, text: &log, ends_line: Some(ends) };
        walk.fragment(&fragment, &told);
    });
    true
}

/// Opens the first wrapper that seems to hold a record, or else the first one: in some tools `event`, `log` and
/// `attributes` are objects of metadata.
fn wrapper<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let held = |(key, format, platform): &(&'static str, &'static str, Option<Platform>)| {
        Some((*key, *format, *platform, fields.get_even_cut(key)?))
    };
    let all = || WRAPPERS.iter().filter_map(held);
    let promising = all().find(|(.., raw)| may_hold_record(raw));
    let Some((key, format, platform, inner)) = promising.or_else(|| all().next()) else { return false };
    let told = beside(fields, &envelope.named(format, platform));
    walk.inside(step(fields, key), |walk| walk.value(inner, &told));
    true
}

/// Keys that many tools use for text written by strangers, and the keys of which one must be present to trust them:
/// those of queues, streams, topics and log columns.
const TOLD: [(&str, &[&str]); 3] = [
    ("body", &["MessageId", "ReceiptHandle", "SeverityText", "EnqueuedTimeUtc", "sequenceNumber"]),
    ("payload", &["topic"]),
    ("value", &["topic"]),
];

/// Opens what these keys hold, and the original text that Logstash and Elastic keep next to what they parsed.
fn told<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let is_told = |beside: &[&str]| beside.iter().any(|key| fields.get_folded(key).is_some());
    let named = envelope.named("forwarder", None);
    // Text without a record must not keep another member from being opened.
    let may_hold = |raw: &Raw<'a>| raw.first() != Some(&b'"') || may_hold_record(raw);
    for (key, _) in TOLD.iter().filter(|(_, beside)| is_told(beside)) {
        if let Some(held) = fields.get_folded(key).filter(may_hold) {
            walk.inside(step(fields, key), |walk| walk.value(held, &named));
            return true;
        }
    }
    let original = fields.object("event").and_then(|event| event.get("original")).filter(may_hold);
    let Some(original) = original else { return false };
    walk.inside(Step::Key("event"), |walk| walk.member("original", original, &named));
    true
}

/// Keys found next to the data of a stream record.
const OF_STREAM: [&str; 5] =
    ["partitionKey", "sequenceNumber", "recordId", "approximateArrivalTimestamp", "ContentData"];

/// Opens a stream record: of Kinesis as it is read or as a Lambda receives it, of Firehose as a transformation or an
/// HTTP endpoint receives it (AWS docs, "Amazon Kinesis Data Firehose data transformation", "HTTP endpoint delivery
/// request"), or of Event Hubs as a Logic App receives it.
fn encoded<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some((key, data)) = ["data", "ContentData"].iter().find_map(|key| Some((*key, fields.get_folded(key)?))) else {
        return false;
    };
    let is_told = OF_STREAM.iter().any(|key| fields.get_folded(key).is_some()) || fields.iter().count() == 1;
    // How base64 of gzip and of objects begins.
    let is_one = |text: &[u8]| ["H4sI", "eyJ", "eyA", "ewo"].iter().any(|start| text.starts_with(start.as_bytes()));
    if !is_told || !data.strip_prefix(b"\"").is_some_and(is_one) {
        return false;
    }
    walk.base64(step(fields, key), data, &envelope.named("stream-record", None));
    true
}

/// Whether this is text that may be a record, or an object that is an event or wraps one.
fn may_hold_record(raw: &Raw<'_>) -> bool {
    if raw.first() == Some(&b'"') {
        let text = json::cut_string(&raw[..raw.len().min(256)]);
        return text.trim_start().starts_with(['{', '['])
            || super::is_legacy(&text)
            || crate::frame::cri_content(&text).is_some();
    }
    let wraps = |fields: &Fields<'_>| {
        WRAPPERS.iter().any(|(key, ..)| fields.get(key).is_some()) || fields.get("kubernetes").is_some()
    };
    Fields::read(raw).is_some_and(|fields| super::native(&fields).is_some() || wraps(&fields))
}

/// Whether the object around `items` is an EventList, rather than a list of Kubernetes objects.
pub(super) fn is_event_list(around: &Fields<'_>) -> bool {
    !is_kubernetes_object(around)
}

/// Whether this is a Kubernetes API object: its texts are written by users, not logged by the API server.
pub(super) fn is_kubernetes_object(fields: &Fields<'_>) -> bool {
    let version = fields.text("apiVersion");
    // The version of a list of audit events may have lost a byte.
    let audit = if fields.text("kind").is_some_and(|kind| kind == "EventList") { "audit" } else { "audit.k8s.io/" };
    fields.text("kind").is_some() && version.is_some_and(|version| !version.starts_with(audit))
}

/// Whether a member is a Kubernetes API object, as in the output of a watch: event keys inside it are part of that
/// object.
pub(super) fn holds_kubernetes_object(fields: &Fields<'_>) -> bool {
    fields.iter().any(|(_, raw)| Fields::read(raw).is_some_and(|inner| is_kubernetes_object(&inner)))
}
