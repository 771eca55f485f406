//! What an analyst reads of one alert, and of the whole sweep.

#![expect(missing_docs, reason = "the members of runbook.json, which the README documents")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::Value;

use super::advice;
use super::before::{Before, before};
use super::behaviour::{self, Facts};
use super::history::{History, history, repository};
use super::indicators::{Context, Level, decoded};
use super::script;
use super::spec::{Difference, Step, difference, of_children, print};
use super::timeline::{Object, object, took_effect};
use super::verdict::{level_name, red_flags, verdict, would_change};
use super::{Judge, actor};
use crate::aggregate::{Alert, Evidence, Finding, Finished, Hit, Observation, Record, Verdict};
use crate::event::{Change, Outcome, Platform};
use crate::rule::{Class, Severity};
use crate::schedule::Schedule;

/// One alert. The members of runbook.json.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    pub alert_id: String,
    pub rule_id: String,
    pub severity: Severity,
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    pub platform: Platform,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    pub hits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    pub verdict: Verdict,
    pub verdict_rule: String,
    /// The CronJob that decided.
    pub decided_by: String,
    pub spec_level: String,
    pub history_level: &'static str,
    pub red_flags: Vec<String>,
    pub reasons: Vec<Reason>,
    pub would_change: Vec<String>,
    pub who: Who,
    pub cronjobs: Vec<What>,
    pub before: Before,
    pub history: History,
    pub since: Since,
    pub upstream: String,
    pub next: Vec<String>,
}

/// Why a verdict was given.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    #[serde(flatten)]
    pub finding: Finding,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    pub evidence: Evidence,
}

/// Who made the request that opened the alert.
#[derive(Debug, Clone, Serialize)]
pub struct Who {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    pub principal_class: Class,
    /// Whether nobody in particular stands behind the credential.
    pub shared: bool,
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// In whose name: the effective actor where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    pub source_public: bool,
    /// Absent where the actor has no history to tell it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_new: Option<bool>,
    /// Addresses in front of it: the client's word.
    pub chain: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent_new: Option<bool>,
}

/// A CronJob of an alert, as its decisive request left it.
#[derive(Debug, Clone, Serialize)]
pub struct What {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    pub outcome: Outcome,
    pub spec_level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_per_day: Option<f64>,
    pub time_zone: String,
    pub next_runs: Vec<Timestamp>,
    pub suspend: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    pub containers: Vec<Container>,
    pub volumes: Vec<String>,
    pub pod_security: Vec<String>,
    pub decoded: Vec<Decoded>,
    pub scripts: Vec<String>,
    pub indicators: Vec<Finding>,
    pub diff: Vec<Difference>,
    pub diff_note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    pub evidence: Evidence,
}

/// One container of it.
#[derive(Debug, Clone, Serialize)]
pub struct Container {
    pub name: String,
    pub kind: &'static str,
    pub image: String,
    /// Whether a digest fixes what the image holds.
    pub pinned: bool,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub env: Vec<Variable>,
    pub security_context: String,
}

/// An environment variable; a value from elsewhere as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

/// Text that stood there as base64.
#[derive(Debug, Clone, Serialize)]
pub struct Decoded {
    #[serde(rename = "where")]
    pub place: String,
    pub text: String,
}

/// What became of the CronJob that decided.
#[derive(Debug, Clone, Serialize)]
pub struct Since {
    pub text: String,
    pub jobs: usize,
    pub pods: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_job: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_job: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<String>,
}

/// A request in a few words.
#[derive(Debug, Clone, Serialize)]
pub struct Act {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    pub what: String,
    pub evidence: Evidence,
}

/// A user with alerts.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    pub worst: Verdict,
    pub alerts: u64,
    pub hits: u64,
    pub verdicts: BTreeMap<String, u64>,
    pub namespaces: BTreeSet<String>,
}

/// A CronJob that only its controller speaks of.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub jobs: usize,
    pub pods: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    pub text: String,
    pub spec_level: String,
    pub indicators: Vec<Finding>,
    pub evidence: Evidence,
}

/// Suppressed matches of one user in one namespace.
#[derive(Debug, Clone, Serialize)]
pub struct Suppressed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    pub count: u64,
    pub reason: String,
}

/// Reasons that a page gives.
const REASONS: usize = 5;
/// Runs that a page foretells.
const RUNS: usize = 3;

/// `3 writes`, `1 write`.
pub(super) fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

impl Act {
    pub(super) fn of(record: &Record) -> Self {
        let place = [record.namespace.as_deref(), record.name.as_deref()];
        let place: Vec<&str> = place.into_iter().flatten().collect();
        let resource = match (record.resource.as_deref(), record.subresource.as_deref()) {
            (Some(resource), Some(subresource)) => format!("{resource}/{subresource}"),
            (resource, _) => resource.unwrap_or("-").to_owned(),
        };
        let code = record.response_code.map_or_else(String::new, |code| format!(" ({code})"));
        let verb = record.verb.as_deref().unwrap_or("-");
        let what = format!("{verb} {resource} {} {}{code}", place.join("/"), record.outcome.name());
        Act { time: record.time, what: what.replace("  ", " "), evidence: record.evidence.clone() }
    }

    pub(super) fn of_observation(event: &Observation) -> Self {
        let act = Act::of(&event.record);
        match event.body.as_ref().and_then(|body| body.note.as_ref()) {
            Some(note) => Act { what: format!("{}: {note}", act.what), ..act },
            None => act,
        }
    }
}

/// One request of an alert, judged.
struct Judged {
    at: Option<usize>,
    findings: Vec<Finding>,
    level: Option<Level>,
    verdict: Verdict,
    rule: String,
    flags: Vec<String>,
}

impl Judged {
    /// Which request decides: among equals one that took effect, then one with more red flags.
    fn weight(&self, hit: &Hit) -> impl Ord + use<> {
        (self.verdict, self.level, took_effect(&hit.record), self.flags.len())
    }
}

/// Pages of all alerts on CronJobs, and the findings of each of their hits.
pub(super) fn pages(judge: &mut Judge<'_>, report: &Finished) -> (Vec<Page>, BTreeMap<usize, Vec<Finding>>) {
    let mut by_alert: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, hit) in report.hits.iter().enumerate() {
        if let Some(id) = hit.alert_id.as_deref().filter(|_| hit.record.resource.as_deref() == Some("cronjobs")) {
            by_alert.entry(id).or_default().push(at);
        }
    }
    let (mut pages, mut notes) = (Vec::new(), BTreeMap::new());
    for alert in &report.alerts {
        if let Some(hits) = by_alert.get(alert.alert_id.as_str()) {
            pages.push(page(judge, alert, report, hits, &mut notes));
        }
    }
    (pages, notes)
}

fn page(
    judge: &mut Judge<'_>,
    alert: &Alert,
    report: &Finished,
    hits: &[usize],
    notes: &mut BTreeMap<usize, Vec<Finding>>,
) -> Page {
    let first = &report.hits[hits[0]];
    // Without a time the alert stands at the end of what the dump covers.
    let time =
        alert.first_seen.or_else(|| judge.coverage.end(alert.cluster.as_deref())).unwrap_or(Timestamp::UNIX_EPOCH);
    let history = history(judge, &first.record, time);
    let records: Vec<&Record> = hits.iter().map(|&at| &*report.hits[at].record).collect();
    let before = before(judge, &records, time);
    let mut judged: Vec<(&Hit, Judged)> = Vec::new();
    for &at in hits {
        let hit = &report.hits[at];
        let found = judged_request(judge, &hit.record, &history);
        notes.insert(at, found.findings.clone());
        judged.push((hit, found));
    }
    let worst = worst_by_object(judged);
    let (hit, decisive) = &worst[0];
    let since = since(judge, &hit.record, time);
    Page {
        alert_id: alert.alert_id.clone(),
        rule_id: alert.rule_id.clone(),
        severity: alert.severity,
        title: alert.title.clone(),
        cluster: alert.cluster.clone(),
        platform: first.record.platform,
        namespace: alert.namespace.clone(),
        username: alert.username.clone(),
        hits: alert.hits,
        first_seen: alert.first_seen,
        last_seen: alert.last_seen,
        verdict: decisive.verdict,
        verdict_rule: decisive.rule.clone(),
        decided_by: place(&hit.record),
        spec_level: level_name(decisive.level),
        history_level: history.known.names().0,
        reasons: reasons(hit, decisive),
        would_change: would_change(decisive.level, history.known, &decisive.flags, decisive.verdict),
        red_flags: decisive.flags.clone(),
        who: who(judge, &first.record, time, &history),
        cronjobs: worst.iter().map(|(hit, judged)| what(judge, &hit.record, judged)).collect(),
        upstream: upstream(first, alert),
        next: advice::next(&hit.record, since.deleted.is_some(), &judge.resolved(&hit.record)),
        before,
        history,
        since,
    }
}

fn judged_request(judge: &Judge<'_>, record: &Record, history: &History) -> Judged {
    let at = judge.timeline.position(&record.evidence);
    let nothing = Step::default();
    let step = at.and_then(|at| judge.steps.get(&at)).unwrap_or(&nothing);
    let mut findings = Vec::new();
    let mut level = None;
    if let Some(state) = &step.after {
        let object = state.object();
        findings = of_spec(judge, &object, record);
        findings.extend(script::findings(judge, record, &object));
        level = Some(judge.catalogue.level(&findings)).filter(|level| !state.partial || *level > Level::S0);
    }
    let facts = Facts { judge, at: at.unwrap_or_default(), record, step, known: history.known };
    findings.extend(behaviour::findings(&facts));
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let flags = red_flags(&findings, record.principal_class);
    let (verdict, rule) = verdict(level, history.known, &flags);
    Judged { at, findings, level, verdict, rule, flags }
}

fn of_spec(judge: &Judge<'_>, object: &Value, record: &Record) -> Vec<Finding> {
    let schedule = object.pointer("/spec/schedule").and_then(Value::as_str).and_then(|text| Schedule::parse(text).ok());
    let is_system =
        matches!(record.principal_class, Class::Controller | Class::ControlPlane | Class::CloudAddon | Class::Gitops);
    let context = Context {
        registries: &judge.settings.registries,
        actor_is_system: is_system,
        runs_per_day: schedule.as_ref().map(Schedule::runs_per_day),
        one_date: schedule.as_ref().is_some_and(Schedule::is_one_date),
        never_fires: schedule.as_ref().is_some_and(Schedule::never_fires),
        any_weekday: schedule.as_ref().is_none_or(Schedule::any_weekday),
    };
    judge.catalogue.examine(object, &context)
}

/// The gravest request of each CronJob, the gravest CronJob first.
fn worst_by_object(judged: Vec<(&Hit, Judged)>) -> Vec<(&Hit, Judged)> {
    let mut worst: Vec<(Object, &Hit, Judged)> = Vec::new();
    for (hit, found) in judged {
        let object = object(&hit.record);
        let known = worst.iter_mut().find(|(known, ..)| known.2.is_some() && *known == object);
        match known {
            Some((_, kept_hit, kept)) if kept.weight(kept_hit) >= found.weight(hit) => {}
            Some(slot) => *slot = (object, hit, found),
            None => worst.push((object, hit, found)),
        }
    }
    worst.sort_by_key(|(_, hit, judged)| Reverse(judged.weight(hit)));
    worst.into_iter().map(|(_, hit, judged)| (hit, judged)).collect()
}

fn place(record: &Record) -> String {
    let parts = [record.namespace.as_deref(), record.name.as_deref()];
    parts.map(|part| part.unwrap_or("-")).join("/")
}

/// The gravest findings, each indicator once; the gravest red flag has a place among them.
fn reasons(hit: &Hit, judged: &Judged) -> Vec<Reason> {
    let mut seen = BTreeSet::new();
    let grave = judged.findings.iter().filter(|finding| finding.severity > Severity::Info);
    let mut found: Vec<&Finding> = grave.filter(|finding| seen.insert(&finding.id)).collect();
    let is_flag = |finding: &&Finding| judged.flags.contains(&finding.id);
    if let Some(at) = found.iter().position(is_flag).filter(|at| *at >= REASONS) {
        found.swap(REASONS - 1, at);
    }
    let reason = |finding: &Finding| Reason {
        finding: finding.clone(),
        audit_id: hit.record.audit_id.clone(),
        evidence: hit.record.evidence.clone(),
    };
    found.into_iter().take(REASONS).map(reason).collect()
}

fn who(judge: &Judge<'_>, record: &Record, time: Timestamp, history: &History) -> Who {
    // What was first seen in the context window is part of the same story, and still new.
    let start = time.checked_sub(judge.settings.context).unwrap_or(Timestamp::MIN);
    let acts = judge.timeline.acts(&actor::Actor::everywhere(record));
    let earlier = judge.timeline.within(acts, start, judge.settings.lookback);
    let is_new = |same: &dyn Fn(&Record) -> bool| {
        let told = !earlier.is_empty() || history.covered_days >= 7.0;
        told.then(|| !earlier.iter().any(|&at| same(judge.timeline.record(at))))
    };
    let session = record.actor.as_ref();
    Who {
        username: record.username.clone(),
        principal_class: record.principal_class,
        shared: actor::is_shared(record),
        groups: record.groups.clone(),
        session: session.and_then(|actor| actor.session.clone()),
        arn: session.and_then(|actor| actor.arn.clone()),
        impersonated_user: record.impersonated_user.clone(),
        source_ip: record.trusted_ip.clone(),
        source_public: record.trusted_ip.as_deref().is_some_and(actor::is_public_address),
        source_new: is_new(&|known| known.trusted_ip == record.trusted_ip),
        chain: record.source_ips.split_last().map(|(_, chain)| chain.to_vec()).unwrap_or_default(),
        user_agent: record.user_agent.clone(),
        user_agent_new: is_new(&|known| known.user_agent == record.user_agent),
    }
}

fn what(judge: &Judge<'_>, record: &Record, judged: &Judged) -> What {
    let step = judged.at.and_then(|at| judge.steps.get(&at));
    let state = step.and_then(|step| step.after.as_ref());
    let object = state.map_or(Value::Null, super::spec::State::object);
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let schedule = text("/spec/schedule");
    let parsed = schedule.as_deref().and_then(|text| Schedule::parse(text).ok());
    let zone = text("/spec/timeZone");
    let pod = object.pointer("/spec/jobTemplate/spec/template/spec").cloned().unwrap_or_default();
    let (diff, diff_note) = diff(record, step, &object);
    What {
        namespace: record.namespace.clone(),
        name: record.name.clone(),
        change: record.change,
        time: record.time,
        outcome: record.outcome,
        spec_level: level_name(judged.level),
        spec_source: state.map(|state| state.source.clone()),
        schedule_text: parsed.as_ref().map(Schedule::words),
        runs_per_day: parsed.as_ref().map(|parsed| (parsed.runs_per_day() * 1000.0).round() / 1000.0),
        next_runs: parsed.as_ref().map(|parsed| next_runs(parsed, record.time, zone.as_deref())).unwrap_or_default(),
        schedule,
        time_zone: zone.unwrap_or_else(|| "UTC".to_owned()),
        suspend: object.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false),
        service_account: pod["serviceAccountName"].as_str().map(str::to_owned),
        containers: containers(&pod),
        volumes: pod["volumes"].as_array().map(|list| list.iter().map(volume).collect()).unwrap_or_default(),
        pod_security: pod_security(&pod),
        decoded: decoded(&object).into_iter().map(|(place, text)| Decoded { place, text }).collect(),
        scripts: script::notes(judge, record, &object),
        indicators: judged.findings.clone(),
        diff,
        diff_note,
        audit_id: record.audit_id.clone(),
        evidence: record.evidence.clone(),
    }
}

fn diff(record: &Record, step: Option<&Step>, after: &Value) -> (Vec<Difference>, String) {
    let before = step.and_then(|step| step.before.as_ref());
    match (record.change, before) {
        (Some(Change::Created), _) => (Vec::new(), "new object".to_owned()),
        (_, Some(before)) if !after.is_null() => {
            let found = difference(&before.object(), after);
            let note = if found.is_empty() { "no change of the spec".to_owned() } else { String::new() };
            (found, note)
        }
        _ => (Vec::new(), "the dump holds no earlier state".to_owned()),
    }
}

fn next_runs(schedule: &Schedule, time: Option<Timestamp>, zone: Option<&str>) -> Vec<Timestamp> {
    let zone = zone.and_then(|zone| TimeZone::get(zone).ok()).unwrap_or(TimeZone::UTC);
    let mut runs = Vec::new();
    let mut last = time;
    while let Some(next) = last.filter(|_| runs.len() < RUNS).and_then(|time| schedule.next_after(time, &zone)) {
        runs.push(next);
        last = Some(next);
    }
    runs
}

fn containers(pod: &Value) -> Vec<Container> {
    let mut all = Vec::new();
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod[kind].as_array().map(Vec::as_slice).unwrap_or_default() {
            let words = |key: &str| {
                container[key].as_array().map(|words| words.iter().map(print).collect()).unwrap_or_default()
            };
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
                command: words("command"),
                args: words("args"),
                env: container["env"].as_array().map(|list| list.iter().map(variable).collect()).unwrap_or_default(),
                security_context: security(&container["securityContext"]).join(", "),
            });
        }
    }
    all
}

/// What of a security context was set, switches by name where they are on.
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

fn since(judge: &Judge<'_>, record: &Record, time: Timestamp) -> Since {
    let object = object(record);
    let later = |positions: &[usize]| -> Vec<Timestamp> {
        positions.iter().filter_map(|&at| judge.timeline.time(at)).filter(|start| *start >= time).collect()
    };
    let (jobs, pods) = (later(judge.timeline.jobs(&object)), later(judge.timeline.pods(&object)));
    let gone = judge.timeline.requests(&object).iter().map(|&at| judge.timeline.record(at)).find(|later| {
        later.change == Some(Change::Deleted) && later.outcome == Outcome::Success && later.time >= record.time
    });
    let mut since = Since {
        text: String::new(),
        jobs: jobs.len(),
        pods: pods.len(),
        first_job: jobs.first().copied(),
        last_job: jobs.last().copied(),
        deleted: gone.and_then(|gone| gone.time),
        deleted_by: gone.and_then(|gone| gone.username.clone()),
    };
    since.text = since_text(&since, judge.coverage.end(record.cluster.as_deref()));
    since
}

fn since_text(since: &Since, end: Option<Timestamp>) -> String {
    let span = since.first_job.zip(since.last_job).map(|(first, last)| format!(" (first {first}, last {last})"));
    let jobs =
        format!("{} started{}, {}", plural(since.jobs, "Job"), span.unwrap_or_default(), plural(since.pods, "Pod"));
    let end = end.map_or_else(|| "the end of the dump".to_owned(), |end| format!("the end of the dump, {end}"));
    match since.deleted {
        Some(time) => format!("{jobs}; deleted {time} by {}", since.deleted_by.as_deref().unwrap_or("-")),
        None => format!("{jobs}; no delete logged: probably still there at {end}"),
    }
}

fn upstream(hit: &Hit, alert: &Alert) -> String {
    let dedup = alert.dedup_key.clone();
    let events = plural(usize::try_from(alert.hits).unwrap_or(usize::MAX), "event");
    match hit.rule_id.as_deref() {
        Some("Kubernetes.CronJob.CreatedOrModified") => {
            format!("match; dedup {dedup} ({events}); suppressed by upstream exclusion: no")
        }
        Some("Kubernetes.CronJob.ByExcludedIdentity") => {
            format!("no match: upstream excludes this identity here; dedup {dedup} ({events})")
        }
        rule => format!("another rule: {}; dedup {dedup} ({events})", rule.unwrap_or("-")),
    }
}

/// Writes what was found into alerts, summary and hits.
pub(super) fn annotate(report: &mut Finished, pages: &[Page], mut notes: BTreeMap<usize, Vec<Finding>>) {
    let verdicts: BTreeMap<&str, Verdict> = pages.iter().map(|page| (page.alert_id.as_str(), page.verdict)).collect();
    for alert in &mut report.alerts {
        alert.verdict = verdicts.get(alert.alert_id.as_str()).copied();
    }
    for group in &mut report.summary {
        group.verdict = group.alerts.iter().filter_map(|id| verdicts.get(id.as_str()).copied()).max();
    }
    for (at, hit) in report.hits.iter_mut().enumerate() {
        hit.indicators = notes.remove(&at).unwrap_or_default();
    }
}

/// Writes CronJobs that were recovered into the hits whose own records do not tell them.
pub(super) fn complete(judge: &Judge<'_>, hits: &[Hit]) -> BTreeMap<usize, Arc<Record>> {
    let missing = hits.iter().enumerate().filter(|(_, hit)| hit.record.cronjob.is_none());
    let resolved = missing.map(|(at, hit)| (at, judge.resolved(&hit.record)));
    resolved
        .filter(|(_, record)| record.cronjob.is_some())
        .map(|(at, record)| (at, Arc::new(record.into_owned())))
        .collect()
}

/// CronJobs with Jobs or Pods, and no write of their own in the dump.
pub(super) fn controller_only(judge: &Judge<'_>) -> Vec<Seen> {
    let timeline = &judge.timeline;
    let is_written = |object: &&Object| {
        timeline
            .requests(object)
            .iter()
            .any(|&at| timeline.record(at).change.is_some_and(|change| change != Change::Deleted))
    };
    let mut owners: Vec<&Object> = timeline.owners().filter(|object| !is_written(object)).collect();
    owners.sort();
    owners.into_iter().filter_map(|object| seen(judge, object)).collect()
}

fn seen(judge: &Judge<'_>, object: &Object) -> Option<Seen> {
    let timeline = &judge.timeline;
    let (jobs, pods) = (timeline.jobs(object), timeline.pods(object));
    let positions = if jobs.is_empty() { pods } else { jobs };
    let (first, last) = (*positions.first()?, *positions.last()?);
    // A status update shows the whole spec, schedule included; a Job only what it runs.
    let told = timeline.requests(object).iter().find_map(|&at| timeline.event(at).body.as_ref()?.state.clone());
    let spec = told.and_then(|text| serde_json::from_str(&text).ok());
    let spec: Option<Value> = spec.or_else(|| Some(of_children(timeline, object, &|_| true)?.object()));
    let findings = spec.as_ref().map(|spec| of_spec(judge, spec, timeline.record(first)));
    Some(Seen {
        cluster: object.0.clone(),
        namespace: object.1.clone(),
        name: object.2.clone(),
        jobs: jobs.len(),
        pods: pods.len(),
        first_seen: timeline.time(first),
        last_seen: timeline.time(last),
        text: "no record of its creation or change in the dump".to_owned(),
        spec_level: level_name(findings.as_ref().map(|findings| judge.catalogue.level(findings))),
        indicators: findings.unwrap_or_default(),
        evidence: timeline.record(first).evidence.clone(),
    })
}

/// Users of pages, gravest first, then by hits.
pub(super) fn users(pages: &[Page]) -> Vec<User> {
    let mut users: BTreeMap<(Option<&str>, Option<&str>), User> = BTreeMap::new();
    for page in pages {
        let user = users.entry((page.username.as_deref(), page.cluster.as_deref())).or_insert_with(|| User {
            username: page.username.clone(),
            cluster: page.cluster.clone(),
            worst: page.verdict,
            alerts: 0,
            hits: 0,
            verdicts: BTreeMap::new(),
            namespaces: BTreeSet::new(),
        });
        user.worst = user.worst.max(page.verdict);
        user.alerts += 1;
        user.hits += page.hits;
        *user.verdicts.entry(page.verdict.to_string()).or_default() += 1;
        user.namespaces.extend(page.namespace.clone());
    }
    let mut users: Vec<User> = users.into_values().collect();
    users.sort_by_key(|user| (Reverse(user.worst), Reverse(user.hits)));
    users
}

pub(super) fn suppressed(report: &Finished) -> Vec<Suppressed> {
    let mut groups: BTreeMap<(Option<&str>, Option<&str>, &str), u64> = BTreeMap::new();
    for hit in &report.suppressed {
        let reason = hit.reason.as_deref().unwrap_or_default();
        *groups.entry((hit.record.namespace.as_deref(), hit.record.username.as_deref(), reason)).or_default() += 1;
    }
    let row = |((namespace, username, reason), count): ((Option<&str>, Option<&str>, &str), u64)| Suppressed {
        namespace: namespace.map(str::to_owned),
        username: username.map(str::to_owned),
        count,
        reason: reason.to_owned(),
    };
    groups.into_iter().map(row).collect()
}

pub(super) fn coverage_note(report: &Finished) -> String {
    let first = report.coverage.iter().map(|day| day.first_seen).min();
    let last = report.coverage.iter().map(|day| day.last_seen).max();
    let gaps: usize = report.coverage.iter().map(|day| day.gaps.len()).sum();
    match first.zip(last) {
        Some((first, last)) => format!("the dump covers {first} to {last}, with {} over an hour", plural(gaps, "gap")),
        None => "the dump holds no audit event with a time".to_owned(),
    }
}

/// The images of a CronJob without their tags, for what to keep.
pub(super) fn repositories(record: &Record) -> Vec<String> {
    let images = record.cronjob.iter().flat_map(|cronjob| &cronjob.images);
    images.map(|image| repository(image).to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}
