//! AKS: diagnostic records in storage and Event Hubs, Log Analytics rows.

use std::borrow::Cow;

use super::fragments::Fragment;
use super::{Envelope, Fields, Platform, Raw, Step, Walk, is_nothing, part, step};
use crate::json;
use crate::paths::{azure_cluster, azure_subscription};

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
    fields.get("Verb").is_some()
        && any(&["AuditId", "RequestUri", "ObjectRef"])
        && fields.get("RawEvent").is_none_or(is_nothing)
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
        told.origin.cluster = told.origin.cluster.or_else(|| part(id.clone(), azure_cluster));
        told.origin.account = told.origin.account.or_else(|| part(id, azure_subscription));
    }
    told
}

/// A record of a diagnostic setting: `properties.log` holds the event, as a string with a newline or as an object.
fn record<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some((key, properties)) = first(fields, &PROPERTIES) else { return false };
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
    let inner = Fields::read(inner).unwrap_or_else(|| Fields::from_entries(Vec::new()));
    if let Some((log_key, log)) = first(&inner, &["log"]) {
        walk.inside(key, |walk| log_text(log_key, log, &inner, &told, walk));
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

/// The first of these members that holds something, under the name it has here: an export prints every column of a table
/// in every row.
fn first<'a>(fields: &Fields<'a>, keys: &[&'static str]) -> Option<(Step, Raw<'a>)> {
    let held = |key| fields.get_even_cut(key).filter(|raw| !is_nothing(raw));
    keys.iter().find_map(|key| Some((step(fields, key), held(key)?)))
}

/// The log text, joined with its continuation where a container runtime has split it (Azure/AKS issue 4635).
fn log_text<'a>(key: Step, log: Raw<'a>, around: &Fields<'_>, told: &Envelope<'a>, walk: &mut Walk<'_, '_>) {
    let Some(text) = json::string(log) else {
        // An object is the event itself; a list is nothing that any pipeline writes here.
        return match log.first() {
            Some(b'[') => walk.inside(key, |walk| walk.leaf(super::Leaf::Broken(log), told)),
            _ => walk.inside(key, |walk| walk.value(log, told)),
        };
    };
    if let Some((raw, fields)) = walk.undivided(&text) {
        return walk.inside(key, |walk| walk.read(raw, &fields, told));
    }
    let source = ["containerID", "containerID_s", "pod", "pod_s"]
        .iter()
        .map(|key| around.text(key).unwrap_or(Cow::Borrowed("")));
    let outside = [told.category.clone(), told.origin.cluster.clone()].map(Option::unwrap_or_default);
    let source = source.chain(outside).collect::<Vec<_>>().join("\n");
    walk.inside(key, |walk| {
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
    if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) {
        walk.inside(Step::Key("Body"), |walk| walk.payload(text.as_bytes(), &told));
    } else {
        walk.base64(Step::Key("Body"), body, &told);
    }
    true
}
