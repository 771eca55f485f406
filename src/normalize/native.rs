//! Events of audit.k8s.io, v1 and the older betas: keys match exactly, and the last of two equal keys counts.

use super::Normalized;
use super::reader::{Reader, present};
use crate::event::{AuditEvent, Identity, ObjectRef, ResponseStatus, User};
use crate::json::{self, Fields, Raw};

/// Reads the event of a record. Other audit logs have some of its members, and queries leave some out: a record that does
/// not say that it is an event is undecided without those that say what was requested.
pub(super) fn record<'a>(fields: &Fields<'a>, whole: bool) -> Normalized<'a> {
    let lacks = |keys: &[&str]| keys.iter().all(|key| fields.get(key).is_none());
    if whole && lacks(&["apiVersion"]) && (lacks(&["verb"]) || lacks(&["objectRef", "requestURI"])) {
        return Normalized::Malformed("an audit event without its verb, or without both objectRef and requestURI");
    }
    event(fields, whole)
}

/// Reads an event. `whole` says whether its record was whole: fields made from a cut record may be whole themselves.
pub(super) fn event<'a>(fields: &Fields<'a>, whole: bool) -> Normalized<'a> {
    let mut read = Reader::of(whole);
    let annotations = read.object(fields.get("annotations"), "annotations");
    let (request_object, request_skipped) = read.body(fields.get("requestObject"), "requestObject");
    let (response_object, response_skipped) = read.body(fields.get("responseObject"), "responseObject");
    let marked = annotations.is_some_and(|annotations| is_marked_truncated(&annotations));
    let salvaged = !whole;
    let mut event = AuditEvent {
        audit_id: read.text(fields.get("auditID"), "auditID"),
        stage: read.text(fields.get("stage"), "stage"),
        level: read.text(fields.get("level"), "level"),
        verb: read.text(fields.get("verb"), "verb"),
        request_uri: read.text(fields.get("requestURI"), "requestURI"),
        user: user(&mut read, fields.get("user"), &USER).unwrap_or_default(),
        impersonated_user: user(&mut read, fields.get("impersonatedUser"), &IMPERSONATED),
        source_ips: read.texts(fields.get("sourceIPs"), "sourceIPs"),
        user_agent: read.text(fields.get("userAgent"), "userAgent"),
        object_ref: object_ref(&mut read, fields.get("objectRef")),
        response_status: response_status(&mut read, fields.get("responseStatus")),
        request_received: read
            .time(fields.get("requestReceivedTimestamp"), "requestReceivedTimestamp")
            .or_else(|| read.time(fields.get("timestamp"), "timestamp")),
        stage_timestamp: read.time(fields.get("stageTimestamp"), "stageTimestamp"),
        truncated: salvaged || marked || request_skipped || response_skipped,
        request_object,
        response_object,
        annotations: present(fields.get("annotations")),
        salvaged,
        ..AuditEvent::default()
    };
    if salvaged && let Some(reason) = undecidable(&event, fields) {
        return Normalized::Malformed(reason);
    }
    event.dry_run = event.request_uri.as_deref().is_some_and(is_dry_run) || is_dry_delete(&event);
    event.identity =
        Identity { id: event.audit_id.clone(), action: event.verb.clone(), target: event.request_uri.clone(), part: 0 };
    event.malformed_fields = read.malformed;
    Normalized::Event(event)
}

/// Why a cut event cannot be decided; `None` if it can, as is usual, because the API server writes verb, user,
/// objectRef and responseStatus before the bodies.
fn undecidable(event: &AuditEvent<'_>, fields: &Fields<'_>) -> Option<&'static str> {
    if event.verb.is_none() {
        return Some("an audit event that is cut before its verb");
    }
    // Damage may have closed it early, or hidden a member.
    let object_known = fields.get("objectRef").is_some_and(|object| Fields::read_sound(object).is_some());
    let on_cronjobs = event.request_uri.as_deref().is_none_or(|uri| uri.contains("/cronjobs"));
    (!object_known && on_cronjobs).then_some("an audit event that is cut before its objectRef ends")
}

/// The names of a user's fields, for `malformed_fields`.
struct UserNames {
    user: &'static str,
    username: &'static str,
    uid: &'static str,
    groups: &'static str,
}

const USER: UserNames = UserNames { user: "user", username: "user.username", uid: "user.uid", groups: "user.groups" };
const IMPERSONATED: UserNames = UserNames {
    user: "impersonatedUser",
    username: "impersonatedUser.username",
    uid: "impersonatedUser.uid",
    groups: "impersonatedUser.groups",
};

fn user<'a>(read: &mut Reader, raw: Option<Raw<'a>>, names: &UserNames) -> Option<User<'a>> {
    let fields = read.object(raw, names.user)?;
    Some(User {
        username: read.text(fields.get("username"), names.username),
        uid: read.text(fields.get("uid"), names.uid),
        groups: read.texts(fields.get("groups"), names.groups),
        extra: present(fields.get("extra")),
    })
}

fn object_ref<'a>(read: &mut Reader, raw: Option<Raw<'a>>) -> ObjectRef<'a> {
    let Some(fields) = read.object(raw, "objectRef") else { return ObjectRef::default() };
    ObjectRef {
        resource: read.text(fields.get("resource"), "objectRef.resource"),
        namespace: read.text(fields.get("namespace"), "objectRef.namespace"),
        name: read.text(fields.get("name"), "objectRef.name"),
        api_group: read.text(fields.get("apiGroup"), "objectRef.apiGroup"),
        api_version: read.text(fields.get("apiVersion"), "objectRef.apiVersion"),
        subresource: read.text(fields.get("subresource"), "objectRef.subresource"),
        name_is_namespace: false,
    }
}

fn response_status<'a>(read: &mut Reader, raw: Option<Raw<'a>>) -> ResponseStatus<'a> {
    let Some(fields) = read.object(raw, "responseStatus") else { return ResponseStatus::default() };
    ResponseStatus {
        silent_is_ok: false,
        code: read.code(fields.get_folded("code"), "responseStatus.code"),
        status: read.text(fields.get("status"), "responseStatus.status"),
        reason: read.text(fields.get("reason"), "responseStatus.reason"),
        message: read.text(fields.get("message"), "responseStatus.message"),
    }
}

/// Whether the API server marked the event as one whose bodies it dropped. Elastic replaces dots in keys with
/// underscores.
fn is_marked_truncated(annotations: &Fields<'_>) -> bool {
    ["audit.k8s.io/truncated", "audit_k8s_io/truncated"]
        .iter()
        .any(|key| annotations.text(key).as_deref() == Some("true"))
}

/// Whether a delete asks for a dry run in its body (DeleteOptions).
pub(super) fn is_dry_delete(event: &AuditEvent<'_>) -> bool {
    let deletes = matches!(event.verb.as_deref(), Some("delete" | "deletecollection"));
    let options = event.request_object.as_deref().filter(|_| deletes).and_then(Fields::read);
    options.is_some_and(|options| present(options.get("dryRun")).is_some())
}

fn is_dry_run(uri: &str) -> bool {
    uri.split_once('?')
        .is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with("dryRun=") && pair.len() > 7))
}

/// Whether a value is `true`, or the text `"true"`.
pub(super) fn is_true(raw: Raw<'_>) -> bool {
    raw == b"true" || json::string(raw).as_deref() == Some("true")
}
