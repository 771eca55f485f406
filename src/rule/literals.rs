//! The prefilter: literals of which one must stand in a raw record for any rule to match it.
//!
//! JSON may write any character as `\uXXXX`, and so may JSON in a JSON string. Only runs of ASCII letters, digits and
//! hyphens become literals, so the one escape that can hide one spells such a character or a backslash: `\u002d`,
//! `\u003x`, `\u004x` to `\u007x`. A record with such an escape passes. Base64 is decoded before this is asked.

use std::collections::BTreeSet;

use memchr::memmem;

use super::condition::{Condition, Quantifier};
use super::field::{Path, Step};
use super::value::{Operand, Test};
use super::{Interest, Logic, Rule};

/// Shorter runs stand in most records.
const MIN_LITERAL: usize = 3;

/// A set of literals, or none: then every record passes.
#[derive(Debug, Clone)]
pub struct Prefilter {
    literals: BTreeSet<String>,
    finders: Vec<memmem::Finder<'static>>,
    escape: memmem::Finder<'static>,
}

impl Prefilter {
    /// The prefilter of rules and interests; `None` where one of them has no literal.
    #[must_use]
    pub fn new(rules: &[Rule], interests: &[Interest]) -> Option<Self> {
        let mut literals = BTreeSet::new();
        for rule in rules {
            literals.extend(of_rule(rule)?);
        }
        for interest in interests {
            literals.extend(of_condition(&interest.condition)?);
        }
        let all = literals.clone();
        // A literal that holds another one is found by it.
        literals.retain(|literal| !all.iter().any(|other| other != literal && literal.contains(other.as_str())));
        let finders = literals.iter().map(|literal| memmem::Finder::new(literal.as_bytes()).into_owned()).collect();
        Some(Prefilter { literals, finders, escape: memmem::Finder::new(br"\u00").into_owned() })
    }

    /// The literals.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.literals.iter().map(String::as_str)
    }

    /// Whether a rule may match this raw record; false only where none can.
    #[must_use]
    pub fn may_match(&self, raw: &[u8]) -> bool {
        self.finders.iter().any(|finder| finder.find(raw).is_some()) || self.has_escape(raw)
    }

    fn has_escape(&self, raw: &[u8]) -> bool {
        self.escape.find_iter(raw).any(|at| match raw.get(at + 4..at + 6) {
            Some([b'2', digit]) => digit.eq_ignore_ascii_case(&b'd'),
            Some([b'3', digit]) => digit.is_ascii_digit(),
            Some([b'4'..=b'7', _]) => true,
            _ => false,
        })
    }
}

/// The literals of one rule; `None` where it has none.
#[must_use]
pub fn of_rule(rule: &Rule) -> Option<BTreeSet<String>> {
    match &rule.logic {
        Logic::Panther { detection } => of_condition(detection),
        // What a Sigma rule looks at is known to its engine only.
        Logic::Sigma(_) => None,
    }
}

/// A set of which one must occur where the condition holds.
fn of_condition(condition: &Condition) -> Option<BTreeSet<String>> {
    match condition {
        Condition::All(inside) => inside.iter().filter_map(of_condition).min_by_key(cost),
        Condition::Any(inside) | Condition::OnlyOne(inside) => {
            let all: Option<Vec<_>> = inside.iter().map(of_condition).collect();
            all.map(|sets| sets.into_iter().flatten().collect())
        }
        Condition::Elements { path, quantifier, inside } if *quantifier != Quantifier::No && path.is_raw() => {
            inside.iter().filter_map(of_element).min_by_key(cost)
        }
        Condition::Test { path, test, negated: false, operand, fold } if path.is_raw() => {
            let value = if *fold { None } else { of_test(*test, operand) };
            value.into_iter().chain(of_keys(path, *test)).min_by_key(cost)
        }
        _ => None,
    }
}

/// A key on the way to a value that must be there.
fn of_keys(path: &Path, test: Test) -> Option<BTreeSet<String>> {
    let keys = path.steps.iter().filter_map(|step| if let Step::Key(key) = step { literal(key) } else { None });
    keys.filter(|_| test != Test::IsNullOrEmpty).max_by_key(String::len).map(|key| BTreeSet::from([key]))
}

/// The same inside an element of a raw list, where every path is raw.
fn of_element(condition: &Condition) -> Option<BTreeSet<String>> {
    match condition {
        Condition::All(inside) => inside.iter().filter_map(of_element).min_by_key(cost),
        Condition::Any(inside) | Condition::OnlyOne(inside) => {
            let all: Option<Vec<_>> = inside.iter().map(of_element).collect();
            all.map(|sets| sets.into_iter().flatten().collect())
        }
        Condition::Test { path, test, negated: false, operand, fold } => {
            let value = if *fold { None } else { of_test(*test, operand) };
            value.into_iter().chain(of_keys(path, *test)).min_by_key(cost)
        }
        Condition::Elements { quantifier, inside, .. } if *quantifier != Quantifier::No => {
            inside.iter().filter_map(of_element).min_by_key(cost)
        }
        _ => None,
    }
}

fn of_test(test: Test, operand: &Operand) -> Option<BTreeSet<String>> {
    if !matches!(test, Test::Equals | Test::Contains | Test::StartsWith | Test::EndsWith | Test::Fits) {
        return None;
    }
    // Panther's word for a GKE entry that names nobody stands in no record.
    let is_invented = |text: &str| "<UNKNOWN ACTOR USER>".contains(text);
    operand.all().iter().map(|value| literal(value.as_str()?).filter(|literal| !is_invented(literal))).collect()
}

/// The longest run of letters, digits and hyphens.
fn literal(text: &str) -> Option<String> {
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    runs.max_by_key(|run| run.len()).filter(|run| run.len() >= MIN_LITERAL).map(str::to_owned)
}

/// Words that stand in many records of any cluster, measured on generated dumps.
const COMMON: [&str; 11] = [
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
];

/// Fewer, rarer and longer literals are better.
fn cost(set: &BTreeSet<String>) -> (usize, usize, std::cmp::Reverse<usize>) {
    let common = set.iter().filter(|literal| COMMON.contains(&literal.as_str())).count();
    (common, set.len(), std::cmp::Reverse(set.iter().map(String::len).min().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::interest;

    #[test]
    fn escapes_that_may_hide_a_literal_pass() {
        let text = "cronjob: {Key: resource, Condition: Equals, Value: cronjobs}";
        let prefilter = Prefilter::new(&[], &interest::compile("test", text).unwrap()).unwrap();
        for (raw, passes) in [
            (r#"{"resource":"cronjobs"}"#, true),
            (r#"{"resource":"\u0063ronjobs"}"#, true),
            (r#"{"log":"{\"resource\":\"\\u0063ronjobs\"}"}"#, true),
            (r#"{"log":"\u005cu0063ronjobs"}"#, true),
            (r#"{"user":"job\u002Dcontroller"}"#, true),
            (r#"{"uri":"a\u0026b\u003cc"}"#, false),
            (r#"{"resource":"pods"}"#, false),
        ] {
            assert_eq!(prefilter.may_match(raw.as_bytes()), passes, "{raw}");
        }
    }
}
