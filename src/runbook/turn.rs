//! Writes after which a CronJob runs something else than before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::spec::{Part, State, Step, is_default, pod, print};
use super::timeline::{Timeline, took_effect};

/// One such write.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// Position of the write in the timeline.
    pub at: usize,
    /// What changed: containers, image, command, pod template, schedule, suspend. Empty if the spec it found or left is
    /// unknown.
    pub what: Vec<&'static str>,
    /// Whether it restored what ran before the preceding turn.
    pub is_back: bool,
}

/// What a CronJob runs.
#[derive(Debug, Clone, PartialEq)]
struct Runs {
    part: Part,
    /// Image, and command with arguments, of each container by name.
    containers: BTreeMap<String, [String; 2]>,
    /// What else decides what the containers may do: privileges, host paths, environment.
    rest: Vec<String>,
    /// With its time zone.
    schedule: [Option<String>; 2],
    suspend: bool,
}

/// Members of a pod that count besides its containers. Defaults do not count.
const OF_POD: [&str; 5] = ["hostPID", "hostNetwork", "hostIPC", "serviceAccountName", "securityContext"];
/// The same for a container.
const OF_CONTAINER: [&str; 4] = ["securityContext", "env", "envFrom", "lifecycle"];

/// The turns of a CronJob, given its steps by position.
pub(super) fn turns(timeline: &Timeline<'_>, steps: &BTreeMap<usize, Step>) -> Vec<Turn> {
    let mut turns = Vec::new();
    let (mut last, mut earlier): (Option<(Arc<str>, Runs)>, Option<Runs>) = (None, None);
    let mut is_first = true;
    for (&at, step) in steps.iter().filter(|(at, _)| took_effect(timeline.record(**at))) {
        let (known, was_first) = (last.take(), std::mem::replace(&mut is_first, false));
        let found = step.before.as_ref().map(|state| read(state, known.as_ref())).or_else(|| known.clone());
        let Some(state) = step.after.as_ref().filter(|state| state.is_object()) else {
            turns.push(Turn { at, what: Vec::new(), is_back: false });
            continue;
        };
        let left = read(state, found.as_ref());
        let what = found.as_ref().map(|(_, found)| found.changes(&left.1)).unwrap_or_default();
        if found.is_none() && !was_first {
            turns.push(Turn { at, what, is_back: false });
        } else if !what.is_empty() {
            let is_back = earlier.is_some_and(|earlier| earlier.changes(&left.1).is_empty());
            turns.push(Turn { at, what, is_back });
            earlier = found.map(|(_, found)| found);
        }
        last = Some(left);
    }
    turns
}

/// What a state runs, taken from `known` if that has the same text.
fn read(state: &State, known: Option<&(Arc<str>, Runs)>) -> (Arc<str>, Runs) {
    let same = known.filter(|(text, runs)| *text == state.text && runs.part == state.part);
    same.cloned().unwrap_or_else(|| (Arc::clone(&state.text), Runs::of(state)))
}

impl Runs {
    fn of(state: &State) -> Self {
        let object = state.object();
        let lists = ["initContainers", "containers"].into_iter().filter_map(|list| pod(&object)[list].as_array());
        let lists: Vec<&Value> = lists.flatten().collect();
        let words = |container: &Value| {
            let parts = ["command", "args"].iter().filter_map(|key| container.get(key)?.as_array()).flatten();
            parts.map(print).collect::<Vec<_>>().join(" ")
        };
        let containers =
            lists.iter().map(|&container| (print(&container["name"]), [print(&container["image"]), words(container)]));
        Runs {
            part: state.part,
            containers: containers.collect(),
            rest: rest(pod(&object), &lists),
            schedule: ["/spec/schedule", "/spec/timeZone"].map(|place| object.pointer(place).map(print)),
            suspend: object.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false),
        }
    }

    /// What differs in another state, as far as both are known.
    fn changes(&self, other: &Self) -> Vec<&'static str> {
        let part = self.part.max(other.part);
        let both = || self.containers.iter().filter_map(|(name, own)| Some((own, other.containers.get(name)?)));
        // Admission may add containers to a Pod.
        let is_changed = part < Part::PodSpec && !self.containers.keys().eq(other.containers.keys());
        let changes = [
            ("containers", is_changed),
            ("image", both().any(|(own, other)| own[0] != other[0])),
            ("command", both().any(|(own, other)| own[1] != other[1])),
            ("pod template", part < Part::PodSpec && self.rest != other.rest),
            ("schedule", part == Part::Spec && self.schedule != other.schedule),
            ("suspend", part == Part::Spec && self.suspend != other.suspend),
        ];
        changes.into_iter().filter(|(_, is_changed)| *is_changed).map(|(what, _)| what).collect()
    }
}

fn rest(pod: &Value, containers: &[&Value]) -> Vec<String> {
    let told = |of: &Value, keys: &[&str]| -> Vec<String> {
        let values = keys.iter().filter_map(|key| Some((key, of.get(key)?)));
        let counts = values.filter(|(key, value)| !is_default(key, value));
        counts.map(|(key, value)| format!("{key} {}", print(value))).collect()
    };
    let host_paths = pod["volumes"].as_array().into_iter().flatten().filter_map(|volume| volume.get("hostPath"));
    let host_paths = host_paths.map(|path| format!("hostPath {}", print(&path["path"])));
    let of_containers = containers.iter().flat_map(|container| told(container, &OF_CONTAINER));
    told(pod, &OF_POD).into_iter().chain(host_paths).chain(of_containers).collect()
}
