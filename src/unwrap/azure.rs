//! AKS: diagnostic records in storage and Event Hubs, Log Analytics rows.

use std::borrow::Cow;

use super::fragments::Fragment;
use super::{Envelope, Fields, Platform, Raw, Step, Walk, part};
use crate::json;

/// Keys under which Log Analytics keeps the record of AzureDiagnostics.
const LOG_COLUMNS: [&str; 1] = ["log_s"];
/// Columns that hold the properties as a string in some workspaces.
const PROPERTIES: [&str; 3] = ["properties", "properties_s", "AdditionalFields"];

/// Opens the envelopes of Azure.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    diagnostics_row(fields, envelope, walk) || record(fields, envelope, walk) || capture(fields, envelope, walk)
}

/// Rows of AKSAudit, AKSAuditAdmin, ArcK8sAudit and, with other names, AWSEKSLogs (learn.microsoft.com, tables).
pub(super) fn is_row(fields: &Fields<'_>) -> bool {
    let any = |keys: &[&str]| keys.iter().any(|key| fields.get(key).is_some());
    fields.get("Verb").is_some() && any(&["AuditId", "RequestUri", "ObjectRef"]) && fields.get("RawEvent").is_none()
}

/// What the other columns of such a row tell.
pub(super) fn told_by_row<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    if fields.get("AwsAccountId").is_some() || fields.get("ClusterName").is_some() {
        return super::aws::told_by_sentinel(fields, envelope);
    }
    Envelope { category: None, ..told(fields, envelope, "aks-audit") }
}

/// What the outer record tells: category, time, and the resource id (`…/MANAGEDCLUSTERS/<cluster>`).
fn told<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, format: &'static str) -> Envelope<'a> {
    let text = |keys: &[&str]| keys.iter().find_map(|key| json::string(fields.get_folded(key)?));
    let mut told = envelope.named(format, Some(Platform::Aks));
    told.category = text(&["category"]).or(told.category);
    told.time =
        ["time", "TimeGenerated", "TimeGenerated [UTC]"].iter().find_map(|key| fields.get_folded(key)).or(told.time);
    if let Some(id) = text(&["resourceId", "_ResourceId"]) {
        told.origin.cluster = told.origin.cluster.or_else(|| part(id.clone(), cluster_of_id));
        told.origin.account = told.origin.account.or_else(|| part(id, subscription_of_id));
    }
    told
}

/// The segment behind `managedClusters` in a resource id.
pub(crate) fn cluster_of_id(id: &str) -> Option<&str> {
    behind(id, "managedclusters").or_else(|| behind(id, "connectedclusters"))
}

/// The segment behind `subscriptions` in a resource id.
pub(crate) fn subscription_of_id(id: &str) -> Option<&str> {
    behind(id, "subscriptions")
}

fn behind<'t>(id: &'t str, name: &str) -> Option<&'t str> {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case(name))?;
    segments.next().filter(|segment| !segment.is_empty())
}

/// A record of a diagnostic setting: `properties.log` holds the event, as a string with a newline or as an object.
fn record<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some((key, properties)) = PROPERTIES.iter().find_map(|key| Some((*key, fields.get_folded(key)?))) else {
        return false;
    };
    // In a Panther row the column is an object; where it is a string, Panther's rule reads nothing in it.
    if json::is_string(properties) && fields.get("p_log_type").is_some() {
        walk.leaf(super::Leaf::Broken(properties), &told(fields, envelope, "azure-diagnostic"));
        return true;
    }
    let decoded = json::string(properties);
    let inner = decoded.as_ref().map_or(properties, |text| text.as_bytes());
    let mut told = told(fields, envelope, "azure-diagnostic");
    // A record without a category is not one of the audit categories either.
    told.category = told.category.or(Some(Cow::Borrowed("")));
    let inner_fields = Fields::read(inner);
    if let Some((inner_fields, (log_key, log))) =
        inner_fields.and_then(|inner| Some((inner.clone(), first(&inner, &["log"])?)))
    {
        walk.inside(Step::Key(key), |walk| log_text(log_key, log, &inner_fields, &told, walk));
        return true;
    }
    // A record of another service or category: its properties hold no log line.
    let azure = fields.get_folded("category").is_some() && fields.is_whole();
    if azure {
        walk.leaf(super::Leaf::Other, &told);
    }
    azure
}

/// A row of AzureDiagnostics: the same, flattened, with suffixes for types.
fn diagnostics_row<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some((key, log)) = first(fields, &LOG_COLUMNS) else { return false };
    let told = told(fields, envelope, "azure-diagnostics-row");
    log_text(key, log, fields, &told, walk);
    true
}

fn first<'a>(fields: &Fields<'a>, keys: &[&'static str]) -> Option<(&'static str, Raw<'a>)> {
    keys.iter().find_map(|key| Some((*key, fields.get_even_cut(key)?)))
}

/// The log text, joined with its continuation where a container runtime has split it (Azure/AKS issue 4635).
fn log_text<'a>(key: &'static str, log: Raw<'a>, around: &Fields<'_>, told: &Envelope<'a>, walk: &mut Walk<'_, '_>) {
    let Some(text) = json::string(log) else {
        // An object is the event itself; a list is nothing that any pipeline writes here.
        return match log.first() {
            Some(b'[') => walk.inside(Step::Key(key), |walk| walk.leaf(super::Leaf::Broken(log), told)),
            _ => walk.member(key, log, told),
        };
    };
    let source = ["containerID", "containerID_s", "pod", "pod_s"]
        .iter()
        .map(|key| around.text(key).unwrap_or(Cow::Borrowed("")));
    let source = source.collect::<Vec<_>>().join("\n");
    walk.inside(Step::Key(key), |walk| {
        let fragment = Fragment { source: &source, text: &text, ends_line: None };
        walk.fragment(&fragment, told);
    });
}

/// A message that Event Hub Capture wrote to Avro: its body is the JSON that the diagnostic setting sent.
fn capture<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(body) = fields.get("Body").filter(|_| fields.get("EnqueuedTimeUtc").is_some()) else { return false };
    let told = envelope.named("eventhub-capture", Some(Platform::Aks));
    if body == b"null" {
        return true;
    }
    let Some(text) = json::string(body) else {
        walk.member("Body", body, &told);
        return true;
    };
    walk.inside(Step::Key("Body"), |walk| walk.payload(text.as_bytes(), &told));
    true
}
