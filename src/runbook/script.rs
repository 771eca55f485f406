//! Scripts that a CronJob takes from ConfigMaps, if a second pass found writes of these.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::Judge;
use super::indicators::Context;
use super::spec::pod;
use super::timeline::took_effect;
use crate::aggregate::{Category, Finding, Observation, Record};

/// Names of the ConfigMaps that the CronJob of a request mounts.
pub(super) fn mounted_by(observation: &Observation) -> Vec<String> {
    let state = observation.body.as_ref().and_then(|body| body.state.as_ref());
    let object = state.and_then(|text| serde_json::from_str::<Value>(text).ok());
    object.map(|object| mounted(&object)).unwrap_or_default()
}

fn mounted(object: &Value) -> Vec<String> {
    let volumes = items(&pod(object)["volumes"]);
    // A projected volume joins several sources.
    let projected = volumes.iter().flat_map(|volume| items(&volume["projected"]["sources"]));
    let sources = volumes.iter().chain(projected);
    sources.filter_map(|source| source["configMap"]["name"].as_str()).map(str::to_owned).collect()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What is known of each mounted ConfigMap, in a sentence.
pub(super) fn notes(judge: &Judge<'_>, record: &Record, object: &Value) -> Vec<String> {
    let note = |name: String| match write_of(judge, record, &name) {
        Some(at) => {
            let write = judge.timeline.event(at);
            let user = write.record.username.as_deref().unwrap_or("-");
            let time = write.record.time.map_or_else(String::new, |time| format!(" at {time}"));
            let is_told = scripts_of(write).is_some();
            let looked = if is_told { "its data were looked at" } else { "script not in the log" };
            format!("ConfigMap {name}: written by {user}{time}; {looked}")
        }
        None if judge.settings.deep => format!("ConfigMap {name}: script not in the log"),
        None => format!("ConfigMap {name}: not looked for (--deep)"),
    };
    mounted(object).into_iter().map(note).collect()
}

/// Most findings in scripts shown for a request, gravest first: every CronJob that mounts a ConfigMap repeats them.
const SHOWN: usize = 20;

/// Indicators on commands that match the data of mounted ConfigMaps, each with the position of the write that shows
/// these.
pub(super) fn findings(judge: &Judge<'_>, record: &Record, object: &Value) -> Vec<(Finding, usize)> {
    let mut findings: Vec<(Finding, usize)> = Vec::new();
    for name in mounted(object) {
        let Some(write) = write_of(judge, record, &name) else { continue };
        for (key, script) in scripts_of(judge.timeline.event(write)).into_iter().flatten() {
            let pod = json!({"containers": [{"name": "script", "command": [script]}]});
            let wrapped = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}});
            let found = judge.catalogue.examine(&wrapped, &Context::default()).into_iter();
            let found = found.filter(|finding| finding.category == Category::Command);
            let place = format!("ConfigMap {name}, {key}");
            findings.extend(found.map(|finding| (Finding { place: place.clone(), ..finding }, write)));
        }
    }
    findings.sort_by_key(|(finding, _)| Reverse(finding.severity));
    findings.truncate(SHOWN);
    findings
}

/// The data that a write of a ConfigMap shows, by key.
fn scripts_of(write: &Observation) -> Option<Map<String, Value>> {
    let state = write.body.as_ref()?.state.as_ref()?;
    match serde_json::from_str::<Value>(state).ok()?["data"].take() {
        Value::Object(data) => Some(data),
        _ => None,
    }
}

/// The position of the last write before the request, or else of the first one after it.
fn write_of(judge: &Judge<'_>, record: &Record, name: &str) -> Option<usize> {
    let object = (record.cluster.clone(), record.namespace.clone(), Some(name.into()));
    let writes = judge.timeline.configmap(&object).iter().copied();
    let mut writes = writes.filter(|&at| took_effect(judge.timeline.record(at)));
    let before = writes.clone().rfind(|&at| judge.timeline.time(at) <= record.time);
    before.or_else(|| writes.next())
}
