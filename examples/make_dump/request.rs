//! A kind of request, and its event as the API server and GKE write it.

use serde_json::{Map, Value, json};

use crate::expected::Column;

/// Who makes requests. Texts may contain slots.
#[derive(Clone)]
pub(crate) struct Actor {
    pub username: String,
    pub uid: Option<&'static str>,
    pub groups: Vec<String>,
    pub ip: &'static str,
    pub agent: String,
    /// Why RBAC allows it.
    pub reason: String,
}

/// A kind of request.
pub(crate) struct Request {
    /// How many of a million records are of this kind.
    pub share: u64,
    pub actor: Actor,
    pub verb: &'static str,
    /// Path and query, from which objectRef follows. A create contains the name too, if the body has one.
    pub uri: &'static str,
    pub code: u16,
    /// Null if it is not logged.
    pub body: Value,
    pub answer: Value,
    /// The columns it counts in; empty for nearly all requests.
    pub counts: &'static [Column],
}

/// What the path of a request says of its object.
pub(crate) struct Object<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub namespace: &'a str,
    pub resource: &'a str,
    pub name: &'a str,
    pub subresource: &'a str,
}

/// Resources for which the audit policies of the clouds log no bodies, and no reads in full.
const METADATA: [&str; 10] = [
    "secrets",
    "configmaps",
    "serviceaccounts",
    "tokenreviews",
    "leases",
    "endpointslices",
    "events",
    "applications",
    "nodemetrics",
    "externalsecrets",
];

impl Request {
    pub(crate) fn object(&self) -> Object<'_> {
        let path = self.uri.split('?').next().unwrap_or_default();
        let mut parts = path.split('/').skip(1);
        let mut next = || parts.next().unwrap_or_default();
        let group = if next() == "api" { "" } else { next() };
        let version = next();
        let (mut namespace, mut resource) = ("", next());
        if resource == "namespaces" {
            (namespace, resource) = (next(), next());
        }
        Object { group, version, namespace, resource, name: next(), subresource: next() }
    }

    /// The name in objectRef: creates have one only if the body has.
    fn name(&self) -> &str {
        let object = self.object();
        if self.verb != "create" || !object.subresource.is_empty() {
            return object.name;
        }
        self.body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it concerns a CronJob, its Jobs or their Pods.
    pub(crate) fn is_of_cronjob(&self) -> bool {
        self.object().group == "batch" || self.body.pointer("/metadata/ownerReferences/0/kind") == Some(&json!("Job"))
    }

    fn level(&self) -> &'static str {
        match self.verb {
            _ if METADATA.contains(&self.object().resource) => "Metadata",
            "get" | "list" | "watch" => "Request",
            _ => "RequestResponse",
        }
    }

    fn is_dry(&self) -> bool {
        self.uri.contains("dryRun=All")
    }

    fn annotations(&self) -> Value {
        let refused = self.code == 403;
        let reason = if refused { "" } else { &self.actor.reason };
        let decision = if refused { "forbid" } else { "allow" };
        json!({"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason})
    }

    /// The Status in the response to a failed request.
    fn failure(&self) -> Value {
        let object = self.object();
        let dot = if object.group.is_empty() { "" } else { "." };
        let what = format!("{}{dot}{}", object.resource, object.group);
        let (name, user) = (self.name_of_failure(), &self.actor.username);
        let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let scope = match object.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let (reason, message) = match self.code {
            403 => (
                "Forbidden",
                format!(
                    "{what}{named} is forbidden: User \"{user}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
                    self.verb, object.resource, object.group
                ),
            ),
            404 => ("NotFound", format!("{what}{named} not found")),
            _ => ("AlreadyExists", format!("{what}{named} already exists")),
        };
        let mut details = json!({"name": name, "group": object.group, "kind": object.resource});
        remove_empty(&mut details);
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
               "reason": reason, "details": details, "code": self.code})
    }

    fn name_of_failure(&self) -> &str {
        if self.code == 403 && self.verb == "create" { "" } else { self.name() }
    }

    /// The event as kube-apiserver writes it, in its order of fields.
    pub(crate) fn native(&self) -> String {
        let object = self.object();
        let mut event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": self.level(), "auditID": "<id>",
            "stage": "ResponseComplete", "requestURI": self.request_uri(), "verb": self.verb,
            "user": {"username": self.actor.username, "uid": self.actor.uid, "groups": self.actor.groups},
            "sourceIPs": [self.actor.ip], "userAgent": self.actor.agent,
            "objectRef": self.object_ref(&object), "responseStatus": self.response_status(),
            "requestObject": self.body, "responseObject": self.logged_answer(),
            "requestReceivedTimestamp": "<received>", "stageTimestamp": "<staged>", "annotations": self.annotations()});
        if let Value::Object(event) = &mut event {
            event.retain(|_, value| !value.is_null());
        }
        remove_empty(&mut event["user"]);
        go_json(&event)
    }

    /// The URI as sent: a create goes to the collection.
    fn request_uri(&self) -> String {
        let object = self.object();
        if self.verb == "create" && object.subresource.is_empty() && !object.name.is_empty() {
            return self.uri.replacen(&format!("/{}", object.name), "", 1);
        }
        self.uri.to_owned()
    }

    fn logged_answer(&self) -> Value {
        match self.level() {
            "RequestResponse" if self.code >= 400 => self.failure(),
            "RequestResponse" => self.answer.clone(),
            _ => Value::Null,
        }
    }

    fn object_ref(&self, object: &Object<'_>) -> Value {
        let updates = self.verb == "update";
        let mut reference = json!({"resource": object.resource, "namespace": object.namespace, "name": self.name_of_failure(),
            "uid": if updates { "<uid>" } else { "" }, "apiGroup": object.group, "apiVersion": object.version,
            "resourceVersion": if updates { "<rv>" } else { "" }, "subresource": object.subresource});
        remove_empty(&mut reference);
        reference
    }

    fn response_status(&self) -> Value {
        if self.code >= 400 {
            let failure = self.failure();
            return json!({"metadata": {}, "status": "Failure", "message": failure["message"], "reason": failure["reason"],
                          "code": self.code});
        }
        if self.verb == "delete" {
            return json!({"metadata": {}, "status": "Success", "code": self.code});
        }
        json!({"metadata": {}, "code": self.code})
    }

    /// GKE's LogEntry for it, with sorted keys.
    pub(crate) fn entry(&self) -> String {
        let object = self.object();
        let group = if object.group.is_empty() { "core" } else { object.group };
        let mut resource = format!("{group}/{}", object.version);
        if !object.namespace.is_empty() {
            resource = format!("{resource}/namespaces/{}", object.namespace);
        }
        for part in [object.resource, self.name_of_failure(), object.subresource].iter().filter(|part| !part.is_empty())
        {
            resource = format!("{resource}/{part}");
        }
        let method = method(&object, self.verb);
        let mut granted = json!({"granted": true, "permission": method, "resource": resource});
        if self.code == 403 {
            granted = json!({"permission": method, "resource": resource});
        }
        let mut payload = json!({"@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": self.actor.username}, "authorizationInfo": [granted],
            "methodName": method, "request": Self::typed(&self.body, &object, self.verb == "patch"),
            "requestMetadata": {"callerIp": self.actor.ip, "callerSuppliedUserAgent": self.actor.agent},
            "resourceName": resource, "response": Self::typed(&self.logged_answer(), &object, false), "serviceName": "k8s.io",
            "status": self.rpc_status()});
        if let Value::Object(payload) = &mut payload {
            payload.retain(|_, value| !value.is_null());
        }
        let mut labels = self.annotations();
        if self.is_dry() {
            labels["command.gke.io/dryRun"] = "true".into();
        }
        go_json(&sorted(json!({"insertId": "<id>", "labels": labels,
            "logName": "projects/<project>/logs/cloudaudit.googleapis.com%2Factivity",
            "operation": {"first": true, "id": "<id>", "last": true, "producer": "k8s.io"}, "protoPayload": payload,
            "receiveTimestamp": "<stagednanos>",
            "resource": {"labels": {"cluster_name": "<cluster>", "location": "europe-west3", "project_id": "<project>"},
                         "type": "k8s_cluster"},
            "timestamp": "<received>"})))
    }

    /// A body with the type that GKE names.
    fn typed(body: &Value, object: &Object<'_>, is_patch: bool) -> Value {
        let Value::Object(members) = body else { return Value::Null };
        let group = if object.group.is_empty() { "core" } else { object.group };
        let kind = match members.get("kind").and_then(Value::as_str) {
            Some("Status") => "core.k8s.io/v1.Status".to_owned(),
            Some("DeleteOptions") => "meta.k8s.io/__internal.DeleteOptions".to_owned(),
            Some(kind) => format!("{}.k8s.io/{}.{kind}", group.trim_end_matches(".k8s.io"), object.version),
            None => String::new(),
        };
        let mut typed = Map::from_iter([("@type".to_owned(), kind.into())]);
        if is_patch {
            typed.insert("@type".to_owned(), "k8s.io/Patch".into());
        }
        typed.extend(members.clone());
        typed.into()
    }

    fn rpc_status(&self) -> Value {
        let code = match self.code {
            403 => 7,
            404 => 5,
            409 => 6,
            _ => return json!({}),
        };
        json!({"code": code, "message": self.failure()["message"]})
    }
}

/// `io.k8s.batch.v1.cronjobs.status.update`; groups with dots are reversed.
fn method(object: &Object<'_>, verb: &str) -> String {
    let group = match object.group {
        "" => "core".to_owned(),
        group => group.trim_end_matches(".k8s.io").split('.').rev().collect::<Vec<_>>().join("."),
    };
    let parts = [object.resource, object.subresource, verb];
    let path: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("io.k8s.{group}.{}.{}", object.version, path.join("."))
}

/// Removes members that are null or empty, one level deep.
fn remove_empty(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null() && member != "");
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// JSON as Go writes it: compact, with `&` escaped. Here `<` and `>` occur only around slots.
fn go_json(value: &Value) -> String {
    value.to_string().replace('&', "\\u0026")
}
