//! Step 2: what a CronJob is to do, according to its spec.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::Judge;
use super::indicators::decoded;
use super::judged::{Judged, Weighed};
use super::page::{Container, Decoded, Timing, Variable, What, Write};
use super::script;
use super::spec::{Difference, Part, State, Step, difference, pod, print};
use super::timeline::object;
use super::verdict::level_name;
use crate::aggregate::{Finding, Record};
use crate::event::Change;
use crate::schedule::Schedule;
use crate::words::plural;

/// How many future runs a page lists.
const RUNS: usize = 3;

/// Most requests that a page shows besides the decisive one.
const WRITES: usize = 20;

/// A CronJob of an alert. `requests` are those of the alert on it, the decisive one first.
pub(super) fn what(judge: &Judge<'_>, requests: &[Weighed<'_>]) -> What {
    let (record, judged) = &requests[0];
    let step = judge.steps.get(&judged.at);
    let state = step.and_then(|step| step.after.as_ref());
    let object = state.map_or(Value::Null, State::object);
    let pod = pod(&object);
    let (diff, diff_note) = diff(judge, judged.at, step, &object);
    let mut more = BTreeMap::new();
    let decoded = decoded(&object).into_iter().map(|(place, text)| Decoded { place, text }).collect();
    let mut writes = cut("writes", requests[1..].iter().collect(), WRITES, &mut more);
    writes.sort_by_key(|(record, judged)| (record.time.is_none(), record.time, judged.at));
    What {
        namespace: record.namespace.clone(),
        name: record.name.clone(),
        change: record.change,
        time: record.time,
        outcome: record.outcome,
        session: session(record),
        spec_level: level_name(judged.level),
        spec_source: state.map(|state| state.source.clone()),
        timing: timing(&object, record.time),
        service_account: ["serviceAccountName", "serviceAccount"].iter().find_map(|key| text(pod, key)),
        containers: cut("containers", containers(pod), LISTED, &mut more),
        volumes: cut("volumes", items(&pod["volumes"], volume), LISTED, &mut more),
        pod_security: pod_security(pod),
        decoded: cut("decoded", decoded, LISTED, &mut more),
        more,
        scripts: script::notes(judge, record, &object),
        indicators: judged.findings.clone(),
        diff,
        diff_note,
        writes: writes.into_iter().map(|other| write(judge, other, judged)).collect(),
        since: None,
        origin: origin(judge, record, judged.at),
        audit_id: record.audit_id.clone(),
        evidence: record.evidence.clone(),
    }
}

/// Another request on the same CronJob, besides the decisive one.
fn write(judge: &Judge<'_>, (record, judged): &Weighed<'_>, decisive: &Judged) -> Write {
    let step = judge.steps.get(&judged.at);
    let state = step.and_then(|step| step.after.as_ref());
    let (diff, diff_note) = diff(judge, judged.at, step, &state.map_or(Value::Null, State::object));
    let is_new = |finding: &&Finding| !decisive.findings.contains(finding);
    Write {
        time: record.time,
        change: record.change,
        outcome: record.outcome,
        session: session(record),
        spec_level: level_name(judged.level),
        red_flags: judged.flags.clone(),
        indicators: judged.findings.iter().filter(is_new).cloned().collect(),
        diff,
        diff_note,
        audit_id: record.audit_id.clone(),
        evidence: record.evidence.clone(),
    }
}

fn session(record: &Record) -> Option<String> {
    record.actor.as_ref().and_then(|actor| actor.session.clone())
}

/// What a write changed in the CronJob, as far as the states before and after are known, and a note on it.
fn diff(judge: &Judge<'_>, at: usize, step: Option<&Step>, after: &Value) -> (Vec<Difference>, String) {
    let record = judge.timeline.record(at);
    let states = step.and_then(|step| step.before.as_ref().zip(step.after.as_ref()));
    let (before, part) = match (record.change, states) {
        (Some(Change::Created), _) => return (Vec::new(), "new object".to_owned()),
        (_, None) => return (Vec::new(), no_earlier_state(judge, at)),
        (_, Some((before, after))) => (before, before.part.max(after.part)),
    };
    let Some((pointer, words)) = part.place() else {
        return (Vec::new(), "nothing more of it is known".to_owned());
    };
    let (found, more) = difference(pointer, &before.object(), after);
    let note = match (part, found.is_empty()) {
        _ if more > 0 => format!("{} not shown", plural(more, "more change")),
        (Part::Spec, true) => "no change of the spec".to_owned(),
        (Part::Spec, false) => String::new(),
        (_, true) => format!("no change of the {words}; nothing is known beyond it"),
        (_, false) => format!("nothing is known beyond the {words}"),
    };
    (found, note)
}

/// The note for a missing earlier state. A patch shows what was asked for; whatever else the response shows may be
/// older.
fn no_earlier_state(judge: &Judge<'_>, at: usize) -> String {
    let note = "the dump holds no earlier state".to_owned();
    let asked = judge.timeline.event(at).body.as_ref().and_then(|body| body.note.as_ref());
    match asked {
        None => note,
        Some(asked) => format!("{note}; asked for: {asked}; the spec is what the server answered and may be older"),
    }
}

/// A note on the origin of a CronJob that is modified and whose creation is not in the dump.
fn origin(judge: &Judge<'_>, record: &Record, at: usize) -> Option<String> {
    let object = object(record);
    let is_made = judge.created.get(&object).is_some_and(|made| *made < at);
    if record.change != Some(Change::Modified) || record.name.is_none() || is_made {
        return None;
    }
    let [jobs, pods] = judge.timeline.started(&object);
    let first = jobs.first().copied().flatten().map(|time| ("Job", time));
    let first = first.or_else(|| Some(("Pod", pods.first().copied().flatten()?)));
    let seen = first.map_or_else(String::new, |(what, time)| format!("; its first {what} was seen {time}"));
    Some(format!("its creation is not in the dump{seen}"))
}

/// When a CronJob runs that is written at `time`.
fn timing(object: &Value, time: Option<Timestamp>) -> Timing {
    let spec = &object["spec"];
    let (schedule, zone) = (text(spec, "schedule"), text(spec, "timeZone"));
    let parsed = schedule.as_deref().and_then(|text| Schedule::parse(text).ok());
    let suspend = spec["suspend"] == true;
    let runs = parsed.as_ref().filter(|_| !suspend);
    Timing {
        schedule_text: parsed.as_ref().map(Schedule::words),
        runs_per_day: parsed.as_ref().map(|parsed| (parsed.runs_per_day() * 1000.0).round() / 1000.0),
        next_runs: runs.map(|parsed| next_runs(parsed, time, zone.as_deref())).unwrap_or_default(),
        schedule,
        time_zone: zone_words(zone),
        suspend,
    }
}

fn text(object: &Value, key: &str) -> Option<String> {
    object[key].as_str().map(str::to_owned)
}

/// A time zone in words. Kubernetes knows only those of IANA.
fn zone_words(zone: Option<String>) -> String {
    match zone {
        None => "UTC".to_owned(),
        Some(zone) if TimeZone::get(&zone).is_ok() => zone,
        Some(zone) => format!("{zone} (unknown)"),
    }
}

fn next_runs(schedule: &Schedule, time: Option<Timestamp>, zone: Option<&str>) -> Vec<Timestamp> {
    let Ok(zone) = zone.map_or(Ok(TimeZone::UTC), TimeZone::get) else { return Vec::new() };
    let mut runs = Vec::new();
    let mut last = time;
    while let Some(next) = last.filter(|_| runs.len() < RUNS).and_then(|time| schedule.next_after(time, &zone)) {
        runs.push(next);
        last = Some(next);
    }
    runs
}

/// Most elements of a list on a page. A short request can write a long list into a CronJob, which the page of every
/// later request would repeat. Indicators search the whole list.
const LISTED: usize = 100;

/// The first elements of a list. If there are more, their number is added to `more` under its name.
fn cut<T>(name: &'static str, mut list: Vec<T>, most: usize, more: &mut BTreeMap<&'static str, usize>) -> Vec<T> {
    if list.len() > most {
        more.insert(name, list.len() - most);
        list.truncate(most);
    }
    list
}

fn items<T>(list: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    list.as_array().map(|list| list.iter().map(item).collect()).unwrap_or_default()
}

fn containers(pod: &Value) -> Vec<Container> {
    let mut all = Vec::new();
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod[kind].as_array().map(Vec::as_slice).unwrap_or_default() {
            let mut more = BTreeMap::new();
            let mut words = |key: &'static str| cut(key, items(&container[key], print), LISTED, &mut more);
            let (command, args) = (words("command"), words("args"));
            let image = container["image"].as_str().unwrap_or_default().to_owned();
            let variable = |variable: &Value| Variable {
                name: print(&variable["name"]),
                value: print(if variable["value"].is_null() { &variable["valueFrom"] } else { &variable["value"] }),
            };
            all.push(Container {
                name: container["name"].as_str().unwrap_or_default().to_owned(),
                kind,
                pinned: image.contains("@sha256:"),
                image,
                command,
                args,
                env: cut("env", items(&container["env"], variable), LISTED, &mut more),
                security_context: security(&container["securityContext"]).join(", "),
                more,
            });
        }
    }
    all
}

/// The members of a security context that are set; switches that are on, by name only.
fn security(context: &Value) -> Vec<String> {
    let Value::Object(members) = context else { return Vec::new() };
    let set = members.iter().filter(|(_, value)| !value.is_null() && **value != Value::Bool(false));
    set.map(|(key, value)| if *value == Value::Bool(true) { key.clone() } else { format!("{key} {}", print(value)) })
        .collect()
}

fn pod_security(pod: &Value) -> Vec<String> {
    let switches = ["hostPID", "hostNetwork", "hostIPC", "automountServiceAccountToken"];
    let on = switches.iter().filter(|key| pod[**key] == true).map(|&key| key.to_owned());
    let names = ["nodeName", "priorityClassName", "runtimeClassName"];
    let set = names.iter().filter_map(|key| Some(format!("{key} {}", pod[*key].as_str()?)));
    on.chain(set).chain(security(&pod["securityContext"])).collect()
}

/// `host: hostPath /`.
fn volume(volume: &Value) -> String {
    let name = volume["name"].as_str().unwrap_or("-");
    let Value::Object(members) = volume else { return name.to_owned() };
    let source = members.iter().find(|(key, _)| *key != "name");
    source.map_or_else(
        || name.to_owned(),
        |(kind, source)| {
            let keys = ["path", "secretName", "name", "claimName"];
            let told = keys.iter().find_map(|key| source[*key].as_str());
            format!("{name}: {kind} {}", told.map_or_else(|| source.to_string(), str::to_owned))
        },
    )
}
