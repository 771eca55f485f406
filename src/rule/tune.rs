//! What users change about rules without editing them: suppressions with a reason and an end, and severities.

use std::path::Path;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::yaml::{self, Node, Parsed, Problem, RuleError, unknown};
use super::{Class, Rule, Severity, Suppression, Tuned, View};
use crate::decode::sha256;
use crate::rule::value::Value;

/// A tuning file.
#[derive(Debug, Clone, Default)]
pub struct Tuning {
    file: String,
    sha256: String,
    suppressions: Vec<Entry>,
    severities: Vec<(usize, String, Severity)>,
    /// Registries that images may come from, as patterns with `*`.
    pub registries: Vec<String>,
    /// Thresholds of the runbook.
    pub thresholds: Thresholds,
    gitops: Vec<(bool, String)>,
}

/// Thresholds of the runbook. All values are design choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in docs/runbook.md, as keys of the tuning file")]
pub struct Thresholds {
    pub established_writes: u64,
    pub established_days: u64,
    pub established_span_days: u64,
    pub partly_writes: u64,
    pub partly_days: u64,
    pub covered_days: u64,
    pub burst_writes: u64,
    pub burst_minutes: u64,
    pub probing_failures: u64,
    pub routine_writes: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            established_writes: 5,
            established_days: 3,
            established_span_days: 7,
            partly_writes: 3,
            partly_days: 2,
            covered_days: 7,
            burst_writes: 5,
            burst_minutes: 5,
            probing_failures: 3,
            routine_writes: 5,
        }
    }
}

impl Thresholds {
    fn by_name(&mut self) -> [(&'static str, &mut u64); 10] {
        [
            ("established_writes", &mut self.established_writes),
            ("established_days", &mut self.established_days),
            ("established_span_days", &mut self.established_span_days),
            ("partly_writes", &mut self.partly_writes),
            ("partly_days", &mut self.partly_days),
            ("covered_days", &mut self.covered_days),
            ("burst_writes", &mut self.burst_writes),
            ("burst_minutes", &mut self.burst_minutes),
            ("probing_failures", &mut self.probing_failures),
            ("routine_writes", &mut self.routine_writes),
        ]
    }

    fn set(&mut self, name: &str, line: usize, value: u64) -> Parsed<()> {
        let mut all = self.by_name();
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => **slot = value,
            None => return Err(unknown(line, "threshold", name, all.iter().map(|(known, _)| *known))),
        }
        Ok(())
    }
}

/// Keys of a tuning file.
const SECTIONS: [&str; 5] = ["suppress", "severity", "registries", "gitops", "runbook"];

/// One suppression. Every pattern it gives must fit.
#[derive(Debug, Clone)]
struct Entry {
    line: usize,
    name: String,
    rule: Option<String>,
    patterns: Vec<(&'static str, String)>,
    cluster: Option<String>,
    reason: String,
    expires: Option<Timestamp>,
}

/// A part of a rule or tuning file that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

/// Keys of patterns in an entry, and the fields they are compared with.
const FIELDS: [(&str, &str); 5] = [
    ("namespace", "namespace"),
    ("username", "username"),
    ("user_agent", "userAgent"),
    ("name", "name"),
    ("image", "images"),
];
const KEYS: [&str; 5] = ["id", "rule", "cluster", "reason", "expires"];

impl Tuning {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or names something unknown; with file and line.
    pub fn load(path: &Path) -> Result<Self, RuleError> {
        let file = path.display().to_string();
        let text = yaml::read(path)?;
        let tuning = Self::parse(&file, &text).map_err(|problem| problem.in_file(&file))?;
        Ok(Tuning { sha256: sha256(text.as_bytes()), ..tuning })
    }

    /// The file it was read from, with its SHA-256.
    #[must_use]
    pub fn source(&self) -> Option<(&str, &str)> {
        (!self.sha256.is_empty()).then_some((&self.file, &self.sha256))
    }

    fn parse(file: &str, text: &str) -> Parsed<Self> {
        let mut tuning = Tuning { file: file.to_owned(), ..Tuning::default() };
        for document in yaml::documents(text)? {
            for member in document.map()? {
                match member.key.as_str() {
                    "suppress" => {
                        for node in member.value.list()? {
                            tuning.suppress(entry(node)?)?;
                        }
                    }
                    "severity" => {
                        for change in member.value.map()? {
                            let severity = change.value.text()?.parse();
                            let severity =
                                severity.map_err(|problem: String| Problem::new(change.value.line, problem))?;
                            tuning.severities.push((change.line, change.key.clone(), severity));
                        }
                    }
                    "registries" => tuning.registries.extend(member.value.texts()?),
                    "gitops" => tuning.gitops(&member.value)?,
                    "runbook" => {
                        for threshold in member.value.map()? {
                            let value = threshold.value.integer()?;
                            tuning.thresholds.set(&threshold.key, threshold.line, value)?;
                        }
                    }
                    other => return Err(unknown(member.line, "key", other, SECTIONS.into_iter())),
                }
            }
        }
        Ok(tuning)
    }

    /// Adds a suppression. Reports identify suppressions by name, so two must not share one.
    fn suppress(&mut self, entry: Entry) -> Parsed<()> {
        if let Some(other) = self.suppressions.iter().find(|other| other.name == entry.name) {
            let problem = format!("the id {} is that of line {} too; give each its own", entry.name, other.line);
            return Err(Problem::new(entry.line, problem));
        }
        self.suppressions.push(entry);
        Ok(())
    }

    /// Reads `add` and `remove`: patterns of usernames.
    fn gitops(&mut self, node: &Node) -> Parsed<()> {
        for member in node.map()? {
            let is_added = match member.key.as_str() {
                "add" => true,
                "remove" => false,
                other => return Err(unknown(member.line, "key", other, ["add", "remove"].into_iter())),
            };
            self.gitops.extend(member.value.texts()?.into_iter().map(|pattern| (is_added, pattern)));
        }
        Ok(())
    }

    /// The class of a user, after the additions to and removals from the GitOps tools and operators.
    #[must_use]
    pub fn class(&self, username: &str, class: Class) -> Class {
        let fits = |(_, pattern): &&(bool, String)| glob(pattern, username);
        match self.gitops.iter().rev().find(fits) {
            Some((true, _)) => Class::Gitops,
            Some((false, _)) if class == Class::Gitops => Class::WorkloadSa,
            _ => class,
        }
    }

    /// Everything that decides which matches there are, which are suppressed, and what is recorded of that, as text to
    /// compare. Line numbers are left out.
    pub(crate) fn suppressions_text(&self) -> String {
        let parts = |entry: &Entry| {
            let Entry { line: _, name, rule, patterns, cluster, reason, expires } = entry;
            format!("{:?}", (name, rule, patterns, cluster, reason, expires))
        };
        // Rules see the class of a user, which these patterns change.
        let classes = if self.gitops.is_empty() { String::new() } else { format!("{:?}", self.gitops) };
        self.suppressions.iter().map(parts).chain([classes]).collect::<Vec<_>>().join("\n")
    }

    /// The severity that the tuning gives a rule.
    #[must_use]
    pub fn severity(&self, rule: &str) -> Option<Severity> {
        self.severities.iter().rev().find(|(_, id, _)| id == rule).map(|(_, _, severity)| *severity)
    }

    /// Entries that have no effect: for unknown rules, or expired at `now`.
    pub(super) fn warnings(&self, rules: &[Rule], now: Timestamp) -> Vec<Warning> {
        let known = |id: &str| rules.iter().any(|rule| rule.id == id);
        let at = |line: usize, what: String| Warning(format!("{}:{line}: {what}", self.file));
        let unknown_severity = self.severities.iter().filter(|(_, id, _)| !known(id));
        let mut warnings: Vec<Warning> =
            unknown_severity.map(|(line, id, _)| at(*line, format!("no rule {id} is evaluated"))).collect();
        for entry in &self.suppressions {
            if let Some(rule) = entry.rule.as_ref().filter(|rule| !known(rule)) {
                warnings.push(at(entry.line, format!("no rule {rule} is evaluated")));
            }
            if let Some(end) = entry.expires.filter(|end| *end <= now) {
                warnings.push(at(entry.line, format!("the suppression {} ended at {end}", entry.name)));
            }
        }
        warnings
    }

    /// Entries that suppress a match if the cluster and the time of its request fit too.
    #[must_use]
    pub fn fitting(&self, rule: &str, view: &View<'_>) -> Vec<Tuned> {
        let fitting = self.suppressions.iter().filter(|entry| entry.fits(rule, view));
        let tuned = fitting.map(|entry| Tuned {
            suppression: Suppression { by: entry.name.clone(), reason: entry.reason.clone() },
            cluster: entry.cluster.clone(),
            expires: entry.expires,
        });
        tuned.collect()
    }
}

impl Tuned {
    /// Whether it fits the cluster and time of a request. An entry with an end applies only to requests before it: a
    /// request of unknown time may be later, so it is not suppressed.
    #[must_use]
    pub fn fits(&self, cluster: Option<&str>, time: Option<Timestamp>) -> bool {
        let fits = |pattern: &String| cluster.is_some_and(|cluster| glob(pattern, cluster));
        let in_time = self.expires.is_none_or(|end| time.is_some_and(|time| time < end));
        in_time && self.cluster.as_ref().is_none_or(fits)
    }
}

impl Entry {
    fn fits(&self, rule: &str, view: &View<'_>) -> bool {
        let of_rule = self.rule.as_deref().is_none_or(|wanted| wanted == rule);
        of_rule && self.patterns.iter().all(|(field, pattern)| fits(view, field, pattern))
    }
}

/// Whether a field, or every value of a list, fits a pattern: one foreign image is enough to prevent suppression.
fn fits(view: &View<'_>, field: &str, pattern: &str) -> bool {
    let Some(field) = super::FIELDS.iter().find(|known| known.name == field) else { return false };
    let value = (field.read)(view);
    let fits = |value: &Value<'_>| value.print().is_some_and(|text| glob(pattern, &text));
    match value.elements() {
        Some(items) => !items.is_empty() && items.iter().all(fits),
        None => fits(&value),
    }
}

/// Whether text fits a pattern in which `*` stands for any text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let text = text.as_bytes();
    let mut parts = pattern.as_bytes().split(|&byte| byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&[u8]> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn entry(node: &Node) -> Parsed<Entry> {
    let known = || FIELDS.iter().map(|(name, _)| *name).chain(KEYS);
    let mut entry = Entry {
        line: node.line,
        name: format!("tuning line {}", node.line),
        rule: None,
        patterns: Vec::new(),
        cluster: None,
        reason: String::new(),
        expires: None,
    };
    for member in node.map()? {
        let text = member.value.text();
        match member.key.as_str() {
            "id" => text?.clone_into(&mut entry.name),
            "rule" => entry.rule = Some(text?.to_owned()),
            "cluster" => entry.cluster = Some(text?.to_owned()),
            "reason" => text?.clone_into(&mut entry.reason),
            "expires" => entry.expires = Some(end(&member.value)?),
            key => match FIELDS.iter().find(|(name, _)| *name == key) {
                // An empty pattern would fit events without the field, which nobody who leaves a value out means.
                Some(_) if text.as_ref().is_ok_and(|text| text.is_empty()) => {
                    let problem = format!("{key} is empty; write a pattern, or take it away");
                    return Err(Problem::new(member.line, problem));
                }
                Some((_, field)) => entry.patterns.push((field, text?.to_owned())),
                None => return Err(unknown(member.line, "key", key, known())),
            },
        }
    }
    if entry.reason.is_empty() {
        return Err(Problem::new(node.line, "a suppression needs a reason"));
    }
    if entry.rule.is_none() && entry.patterns.is_empty() && entry.cluster.is_none() {
        return Err(Problem::new(node.line, "a suppression needs a rule or a pattern; this one would hide everything"));
    }
    Ok(entry)
}

fn end(node: &Node) -> Parsed<Timestamp> {
    let text = node.text()?;
    let date = || text.parse::<Date>().ok()?.to_zoned_datetime(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let problem = || Problem::new(node.line, format!("{text} is neither a date (2027-01-31) nor a time"));
    text.parse().ok().or_else(date).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_patterns_are_not_empty() {
        for (text, sentence) in [
            (
                "suppress:\n- {id: a, rule: X, reason: r}\n- {id: a, rule: Y, reason: r}\n",
                "the id a is that of line 2 too",
            ),
            ("suppress:\n- {username: '', reason: r}\n", "username is empty"),
        ] {
            let problem = Tuning::parse("t.yml", text).unwrap_err().in_file("t.yml").to_string();
            assert!(problem.contains(sentence), "{problem}");
        }
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("prod", "prod", true),
            ("prod", "prod2", false),
            ("prod*", "prod2", true),
            ("*/backup:*", "registry/backup:1", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
            ("a*a", "a", false),
            ("1.dkr.ecr.*.amazonaws.com/*", "1.dkr.ecr.eu-west-1.amazonaws.com/a", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
