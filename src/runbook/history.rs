//! Step 3: what the same actor did in the 30 days before, and whether that makes the request established or anomalous.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::Judge;
use super::actor::{Actor, network, tool};
use super::counts::{Counts, Facet, one};
use super::timeline::{Name, is_on_one, object};
use super::window::{Counted, Window, Windows};
use super::writers::Writers;
use crate::aggregate::Record;
use crate::schedule::Schedule;
use crate::words::plural;

/// How well the history of an actor explains an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Known {
    /// Often, for long, and nothing new.
    #[serde(rename = "E3")]
    Established,
    /// Some of that.
    #[serde(rename = "E2")]
    Partly,
    /// A little.
    #[serde(rename = "E1")]
    Weak,
    /// The dump covers too little to show that there was nothing.
    #[serde(rename = "E?")]
    Insufficient,
    /// Nothing, although the dump would show it.
    #[serde(rename = "E0")]
    Anomalous,
}

impl Known {
    /// The code and its name: `E3`, `established`.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Known::Established => ("E3", "established"),
            Known::Partly => ("E2", "partly"),
            Known::Weak => ("E1", "weak"),
            Known::Insufficient => ("E?", "insufficient"),
            Known::Anomalous => ("E0", "anomalous"),
        }
    }
}

/// What an actor did before.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// established, partly, weak, anomalous or insufficient.
    pub class: &'static str,
    #[serde(skip)]
    pub known: Known,
    pub text: String,
    pub writes: usize,
    pub cronjobs: usize,
    pub days: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    pub span_days: f64,
    /// What the actor had not used before, of this alert.
    pub novel: Vec<&'static str>,
    /// Whether this actor has written this CronJob before; below, who else has.
    pub same_object: bool,
    pub same_object_by_others: Vec<String>,
    /// Who else writes CronJobs in this namespace.
    pub others: Vec<String>,
    pub coverage: String,
    pub covered_days: f64,
    /// Whether the actor is known from other source addresses, but not from this one.
    #[serde(skip)]
    pub new_address: bool,
    /// Whether the actor has written around this hour of the day before, if the request has a time.
    #[serde(skip)]
    pub known_hour: bool,
}

/// Looks back from each alert in turn.
#[derive(Default)]
pub(super) struct Histories {
    actors: Windows<Actor, OfActor>,
    /// By cluster and username, for users that comprise several actors.
    users: Windows<(Name, Name), ()>,
    namespaces: Windows<(Name, Name), Writers>,
}

impl Histories {
    /// The history in the window before `time`. Times must be ascending for each actor and each namespace.
    pub(super) fn of(&mut self, judge: &Judge<'_>, record: &Record, time: Timestamp) -> History {
        let (own, window) = (judge.resolved(record), (time, judge.settings.lookback));
        let namespace = (own.cluster.clone(), own.namespace.clone());
        let positions = judge.by_namespace.get(&namespace).map(Vec::as_slice).unwrap_or_default();
        let others = self.namespaces.at(judge, namespace, positions, window).counted.beside(&own);
        let actor = Actor::of(record);
        let part = actor.part().and_then(|(part, rest)| {
            let user = actor.user();
            let positions = judge.timeline.writes_of_user(&user);
            let count = self.users.at(judge, user, positions, window).len();
            (count > 0).then(|| format!("{part} ({rest}: {}", plural(count, "write")))
        });
        let positions = judge.timeline.writes(&actor);
        history(judge, &own, time, self.actors.at(judge, actor, positions, window), others, part.as_deref())
    }

    /// How well the history before `time` alone explains a request. Times must be ascending for each actor.
    pub(super) fn known(&mut self, judge: &Judge<'_>, record: &Record, time: Timestamp) -> Known {
        let (own, actor) = (judge.resolved(record), Actor::of(record));
        let (positions, window) = (judge.timeline.writes(&actor), (time, judge.settings.lookback));
        history(judge, &own, time, self.actors.at(judge, actor, positions, window), Default::default(), None).known
    }
}

fn history(
    judge: &Judge<'_>,
    own: &Record,
    time: Timestamp,
    window: &Window<OfActor>,
    [others, same_object_by_others]: [Vec<String>; 2],
    part: Option<&str>,
) -> History {
    let lookback = judge.settings.lookback;
    let (coverage, hours) = (judge.coverage_text(own, time, lookback, "d"), judge.covered_hours(own, time, lookback));
    let (span, counted) = (window.span(judge), &window.counted);
    let mut history = History {
        class: "",
        known: Known::Weak,
        text: String::new(),
        writes: window.len(),
        cronjobs: counted.0.values(OBJECT).len(),
        days: counted.0.values(DAY).len(),
        first_seen: span.map(|(first, _)| first),
        last_seen: span.map(|(_, last)| last),
        span_days: span.map_or(0.0, |(first, last)| rounded(last.duration_since(first).as_secs_f64() / 86400.0)),
        novel: counted.novel(own),
        same_object: counted.0.knows(OBJECT, own),
        same_object_by_others,
        others,
        coverage,
        covered_days: rounded(hours / 24.0),
        new_address: window.len() > 0 && !counted.0.knows(NETWORK, own),
        known_hour: own.time.is_none_or(|time| counted.knows_hour(hour_of(time))),
    };
    let span_days = span.map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64() / 86400.0);
    history.known = known(judge, &history, span_days, hours / 24.0);
    history.class = history.known.names().1;
    history.text = text(&history, part);
    history
}

/// The hour of the day, in UTC.
pub(super) fn hour_of(time: Timestamp) -> i8 {
    time.to_zoned_datetime(TimeZone::UTC).hour()
}

/// Rounded to a tenth.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn known(judge: &Judge<'_>, history: &History, span_days: f64, covered_days: f64) -> Known {
    let limits = &judge.settings.limits;
    let (writes, days) = (history.writes as u64, history.days as u64);
    let grave = history.novel.iter().filter(|what| ["namespace", "registry", "tool"].contains(what)).count();
    let days_in_span = |days: u64| span_days >= f64::from(u32::try_from(days).unwrap_or(u32::MAX));
    let is_covered = covered_days >= f64::from(u32::try_from(limits.covered_days).unwrap_or(u32::MAX));
    match writes {
        0 if is_covered => Known::Anomalous,
        0 => Known::Insufficient,
        _ if writes >= limits.established_writes
            && days >= limits.established_days
            && days_in_span(limits.established_span_days)
            && grave == 0 =>
        {
            Known::Established
        }
        _ if (writes >= limits.partly_writes || days >= limits.partly_days) && grave <= 1 => Known::Partly,
        _ => Known::Weak,
    }
}

/// If the history covers only part of a user's requests, `part` names it, and begins a bracket on the others.
fn text(history: &History, part: Option<&str>) -> String {
    if history.writes == 0 {
        let whose = part.map_or_else(|| "this user (".to_owned(), |part| format!("{part}; "));
        return format!("no CronJob write by {whose}{})", history.coverage);
    }
    let writes = plural(history.writes, "write");
    let on = format!("{writes} to {} on {}", plural(history.cronjobs, "CronJob"), plural(history.days, "day"));
    let novel = if history.novel.is_empty() { "nothing".to_owned() } else { history.novel.join(", ") };
    format!("{on} ({}); new here: {novel}", history.coverage)
}

/// What is counted of an actor's requests. All before `OBJECT` can be reported as new.
const OF_ACTOR: [Facet; 10] = [
    ("namespace", |record| one(record.namespace.as_deref().map(str::to_owned))),
    ("registry", |record| images(record, registry)),
    ("repository", |record| images(record, |image| repository(image).to_owned())),
    ("service account", |record| one(record.cronjob.as_ref().and_then(|cronjob| cronjob.service_account.clone()))),
    ("schedule class", |record| {
        one(record.cronjob.as_ref().and_then(|cronjob| schedule_class(cronjob.schedule.as_deref()?)))
    }),
    ("tool", |record| one(tool(record.user_agent.as_deref()).map(str::to_owned))),
    ("network", |record| one(network(record.trusted_ip.as_deref()))),
    ("hour of day", |record| one(record.time.map(|time| hour_of(time).to_string()))),
    ("object", |record| one(is_on_one(record).then(|| format!("{:?}", object(record))))),
    ("day", |record| one(record.time.map(|time| time.to_zoned_datetime(TimeZone::UTC).date().to_string()))),
];
const NETWORK: usize = 6;
const HOUR: usize = 7;
const OBJECT: usize = 8;
const DAY: usize = 9;

/// The writes of an actor.
#[derive(Debug)]
struct OfActor(Counts);

impl Default for OfActor {
    fn default() -> Self {
        OfActor(Counts::of(&OF_ACTOR))
    }
}

impl Counted for OfActor {
    fn add(&mut self, judge: &Judge<'_>, at: usize) {
        self.0.add(&judge.resolved(judge.timeline.record(at)));
    }

    fn remove(&mut self, judge: &Judge<'_>, at: usize) {
        self.0.remove(&judge.resolved(judge.timeline.record(at)));
    }
}

impl OfActor {
    /// What is new about a request. A property without any earlier value is never reported.
    fn novel(&self, record: &Record) -> Vec<&'static str> {
        let is_new = |facet: &usize| !self.0.values(*facet).is_empty() && !self.0.knows(*facet, record);
        (0..OBJECT).filter(is_new).map(|facet| OF_ACTOR[facet].0).collect()
    }

    /// Whether an hour of the day, or one next to it, was used before.
    fn knows_hour(&self, hour: i8) -> bool {
        let near = [hour + 23, hour, hour + 1].map(|hour| (hour % 24).to_string());
        near.iter().any(|hour| self.0.count(HOUR, hour) > 0)
    }
}

fn images(record: &Record, part: fn(&str) -> String) -> Vec<String> {
    let images = record.cronjob.iter().flat_map(|cronjob| &cronjob.images);
    images.map(|image| part(image)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The registry of an image; without a host, Docker Hub.
pub(super) fn registry(image: &str) -> String {
    let host = image.split_once('/').map(|(host, _)| host);
    let is_host = |host: &&str| host.contains(['.', ':']) || *host == "localhost";
    host.filter(is_host).unwrap_or("docker.io").to_owned()
}

/// An image without tag and digest.
pub(super) fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

fn schedule_class(schedule: &str) -> Option<String> {
    let runs = Schedule::parse(schedule).ok()?.runs_per_day();
    let class = [(1440.0, "minutely"), (24.0, "hourly"), (1.0, "daily"), (0.1, "weekly")];
    Some(class.iter().find(|(least, _)| runs >= *least).map_or("rarely", |(_, name)| *name).to_owned())
}
