//! An event as rules see it: its fields by name, and what is derived from them.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Value as Json, json};

use super::patch;
use super::principal::{self, Class};
use super::tune::Tuning;
use super::value::Value;
use crate::event::{AuditEvent, Origin, Text, User};
use crate::json::{Fields, Raw};

/// Namespaces that belong to the cluster, as in Panther's rules.
pub(crate) const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "gke-system", "kube-node-lease", "kube-public"];

/// One event. Bodies are parsed when a condition first needs them.
#[derive(Debug)]
pub struct View<'e> {
    /// The event.
    pub event: &'e AuditEvent<'e>,
    origin: &'e Origin<'e>,
    /// The record's own members, if it is an event of audit.k8s.io in its original form.
    members: Option<&'e Fields<'e>>,
    tuning: Option<&'e Tuning>,
    native: OnceCell<Json>,
    request: OnceCell<Json>,
    response: OnceCell<Json>,
    pod_spec: OnceCell<Option<Json>>,
    extra: OnceCell<Json>,
    annotations: OnceCell<Json>,
}

impl<'e> View<'e> {
    /// Wraps an event.
    #[must_use]
    pub fn new(event: &'e AuditEvent<'e>, origin: &'e Origin<'e>, members: Option<&'e Fields<'e>>) -> Self {
        View {
            event,
            origin,
            members,
            tuning: None,
            native: OnceCell::new(),
            request: OnceCell::new(),
            response: OnceCell::new(),
            pod_spec: OnceCell::new(),
            extra: OnceCell::new(),
            annotations: OnceCell::new(),
        }
    }

    /// The same event, with its user in the class that the tuning gives.
    #[must_use]
    pub fn tuned(self, tuning: &'e Tuning) -> Self {
        View { tuning: Some(tuning), ..self }
    }

    /// `requestObject`; null if absent or not valid JSON.
    #[must_use]
    pub fn request(&self) -> &Json {
        self.request.get_or_init(|| parse(self.event.request_object.as_deref()))
    }

    /// `responseObject`; null if absent or not valid JSON.
    #[must_use]
    pub fn response(&self) -> &Json {
        self.response.get_or_init(|| parse(self.event.response_object.as_deref()))
    }

    pub(super) fn extra(&self) -> &Json {
        self.extra.get_or_init(|| parse(self.event.user.extra))
    }

    pub(super) fn annotations(&self) -> &Json {
        self.annotations.get_or_init(|| parse(self.event.annotations))
    }

    /// The event as audit.k8s.io/v1 writes it, for rules that read it as a whole.
    #[must_use]
    pub fn native(&self) -> &Json {
        self.native.get_or_init(|| self.members.map_or_else(|| synthesized(self), |members| own_members(self, members)))
    }

    /// The pod spec of any workload: from the response, which is the state after the change, or else from the request.
    pub(super) fn pod_spec(&self) -> Option<&Json> {
        let bodies = || [&self.event.response_object, &self.event.request_object].into_iter().flatten();
        let whole = || bodies().find_map(|body| pod_spec(body));
        self.pod_spec.get_or_init(|| whole().or_else(|| self.patched_pod_spec())).as_ref()
    }

    /// The parts of a pod spec that a patch sets. What the path to it is, only the resource tells.
    fn patched_pod_spec(&self) -> Option<Json> {
        let resource = self.event.object_ref.resource.as_deref()?;
        let (_, path) = POD_SPECS.iter().find(|(resources, _)| resources.contains(&resource))?;
        let body = match self.request() {
            Json::Array(operations) => Cow::Owned(patch::parts(operations)),
            merged => Cow::Borrowed(merged),
        };
        path.iter().try_fold(body.as_ref(), |at, key| at.get(key)).filter(|spec| spec.is_object()).cloned()
    }

    /// All containers of that pod spec, including init and ephemeral ones.
    pub(super) fn containers(&self) -> Vec<&Json> {
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        let pod = self.pod_spec();
        lists.iter().filter_map(|list| pod?.get(list)?.as_array()).flatten().collect()
    }

    pub(super) fn principal_class(&self) -> Class {
        let class = principal::classify(&self.event.user);
        let username = self.event.user.username.as_deref().unwrap_or_default();
        self.tuning.map_or(class, |tuning| tuning.class(username, class))
    }

    pub(super) fn origin(&self) -> &Origin<'e> {
        self.origin
    }
}

fn parse(text: Option<&[u8]>) -> Json {
    text.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or(Json::Null)
}

/// Resources, and the path to their pod spec. All paths contain `spec`.
const POD_SPECS: [(&[&str], &[&str]); 4] = [
    (&["cronjobs"], &["spec", "jobTemplate", "spec", "template", "spec"]),
    (
        &["deployments", "daemonsets", "statefulsets", "replicasets", "replicationcontrollers", "jobs"],
        &["spec", "template", "spec"],
    ),
    (&["podtemplates"], &["template", "spec"]),
    (&["pods"], &["spec"]),
];

/// The pod spec in a body that is whole. Only it is parsed: most of a body is managed fields and status.
fn pod_spec(body: Raw<'_>) -> Option<Json> {
    let object = Fields::read(body).filter(Fields::is_whole)?;
    let is_pod = |spec: &Raw<'_>| {
        Fields::read(spec).is_some_and(|spec| spec.get("containers").or(spec.get("ephemeralContainers")).is_some())
    };
    let spec = POD_SPECS.iter().find_map(|(_, path)| object.inside(path).filter(is_pod))?;
    serde_json::from_slice(spec).ok()
}

/// Texts as a list; missing if there are none.
pub(super) fn texts<'v>(texts: &'v [Text<'_>]) -> Value<'v> {
    if texts.is_empty() {
        Value::Missing
    } else {
        Value::List(texts.iter().map(|text| Value::from(text.as_ref())).collect())
    }
}

pub(super) fn owned<'v>(texts: Vec<String>) -> Value<'v> {
    if texts.is_empty() {
        Value::Missing
    } else {
        Value::List(texts.into_iter().map(|text| Value::Text(Cow::Owned(text))).collect())
    }
}

/// One text member of each container that has it.
pub(super) fn container_texts(containers: &[&Json], key: &str) -> Vec<String> {
    containers.iter().filter_map(|container| container.get(key)?.as_str()).map(str::to_owned).collect()
}

/// Command and arguments of each container, joined by spaces.
pub(super) fn commands(containers: &[&Json]) -> Vec<String> {
    let words = |container: &&Json| {
        let lists = ["command", "args"].iter().filter_map(|list| container.get(list)?.as_array());
        lists.flatten().filter_map(Json::as_str).collect::<Vec<_>>().join(" ")
    };
    containers.iter().map(words).filter(|command| !command.is_empty()).collect()
}

/// The command that `exec` runs: the `command` parameters of the request in order, or else the list in its body.
pub(super) fn exec_command(view: &View<'_>) -> Option<String> {
    let of_uri = view.event.request_uri.as_deref().and_then(command_of_uri);
    of_uri.or_else(|| {
        let words = view.request().get("command")?.as_array()?;
        Some(words.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" "))
    })
}

fn command_of_uri(uri: &str) -> Option<String> {
    let (_, query) = uri.split_once('?')?;
    let words: Vec<String> =
        query.split('&').filter_map(|pair| pair.strip_prefix("command=")).map(percent_decoded).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Decodes `%20` and `+`. Bytes that are not UTF-8 become U+FFFD.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = (byte == b'%').then(|| after.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(decoded) = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(decoded);
            rest = &after[2..];
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A record's own members as JSON, without values that cannot be parsed.
fn own_members(view: &View<'_>, members: &Fields<'_>) -> Json {
    let member = |(key, raw): (&str, Raw<'_>)| Some((key.to_owned(), serde_json::from_slice(raw).ok()?));
    let mut native = Json::Object(members.iter().filter_map(member).collect());
    // A body that is written as text means the object in it.
    for (key, body) in [("requestObject", &view.event.request_object), ("responseObject", &view.event.response_object)]
    {
        if let (Some(text), Some(body)) = (native.get_mut(key).filter(|value| value.is_string()), body) {
            *text = parse(Some(body));
        }
    }
    native
}

/// An event of another form, as audit.k8s.io/v1 would write it.
fn synthesized(view: &View<'_>) -> Json {
    let event = view.event;
    let user = |user: &User<'_>| json!({"username": user.username, "uid": user.uid, "groups": user.groups});
    let object = &event.object_ref;
    let status = &event.response_status;
    let mut native = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1",
        "level": event.level, "auditID": event.audit_id, "requestURI": event.request_uri,
        "stage": event.stage.as_deref().unwrap_or("ResponseComplete"),
        "verb": event.verb, "user": user(&event.user), "sourceIPs": event.source_ips, "userAgent": event.user_agent,
        "impersonatedUser": event.impersonated_user.as_ref().map(user),
        "objectRef": {
            "resource": object.resource, "namespace": object.namespace, "apiGroup": object.api_group,
            "name": object.name.as_ref().filter(|_| !object.name_is_namespace),
            "apiVersion": object.api_version, "subresource": object.subresource,
        },
        "responseStatus": {
            "code": status.code.map(|code| http_code(code, view.response())).or(status.silent_is_ok.then_some(200)),
            "status": status.status, "reason": status.reason, "message": status.message,
        },
        "requestObject": view.request(), "responseObject": view.response(), "annotations": view.annotations(),
        "requestReceivedTimestamp": event.request_received, "stageTimestamp": event.stage_timestamp,
    });
    native["user"]["extra"] = view.extra().clone();
    prune(&mut native);
    native
}

/// The HTTP code for a google.rpc code: that of the response if it is a Status, otherwise the usual mapping
/// (google/rpc/code.proto). HTTP itself never uses 1 to 16.
fn http_code(code: i64, response: &Json) -> i64 {
    let told = response.get("code").and_then(Json::as_i64).filter(|_| response.get("kind") == Some(&json!("Status")));
    told.unwrap_or(match code {
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        2 | 13 | 15 => 500,
        http => http,
    })
}

/// Removes null and empty values: the original event would not have them.
fn prune(value: &mut Json) {
    if let Json::Object(members) = value {
        members.values_mut().for_each(prune);
        members.retain(|_, member| match member {
            Json::Null => false,
            Json::Object(inner) => !inner.is_empty(),
            Json::Array(inner) => !inner.is_empty(),
            _ => true,
        });
    }
}
