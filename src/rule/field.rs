//! The fields that rules may name, and the paths into them.

use serde_json::Value as Json;

use super::value::Value;
use super::view::{SYSTEM_NAMESPACES, View, commands, container_texts, exec_command, owned, texts};
use super::{principal, yaml};

/// A field: its name, how to read it, where its text is in a record, and its meaning.
pub struct Field {
    /// As rules write it.
    pub name: &'static str,
    /// Reads it.
    pub read: for<'v> fn(&'v View<'_>) -> Value<'v>,
    /// Whether an equal text must occur somewhere in the raw record, on every platform.
    pub raw: bool,
    /// Whether the part of an event before its bodies holds it. Does not apply to a delete, whose options are in the
    /// body.
    of_head: bool,
    /// For `rules fields`.
    pub meaning: &'static str,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! fields {
    ($($name:literal, $raw:literal, $of_head:literal, $meaning:literal, $read:expr;)*) => {
        /// All fields, in the order `rules fields` prints them.
        pub static FIELDS: &[Field] =
            &[$(Field { name: $name, read: $read, raw: $raw, of_head: $of_head, meaning: $meaning }),*];
    };
}

fields! {
    "verb", false, true, "audit.k8s.io verb; GKE: last part of methodName", |view| view.event.verb.as_deref().into();
    "resource", true, true, "objectRef.resource; GKE: from resourceName", |view| view.event.object_ref.resource.as_deref().into();
    "subresource", true, true, "objectRef.subresource; GKE: from resourceName", |view| view.event.object_ref.subresource.as_deref().into();
    "namespace", true, true, "objectRef.namespace; GKE: from resourceName", |view| view.event.object_ref.namespace.as_deref().into();
    "name", true, true, "objectRef.name; GKE: from resourceName, the namespace where there is no name", |view| view.event.object_ref.name.as_deref().into();
    "apiGroup", true, true, "objectRef.apiGroup; GKE: from resourceName, absent for core", |view| view.event.object_ref.api_group.as_deref().into();
    "apiVersion", true, true, "objectRef.apiVersion; GKE: from resourceName", |view| view.event.object_ref.api_version.as_deref().into();
    "username", true, true, "user.username; GKE: principalEmail, else principalSubject, else authoritySelector", |view| view.event.user.username.as_deref().into();
    "uid", true, true, "user.uid; absent on GKE", |view| view.event.user.uid.as_deref().into();
    "groups", true, true, "user.groups; absent on GKE", |view| texts(&view.event.user.groups);
    "impersonated_user", true, true, "impersonatedUser.username; absent on GKE", |view| view.event.impersonated_user.as_ref().and_then(|user| user.username.as_deref()).into();
    "sourceIPs", true, true, "sourceIPs, the client's word first; GKE: callerIp", |view| texts(&view.event.source_ips);
    "trusted_ip", true, true, "the last of sourceIPs: the one that the API server saw itself", |view| view.event.source_ips.last().map(AsRef::as_ref).into();
    "userAgent", true, true, "userAgent; GKE: callerSuppliedUserAgent", |view| view.event.user_agent.as_deref().into();
    "requestURI", false, true, "requestURI; absent on GKE", |view| view.event.request_uri.as_deref().into();
    "auditID", true, true, "auditID; GKE: operation.id, else insertId", |view| view.event.audit_id.as_deref().into();
    "stage", false, true, "stage; absent on GKE, which logs completed requests only", |view| view.event.stage.as_deref().into();
    "level", false, true, "audit level; absent on GKE", |view| view.event.level.as_deref().into();
    "response_code", false, true, "responseStatus.code: HTTP, or google.rpc (1 to 16) on GKE", |view| code(view);
    "outcome", false, true, "failed (code from 400, or 1 to 16), dry_run, unknown (no answer logged) or success", |view| outcome(view).into();
    "change", false, true, "of a write: created (create, or an update answered with 201), modified or deleted", |view| change(view).into();
    "change_word", false, true, "created for verb create, else modified, as Panther's titles say", |view| if view.event.verb.as_deref() == Some("create") { "created".into() } else { "modified".into() };
    "principal_class", false, true, "human, node, anonymous, control_plane, controller, gitops, workload_sa, cloud_addon or shared", |view| Value::Text(view.principal_class().to_string().into());
    "resource_class", false, true, "rbac (roles and bindings), workload (pods and what makes them), secret, webhook or other", |view| view.event.object_ref.resource.as_deref().map(resource_class).into();
    "is_system_namespace", false, true, "namespace is kube-system, gke-system, kube-node-lease or kube-public", |view| Value::Bool(view.event.object_ref.namespace.as_deref().is_some_and(|ns| SYSTEM_NAMESPACES.contains(&ns)));
    "is_system_principal", false, true, "username is one that Panther's rules exclude in system namespaces", |view| Value::Bool(view.event.user.username.as_deref().is_some_and(principal::is_system));
    "request.dry_run", false, true, "the request asked for dryRun; GKE: label command.gke.io/dryRun", |view| Value::Bool(view.event.dry_run);
    "exec_command", false, false, "command of an exec, from the request's parameters", |view| exec_command(view).map_or(Value::Missing, |command| Value::Text(command.into()));
    "pod_spec", true, false, "pod template of any workload, from responseObject, else requestObject; of a patch, what it sets", |view| view.pod_spec().map_or(Value::Missing, Value::from);
    "containers", true, false, "all its containers, init and ephemeral ones too", |view| list(view.containers());
    "images", true, false, "images of these", |view| owned(container_texts(&view.containers(), "image"));
    "commands", false, false, "command and arguments of each, joined by spaces", |view| owned(commands(&view.containers()));
    "host_paths", true, false, "hostPath of its volumes", |view| owned(host_paths(view));
    "capabilities", true, false, "capabilities that its containers add", |view| owned(capabilities(view));
    "platform", false, false, "eks, aks, gke or kubernetes", |view| view.origin().platform.map_or(Value::Missing, |platform| Value::Text(platform.to_string().into()));
    "cluster", false, false, "cluster name, where the dump tells it", |view| view.origin().cluster.as_deref().into();
    "account", false, false, "AWS account, Azure subscription or GCP project", |view| view.origin().account.as_deref().into();
    "region", false, false, "region or location", |view| view.origin().region.as_deref().into();
    "requestObject", true, false, "body of the request: a whole object, or a patch; paths go inside", |view| present(view.request());
    "responseObject", true, false, "body of the answer: the state after the change; paths go inside", |view| present(view.response());
    "annotations", true, false, "annotations; GKE: the labels of the entry", |view| present(view.annotations());
    "user.username", true, true, "as username", |view| view.event.user.username.as_deref().into();
    "user.uid", true, true, "as uid", |view| view.event.user.uid.as_deref().into();
    "user.groups", true, true, "as groups", |view| texts(&view.event.user.groups);
    "user.extra", true, false, "user.extra: on EKS arn, sessionName, accessKeyId, each a list", |view| present(view.extra());
    "impersonatedUser.username", true, false, "as impersonated_user", |view| view.event.impersonated_user.as_ref().and_then(|user| user.username.as_deref()).into();
    "impersonatedUser.groups", true, false, "groups of the impersonated user", |view| view.event.impersonated_user.as_ref().map_or(Value::Missing, |user| texts(&user.groups));
    "objectRef.resource", true, true, "as resource", |view| view.event.object_ref.resource.as_deref().into();
    "objectRef.subresource", true, true, "as subresource", |view| view.event.object_ref.subresource.as_deref().into();
    "objectRef.namespace", true, true, "as namespace", |view| view.event.object_ref.namespace.as_deref().into();
    "objectRef.name", true, true, "as name", |view| view.event.object_ref.name.as_deref().into();
    "objectRef.apiGroup", true, true, "as apiGroup", |view| view.event.object_ref.api_group.as_deref().into();
    "objectRef.apiVersion", true, true, "as apiVersion", |view| view.event.object_ref.api_version.as_deref().into();
    "responseStatus.code", false, true, "as response_code", |view| code(view);
    "responseStatus.status", false, true, "Success or Failure", |view| view.event.response_status.status.as_deref().into();
    "responseStatus.reason", true, true, "reason of a failure", |view| view.event.response_status.reason.as_deref().into();
    "objectRef", false, false, "the whole object, with uid and resourceVersion where they are logged", |view| whole(view, "objectRef");
    "user", false, false, "the whole user", |view| whole(view, "user");
    "impersonatedUser", false, false, "the whole impersonated user", |view| whole(view, "impersonatedUser");
    "responseStatus", false, false, "the whole status; GKE: with the HTTP code behind the google.rpc one", |view| whole(view, "responseStatus");
    "authenticationMetadata", false, false, "as newer API servers log it", |view| whole(view, "authenticationMetadata");
    "requestReceivedTimestamp", false, false, "as the record writes it", |view| whole(view, "requestReceivedTimestamp");
    "stageTimestamp", false, false, "as the record writes it", |view| whole(view, "stageTimestamp");
    "responseStatus.message", true, true, "message of a failure", |view| view.event.response_status.message.as_deref().into();
}

fn resource_class(resource: &str) -> &'static str {
    match resource {
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => "rbac",
        "pods"
        | "replicationcontrollers"
        | "replicasets"
        | "deployments"
        | "daemonsets"
        | "statefulsets"
        | "jobs"
        | "cronjobs" => "workload",
        "secrets" => "secret",
        "validatingwebhookconfigurations" | "mutatingwebhookconfigurations" => "webhook",
        _ => "other",
    }
}

fn code<'v>(view: &View<'_>) -> Value<'v> {
    #[expect(clippy::cast_precision_loss, reason = "codes are small")]
    view.event.response_status.code.map_or(Value::Missing, |code| Value::Number(code as f64))
}

fn outcome(view: &View<'_>) -> &'static str {
    crate::event::Outcome::of(view.event).name()
}

fn change(view: &View<'_>) -> Option<&'static str> {
    crate::event::Change::of(view.event).map(crate::event::Change::name)
}

fn list(items: Vec<&Json>) -> Value<'_> {
    if items.is_empty() { Value::Missing } else { Value::List(items.into_iter().map(Value::from).collect()) }
}

/// A member of the event as audit.k8s.io/v1 writes it.
fn whole<'v>(view: &'v View<'_>, name: &str) -> Value<'v> {
    view.native().get(name).map_or(Value::Missing, Value::from)
}

fn present(body: &Json) -> Value<'_> {
    if body.is_null() { Value::Missing } else { Value::from(body) }
}

fn host_paths(view: &View<'_>) -> Vec<String> {
    let volumes = view.pod_spec().and_then(|pod| pod.get("volumes")?.as_array());
    let paths = volumes.into_iter().flatten().filter_map(|volume| volume.pointer("/hostPath/path")?.as_str());
    paths.map(str::to_owned).collect()
}

fn capabilities(view: &View<'_>) -> Vec<String> {
    let added = view.containers();
    let added = added.iter().filter_map(|container| container.pointer("/securityContext/capabilities/add")?.as_array());
    added.flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// A field and the path into it.
#[derive(Debug, Clone)]
pub struct Path {
    /// `None` inside AnyElement and the like, where the path starts at the element.
    pub field: Option<&'static Field>,
    /// Steps from there.
    pub steps: Vec<Step>,
    /// Whether the part of an event before its bodies holds everything it leads to.
    pub(super) of_head: bool,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Member of an object.
    Key(String),
    /// Element of a list.
    Index(usize),
    /// Every element of a list.
    Each,
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.field.map_or("", |field| field.name))?;
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 && self.field.is_none() => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Each => f.write_str("[*]")?,
            }
        }
        if self.field.is_none() && self.steps.is_empty() { f.write_str("(element)") } else { Ok(()) }
    }
}

impl Path {
    /// A field and the path into it.
    #[must_use]
    pub fn new(field: Option<&'static Field>, steps: Vec<Step>) -> Self {
        Path { field, steps, of_head: field.is_some_and(|field| field.of_head) }
    }

    /// A path of an event: the longest known field that it starts with, then steps.
    pub(super) fn of_event(line: usize, steps: &[Step]) -> yaml::Parsed<Path> {
        let names: Vec<&str> =
            steps.iter().map_while(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None }).collect();
        for taken in (1..=names.len().min(2)).rev() {
            let name = names[..taken].join(".");
            if let Some(field) = FIELDS.iter().find(|field| field.name == name) {
                return Ok(Path::new(Some(field), steps[taken..].to_vec()));
            }
        }
        if names.is_empty() {
            return Err(yaml::Problem::new(
                line,
                "a path starts with the name of a field; `kubesweep rules fields` lists them",
            ));
        }
        let word = names.iter().take(2).copied().collect::<Vec<_>>().join(".");
        Err(yaml::unknown(line, "field", &word, FIELDS.iter().map(|field| field.name)))
    }

    /// Whether text that this path leads to must occur in the raw record.
    pub(super) fn is_raw(&self) -> bool {
        self.field.is_some_and(|field| field.raw)
    }
}

/// Reads `a.b[2].c` and `a[*].b`.
pub(super) fn steps(line: usize, path: &str) -> yaml::Parsed<Vec<Step>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, brackets) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            steps.push(Step::Key(key.to_owned()));
        } else if brackets.is_empty() {
            return Err(yaml::Problem::new(line, format!("the path {path} has an empty part")));
        }
        for bracket in brackets.split('[').skip(1) {
            let inner = bracket.strip_suffix(']').unwrap_or("?");
            steps.push(match (inner, inner.parse()) {
                ("*", _) => Step::Each,
                (_, Ok(index)) => Step::Index(index),
                _ => return Err(yaml::Problem::new(line, format!("in the path {path} write [2] or [*]"))),
            });
        }
    }
    Ok(steps)
}
