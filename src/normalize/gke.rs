//! GKE's LogEntry (cloud.google.com/kubernetes-engine, audit logging): the API call as a method and a resource name.
//!
//! Key lookup ignores case, except for `protoPayload.status`, as in Panther's rule.

use std::borrow::Cow;

use super::Normalized;
use super::native::{is_dry_delete, is_true};
use super::reader::{Reader, present};
use crate::event::{AuditEvent, Identity, ObjectRef, ResponseStatus, Text, UNKNOWN_USER, User};
use crate::json::{self, Fields, Raw};
use crate::unwrap::gcp_label;

/// Reads an entry of service k8s.io, whole or cut; `payload` is the audit log in it.
pub(super) fn event<'a>(fields: &Fields<'a>, payload: &Fields<'a>) -> Normalized<'a> {
    // A payload that is broken inside an entry that closes has lost members as a cut one has.
    let whole = fields.is_whole() && payload.is_whole();
    let mut read = Reader::of(whole);
    let method = read.text(payload.get_folded("methodName"), "verb");
    let target = read.text(payload.get_folded("resourceName"), "objectRef");
    if !whole && (method.is_none() || target.is_none()) {
        return Normalized::Malformed("a GKE entry that is cut before its method and resource");
    }
    let labels = fields.get_folded("labels");
    let label = |key: &str| gcp_label(labels?, key);
    let split = fields.get_folded("split").and_then(Fields::read);
    let operation = fields.get_folded("operation").and_then(Fields::read);
    let audit_id = operation
        .and_then(|operation| read.text(operation.get_folded("id"), "auditID"))
        .or_else(|| read.text(fields.get_folded("insertId"), "auditID"));
    let split_uid = split.as_ref().and_then(|split| split.get_folded("uid")).and_then(json::string);
    let part = split.as_ref().and_then(|split| json::integer(split.get_folded("index")?)).unwrap_or(0);
    let metadata = read.object(payload.get_folded("requestMetadata"), "requestMetadata");
    let caller = metadata.as_ref().and_then(|metadata| read.text(metadata.get_folded("callerIp"), "sourceIPs"));
    let user_agent =
        metadata.and_then(|metadata| read.text(metadata.get_folded("callerSuppliedUserAgent"), "userAgent"));
    let event = AuditEvent {
        audit_id: audit_id.clone(),
        verb: method.clone().and_then(last_segment),
        user: User { username: Some(user(&mut read, payload)), ..User::default() },
        source_ips: caller.into_iter().collect(),
        user_agent,
        object_ref: target.as_ref().map(object_ref).unwrap_or_default(),
        response_status: response_status(&mut read, payload.get("status")),
        request_object: body(&mut read, payload, ["request", "requestJson"], "requestObject"),
        response_object: body(&mut read, payload, ["response", "responseJson"], "responseObject"),
        annotations: present(labels),
        request_received: read.time(fields.get_folded("timestamp"), "requestReceivedTimestamp"),
        stage_timestamp: read.time(fields.get_folded("receiveTimestamp"), "stageTimestamp"),
        dry_run: label("command.gke.io/dryRun").is_some_and(is_dry_run),
        truncated: !whole || label("audit.k8s.io/truncated").is_some_and(is_true),
        salvaged: !whole,
        identity: Identity {
            id: split_uid.or(audit_id),
            action: method,
            target,
            part: u64::try_from(part).unwrap_or(0),
        },
        ..AuditEvent::default()
    };
    let dry_run = event.dry_run || is_dry_delete(&event);
    Normalized::Event(AuditEvent { malformed_fields: read.malformed, dry_run, ..event })
}

fn last_segment(method: Text<'_>) -> Option<Text<'_>> {
    let start = method.rfind('.').map_or(0, |dot| dot + 1);
    let verb = match method {
        Cow::Borrowed(method) => Cow::Borrowed(&method[start..]),
        Cow::Owned(method) => Cow::Owned(method[start..].to_owned()),
    };
    (!verb.is_empty()).then_some(verb)
}

fn user<'a>(read: &mut Reader, payload: &Fields<'a>) -> Text<'a> {
    let info = read.object(payload.get_folded("authenticationInfo"), "user");
    let keys = ["principalEmail", "principalSubject", "authoritySelector"];
    let named = info.and_then(|info| keys.iter().find_map(|key| read.text(info.get_folded(key), "user.username")));
    named.unwrap_or(Cow::Borrowed(UNKNOWN_USER))
}

/// `batch/v1/namespaces/NS/cronjobs/NAME/status`, read as Panther reads it: by position.
fn object_ref<'a>(name: &Text<'a>) -> ObjectRef<'a> {
    let parts: Vec<&str> = name.split('/').collect();
    let part = |at: usize| parts.get(at).filter(|part| !part.is_empty()).map(|part| Cow::Owned((*part).to_owned()));
    let namespaced = parts.get(2) == Some(&"namespaces") && parts.len() >= 4;
    ObjectRef {
        api_group: part(0).filter(|group| group != "core"),
        api_version: part(1),
        namespace: part(3).filter(|_| namespaced),
        resource: if parts.len() >= 5 { part(4) } else { part(2) },
        name: if parts.len() >= 6 { part(5) } else { part(3) },
        subresource: part(6),
        name_is_namespace: namespaced && parts.len() <= 5,
    }
}

/// A google.rpc.Status: `{}`, code 0 and no status at all are OK.
fn response_status<'a>(read: &mut Reader, raw: Option<Raw<'a>>) -> ResponseStatus<'a> {
    let fields = read.object(raw, "responseStatus");
    let code = fields.as_ref().and_then(|fields| read.code(fields.get_folded("code"), "responseStatus.code"));
    let message = fields.and_then(|fields| read.text(fields.get_folded("message"), "responseStatus.message"));
    ResponseStatus { silent_is_ok: true, code, message, ..ResponseStatus::default() }
}

/// A body, or BigQuery's string that holds one.
fn body<'a>(read: &mut Reader, payload: &Fields<'a>, keys: [&str; 2], name: &'static str) -> Option<Cow<'a, [u8]>> {
    let raw = keys.iter().find_map(|key| present(payload.get_folded(key)))?;
    match json::string(raw).filter(|text| text.starts_with('{')) {
        Some(Cow::Borrowed(text)) => Some(Cow::Borrowed(text.as_bytes())),
        Some(Cow::Owned(text)) => Some(Cow::Owned(text.into_bytes())),
        None => read.body(Some(raw), name).0,
    }
}

/// The label says `true`, or `All` as the request said.
fn is_dry_run(label: Raw<'_>) -> bool {
    is_true(label) || json::string(label).as_deref() == Some("All")
}
