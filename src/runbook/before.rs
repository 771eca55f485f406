//! Step 1: what the same actor did in the 24 hours before.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Judge;
use super::actor::{Actor, tool};
use super::advice::filter;
use super::page::{Act, plural};
use crate::aggregate::Record;
use crate::event::{Change, Outcome};

/// What came before an alert.
#[derive(Debug, Clone, Serialize)]
pub struct Before {
    /// none, sporadic, routine, burst or probing.
    pub class: &'static str,
    pub text: String,
    pub succeeded: usize,
    pub failed: usize,
    pub denied: usize,
    pub dry_run: usize,
    pub created: usize,
    pub modified: usize,
    pub deleted: usize,
    pub cronjobs: usize,
    pub namespaces: Vec<String>,
    pub tools: Vec<String>,
    pub source_ips: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_gap_seconds: Option<i64>,
    /// CronJobs that were created and deleted again.
    pub churn: Vec<String>,
    pub precursors: String,
    pub precursor_list: Vec<Act>,
    pub coverage: String,
    /// The longest time of it, or just after it, of which the dump holds nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    /// The last of them.
    pub events: Vec<Act>,
    /// How many earlier ones are left out, and the command that lists all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

/// Requests that a page does not list.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    pub count: usize,
    pub command: String,
}

/// Requests that a page lists.
const LISTED: usize = 20;

/// Looks at what the actor of a record did in the window before `time`; the hits of the alert are left out.
pub(super) fn before(judge: &Judge<'_>, record: &Record, hits: &[&Record], time: Timestamp) -> Before {
    let own: BTreeSet<&str> = hits.iter().filter_map(|hit| hit.audit_id.as_deref()).collect();
    let timeline = &judge.timeline;
    let context = judge.settings.context;
    let all = timeline.within(timeline.writes(&Actor::of(record)), time, context);
    let is_other = |&&at: &&usize| timeline.record(at).audit_id.as_deref().is_none_or(|id| !own.contains(id));
    let positions: Vec<usize> = all.iter().filter(is_other).copied().collect();
    let records: Vec<&Record> = positions.iter().map(|&at| timeline.record(at)).collect();
    let count = |test: &dyn Fn(&Record) -> bool| records.iter().filter(|record| test(record)).count();
    let done = |change| move |record: &Record| record.change == Some(change) && record.outcome == Outcome::Success;
    let texts = |read: fn(&Record) -> Option<&str>| -> Vec<String> {
        let texts: BTreeSet<&str> = records.iter().filter_map(|record| read(record)).collect();
        texts.into_iter().map(str::to_owned).collect()
    };
    let mut before = Before {
        class: class(judge, &records, hits),
        text: String::new(),
        succeeded: count(&|record| record.outcome == Outcome::Success),
        failed: count(&|record| record.outcome == Outcome::Failed),
        denied: count(&Record::is_denied),
        dry_run: count(&|record| record.outcome == Outcome::DryRun),
        created: count(&done(Change::Created)),
        modified: count(&done(Change::Modified)),
        deleted: count(&done(Change::Deleted)),
        cronjobs: records.iter().map(|record| place(record)).collect::<BTreeSet<_>>().len(),
        namespaces: texts(|record| record.namespace.as_deref()),
        tools: texts(|record| tool(record.user_agent.as_deref())),
        source_ips: texts(|record| record.trusted_ip.as_deref()),
        first_seen: records.first().and_then(|record| record.time),
        last_seen: records.last().and_then(|record| record.time),
        median_gap_seconds: median_gap(&records),
        churn: churn(&records),
        precursors: String::new(),
        precursor_list: precursors(judge, record, time),
        coverage: judge.coverage_text(record, time, context, "h"),
        gap: gap(judge, record, time),
        events: records.iter().rev().take(LISTED).rev().map(|record| Act::of(record)).collect(),
        left_out: left_out(&records, time),
    };
    before.text = text(&before, records.len());
    before.precursors = match (judge.settings.deep, before.precursor_list.len()) {
        (false, _) => "not looked at (--deep)".to_owned(),
        (true, 0) => format!("none ({})", before.coverage),
        (true, count) => plural(count, "risky act"),
    };
    before
}

/// Around an alert: this much after it counts as well.
const AROUND: SignedDuration = SignedDuration::from_hours(1);

/// `nothing logged 2026-11-18 00:50Z to 2026-11-18 07:00Z, just before`.
fn gap(judge: &Judge<'_>, record: &Record, time: Timestamp) -> Option<String> {
    let start = time.checked_sub(judge.settings.context).unwrap_or(Timestamp::MIN);
    let end = time.checked_add(AROUND).unwrap_or(Timestamp::MAX);
    let gaps = judge.coverage.gaps(record.cluster.as_deref(), start, end);
    let gap = gaps.into_iter().max_by_key(|gap| (gap.end.duration_since(gap.start), gap.end))?;
    let is_near = gap.end <= time && time.duration_since(gap.end) <= AROUND;
    let place = match (is_near, gap.start >= time) {
        (true, _) => ", just before",
        (_, true) => ", just after",
        _ => "",
    };
    let minute = |time: Timestamp| time.strftime("%Y-%m-%d %H:%MZ").to_string();
    Some(format!("nothing logged {} to {}{place}", minute(gap.start), minute(gap.end)))
}

fn left_out(records: &[&Record], time: Timestamp) -> Option<LeftOut> {
    let count = records.len().checked_sub(LISTED).filter(|count| *count > 0)?;
    let first = records.first()?;
    let user = first.username.as_deref().and_then(|user| filter("user", user)).unwrap_or_default();
    let since = first.time.map_or_else(String::new, |time| format!(" --since={time}"));
    Some(LeftOut { count, command: format!("kubesweep events DUMP{user} --resource=cronjobs{since} --until={time}") })
}

fn place(record: &Record) -> (Option<&str>, Option<&str>) {
    (record.namespace.as_deref(), record.name.as_deref())
}

/// probing before burst before routine before sporadic.
fn class(judge: &Judge<'_>, records: &[&Record], hits: &[&Record]) -> &'static str {
    let limits = &judge.settings.limits;
    let denied = records.iter().filter(|record| record.is_denied()).count() as u64;
    let first_denied = records.iter().position(|record| record.is_denied());
    let then_done = first_denied
        .is_some_and(|at| records[at..].iter().chain(hits).any(|record| record.outcome == Outcome::Success));
    let tools: BTreeSet<_> = records.iter().map(|record| tool(record.user_agent.as_deref())).collect();
    if denied >= limits.probing_failures || then_done {
        "probing"
    } else if has_burst(judge, records) {
        "burst"
    } else if records.len() as u64 >= limits.routine_writes && tools.len() == 1 {
        "routine"
    } else if records.is_empty() {
        "none"
    } else {
        "sporadic"
    }
}

pub(super) fn has_burst(judge: &Judge<'_>, records: &[&Record]) -> bool {
    let limits = &judge.settings.limits;
    let count = usize::try_from(limits.burst_writes).unwrap_or(usize::MAX).max(2);
    let minutes = SignedDuration::from_mins(i64::try_from(limits.burst_minutes).unwrap_or(i64::from(u32::MAX)));
    records.windows(count).any(|window| {
        let span = window[0].time.zip(window[count - 1].time).map(|(first, last)| last.duration_since(first));
        span.is_some_and(|span| span <= minutes)
    })
}

fn median_gap(records: &[&Record]) -> Option<i64> {
    let times: Vec<Timestamp> = records.iter().filter_map(|record| record.time).collect();
    let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect();
    gaps.sort_unstable();
    let (low, high) = (gaps.get(gaps.len().checked_sub(1)? / 2)?, gaps.get(gaps.len() / 2)?);
    Some((low + high) / 2)
}

fn churn(records: &[&Record]) -> Vec<String> {
    let done = |change: Change| {
        let done = records.iter().filter(move |record| record.change == Some(change));
        done.filter(|record| record.outcome == Outcome::Success).map(|record| place(record)).collect::<BTreeSet<_>>()
    };
    let (created, deleted) = (done(Change::Created), done(Change::Deleted));
    let both = created.intersection(&deleted);
    both.map(|(namespace, name)| format!("{}/{}", namespace.unwrap_or("-"), name.unwrap_or("-"))).collect()
}

fn precursors(judge: &Judge<'_>, record: &Record, time: Timestamp) -> Vec<Act> {
    let risky = risky(judge, record, time);
    risky.into_iter().map(|at| Act::of_observation(judge.timeline.event(at))).collect()
}

/// Where risky acts in the window stand, the first of them; a refusal counts only in a burst.
pub(super) fn risky(judge: &Judge<'_>, record: &Record, time: Timestamp) -> Vec<usize> {
    if !judge.settings.deep {
        return Vec::new();
    }
    let timeline = &judge.timeline;
    let acts = timeline.within(timeline.acts(&Actor::everywhere(record)), time, judge.settings.context);
    let refused: Vec<&Record> = acts
        .iter()
        .map(|&at| timeline.event(at))
        .filter(|event| event.meets("refused"))
        .map(|event| &*event.record)
        .collect();
    let burst = has_burst(judge, &refused);
    let risky = acts.iter().copied().filter(|&at| {
        let interests = || timeline.event(at).interests().filter(|name| *name != "cronjob");
        interests().any(|name| name != "refused") || burst && interests().next().is_some()
    });
    risky.take(LISTED).collect()
}

fn text(before: &Before, all: usize) -> String {
    if all == 0 {
        return format!("no CronJob write ({})", before.coverage);
    }
    let denied = if before.denied > 0 { format!(" ({} denied)", before.denied) } else { String::new() };
    let parts = [
        (before.succeeded, format!("{} ok", before.succeeded)),
        (before.failed, format!("{} failed{denied}", before.failed)),
        (before.dry_run, plural(before.dry_run, "dry run")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    format!("{}: {}; {}", plural(all, "write"), parts.join(", "), before.class)
}
