//! Hits → alerts: all hits of one rule, cluster and dedup key within a window that the first hit opens.

use std::collections::BTreeSet;
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
    pub alert_id: String,
    pub rule_id: String,
    pub severity: Severity,
    /// Title of the first hit.
    pub title: String,
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
    pub dedup_key: String,
    pub mitre: Vec<String>,
    /// The runbook's answer; absent for rules that are not on CronJobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// Hits of one alert, or of none where they stay below the threshold of their rule.
struct Window {
    first: Hit,
    hits: u64,
    last_seen: Option<Timestamp>,
    /// The values that a distinct threshold counts.
    distinct: BTreeSet<String>,
}

/// Opens windows over hits in alert order, and gives each hit out with the id of its alert, or without one where its
/// window stays below the threshold of its rule. Alerts come by first hit, rule, cluster and key.
pub(super) fn open(hits: &Sorted<Hit>, pack: &Pack, give: &mut dyn FnMut(Hit)) -> io::Result<Vec<Alert>> {
    let mut windows: Vec<(u64, Option<Alert>)> = Vec::new();
    let mut open: Option<Window> = None;
    let mut close = |window: Option<Window>| windows.extend(window.map(|window| (window.hits, alert(&window, pack))));
    for hit in hits.read()? {
        let hit = hit?;
        match &mut open {
            Some(window) if belongs(&hit, &window.first, period(&window.first, pack)) => window.add(&hit),
            _ => {
                close(open.take());
                open = Some(Window::new(hit.into_owned()));
            }
        }
    }
    close(open);
    let ids = windows.iter().flat_map(|(hits, alert)| {
        let id = alert.as_ref().map(|alert| &alert.alert_id);
        (0..*hits).map(move |_| id)
    });
    for (hit, id) in hits.read()?.zip(ids) {
        give(Hit { alert_id: id.cloned(), distinct: None, ..hit?.into_owned() });
    }
    let mut alerts: Vec<Alert> = windows.into_iter().filter_map(|(_, alert)| alert).collect();
    alerts.sort_by(|left, right| order(left).cmp(&order(right)));
    Ok(alerts)
}

impl Window {
    fn new(first: Hit) -> Self {
        let distinct = first.distinct.clone().into_iter().collect();
        Window { hits: 1, last_seen: first.record.time, distinct, first }
    }

    fn add(&mut self, hit: &Hit) {
        self.hits += 1;
        self.last_seen = hit.record.time;
        self.distinct.extend(hit.distinct.clone());
    }

    /// Whether it has as many hits, or distinct values, as the rule asks for.
    fn reaches(&self, rule: &Rule) -> bool {
        let count = if rule.distinct.is_some() { self.distinct.len() as u64 } else { self.hits };
        count >= rule.threshold
    }
}

fn rule_of<'p>(hit: &Hit, pack: &'p Pack) -> Option<&'p Rule> {
    pack.rule(hit.rule_id.as_deref()?)
}

fn period(hit: &Hit, pack: &Pack) -> SignedDuration {
    rule_of(hit, pack).map_or(SignedDuration::ZERO, |rule| rule.dedup_period)
}

fn order(alert: &Alert) -> impl Ord + '_ {
    (alert.first_seen.is_none(), alert.first_seen, &alert.rule_id, &alert.cluster, &alert.dedup_key)
}

fn belongs(hit: &Hit, first: &Hit, period: SignedDuration) -> bool {
    hit.rule_id == first.rule_id
        && hit.record.cluster == first.record.cluster
        && hit.dedup_key == first.dedup_key
        && match (first.record.time, hit.record.time) {
            (Some(first), Some(time)) => time.duration_since(first) < period,
            (None, None) => true,
            _ => false,
        }
}

/// The alert of a window that reaches its threshold, with the title of its first hit.
fn alert(window: &Window, pack: &Pack) -> Option<Alert> {
    let hit = &window.first;
    rule_of(hit, pack).filter(|rule| window.reaches(rule))?;
    let time = hit.record.time.map(|time| time.to_string()).unwrap_or_default();
    let dedup_key = hit.dedup_key.clone().unwrap_or_default();
    let rule_id = hit.rule_id.clone().unwrap_or_default();
    let parts = [rule_id.as_str(), hit.record.cluster.as_deref().unwrap_or_default(), &dedup_key, &time];
    let mut alert_id = sha256(parts.join("\0").as_bytes());
    alert_id.truncate(16);
    Some(Alert {
        alert_id,
        rule_id,
        severity: hit.severity.unwrap_or(Severity::Info),
        title: hit.title.clone().unwrap_or_default(),
        cluster: hit.record.cluster.clone(),
        namespace: hit.record.namespace.clone(),
        username: hit.record.username.clone(),
        hits: window.hits,
        first_seen: hit.record.time,
        last_seen: window.last_seen,
        dedup_key,
        mitre: hit.mitre.clone(),
        verdict: None,
    })
}
