//! A CronJob as indicators see it: its pod, its containers, and what these run.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::pattern::cut;
use super::shell::Variables;
use super::{Context, blobs, places, shell};

pub(super) const JOB: &str = "spec.jobTemplate.spec";
pub(super) const POD: &str = "spec.jobTemplate.spec.template.spec";

/// Where containers have commands besides their own.
const HOOKS: [&str; 5] = [
    ".lifecycle.postStart.exec",
    ".lifecycle.preStop.exec",
    ".livenessProbe.exec",
    ".readinessProbe.exec",
    ".startupProbe.exec",
];

/// One CronJob.
pub(super) struct Subject<'a> {
    pub(super) object: &'a Value,
    pub(super) job: Option<&'a Value>,
    pub(super) pod: Option<&'a Value>,
    pub(super) containers: Vec<Container<'a>>,
    pub(super) context: &'a Context<'a>,
}

/// One of its containers, of any kind.
pub(super) struct Container<'a> {
    pub(super) place: String,
    pub(super) value: &'a Value,
    /// What it runs: as written, then decoded, then as a shell reads these.
    pub(super) texts: Vec<Text>,
}

/// Strings that together form one command.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) whole: String,
    pub(super) decoded: bool,
    /// Whether it is another one as a shell reads it.
    pub(super) rewritten: bool,
    /// Where each string starts, and its place in the object.
    pieces: Vec<(usize, String)>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(object: &'a Value, context: &'a Context<'a>) -> Self {
        let below = |value: Option<&'a Value>, keys: [&str; 3]| {
            keys.iter().filter(|key| !key.is_empty()).try_fold(value?, |value, key| value.get(key))
        };
        let job = below(Some(object), ["spec", "jobTemplate", "spec"]);
        let pod = below(job, ["template", "spec", ""]);
        let mut containers = Vec::new();
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let items = pod.and_then(|pod| pod.get(list)?.as_array()).map(Vec::as_slice).unwrap_or_default();
            let items = items.iter().enumerate();
            containers.extend(items.map(|(index, value)| Container::new(format!("{POD}.{list}[{index}]"), value)));
        }
        Subject { object, job, pod, containers, context }
    }

    pub(super) fn schedule(&self) -> Option<Cow<'a, str>> {
        places::text(self.object.get("spec")?.get("schedule")?)
    }

    /// Place, name and value of each environment variable.
    pub(super) fn env_names(&self) -> impl Iterator<Item = (String, &'a str, &'a str)> {
        self.containers.iter().flat_map(|container| {
            let variables = container.value.get("env").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            variables.iter().enumerate().filter_map(|(index, variable)| {
                let name = variable.get("name")?.as_str()?;
                let value = variable.get("value").and_then(Value::as_str).unwrap_or_default();
                Some((format!("{}.env[{index}].name", container.place), cut(name), cut(value)))
            })
        })
    }
}

impl<'a> Container<'a> {
    fn new(place: String, value: &'a Value) -> Self {
        let mut texts = vec![Text::join([strings(&place, value, "command"), strings(&place, value, "args")].concat())];
        texts.extend(HOOKS.iter().filter_map(|steps| {
            let (hook, exec) = places::walk(&place, value, steps).pop()?;
            Some(Text::join(strings(&hook, exec, "command")))
        }));
        texts.retain(|text| !text.whole.is_empty());
        let env = env(&place, value);
        let mut decoded: Vec<Text> = texts.iter().flat_map(Text::strings).flat_map(Text::decoded).collect();
        decoded.extend(env.iter().flat_map(|(place, _, value)| Text::decoded((place, value))));
        texts.extend(decoded);
        let rewritten: Vec<Text> = texts.iter().flat_map(|text| text.rewritten(&env)).collect();
        let known: BTreeSet<&str> = texts.iter().map(|text| &*text.whole).collect();
        let mut decoded: Vec<Text> = rewritten.iter().flat_map(Text::strings).flat_map(Text::decoded).collect();
        decoded.retain(|text| !known.contains(&*text.whole));
        texts.extend(rewritten);
        texts.extend(decoded);
        Container { place, value, texts }
    }

    pub(super) fn image(&self) -> Option<Cow<'a, str>> {
        places::text(self.value.get("image")?)
    }
}

impl Text {
    fn join(strings: Vec<(String, Cow<'_, str>)>) -> Self {
        let mut joined = Text::default();
        for (place, text) in strings {
            if !joined.pieces.is_empty() {
                joined.whole.push(' ');
            }
            joined.pieces.push((joined.whole.len(), place));
            joined.whole.push_str(&text);
        }
        joined.whole.truncate(cut(&joined.whole).len());
        joined
    }

    /// The strings it was joined from, with their places.
    fn strings(&self) -> impl Iterator<Item = (&str, &str)> {
        let ends = self.pieces.iter().skip(1).map(|(start, _)| start - 1).chain([self.whole.len()]);
        let pieces = self.pieces.iter().zip(ends);
        pieces.filter_map(|((start, place), end)| {
            let text = self.whole.get(*start..end.min(self.whole.len()))?;
            Some((place.as_str(), text))
        })
    }

    fn decoded((place, text): (&str, &str)) -> impl Iterator<Item = Text> {
        let decoded = blobs::decode_twice(text).into_iter();
        decoded.map(move |text| {
            let place = format!("{place} (base64-decoded)");
            Text { whole: text, decoded: true, pieces: vec![(0, place)], ..Text::default() }
        })
    }

    /// The same with the values of its variables, and without quotes.
    fn rewritten(&self, env: &[(String, &str, Cow<'_, str>)]) -> Vec<Text> {
        let given = env.iter().map(|(place, name, value)| (*name, &**value, Some(&**place)));
        let variables = self.whole.contains('$').then(|| Variables::new(given.chain(shell::assigned(&self.whole))));
        let expanded = variables.and_then(|variables| {
            self.through(|place, text| {
                let (expanded, used) = variables.expand(text);
                let used: Vec<&str> = [place].into_iter().chain(used).collect();
                (used.join(" with "), expanded)
            })
        });
        let unquoted = expanded.as_ref().unwrap_or(self).through(|place, text| {
            let unquoted = shell::unquoted(text);
            let mark = if unquoted == text { "" } else { " (without quotes)" };
            (format!("{place}{mark}"), unquoted)
        });
        expanded.into_iter().chain(unquoted).collect()
    }

    /// Each string and its place changed; `None` if no string changes.
    fn through(&self, change: impl Fn(&str, &str) -> (String, String)) -> Option<Text> {
        let strings = self.strings().map(|(place, text)| change(place, text));
        let text = Text::join(strings.map(|(place, text)| (place, text.into())).collect());
        (text.whole != self.whole).then_some(Text { decoded: self.decoded, rewritten: true, ..text })
    }

    /// The place of the string that an offset is in.
    pub(super) fn place_at(&self, offset: usize) -> &str {
        let after = self.pieces.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1).and_then(|at| self.pieces.get(at)).map_or("", |(_, place)| place)
    }
}

/// Place, name and value of each environment variable that has a value.
fn env<'a>(place: &str, container: &'a Value) -> Vec<(String, &'a str, Cow<'a, str>)> {
    let variables = container.get("env").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let told = variables.iter().enumerate().filter_map(|(index, variable)| {
        let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
        Some((format!("{place}.env[{index}].value"), cut(name), places::text(variable.get("value")?)?))
    });
    told.collect()
}

/// The strings of a list; a lone string is a list of one.
fn strings<'a>(place: &str, value: &'a Value, key: &str) -> Vec<(String, Cow<'a, str>)> {
    let place = places::member(place, key);
    match value.get(key) {
        Some(Value::Array(items)) => {
            let items = items.iter().enumerate();
            items.filter_map(|(index, item)| Some((format!("{place}[{index}]"), places::text(item)?))).collect()
        }
        Some(value) => places::text(value).map(|text| (place, text)).into_iter().collect(),
        None => Vec::new(),
    }
}
