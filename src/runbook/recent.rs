//! What an actor wrote in the window before an alert, counted as the window moves forward.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

use super::Judge;
use super::actor::{Actor, tool};
use super::counts::{Counts, Facet, let_go, one};
use super::judged::place;
use super::page::brief;
use super::timeline::is_on_one;
use super::window::{Counted, Window, Windows};
use crate::aggregate::Record;
use crate::event::{Change, Outcome};

/// Most values listed of a property. Of the rest, only the number is given.
const LISTED: usize = 20;

/// The writes in a window: members of `before` in runbook.json.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Recent {
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
    /// For each of these lists that is cut, how many more values it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<&'static str, usize>,
    /// Position of the last write that succeeded.
    #[serde(skip)]
    pub(super) last_success: Option<usize>,
    /// Whether all were made with one program.
    #[serde(skip)]
    pub(super) has_one_tool: bool,
}

/// Looks back from each alert in turn.
#[derive(Default)]
pub(super) struct Recents {
    windows: Windows<Actor, OfActor>,
}

impl Recents {
    /// The writes in the window before `time`. Times must be ascending for each actor.
    pub(super) fn of(&mut self, judge: &Judge<'_>, actor: &Actor, time: Timestamp) -> Recent {
        let (positions, window) = (judge.timeline.writes(actor), (time, judge.settings.context));
        recent(judge, self.windows.at(judge, actor.clone(), positions, window))
    }
}

/// What is counted of writes.
const COUNTED: [Facet; 8] = [
    ("outcome", |record| one(Some(record.outcome.name().to_owned()))),
    ("change", |record| one(done(record).map(|change| change.name().to_owned()))),
    ("cronjob", |record| one(is_on_one(record).then(|| format!("{:?}", (&record.namespace, &record.name))))),
    ("namespace", |record| one(record.namespace.as_deref().map(str::to_owned))),
    ("tool", |record| one(tool(record.user_agent.as_deref()).map(str::to_owned))),
    ("source ip", |record| one(record.trusted_ip.as_deref().map(str::to_owned))),
    ("created", |record| one((done(record) == Some(Change::Created)).then(|| place(record)))),
    ("deleted", |record| one((done(record) == Some(Change::Deleted)).then(|| place(record)))),
];
const OUTCOME: usize = 0;
const CHANGE: usize = 1;
const CRONJOB: usize = 2;
const NAMESPACE: usize = 3;
const TOOL: usize = 4;
const SOURCE_IP: usize = 5;
const CREATED: usize = 6;
const DELETED: usize = 7;

/// The change that a write made; `None` if it did not succeed.
fn done(record: &Record) -> Option<Change> {
    record.change.filter(|_| record.outcome == Outcome::Success)
}

/// The writes of an actor.
#[derive(Debug)]
struct OfActor {
    counts: Counts,
    denied: usize,
    times: VecDeque<Timestamp>,
    /// Seconds between successive writes, and how often each occurs. Few values differ, because together they are no
    /// longer than the window.
    gaps: BTreeMap<i64, usize>,
    /// CronJobs both created and deleted in the window.
    churn: BTreeSet<String>,
    last_success: Option<usize>,
}

impl Default for OfActor {
    fn default() -> Self {
        OfActor {
            counts: Counts::of(&COUNTED),
            denied: 0,
            times: VecDeque::new(),
            gaps: BTreeMap::new(),
            churn: BTreeSet::new(),
            last_success: None,
        }
    }
}

impl Counted for OfActor {
    fn takes(_: &Record) -> bool {
        true
    }

    fn add(&mut self, judge: &Judge<'_>, at: usize) {
        let record = judge.timeline.record(at);
        self.counts.add(record);
        self.settle_churn(record);
        self.denied += usize::from(record.is_denied());
        if record.outcome == Outcome::Success {
            self.last_success = Some(at);
        }
        if let Some(gap) = gap(self.times.back(), record.time.as_ref()) {
            *self.gaps.entry(gap).or_default() += 1;
        }
        self.times.extend(record.time);
    }

    fn remove(&mut self, judge: &Judge<'_>, at: usize) {
        let record = judge.timeline.record(at);
        self.counts.remove(record);
        self.settle_churn(record);
        self.denied -= usize::from(record.is_denied());
        let time = self.times.pop_front();
        if let Some(gap) = gap(time.as_ref(), self.times.front()) {
            let_go(&mut self.gaps, gap);
        }
    }
}

/// Seconds between two times.
fn gap(first: Option<&Timestamp>, second: Option<&Timestamp>) -> Option<i64> {
    Some(second?.duration_since(*first?).as_secs())
}

impl OfActor {
    /// Checks again whether the CronJob of a write was both created and deleted.
    fn settle_churn(&mut self, record: &Record) {
        let place = place(record);
        if [CREATED, DELETED].iter().all(|&facet| self.counts.count(facet, &place) > 0) {
            self.churn.insert(place);
        } else {
            self.churn.remove(&place);
        }
    }

    /// The median gap: the mean of the two in the middle.
    fn median_gap(&self) -> Option<i64> {
        let count: usize = self.gaps.values().sum();
        let gap = |number: usize| {
            let mut before = 0;
            let mut gaps = self.gaps.iter();
            gaps.find_map(|(gap, count)| {
                before += count;
                (before > number).then_some(*gap)
            })
        };
        Some(i64::midpoint(gap(count.checked_sub(1)? / 2)?, gap(count / 2)?))
    }
}

/// The content of a window.
fn recent(judge: &Judge<'_>, window: &Window<OfActor>) -> Recent {
    let OfActor { counts, denied, churn, last_success, .. } = &window.counted;
    let (first, span) = (window.inside.front(), window.span(judge));
    let outcome = |outcome: Outcome| counts.count(OUTCOME, outcome.name());
    let change = |change: Change| counts.count(CHANGE, change.name());
    let values = |facet: usize| cut(counts.values(facet).keys());
    let lists = [
        ("namespaces", values(NAMESPACE)),
        ("tools", values(TOOL)),
        ("source_ips", values(SOURCE_IP)),
        ("churn", cut(churn.iter())),
    ];
    let more = lists.iter().map(|&(name, (_, more))| (name, more)).filter(|(_, more)| *more > 0).collect();
    let [namespaces, tools, source_ips, churn] = lists.map(|(_, (listed, _))| listed);
    let with_tool = counts.values(TOOL);
    Recent {
        succeeded: outcome(Outcome::Success),
        failed: outcome(Outcome::Failed),
        denied: *denied,
        dry_run: outcome(Outcome::DryRun),
        created: change(Change::Created),
        modified: change(Change::Modified),
        deleted: change(Change::Deleted),
        cronjobs: counts.values(CRONJOB).len(),
        namespaces,
        tools,
        source_ips,
        first_seen: span.map(|(first, _)| first),
        last_seen: span.map(|(_, last)| last),
        median_gap_seconds: window.counted.median_gap(),
        churn,
        more,
        last_success: last_success.filter(|at| first.is_some_and(|first| first <= at)),
        has_one_tool: with_tool.values().next().is_none_or(|count| *count == window.len()),
    }
}

/// The first values, and how many more there are.
fn cut<'v>(values: impl ExactSizeIterator<Item = &'v String>) -> (Vec<String>, usize) {
    let more = values.len().saturating_sub(LISTED);
    (values.take(LISTED).map(|value| brief(value).into_owned()).collect(), more)
}
