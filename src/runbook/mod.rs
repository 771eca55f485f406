//! The rule's runbook, computed: the 24 hours before, the schedule and image, the user's past 30 days, a verdict.
//!
//! - `memory` is what the sweep says of a cluster, without repetitions; `timeline` is that by actor and by object;
//!   `actor` separates whose history is whose.
//! - `before` is step 1, `what` step 2, `history` step 3.
//! - Step 2 rests on `spec`, which knows what each request left, through `patch`; on `indicators`; and on `script` for
//!   what ConfigMaps hold.
//! - Steps 1 and 3 count without looking at a request twice: in a `window` that moves forward, by the properties in
//!   `counts`; `recent` is what step 1 counts, `writers` who else writes.
//! - `behaviour` reads all three steps, and `spray` what is written in several namespaces at once.
//! - `turn` finds the writes after which a CronJob runs something else; `since` says what became of it.
//! - `verdict` weighs them; `judged` is one request so weighed; `advice` says what to do next; `rank` orders alerts by
//!   gravity; `page` is what an analyst reads of one alert, `pages` all of these; `links` joins hits to alerts;
//!   `overview` is about the whole sweep.

mod actor;
mod advice;
mod before;
mod behaviour;
mod counts;
mod graver;
mod history;
pub mod indicators;
mod judged;
mod links;
mod memory;
mod overview;
mod page;
mod pages;
mod patch;
mod rank;
mod recent;
mod script;
mod since;
mod spec;
mod spray;
mod timeline;
mod turn;
mod verdict;
mod what;
mod window;
mod writers;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use self::history::rounded;
pub use self::indicators::{Catalogue, Tried};
use self::memory::Memory;
use self::overview::Graves;
pub use self::page::{Grave, Page, Seen, Suppressed, User};
use self::pages::Pages;
pub use self::pages::Printed;
pub use self::rank::{Alike, Standing};
use self::spec::Step;
use self::spray::Sprays;
use self::timeline::{Name, Object, Timeline, is_creation};
use self::turn::Turn;
use crate::aggregate::{Coverage, CronJob, Finished, Observation, POD_OF_SPEC, Record};
use crate::decode::digest;
use crate::error::Error;
use crate::json::Fields;
use crate::rule::{Condition, Interest, Keeps, RuleError, compile_interests, glob};
use crate::spill::{Sorted, Sorter};
use crate::threads::each;

/// How much is kept in addition to the matches of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Requests on CronJobs.
    Hits,
    /// These, and what the controllers created for the CronJobs.
    Runbook,
}

/// The interests of a sweep.
///
/// # Errors
/// None that tests would not find: the file is embedded.
pub fn interests(scope: Scope) -> Result<Vec<Interest>, RuleError> {
    let mut interests = compile_interests("interests.yml", include_str!("interests.yml"))?;
    for interest in &mut interests {
        interest.keeps = if &*interest.name == "cronjob" { Keeps::OutlineOfStatus } else { Keeps::Outline };
    }
    if scope == Scope::Hits {
        interests.truncate(1);
    }
    Ok(interests)
}

/// The interests of a second pass, given what the first one kept: risky acts of the users of matches, and writes of the
/// ConfigMaps that the CronJobs of matches mount. Empty if there is nothing to look for.
///
/// # Errors
/// A temporary file cannot be read.
pub fn precursors(kept: &Sorter<Observation>) -> Result<Vec<Interest>, Error> {
    let (mut users, mut scripts) = (BTreeSet::new(), BTreeSet::new());
    for observation in kept.read().map_err(Error::Temporary)? {
        let observation = observation.map_err(Error::Temporary)?;
        if observation.is_match() {
            users.extend(observation.record.username.clone());
            scripts.extend(script::mounted_by(&observation));
        }
    }
    let mut interests = Vec::new();
    if !users.is_empty() {
        interests = compile_interests("precursors.yml", include_str!("precursors.yml"))?;
        limit(&mut interests, "username", &users)?;
    }
    if !scripts.is_empty() {
        let text = "configmap: {Key: change, Condition: IsIn, Values: [created, modified]}";
        let mut configmaps = compile_interests("configmaps", text)?;
        limit(&mut configmaps, "resource", &["configmaps"])?;
        limit(&mut configmaps, "name", &scripts)?;
        interests.append(&mut configmaps);
    }
    Ok(interests)
}

/// Restricts interests to records whose field has one of some values.
fn limit(interests: &mut [Interest], field: &str, values: &impl Serialize) -> Result<(), RuleError> {
    let values = serde_json::to_value(values).unwrap_or_default();
    let text = format!("only: {{Key: {field}, Condition: IsIn, Values: {values}}}");
    let only = compile_interests("only", &text)?;
    for interest in interests {
        let all = only.iter().map(|only| only.condition.clone()).chain([interest.condition.clone()]);
        interest.condition = Condition::All(all.collect());
    }
    Ok(())
}

/// Thresholds of the runbook. All are design choices, and can be set in the tuning file.
pub use crate::rule::Thresholds;

/// What the runbook considers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The window of step 3.
    pub lookback: SignedDuration,
    /// The window of step 1.
    pub context: SignedDuration,
    /// Whether a second pass looked for precursors.
    pub deep: bool,
    /// Allowed registries. If empty, their indicator is disabled.
    pub registries: Vec<String>,
    /// Thresholds.
    pub limits: Thresholds,
    /// Which alerts to judge.
    pub only: Only,
}

/// What narrows a runbook. An empty list narrows nothing. In all but alert ids, `*` stands for any text.
#[derive(Debug, Clone, Default)]
pub struct Only {
    /// Usernames.
    pub users: Vec<String>,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Alert ids, or their first characters.
    pub alerts: Vec<String>,
    /// Clusters.
    pub clusters: Vec<String>,
}

/// The runbook of a sweep: the content of runbook.json.
#[derive(Debug)]
pub struct Runbook {
    /// What is said of the sweep as a whole.
    pub about: About,
    /// A page per requested alert, gravest first: by verdict, level of the spec, red flags and history, then by first
    /// hit.
    pub alerts: Sorted<Printed>,
    /// The standing of each alert by its number, including alerts that were not requested.
    pub standings: BTreeMap<usize, Standing>,
}

impl Runbook {
    /// The same runbook with changed pages.
    ///
    /// # Errors
    /// A temporary file cannot be read or written.
    pub fn change_pages(mut self, change: &mut dyn FnMut(&mut serde_json::Value)) -> io::Result<Self> {
        self.alerts = self.alerts.change(|page| page.change(change))?;
        Ok(self)
    }
}

/// The runbook without its pages.
#[derive(Debug, Default, Serialize)]
pub struct About {
    /// Increased when a member changes its meaning.
    pub schema_version: u32,
    /// Lengths of the windows, and whether precursors were looked for.
    pub settings: BTreeMap<&'static str, String>,
    /// Number of requested alerts by verdict, gravest first.
    pub verdicts: serde_json::Map<String, serde_json::Value>,
    /// Number of alerts on CronJobs that were not requested.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Number of alerts by severity whose rules do not concern CronJobs, and that have no verdict.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub without_verdict: BTreeMap<String, u64>,
    /// What the dump covers, in a sentence.
    pub coverage_note: String,
    /// Users of the alerts, gravest first.
    pub users: Vec<User>,
    /// CronJobs of which the log shows only what their controller did.
    pub controller_only: Vec<Seen>,
    /// What exclusions and tuning removed from the hits.
    pub suppressed: Vec<Suppressed>,
}

/// Everything needed to judge the alerts of a cluster.
pub(crate) struct Judge<'t> {
    timeline: Timeline<'t>,
    coverage: &'t Coverage,
    /// The end of the requested time.
    until: Option<Timestamp>,
    catalogue: &'t Catalogue,
    settings: &'t Settings,
    steps: BTreeMap<usize, Step>,
    /// Digests of the pod specs that writes left, by position.
    templates: BTreeMap<usize, [u8; 32]>,
    sprays: Sprays,
    /// Positions of writes that set what a CronJob runs.
    setters: BTreeMap<Object, Vec<usize>>,
    /// Position of the first request that created a CronJob.
    created: BTreeMap<Object, usize>,
    /// Writes after which a CronJob runs something else.
    turns: BTreeMap<Object, Vec<Turn>>,
    /// CronJobs of requests whose own record does not show them, by position.
    recovered: BTreeMap<usize, CronJob>,
    by_namespace: BTreeMap<(Name, Name), Vec<usize>>,
}

/// Computes the runbook, and writes verdicts, indicators and recovered specs into alerts, summary and hits.
///
/// # Errors
/// A temporary file cannot be read or written.
pub fn compute(mut report: Finished, catalogue: &Catalogue, settings: &Settings) -> io::Result<(Finished, Runbook)> {
    let (mut pages, mut controller_only, mut graves) = (Pages::new(), Vec::new(), Graves::default());
    let mut links = links::by_cluster(&report)?.into_values()?.peekable();
    Memory::of_each_cluster(report.timeline.take(), &mut |memory| {
        let judge = Judge { until: report.asked.end, ..Judge::new(&memory, &report.cells, catalogue, settings) };
        controller_only.extend(overview::controller_only(&judge));
        graves.add(&judge);
        pages.judge(&judge, &mut links)
    })?;
    report.hits = pages::annotate(report.hits, pages.notes)?;
    let without_verdict = overview::annotate(&mut report, &pages.by_alert)?;
    let verdicts = pages.verdicts.iter().rev();
    let shown: u64 = pages.verdicts.values().sum();
    let about = About {
        schema_version: 1,
        settings: BTreeMap::from([
            ("lookback", span(settings.lookback)),
            ("context", span(settings.context)),
            ("deep", settings.deep.to_string()),
        ])
        .into_iter()
        .chain(settings.only.words().map(|words| ("only", words)))
        .collect(),
        verdicts: verdicts.map(|(verdict, &count)| (verdict.to_string(), count.into())).collect(),
        left_out: pages.by_alert.len() as u64 - shown,
        without_verdict,
        coverage_note: overview::coverage_note(&report),
        users: pages.users.ranked(),
        suppressed: overview::suppressed(&report, graves)?,
        controller_only,
    };
    Ok((report, Runbook { about, alerts: pages.printed.finish()?, standings: pages.by_alert }))
}

impl About {
    /// What suppressed requests with a grave spec show, by group.
    pub(crate) fn graves(&self) -> impl Iterator<Item = &Grave> {
        self.suppressed.iter().filter_map(|row| row.grave.as_ref())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn span(span: SignedDuration) -> String {
    let hours = span.as_hours();
    if hours > 48 && hours % 24 == 0 { format!("{}d", hours / 24) } else { format!("{hours}h") }
}

impl Only {
    /// The options as typed; `None` if there are none.
    fn words(&self) -> Option<String> {
        let options = [
            ("--user", &self.users),
            ("--namespace", &self.namespaces),
            ("--alert", &self.alerts),
            ("--cluster", &self.clusters),
        ];
        let typed =
            options.iter().flat_map(|(option, values)| values.iter().map(move |value| format!("{option} {value}")));
        let typed: Vec<String> = typed.collect();
        (!typed.is_empty()).then(|| typed.join(" "))
    }

    fn fits(&self, page: &Page) -> bool {
        let one = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|wanted| glob(wanted, value)))
        };
        let id = |wanted: &String| !wanted.is_empty() && page.alert_id.starts_with(wanted.as_str());
        one(&self.users, page.username.as_deref())
            && one(&self.namespaces, page.namespace.as_deref())
            && one(&self.clusters, page.cluster.as_deref())
            && (self.alerts.is_empty() || self.alerts.iter().any(id))
    }
}

/// What the requests on one CronJob say of it, by position.
struct Told {
    steps: BTreeMap<usize, Step>,
    setters: Vec<usize>,
    turns: Vec<Turn>,
    templates: Vec<(usize, [u8; 32])>,
    recovered: Vec<(usize, CronJob)>,
}

impl Told {
    fn of(timeline: &Timeline<'_>, object: &Object) -> Self {
        let steps = spec::steps(timeline, object);
        let (setters, turns) = (spec::setters(timeline, &steps), turn::turns(timeline, &steps));
        let (mut templates, mut recovered) = (Vec::new(), Vec::new());
        for (&at, step) in &steps {
            let Some(state) = &step.after else { continue };
            let object = Fields::read(state.text.as_bytes()).unwrap_or_default();
            let spec = object.object("spec").unwrap_or_default();
            templates.extend(spec.inside(&POD_OF_SPEC).map(|pod| (at, digest(pod))));
            if timeline.record(at).cronjob.is_none() {
                recovered.push((at, CronJob::of(&spec, &state.source)));
            }
        }
        Told { steps, setters, turns, templates, recovered }
    }
}

impl<'t> Judge<'t> {
    fn new(memory: &'t Memory, coverage: &'t Coverage, catalogue: &'t Catalogue, settings: &'t Settings) -> Self {
        let timeline = Timeline::new(memory);
        let (mut steps, mut recovered, mut templates) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut setters, mut turns, mut created) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut by_namespace: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let objects: Vec<&Object> = timeline.objects().map(|(object, _)| object).collect();
        for (object, told) in objects.iter().zip(each(&objects, |object| Told::of(&timeline, object))) {
            setters.insert((*object).clone(), told.setters);
            turns.insert((*object).clone(), told.turns);
            let is_made = |at: &usize| is_creation(timeline.record(*at));
            created.extend(told.steps.keys().copied().find(is_made).map(|at| ((*object).clone(), at)));
            // Not `append`, which would walk everything there for each object.
            steps.extend(told.steps);
            templates.extend(told.templates);
            recovered.extend(told.recovered);
        }
        for &at in steps.keys() {
            let record = timeline.record(at);
            by_namespace.entry((record.cluster.clone(), record.namespace.clone())).or_default().push(at);
        }
        let until = None;
        Judge {
            sprays: Sprays::of(&timeline, &templates),
            timeline,
            coverage,
            until,
            catalogue,
            settings,
            steps,
            templates,
            setters,
            created,
            turns,
            recovered,
            by_namespace,
        }
    }

    /// A record with its CronJob as far as it could be recovered.
    fn resolved<'r>(&self, record: &'r Record) -> Cow<'r, Record> {
        let position = || self.timeline.position(record.time, &record.evidence);
        let at = if record.cronjob.is_none() { position() } else { None };
        match at.and_then(|at| self.recovered.get(&at)) {
            Some(cronjob) => Cow::Owned(Record { cronjob: Some(Box::new(cronjob.clone())), ..record.clone() }),
            None => Cow::Borrowed(record),
        }
    }

    fn covered_hours(&self, record: &Record, end: Timestamp, span: SignedDuration) -> f64 {
        let start = end.checked_sub(span).unwrap_or(Timestamp::MIN);
        self.coverage.hours(record.cluster.as_deref(), start, end)
    }

    /// `dump covers 21.4 of 30 days`: added to every statement that something is absent.
    fn coverage_text(&self, record: &Record, end: Timestamp, span: SignedDuration, unit: &str) -> String {
        let (hours, name) = if unit == "d" { (24.0, "days") } else { (1.0, "hours") };
        let covered = rounded(self.covered_hours(record, end, span) / hours);
        format!("dump covers {covered} of {} {name}", rounded(span.as_secs_f64() / 3600.0 / hours))
    }
}
