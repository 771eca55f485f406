//! Hits → alerts: all hits of one rule, cluster and dedup key within a window that the first hit opens.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::finish::Hit;
use crate::decode::sha256;
use crate::rule::{Rule, Severity};

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
    pub mitre: Vec<&'static str>,
}

/// Opens windows over hits and writes each hit's alert into it. Alerts come by first hit, rule, cluster and key.
pub(super) fn open(hits: &mut [Hit], rules: &[Rule]) -> Vec<Alert> {
    hits.sort_by(|left, right| left.alert_order().cmp(&right.alert_order()));
    let mut alerts: Vec<Alert> = Vec::new();
    for hit in hits {
        let period = rules
            .iter()
            .find(|rule| Some(rule.id) == hit.rule_id)
            .map_or(SignedDuration::ZERO, |rule| rule.dedup_period);
        let open = alerts.last_mut().filter(|alert| belongs(hit, alert, period));
        if let Some(alert) = open {
            alert.hits += 1;
            alert.last_seen = hit.record.time.or(alert.last_seen);
            hit.alert_id = Some(alert.alert_id.clone());
        } else {
            let alert = first(hit);
            hit.alert_id = Some(alert.alert_id.clone());
            alerts.push(alert);
        }
    }
    alerts.sort_by(|left, right| order(left).cmp(&order(right)));
    alerts
}

fn order(alert: &Alert) -> impl Ord + '_ {
    (alert.first_seen.is_none(), alert.first_seen, &alert.rule_id, &alert.cluster, &alert.dedup_key)
}

fn belongs(hit: &Hit, alert: &Alert, period: SignedDuration) -> bool {
    let same = hit.rule_id == Some(alert.rule_id.as_str())
        && hit.record.cluster == alert.cluster
        && hit.dedup_key.as_deref() == Some(&alert.dedup_key);
    same && match (alert.first_seen, hit.record.time) {
        (Some(first), Some(time)) => time.duration_since(first) < period,
        (None, None) => true,
        _ => false,
    }
}

fn first(hit: &Hit) -> Alert {
    let time = hit.record.time.map(|time| time.to_string()).unwrap_or_default();
    let dedup_key = hit.dedup_key.clone().unwrap_or_default();
    let rule_id = hit.rule_id.unwrap_or_default();
    let parts = [rule_id, hit.record.cluster.as_deref().unwrap_or_default(), &dedup_key, &time];
    let mut alert_id = sha256(parts.join("\0").as_bytes());
    alert_id.truncate(16);
    Alert {
        alert_id,
        rule_id: rule_id.to_owned(),
        severity: hit.severity.unwrap_or(Severity::Info),
        title: hit.title.clone().unwrap_or_default(),
        cluster: hit.record.cluster.clone(),
        namespace: hit.record.namespace.clone(),
        username: hit.record.username.clone(),
        hits: 1,
        first_seen: hit.record.time,
        last_seen: hit.record.time,
        dedup_key,
        mitre: hit.mitre.clone(),
    }
}
