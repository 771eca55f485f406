//! From observations to what reports print. Nothing is counted before this step.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::alerts::{self, Alert};
use super::copies;
use super::coverage::{Coverage, Day};
use super::hit::Hit;
use super::ledger::{Input, Totals};
use super::observation::Observation;
use super::record::Record;
use super::summary::{self, Group};
use super::{Evidence, Extent, HELD, LEAST, OBSERVED, Tally};
use crate::discover::Window;
use crate::event::is_status_of_controller;
use crate::rule::{Pack, RuleMatch, Severity, Suppression};
use crate::spill::{SECTIONS, Sorted, Sorter};
use crate::threads::{self, each};

/// The options that decide what is counted.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Times of the events that are considered, including history.
    pub window: Window,
    /// Earlier hits are history only.
    pub since: Option<Timestamp>,
    /// Keys of the summary.
    pub group_by: Vec<String>,
}

/// What reports print.
#[derive(Debug)]
pub struct Finished {
    /// Hits by time.
    pub hits: Sorted<Hit>,
    /// Suppressed matches by time.
    pub suppressed: Sorted<Hit>,
    /// Other CronJob requests by time, without the controllers' status updates.
    pub activity: Sorted<Hit>,
    /// Alerts by first hit.
    pub alerts: Sorted<Alert>,
    /// The number of alerts of each severity, and of their hits.
    pub counts: BTreeMap<Severity, (u64, u64)>,
    /// Groups, most hits first.
    pub summary: Vec<Group>,
    /// CronJob requests and the runbook's other interests, including history; sorted by section of namespaces, cluster
    /// and time. `runbook::compute` takes it.
    pub timeline: Sorted<Observation>,
    /// Days covered.
    pub coverage: Vec<Day>,
    /// The same by hour.
    pub cells: Coverage,
    /// Inputs by path and member.
    pub inputs: Vec<Input>,
    /// Sums over the inputs.
    pub totals: Totals,
    /// Times of the hits that may raise alerts; earlier ones are history.
    pub asked: Window,
    /// Whether everything requested was read.
    pub extent: Extent,
    /// Rule ids, each with the path of a field that the rule's title or dedup key quotes.
    pub quotes: Vec<(String, String)>,
}

impl Finished {
    /// Whether the requested time has no event.
    #[must_use]
    pub fn missed(&self) -> bool {
        self.asked != Window::default() && self.alerts.is_empty() && !self.cells.reaches(self.asked)
    }
}

/// Collapses copies, applies suppressions, opens windows, groups and sorts.
///
/// # Errors
/// A temporary file cannot be read or written.
pub fn finish(tally: Tally, pack: &Pack, plan: &Plan) -> io::Result<Finished> {
    let sorting = sorted_out(tally.observations, pack, plan)?;
    let mut counts = sorting.counts;
    let suppressed = sorting.suppressed.finish()?;
    let mut activity = sorting.activity;
    let (mut hits, mut below) = (Sorter::new(Hit::report_order, HELD), Sorter::new(Hit::report_order, HELD));
    let alerts = alerts::open(&sorting.hits.finish()?, pack, &mut |hit| match hit.alert_id {
        Some(_) => {
            counts.of(&hit.record.evidence).hits += 1;
            hits.push(hit);
        }
        None => below.push(hit),
    })?;
    let hits = hits.finish()?;
    unlisted(&below.finish()?, [&hits, &suppressed], &mut |hit| activity.push(hit))?;
    let activity = activity.finish()?;
    let inputs = counts.written_into(tally.inputs);
    Ok(Finished {
        summary: summary::groups([&hits, &suppressed, &activity], pack, &plan.group_by)?,
        totals: Totals::of(&inputs),
        asked: Window { start: plan.since, end: plan.window.end },
        coverage: tally.coverage.days(),
        cells: tally.coverage,
        timeline: sorting.timeline.finish()?,
        hits,
        suppressed,
        activity,
        counts: counts_by_severity(&alerts)?,
        alerts,
        inputs,
        extent: tally.extent,
        quotes: pack.rules.iter().flat_map(|rule| rule.quotes().map(|path| (rule.id.clone(), path))).collect(),
    })
}

fn counts_by_severity(alerts: &Sorted<Alert>) -> io::Result<BTreeMap<Severity, (u64, u64)>> {
    let mut counts = BTreeMap::<_, (u64, u64)>::new();
    for alert in alerts.read()? {
        let alert = alert?;
        let (alerts, hits) = counts.entry(alert.severity).or_default();
        *alerts += 1;
        *hits += alert.hits;
    }
    Ok(counts)
}

/// Collapses copies and distributes the survivors to their lists, on all threads.
fn sorted_out<'p>(observations: Sorter<Observation>, pack: &'p Pack, plan: &'p Plan) -> io::Result<Sorting<'p>> {
    let count = threads::count().min(SECTIONS);
    let parts = each(observations.finish()?.into_parts(count)?, |part| {
        let (mut sorting, mut duplicates) = (Sorting::one_of(count, pack, plan), Counts::default());
        copies::collapse(part, &mut |kept| sorting.add(kept), &mut |place| duplicates.of(place).duplicates += 1)?;
        io::Result::Ok(Sorting { counts: duplicates, timeline: sorting.timeline.settled(), ..sorting })
    });
    parts.into_iter().try_fold(Sorting::one_of(1, pack, plan), |all, part| Ok(all.with(part?)))
}

/// The lists that survivors are distributed to.
struct Sorting<'p> {
    pack: &'p Pack,
    plan: &'p Plan,
    /// Counts the copies that did not survive.
    counts: Counts,
    hits: Sorter<Hit>,
    suppressed: Sorter<Hit>,
    activity: Sorter<Hit>,
    timeline: Sorter<Observation>,
}

impl<'p> Sorting<'p> {
    /// One of `count` that are filled at the same time and share the memory.
    fn one_of(count: usize, pack: &'p Pack, plan: &'p Plan) -> Self {
        Sorting {
            pack,
            plan,
            counts: Counts::default(),
            hits: Sorter::new(Hit::report_order, HELD / count),
            suppressed: Sorter::new(Hit::report_order, HELD / count),
            activity: Sorter::new(Hit::report_order, HELD / count),
            timeline: Sorter::in_sections(
                Observation::runbook_order,
                Observation::section_of_namespace,
                LEAST.max(OBSERVED / count),
            ),
        }
    }

    /// The union of both.
    fn with(mut self, other: Self) -> Self {
        self.counts.append(other.counts);
        self.hits.append(other.hits);
        self.suppressed.append(other.suppressed);
        self.activity.append(other.activity);
        self.timeline.append(other.timeline);
        self
    }

    fn add(&mut self, mut observation: Observation) {
        if !kept(&observation, self.plan.window) {
            return;
        }
        classify(&mut observation, self.pack);
        let matches = std::mem::take(&mut observation.matches);
        if in_window(&observation, self.plan) {
            self.list(&mut observation, matches);
        }
        if !observation.interests.is_empty() {
            self.timeline.push(observation);
        }
    }

    /// Lists the matches, and keeps the suppressed ones for the runbook.
    fn list(&mut self, observation: &mut Observation, matches: Vec<RuleMatch>) {
        let leaked = observation.leaked_category.as_ref().map(|category| Suppression {
            by: "category".to_owned(),
            reason: format!("an audit event logged under Azure's category {category}"),
        });
        let mut listed = false;
        for mut found in matches {
            let Some(rule) = self.pack.rule(&found.rule_id) else { continue };
            let record = &observation.record;
            let own = found.suppressed.take();
            found.suppressed = leaked.clone().or(own).or_else(|| tuned(&found, record));
            observation.is_hit |= found.suppressed.is_none();
            let list = if found.suppressed.is_some() { &mut self.suppressed } else { &mut self.hits };
            observation.matches.extend(found.suppressed.is_some().then(|| found.clone()));
            list.push(Hit::of_rule(Arc::clone(record), found, rule));
            listed = true;
        }
        if !listed && is_activity(&observation.record) {
            self.activity.push(Hit::activity(Arc::clone(&observation.record)));
        }
    }
}

/// Sets the class that the tuning gives the user, as the rules saw it.
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

/// The suppression of the first tuning entry that fits, now that all copies have contributed what they know of cluster
/// and time.
fn tuned(found: &RuleMatch, record: &Record) -> Option<Suppression> {
    found
        .tuned
        .iter()
        .find(|entry| entry.fits(record.cluster.as_deref(), record.time))
        .map(|entry| entry.suppression.clone())
}

/// The number of the last of three lists.
const BELOW: usize = 2;

/// Gives out CronJob requests whose only matches stayed below a threshold: they count as activity, as if nothing had
/// matched.
fn unlisted(below: &Sorted<Hit>, listed: [&Sorted<Hit>; 2], give: &mut dyn FnMut(Hit)) -> io::Result<()> {
    if below.is_empty() {
        return Ok(());
    }
    let [hits, suppressed] = listed;
    let mut last: Option<Arc<Record>> = None;
    // Of one request, those that are listed come first.
    summary::each_by_time([hits, suppressed, below], &mut |list, hit| {
        let is_new = last.as_ref().is_none_or(|last| last.evidence != hit.record.evidence);
        if is_new && list == BELOW && is_activity(&hit.record) {
            give(Hit::activity(Arc::clone(&hit.record)));
        }
        last = Some(Arc::clone(&hit.record));
    })
}

/// Whether this is a request on CronJobs, but not a status update by a controller.
fn is_activity(record: &Record) -> bool {
    record.is_on_cronjobs() && !is_status_of_controller(record.subresource.as_deref(), record.username.as_deref())
}

/// What only `finish` knows of each input.
#[derive(Default)]
struct Counts(BTreeMap<(Arc<str>, Option<Arc<str>>), Count>);

#[derive(Default)]
struct Count {
    hits: u64,
    duplicates: u64,
}

impl Counts {
    fn of(&mut self, evidence: &Evidence) -> &mut Count {
        self.0.entry((Arc::clone(&evidence.path), evidence.member.clone())).or_default()
    }

    /// Adds the counts of another.
    fn append(&mut self, other: Self) {
        for (place, count) in other.0 {
            let own = self.0.entry(place).or_default();
            own.hits += count.hits;
            own.duplicates += count.duplicates;
        }
    }

    /// Writes the counts into the rows, and sorts these by path and member.
    fn written_into(mut self, mut inputs: Vec<Input>) -> Vec<Input> {
        inputs.sort_by(|left, right| (&left.path, &left.member).cmp(&(&right.path, &right.member)));
        for input in &mut inputs {
            if let Some(count) = self.0.remove(&(Arc::clone(&input.path), input.member.clone())) {
                (input.hits, input.duplicates) = (count.hits, count.duplicates);
            }
        }
        inputs
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_below_a_threshold_are_given_out_one_by_one() {
        let hits: Vec<Hit> = (0..100)
            .map(|number| {
                serde_json::from_value(
                    json!({"time": "2026-11-24T03:00:00Z", "platform": "eks", "resource": "cronjobs",
                    "outcome": "success", "principal_class": "human", "truncated": false, "damaged": false, "copies": 1,
                    "evidence": {"path": "p", "record": number}}),
                )
                .unwrap()
            })
            .collect();
        let sorted = |hits: &mut dyn Iterator<Item = &Hit>| {
            let mut sorter = Sorter::new(Hit::report_order, HELD);
            hits.for_each(|hit| sorter.push(hit.clone()));
            sorter.finish().unwrap()
        };
        // Two rules have every request; another one lists every third, and every fifth is suppressed.
        let below = sorted(&mut hits.iter().chain(&hits));
        let listed = [sorted(&mut hits.iter().step_by(3)), sorted(&mut hits.iter().step_by(5))];
        let held = || hits.iter().map(|hit| Arc::strong_count(&hit.record)).sum::<usize>();
        let (before, mut given) = (held(), Vec::new());
        unlisted(&below, [&listed[0], &listed[1]], &mut |hit| {
            assert!(held() <= before + 2);
            given.push(hit.record.evidence.record);
        })
        .unwrap();
        assert_eq!(given, (0..100).filter(|number| number % 3 > 0 && number % 5 > 0).collect::<Vec<u64>>());
    }
}
