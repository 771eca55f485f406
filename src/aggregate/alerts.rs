//! Hits → alerts: all hits of one rule, cluster and dedup key within a window that the first hit opens.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::finding::Verdict;
use super::finish::Hit;
use crate::decode::sha256;
use crate::rule::{Pack, Rule, Severity};

/// One alert. The row of `alerts.csv`.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the columns of alerts.csv, documented in the README")]
pub struct Alert {
    pub alert_id: String,
    pub rule_id: String,
    pub severity: Severity,
    /// Title of the first hit.
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
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

/// Opens windows over hits and writes each hit's alert into it; hits of a window that stays below the threshold of
/// its rule are taken out and given back. Alerts come by first hit, rule, cluster and key.
pub(super) fn open(hits: &mut Vec<Hit>, pack: &Pack) -> (Vec<Alert>, Vec<Hit>) {
    hits.sort_by(|left, right| left.alert_order().cmp(&right.alert_order()));
    let mut alerts = Vec::new();
    let (mut kept, mut below) = (Vec::with_capacity(hits.len()), Vec::new());
    let mut rest = std::mem::take(hits).into_iter().peekable();
    while let Some(first) = rest.next() {
        let Some(rule) = pack.rule(first.rule_id.as_deref().unwrap_or_default()) else { continue };
        let mut window = vec![first];
        while let Some(hit) = rest.next_if(|hit| belongs(hit, &window[0], rule.dedup_period)) {
            window.push(hit);
        }
        if reaches(&window, rule) {
            let alert = alert(&window);
            kept.extend(window.into_iter().map(|hit| Hit { alert_id: Some(alert.alert_id.clone()), ..hit }));
            alerts.push(alert);
        } else {
            below.append(&mut window);
        }
    }
    *hits = kept;
    alerts.sort_by(|left, right| order(left).cmp(&order(right)));
    (alerts, below)
}

/// Whether a window has as many hits, or distinct values, as the rule asks for.
fn reaches(window: &[Hit], rule: &Rule) -> bool {
    let count = if rule.distinct.is_some() {
        window.iter().filter_map(|hit| hit.distinct.as_ref()).collect::<BTreeSet<_>>().len()
    } else {
        window.len()
    };
    count as u64 >= rule.threshold
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

/// The alert of a window, with the title of its first hit.
fn alert(window: &[Hit]) -> Alert {
    let hit = &window[0];
    let time = hit.record.time.map(|time| time.to_string()).unwrap_or_default();
    let dedup_key = hit.dedup_key.clone().unwrap_or_default();
    let rule_id = hit.rule_id.clone().unwrap_or_default();
    let parts = [rule_id.as_str(), hit.record.cluster.as_deref().unwrap_or_default(), &dedup_key, &time];
    let mut alert_id = sha256(parts.join("\0").as_bytes());
    alert_id.truncate(16);
    Alert {
        alert_id,
        rule_id,
        severity: hit.severity.unwrap_or(Severity::Info),
        title: hit.title.clone().unwrap_or_default(),
        cluster: hit.record.cluster.clone(),
        namespace: hit.record.namespace.clone(),
        username: hit.record.username.clone(),
        hits: window.len() as u64,
        first_seen: hit.record.time,
        last_seen: window.last().and_then(|hit| hit.record.time),
        dedup_key,
        mitre: hit.mitre.clone(),
        verdict: None,
    }
}
