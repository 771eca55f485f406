//! What an analyst reads of one alert, and of the whole sweep.

#![expect(missing_docs, reason = "the members of runbook.json, which docs/runbook.md describes")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::advice;
use super::before::{Before, before};
use super::history::{Histories, History, Known};
use super::judged::{Judged, Weighed, by_object, is_mended, judged_request, place, reasons};
use super::links::Linked;
use super::rank::Standing;
use super::recent::{Recent, Recents};
use super::since::{Since, since};
use super::spec::{Difference, State};
use super::timeline::took_effect;
use super::verdict::{level_name, meaning, would_change};
use super::what::what;
use super::{Judge, actor};
use crate::aggregate::{Alert, Evidence, Finding, Observation, Record, Verdict};
use crate::event::{Change, Outcome, Platform};
use crate::rule::{Class, Severity};
use crate::words::plural;

/// One alert: its members in runbook.json.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    pub alert_id: Arc<str>,
    pub rule_id: Arc<str>,
    pub severity: Severity,
    pub title: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    pub platform: Platform,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Arc<str>>,
    pub hits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    pub verdict: Verdict,
    #[serde(skip)]
    pub standing: Standing,
    pub verdict_rule: String,
    /// A caution about what the verdict rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<&'static str>,
    /// The CronJob that decided the verdict.
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

/// Why a verdict was given, and the request that proves it.
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
    pub username: Option<Arc<str>>,
    /// Its characters that are not ASCII, as `U+0430`: many look like others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub username_not_ascii: Vec<String>,
    pub principal_class: Class,
    /// Whether the credential belongs to nobody in particular.
    pub shared: bool,
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// The impersonated user: if present, the effective actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub impersonated_groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<Arc<str>>,
    pub source_public: bool,
    /// Absent if the actor has no history to judge it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_new: Option<bool>,
    /// Addresses before it, which the client claims.
    pub chain: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent_new: Option<bool>,
}

/// Another request of an alert on one of its CronJobs.
#[derive(Debug, Clone, Serialize)]
pub struct Write {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    pub spec_level: String,
    pub red_flags: Vec<String>,
    /// Findings that the decisive request does not have.
    pub indicators: Vec<Finding>,
    pub diff: Vec<Difference>,
    pub diff_note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    pub evidence: Evidence,
}

/// A CronJob of an alert, as the request that decided left it.
#[derive(Debug, Clone, Serialize)]
pub struct What {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    pub outcome: Outcome,
    /// The EKS session behind the request: several people may share a role, and an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    pub spec_level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_source: Option<String>,
    #[serde(flatten)]
    pub timing: Timing,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    pub containers: Vec<Container>,
    pub volumes: Vec<String>,
    pub pod_security: Vec<String>,
    pub decoded: Vec<Decoded>,
    /// For each list of this CronJob that is cut, how many more elements it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<&'static str, usize>,
    pub scripts: Vec<String>,
    pub indicators: Vec<Finding>,
    pub diff: Vec<Difference>,
    pub diff_note: String,
    /// The other requests of the alert on it, by time; if there are more than twenty, the gravest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// What is known of its beginning, if its creation is not in the dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What became of it; for the CronJob that decided, the page itself says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    pub evidence: Evidence,
}

/// When a CronJob runs.
#[derive(Debug, Clone, Serialize)]
pub struct Timing {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_per_day: Option<f64>,
    pub time_zone: String,
    pub next_runs: Vec<Timestamp>,
    pub suspend: bool,
}

/// One of its containers.
#[derive(Debug, Clone, Serialize)]
pub struct Container {
    pub name: String,
    pub kind: &'static str,
    pub image: String,
    /// Whether a digest fixes the content of the image.
    pub pinned: bool,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub env: Vec<Variable>,
    pub security_context: String,
    /// For each of command, args and env that is cut, how many more elements it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<&'static str, usize>,
}

/// An environment variable. A value from elsewhere is shown as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

/// Text that was encoded as base64.
#[derive(Debug, Clone, Serialize)]
pub struct Decoded {
    #[serde(rename = "where")]
    pub place: String,
    pub text: String,
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    pub worst: Verdict,
    pub alerts: u64,
    pub hits: u64,
    pub verdicts: BTreeMap<String, u64>,
    pub namespaces: BTreeSet<Arc<str>>,
}

/// A CronJob that only its controller's requests show.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Suppressed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Arc<str>>,
    pub count: u64,
    pub reason: String,
    /// The requests among them whose specs are S2 or S3, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grave: Option<Grave>,
}

/// Requests that are suppressed although their specs are S2 or S3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grave {
    pub count: u64,
    /// This and all members below describe the gravest request.
    pub spec_level: String,
    pub indicators: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    pub evidence: Evidence,
}

/// Most characters of a name. Kubernetes has no longer ones (RFC 1123), but a request that it refuses may.
const NAME: usize = 253;

/// A name as the pages of other requests repeat it: cut if too long.
pub(super) fn brief(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(NAME) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

impl Act {
    pub(super) fn of(record: &Record) -> Self {
        let place = [record.namespace.as_deref(), record.name.as_deref()];
        let place: Vec<_> = place.into_iter().flatten().map(brief).collect();
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

/// Of the requests of an alert on a CronJob: where the first stands that took effect, and the last of these that left a
/// spec as grave as the gravest, so that a revert is told as what became of it. Twice the gravest if none took effect.
fn effective(requests: &[Weighed<'_>]) -> [usize; 2] {
    let gravest = &requests[0].1;
    let effective = || requests.iter().filter(|(record, _)| took_effect(record)).map(|(_, judged)| judged);
    let grave = effective().filter(|judged| judged.level == gravest.level);
    let last = grave.map(|judged| judged.at).max().or_else(|| effective().map(|judged| judged.at).max());
    effective().map(|judged| judged.at).min().zip(last).map_or([gravest.at; 2], |(first, last)| [first, last])
}

/// An alert to make a page of.
pub(super) struct Asked {
    pub linked: Linked,
    /// Its first hit. Without one, the end of what the dump covers.
    time: Timestamp,
    /// The history of the actor of each hit: several people may share a credential.
    histories: Vec<History>,
    /// What each of these actors wrote in the window before it.
    recents: BTreeMap<Actor, Recent>,
}

/// Looks back from each alert in turn.
#[derive(Default)]
pub(super) struct Looks {
    histories: Histories,
    recents: Recents,
}

impl Asked {
    /// Looks back from an alert. Alerts must come in the order of their times.
    pub(super) fn new(judge: &Judge<'_>, linked: Linked, looks: &mut Looks) -> Self {
        let end = || judge.coverage.end(linked.alert.cluster.as_deref());
        let time = linked.alert.first_seen.or_else(end).unwrap_or(Timestamp::UNIX_EPOCH);
        let hits = || linked.hits.iter().map(|&(_, at)| judge.timeline.record(at));
        let histories = hits().map(|record| looks.histories.of(judge, record, time)).collect();
        let actors: BTreeSet<Actor> = hits().map(Actor::of).collect();
        let recents = actors.into_iter().map(|actor| (actor.clone(), looks.recents.of(judge, &actor, time)));
        Asked { time, histories, recents: recents.collect(), linked }
    }

    /// Judges its requests, each on its own.
    pub(super) fn examine(self, judge: &Judge<'_>) -> Examined {
        let Asked { linked, time, histories, recents } = self;
        let hits = linked.hits.iter().zip(histories);
        let requests = hits.map(|(&(_, at), history)| judged_request(judge, at, history)).collect();
        Examined { linked, time, recents, requests }
    }
}

/// An alert whose requests are judged.
pub(super) struct Examined {
    pub linked: Linked,
    pub time: Timestamp,
    recents: BTreeMap<Actor, Recent>,
    /// Its requests, one per hit.
    pub requests: Vec<Judged>,
}

/// The page of an alert, and the findings of each of its hits.
pub(super) fn page(judge: &Judge<'_>, examined: Examined) -> (Linked, Page, Vec<Vec<Finding>>) {
    let Examined { linked, time, recents, requests } = examined;
    let alert = &linked.alert;
    let findings = requests.iter().map(|judged| judged.findings.clone()).collect();
    let judged = requests.into_iter().map(|judged| (judge.timeline.record(judged.at), judged));
    let judged: Vec<Weighed<'_>> = judged.collect();
    let records: Vec<&Record> = judged.iter().map(|(record, _)| *record).collect();
    let objects = by_object(judged);
    let (record, decisive) = &objects[0][0];
    let mut became: Vec<Since> = objects.iter().map(|requests| since(judge, effective(requests), time)).collect();
    let recent = recents.get(&Actor::of(record)).cloned().unwrap_or_default();
    let before = before(judge, record, &records, recent, time);
    let history = decisive.history.clone();
    let mut cronjobs: Vec<What> = objects.iter().map(|requests| what(judge, requests)).collect();
    for (cronjob, since) in cronjobs.iter_mut().zip(&became).skip(1) {
        cronjob.since = Some(since.text.clone());
    }
    let next = next_steps(judge, (alert, time), &objects, &became, &cronjobs);
    let page = Page {
        alert_id: alert.alert_id.clone(),
        rule_id: alert.rule_id.clone(),
        severity: alert.severity,
        title: alert.title.clone(),
        cluster: alert.cluster.clone(),
        platform: records[0].platform,
        namespace: alert.namespace.clone(),
        username: alert.username.clone(),
        hits: alert.hits,
        first_seen: alert.first_seen,
        last_seen: alert.last_seen,
        verdict: decisive.verdict,
        standing: Standing::of(record, decisive),
        verdict_rule: decisive.rule.clone(),
        meaning: meaning(decisive.verdict, decisive.level, &decisive.findings),
        decided_by: place(record),
        spec_level: level_name(decisive.level),
        history_level: history.known.names().0,
        reasons: reasons(judge, decisive),
        would_change: would_change(judge, record, decisive),
        red_flags: decisive.flags.clone(),
        who: who(judge, record, time, &history),
        cronjobs,
        upstream: upstream(alert),
        next,
        before,
        history,
        since: became.swap_remove(0),
    };
    (linked, page, findings)
}

fn next_steps(
    judge: &Judge<'_>,
    (alert, time): (&Alert, Timestamp),
    objects: &[Vec<Weighed<'_>>],
    became: &[Since],
    cronjobs: &[What],
) -> Vec<String> {
    let subject = |at: usize| {
        let (record, judged) = &objects[at][0];
        advice::Subject::new(record, judged.verdict, &became[at], &cronjobs[at], is_mended(judge, judged))
    };
    // Where a spec names no service account, it is this one.
    let left = judge.steps.get(&objects[0][0].1.at).and_then(|step| step.after.as_ref());
    let is_whole = left.is_some_and(State::is_object);
    let account = cronjobs[0].service_account.clone().or_else(|| is_whole.then(|| "default".to_owned()));
    let start = time.checked_sub(judge.settings.context).unwrap_or(Timestamp::MIN);
    advice::next(&advice::Case {
        alert_id: &alert.alert_id,
        resolved: &judge.resolved(objects[0][0].0),
        decided: subject(0),
        others: (1..objects.len()).map(subject).collect(),
        account,
        gaps: judge.coverage.gaps(alert.cluster.as_deref(), start, time),
        has_scripts: cronjobs.iter().any(|cronjob| !cronjob.scripts.is_empty()),
        is_deep: judge.settings.deep,
    })
}

fn who(judge: &Judge<'_>, record: &Record, time: Timestamp, history: &History) -> Who {
    // What was first seen in the context window belongs to the same story, so it still counts as new.
    let start = time.checked_sub(judge.settings.context).unwrap_or(Timestamp::MIN);
    let (timeline, actor) = (&judge.timeline, actor::Actor::everywhere(record));
    let earlier = |positions: &[usize]| !timeline.within(positions, start, judge.settings.lookback).is_empty();
    let told = earlier(timeline.acts(&actor)) || history.known != Known::Insufficient;
    let is_new = |client: Option<&str>| {
        let client = client.filter(|_| told)?;
        Some(!earlier(timeline.acts_with(&actor, client)))
    };
    let session = record.actor.as_ref();
    Who {
        username: record.username.clone(),
        username_not_ascii: not_ascii(record.username.as_deref().unwrap_or_default()),
        principal_class: record.principal_class,
        shared: actor::is_shared(record),
        groups: record.groups.clone(),
        session: session.and_then(|actor| actor.session.clone()),
        arn: session.and_then(|actor| actor.arn.clone()),
        impersonated_user: record.impersonated_user.clone(),
        impersonated_groups: record.impersonated_groups.clone(),
        source_ip: record.trusted_ip.clone(),
        source_public: record.trusted_ip.as_deref().is_some_and(actor::is_public_address),
        source_new: is_new(record.trusted_ip.as_deref()),
        chain: record.source_ips.split_last().map(|(_, chain)| chain.to_vec()).unwrap_or_default(),
        user_agent: record.user_agent.clone(),
        user_agent_new: is_new(record.user_agent.as_deref()),
    }
}

fn not_ascii(name: &str) -> Vec<String> {
    let odd: BTreeSet<char> = name.chars().filter(|c| !c.is_ascii()).collect();
    odd.into_iter().map(|c| format!("U+{:04X}", u32::from(c))).collect()
}

fn upstream(alert: &Alert) -> String {
    let dedup = alert.dedup_key.clone();
    let events = plural(alert.hits, "event");
    match &*alert.rule_id {
        "Kubernetes.CronJob.CreatedOrModified" => {
            format!("match; dedup {dedup} ({events}); suppressed by upstream exclusion: no")
        }
        "Kubernetes.CronJob.ByExcludedIdentity" => {
            format!("no match: upstream excludes this identity here; dedup {dedup} ({events})")
        }
        rule => format!("another rule: {rule}; dedup {dedup} ({events})"),
    }
}
