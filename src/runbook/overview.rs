//! The whole sweep: users, CronJobs that only controllers show, what was suppressed; and what goes back into the hits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::Judge;
use super::judged::of_spec;
use super::page::{Page, Seen, Suppressed, User, plural};
use super::spec::of_children;
use super::timeline::Object;
use super::verdict::level_name;
use crate::aggregate::{Finding, Finished, Hit, Record, Verdict};
use crate::event::Change;

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
    let spec: Option<Value> = spec.or_else(|| Some(of_children(timeline, jobs, pods)?.object()));
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
