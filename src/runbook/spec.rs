//! What a CronJob was after each request on it, from the best source in the dump.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::patch;
use super::timeline::{Object, Timeline, after, ahead, is_by_controller, shown, took_effect, writes};
use crate::aggregate::Observation;
use crate::event::{Change, LAST_APPLIED};

/// Most bytes to which patches may lengthen a state: a short patch leaves another long state.
const PATCHED: usize = 64 << 10;

/// A CronJob at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    /// `metadata` and `spec`, as JSON.
    pub text: Arc<str>,
    /// Where it was read from.
    pub source: String,
    /// How much of the CronJob it shows.
    pub part: Part,
    /// Position of the Job or Pod that shows it, if the requests on the CronJob do not.
    pub shown_by: Option<usize>,
}

/// How much of a CronJob is known; for two states being compared, the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The whole spec.
    Spec,
    /// The pod template, as a Job has it.
    Template,
    /// The pod spec, as a Pod has it.
    PodSpec,
    /// Only what a patch names.
    Patch,
    /// Only what is left of a body that the log cuts.
    Remains,
}

impl Part {
    /// Its JSON Pointer, and its name in words; `None` for a patch, and for what is left.
    pub(super) fn place(self) -> Option<(&'static str, &'static str)> {
        match self {
            Part::Spec => Some(("/spec", "spec")),
            Part::Template => Some(("/spec/jobTemplate/spec/template", "pod template")),
            Part::PodSpec => Some(("/spec/jobTemplate/spec/template/spec", "pod spec")),
            Part::Patch | Part::Remains => None,
        }
    }
}

/// A request with the state that it found and the state that it left, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Step {
    pub before: Option<State>,
    pub after: Option<State>,
}

/// The steps of one CronJob by position.
pub(super) fn steps(timeline: &Timeline<'_>, object: &Object) -> BTreeMap<usize, Step> {
    let mut steps = BTreeMap::new();
    let mut known: Option<State> = None;
    // The last write. What ran before it says nothing about what the next one finds.
    let mut lost = None;
    let requests = timeline.requests(object);
    let effective: Vec<usize> = requests.iter().copied().filter(|&at| writes(timeline.record(at))).collect();
    for &at in requests {
        let event = timeline.event(at);
        let write = event.record.change;
        // An object that is created does not build on an earlier one.
        let logged = logged(event, known.as_ref().filter(|_| write != Some(Change::Created)));
        if matches!(write, Some(Change::Created | Change::Modified)) {
            let took_effect = took_effect(&event.record);
            let next = || after(&effective, at).first().copied();
            let recovered = || took_effect.then(|| recovered(timeline, object, at, next())).flatten();
            let after = logged.clone().filter(State::is_object).or_else(recovered).or_else(|| logged.clone());
            let before =
                known.clone().or_else(|| ran(timeline, object, at, lost)).filter(|_| write == Some(Change::Modified));
            if took_effect {
                known = after.clone().filter(State::is_object);
                lost = Some(at);
            }
            steps.insert(at, Step { before, after });
        } else if write == Some(Change::Deleted) && took_effect(&event.record) {
            known = None;
            lost = Some(at);
        } else if write.is_none() && shown(event).is_some() {
            known = logged.filter(State::is_object).or(known);
        }
    }
    steps
}

/// The state in the record itself; for a patch, applied to the known state before it.
fn logged(event: &Observation, known: Option<&State>) -> Option<State> {
    let body = event.body.as_ref()?;
    let patch = body.patch.as_ref().and_then(parse);
    let patched = known.zip(patch.as_ref()).and_then(|(known, patch)| Some((known.patched(patch)?, known.part)));
    if let Some((after, part)) = patched {
        return Some(State::new(&after, "patch on the last known state", part));
    }
    if let Some(text) = &body.state {
        return Some(State::new(text, body.source.as_deref().unwrap_or_default(), Part::Spec));
    }
    if let Some(text) = &body.remains {
        let source = format!("what is left of the {}, which the log cuts", body.source.as_deref().unwrap_or("body"));
        return Some(State::new(text, &source, Part::Remains));
    }
    let patch = patch?;
    if let Some(applied) = last_applied(&patch) {
        let source = "last-applied-configuration, the client's word";
        return Some(State::new(&applied.to_string().into(), source, Part::Spec));
    }
    Some(State::new(&patch::alone(&patch).to_string().into(), "patch alone", Part::Patch))
}

impl State {
    fn new(text: &Arc<str>, source: &str, part: Part) -> Self {
        State { text: Arc::clone(text), source: source.to_owned(), part, shown_by: None }
    }

    /// The text after a patch; `None` if the patch does not apply, or makes the text too long.
    fn patched(&self, patch: &Value) -> Option<Arc<str>> {
        let object = Some(self.object()).filter(|object| !object.is_null())?;
        let text = patch::apply(&object, patch)?.to_string();
        (text.len() <= self.text.len().max(PATCHED)).then(|| text.into())
    }

    /// Whether it shows an object, not just a patch.
    pub(super) fn is_object(&self) -> bool {
        self.part < Part::Patch
    }

    /// The CronJob; null if the text is not valid JSON.
    pub(super) fn object(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

fn parse(text: &Arc<str>) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The whole object that `kubectl apply` writes into an annotation.
fn last_applied(patch: &Value) -> Option<Value> {
    let text = patch.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
    let object: Value = serde_json::from_str(text).ok()?;
    object.pointer("/spec/jobTemplate").is_some().then_some(object)
}

/// The state shown by the first Job after a request and before the next write, or else by the first Pod.
fn recovered(timeline: &Timeline<'_>, object: &Object, at: usize, next: Option<usize>) -> Option<State> {
    let between = |positions| {
        let behind = after(positions, at);
        next.map_or(behind, |next| ahead(behind, next))
    };
    of_children(timeline, between(timeline.jobs(object)), between(timeline.pods(object)))
}

/// The state shown by the last known Job before a request, or else by the last known Pod. `blank` is the last write
/// before the request, whose spec is lost: nothing before it counts.
fn ran(timeline: &Timeline<'_>, object: &Object, at: usize, blank: Option<usize>) -> Option<State> {
    let last = |positions| {
        let behind = blank.map_or(positions, |blank| after(positions, blank));
        ahead(behind, at).last().map(std::slice::from_ref).unwrap_or_default()
    };
    of_children(timeline, last(timeline.jobs(object)), last(timeline.pods(object)))
}

/// The state that the first of some Jobs made by the controller shows of their CronJob, or else the first of some Pods.
pub(super) fn of_children(timeline: &Timeline<'_>, jobs: &[usize], pods: &[usize]) -> Option<State> {
    let of = |positions: &[usize], source: &str, part| {
        let is_told = |event: &Observation| part == Part::PodSpec || is_by_controller(event);
        positions.iter().find_map(|&at| {
            let event = Some(timeline.event(at)).filter(|event| is_told(event))?;
            let state = State::new(event.body.as_ref()?.state.as_ref()?, source, part);
            Some(State { shown_by: Some(at), ..state })
        })
    };
    of(jobs, "Job that the controller made", Part::Template).or_else(|| of(pods, "Pod of its Job", Part::PodSpec))
}

/// Positions of the writes that set what the CronJob runs.
pub(super) fn setters(timeline: &Timeline<'_>, steps: &BTreeMap<usize, Step>) -> Vec<usize> {
    let mut last: (Arc<str>, Vec<String>) = ("".into(), Vec::new());
    let mut runs_of = |state: Option<&State>| {
        let state = state?;
        if last.0 != state.text {
            last = (Arc::clone(&state.text), runs(&state.object()));
        }
        Some(last.1.clone())
    };
    let sets = |(&at, step): (&usize, &Step)| {
        let (before, after) = (runs_of(step.before.as_ref()), runs_of(step.after.as_ref()));
        (before != after && took_effect(timeline.record(at))).then_some(at)
    };
    steps.iter().filter_map(sets).collect()
}

/// The pod spec of a CronJob; null if there is none.
pub(super) fn pod(object: &Value) -> &Value {
    object.pointer("/spec/jobTemplate/spec/template/spec").unwrap_or(&Value::Null)
}

/// Image, command and arguments of each container.
pub(super) fn runs(object: &Value) -> Vec<String> {
    let pod = pod(object);
    let lists = ["initContainers", "containers"].iter().filter_map(|list| pod.get(list)?.as_array());
    let text = |container: &Value| {
        let parts = ["image", "command", "args"].iter().filter_map(|key| container.get(key));
        parts.map(print).collect::<Vec<_>>().join(" ")
    };
    lists.flatten().map(text).collect()
}

/// A value that a change affected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Path from the root of the CronJob.
    pub path: String,
    /// The value before: JSON, or plain text. Absent if the path is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value after. Absent if the path was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Most differences that a page shows; the evidence has the rest.
const SHOWN: usize = 40;

/// What changed below a JSON Pointer, leaf by leaf.
pub(super) fn difference(pointer: &str, before: &Value, after: &Value) -> (Vec<Difference>, usize) {
    let mut found = Vec::new();
    let path = pointer.trim_start_matches('/').replace('/', ".");
    compare(&path, before.pointer(pointer), after.pointer(pointer), &mut found);
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    (found, more)
}

/// Defaults that the API server fills in (kubernetes.io, API reference): omitting such a value means the same.
const DEFAULTS: [(&str, &str); 21] = [
    ("concurrencyPolicy", "Allow"),
    ("suspend", "false"),
    ("successfulJobsHistoryLimit", "3"),
    ("failedJobsHistoryLimit", "1"),
    ("protocol", "TCP"),
    ("defaultMode", "420"),
    ("terminationGracePeriodSeconds", "30"),
    ("dnsPolicy", "ClusterFirst"),
    ("schedulerName", "default-scheduler"),
    ("terminationMessagePath", "/dev/termination-log"),
    ("terminationMessagePolicy", "File"),
    ("serviceAccountName", "default"),
    ("serviceAccount", "default"),
    ("securityContext", "{}"),
    ("resources", "{}"),
    ("hostPID", "false"),
    ("hostIPC", "false"),
    ("hostNetwork", "false"),
    ("enableServiceLinks", "true"),
    ("env", "[]"),
    ("envFrom", "[]"),
];

/// Whether a value means the same as its absence.
pub(super) fn is_default(key: &str, value: &Value) -> bool {
    value.is_null() || DEFAULTS.iter().any(|(name, default)| *name == key && print(value) == *default)
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    let key = path.rsplit('.').next().unwrap_or_default();
    let says = |value: Option<&Value>| value.is_some_and(|value| !is_default(key, value));
    if before == after || !says(before) && !says(after) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            for key in keys {
                compare(&format!("{path}.{key}"), left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if has_objects(left) || has_objects(right) => {
            for at in 0..left.len().max(right.len()) {
                compare(&format!("{path}[{at}]"), left.get(at), right.get(at), found);
            }
        }
        _ => found.push(Difference { path: path.to_owned(), before: before.map(print), after: after.map(print) }),
    }
}

fn has_objects(list: &[Value]) -> bool {
    list.iter().any(Value::is_object)
}

/// Plain text as it is, anything else as JSON.
pub(super) fn print(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
