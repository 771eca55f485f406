//! What became of the CronJob that decided the verdict.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Judge;
use super::timeline::{Object, Timeline, after, ahead, object, took_effect};
use super::turn::Turn;
use crate::aggregate::Record;
use crate::event::{Change, Outcome};
use crate::words::plural;

/// What became of a CronJob after a request.
#[derive(Debug, Clone, Serialize)]
pub struct Since {
    pub text: String,
    /// Whether a request of the alert took effect.
    #[serde(skip)]
    pub took_effect: bool,
    /// Whether the first of them created it.
    #[serde(skip)]
    pub is_own: bool,
    /// Whether it ended, even if no request shows how, and is not there again.
    #[serde(skip)]
    pub is_gone: bool,
    /// When and by whom it was made again.
    #[serde(skip)]
    pub remade: Option<String>,
    /// Jobs it started from the first request of the alert on it until it was changed again or deleted.
    pub jobs: usize,
    pub pods: usize,
    /// Number of Jobs it started after it was changed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later_jobs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_job: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_job: Option<Timestamp>,
    /// When a later write made it run something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<Arc<str>>,
}

/// Looks at what follows the requests of an alert on a CronJob. The first and the last that took effect stand at these
/// positions; `time` is that of the alert.
pub(super) fn since(judge: &Judge<'_>, [first, at]: [usize; 2], time: Timestamp) -> Since {
    let (timeline, record) = (&judge.timeline, judge.timeline.record(at));
    let (object, opened) = (object(record), timeline.time(first).unwrap_or(time));
    let end = End::of(timeline, &object, at);
    let turn = next_turn(judge, at, end.at);
    let changed = turn.as_ref().filter(|turn| !turn.what.is_empty()).map(|turn| timeline.record(turn.at));
    let gone = end.deleted.map(|at| timeline.record(at));
    let ended = end.deleted.or(end.again).and_then(|at| timeline.record(at).time);
    let all = timeline.started(&object).map(|times| from(times, opened));
    let [jobs, pods] = all.map(|times| up_to(times, changed.map_or(ended, |changed| changed.time)));
    let later_jobs = changed.map(|_| up_to(all[0], ended).len() - jobs.len());
    let last_job = jobs.last().copied().flatten();
    let begin = record.time.unwrap_or(time);
    let left = || alive_or_swept(judge, record, last_sign(judge, record, begin, last_job), changed.is_some());
    let parts = [
        Some(runs(judge, jobs, pods.len())),
        turn.map(|turn| turned(&turn, timeline.record(turn.at), begin)),
        later_jobs.filter(|later| *later > 0).map(|later| format!("then {} started", plural(later, "Job"))),
        Some(end.text(timeline).unwrap_or_else(left)),
    ];
    let text = match record.outcome {
        Outcome::DryRun => "a dry run: it wrote nothing".to_owned(),
        Outcome::Failed => "the request failed: it wrote nothing".to_owned(),
        _ => parts.into_iter().flatten().collect::<Vec<_>>().join("; "),
    };
    let opening = timeline.record(first);
    let who = |record: Option<&Record>| record.and_then(|record| record.username.clone());
    Since {
        text,
        took_effect: took_effect(record),
        is_own: opening.change == Some(Change::Created) && took_effect(opening),
        is_gone: end.at.is_some() && end.again.is_none(),
        remade: end.again.map(|at| at_by(timeline.record(at))),
        jobs: jobs.len(),
        pods: pods.len(),
        later_jobs,
        first_job: jobs.first().copied().flatten(),
        last_job,
        changed: changed.and_then(|by| by.time),
        changed_by: who(changed),
        deleted: gone.and_then(|gone| gone.time),
        deleted_by: who(gone),
    }
}

/// The times from one on, without those that are not known.
fn from(times: &[Option<Timestamp>], begin: Timestamp) -> &[Option<Timestamp>] {
    let known = &times[..times.partition_point(Option::is_some)];
    &known[known.partition_point(|time| *time < Some(begin))..]
}

/// The times up to one, if there is one.
fn up_to(times: &[Option<Timestamp>], end: Option<Timestamp>) -> &[Option<Timestamp>] {
    &times[..times.partition_point(|time| end.is_none() || *time <= end)]
}

/// `2 Jobs started (first …, last …), 2 Pods`.
fn runs(judge: &Judge<'_>, jobs: &[Option<Timestamp>], pods: usize) -> String {
    if !judge.timeline.shows_runs() {
        let until = judge.until.map(|until| format!(" before {until}, the end of the time asked for"));
        let until = until.unwrap_or_default();
        return format!(
            "no Job of it is logged{until}, and none of any CronJob of this cluster, so that runs cannot be seen"
        );
    }
    let ends = jobs.first().copied().flatten().zip(jobs.last().copied().flatten());
    let span = ends.map_or_else(String::new, |(first, last)| format!(" (first {first}, last {last})"));
    format!("{} started{span}, {}", plural(jobs.len(), "Job"), plural(pods, "Pod"))
}

/// How a CronJob ended after a request, as far as the log shows: one that is created anew must have been gone.
#[derive(Default)]
struct End {
    /// The position at which the log shows that it had ended.
    at: Option<usize>,
    /// The position of the request that deleted it.
    deleted: Option<usize>,
    /// Whether that request named no object.
    is_swept: bool,
    /// The position at which it was created again.
    again: Option<usize>,
}

impl End {
    fn of(timeline: &Timeline<'_>, object: &Object, at: usize) -> Self {
        let (cluster, namespace, name) = object;
        // Without a name, later requests cannot be matched to this one.
        if name.is_none() {
            return End::default();
        }
        let first = |positions| after(positions, at).first().copied();
        let (named, again) = (first(timeline.deletes(object)), first(timeline.creates(object)));
        let Some(again) = again.filter(|again| named.is_none_or(|named| *again < named)) else {
            let again = named.and_then(|named| after(timeline.creates(object), named).first().copied());
            return End { at: named, deleted: named, is_swept: false, again };
        };
        let sweeps = after(timeline.deletes(&(cluster.clone(), namespace.clone(), None)), at);
        let sweep = ahead(sweeps, again).last().copied();
        End { at: sweep.or(Some(again)), deleted: sweep, is_swept: sweep.is_some(), again: Some(again) }
    }

    /// `deleted 2026-05-01T10:20:00Z by eve, and made again …`; `None` if the log shows no end.
    fn text(&self, timeline: &Timeline<'_>) -> Option<String> {
        let by = |at: usize| at_by(timeline.record(at));
        let how = if self.is_swept { ": deletecollection in the namespace" } else { "" };
        let deleted = match (self.deleted, self.again) {
            (Some(deleted), _) => format!("deleted {}{how}", by(deleted)),
            (None, Some(_)) => "deleted, and no request tells when".to_owned(),
            (None, None) => return None,
        };
        Some(deleted + &self.again.map_or_else(String::new, |again| format!(", and made again {}", by(again))))
    }
}

/// The first change after a request that took effect, while the CronJob exists. Undoing some earlier change does not
/// count as restoring what the request found.
fn next_turn(judge: &Judge<'_>, at: usize, gone: Option<usize>) -> Option<Turn> {
    let record = judge.timeline.record(at);
    let turns = judge.turns.get(&object(record)).filter(|_| took_effect(record) && record.name.is_some())?;
    let (earlier, later) = turns.split_at(turns.partition_point(|turn| turn.at <= at));
    let next = later.first().filter(|next| gone.is_none_or(|gone| next.at < gone))?;
    let is_turn = earlier.last().is_some_and(|turn| turn.at == at);
    Some(Turn { is_back: next.is_back && is_turn, ..next.clone() })
}

/// `changed again 2026-05-01T10:20:00Z by eve (image, command): this spec was in force 3 h 0 min`.
fn turned(turn: &Turn, by: &Record, begin: Timestamp) -> String {
    if turn.what.is_empty() {
        return format!("written again {}, and the log does not tell what that changed", at_by(by));
    }
    let back = if turn.is_back { ", back to what ran before" } else { "" };
    let force =
        by.time.map_or_else(String::new, |end| format!(": this spec was in force {}", span(end.duration_since(begin))));
    format!("changed again {} ({}{back}){force}", at_by(by), turn.what.join(", "))
}

/// `3 h 0 min`, `2 d 3 h`.
pub(super) fn span(span: SignedDuration) -> String {
    let minutes = span.as_mins();
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// When a request or a Job last showed that the CronJob existed.
fn last_sign(judge: &Judge<'_>, record: &Record, begin: Timestamp, last_job: Option<Timestamp>) -> Timestamp {
    let requests = judge.timeline.requests(&object(record)).iter().map(|&at| judge.timeline.record(at));
    let mut named = requests.rev().filter(|request| record.name.is_some() && took_effect(request));
    let last_request = named.find_map(|request| request.time);
    last_request.into_iter().chain(last_job).chain([begin]).max().unwrap_or(begin)
}

/// The words for a CronJob without a logged delete that was last seen at `seen`.
fn alive_or_swept(judge: &Judge<'_>, record: &Record, seen: Timestamp, is_changed: bool) -> String {
    // A deletecollection names no object, and its selector may spare this one.
    let (cluster, namespace, _) = object(record);
    let timeline = &judge.timeline;
    if let Some(&at) = timeline.since(timeline.deletes(&(cluster, namespace, None)), seen).first() {
        return format!("perhaps deleted {}: deletecollection in the namespace", at_by(timeline.record(at)));
    }
    let end = match (judge.until, judge.coverage.end(record.cluster.as_deref())) {
        (Some(until), Some(end)) if until <= end => format!("the end of the time asked for, {until}"),
        (_, Some(end)) => format!("the end of the dump, {end}"),
        (_, None) => "the end of the dump".to_owned(),
    };
    let what = if is_changed { "the CronJob, not this spec, was " } else { "" };
    format!("no delete logged: {what}probably still there at {end}")
}

/// `2026-05-01T10:20:00Z by eve`.
fn at_by(record: &Record) -> String {
    let time = record.time.map_or_else(|| "at an unknown time".to_owned(), |time| time.to_string());
    format!("{time} by {}", record.username.as_deref().unwrap_or("-"))
}
