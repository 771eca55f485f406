//! Records that hold the fields of an event under other names: they are rewritten as an event, then read as one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Normalized, native, uri};
use crate::json::{self, Fields, Raw, Skip};

/// Reads the rewritten event. `whole` says whether the record was whole.
pub(super) fn then<T>(event: &str, whole: bool, then: impl FnOnce(Normalized<'_>) -> T) -> T {
    match Fields::read(event.as_bytes()) {
        Some(fields) => then(native::record(&fields, whole)),
        None => then(Normalized::NotAudit),
    }
}

/// Columns of AKSAudit and AWSEKSLogs (learn.microsoft.com, Azure Monitor tables), the fields they hold, and whether
/// these are objects or lists.
const COLUMNS: [(&str, &str, bool); 19] = [
    ("AuditId", "auditID", false),
    ("Stage", "stage", false),
    ("Level", "level", false),
    ("Verb", "verb", false),
    ("RequestUri", "requestURI", false),
    ("RequestURI", "requestURI", false),
    ("User", "user", true),
    ("ImpersonatedUser", "impersonatedUser", true),
    ("SourceIps", "sourceIPs", true),
    ("SourceIPs", "sourceIPs", true),
    ("UserAgent", "userAgent", false),
    ("ObjectRef", "objectRef", true),
    ("ResponseStatus", "responseStatus", true),
    ("RequestObject", "requestObject", true),
    ("ResponseObject", "responseObject", true),
    ("Annotations", "annotations", true),
    ("RequestReceivedTime", "requestReceivedTimestamp", false),
    ("RequestReceivedTimestamp", "requestReceivedTimestamp", false),
    ("StageReceivedTime", "stageTimestamp", false),
];

/// Rewrites a row, whose structured columns are JSON or strings of JSON. Also returns whether all cells are whole.
///
/// Log Analytics cuts long cells, and users write the content of some. No cell may swallow those after it, or pass for
/// another: the first cut one comes last, as in an event that is cut there, and other cut ones are left out.
pub(super) fn row(fields: &Fields<'_>) -> (String, bool) {
    let mut members: Vec<String> = Vec::new();
    let mut cut = None;
    for (name, raw) in fields.iter() {
        // The Azure portal adds the zone to the names of time columns.
        let name = name.strip_suffix(" [UTC]").unwrap_or(name);
        let Some((_, field, structured)) = COLUMNS.iter().find(|(column, ..)| *column == name) else { continue };
        let path = if *field == "objectRef" { object_path(raw, fields) } else { None };
        match path.map_or_else(|| cell(raw, *structured), Cell::Whole) {
            Cell::Whole(value) => members.push(format!("\"{field}\":{value}")),
            Cell::Cut(value) => cut = cut.or_else(|| Some(format!("\"{field}\":{value}"))),
        }
    }
    // A request on CronJobs has an object, whose column is damaged.
    let uri = request_uri(fields);
    let target = uri.as_deref().and_then(uri::target).and_then(|target| target.resource);
    let lost = target == Some("cronjobs") && fields.get("ObjectRef").is_none();
    let is_whole = cut.is_none() && !lost;
    members.extend(cut);
    (format!("{{{}}}", members.join(",")), is_whole)
}

/// The value of a column, as JSON.
enum Cell {
    /// One whole value.
    Whole(String),
    /// The beginning of a value.
    Cut(String),
}

fn cell(raw: Raw<'_>, structured: bool) -> Cell {
    let quoted = || String::from_utf8_lossy(raw);
    let unquoted = json::string(raw).filter(|text| structured && text.starts_with(['{', '[']));
    let value = unquoted.unwrap_or_else(quoted);
    match json::skip_lenient(value.as_bytes(), 0) {
        Skip::End(end) if value[end..].trim_ascii().is_empty() => Cell::Whole(value.into_owned()),
        Skip::Incomplete if value.starts_with(['{', '[', '"']) => Cell::Cut(value.into_owned()),
        _ => Cell::Whole(quoted().into_owned()),
    }
}

fn request_uri<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    fields.text("RequestUri").or_else(|| fields.text("RequestURI"))
}

/// The object of a request: AWSEKSLogs writes `namespace/resource/name`; the rest is in the path of the request.
fn object_path(raw: Raw<'_>, fields: &Fields<'_>) -> Option<String> {
    let path = json::string(raw).filter(|text| text.contains('/') && !text.starts_with('{'))?;
    let uri = request_uri(fields);
    let target = uri.as_deref().and_then(uri::target).unwrap_or_default();
    let mut parts = path.split('/');
    let object = json!({
        "namespace": parts.next(), "resource": parts.next(), "name": parts.next(),
        "subresource": target.subresource, "apiGroup": target.group, "apiVersion": target.version,
    });
    Some(object.to_string())
}

fn value(raw: Raw<'_>) -> Value {
    serde_json::from_slice(raw).unwrap_or(Value::Null)
}

/// Rewrites an OCSF API Activity (class 6003) that Security Lake made from an event (ocsf/examples, EKS Audit Logs).
pub(super) fn ocsf(fields: &Fields<'_>) -> Value {
    let all: Value = fields.iter().map(|(key, raw)| (key.to_owned(), value(raw))).collect::<Map<_, _>>().into();
    let at = |pointer: &str| all.pointer(pointer).filter(|value| !value.is_null()).cloned();
    let uri = at("/http_request/url/path");
    let kind = at("/resources/0/type");
    let (resource, subresource) =
        ocsf_resource(kind.as_ref().and_then(Value::as_str), uri.as_ref().and_then(Value::as_str));
    let groups = at("/actor/user/groups").and_then(|groups| {
        Some(groups.as_array()?.iter().filter_map(|group| group.get("name").cloned()).collect::<Value>())
    });
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1",
        "auditID": at("/api/request/uid"), "stage": at("/message"), "level": at("/metadata/log_level"),
        "verb": at("/api/operation"), "requestURI": uri,
        "user": {"username": at("/actor/user/name"), "uid": at("/actor/user/uid"), "groups": groups},
        "sourceIPs": at("/src_endpoint/ip").map(|ip| [ip]), "userAgent": at("/http_request/user_agent"),
        "objectRef": {
            "resource": resource, "subresource": subresource, "namespace": at("/resources/0/namespace"),
            "name": at("/resources/0/name"), "apiGroup": at("/api/group/name"), "apiVersion": at("/api/version"),
        },
        "requestReceivedTimestamp": at("/start_time_dt").or_else(|| at("/start_time")),
        "stageTimestamp": at("/time_dt").or_else(|| at("/time")),
    });
    if let Some(code) = at("/api/response/code") {
        event["responseStatus"] = json!({"code": code, "reason": at("/api/response/error")});
    }
    event
}

/// OCSF writes resource and subresource as one word; the path shows where the resource ends.
fn ocsf_resource<'a>(kind: Option<&'a str>, uri: Option<&'a str>) -> (Option<&'a str>, Option<&'a str>) {
    let named = uri.and_then(uri::target).and_then(|target| target.resource);
    match (kind, named) {
        (Some(kind), Some(resource)) if kind.starts_with(resource) => {
            let rest = kind[resource.len()..].trim_start_matches(['/', '.']);
            (Some(resource), Some(rest).filter(|rest| !rest.is_empty()))
        }
        (kind, named) => (kind.or(named), None),
    }
}

/// Rewrites a line of `--audit-log-format=legacy`: `<time> AUDIT: id="…" stage="…" ip="…" method="…" user="…" …`.
/// Also says whether nothing of it is lost.
pub(super) fn legacy(line: &str) -> (Value, bool) {
    let (time, rest) = line.split_once(" AUDIT: ").unwrap_or_default();
    let (pairs, rest) = legacy_pairs(rest);
    let get = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let uri = get("uri");
    let target = uri.as_deref().and_then(uri::target).unwrap_or_default();
    let code = get("response").and_then(|response| response.parse::<u16>().ok());
    let groups = get("groups")
        .map(|groups| groups.split(',').map(|group| group.trim_matches('"').to_owned()).collect::<Vec<_>>());
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": get("id"), "stage": get("stage"),
        "verb": get("method").map(|method| legacy_verb(&method, target.name.is_some())),
        "requestURI": uri.clone(), "user": {"username": get("user"), "groups": groups},
        "sourceIPs": get("ip").map(|ip| [ip]), "userAgent": get("user-agent"),
        "objectRef": target.resource.map(|resource| json!({
            "resource": resource, "namespace": target.namespace, "name": target.name,
            "apiGroup": target.group, "apiVersion": target.version, "subresource": target.subresource,
        })),
        // `Event.RequestReceivedTimestamp` (k8s.io/apiserver, plugin/pkg/audit/log, EventString).
        "requestReceivedTimestamp": time,
    });
    if let Some(code) = code {
        event["responseStatus"] = json!({"code": code});
    }
    let keys: BTreeSet<&str> = pairs.iter().map(|(key, _)| &**key).collect();
    let is_whole = rest.trim().is_empty() && (uri.is_some() || get("method").is_none()) && keys.len() == pairs.len();
    (event, is_whole)
}

/// The verb: the API server writes it itself; before 1.7 it wrote the HTTP method.
fn legacy_verb(method: &str, named: bool) -> String {
    match (method, named) {
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        ("GET", true) => "get",
        ("GET", false) => "list",
        (verb, _) => verb,
    }
    .to_owned()
}

/// Reads `key="value"` pairs, quoted as Go's `%q` does, and gives what is left after them. `<self>` and `<deferred>` mean
/// that there is no value.
fn legacy_pairs(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut pairs = Vec::new();
    while let Some(equals) = rest.find("=\"") {
        let Skip::End(end) = json::skip_lenient(rest.as_bytes(), equals + 1) else { break };
        let value = json::decode(&rest.as_bytes()[equals + 1..end]).text.into_owned();
        if !value.starts_with('<') {
            pairs.push((rest[..equals].trim().to_owned(), value));
        }
        rest = &rest[end..];
    }
    (pairs, rest)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn time_grows_with_a_line_and_not_with_its_square() {
        let pairs = (0..200_000).map(|number| format!(" k{number}=\"v\"")).collect::<Vec<_>>().concat();
        let begun = Instant::now();
        assert!(legacy(&format!("2026-11-24T03:00:00Z AUDIT: {pairs}")).1);
        assert!(!legacy(&format!("2026-11-24T03:00:00Z AUDIT: {pairs} k0=\"v\"")).1);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
