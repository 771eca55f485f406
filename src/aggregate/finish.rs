//! From observations to what reports print. Nothing is counted before this.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::alerts::{self, Alert};
use super::copies;
use super::coverage::{Coverage, Day};
use super::finding::Finding;
use super::ledger::{Input, Totals};
use super::observation::{Observation, Record};
use super::summary::{self, Group};
use super::{Evidence, Tally};
use crate::discover::Window;
use crate::rule::{Pack, Rule, RuleMatch, Severity, Suppression};

/// A rule match, a suppressed match, or (with no rule) a CronJob request that no rule matched.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields of hits.jsonl, documented in the README")]
pub struct Hit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mitre: Vec<String>,
    #[serde(flatten)]
    pub record: Arc<Record>,
    /// What the runbook finds in the CronJob that it leaves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The value that a distinct threshold counts.
    #[serde(skip)]
    pub(super) distinct: Option<String>,
    /// Whether its rule is one on CronJobs.
    #[serde(skip)]
    pub(super) of_cronjob_rule: bool,
}

impl Hit {
    fn of_rule(record: Arc<Record>, found: RuleMatch, rule: &Rule) -> Self {
        let (by, reason) = found.suppressed.map(|suppressed| (suppressed.by, suppressed.reason)).unzip();
        Hit {
            rule_id: Some(rule.id.clone()),
            rule_name: Some(rule.name.clone()),
            severity: Some(rule.severity),
            title: Some(found.title),
            dedup_key: Some(found.dedup_key),
            mitre: rule.mitre.clone(),
            suppressed_by: by,
            reason,
            distinct: found.distinct,
            of_cronjob_rule: rule.is_on_cronjobs(),
            ..Hit::activity(record)
        }
    }

    fn activity(record: Arc<Record>) -> Self {
        Hit {
            rule_id: None,
            rule_name: None,
            severity: None,
            alert_id: None,
            title: None,
            dedup_key: None,
            mitre: Vec::new(),
            record,
            indicators: Vec::new(),
            suppressed_by: None,
            reason: None,
            distinct: None,
            of_cronjob_rule: false,
        }
    }

    /// Order in which windows open.
    pub(super) fn alert_order(&self) -> impl Ord + '_ {
        (
            &self.rule_id,
            &self.record.cluster,
            &self.dedup_key,
            self.record.time.is_none(),
            self.record.time,
            &self.record.evidence,
        )
    }

    /// Order in reports: time (absent last), place, rule.
    fn report_order(&self) -> impl Ord + '_ {
        (self.record.time.is_none(), self.record.time, &self.record.evidence, &self.rule_id)
    }
}

/// What was asked for, as far as it decides what is counted.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Times of the events that are looked at, history included.
    pub window: Window,
    /// Hits before this are history only.
    pub since: Option<Timestamp>,
    /// Keys of the summary.
    pub group_by: Vec<String>,
}

/// What reports print.
#[derive(Debug)]
pub struct Finished {
    /// Hits by time.
    pub hits: Vec<Hit>,
    /// Suppressed matches by time.
    pub suppressed: Vec<Hit>,
    /// Other CronJob requests by time; the controllers' status updates are left out.
    pub activity: Vec<Hit>,
    /// Alerts by first hit.
    pub alerts: Vec<Alert>,
    /// Groups, most hits first.
    pub summary: Vec<Group>,
    /// Requests on CronJobs and whatever else the runbook asks for, history included, by time.
    pub timeline: Vec<Observation>,
    /// Days covered.
    pub coverage: Vec<Day>,
    /// The same, by the hour.
    pub cells: Coverage,
    /// Inputs by path and member.
    pub inputs: Vec<Input>,
    /// Sums over the inputs.
    pub totals: Totals,
}

/// Collapses copies, decides, opens windows, groups and sorts.
#[must_use]
pub fn finish(tally: Tally, pack: &Pack, plan: &Plan) -> Finished {
    let (survivors, duplicates) = copies::collapse(tally.observations);
    let (mut hits, mut suppressed, mut activity) = (Vec::new(), Vec::new(), Vec::new());
    let mut timeline: Vec<Observation> =
        survivors.into_iter().filter(|observation| kept(observation, plan.window)).collect();
    for observation in &mut timeline {
        classify(observation, pack);
    }
    for observation in timeline.iter_mut().filter(|observation| in_window(observation, plan)) {
        sort_out(observation, pack, &mut hits, &mut suppressed, &mut activity);
    }
    timeline.retain(|observation| !observation.interests.is_empty());
    timeline.sort_by(|left, right| left.order().cmp(&right.order()));
    let (alerts, below) = alerts::open(&mut hits, pack);
    activity.extend(unlisted(below, &hits, &suppressed));
    for list in [&mut hits, &mut suppressed, &mut activity] {
        list.sort_by(|left, right| left.report_order().cmp(&right.report_order()));
    }
    let inputs = inputs(tally.inputs, &hits, &duplicates);
    Finished {
        summary: summary::groups(&hits, &suppressed, &activity, &plan.group_by),
        totals: Totals::of(&inputs),
        coverage: tally.coverage.days(),
        cells: tally.coverage,
        timeline,
        hits,
        suppressed,
        activity,
        alerts,
        inputs,
    }
}

/// Gives an observation the class that the tuning has for its user.
fn classify(observation: &mut Observation, pack: &Pack) {
    let record = &observation.record;
    let class = pack.tuning.class(record.username.as_deref().unwrap_or_default(), record.principal_class);
    if class != record.principal_class {
        Arc::make_mut(&mut observation.record).principal_class = class;
    }
}

fn kept(observation: &Observation, window: Window) -> bool {
    observation.record.time.is_none_or(|time| window.contains(time))
}

fn in_window(observation: &Observation, plan: &Plan) -> bool {
    match (observation.record.time, plan.since) {
        (Some(time), Some(since)) => time >= since,
        _ => true,
    }
}

fn sort_out(
    observation: &mut Observation,
    pack: &Pack,
    hits: &mut Vec<Hit>,
    suppressed: &mut Vec<Hit>,
    activity: &mut Vec<Hit>,
) {
    let record = &observation.record;
    let leaked = observation.leaked_category.as_ref().map(|category| Suppression {
        by: "category".to_owned(),
        reason: format!("an audit event logged under Azure's category {category}"),
    });
    let mut listed = false;
    for mut found in std::mem::take(&mut observation.matches) {
        let Some(rule) = pack.rule(&found.rule_id) else { continue };
        let own = found.suppressed.take();
        found.suppressed = leaked.clone().or(own).or_else(|| tuned(&found, record));
        let list = if found.suppressed.is_some() { &mut *suppressed } else { &mut *hits };
        list.push(Hit::of_rule(Arc::clone(record), found, rule));
        listed = true;
    }
    if !listed && is_activity(record) {
        activity.push(Hit::activity(Arc::clone(record)));
    }
}

/// The first tuning entry that fits, now that the cluster is known as well as any copy knows it.
fn tuned(found: &RuleMatch, record: &Record) -> Option<Suppression> {
    found
        .tuned
        .iter()
        .find(|entry| entry.fits_cluster(record.cluster.as_deref()))
        .map(|entry| entry.suppression.clone())
}

/// CronJob requests whose only matches stayed below a threshold: they are activity as if nothing had matched.
fn unlisted(below: Vec<Hit>, hits: &[Hit], suppressed: &[Hit]) -> Vec<Hit> {
    if below.is_empty() {
        return Vec::new();
    }
    let mut listed: BTreeSet<Evidence> = hits.iter().chain(suppressed).map(|hit| hit.record.evidence.clone()).collect();
    let records = below.into_iter().map(|hit| hit.record);
    records.filter(|record| is_activity(record) && listed.insert(record.evidence.clone())).map(Hit::activity).collect()
}

/// Requests on CronJobs; the controllers' status updates are left out.
fn is_activity(record: &Record) -> bool {
    record.resource.as_deref() == Some("cronjobs") && !is_controller_noise(record)
}

/// The cronjob-controller writes `cronjobs/status` at every schedule, most of all records on CronJobs.
fn is_controller_noise(record: &Record) -> bool {
    let writers = ["system:serviceaccount:kube-system:cronjob-controller", "system:kube-controller-manager"];
    record.subresource.as_deref() == Some("status")
        && record.username.as_deref().is_some_and(|user| writers.contains(&user))
}

/// Rows by path and member, with the counts that only `finish` knows.
fn inputs(mut inputs: Vec<Input>, hits: &[Hit], duplicates: &[Evidence]) -> Vec<Input> {
    inputs.sort_by(|left, right| (&left.path, &left.member).cmp(&(&right.path, &right.member)));
    let find = |inputs: &[Input], evidence: &Evidence| {
        inputs.binary_search_by(|input| (&input.path, &input.member).cmp(&(&evidence.path, &evidence.member))).ok()
    };
    for hit in hits {
        if let Some(at) = find(&inputs, &hit.record.evidence) {
            inputs[at].hits += 1;
        }
    }
    for evidence in duplicates {
        if let Some(at) = find(&inputs, evidence) {
            inputs[at].duplicates += 1;
        }
    }
    inputs
}
