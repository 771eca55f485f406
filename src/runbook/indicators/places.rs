//! Where indicators look: places with a name, and paths below a CronJob, its pod and each container.

use std::borrow::Cow;

use serde_json::Value;

use super::pattern::cut;
use super::subject::{JOB, POD, Subject};

/// A place that an indicator names.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Commands of each container, with what is decoded from them.
    Command,
    /// Names of environment variables.
    EnvName,
    /// Members of the object.
    Paths(Vec<Path>),
    /// Something about the request, which is not in the object.
    Event(#[expect(dead_code, reason = "shown by Debug")] &'static str),
}

/// Members of the object.
#[derive(Debug, Clone)]
pub(super) struct Path {
    root: Root,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Cronjob,
    Job,
    Pod,
    Container,
}

/// A step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Each,
}

const ROOTS: [(&str, Root); 4] =
    [("cronjob", Root::Cronjob), ("job", Root::Job), ("pod", Root::Pod), ("container", Root::Container)];

/// Names for members that indicators often look at.
const NAMED: [(&str, &[&str]); 6] = [
    ("schedule", &["cronjob.spec.schedule"]),
    ("name", &["cronjob.metadata.name", "container.name"]),
    ("image", &["container.image"]),
    ("env", &["container.env[*].value"]),
    ("hostpath", &["pod.volumes[*].hostPath.path"]),
    ("service_account", &["pod.serviceAccountName", "pod.serviceAccount"]),
];

/// Members that name a secret.
const SECRETS: [&str; 4] = [
    "pod.volumes[*].secret.secretName",
    "pod.volumes[*].projected.sources[*].secret.name",
    "container.env[*].valueFrom.secretKeyRef.name",
    "container.envFrom[*].secretRef.name",
];

const EVENT: [&str; 9] = [
    "event.username",
    "event.groups",
    "event.impersonated",
    "event.namespace",
    "event.user_agent",
    "event.source_ip",
    "event.labels",
    "event.time",
    "history",
];

impl Place {
    pub(super) fn parse(text: &str) -> Option<Place> {
        let paths =
            |paths: &[&str]| paths.iter().map(|path| Path::parse(path)).collect::<Option<_>>().map(Place::Paths);
        match text {
            "command" => return Some(Place::Command),
            "env_name" => return Some(Place::EnvName),
            "secret" => return paths(&SECRETS),
            _ => {}
        }
        if let Some(event) = EVENT.iter().find(|name| **name == text) {
            return Some(Place::Event(event));
        }
        match NAMED.iter().find(|(name, _)| *name == text) {
            Some((_, named)) => paths(named),
            None => paths(&[text]),
        }
    }

    /// All that have a name, and the roots of paths.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        let named = NAMED.iter().map(|(name, _)| *name);
        let roots = ROOTS.iter().map(|(name, _)| *name);
        ["command", "env_name", "secret"].into_iter().chain(named).chain(EVENT).chain(roots)
    }
}

impl Path {
    fn parse(text: &str) -> Option<Path> {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let root = ROOTS.iter().find(|(name, _)| *name == &text[..end])?.1;
        Some(Path { root, steps: steps(&text[end..])? })
    }

    /// The values there, with their places.
    pub(super) fn values<'a>(&self, subject: &Subject<'a>) -> Vec<(String, &'a Value)> {
        let from = |place: &str, value: Option<&'a Value>| match value {
            Some(value) => walk(place.to_owned(), value, &self.steps),
            None => Vec::new(),
        };
        match self.root {
            Root::Cronjob => from("", Some(subject.object)),
            Root::Job => from(JOB, subject.job),
            Root::Pod => from(POD, subject.pod),
            Root::Container => {
                subject.containers.iter().flat_map(|container| from(&container.place, Some(container.value))).collect()
            }
        }
    }

    /// The root's name and the least value that holds this one.
    pub(super) fn wrap(&self, value: Value) -> (&'static str, Value) {
        let wrapped = self.steps.iter().rev().fold(value, |inner, step| match step {
            Step::Key(key) => Value::Object([(key.clone(), inner)].into_iter().collect()),
            Step::Each => Value::Array(vec![inner]),
        });
        let root = ROOTS.iter().find(|(_, root)| *root == self.root).map_or("", |(name, _)| *name);
        (root, wrapped)
    }
}

/// The values of members that name a secret.
pub(super) fn secrets<'a>(subject: &Subject<'a>) -> Vec<(String, &'a Value)> {
    SECRETS.iter().filter_map(|path| Path::parse(path)).flat_map(|path| path.values(subject)).collect()
}

/// `.a.b[*]["c.d"]`.
pub(super) fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            steps.push(Step::Each);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("[\"") {
            let (key, after) = after.split_once("\"]")?;
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else {
            let key = rest.strip_prefix('.')?;
            let end = key.find(['.', '[']).unwrap_or(key.len());
            steps.push(Step::Key(key.get(..end).filter(|key| !key.is_empty())?.to_owned()));
            rest = &key[end..];
        }
    }
    Some(steps)
}

/// The values that steps lead to; null is no value.
pub(super) fn walk<'a>(place: String, value: &'a Value, steps: &[Step]) -> Vec<(String, &'a Value)> {
    let mut values = vec![(place, value)];
    for step in steps {
        values = values.into_iter().flat_map(|(place, value)| down(&place, value, step)).collect();
    }
    values.retain(|(_, value)| !value.is_null());
    values
}

fn down<'a>(place: &str, value: &'a Value, step: &Step) -> Vec<(String, &'a Value)> {
    match step {
        Step::Key(key) => value.get(key).map(|value| (member(place, key), value)).into_iter().collect(),
        Step::Each => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().enumerate().map(|(index, value)| (format!("{place}[{index}]"), value)).collect()
        }
    }
}

/// The place of a member.
pub(super) fn member(place: &str, key: &str) -> String {
    let simple = !key.is_empty() && key.chars().all(|char| char.is_ascii_alphanumeric() || char == '_' || char == '-');
    match (simple, place) {
        (true, "") => key.to_owned(),
        (true, _) => format!("{place}.{key}"),
        (false, _) => format!("{place}[{key:?}]"),
    }
}

/// The last member of a place.
pub(super) fn last(place: &str) -> &str {
    place.rsplit('.').next().unwrap_or(place)
}

/// Text, or a number or boolean as text; the part that is looked at.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(cut(text).into()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        _ => None,
    }
}
