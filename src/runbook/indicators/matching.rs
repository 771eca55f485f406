//! One indicator applied to one CronJob: where it looks, what counts, and how grave that is.

use std::ops::Range;

use serde_json::Value;

use super::functions::Function;
use super::pattern::Pattern;
use super::places::{self, Place, Trail};
use super::subject::{Container, Subject, Text};
use super::{Adjust, Condition, Equals, Finding, Indicator, Severity, blobs};
use crate::runbook::spec::print;

/// Most characters of a match that a finding keeps.
const EXCERPT: usize = 200;
/// Most matches in one text that exceptions may discard, to bound the work. The next one counts even if it is an
/// exception.
const MOST_EXCEPTIONS: usize = 256;

impl Indicator {
    pub(super) fn examine(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let Some(function) = self.test.function else {
            return self.at.iter().flat_map(|place| self.at_place(place, subject)).collect();
        };
        function.findings(self, subject)
    }

    fn at_place(&self, place: &Place, subject: &Subject<'_>) -> Vec<Finding> {
        match place {
            Place::Event => Vec::new(),
            Place::Command => self.in_commands(subject, &|_, _| true),
            Place::EnvName => {
                subject.env_names().filter_map(|(place, name, value)| self.in_env(place, name, value)).collect()
            }
            Place::Paths(paths) => {
                let mut findings = Vec::new();
                let mut visit = |trail: &Trail<'_>, value| findings.extend(self.in_value(trail, value));
                for path in paths {
                    path.visit(subject, &mut visit);
                }
                findings
            }
        }
    }

    /// Whether it finds nothing unless its expression matches one of [`places::texts`].
    pub(super) fn is_of_texts(&self) -> bool {
        let test = &self.test;
        let needs_match =
            test.function.map_or(test.equals.is_none() && !test.exists, Function::needs_match) && test.re.is_some();
        needs_match && self.at.iter().all(Place::is_searched)
    }

    /// The gravest finding in the commands of each container.
    pub(super) fn in_commands(
        &self,
        subject: &Subject<'_>,
        accept: &dyn Fn(&str, &Range<usize>) -> bool,
    ) -> Vec<Finding> {
        let in_text = |text: &Text| {
            let range = self.find_where(&text.whole, &|range| accept(&text.whole, range))?;
            let matched = &text.whole[range.clone()];
            let start = range.start + (matched.len() - matched.trim_start().len());
            let mut finding = self.finding(text.place_at(start).to_owned(), matched.trim(), &text.whole);
            finding.decoded = text.decoded;
            Some(finding)
        };
        let gravest = |container: &Container<'_>| {
            let findings = container.texts.iter().filter_map(in_text);
            findings.reduce(|kept, next| if next.severity > kept.severity { next } else { kept })
        };
        subject.containers.iter().filter_map(gravest).collect()
    }

    fn in_env(&self, place: String, name: &str, value: &str) -> Option<Finding> {
        let range = self.test.re.as_ref()?.find(name)?;
        let assignment = format!("{name}={value}");
        let excepted = self.test.unless.iter().any(|unless| unless.is_match(&assignment));
        (!excepted).then(|| self.finding(place, &name[range], &assignment))
    }

    fn in_value(&self, trail: &Trail<'_>, value: &Value) -> Vec<Finding> {
        let mut findings = self.equal(trail, value);
        if self.test.exists {
            let json = value.to_string();
            findings.push(self.finding(trail.place(), &json, &json));
        }
        let searched = places::searched(trail, value);
        if let Some((text, range)) = searched.as_deref().and_then(|text| Some((text, self.find(text)?))) {
            // What is quoted must be in the log.
            let written = value.as_str().filter(|written| !written.starts_with(text));
            findings.push(self.finding(trail.place(), written.unwrap_or(&text[range]), text));
        }
        findings
    }

    fn equal(&self, trail: &Trail<'_>, value: &Value) -> Vec<Finding> {
        let members = match &self.test.equals {
            Some(Equals::Value(wanted)) if wanted == value => return vec![self.member(trail.place(), value)],
            Some(Equals::AnyMember(members)) => members.as_slice(),
            _ => &[],
        };
        let mut findings = Vec::new();
        for (steps, wanted) in members {
            places::down(trail, value, steps, &mut |trail, value| {
                if value == wanted {
                    findings.push(self.member(trail.place(), value));
                }
            });
        }
        findings
    }

    fn member(&self, place: String, value: &Value) -> Finding {
        let text = format!("{}: {}", places::last(&place), print(value));
        self.finding(place, &text, &text)
    }

    pub(super) fn find(&self, text: &str) -> Option<Range<usize>> {
        self.find_where(text, &|_| true)
    }

    /// The first match that is not an exception.
    pub(super) fn find_where(&self, text: &str, accept: &dyn Fn(&Range<usize>) -> bool) -> Option<Range<usize>> {
        let matches = self.test.re.as_ref()?.find_iter(text).enumerate();
        let mut counting =
            matches.filter(|(nth, range)| *nth >= MOST_EXCEPTIONS || (!self.is_excepted(text, range) && accept(range)));
        counting.next().map(|(_, range)| range)
    }

    fn is_excepted(&self, text: &str, range: &Range<usize>) -> bool {
        if self.test.unless.is_empty() && self.test.unless_decoded.is_none() {
            return false;
        }
        // A command has many words; any other value is one.
        let is_command = self.at.iter().any(|place| matches!(place, Place::Command));
        let rest = &text[range.end..];
        let end = range.end + rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = if is_command { &text[range.start..end] } else { text };
        let decodes =
            |unless: &Pattern| blobs::decode(&text[range.clone()]).into_iter().any(|decoded| unless.is_match(&decoded));
        self.test.unless.iter().any(|unless| unless.is_match(word))
            || self.test.unless_decoded.as_ref().is_some_and(decodes)
    }

    /// A finding, graded by the value that contains the match.
    pub(super) fn finding(&self, place: String, matched: &str, value: &str) -> Finding {
        Finding {
            id: self.id.clone(),
            name: self.name.clone(),
            severity: self.graded(value),
            category: self.category,
            place,
            text: matched.chars().take(EXCERPT).collect(),
            decoded: false,
        }
    }

    /// The severity of a finding in this value.
    pub(in crate::runbook) fn graded(&self, value: &str) -> Severity {
        let holds = |adjust: &&Adjust| match &adjust.on {
            Condition::When(pattern) => pattern.is_match(value),
            Condition::Unless(pattern) => !pattern.is_match(value),
            Condition::With(_) => false,
        };
        self.adjust.iter().find(holds).map_or(self.severity, |adjust| adjust.severity)
    }
}
