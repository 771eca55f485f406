//! A hit: the row of hits.csv, suppressed.csv and activity.csv, and how it is ordered and spilled.

use std::cmp::Ordering;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::observation::SHORT_TEXTS;
use super::record::Record;
use crate::rule::{Rule, RuleMatch, Severity};
use crate::spill::{self, Packed, Shared};

/// A rule match, a suppressed match, or (with no rule) a CronJob request that no rule matched.
#[derive(Debug, Clone, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[expect(missing_docs, reason = "the fields of hits.jsonl, described in docs/reports.md")]
pub struct Hit {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub rule_id: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub rule_name: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub alert_id: Option<Arc<str>>,
    /// When its alert begins: with rule, cluster and key, this identifies the alert.
    #[serde(skip)]
    #[borsh(serialize_with = "spill::time::write", deserialize_with = "spill::time::read")]
    pub(crate) opened: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub title: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub dedup_key: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mitre: Vec<String>,
    #[serde(flatten)]
    pub record: Arc<Record>,
    /// What the runbook finds in the CronJob that the request leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The value that a distinct threshold counts; removed once the alert is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) distinct: Option<String>,
}

impl Hit {
    pub(super) fn of_rule(record: Arc<Record>, found: RuleMatch, rule: &Rule) -> Self {
        let (by, reason) = found.suppressed.map(|suppressed| (suppressed.by, suppressed.reason)).unzip();
        Hit {
            rule_id: Some(rule.id.as_str().into()),
            rule_name: Some(rule.name.as_str().into()),
            severity: Some(rule.severity),
            title: Some(found.title.into()),
            dedup_key: Some(found.dedup_key.into()),
            mitre: rule.mitre.clone(),
            suppressed_by: by,
            reason,
            distinct: found.distinct,
            ..Hit::activity(record)
        }
    }

    pub(super) fn activity(record: Arc<Record>) -> Self {
        Hit {
            rule_id: None,
            rule_name: None,
            severity: None,
            alert_id: None,
            opened: None,
            title: None,
            dedup_key: None,
            mitre: Vec::new(),
            record,
            indicators: Vec::new(),
            suppressed_by: None,
            reason: None,
            distinct: None,
        }
    }

    /// Order in reports: time (absent last), evidence, rule.
    pub(super) fn report_order(&self, other: &Self) -> Ordering {
        self.time_order(other).then_with(|| self.rule_id.cmp(&other.rule_id))
    }

    /// By time (absent last), then evidence.
    pub(super) fn time_order(&self, other: &Self) -> Ordering {
        let (left, right) = (&self.record, &other.record);
        (left.time.is_none(), left.time, &left.evidence).cmp(&(right.time.is_none(), right.time, &right.evidence))
    }
}

impl Packed for Hit {
    fn weight(&self) -> usize {
        let texts = [&self.title, &self.dedup_key].map(|text| text.as_ref().map_or(0, |text| text.len()));
        let indicators = self.indicators.iter().map(Finding::weight);
        size_of::<Self>() + self.record.weight(SHORT_TEXTS) + texts.iter().sum::<usize>() + indicators.sum::<usize>()
    }

    fn texts(&self) -> Vec<&dyn Shared> {
        let Hit { rule_id, rule_name, alert_id, title, dedup_key, record, .. } = self;
        let own: [&dyn Shared; 5] = [rule_id, rule_name, alert_id, title, dedup_key];
        own.into_iter().chain(record.texts()).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
        let Hit { rule_id, rule_name, alert_id, title, dedup_key, record, .. } = self;
        let own: [&mut dyn Shared; 5] = [rule_id, rule_name, alert_id, title, dedup_key];
        own.into_iter().chain(Arc::make_mut(record).texts_mut()).collect()
    }
}
