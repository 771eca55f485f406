//! What the bodies of a request tell of an object, reduced to what the runbook compares.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::event::AuditEvent;

/// Bodies as the runbook needs them. Texts are JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// A whole object, as a CronJob: `metadata` and `spec`, without what changes at every write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<str>>,
    /// The field that the state was read from: `responseObject` or `requestObject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A patch: an object that is no whole one, or a list of operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Arc<str>>,
    /// The controlling owner of a Job or Pod: its kind and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<(String, String)>,
    /// A few words on the body of any other object: the subjects and the role of a binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The bodies of a request, each parsed when it is first asked for.
pub(super) struct Objects<'e> {
    pub request: Object<'e>,
    pub response: Object<'e>,
}

impl<'e> Objects<'e> {
    pub(super) fn of(event: &'e AuditEvent<'_>) -> Self {
        let object = |text: &'e Option<Cow<'_, [u8]>>| Object { text: text.as_deref(), parsed: OnceCell::new() };
        Objects { request: object(&event.request_object), response: object(&event.response_object) }
    }
}

/// A body.
pub(super) struct Object<'e> {
    text: Option<&'e [u8]>,
    parsed: OnceCell<Option<serde_json::Result<Value>>>,
}

impl Object<'_> {
    pub(super) fn get(&self) -> Option<&serde_json::Result<Value>> {
        // One that the short way does not understand may still be JSON.
        let parse = |text| pruned(text).or_else(|_| serde_json::from_slice(text));
        self.parsed.get_or_init(|| self.text.map(parse)).as_ref()
    }

    fn take(self) -> Option<Value> {
        self.get();
        self.parsed.into_inner()??.ok()
    }
}

/// Parses an object but for what changes at every write, most of its bytes: `status` and `metadata.managedFields`.
fn pruned(text: &[u8]) -> serde_json::Result<Value> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let object = Pruned { without: "status", inside: Some("metadata") }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(object)
}

/// Reads an object without one of its members; a member inside it without its `managedFields`.
struct Pruned {
    without: &'static str,
    inside: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Pruned {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pruned {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == self.without {
                members.next_value::<IgnoredAny>()?;
            } else if Some(key.as_str()) == self.inside {
                let inner = members.next_value_seed(Pruned { without: "managedFields", inside: None })?;
                object.insert(key, inner);
            } else {
                object.insert(key, members.next_value()?);
            }
        }
        Ok(Value::Object(object))
    }
}

/// Texts seen lately, so that equal ones are kept once.
#[derive(Debug, Default)]
pub struct Interner {
    texts: BTreeSet<Arc<str>>,
    bytes: usize,
}

/// Bytes of texts that are remembered before they are all forgotten.
const REMEMBERED: usize = 1 << 20;

impl Interner {
    fn keep(&mut self, value: &Value) -> Arc<str> {
        let text = value.to_string();
        if let Some(known) = self.texts.get(text.as_str()) {
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

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Reads both bodies, the response first: it is the state after the change.
///
/// What the pod of a Job is made of stands in its request: the response has the volumes that admission added, under
/// names that differ from pod to pod.
pub(super) fn read(event: &AuditEvent<'_>, objects: Objects<'_>, texts: &mut Interner) -> Option<Box<Body>> {
    let Objects { request, response } = objects;
    let mut body = Body::default();
    match event.object_ref.resource.as_deref() {
        Some("cronjobs") => {
            // A patch of the status changes no spec.
            let is_patch = event.verb.as_deref() == Some("patch") && event.object_ref.subresource.is_none();
            cronjob(&mut body, request, response, is_patch, texts);
        }
        Some("jobs") => {
            let to = ["spec", "jobTemplate", "spec", "template"];
            workload(&mut body, [response, request], texts, "/spec/template", to);
        }
        Some("pods") => {
            let to = ["spec", "jobTemplate", "spec", "template", "spec"];
            workload(&mut body, [request, response], texts, "/spec", to);
        }
        Some("configmaps") => {
            body.state =
                response.take().or_else(|| request.take()).map(|object| texts.keep(&json!({"data": object["data"]})));
        }
        _ => body.note = request.take().or_else(|| response.take()).and_then(|object| binding(&object)),
    }
    (body != Body::default()).then(|| Box::new(body))
}

fn cronjob(body: &mut Body, request: Object<'_>, response: Object<'_>, is_patch: bool, texts: &mut Interner) {
    let is_whole =
        |object: &Value| object.pointer("/spec/jobTemplate").is_some() && object.pointer("/spec/schedule").is_some();
    if let Some(object) = response.take().filter(is_whole) {
        body.state = Some(texts.keep(&reduced(object)));
        body.source = Some("responseObject".to_owned());
        return;
    }
    match request.take() {
        Some(object) if is_whole(&object) => {
            body.state = Some(texts.keep(&reduced(object)));
            body.source = Some("requestObject".to_owned());
        }
        Some(patch) if is_patch && (patch.is_array() || patch.is_object()) => body.patch = Some(texts.keep(&patch)),
        _ => {}
    }
}

/// Takes apart what it is given: a spec is too large to be copied for every record.
fn reduced(mut object: Value) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "namespace", "labels"] {
        if let Some(value) = object.pointer_mut(&format!("/metadata/{key}")) {
            metadata.insert(key.to_owned(), value.take());
        }
    }
    if let Some(annotations) = object.pointer_mut("/metadata/annotations")
        && let Some(applied) = annotations.get_mut(LAST_APPLIED)
    {
        metadata.insert("annotations".to_owned(), within([LAST_APPLIED], applied.take()));
    }
    let spec = object.get_mut("spec").map_or(Value::Null, Value::take);
    Value::Object(Map::from_iter([("metadata".to_owned(), metadata.into()), ("spec".to_owned(), spec)]))
}

/// The value behind so many keys.
fn within<const N: usize>(keys: [&str; N], value: Value) -> Value {
    keys.iter().rev().fold(value, |value, key| Value::Object(Map::from_iter([((*key).to_owned(), value)])))
}

/// A Job or Pod as the CronJob that it would come from.
fn workload<const N: usize>(
    body: &mut Body,
    sources: [Object<'_>; 2],
    texts: &mut Interner,
    from: &str,
    to: [&str; N],
) {
    let mut has_spec = false;
    for mut object in sources.into_iter().filter_map(Object::take) {
        body.owner = body.owner.take().or_else(|| owner(&object));
        if !has_spec && object.get("spec").is_some() {
            has_spec = true;
            body.state = object.pointer_mut(from).map(|spec| texts.keep(&within(to, spec.take())));
        }
        if has_spec && body.owner.is_some() {
            break;
        }
    }
}

fn owner(object: &Value) -> Option<(String, String)> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true).or_else(|| owners.first())?;
    Some((owner["kind"].as_str()?.to_owned(), owner["name"].as_str()?.to_owned()))
}

/// `cluster-admin for eve`.
fn binding(object: &Value) -> Option<String> {
    let role = object.pointer("/roleRef/name")?.as_str()?;
    let subjects = object.get("subjects").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<_> = subjects.iter().filter_map(|subject| subject["name"].as_str()).collect();
    Some(format!("{role} for {}", names.join(", ")))
}
