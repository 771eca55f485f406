//! What the bodies of a request say of an object, reduced to what the runbook compares.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cronjob::{may_be_whole, whole_spec};
use crate::event::{AuditEvent, LAST_APPLIED};
use crate::json::{self, Fields, Raw, compact};
use crate::spill::{Shared, shared};

/// Bodies reduced to what the runbook needs. Texts are JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// A whole object in the shape of a CronJob: `metadata` and `spec`, without what changes at every write.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub state: Option<Arc<str>>,
    /// The field that `state` or `remains` was read from: `responseObject` or `requestObject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub source: Option<Arc<str>>,
    /// A patch: an object that is not a whole one, or a list of operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub patch: Option<Arc<str>>,
    /// What is left of a CronJob whose record was cut inside its body: the remaining members, as valid JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub remains: Option<Arc<str>>,
    /// The controlling owner of a Job or Pod: its kind and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<(String, String)>,
    /// A short note on the body of any other object: the subjects and the role of a binding. For a CronJob whose
    /// response shows its state: what a patch asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Body {
    shared!(state, source, patch, remains);
}

/// Recent texts, so that equal ones are kept once.
#[derive(Debug, Default)]
pub struct Interner {
    texts: BTreeSet<Arc<str>>,
    bytes: usize,
}

/// Bytes of texts after which all are forgotten.
const REMEMBERED: usize = 1 << 20;

impl Interner {
    /// The text, shared with equal ones before it.
    pub(super) fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.bytes > REMEMBERED {
            *self = Interner::default();
        }
        let text: Arc<str> = text.into();
        self.bytes += text.len();
        self.texts.insert(Arc::clone(&text));
        text
    }
}

/// Reads both bodies, the response first: it is the state after the change.
///
/// The pod spec of a Job is read from its request: the response has the volumes that admission added, whose names
/// differ from pod to pod.
pub(super) fn read(event: &AuditEvent<'_>, texts: &mut Interner) -> Option<Box<Body>> {
    let (request, response) = (event.request_object.as_deref(), event.response_object.as_deref());
    let mut body = Body::default();
    match event.object_ref.resource.as_deref() {
        Some("cronjobs") => cronjob(&mut body, event, texts),
        Some("jobs") => workload(&mut body, [response, request], texts, |job| {
            let template = job.inside(&["spec", "template"]).and_then(compact)?;
            let template = without_labels_of_job(&template).map_or(template, Cow::Owned);
            Some(within(["spec", "jobTemplate", "spec", "template"], &template))
        }),
        Some("pods") => workload(&mut body, [request, response], texts, |pod| {
            let spec = pod.get("spec").and_then(compact)?;
            Some(within(["spec", "jobTemplate", "spec", "template", "spec"], &spec))
        }),
        Some("configmaps") => {
            let object = response.and_then(whole).or_else(|| request.and_then(whole));
            body.state = object.map(|object| {
                let data = object.get("data").and_then(compact).unwrap_or(Cow::Borrowed("null"));
                texts.keep(&within(["data"], &data))
            });
        }
        _ => {
            let object = request.and_then(whole).or_else(|| response.and_then(whole));
            body.note = object.and_then(|object| binding(&object));
        }
    }
    (body != Body::default()).then(|| Box::new(body))
}

/// The name that an object was given, for requests whose objectRef has none: the server derives it from a
/// `generateName`.
pub(super) fn name(event: &AuditEvent<'_>) -> Option<String> {
    let bodies = [&event.response_object, &event.request_object].into_iter().filter_map(Option::as_deref);
    let objects = bodies.filter_map(whole).filter(|object| object.text("kind").as_deref() != Some("Status"));
    let mut names = objects.filter_map(|object| object.object("metadata")?.text("name"));
    names.find(|name| !name.is_empty()).map(Cow::into_owned)
}

/// The members of an object; `None` if it is cut.
fn whole(raw: Raw<'_>) -> Option<Fields<'_>> {
    Fields::read(raw).filter(Fields::is_whole)
}

/// Keeps both the state and the patch. A server-side apply may be a whole object and a patch at once; the state known
/// before it decides which counts.
fn cronjob(body: &mut Body, event: &AuditEvent<'_>, texts: &mut Interner) {
    let (request, response) = (event.request_object.as_deref(), event.response_object.as_deref());
    let bodies = [(response, "responseObject"), (request, "requestObject")];
    for (raw, source) in bodies {
        let object = raw.and_then(whole).filter(|object| may_be_whole(event, object, source));
        if let Some(state) = object.and_then(|object| reduced(&object)) {
            body.state = Some(texts.keep(&state));
            body.source = Some(texts.keep(source));
            break;
        }
    }
    // A patch of the status does not change the spec.
    let is_patch = event.verb.as_deref() == Some("patch") && event.object_ref.subresource.is_none();
    if is_patch && body.source.as_deref() == Some("responseObject") {
        let is_part = |raw: Raw<'_>| whole(raw).is_none_or(|object| whole_spec(&object).is_none());
        body.note = request.filter(|raw| is_part(raw)).and_then(asked);
    } else if is_patch {
        let patch = request.filter(|raw| matches!(raw.first(), Some(b'{' | b'[')));
        body.patch = patch.and_then(compact).map(|patch| texts.keep(&patch));
    }
    if body.state.is_none()
        && body.patch.is_none()
        && let Some((remains, source)) = bodies.into_iter().find_map(|(raw, source)| Some((remains(raw?)?, source)))
    {
        body.remains = Some(texts.keep(&remains));
        body.source = Some(texts.keep(source));
    }
}

/// Bytes that are looked at of a body that is cut. CloudWatch cuts at 256 KiB, AKS at 16 KiB.
const REMAINS: usize = 256 << 10;

/// The metadata and spec of a body that is cut, as far as they go: of what `kubectl apply` writes in front of the spec, the
/// spec in its annotation.
fn remains(raw: Raw<'_>) -> Option<String> {
    Fields::read(raw).filter(|object| !object.is_whole())?;
    let raw = raw.strip_suffix(b"[Truncated...]").unwrap_or(raw);
    let object = closed(&raw[..raw.len().min(REMAINS)])?;
    let applied = || closed(object["metadata"]["annotations"][LAST_APPLIED].as_str()?.as_bytes());
    let spec = |object: &Value| object.get("spec").filter(|spec| spec.is_object()).cloned();
    let spec = spec(&object).or_else(|| spec(&applied()?))?;
    let metadata: Map<String, Value> = ["name", "namespace", "labels"]
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), object["metadata"].get(*key)?.clone())))
        .collect();
    Some(json!({"metadata": metadata, "spec": spec}).to_string())
}

/// A value that is cut, without its last text unless its beginning says something by itself.
fn closed(text: &[u8]) -> Option<Value> {
    let (closed, in_string) = json::closed(text)?;
    let mut value = serde_json::from_str(&closed).ok()?;
    if in_string {
        drop_last_text(&mut value);
    }
    Some(value)
}

/// Takes out the last text of a value: half a path or image is another one. Half a command is not.
fn drop_last_text(value: &mut Value) {
    const PROSE: [&str; 4] = ["command", "args", "value", LAST_APPLIED];
    match value {
        Value::Object(members) => {
            let last = members.iter_mut().next_back().filter(|(key, _)| !PROSE.contains(&key.as_str()));
            if let Some((_, member)) = last {
                drop_last_text(member);
            }
        }
        Value::Array(items) => {
            if let Some(item) = items.last_mut() {
                drop_last_text(item);
            }
        }
        Value::String(_) => *value = Value::Null,
        _ => {}
    }
}

/// How many changed places of a patch are named.
const ASKED: usize = 5;
/// Larger patches, in bytes, are not looked at.
const LOOKED_AT: usize = 64 << 10;

/// The paths that a patch sets: in metadata the member, elsewhere down to values that are not objects.
fn asked(patch: Raw<'_>) -> Option<String> {
    let patch = serde_json::from_slice(patch.get(..LOOKED_AT).map_or(patch, |_| &[])).ok()?;
    let mut places = Vec::new();
    match &patch {
        Value::Array(operations) => {
            let sets = operations.iter().filter(|operation| operation["op"] != "test");
            let paths = sets.filter_map(|operation| operation["path"].as_str());
            places.extend(paths.map(|path| path.trim_start_matches('/').replace('/', ".")));
        }
        patch => leaves(patch, "", &mut places),
    }
    let more = if places.len() > ASKED { ", and more" } else { "" };
    places.truncate(ASKED);
    let places = places.join(", ") + more;
    (!places.is_empty()).then(|| places.chars().take(200).collect())
}

fn leaves(value: &Value, path: &str, places: &mut Vec<String>) {
    match value {
        Value::Object(members) if !path.starts_with("metadata.") => {
            for (key, member) in members {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(member, &inner, places);
            }
        }
        _ => places.push(path.to_owned()),
    }
}

/// A whole CronJob without what changes at every write.
fn reduced(object: &Fields<'_>) -> Option<String> {
    let spec = whole_spec(object).and(object.get("spec"))?;
    let metadata = object.object("metadata");
    let member =
        |key: &str, raw: Option<Raw<'_>>| raw.and_then(compact).map(|value| ["\"", key, "\":", &*value].concat());
    let of_metadata = |key: &str| metadata.as_ref()?.get(key);
    let kept = ["name", "namespace", "labels"].map(|key| member(key, of_metadata(key)));
    let applied =
        of_metadata("annotations").and_then(Fields::read).and_then(|annotations| annotations.get(LAST_APPLIED));
    let applied = applied.and_then(compact).map(|value| ["\"annotations\":", &within([LAST_APPLIED], &value)].concat());
    let metadata: Vec<_> = kept.into_iter().chain([applied]).flatten().collect();
    Some(["{\"metadata\":{", &metadata.join(","), "},\"spec\":", &*compact(spec)?, "}"].concat())
}

/// A value nested below these keys, as JSON.
fn within<const N: usize>(keys: [&str; N], value: &str) -> String {
    ["{\"", &keys.join("\":{\""), "\":", value, &"}".repeat(N)].concat()
}

/// Reads a Job or Pod as the CronJob it would come from.
fn workload(
    body: &mut Body,
    sources: [Option<Raw<'_>>; 2],
    texts: &mut Interner,
    state: impl Fn(&Fields<'_>) -> Option<String>,
) {
    let mut has_spec = false;
    for object in sources.into_iter().flatten().filter_map(whole) {
        body.owner = body.owner.take().or_else(|| owner(&object));
        if !has_spec && object.get("spec").is_some() {
            has_spec = true;
            body.state = state(&object).map(|state| texts.keep(&state));
        }
        if has_spec && body.owner.is_some() {
            break;
        }
    }
}

/// Labels that every Job sets on its pods, with its own values (kubernetes.io, Well-Known Labels, Annotations and
/// Taints).
const LABELS_OF_JOB: [&str; 4] =
    ["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"];

/// The template of a Job as its CronJob has it; `None` if it is that already.
fn without_labels_of_job(template: &str) -> Option<String> {
    let template = Fields::read(template.as_bytes())?;
    let metadata = template.object("metadata")?;
    let labels = metadata.object("labels")?;
    let (of_job, own): (Vec<_>, Vec<_>) = labels.iter().partition(|(key, _)| LABELS_OF_JOB.contains(key));
    if of_job.is_empty() {
        return None;
    }
    let labels = (!own.is_empty()).then(|| object_of(own.into_iter()));
    let of_metadata = |(key, value)| if key == "labels" { Some((key, labels.as_deref()?)) } else { Some((key, value)) };
    let metadata = object_of(metadata.iter().filter_map(of_metadata));
    let template = template.iter().map(|(key, value)| (key, if key == "metadata" { &*metadata } else { value }));
    String::from_utf8(object_of(template)).ok()
}

fn object_of<'m>(members: impl Iterator<Item = (&'m str, Raw<'m>)>) -> Vec<u8> {
    let members: Vec<_> =
        members.map(|(key, value)| [Value::from(key).to_string().as_bytes(), b":", value].concat()).collect();
    [b"{", &*members.join(&b','), b"}"].concat()
}

fn owner(object: &Fields<'_>) -> Option<(String, String)> {
    let owners: Vec<_> = json::elements(object.inside(&["metadata", "ownerReferences"])?).map(Fields::read).collect();
    let is_controller = |owner: &&Fields<'_>| owner.get("controller") == Some(b"true");
    let owner = owners.iter().flatten().find(is_controller).or_else(|| owners.first()?.as_ref())?;
    Some((owner.text("kind")?.into_owned(), owner.text("name")?.into_owned()))
}

/// How many subjects of a role binding are named.
const NAMED: usize = 5;

/// A binding in words: `cluster-admin for eve`.
fn binding(object: &Fields<'_>) -> Option<String> {
    let role = json::string(object.inside(&["roleRef", "name"])?)?;
    let subjects = json::elements(object.get("subjects").unwrap_or_default()).filter_map(Fields::read);
    let mut names: Vec<_> = subjects.filter_map(|subject| subject.text("name")).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{role} for {}{more}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn event<'e>(resource: &'e str, bodies: &'e [Option<String>; 2]) -> AuditEvent<'e> {
        let [request_object, response_object] =
            bodies.each_ref().map(|body| body.as_ref().map(|body| body.as_bytes().into()));
        let mut event = AuditEvent { request_object, response_object, ..AuditEvent::default() };
        event.object_ref.resource = Some(resource.into());
        event
    }

    /// The same, read from parsed values.
    fn parsed(resource: &str, bodies: &[Option<String>; 2]) -> Option<Body> {
        let value = |body: &Option<String>| serde_json::from_str::<Value>(body.as_ref()?).ok();
        let [request, response] = bodies.each_ref().map(value);
        let mut body = Body::default();
        if resource == "cronjobs" {
            let is_whole =
                |object: &Value| ["jobTemplate", "schedule"].iter().all(|key| object["spec"].get(key).is_some());
            for (object, source) in [(response, "responseObject"), (request, "requestObject")] {
                let Some(object) = object.filter(|object| body.state.is_none() && is_whole(object)) else { continue };
                let mut metadata = Map::new();
                for key in ["name", "namespace", "labels"] {
                    metadata.extend(object["metadata"].get(key).map(|value| (key.to_owned(), value.clone())));
                }
                let applied = object["metadata"]["annotations"].get(LAST_APPLIED);
                metadata.extend(applied.map(|text| ("annotations".to_owned(), json!({LAST_APPLIED: text}))));
                body.state = Some(json!({"metadata": metadata, "spec": object["spec"]}).to_string().into());
                body.source = Some(source.into());
            }
        } else {
            let is_job = resource == "jobs";
            let sources = if is_job { [response, request] } else { [request, response] };
            let spec = sources.iter().flatten().find_map(|object| object.get("spec"));
            let state = |spec: &Value| {
                let mut template = if is_job { spec.get("template")?.clone() } else { json!({"spec": spec}) };
                let metadata = template.get_mut("metadata").filter(|_| is_job);
                if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
                    let labels = metadata.get_mut("labels").and_then(Value::as_object_mut);
                    let before = labels.as_ref().map_or(0, |labels| labels.len());
                    let left = labels.map_or(0, |labels| {
                        labels.retain(|key, _| !LABELS_OF_JOB.contains(&key.as_str()));
                        labels.len()
                    });
                    if before > 0 && left == 0 {
                        metadata.shift_remove("labels");
                    }
                }
                Some(json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}))
            };
            body.state = spec.and_then(state).map(|state| state.to_string().into());
            body.owner = sources.iter().flatten().find_map(|object| {
                let owners = object["metadata"]["ownerReferences"].as_array()?;
                let owner = owners.iter().find(|owner| owner["controller"] == true).or(owners.first())?;
                Some((owner["kind"].as_str()?.to_owned(), owner["name"].as_str()?.to_owned()))
            });
        }
        (body != Body::default()).then_some(body)
    }

    /// A body: whole, of another kind, cut, or none. Some are written as no API server writes them.
    fn body() -> impl Strategy<Value = Option<String>> {
        let metadata = select(vec![
            "null",
            "[]",
            r#"{"name":"","labels":null}"#,
            r#"{"name":"a","name":"b","namespace":"n","resourceVersion":"1"}"#,
            r#"{"annotations":{"x":"y","kubectl.kubernetes.io/last-applied-configuration":"{\"a\": 1}\n"},"uid":"u"}"#,
            r#"{"annotations":[1],"ownerReferences":[{"kind":"X","name":"x"},{"kind":"Job","name":"j-1","controller":true}]}"#,
            r#"{"ownerReferences":[{"kind":"CronJob","name":"c"}],"labels":{ "a" : "b, c" },"managedFields":[{}]}"#,
        ]);
        let spec = select(vec![
            "null",
            "{}",
            r#"{"template":{"spec":{"b":1,"a":2}}}"#,
            r#"{"template":{"metadata":{"labels":{"job-name":"j-1", "a\"b":"1","controller-uid":"u"}},"spec":{}}}"#,
            r#"{"template":{"metadata":{"a":1,"labels":{"batch.kubernetes.io/job-name":"j-1"}},"spec":{}}}"#,
            r#"{"template":{"metadata":{"labels":{},"b":null}}}"#,
            r#"{"template":{"metadata":null}}"#,
            r#"{"template":{"spec": {"a":[1 ,2.50,1e2],"b":"\/x"}}}"#,
            r#"{"schedule":"* * * * *","jobTemplate":{"spec":{"command":["sh","-c","a: b, c"]}}}"#,
            r#"{"jobTemplate":null,"schedule":null,"\u0073chedule":"x"}"#,
            r#"{"schedule":"x","jobTemplate":{"n":18446744073709551616,"d":"sha256:1e9","s":"\ud83d\ude00 é"}}"#,
            r#"{"schedule":"x","jobTemplate":{"n":01}}"#,
            r#"{"schedule":"x","jobTemplate":1e999}"#,
            r#"{"schedule":"\ud800","jobTemplate":{}}"#,
            r#"{"schedule":"x"}"#,
        ]);
        let object = (prop::option::of(metadata), prop::option::of(spec)).prop_map(|(metadata, spec)| {
            let members = [("metadata", metadata), ("spec", spec)];
            let members = members.into_iter().filter_map(|(key, value)| Some(format!(r#","{key}":{}"#, value?)));
            format!(r#"{{"kind":"K"{}}}"#, members.collect::<String>())
        });
        let other = select(vec!["null", "[{}]", r#"{"kind":"Status""#]).prop_map(str::to_owned);
        prop::option::of(prop_oneof![8 => object, 1 => other])
    }

    proptest! {
        /// Reading bodies as text gives the same as reading them as values.
        #[test]
        fn text_tells_what_values_tell(bodies in [body(), body()], resource in select(vec!["cronjobs", "jobs", "pods"])) {
            let told = read(&event(resource, &bodies), &mut Interner::default()).map(|body| *body);
            // If a value is invalid, the rest of its body may still be read.
            let is_json = |body: &String| serde_json::from_str::<Value>(body).is_ok();
            if bodies.iter().flatten().all(is_json) {
                prop_assert_eq!(told, parsed(resource, &bodies));
            }
        }
    }
}
