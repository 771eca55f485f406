//! Hits → alerts. An alert is all hits of one rule, cluster and dedup key within a window that the first hit opens.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::HELD;
use super::finding::Verdict;
use super::hit::Hit;
use crate::decode::sha256;
use crate::rule::{Pack, Rule, Severity};
use crate::spill::{self, Packed, Shared, Sorted, Sorter, shared};

/// One alert: a row of `alerts.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[expect(missing_docs, reason = "the columns of alerts.csv, described in docs/reports.md")]
pub struct Alert {
    pub alert_id: Arc<str>,
    #[borsh(skip)]
    pub rule_id: Arc<str>,
    pub severity: Severity,
    /// Title of the first hit.
    pub title: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub cluster: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub username: Option<Arc<str>>,
    pub hits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(serialize_with = "spill::time::write", deserialize_with = "spill::time::read")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(serialize_with = "spill::time::write", deserialize_with = "spill::time::read")]
    pub last_seen: Option<Timestamp>,
    pub dedup_key: Arc<str>,
    pub mitre: Vec<String>,
    /// The runbook's answer; absent for rules that do not concern CronJobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Alert {
    shared!(rule_id, cluster, namespace, username);

    /// Order in reports: first hit (absent last), rule, cluster, key.
    fn report_order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn key(&self) -> impl Ord + '_ {
        (self.first_seen.is_none(), self.first_seen, &self.rule_id, &self.cluster, &self.dedup_key)
    }
}

impl Packed for Alert {
    fn weight(&self) -> usize {
        let Alert { alert_id, rule_id, title, cluster, namespace, username, dedup_key, .. } = self;
        let texts = [Some(alert_id), Some(rule_id), Some(title), Some(dedup_key)].into_iter();
        let texts = texts.chain([cluster, namespace, username].map(Option::as_ref)).flatten().map(|text| text.len());
        let mitre = self.mitre.iter().map(|technique| size_of::<String>() + technique.len());
        size_of::<Self>() + texts.chain(mitre).sum::<usize>()
    }

    fn texts(&self) -> Vec<&dyn Shared> {
        self.texts()
    }

    fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
        self.texts_mut()
    }
}

/// Opens windows over hits in time order. Gives out each hit with the id of its alert, or without one if its window
/// stays below the threshold of its rule. Alerts are sorted by first hit, rule, cluster and key.
pub(super) fn open(hits: &Sorted<Hit>, pack: &Pack, give: &mut dyn FnMut(Hit)) -> io::Result<Sorted<Alert>> {
    let reached = reached(hits, pack)?;
    let is_alert = |window: usize| reached.as_ref().is_none_or(|reached| reached[window]);
    let mut alerts = Sorter::new(Alert::report_order, HELD);
    let mut windows =
        Windows::new(pack, |_, alert: Option<Alert>| alert.into_iter().for_each(|alert| alerts.push(alert)));
    for hit in hits.read()? {
        let hit = hit?.into_owned();
        let alert = windows.of(&hit, |window| is_alert(window).then(|| alert(&hit)));
        if let Some(alert) = alert {
            alert.hits += 1;
            alert.last_seen = hit.record.time;
        }
        let (alert_id, opened) = alert.as_ref().map(|alert| (alert.alert_id.clone(), alert.first_seen)).unzip();
        give(Hit { alert_id, opened: opened.flatten(), distinct: None, ..hit });
    }
    windows.close();
    alerts.finish()
}

/// Which windows have as many hits, or distinct values, as their rule requires, by window number; `None` if every rule
/// requires just one hit.
fn reached(hits: &Sorted<Hit>, pack: &Pack) -> io::Result<Option<Vec<bool>>> {
    if pack.rules.iter().all(|rule| rule.threshold <= 1 && rule.distinct.is_none()) {
        return Ok(None);
    }
    let mut reached = Vec::new();
    let mut windows = Windows::new(pack, |window, count: Count<'_>| {
        reached.resize(reached.len().max(window + 1), false);
        reached[window] = count.is_reached();
    });
    for hit in hits.read()? {
        let hit = hit?;
        let begin = |_| Count { rule: rule_of(&hit, pack), hits: 0, distinct: BTreeSet::new() };
        windows.of(&hit, begin).add(&hit);
    }
    windows.close();
    Ok(Some(reached))
}

/// What a window has so far of what its rule requires. Stops counting when that is reached.
struct Count<'p> {
    rule: Option<&'p Rule>,
    hits: u64,
    distinct: BTreeSet<String>,
}

impl Count<'_> {
    fn add(&mut self, hit: &Hit) {
        if !self.is_reached() {
            self.hits += 1;
            self.distinct.extend(hit.distinct.clone());
        }
    }

    fn is_reached(&self) -> bool {
        self.rule.is_none_or(|rule| {
            let count = if rule.distinct.is_some() { self.distinct.len() as u64 } else { self.hits };
            count >= rule.threshold
        })
    }
}

/// Finds the windows of hits, which must come in time order. The first hit of a rule, cluster and dedup key opens one,
/// and so does the first after the rule's period has passed. A window that is over is given out with its number.
struct Windows<'p, T, F: FnMut(usize, T)> {
    pack: &'p Pack,
    open: BTreeMap<Key, Window<T>>,
    /// How many windows were opened so far.
    count: usize,
    /// How many may be held before those that are over are given out.
    most: usize,
    give: F,
}

/// Rule, cluster and dedup key.
type Key = [Option<Arc<str>>; 3];

/// This many windows are held whether they are over or not.
const LEAST_WINDOWS: usize = 1024;

struct Window<T> {
    number: usize,
    opened: Option<Timestamp>,
    period: Option<SignedDuration>,
    /// What its hits add up to.
    made: T,
}

impl<T> Window<T> {
    fn is_over(&self, now: Option<Timestamp>) -> bool {
        match (self.opened, now) {
            (Some(opened), Some(now)) => self.period.is_none_or(|period| now.duration_since(opened) >= period),
            (opened, now) => opened != now,
        }
    }
}

impl<'p, T, F: FnMut(usize, T)> Windows<'p, T, F> {
    fn new(pack: &'p Pack, give: F) -> Self {
        Windows { pack, open: BTreeMap::new(), count: 0, most: LEAST_WINDOWS, give }
    }

    /// The value of the window that a hit belongs to. If the hit opens one, `begin` makes its value from its number.
    fn of(&mut self, hit: &Hit, begin: impl FnOnce(usize) -> T) -> &mut T {
        let now = hit.record.time;
        if self.open.len() > self.most {
            self.let_go(|window| window.is_over(now));
            self.most = LEAST_WINDOWS.max(2 * self.open.len());
        }
        let key = [&hit.rule_id, &hit.record.cluster, &hit.dedup_key].map(Clone::clone);
        let opened = || {
            let (number, period) = (self.count, rule_of(hit, self.pack).map(|rule| rule.dedup_period));
            self.count += 1;
            Window { number, opened: now, period, made: begin(number) }
        };
        let window = match self.open.entry(key) {
            Entry::Vacant(entry) => entry.insert(opened()),
            Entry::Occupied(entry) => {
                let window = entry.into_mut();
                if window.is_over(now) {
                    let over = std::mem::replace(window, opened());
                    (self.give)(over.number, over.made);
                }
                window
            }
        };
        &mut window.made
    }

    fn let_go(&mut self, is_over: impl Fn(&Window<T>) -> bool) {
        let (over, open) = std::mem::take(&mut self.open).into_iter().partition(|(_, window)| is_over(window));
        self.open = open;
        let over: BTreeMap<Key, Window<T>> = over;
        for window in over.into_values() {
            (self.give)(window.number, window.made);
        }
    }

    /// Gives out the windows that are left.
    fn close(mut self) {
        self.let_go(|_| true);
    }
}

fn rule_of<'p>(hit: &Hit, pack: &'p Pack) -> Option<&'p Rule> {
    pack.rule(hit.rule_id.as_deref()?)
}

/// The alert that a hit opens.
fn alert(hit: &Hit) -> Alert {
    let time = hit.record.time.map(|time| time.to_string()).unwrap_or_default();
    let dedup_key = hit.dedup_key.clone().unwrap_or_default();
    let rule_id = hit.rule_id.clone().unwrap_or_default();
    let parts = [&*rule_id, hit.record.cluster.as_deref().unwrap_or_default(), &dedup_key, &time];
    let mut alert_id = sha256(parts.join("\0").as_bytes());
    alert_id.truncate(16);
    Alert {
        alert_id: alert_id.into(),
        rule_id,
        severity: hit.severity.unwrap_or(Severity::Info),
        title: hit.title.clone().unwrap_or_default(),
        cluster: hit.record.cluster.clone(),
        namespace: hit.record.namespace.clone(),
        username: hit.record.username.clone(),
        hits: 0,
        first_seen: hit.record.time,
        last_seen: None,
        dedup_key,
        mitre: hit.mitre.clone(),
        verdict: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::rule::{Tuning, load};

    fn hit(key: u8, minute: Option<i64>) -> Hit {
        let time = minute.map(|minute| Timestamp::from_second(minute * 60).unwrap());
        serde_json::from_value(json!({"rule_id": "Kubernetes.CronJob.CreatedOrModified", "dedup_key": key.to_string(),
            "time": time, "platform": "eks", "outcome": "success", "principal_class": "human", "truncated": false,
            "damaged": false, "copies": 1, "evidence": {"path": "p", "record": 1}}))
        .unwrap()
    }

    /// The number of a window, and the times of its hits.
    type Told = (usize, Vec<Option<Timestamp>>);

    /// The windows of hits, and the most that were held at once, if at most `most` may be held before those that are
    /// over are given out.
    fn told(hits: &[Hit], most: usize) -> (Vec<Told>, usize) {
        let pack = Pack::new(load(&["builtin:cronjob".to_owned()]).unwrap(), Tuning::default(), Vec::new());
        let mut given = Vec::new();
        let mut windows = Windows::new(&pack, |number, times| given.push((number, times)));
        let mut held = 0;
        for hit in hits {
            windows.most = most;
            windows.of(hit, |_| Vec::new()).push(hit.record.time);
            held = held.max(windows.open.len());
        }
        windows.close();
        given.sort();
        (given, held)
    }

    proptest! {
        /// Windows given out as soon as possible are the same as windows kept to the end.
        #[test]
        fn windows_are_let_go_once_they_are_over(steps in vec((0_u8..5, 0_i64..40), 1..60), timeless in vec(0_u8..5, 0..3)) {
            let mut now = 0;
            let timed = steps.into_iter().map(|(key, later)| {
                now += later;
                hit(key, Some(now))
            });
            let hits: Vec<Hit> = timed.chain(timeless.into_iter().map(|key| hit(key, None))).collect();
            let ((few, held), (all, most)) = (told(&hits, 0), told(&hits, usize::MAX));
            prop_assert_eq!(few, all);
            prop_assert!(held <= most);
        }
    }
}
