//! Hits → alerts: all hits of one rule, cluster and dedup key within a window that the first hit opens.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::finding::Verdict;
use super::finish::Hit;
use crate::decode::sha256;
use crate::rule::{Pack, Rule, Severity};
use crate::spill::Sorted;

/// One alert. The row of `alerts.csv`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of alerts.csv, documented in the README")]
pub struct Alert {
    pub alert_id: Arc<str>,
    pub rule_id: Arc<str>,
    pub severity: Severity,
    /// Title of the first hit.
    pub title: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Arc<str>>,
    pub hits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    pub dedup_key: Arc<str>,
    pub mitre: Vec<String>,
    /// The runbook's answer; absent for rules that are not on CronJobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// Opens windows over hits in time order, and gives each hit out with the id of its alert, or without one where its
/// window stays below the threshold of its rule. Alerts come by first hit, rule, cluster and key.
pub(super) fn open(hits: &Sorted<Hit>, pack: &Pack, give: &mut dyn FnMut(Hit)) -> io::Result<Vec<Alert>> {
    let reached = reached(hits, pack)?;
    let is_alert = |window: usize| reached.as_ref().is_none_or(|reached| reached[window]);
    let mut windows = Windows::new(pack);
    let mut alerts: Vec<Option<Alert>> = Vec::new();
    for hit in hits.read()? {
        let hit = hit?.into_owned();
        let window = windows.of(&hit);
        if window == alerts.len() {
            alerts.push(is_alert(window).then(|| alert(&hit)));
        }
        let alert = &mut alerts[window];
        if let Some(alert) = alert {
            alert.hits += 1;
            alert.last_seen = hit.record.time;
        }
        give(Hit { alert_id: alert.as_ref().map(|alert| alert.alert_id.clone()), distinct: None, ..hit });
    }
    let mut alerts: Vec<Alert> = alerts.into_iter().flatten().collect();
    alerts.sort_by(|left, right| order(left).cmp(&order(right)));
    Ok(alerts)
}

/// Which windows have as many hits, or distinct values, as their rule asks for; `None` where no rule asks for more than
/// a hit.
fn reached(hits: &Sorted<Hit>, pack: &Pack) -> io::Result<Option<Vec<bool>>> {
    if pack.rules.iter().all(|rule| rule.threshold <= 1 && rule.distinct.is_none()) {
        return Ok(None);
    }
    let mut windows = Windows::new(pack);
    let mut counts: Vec<Count<'_>> = Vec::new();
    for hit in hits.read()? {
        let hit = hit?;
        let window = windows.of(&hit);
        if window == counts.len() {
            counts.push(Count { rule: rule_of(&hit, pack), hits: 0, distinct: BTreeSet::new() });
        }
        counts[window].add(&hit);
    }
    Ok(Some(counts.iter().map(Count::is_reached).collect()))
}

/// What a window has, as far as its rule asks for it.
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

/// Tells the windows of hits that come in time order, by their number: the first hit of a rule, cluster and dedup key
/// opens one, and so does the first that comes later than the rule's period.
struct Windows<'p> {
    pack: &'p Pack,
    open: BTreeMap<Key, Window>,
    /// How many windows there have been.
    count: usize,
    /// How many are held before those that are over are let go.
    most: usize,
}

/// Rule, cluster and dedup key.
type Key = [Option<Arc<str>>; 3];

/// Windows that are held whether they are over or not.
const LEAST_WINDOWS: usize = 1024;

struct Window {
    number: usize,
    opened: Option<Timestamp>,
    period: Option<SignedDuration>,
}

impl Window {
    fn is_over(&self, now: Option<Timestamp>) -> bool {
        match (self.opened, now) {
            (Some(opened), Some(now)) => self.period.is_none_or(|period| now.duration_since(opened) >= period),
            (opened, now) => opened != now,
        }
    }
}

impl<'p> Windows<'p> {
    fn new(pack: &'p Pack) -> Self {
        Windows { pack, open: BTreeMap::new(), count: 0, most: LEAST_WINDOWS }
    }

    fn of(&mut self, hit: &Hit) -> usize {
        let now = hit.record.time;
        let key = [&hit.rule_id, &hit.record.cluster, &hit.dedup_key].map(Clone::clone);
        if let Some(window) = self.open.get(&key).filter(|window| !window.is_over(now)) {
            return window.number;
        }
        if self.open.len() > self.most {
            self.open.retain(|_, window| !window.is_over(now));
            self.most = LEAST_WINDOWS.max(2 * self.open.len());
        }
        let period = rule_of(hit, self.pack).map(|rule| rule.dedup_period);
        self.open.insert(key, Window { number: self.count, opened: now, period });
        self.count += 1;
        self.count - 1
    }
}

fn rule_of<'p>(hit: &Hit, pack: &'p Pack) -> Option<&'p Rule> {
    pack.rule(hit.rule_id.as_deref()?)
}

fn order(alert: &Alert) -> impl Ord + '_ {
    (alert.first_seen.is_none(), alert.first_seen, &alert.rule_id, &alert.cluster, &alert.dedup_key)
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

    proptest! {
        /// Those that are let go whenever they can be are told as those are that never are.
        #[test]
        fn windows_are_let_go_once_they_are_over(steps in vec((0_u8..5, 0_i64..40), 1..60), timeless in vec(0_u8..5, 0..3)) {
            let pack = Pack::new(load(&["builtin:cronjob".to_owned()]).unwrap(), Tuning::default(), Vec::new());
            let (mut all, mut few) = (Windows::new(&pack), Windows::new(&pack));
            let mut now = 0;
            let timed = steps.into_iter().map(|(key, later)| {
                now += later;
                hit(key, Some(now))
            });
            for hit in timed.chain(timeless.into_iter().map(|key| hit(key, None))) {
                few.most = 0;
                prop_assert_eq!(few.of(&hit), all.of(&hit));
            }
            prop_assert!(few.open.len() <= all.open.len());
        }
    }
}
