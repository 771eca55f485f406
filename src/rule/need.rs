//! What a raw record must contain for a condition to hold: marks, joined by and and or.
//!
//! A record is an event of audit.k8s.io or a LogEntry of GKE, as JSON or as JSON in JSON strings of any depth. A need
//! may be met although the condition does not hold, but never the other way round, except for letters written as
//! escapes.

use std::collections::BTreeSet;

use super::condition::{Condition, Quantifier};
use super::field::{Path, Step};
use super::mark::{Codes, Mark, Text};
use super::value::{Operand, Test};
use super::view::SYSTEM_NAMESPACES;
use crate::event::UNKNOWN_USER;

/// Shorter runs occur in most records.
const MIN_LITERAL: usize = 3;

/// What a record must contain.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Need {
    /// This mark.
    Mark(Mark),
    /// All of these. An empty list is always met.
    All(Vec<Need>),
    /// One of these.
    Any(Vec<Need>),
}

impl Need {
    /// What an event must contain for a condition to hold.
    pub(super) fn of(condition: &Condition) -> Self {
        of_condition(condition, false)
    }

    /// Whether a record meets it.
    pub(super) fn is_in(&self, raw: &[u8]) -> bool {
        match self {
            Need::Mark(mark) => mark.is_in(raw),
            Need::All(inside) => inside.iter().all(|need| need.is_in(raw)),
            Need::Any(inside) => inside.iter().any(|need| need.is_in(raw)),
        }
    }

    /// The rarest marks of which every record that meets this contains one; `None` if every record meets it.
    pub(super) fn anchors(&self) -> Option<Vec<&Mark>> {
        match self {
            Need::Mark(mark) => Some(vec![mark]),
            // Inner needs are sorted by cost.
            Need::All(inside) => inside.first().and_then(Need::anchors),
            Need::Any(inside) => inside.iter().map(Need::anchors).collect::<Option<Vec<_>>>().map(|all| all.concat()),
        }
    }

    /// What remains to be searched for once an anchor was found.
    pub(super) fn behind_anchors(&self) -> Need {
        let is_plain = |need: &Need| match need {
            Need::Mark(_) => true,
            Need::Any(inside) => inside.iter().all(|need| matches!(need, Need::Mark(_))),
            Need::All(_) => false,
        };
        match self {
            Need::All(inside) if inside.first().is_some_and(is_plain) => Need::All(inside[1..].to_vec()),
            need if is_plain(need) => Need::nothing(),
            need => need.clone(),
        }
    }

    fn nothing() -> Self {
        Need::All(Vec::new())
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Need::All(inside) if inside.is_empty())
    }

    /// The text as a whole word, or the longest word in it.
    fn word(text: &str) -> Self {
        run(text, Ends { start: true, end: true }, None)
            .map_or_else(Need::nothing, |text| Need::Mark(Mark::Text(text.into())))
    }

    /// Rank of a need: fewer, rarer and longer marks are better, so they come first.
    fn cost(&self) -> (usize, usize, std::cmp::Reverse<usize>) {
        let anchors: BTreeSet<(bool, usize, &str)> = self.anchors().into_iter().flatten().map(weight).collect();
        let common = anchors.iter().filter(|(common, ..)| *common).count();
        (common, anchors.len(), std::cmp::Reverse(anchors.iter().map(|(_, length, _)| *length).min().unwrap_or(0)))
    }
}

fn weight(mark: &Mark) -> (bool, usize, &str) {
    match mark {
        Mark::Text(text) => (COMMON.contains(&text.text()), text.text().len(), text.text()),
        Mark::Code(_) | Mark::Escape | Mark::Event => (true, 0, ""),
    }
}

fn all(needs: impl IntoIterator<Item = Need>) -> Need {
    let flat = |need| if let Need::All(inside) = need { inside } else { vec![need] };
    let mut needs = distinct(needs.into_iter().flat_map(flat));
    needs.sort_by_cached_key(Need::cost);
    match needs.pop() {
        Some(only) if needs.is_empty() => only,
        last => Need::All(needs.into_iter().chain(last).collect()),
    }
}

fn any(needs: impl IntoIterator<Item = Need>) -> Need {
    let flat = |need| if let Need::Any(inside) = need { inside } else { vec![need] };
    let mut needs = distinct(needs.into_iter().flat_map(flat));
    if needs.is_empty() || needs.iter().any(Need::is_nothing) {
        return Need::nothing();
    }
    match needs.pop() {
        Some(only) if needs.is_empty() => only,
        last => Need::Any(needs.into_iter().chain(last).collect()),
    }
}

fn distinct(needs: impl Iterator<Item = Need>) -> Vec<Need> {
    let mut all: Vec<Need> = Vec::new();
    for need in needs {
        if !all.contains(&need) {
            all.push(need);
        }
    }
    all
}

/// The need of a condition. `inside` is true for conditions on an element of a list that is contained in the record as
/// it is.
fn of_condition(condition: &Condition, inside: bool) -> Need {
    let each = |conditions: &[Condition], inside| -> Vec<Need> {
        conditions.iter().map(|condition| of_condition(condition, inside)).collect()
    };
    match condition {
        Condition::All(conditions) => all(each(conditions, inside)),
        Condition::Any(conditions) | Condition::OnlyOne(conditions) => any(each(conditions, inside)),
        Condition::Elements { path, quantifier, inside: conditions }
            if *quantifier != Quantifier::No && (inside || path.is_raw()) =>
        {
            all(of_path(path).into_iter().chain(each(conditions, true)))
        }
        Condition::Test { path, test, negated: false, operand, fold } if *test != Test::IsNullOrEmpty => {
            let value = if *fold {
                Need::nothing()
            } else if inside || path.is_raw() {
                of_values(*test, operand)
            } else {
                of_derived(path, *test, operand)
            };
            all(of_path(path).into_iter().chain([value]))
        }
        _ => Need::nothing(),
    }
}

/// Keys that a derived field is read from on every platform: of each group, one is present.
const KEYS: [(&str, &[&[&str]]); 6] = [
    ("pod_spec", &[&["spec"]]),
    ("containers", &[&["containers", "initContainers", "ephemeralContainers"]]),
    ("images", &[&["image"]]),
    ("host_paths", &[&["hostPath"]]),
    ("capabilities", &[&["capabilities"], &["add"]]),
    ("exec_command", &[&["command"]]),
];

/// Keys on the path to a value that must be present.
fn of_path(path: &Path) -> Vec<Need> {
    let groups = KEYS.iter().filter(|(name, _)| path.field.is_some_and(|field| field.name == *name));
    let of_field = groups.flat_map(|(_, groups)| groups.iter().map(|keys| any(keys.iter().map(|key| Need::word(key)))));
    let keys = path.steps.iter().filter_map(|step| if let Step::Key(key) = step { Some(key) } else { None });
    // Below a derived field, keys are not those of the record.
    let is_raw = path.field.is_none_or(|field| field.raw);
    // In the path of a JSON Patch, a slash in a key is written ~1, and ~ as ~0.
    let unescaped = |key: &str| Need::word(key.split(['/', '~']).next().unwrap_or_default());
    of_field.chain(keys.filter(|_| is_raw).map(|key| unescaped(key))).collect()
}

/// Most values of a condition that are searched for: searching for more costs more than parsing a record.
const LOOKED_FOR: usize = 1000;

/// Texts of which one occurs unchanged in the record.
fn of_values(test: Test, operand: &Operand) -> Need {
    if operand.all().len() > LOOKED_FOR {
        return Need::nothing();
    }
    let ends = match test {
        Test::Equals | Test::Fits => Ends { start: true, end: true },
        Test::Contains => Ends { start: false, end: false },
        Test::StartsWith => Ends { start: true, end: false },
        Test::EndsWith => Ends { start: false, end: true },
        _ => return Need::nothing(),
    };
    // No record contains it.
    let is_invented = |text: &str| UNKNOWN_USER.contains(text);
    // A numeric text equals its number in any notation.
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok_and(f64::is_finite);
    let wild = (test == Test::Fits).then_some('*');
    let mark = |text: &str| {
        let run = run(text, ends, wild).filter(|run| !is_invented(run.text()) && !is_number(text));
        run.map_or_else(Need::nothing, |run| Need::Mark(Mark::Text(run.into())))
    };
    any(operand.all().iter().map(|value| value.as_str().map_or_else(Need::nothing, mark)))
}

/// What values of derived fields, which no record contains unchanged, are made from.
fn of_derived(path: &Path, test: Test, operand: &Operand) -> Need {
    let name = path.field.filter(|_| path.steps.is_empty()).map_or("", |field| field.name);
    let words = |words: &[&str]| any(words.iter().map(|word| Need::word(word)));
    let code = |codes| Need::Mark(Mark::Code(codes));
    // The last part of a methodName, or a word of its own.
    if name == "verb" {
        return of_values(test, operand);
    }
    let of_value = |value: &serde_json::Value| match (name, value.as_str()) {
        ("change", Some("created")) => {
            any([Need::word("create"), all([words(&["update", "patch"]), code(Codes::Of(vec![201]))])])
        }
        ("change", Some("modified")) => words(&["update", "patch"]),
        ("change", Some("deleted")) => words(&["delete", "deletecollection"]),
        ("outcome", Some("failed")) => any([code(Codes::Failed), Need::word("Failure")]),
        ("is_system_namespace", None) if *value == true => words(&SYSTEM_NAMESPACES),
        ("response_code" | "responseStatus.code", None) => {
            value.as_i64().map_or_else(Need::nothing, |wanted| code(Codes::Of(vec![wanted])))
        }
        _ => Need::nothing(),
    };
    let needs = operand.all().iter().filter(|_| test == Test::Equals).map(of_value);
    let (codes, others): (Vec<_>, Vec<_>) =
        needs.partition(|need| matches!(need, Need::Mark(Mark::Code(Codes::Of(_)))));
    any(merged(codes).into_iter().chain(others))
}

/// The wanted codes of several needs, as one mark.
fn merged(needs: Vec<Need>) -> Option<Need> {
    let codes = |need| if let Need::Mark(Mark::Code(Codes::Of(codes))) = need { codes } else { Vec::new() };
    let codes: Vec<i64> = needs.into_iter().flat_map(codes).collect();
    (!codes.is_empty()).then_some(Need::Mark(Mark::Code(Codes::Of(codes))))
}

/// Whether the text starts and ends where the value does.
#[derive(Clone, Copy)]
struct Ends {
    start: bool,
    end: bool,
}

/// The longest run of letters, digits and hyphens. `wild` is not part of the text: it stands for any text.
fn run(text: &str, ends: Ends, wild: Option<char>) -> Option<Text> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut start = 0;
    let runs = text.split(|c: char| !in_word(c)).map(|run| {
        let found = (start, run);
        start += run.len() + text[start + run.len()..].chars().next().map_or(0, char::len_utf8);
        found
    });
    let (start, run) = runs.max_by_key(|(_, run)| run.len()).filter(|(_, run)| run.len() >= MIN_LITERAL)?;
    let closed = |neighbour: Option<char>, at_end: bool| neighbour.map_or(at_end, |c| Some(c) != wild);
    let before = closed(text[..start].chars().next_back(), ends.start);
    let after = closed(text[start + run.len()..].chars().next(), ends.end);
    Some(Text::new(run, before, after))
}

/// Words found in many records of any cluster, measured on generated dumps.
const COMMON: [&str; 40] = [
    "pods",
    "secrets",
    "serviceaccount",
    "serviceaccounts",
    "kubernetes",
    "system",
    "kube",
    "kube-system",
    "default",
    "nodes",
    "batch",
    "create",
    "update",
    "patch",
    "get",
    "list",
    "watch",
    "delete",
    "approval",
    "status",
    "kind",
    "name",
    "namespace",
    "metadata",
    "annotations",
    "spec",
    "type",
    "path",
    "value",
    "command",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "image",
    "add",
    "rules",
    "resources",
    "verbs",
    "securityContext",
    "capabilities",
];
