//! AKS: diagnostic records in storage and Event Hubs, Log Analytics rows.

use std::borrow::Cow;

use super::fragments::Fragment;
use super::{Envelope, Fields, Platform, Raw, Step, Walk, part, step};
use crate::json;
use crate::paths::{azure_cluster, azure_subscription};

/// Keys under which Log Analytics keeps the record of AzureDiagnostics.
const LOG_COLUMNS: [&str; 1] = ["log_s"];
/// Columns that hold the properties; in some workspaces, as a string.
const PROPERTIES: [&str; 3] = ["properties", "properties_s", "AdditionalFields"];

/// Opens the envelopes of Azure.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    diagnostics_row(fields, envelope, walk) || record(fields, envelope, walk) || capture(fields, envelope, walk)
}

/// Whether this is a row of AKSAudit, AKSAuditAdmin, ArcK8sAudit or, with other names, AWSEKSLogs (learn.microsoft.com,
/// tables). Panther's rule finds nothing under such names.
pub(super) fn is_row(fields: &Fields<'_>) -> bool {
    let any = |keys: &[&str]| keys.iter().any(|key| fields.get(key).is_some());
    fields.get("Verb").is_some()
        && any(&["AuditId", "RequestUri", "ObjectRef"])
        && super::aws::raw_event(fields).is_none()
        && fields.get("p_log_type").is_none()
}

/// What the other columns of such a row say.
pub(super) fn told_by_row<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    if fields.get("AwsAccountId").is_some() || fields.get("ClusterName").is_some() {
        return super::aws::told_by_sentinel(fields, envelope);
    }
    Envelope { category: None, ..told(fields, envelope, "aks-audit") }
}

/// What the outer record says: category, time, and the resource id (`…/MANAGEDCLUSTERS/<cluster>`).
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

/// Opens a record of a diagnostic setting: `properties.log` holds the event, as a string with a newline or as an
/// object.
fn record<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    if PROPERTIES.iter().all(|key| fields.get_even_cut(key).is_none()) {
        return false;
    }
    let mut told = told(fields, envelope, "azure-diagnostic");
    // In a Panther row the column is an object. If it is a string, Panther's rule reads nothing in it.
    let column = first(fields, &PROPERTIES).map(|(_, raw)| raw);
    if let Some(text) = column.filter(|raw| json::is_string(raw) && fields.get("p_log_type").is_some()) {
        walk.leaf(super::Leaf::Broken(text), &told);
        return true;
    }
    let of_azure = is_of_azure(fields);
    // A record without a category does not belong to the audit categories either.
    told.category = told.category.or(Some(Cow::Borrowed("")));
    // Workspaces may have several of these columns, and fill one.
    if filled(fields, &PROPERTIES).any(|(key, properties)| log_inside(key, properties, &told, walk)) {
        return true;
    }
    if of_azure {
        walk.leaf(super::Leaf::Other, &told);
    }
    of_azure
}

/// Whether a record belongs to another service or category if its properties hold no log line. If no properties are
/// filled, a log line may stand next to them.
fn is_of_azure(fields: &Fields<'_>) -> bool {
    let is_beside = first(fields, &PROPERTIES).is_none() && first(fields, &["log"]).is_some();
    !is_beside && fields.get_folded("category").is_some() && fields.is_whole()
}

/// Opens the log line in a column of properties; false if it holds none.
fn log_inside<'a>(key: Step, properties: Raw<'a>, told: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let decoded = json::string(properties);
    let inner = Fields::read(decoded.as_ref().map_or(properties, |text| text.as_bytes()));
    let Some(inner) = inner else { return false };
    let Some((log_key, log)) = first(&inner, &["log"]) else { return false };
    walk.inside(key, |walk| log_text(log_key, log, &inner, told, walk));
    true
}

/// Opens a row of AzureDiagnostics: the same record, flattened, with a type suffix on each name.
fn diagnostics_row<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some((key, log)) = first(fields, &LOG_COLUMNS) else { return false };
    let told = told(fields, envelope, "azure-diagnostics-row");
    log_text(key, log, fields, &told, walk);
    true
}

/// The non-empty members of these keys, under the names they have here.
fn filled<'f, 'a>(fields: &'f Fields<'a>, keys: &'f [&'static str]) -> impl Iterator<Item = (Step, Raw<'a>)> {
    keys.iter().filter_map(|key| {
        let raw = fields.get_even_cut(key).filter(|raw| !json::is_empty(raw))?;
        Some((step(fields, key), raw))
    })
}

/// The first non-empty member of these keys.
fn first<'a>(fields: &Fields<'a>, keys: &[&'static str]) -> Option<(Step, Raw<'a>)> {
    filled(fields, keys).next()
}

/// Opens the log text, joined with its continuation if a container runtime split it (Azure/AKS issue 4635).
fn log_text<'a>(key: Step, log: Raw<'a>, around: &Fields<'_>, told: &Envelope<'a>, walk: &mut Walk<'_, '_>) {
    let Some(text) = json::string(log) else {
        // An object is the event itself. No pipeline writes a list here.
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

/// Opens a message that Event Hub Capture wrote to Avro: its body is the JSON that the diagnostic setting sent.
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
