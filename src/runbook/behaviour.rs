//! Indicators on behaviour: what the request, its author and the history around it show.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::Value;

use super::Catalogue;
use super::Judge;
use super::actor::{Actor, is_public_address, tool};
use super::before::risky;
use super::history::{History, Known, hour_of};
use super::page::Act;
use super::spec::runs;
use super::timeline::{after, ahead, is_creation, object, took_effect};
use crate::aggregate::{Category, Finding, Record};
use crate::event::{Change, Outcome, Platform};
use crate::rule::{Class, SYSTEM_NAMESPACES, Severity};

/// One request being judged.
pub(super) struct Facts<'f, 't> {
    pub judge: &'f Judge<'t>,
    pub at: usize,
    pub record: &'f Record,
    /// The CronJob that the request found.
    pub before: Option<&'f Value>,
    /// The CronJob that it left.
    pub after: Option<&'f Value>,
    /// Whether both show the whole spec.
    pub whole: bool,
    pub history: &'f History,
}

/// What a check found.
struct Found {
    field: &'static str,
    text: String,
    /// If it differs from that of the catalogue.
    severity: Option<Severity>,
    /// Position of another request that proves it.
    proof: Option<usize>,
}

impl Found {
    fn at(field: &'static str, text: impl Into<String>) -> Self {
        Found { field, text: text.into(), severity: None, proof: None }
    }
}

type Check = fn(&Facts<'_, '_>) -> Option<Found>;

/// Reads the texts of a field.
type Texts = fn(&Record) -> Vec<&str>;

/// Indicators on behaviour that are implemented as functions.
const CHECKS: [(&str, Check); 13] = [
    ("CJ-BEH-03", impersonates),
    ("CJ-BEH-04", person_in_system_namespace),
    ("CJ-BEH-08", suspend_toggled),
    ("CJ-BEH-09", short_lived),
    ("CJ-BEH-10", hijacked),
    ("CJ-BEH-12", new_public_address),
    ("CJ-BEH-13", workload_account),
    ("CJ-BEH-14", prepared),
    ("CJ-BEH-15", first_write),
    ("CJ-BEH-16", refused_then_allowed),
    ("CJ-BEH-17", sprayed),
    ("CJ-BEH-18", label_disagrees),
    ("CJ-BEH-19", off_hours),
];

/// The indicator that a user had a graver alert before.
pub(super) const AFTER_GRAVER: &str = "CJ-BEH-21";

/// Indicators that are a regular expression on a field of the event.
const TEXTS: [(&str, &str, Texts); 5] = [
    ("CJ-BEH-01", "user.username", |record| {
        // On GKE, a request without credentials has no username.
        let nobody = (record.platform == Platform::Gke).then_some("system:anonymous");
        record.username.as_deref().or(nobody).into_iter().collect()
    }),
    ("CJ-BEH-01", "user.groups", |record| record.groups.iter().map(String::as_str).collect()),
    ("CJ-BEH-02", "user.username", |record| record.username.as_deref().into_iter().collect()),
    ("CJ-BEH-11", "userAgent", |record| record.user_agent.as_deref().into_iter().collect()),
    ("CJ-BEH-20", "user.username", |record| record.username.as_deref().into_iter().collect()),
];

/// All indicators that match, except those disabled in the catalogue; each with the position of the request that proves
/// it, if that is not the one being judged.
pub(super) fn findings(facts: &Facts<'_, '_>) -> Vec<(Finding, Option<usize>)> {
    let catalogue = facts.judge.catalogue;
    let of_text = TEXTS.iter().filter_map(|(id, field, read)| {
        let text = read(facts.record).into_iter().find(|text| catalogue.matches_text(id, text))?;
        Some((*id, Found::at(field, text)))
    });
    let of_check = CHECKS.iter().filter_map(|(id, check)| Some((*id, check(facts)?)));
    let masters = facts.record.groups.iter().any(|group| group == "system:masters");
    let shared = masters.then(|| ("CJ-BEH-20", Found::at("user.groups", "system:masters")));
    let found = of_text.chain(of_check).chain(shared);
    let mut found: Vec<_> =
        found.filter_map(|(id, found)| Some((finding(catalogue, id, &found)?, found.proof))).collect();
    found.sort_by(|(left, _), (right, _)| left.id.cmp(&right.id));
    found.dedup_by(|(later, _), (kept, _)| later.id == kept.id);
    found
}

/// `None` if the indicator is disabled.
fn finding(catalogue: &Catalogue, id: &str, found: &Found) -> Option<Finding> {
    let indicator = catalogue.get(id).filter(|indicator| indicator.enabled)?;
    Some(Finding {
        id: id.to_owned(),
        name: indicator.name.clone(),
        severity: found.severity.unwrap_or_else(|| indicator.graded(&found.text)),
        category: Category::Behaviour,
        place: found.field.to_owned(),
        text: found.text.chars().take(200).collect(),
        decoded: false,
    })
}

/// That the user had a graver alert, which only those who judged all alerts before know.
pub(super) fn after_graver(judge: &Judge<'_>, graver: String) -> Option<Finding> {
    finding(judge.catalogue, AFTER_GRAVER, &Found::at("history", graver))
}

fn impersonates(facts: &Facts<'_, '_>) -> Option<Found> {
    let groups = facts.record.impersonated_groups.join(", ");
    let groups = (!groups.is_empty()).then(|| format!("groups {groups}"));
    let target: Vec<&str> = facts.record.impersonated_user.as_deref().into_iter().chain(groups.as_deref()).collect();
    (!target.is_empty()).then(|| Found::at("impersonatedUser", target.join("; ")))
}

/// A person, or a holder of a shared credential.
fn person_in_system_namespace(facts: &Facts<'_, '_>) -> Option<Found> {
    let is_person = matches!(facts.record.principal_class, Class::Human | Class::Shared);
    let namespace = facts.record.namespace.as_deref()?;
    let is_system = SYSTEM_NAMESPACES.contains(&namespace);
    (is_person && is_system).then(|| Found::at("objectRef.namespace", namespace))
}

fn suspend_toggled(facts: &Facts<'_, '_>) -> Option<Found> {
    let read = |object: &Value| object.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false);
    let (before, after) = (read(facts.before.filter(|_| facts.whole)?), read(facts.after?));
    let name = facts.record.name.as_deref().unwrap_or_default().to_lowercase();
    let guards = ["backup", "snapshot", "scan", "audit", "falco", "trivy", "velero", "archive", "security"];
    let grave = after && guards.iter().any(|word| name.contains(word));
    let severity = grave.then_some(Severity::High);
    (before != after).then(|| Found { severity, ..Found::at("spec.suspend", format!("{before} to {after}")) })
}

fn short_lived(facts: &Facts<'_, '_>) -> Option<Found> {
    let (judge, time) = (facts.judge, facts.record.time?);
    // Without a name, a later delete cannot be matched to it.
    if !is_creation(facts.record) || facts.record.name.is_none() {
        return None;
    }
    let hour = SignedDuration::from_hours(1);
    let proof = after(judge.timeline.deletes(&object(facts.record)), facts.at).first().copied()?;
    let lived = judge.timeline.time(proof)?.duration_since(time);
    let seconds = lived.as_secs();
    (lived <= hour)
        .then(|| Found { proof: Some(proof), ..Found::at("objectRef", format!("deleted {seconds} s later")) })
}

/// Does not apply to GitOps tools: reverting other people's changes is their job.
fn hijacked(facts: &Facts<'_, '_>) -> Option<Found> {
    let record = facts.record;
    let is_change = record.change == Some(Change::Modified) && took_effect(record);
    if !is_change || matches!(record.principal_class, Class::Gitops | Class::Controller) {
        return None;
    }
    let (before, after) = (runs(facts.before?), runs(facts.after?));
    // The owner is the last to set what runs: a write that leaves it unchanged is no claim to it.
    let setters = facts.judge.setters.get(&object(record)).map(Vec::as_slice).unwrap_or_default();
    let proof = ahead(setters, facts.at).last().copied()?;
    let writer = facts.judge.timeline.record(proof);
    let changed = before.iter().zip(&after).find(|(before, after)| before != after).map(|(_, after)| after.clone());
    let changed = changed.or_else(|| after.get(before.len()).cloned())?;
    let is_other = writer.username != record.username;
    let set = writer.time.map_or_else(String::new, |time| format!(", set {time}"));
    let text = || format!("{changed} (was {}'s{set})", writer.username.as_deref().unwrap_or("-"));
    is_other.then(|| Found::at("spec", text()))
}

fn new_public_address(facts: &Facts<'_, '_>) -> Option<Found> {
    let record = facts.record;
    let address = record.trusted_ip.as_deref().filter(|address| is_public_address(address))?;
    // The history of a shared credential is that of one address.
    let is_new = facts.history.new_address;
    let grave = matches!(record.principal_class, Class::WorkloadSa | Class::Gitops | Class::Controller);
    is_new.then(|| Found { severity: grave.then_some(Severity::High), ..Found::at("sourceIPs", address) })
}

fn workload_account(facts: &Facts<'_, '_>) -> Option<Found> {
    let is_workload = facts.record.principal_class == Class::WorkloadSa;
    is_workload.then(|| Found::at("user.username", facts.record.username.as_deref().unwrap_or_default()))
}

/// Finds something only after a second pass.
fn prepared(facts: &Facts<'_, '_>) -> Option<Found> {
    let risky = risky(facts.judge, facts.record, facts.record.time?);
    let acts: Vec<String> = risky.iter().map(|&at| Act::of_observation(facts.judge.timeline.event(at)).what).collect();
    Some(Found { proof: Some(*risky.first()?), ..Found::at("history", acts.join("; ")) })
}

fn first_write(facts: &Facts<'_, '_>) -> Option<Found> {
    let user = || facts.record.username.as_deref().unwrap_or_default();
    (facts.history.known == Known::Anomalous).then(|| Found::at("history", user()))
}

fn refused_then_allowed(facts: &Facts<'_, '_>) -> Option<Found> {
    if facts.record.outcome != Outcome::Success {
        return None;
    }
    let judge = facts.judge;
    let denied = judge.timeline.denied(&Actor::of(facts.record));
    let before = judge.timeline.within(denied, facts.record.time?, SignedDuration::from_hours(1));
    let proof = before.last().copied()?;
    let refused = judge.timeline.record(proof);
    let text = format!("{} at {}", Act::of(refused).what, refused.time?);
    Some(Found { proof: Some(proof), ..Found::at("history", text) })
}

fn sprayed(facts: &Facts<'_, '_>) -> Option<Found> {
    let template = *facts.judge.templates.get(&facts.at)?;
    let found = facts.judge.sprays.at(Actor::of(facts.record), template, facts.record.time?)?;
    let names: BTreeSet<&str> = found.namespaces.iter().map(|namespace| &**namespace).collect();
    Some(Found::at("spec", names.into_iter().collect::<Vec<_>>().join(", ")))
}

/// Tools that people use by hand, and that do not set such a label themselves.
const BY_HAND: [&str; 12] = [
    "kubectl",
    "kubectl.exe",
    "curl",
    "Wget",
    "wget",
    "python-requests",
    "OpenAPI-Generator",
    "Go-http-client",
    "k9s",
    "Mozilla",
    "node-fetch",
    "PostmanRuntime",
];

fn label_disagrees(facts: &Facts<'_, '_>) -> Option<Found> {
    let label = facts.after?["metadata"]["labels"]["app.kubernetes.io/managed-by"].as_str()?.to_owned();
    let tool = tool(facts.record.user_agent.as_deref())?;
    let disagree = BY_HAND.contains(&tool) && !tool.to_lowercase().starts_with(&label.to_lowercase());
    disagree.then(|| Found::at("metadata.labels", format!("managed-by {label}, written with {tool}")))
}

/// Least writes from which an actor's usual hours are derived.
const ENOUGH: usize = 5;

fn off_hours(facts: &Facts<'_, '_>) -> Option<Found> {
    let (hour, history) = (hour_of(facts.record.time?), facts.history);
    (!history.known_hour && history.writes >= ENOUGH).then(|| Found::at("time", format!("{hour:02}:00 UTC")))
}
