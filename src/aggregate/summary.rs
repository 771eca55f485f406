//! The summary: requests on CronJobs counted by group; by default, by namespace and username.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::Verdict;
use super::hit::Hit;
use super::record::{Evidence, Record};
use crate::event::{Change, Outcome};
use crate::rule::{Pack, Severity};
use crate::spill::Sorted;

/// Reads one key of a group from a hit.
type Field = fn(&Hit) -> Option<Arc<str>>;

/// Fields that `--group-by` accepts.
pub const GROUP_FIELDS: [(&str, Field); 13] = [
    ("namespace", |hit| hit.record.namespace.clone()),
    ("username", |hit| hit.record.username.clone()),
    ("cluster", |hit| hit.record.cluster.clone()),
    ("platform", |hit| Some(hit.record.platform.to_string().into())),
    ("account", |hit| hit.record.account.clone()),
    ("region", |hit| hit.record.region.clone()),
    ("name", |hit| hit.record.name.clone()),
    ("verb", |hit| hit.record.verb.clone()),
    ("rule_id", |hit| hit.rule_id.as_deref().map(Arc::from)),
    ("severity", |hit| hit.severity.map(|severity| severity.to_string().into())),
    ("trusted_ip", |hit| hit.record.trusted_ip.clone()),
    ("user_agent", |hit| hit.record.user_agent.clone()),
    ("impersonated_user", |hit| hit.record.impersonated_user.clone()),
];

/// Whether `--group-by` accepts this name.
#[must_use]
pub fn is_group_field(name: &str) -> bool {
    GROUP_FIELDS.iter().any(|(known, _)| *known == name)
}

/// One group: a row of `summary.csv`. Hits and suppressed count matches of rules on CronJobs, requests count those on
/// CronJobs, alerts and severity are those of all rules.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of summary.csv, described in docs/reports.md")]
pub struct Group {
    /// Values of the keys, in the requested order.
    pub keys: Vec<Option<Arc<str>>>,
    pub hits: u64,
    pub alerts: BTreeSet<Arc<str>>,
    pub created: u64,
    pub modified: u64,
    pub deleted: u64,
    pub denied: u64,
    pub dry_run: u64,
    pub suppressed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// `namespace/name`.
    pub cronjobs: BTreeSet<String>,
    pub clusters: BTreeSet<String>,
    pub platforms: BTreeSet<String>,
    pub source_ips: BTreeSet<String>,
    pub user_agents: BTreeSet<String>,
    pub images: BTreeSet<String>,
    pub schedules: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_severity: Option<Severity>,
    /// The gravest verdict of its alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The last request counted.
    #[serde(skip)]
    counted: Option<Evidence>,
}

/// Groups that have a hit, a suppressed hit, or a denied or deleted request: most hits first, then by keys. `lists` are
/// hits, suppressed hits and activity.
pub(super) fn groups(lists: [&Sorted<Hit>; 3], pack: &Pack, by: &[String]) -> io::Result<Vec<Group>> {
    let fields: Vec<Field> = by
        .iter()
        .filter_map(|name| GROUP_FIELDS.iter().find(|(known, _)| known == name))
        .map(|(_, field)| *field)
        .collect();
    let on_cronjobs = |hit: &Hit| {
        let rule = hit.rule_id.as_deref().and_then(|id| pack.rule(id));
        rule.is_some_and(|rule| rule.is_on_cronjobs().unwrap_or_else(|| hit.record.is_on_cronjobs()))
    };
    let mut groups: BTreeMap<Vec<Option<Arc<str>>>, Group> = BTreeMap::new();
    each_by_time(lists, &mut |list, hit| {
        if list == ACTIVITY && hit.record.change.is_none() && !hit.record.is_denied() {
            return;
        }
        let keys: Vec<_> = fields.iter().map(|field| field(hit)).collect();
        let group = groups.entry(keys).or_default();
        match list {
            HITS => group.hit(hit, on_cronjobs(hit)),
            SUPPRESSED => group.suppressed += u64::from(on_cronjobs(hit)),
            _ => {}
        }
        // A request that several rules match counts once in a group.
        let evidence = &hit.record.evidence;
        if hit.record.is_on_cronjobs() && group.counted.as_ref() != Some(evidence) {
            group.request(&hit.record);
            group.counted = Some(evidence.clone());
        }
    })?;
    let finished = groups.into_iter().map(|(keys, group)| Group { keys, ..group });
    let mut groups: Vec<Group> = finished
        .filter(|group| group.alerts.len() as u64 + group.suppressed + group.denied + group.deleted > 0)
        .collect();
    groups.sort_by(|left, right| (Reverse(left.hits), &left.keys).cmp(&(Reverse(right.hits), &right.keys)));
    Ok(groups)
}

const HITS: usize = 0;
const SUPPRESSED: usize = 1;
const ACTIVITY: usize = 2;

/// Passes on the items of all lists by time and evidence, with the number of their list, so that those of one request
/// are adjacent, and those of the first lists come first.
pub(super) fn each_by_time(lists: [&Sorted<Hit>; 3], take: &mut dyn FnMut(usize, &Hit)) -> io::Result<()> {
    let mut rest = Vec::new();
    for list in lists {
        rest.push(list.read()?.peekable());
    }
    loop {
        let heads = rest.iter_mut().enumerate().filter_map(|(list, rest)| Some((list, rest.peek()?)));
        let next = heads.min_by(|(_, left), (_, right)| match (left, right) {
            (Ok(left), Ok(right)) => left.time_order(right),
            // An error comes first.
            (left, right) => right.is_err().cmp(&left.is_err()),
        });
        let Some(list) = next.map(|(list, _)| list) else { return Ok(()) };
        if let Some(hit) = rest[list].next() {
            take(list, &*hit?);
        }
    }
}

impl Group {
    fn hit(&mut self, hit: &Hit, on_cronjobs: bool) {
        self.hits += u64::from(on_cronjobs);
        self.alerts.extend(hit.alert_id.clone());
        self.max_severity = self.max_severity.max(hit.severity);
    }

    fn request(&mut self, record: &Record) {
        match (record.outcome, record.change) {
            (Outcome::DryRun, _) => self.dry_run += 1,
            (Outcome::Failed, _) => self.denied += u64::from(record.is_denied()),
            (_, Some(Change::Created)) => self.created += 1,
            (_, Some(Change::Modified)) => self.modified += 1,
            (_, Some(Change::Deleted)) => self.deleted += 1,
            (_, None) => {}
        }
        if let Some(time) = record.time {
            self.first_seen = Some(self.first_seen.map_or(time, |first| first.min(time)));
            self.last_seen = self.last_seen.max(Some(time));
        }
        if record.name.is_some() {
            let place = [record.namespace.as_deref(), record.name.as_deref()];
            self.cronjobs.insert(place.into_iter().flatten().collect::<Vec<_>>().join("/"));
        }
        self.clusters.extend(record.cluster.as_deref().map(str::to_owned));
        self.platforms.insert(record.platform.to_string());
        self.source_ips.extend(record.source_ips.iter().cloned());
        self.user_agents.extend(record.user_agent.as_deref().map(str::to_owned));
        if let Some(cronjob) = &record.cronjob {
            self.images.extend(cronjob.images.iter().cloned());
            self.schedules.extend(cronjob.schedule.clone());
        }
    }
}
