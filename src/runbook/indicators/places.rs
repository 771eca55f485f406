//! Where indicators look: named places, and paths below a CronJob, its pod and each container.

use std::borrow::Cow;

use serde_json::Value;

use super::pattern::cut;
use super::subject::{JOB, POD, Subject};

/// A place that an indicator names.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Commands of each container, and what is decoded from them.
    Command,
    /// Names of environment variables.
    EnvName,
    /// Members of the object.
    Paths(Vec<Path>),
    /// Something about the request, which is not in the object.
    Event,
}

/// Members of the object.
#[derive(Debug, Clone)]
pub(super) struct Path {
    root: Root,
    /// The steps below it, as text.
    steps: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Cronjob,
    Job,
    Pod,
    Container,
}

/// A step down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'p> {
    Key(&'p str),
    Each,
}

const ROOTS: [(&str, Root); 4] =
    [("cronjob", Root::Cronjob), ("job", Root::Job), ("pod", Root::Pod), ("container", Root::Container)];

/// Names for members that indicators often use.
const NAMED: [(&str, &[&str]); 6] = [
    ("schedule", &["cronjob.spec.schedule"]),
    ("name", &["cronjob.metadata.name", "container.name"]),
    ("image", &["container.image"]),
    ("env", &["container.env[*].value"]),
    ("hostpath", &["pod.volumes[*].hostPath.path"]),
    ("service_account", &["pod.serviceAccountName", "pod.serviceAccount"]),
];

/// Members whose texts are searched together with the commands.
const SEARCHED: [&str; 3] = ["container.image", "container.env[*].value", "pod.volumes[*].hostPath.path"];

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
        if EVENT.contains(&text) {
            return Some(Place::Event);
        }
        match NAMED.iter().find(|(name, _)| *name == text) {
            Some((_, named)) => paths(named),
            None => paths(&[text]),
        }
    }

    /// The name of a place whose texts are searched rather than compared, and a path to what they are made of.
    pub(super) fn of_texts(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Place::Command => Some(("command", "container.command[*]")),
            Place::EnvName => Some(("env_name", "container.env[*].name")),
            Place::Paths(_) | Place::Event => None,
        }
    }

    /// Whether everything in it is among [`texts`].
    pub(super) fn is_searched(&self) -> bool {
        let is_searched = |path: &Path| SEARCHED.iter().any(|known| split(known) == Some((path.root, &path.steps)));
        match self {
            Place::Command | Place::EnvName => true,
            Place::Paths(paths) => paths.iter().all(is_searched),
            Place::Event => false,
        }
    }

    /// All named places, and the roots of paths.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        let named = NAMED.iter().map(|(name, _)| *name);
        let roots = ROOTS.iter().map(|(name, _)| *name);
        ["command", "env_name", "secret"].into_iter().chain(named).chain(EVENT).chain(roots)
    }
}

impl Path {
    fn parse(text: &str) -> Option<Path> {
        let (root, steps) = split(text)?;
        are_steps(steps).then(|| Path { root, steps: steps.to_owned() })
    }

    /// Visits the values at the path.
    pub(super) fn visit<'a>(&self, subject: &Subject<'a>, visit: &mut Visit<'_, 'a>) {
        visit_below(self.root, &self.steps, subject, visit);
    }

    /// The root's name, and the smallest value that holds this one at the path.
    pub(super) fn wrap(&self, value: Value) -> (&'static str, Value) {
        let wrapped = wrapped(&self.steps, value);
        let root = ROOTS.iter().find(|(_, root)| *root == self.root).map_or("", |(name, _)| *name);
        (root, wrapped)
    }
}

/// Members of the object, with one of which every path from its root starts.
const OF_OBJECT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The path that was meant by one that skips `spec`; `None` if it starts with a member of the object.
pub(super) fn astray(path: &str) -> Option<String> {
    let below = path.strip_prefix("cronjob.")?;
    let first = below.split(['.', '[']).next().unwrap_or_default();
    (!OF_OBJECT.contains(&first)).then(|| format!("cronjob.spec.{below}"))
}

/// The root of a path, and the steps below it.
fn split(path: &str) -> Option<(Root, &str)> {
    let (root, steps) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    ROOTS.iter().find(|(name, _)| *name == root).map(|(_, root)| (*root, steps))
}

fn visit_below<'a>(root: Root, steps: &str, subject: &Subject<'a>, visit: &mut Visit<'_, 'a>) {
    let mut from = |place: &str, value: Option<&'a Value>| {
        if let Some(value) = value {
            down(&Trail::Root(place), value, steps, visit);
        }
    };
    match root {
        Root::Cronjob => from("", Some(subject.object)),
        Root::Job => from(JOB, subject.job),
        Root::Pod => from(POD, subject.pod),
        Root::Container => {
            subject.containers.iter().for_each(|container| from(&container.place, Some(container.value)));
        }
    }
}

/// What the containers run, names and values of their environment, their images, and host paths.
pub(super) fn texts<'s>(subject: &'s Subject<'_>) -> Vec<Cow<'s, str>> {
    let run = subject.containers.iter().flat_map(|container| &container.texts);
    let mut texts: Vec<Cow<'_, str>> = run.map(|text| text.whole.as_str().into()).collect();
    texts.extend(subject.env_names().map(|(_, name, _)| name.into()));
    for (root, steps) in SEARCHED.iter().filter_map(|path| split(path)) {
        visit_below(root, steps, subject, &mut |trail, value| texts.extend(searched(trail, value)));
    }
    texts
}

/// The text of a value as it is searched: a path on the host without what its spelling may add.
pub(super) fn searched<'v>(trail: &Trail<'_>, value: &'v Value) -> Option<Cow<'v, str>> {
    let text = text(value)?;
    let is_host_path = matches!(trail, Trail::Key(Trail::Key(_, "hostPath"), "path"));
    if is_host_path && text.starts_with('/') { Some(plain_path(&text).into()) } else { Some(text) }
}

/// A path without empty names, `.` and `..`.
fn plain_path(path: &str) -> String {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// The values of members that name a secret, with their places.
pub(super) fn secrets<'a>(subject: &Subject<'a>) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    for (root, steps) in SECRETS.iter().filter_map(|path| split(path)) {
        visit_below(root, steps, subject, &mut |trail, value| found.push((trail.place(), value)));
    }
    found
}

/// Whether a text is a sequence of steps: `.a.b[*]["c.d"]`.
pub(super) fn are_steps(text: &str) -> bool {
    text.is_empty() || next(text).is_some_and(|(_, rest)| are_steps(rest))
}

/// The first step, and the rest.
fn next(steps: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = steps.strip_prefix("[*]") {
        Some((Step::Each, rest))
    } else if let Some(rest) = steps.strip_prefix("[\"") {
        rest.split_once("\"]").map(|(key, rest)| (Step::Key(key), rest))
    } else {
        let rest = steps.strip_prefix('.')?;
        let (key, rest) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        (!key.is_empty()).then_some((Step::Key(key), rest))
    }
}

/// The smallest value that holds another one where the steps lead.
fn wrapped(steps: &str, value: Value) -> Value {
    match next(steps) {
        Some((Step::Key(key), rest)) => Value::Object([(key.to_owned(), wrapped(rest, value))].into_iter().collect()),
        Some((Step::Each, rest)) => Value::Array(vec![wrapped(rest, value)]),
        None => value,
    }
}

/// The values that the steps lead to, with their places; null does not count.
pub(super) fn walk<'a>(place: &str, value: &'a Value, steps: &str) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    down(&Trail::Root(place), value, steps, &mut |trail, value| found.push((trail.place(), value)));
    found
}

/// Called for each value that the steps lead to, with the path to it.
pub(super) type Visit<'v, 'a> = dyn FnMut(&Trail<'_>, &'a Value) + 'v;

/// Visits the values that the steps lead to; null does not count.
pub(super) fn down<'a>(trail: &Trail<'_>, value: &'a Value, steps: &str, visit: &mut Visit<'_, 'a>) {
    match next(steps) {
        Some((Step::Key(key), rest)) => {
            if let Some(value) = value.get(key) {
                down(&Trail::Key(trail, key), value, rest, visit);
            }
        }
        Some((Step::Each, rest)) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().enumerate().for_each(|(at, value)| down(&Trail::Item(trail, at), value, rest, visit));
        }
        None if value.is_null() => {}
        None => visit(trail, value),
    }
}

/// The path to a value. It is written out only if something is found there, which is rare.
pub(super) enum Trail<'t> {
    Root(&'t str),
    Key(&'t Trail<'t>, &'t str),
    Item(&'t Trail<'t>, usize),
}

impl Trail<'_> {
    pub(super) fn place(&self) -> String {
        match self {
            Trail::Root(place) => (*place).to_owned(),
            Trail::Key(before, key) => member(&before.place(), key),
            Trail::Item(before, at) => format!("{}[{at}]", before.place()),
        }
    }
}

/// The place of a member of an object.
pub(super) fn member(place: &str, key: &str) -> String {
    let simple = !key.is_empty() && key.chars().all(|char| char.is_ascii_alphanumeric() || char == '_' || char == '-');
    match (simple, place) {
        (true, "") => key.to_owned(),
        (true, _) => format!("{place}.{key}"),
        (false, _) => format!("{place}[{key:?}]"),
    }
}

/// The last key of a place.
pub(super) fn last(place: &str) -> &str {
    // A key with dots is in brackets.
    let in_brackets = place.strip_suffix("\"]").and_then(|place| Some(place.rsplit_once("[\"")?.1));
    in_brackets.unwrap_or_else(|| place.rsplit('.').next().unwrap_or(place))
}

/// Text, or a number or boolean as text; only the part that is searched.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(cut(text).into()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        _ => None,
    }
}
