//! The whole sweep: users, CronJobs that only controllers show, what was suppressed; and what is written back into
//! alerts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::Value;

use super::Judge;
use super::indicators::Level;
use super::judged::{REASONS, of_spec};
use super::page::{Grave, Page, Seen, Suppressed, User};
use super::rank::Standing;
use super::spec::of_children;
use super::timeline::{Name, Object, shown, writes};
use super::verdict::level_name;
use crate::aggregate::{Extent, Finding, Finished, Record, covered};
use crate::event::Change;
use crate::threads::each;
use crate::words::plural;

/// Writes verdicts into alerts and summary. Returns the number of alerts by severity that the runbook does not judge.
pub(super) fn annotate(
    report: &mut Finished,
    standings: &BTreeMap<usize, Standing>,
) -> io::Result<BTreeMap<String, u64>> {
    let (mut without, mut given, mut numbers) = (BTreeMap::new(), BTreeMap::new(), 0..);
    report.alerts = report.alerts.take().change(|alert| {
        let standing = numbers.next().and_then(|number| standings.get(&number));
        alert.verdict = standing.and_then(|standing| standing.rank.verdict());
        match alert.verdict {
            Some(verdict) => drop(given.insert(alert.alert_id.clone(), verdict)),
            None => *without.entry(alert.severity.to_string()).or_default() += 1,
        }
        Ok(())
    })?;
    for group in &mut report.summary {
        group.verdict = group.alerts.iter().filter_map(|id| given.get(id).copied()).max();
    }
    Ok(without)
}

/// CronJobs with Jobs or Pods, but without a create or update of their own in the dump.
pub(super) fn controller_only(judge: &Judge<'_>) -> Vec<Seen> {
    let timeline = &judge.timeline;
    let is_written = |object: &&Object| {
        timeline
            .requests(object)
            .iter()
            .any(|&at| writes(timeline.record(at)) && timeline.record(at).change != Some(Change::Deleted))
    };
    let mut owners: Vec<&Object> = timeline.owners().filter(|object| !is_written(object)).collect();
    owners.sort();
    each(&owners, |object| seen(judge, object)).into_iter().flatten().collect()
}

fn seen(judge: &Judge<'_>, object: &Object) -> Option<Seen> {
    let timeline = &judge.timeline;
    let (jobs, pods) = (timeline.jobs(object), timeline.pods(object));
    let first = *jobs.first().or(pods.first())?;
    let [job_times, pod_times] = timeline.started(object);
    let last_seen = *job_times.last().or(pod_times.last())?;
    // A status update shows the whole spec, including the schedule; a Job shows only what it runs.
    let told = timeline.requests(object).iter().find_map(|&at| shown(timeline.event(at)));
    let spec = told.and_then(|text| serde_json::from_str(text).ok());
    let spec: Option<Value> = spec.or_else(|| Some(of_children(timeline, jobs, pods)?.object()));
    let findings = spec.as_ref().map(|spec| of_spec(judge, spec, timeline.record(first), true));
    Some(Seen {
        cluster: object.0.clone(),
        namespace: object.1.clone(),
        name: object.2.clone(),
        jobs: job_times.len(),
        pods: pod_times.len(),
        first_seen: timeline.time(first),
        last_seen,
        text: "no record of its creation or change in the dump".to_owned(),
        spec_level: level_name(findings.as_ref().map(|findings| judge.catalogue.level(findings))),
        indicators: findings.unwrap_or_default(),
        evidence: timeline.record(first).evidence.clone(),
    })
}

/// Users of the pages, by cluster and username.
#[derive(Default)]
pub(super) struct Users(BTreeMap<(Name, Name), User>);

impl Users {
    pub(super) fn add(&mut self, page: &Page) {
        let user = self.0.entry((page.username.clone(), page.cluster.clone())).or_insert_with(|| User {
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

    /// Gravest first, then by hits.
    pub(super) fn ranked(self) -> Vec<User> {
        let mut users: Vec<User> = self.0.into_values().collect();
        users.sort_by_key(|user| (Reverse(user.worst), Reverse(user.hits)));
        users
    }
}

/// Namespace, user and reason of suppressed matches.
type Group = (Name, Name, String);

/// Suppressed requests with grave specs. Nobody would look at them otherwise, and whoever controls a trusted identity
/// knows that.
#[derive(Default)]
pub(super) struct Graves(BTreeMap<Group, (Level, Grave)>);

impl Graves {
    /// Adds those of a cluster.
    pub(super) fn add(&mut self, judge: &Judge<'_>) {
        let is_suppressed = |at: &usize| {
            let event = judge.timeline.event(*at);
            !event.is_hit && event.suppressions().next().is_some()
        };
        let suppressed: Vec<usize> = judge.steps.keys().copied().filter(is_suppressed).collect();
        let judged = each(&suppressed, |&at| {
            let record = judge.timeline.record(at);
            let state = judge.steps.get(&at)?.after.as_ref()?;
            let mut findings = of_spec(judge, &state.object(), record, state.is_object());
            findings.sort_by_key(|finding| Reverse(finding.severity));
            let level = judge.catalogue.level(&findings);
            (level >= Level::S2).then_some((level, findings))
        });
        for (&at, judged) in suppressed.iter().zip(judged) {
            let Some((level, findings)) = judged else { continue };
            let event = judge.timeline.event(at);
            for found in event.suppressions() {
                let group = (event.record.namespace.clone(), event.record.username.clone(), found.reason.clone());
                let grave = || Grave::of(&event.record, level, &findings);
                let (worst, known) = self.0.entry(group).or_insert_with(|| (level, grave()));
                let count = known.count + 1;
                if level > *worst {
                    (*worst, *known) = (level, grave());
                }
                known.count = count;
            }
        }
    }
}

impl Grave {
    fn of(record: &Record, level: Level, findings: &[Finding]) -> Self {
        Grave {
            count: 0,
            spec_level: level.to_string(),
            indicators: findings.iter().take(REASONS).cloned().collect(),
            time: record.time,
            name: record.name.clone(),
            audit_id: record.audit_id.clone(),
            evidence: record.evidence.clone(),
        }
    }
}

pub(super) fn suppressed(report: &Finished, mut graves: Graves) -> io::Result<Vec<Suppressed>> {
    let mut groups: BTreeMap<Group, u64> = BTreeMap::new();
    for hit in report.suppressed.read()? {
        let hit = hit?;
        let reason = hit.reason.clone().unwrap_or_default();
        *groups.entry((hit.record.namespace.clone(), hit.record.username.clone(), reason)).or_default() += 1;
    }
    let row = |(group, count)| {
        let grave = graves.0.remove(&group).map(|(_, grave)| grave);
        let (namespace, username, reason) = group;
        Suppressed { namespace, username, count, reason, grave }
    };
    Ok(groups.into_iter().map(row).collect())
}

pub(super) fn coverage_note(report: &Finished) -> String {
    let gaps: usize = report.coverage.iter().map(|day| day.gaps.len()).sum();
    let read = match report.extent {
        Extent::Whole => "the dump",
        Extent::SharesMissing => "partials missing; what was read of the dump",
        Extent::Interrupted => "interrupted; what was read of the dump",
    };
    let Some((first, last)) = covered(&report.coverage) else {
        return format!("{read} holds no audit event with a time");
    };
    let said = format!("{read} covers {first} to {last}, with {} over an hour", plural(gaps, "gap"));
    match report.asked.words() {
        None => said,
        Some(asked) if report.missed() => format!("{said}; no event lies in the time asked for, {asked}"),
        Some(asked) => format!("{said}; alerts are those {asked}, the rest is history"),
    }
}
