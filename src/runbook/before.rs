//! Step 1: what the same actor did in the 24 hours before.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Judge;
use super::actor::Actor;
use super::advice::filter;
use super::page::Act;
use super::recent::Recent;
use crate::aggregate::Record;
use crate::event::Outcome;
use crate::words::{minute, plural};

/// What came before an alert.
#[derive(Debug, Clone, Serialize)]
pub struct Before {
    /// none, sporadic, routine, burst or probing.
    pub class: &'static str,
    pub text: String,
    #[serde(flatten)]
    pub recent: Recent,
    pub precursors: String,
    pub precursor_list: Vec<Act>,
    pub coverage: String,
    /// The longest time in the window, or just after it, for which the dump holds nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    /// The last of the requests.
    pub events: Vec<Act>,
    /// How many earlier ones are left out, and the command that lists all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

/// Requests that a page leaves out.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    pub count: usize,
    pub command: String,
}

/// Most requests that a page lists.
const LISTED: usize = 20;

/// Looks at what the actor of a record did in the window before `time`.
pub(super) fn before(judge: &Judge<'_>, record: &Record, hits: &[&Record], recent: Recent, time: Timestamp) -> Before {
    let (timeline, context, actor) = (&judge.timeline, judge.settings.context, Actor::of(record));
    let writes = timeline.within(timeline.writes(&actor), time, context);
    let denied = timeline.within(timeline.denied(&actor), time, context);
    let is_done = hits.iter().any(|hit| hit.outcome == Outcome::Success);
    let then_done =
        denied.first().is_some_and(|denied| is_done || recent.last_success.is_some_and(|done| done > *denied));
    let (earlier, listed) = writes.split_at(writes.len().saturating_sub(LISTED));
    let mut before = Before {
        class: class(judge, writes, &recent, then_done),
        text: String::new(),
        recent,
        precursors: String::new(),
        precursor_list: precursors(judge, record, time),
        coverage: judge.coverage_text(record, time, context, "h"),
        gap: gap(judge, record, time),
        events: listed.iter().map(|&at| Act::of(timeline.record(at))).collect(),
        left_out: earlier.first().map(|&first| left_out(timeline.record(first), earlier.len(), time)),
    };
    before.text = text(&before, writes.len());
    before.precursors = match (judge.settings.deep, before.precursor_list.len()) {
        (false, _) => "not looked at (--deep)".to_owned(),
        (true, 0) => format!("none ({})", before.coverage),
        (true, count) => plural(count, "risky act"),
    };
    before
}

/// How much time after an alert counts as well.
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
    Some(format!("nothing logged {} to {}{place}", minute(gap.start), minute(gap.end)))
}

fn left_out(first: &Record, count: usize, time: Timestamp) -> LeftOut {
    let user = first.username.as_deref().and_then(|user| filter("user", user)).unwrap_or_default();
    let since = first.time.map_or_else(String::new, |time| format!(" --since={time}"));
    LeftOut { count, command: format!("kubesweep events DUMP{user} --resource=cronjobs{since} --until={time}") }
}

/// The class of what came before: probing, else burst, routine or sporadic, in this order.
fn class(judge: &Judge<'_>, writes: &[usize], recent: &Recent, then_done: bool) -> &'static str {
    let limits = &judge.settings.limits;
    if recent.denied as u64 >= limits.probing_failures || then_done {
        "probing"
    } else if has_burst(judge, writes) {
        "burst"
    } else if writes.len() as u64 >= limits.routine_writes && recent.has_one_tool {
        "routine"
    } else if writes.is_empty() {
        "none"
    } else {
        "sporadic"
    }
}

/// Whether `burst_writes` of these lie within `burst_minutes`.
fn has_burst(judge: &Judge<'_>, positions: &[usize]) -> bool {
    let limits = &judge.settings.limits;
    let count = usize::try_from(limits.burst_writes).unwrap_or(usize::MAX).max(2);
    let minutes = SignedDuration::from_mins(i64::try_from(limits.burst_minutes).unwrap_or(i64::from(u32::MAX)));
    positions.windows(count).any(|window| {
        let [first, last] = [window[0], window[count - 1]].map(|at| judge.timeline.time(at));
        first.zip(last).is_some_and(|(first, last)| last.duration_since(first) <= minutes)
    })
}

fn precursors(judge: &Judge<'_>, record: &Record, time: Timestamp) -> Vec<Act> {
    let risky = risky(judge, record, time);
    risky.into_iter().map(|at| Act::of_observation(judge.timeline.event(at))).collect()
}

/// Positions of risky acts in the window, the first few of them. A refusal counts only in a burst.
pub(super) fn risky(judge: &Judge<'_>, record: &Record, time: Timestamp) -> Vec<usize> {
    if !judge.settings.deep {
        return Vec::new();
    }
    let timeline = &judge.timeline;
    let actor = Actor::everywhere(record);
    let [risky, refused] = [timeline.risky(&actor), timeline.refused(&actor)]
        .map(|acts| timeline.within(acts, time, judge.settings.context));
    let refused = if has_burst(judge, refused) { refused } else { &[] };
    let both: BTreeSet<usize> =
        [risky, refused].into_iter().flat_map(|acts| acts.iter().take(LISTED)).copied().collect();
    both.into_iter().take(LISTED).collect()
}

fn text(before: &Before, all: usize) -> String {
    if all == 0 {
        return format!("no CronJob write ({})", before.coverage);
    }
    let Recent { succeeded, failed, denied, dry_run, .. } = before.recent;
    let denied = if denied > 0 { format!(" ({denied} denied)") } else { String::new() };
    let unknown = all.saturating_sub(succeeded + failed + dry_run);
    let parts = [
        (succeeded, format!("{succeeded} ok")),
        (failed, format!("{failed} failed{denied}")),
        (dry_run, plural(dry_run, "dry run")),
        (unknown, format!("{unknown} of unknown outcome")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    format!("{}: {}; {}", plural(all, "write"), parts.join(", "), before.class)
}
