//! One request of an alert, judged: what its spec and its history show, and the resulting verdict.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Judge;
use super::behaviour::{self, AFTER_GRAVER, Facts};
use super::history::History;
use super::indicators::{Context, Level};
use super::page::Reason;
use super::script;
use super::spec::{Part, State, Step};
use super::timeline::{Object, object, took_effect};
use super::verdict::{red_flags, verdict};
use crate::aggregate::{Finding, Record, Verdict};
use crate::rule::{Class, Severity};
use crate::schedule::Schedule;

/// Most reasons that a page gives.
pub(super) const REASONS: usize = 5;

/// One request of an alert, judged.
pub(super) struct Judged {
    pub at: usize,
    pub findings: Vec<Finding>,
    /// Positions of other requests that prove findings, by indicator.
    pub proofs: BTreeMap<String, usize>,
    pub level: Option<Level>,
    pub verdict: Verdict,
    pub rule: String,
    pub flags: Vec<String>,
    pub history: History,
    /// Whether the history since a graver alert alone made it look expected.
    pub is_raised: bool,
}

impl Judged {
    /// Orders requests by which one decides: verdict and level, then whether it took effect, then the number of red
    /// flags, then that of findings.
    fn weight(&self, record: &Record) -> impl Ord + use<> {
        (self.verdict, self.level, took_effect(record), self.flags.len(), self.findings.len())
    }

    /// Adds a finding that the request at `proof` proves.
    pub(super) fn add(&mut self, finding: Finding, proof: usize) {
        self.proofs.insert(finding.id.clone(), proof);
        self.findings.push(finding);
        self.findings.sort_by_key(|finding| Reverse(finding.severity));
    }
}

pub(super) fn judged_request(judge: &Judge<'_>, at: usize, history: History) -> Judged {
    let record = judge.timeline.record(at);
    let nothing = Step::default();
    let step = judge.steps.get(&at).unwrap_or(&nothing);
    let object = |state: &Option<State>| state.as_ref().map(State::object);
    let (before, after) = (object(&step.before), object(&step.after));
    let (mut findings, mut proofs) = (Vec::new(), BTreeMap::new());
    let mut level = None;
    if let Some((state, object)) = step.after.as_ref().zip(after.as_ref()) {
        findings = of_spec(judge, object, record, state.is_object());
        proofs.extend(findings.iter().map(|finding| (finding.id.clone(), state.shown_by.unwrap_or(at))));
        for (finding, write) in script::findings(judge, record, object) {
            proofs.entry(finding.id.clone()).or_insert(write);
            findings.push(finding);
        }
        // What is missing is not known: only what is there can say how grave it is.
        let least = match state.part {
            Part::Remains => Level::S2,
            Part::Patch => Level::S1,
            _ => Level::S0,
        };
        level = Some(judge.catalogue.level(&findings)).filter(|level| *level >= least);
    }
    let whole = [&step.before, &step.after].into_iter().flatten().all(|state| state.part == Part::Spec);
    let is_told = step.after.as_ref().is_some_and(State::is_object);
    let (before, after) = (before.as_ref().filter(|_| is_told), after.as_ref());
    for (finding, proof) in behaviour::findings(&Facts { judge, at, record, before, after, whole, history: &history }) {
        proofs.extend(proof.map(|proof| (finding.id.clone(), proof)));
        findings.push(finding);
    }
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let flags = red_flags(&findings, record.principal_class);
    let (verdict, rule) = verdict(level, history.known, &flags);
    Judged { at, findings, proofs, level, verdict, rule, flags, history, is_raised: false }
}

/// Whether the spec that a request found is grave, and graver than the one it left: the request may be a repair.
pub(super) fn is_mended(judge: &Judge<'_>, judged: &Judged) -> bool {
    let found = judge.steps.get(&judged.at).and_then(|step| step.before.as_ref());
    let level = |state: &State| {
        let record = judge.timeline.record(judged.at);
        judge.catalogue.level(&of_spec(judge, &state.object(), record, state.is_object()))
    };
    let is_graver = |left: Level| found.map(level).is_some_and(|found| found >= Level::S2 && found > left);
    judged.verdict > Verdict::Expected && judged.level.is_some_and(is_graver)
}

/// What a spec shows. `whole` says whether a member that it lacks is missing, or may only be unknown.
pub(super) fn of_spec(judge: &Judge<'_>, object: &Value, record: &Record, whole: bool) -> Vec<Finding> {
    let schedule = object.pointer("/spec/schedule").and_then(Value::as_str).and_then(|text| Schedule::parse(text).ok());
    let is_system =
        matches!(record.principal_class, Class::Controller | Class::ControlPlane | Class::CloudAddon | Class::Gitops);
    let context = Context {
        whole,
        registries: &judge.settings.registries,
        actor_is_system: is_system,
        runs_per_day: schedule.as_ref().map(Schedule::runs_per_day),
        one_date: schedule.as_ref().is_some_and(Schedule::is_one_date),
        never_fires: schedule.as_ref().is_some_and(Schedule::never_fires),
        any_weekday: schedule.as_ref().is_none_or(Schedule::any_weekday),
    };
    judge.catalogue.examine(object, &context)
}

/// A request of an alert, with its judgement.
pub(super) type Weighed<'j> = (&'j Record, Judged);

/// The requests of an alert by CronJob: the gravest first within each, and the CronJob with the gravest request first.
pub(super) fn by_object(judged: Vec<Weighed<'_>>) -> Vec<Vec<Weighed<'_>>> {
    let mut objects: BTreeMap<(Object, usize), Vec<Weighed<'_>>> = BTreeMap::new();
    for (number, (record, found)) in judged.into_iter().enumerate() {
        let object = object(record);
        // Without a name, two requests cannot be known to be on one object.
        let number = if object.2.is_some() { 0 } else { number };
        objects.entry((object, number)).or_default().push((record, found));
    }
    let order = |(record, judged): &Weighed<'_>| (Reverse(judged.weight(record)), record.time.is_none(), record.time);
    let mut objects: Vec<Vec<Weighed<'_>>> = objects.into_values().collect();
    for requests in &mut objects {
        requests.sort_by_key(order);
    }
    objects.sort_by_key(|requests| order(&requests[0]));
    objects
}

pub(super) fn place(record: &Record) -> String {
    let parts = [record.namespace.as_deref(), record.name.as_deref()];
    parts.map(|part| part.unwrap_or("-")).join("/")
}

/// The gravest findings, each indicator once. The gravest red flag is always among them, and a graver alert before. Each
/// names the request that proves it.
pub(super) fn reasons(judge: &Judge<'_>, judged: &Judged) -> Vec<Reason> {
    let mut seen = BTreeSet::new();
    let grave = judged.findings.iter().filter(|finding| finding.severity > Severity::Info);
    let found: Vec<&Finding> = grave.filter(|finding| seen.insert(&finding.id)).collect();
    let is_graver = |finding: &&Finding| finding.id == AFTER_GRAVER;
    let is_flag = |finding: &&Finding| judged.flags.contains(&finding.id);
    let needed = [found.iter().position(is_graver), found.iter().position(is_flag)];
    let needed: BTreeSet<usize> = needed.into_iter().flatten().collect();
    let others = (0..found.len()).filter(|at| !needed.contains(at)).take(REASONS - needed.len());
    let shown: BTreeSet<usize> = needed.iter().copied().chain(others).collect();
    let reason = |finding: &Finding| {
        let record = judge.timeline.record(judged.proofs.get(&finding.id).copied().unwrap_or(judged.at));
        Reason { finding: finding.clone(), audit_id: record.audit_id.clone(), evidence: record.evidence.clone() }
    };
    shown.into_iter().map(|at| reason(found[at])).collect()
}
