//! Examples of indicators: what they must find, and what they must not.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::places::Place;
use super::{Catalogue, Context, Example, Indicator};

/// Keys allowed in the mapping of an example.
pub(super) const KEYS: [&str; 12] = [
    "container",
    "pod",
    "cronjob",
    "job",
    "schedule",
    "name",
    "registries",
    "runs_per_day",
    "one_date",
    "never_fires",
    "any_weekday",
    "actor_is_system",
];

/// Results of the examples of a catalogue.
#[derive(Debug, Default, Serialize)]
pub struct Tried {
    /// How many were tried.
    pub count: usize,
    /// Those that fail, in a sentence each.
    pub broken: Vec<String>,
}

impl Catalogue {
    /// Tries the examples of everything enabled. Examples that are requests are not tried: they need more than a
    /// CronJob.
    #[must_use]
    pub fn try_examples(&self) -> Tried {
        let mut tried = Tried::default();
        let mut check = |id: &str, example: &Example, expected: bool, found: Option<bool>| {
            let Some(found) = found else { return };
            tried.count += 1;
            if found != expected {
                let finds = if expected { "does not find" } else { "finds" };
                tried.broken.push(format!("{id} {finds} {}", show(example)));
            }
        };
        for indicator in self.iter().filter(|indicator| indicator.enabled) {
            for (example, expected) in with_answers(&indicator.positive, &indicator.negative) {
                check(&indicator.id, example, expected, self.finds(indicator, example, expected));
            }
        }
        for composite in self.composites().filter(|composite| composite.enabled) {
            for (example, expected) in with_answers(&composite.positive, &composite.negative) {
                check(&composite.id, example, expected, self.finds_spec(&composite.id, example));
            }
        }
        tried
    }

    /// Whether text is found: in one place suffices if it must be found; if it must not, no place may find it.
    fn finds(&self, indicator: &Indicator, example: &Example, expected: bool) -> Option<bool> {
        let Example::Text(text) = example else { return self.finds_spec(&indicator.id, example) };
        if indicator.test.function.is_some() || !indicator.is_of_spec() {
            return Some(indicator.find(text).is_some());
        }
        let mut objects = indicator.at.iter().flat_map(|place| objects(place, text));
        let finds = |object: Value| self.is_found(&indicator.id, &object, &Context::default());
        Some(if expected { objects.any(finds) } else { !objects.all(|object| !finds(object)) })
    }

    fn finds_spec(&self, id: &str, example: &Example) -> Option<bool> {
        let Example::Spec(spec) = example else { return None };
        let registries = spec.get("registries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let registries: Vec<String> = registries.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let is = |key: &str, otherwise: bool| spec.get(key).and_then(Value::as_bool).unwrap_or(otherwise);
        let context = Context {
            whole: true,
            registries: &registries,
            actor_is_system: is("actor_is_system", false),
            runs_per_day: spec.get("runs_per_day").and_then(Value::as_f64),
            one_date: is("one_date", false),
            never_fires: is("never_fires", false),
            any_weekday: is("any_weekday", true),
        };
        Some(self.is_found(id, &object(spec), &context))
    }

    fn is_found(&self, id: &str, object: &Value, context: &Context<'_>) -> bool {
        self.examine(object, context).iter().any(|finding| finding.id == id)
    }
}

/// Examples, each with whether it must be found.
fn with_answers<'e>(positive: &'e [Example], negative: &'e [Example]) -> impl Iterator<Item = (&'e Example, bool)> {
    let negative = negative.iter().map(|example| (example, false));
    positive.iter().map(|example| (example, true)).chain(negative)
}

fn show(example: &Example) -> String {
    match example {
        Example::Text(text) => format!("{text:?}"),
        Example::Spec(spec) => spec.to_string(),
        Example::Events(events) => Value::Array(events.clone()).to_string(),
    }
}

/// The CronJob that the mapping of an example describes.
fn object(spec: &Value) -> Value {
    let part = |key: &str| spec.get(key).cloned().filter(Value::is_object);
    let mut pod = part("pod").unwrap_or_else(|| json!({}));
    if let (Some(container), Some(pod)) = (part("container"), pod.as_object_mut()) {
        pod.insert("containers".to_owned(), json!([container]));
    }
    let mut object = part("cronjob").unwrap_or_else(|| json!({}));
    let mut job = part("job").unwrap_or_else(|| json!({}));
    merge(&mut job, json!({"template": {"spec": pod}}));
    merge(&mut object, json!({"jobTemplate": {"spec": job}}));
    if let Some(schedule) = spec.get("schedule") {
        merge(&mut object, json!({"schedule": schedule}));
    }
    json!({"metadata": {"name": spec.get("name").unwrap_or(&json!("x"))}, "spec": object})
}

fn merge(into: &mut Value, other: Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            for (key, value) in other {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, other) => *into = other,
    }
}

/// CronJobs with a text as the value in a place.
fn objects(place: &Place, text: &str) -> Vec<Value> {
    let in_container = |container: Value| object(&json!({"container": container}));
    match place {
        Place::Command => vec![in_container(json!({"args": [text]}))],
        Place::EnvName => vec![in_container(json!({"env": [{"name": text, "value": "x"}]}))],
        Place::Event => Vec::new(),
        Place::Paths(paths) => {
            let wrapped = paths.iter().map(|path| path.wrap(text.into()));
            wrapped.map(|(root, value)| if root == "cronjob" { value } else { object(&only(root, value)) }).collect()
        }
    }
}

fn only(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}
