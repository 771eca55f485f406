//! The verdict: the spec weighed against history.

use super::Judge;
use super::behaviour::AFTER_GRAVER;
use super::history::Known;
use super::indicators::Level;
use super::judged::Judged;
use super::spec::Part;
use crate::aggregate::{Category, Finding, Record, Verdict};
use crate::rule::Class;
use crate::words::plural;

use Verdict::{Expected as E, MaliciousLikely as M, Review as R, Suspicious as S};

/// Verdicts for E3, for E2 and E1, for E0, for E?; each without and with a red flag.
type Row = [(Verdict, Verdict); 4];

/// Rows by level of the spec. History never lowers S3 or S2: a hijacked pipeline has a perfect one.
const MATRIX: [(Option<Level>, Row); 5] = [
    (Some(Level::S3), [(M, M), (M, M), (M, M), (M, M)]),
    (Some(Level::S2), [(S, S), (S, S), (S, M), (S, S)]),
    (Some(Level::S1), [(E, S), (R, S), (R, S), (R, R)]),
    (Some(Level::S0), [(E, R), (E, S), (R, S), (R, R)]),
    (None, [(R, R), (R, S), (R, S), (R, R)]),
];

/// Red flags: indicators on behaviour that make a verdict graver.
const RED_FLAGS: [&str; 10] = [
    "CJ-BEH-01",
    "CJ-BEH-02",
    "CJ-BEH-03",
    "CJ-BEH-04",
    "CJ-BEH-09",
    "CJ-BEH-10",
    "CJ-BEH-13",
    "CJ-BEH-14",
    "CJ-BEH-16",
    "CJ-BEH-17",
];

/// Identities that never write CronJobs: each decides on its own.
const DECISIVE: [&str; 2] = ["CJ-BEH-01", "CJ-BEH-02"];

/// The ids of findings that are red flags. A new address is one only for service accounts.
pub(super) fn red_flags(findings: &[Finding], class: Class) -> Vec<String> {
    let is_account = matches!(class, Class::WorkloadSa | Class::Gitops | Class::Controller);
    let is_flag = |id: &str| RED_FLAGS.contains(&id) || id == "CJ-BEH-12" && is_account;
    let mut flags: Vec<String> = findings.iter().map(|finding| &finding.id).filter(|id| is_flag(id)).cloned().collect();
    flags.sort();
    flags.dedup();
    flags
}

/// The verdict, and the rule that gave it. Without a level, no spec is known.
pub(super) fn verdict(level: Option<Level>, known: Known, flags: &[String]) -> (Verdict, String) {
    if let Some(flag) = flags.iter().find(|flag| DECISIVE.contains(&flag.as_str())) {
        return (M, format!("{flag} alone"));
    }
    let column = match known {
        Known::Established => 0,
        Known::Partly | Known::Weak => 1,
        Known::Anomalous => 2,
        Known::Insufficient => 3,
    };
    let row = MATRIX.iter().find(|(of, _)| *of == level).map_or([(R, R); 4], |(_, row)| *row);
    let (without, with) = row[column];
    let spec = level_name(level);
    let flagged = if flags.is_empty() { String::new() } else { format!(" with {}", flags.join(", ")) };
    let verdict = if flags.is_empty() { without } else { with };
    (verdict, format!("{spec} x {}{flagged}", known.names().0))
}

/// The caution added to EXPECTED, which never means benign: how little was found.
pub(super) fn meaning(verdict: Verdict, level: Option<Level>, findings: &[Finding]) -> Option<&'static str> {
    let is_of_spec = |finding: &Finding| finding.category != Category::Behaviour;
    match level {
        _ if verdict != E => None,
        Some(Level::S0) if findings.iter().any(is_of_spec) => {
            Some("consistent with established activity; nothing graver than info matched in the spec")
        }
        Some(Level::S0) => Some("consistent with established activity; nothing in the spec matched"),
        _ => Some("consistent with established activity; what matched in the spec is low or medium"),
    }
}

/// The name of a level; `S?` if no spec is known.
pub(super) fn level_name(level: Option<Level>) -> String {
    level.map_or("S?".to_owned(), |level| level.to_string())
}

/// Whether the log cut the spec of a request, so that nobody knows all of it.
fn is_cut(judge: &Judge<'_>, record: &Record, judged: &Judged) -> bool {
    let state = judge.steps.get(&judged.at).and_then(|step| step.after.as_ref());
    state.map_or(record.truncated, |state| state.part == Part::Remains)
}

/// What would change a verdict, given what it rests on.
pub(super) fn would_change(judge: &Judge<'_>, record: &Record, judged: &Judged) -> Vec<String> {
    let (level, flags) = (judged.level, &judged.flags);
    let mut changes = Vec::new();
    match level {
        _ if is_cut(judge, record, judged) => {
            changes
                .push("the whole record, which was cut on its way into this log; or the Jobs and Pods of this CronJob");
        }
        None => changes.push("a log that holds the spec: level RequestResponse, or the Jobs and Pods of this CronJob"),
        _ => {}
    }
    if matches!(level, Some(Level::S2 | Level::S3)) {
        changes.push("nothing in the history lowers this; an owner who can explain each finding in the spec does");
    }
    let days = judge.settings.limits.covered_days;
    let lookback = usize::try_from(judge.settings.lookback.as_hours()).unwrap_or(usize::MAX);
    let is_narrow = (lookback as u64) < 24 * days;
    let missing = format!("the logs of the {} before, which this dump does not hold", plural(lookback / 24, "day"));
    let short = format!("a longer --lookback: a history of less than {days} days tells nothing");
    match judged.history.known {
        Known::Insufficient if is_narrow => changes.push(&short),
        Known::Insufficient => changes.push(&missing),
        Known::Anomalous | Known::Weak => {
            changes.push("a ticket or an owner that explains why this user writes CronJobs now");
        }
        Known::Partly | Known::Established if judged.verdict == E => {
            changes.push("any finding in the spec, or a red flag");
        }
        Known::Partly | Known::Established => {}
    }
    let mut changes: Vec<String> = changes.into_iter().map(str::to_owned).collect();
    if judged.is_raised {
        changes.push(format!("an explanation of the alert that {AFTER_GRAVER} names"));
    }
    if !flags.is_empty() {
        changes.push(format!("an explanation of {}", flags.join(", ")));
    }
    changes
}
