//! EKS: CloudWatch Logs subscriptions and API responses, Firehose, Lambda.

use super::{Envelope, Fields, Platform, Raw, Step, Walk, filled, part, step};
use crate::event::STAGES;
use crate::json;
use crate::paths::eks_cluster;

/// Opens the envelopes of AWS.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    payload(fields, envelope, walk)
        || sentinel(fields, envelope, walk)
        || failed(fields, envelope, walk)
        || log_event(fields, envelope, walk)
}

/// What the head of a subscription payload says of its events: the account and, from the log group, the cluster.
pub(super) fn subscription<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    let mut told = envelope.named("cloudwatch-subscription", Some(Platform::Eks));
    if let Some(owner) = filled(fields, "owner").filter(|owner| owner.bytes().all(|byte| byte.is_ascii_digit())) {
        told.origin.account = Some(owner);
    }
    let cluster = fields.text("logGroup").and_then(|group| part(group, eks_cluster));
    // The control plane's own log group holds events and lines of text, nothing wrapped by forwarders.
    told.control_plane = cluster.is_some();
    told.origin.cluster = told.origin.cluster.or(cluster);
    told
}

/// What the log group says that Logs Insights shows next to a record: `111122223333:/aws/eks/prod/cluster`.
pub(super) fn told_by_log<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    let mut told = envelope.clone();
    let log = || fields.text("@log");
    let account = |log| part(log, |log| Some(log.split_once(':')?.0));
    told.origin.account = told.origin.account.or_else(|| account(log()?));
    told.origin.cluster = told.origin.cluster.or_else(|| part(log()?, |log| eks_cluster(log.split_once(':')?.1)));
    told
}

/// Opens the event passed to a Lambda, whose payload is base64.
fn payload<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(awslogs) = fields.object("awslogs") else { return false };
    let Some(data) = awslogs.get("data") else { return false };
    let told = envelope.named("awslogs", Some(Platform::Eks));
    walk.inside(Step::Key("awslogs"), |walk| walk.base64(Step::Key("data"), data, &told));
    true
}

/// Opens a record that Firehose could not process: the evidence is in `rawData` (AWS docs, Firehose data
/// transformation).
fn failed<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(data) = fields.get("rawData").filter(|_| fields.get("errorCode").is_some()) else { return false };
    walk.base64(Step::Key("rawData"), data, &envelope.named("firehose-failed", Some(Platform::Eks)));
    true
}

/// Opens one log event: of a subscription payload, an API response, or a line that a Lambda printed.
fn log_event<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(message) = fields.get_even_cut("message") else { return false };
    let api = ["logStreamName", "ingestionTime", "eventId"].iter().any(|key| fields.get(key).is_some());
    let aws = fields.object("aws").and_then(|aws| aws.object("awslogs"));
    let group = fields.get("logGroup").is_some();
    let inside = envelope.control_plane || envelope.format == Some("cloudwatch-subscription");
    if !api && !group && aws.is_none() && !inside {
        return false;
    }
    let mut told = match &aws {
        Some(awslogs) => subscription(awslogs, &envelope.named("forwarder", None)),
        None => envelope.named("cloudwatch-events", Some(Platform::Eks)),
    };
    let cluster = fields.text("logGroup").and_then(|group| part(group, eks_cluster));
    told.closed = told.control_plane || cluster.is_some();
    told.origin.cluster = told.origin.cluster.or(cluster);
    told.time = fields.get("timestamp").or(told.time);
    walk.inside(step(fields, "message"), |walk| walk.value(message, &told));
    true
}

/// Opens a row of Sentinel's AWSEKSLogs that keeps the original event (learn.microsoft.com, tables/AWSEKSLogs).
fn sentinel<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(event) = raw_event(fields) else { return false };
    let told = told_by_sentinel(fields, envelope);
    walk.inside(step(fields, "RawEvent"), |walk| walk.value(event, &told));
    true
}

/// The original event, if the column is filled.
pub(super) fn raw_event<'a>(fields: &Fields<'a>) -> Option<Raw<'a>> {
    fields.get_even_cut("RawEvent").filter(|raw| !json::is_empty(raw))
}

/// What the other columns of such a row say.
pub(super) fn told_by_sentinel<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    let mut told = envelope.named("sentinel-awsekslogs", Some(Platform::Eks));
    told.origin.cluster = told.origin.cluster.or_else(|| filled(fields, "ClusterName"));
    told.origin.account = told.origin.account.or_else(|| filled(fields, "AwsAccountId"));
    told.origin.region = told.origin.region.or_else(|| filled(fields, "Region"));
    told.time = fields.get("TimeGenerated").or(told.time);
    told
}

/// What an OCSF record says: the region. Its account is that of the caller.
pub(super) fn told_by_ocsf<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    let mut told = envelope.named("ocsf", Some(Platform::Eks));
    told.origin.region = told.origin.region.or_else(|| filled(&fields.object("cloud")?, "region"));
    told
}

/// Whether this is an OCSF API Activity that Security Lake made from a Kubernetes audit event. Those made from
/// CloudTrail have the same class.
pub(super) fn is_ocsf(fields: &Fields<'_>) -> bool {
    // Some databases write numbers as text.
    let is_api_activity = fields.get("class_uid").and_then(json::integer) == Some(6003);
    let product = || fields.object("metadata")?.object("product");
    let names =
        || product().map(|product| [product.text("name"), product.object("feature").and_then(|f| f.text("name"))]);
    let of_eks = || names().is_some_and(|names| names.iter().flatten().any(|name| name.contains("EKS")));
    let stage = || fields.text("message").is_some_and(|stage| STAGES.contains(&stage.as_ref()));
    is_api_activity
        && fields.get("api").is_some()
        && (of_eks() || stage() && fields.object("api").is_some_and(|api| api.get("group").is_some()))
}
