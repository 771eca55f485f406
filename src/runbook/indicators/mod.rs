//! Indicators: what in a CronJob points to an attack, as data, and the engine that searches for it.

mod blobs;
mod examples;
mod functions;
mod load;
mod matching;
mod pattern;
mod places;
mod shell;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use regex::bytes::RegexSet;
use serde::Serialize;
use serde_json::Value;

pub use self::examples::Tried;
use self::functions::Function;
use self::pattern::Pattern;
use self::places::Place;
use self::subject::Subject;
use crate::aggregate::{Category, Finding};
use crate::rule::Severity;
use crate::rule::yaml::Node;

/// The indicators and composites that a sweep searches for.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Read when first needed: a sweep without alerts needs none.
    entries: OnceLock<Entries>,
    /// Files they are read from, with their SHA-256.
    pub files: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default)]
struct Entries {
    indicators: Vec<Indicator>,
    composites: Vec<Composite>,
    texts: OnceLock<Option<Texts>>,
}

/// The expressions on texts that every CronJob has, joined so that one pass finds which match: few do.
#[derive(Debug, Clone)]
struct Texts {
    expressions: RegexSet,
    /// The index of the indicator that each expression belongs to.
    indicators: Vec<usize>,
}

/// Categories that an indicator may name.
const CATEGORIES: [(&str, Category); 5] = [
    ("schedule", Category::Schedule),
    ("image", Category::Image),
    ("command", Category::Command),
    ("privilege", Category::Privilege),
    ("behaviour", Category::Behaviour),
];

/// How suspicious a spec is on its own: nothing, something minor, one grave thing, several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    S0,
    S1,
    S2,
    S3,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// One thing to search for.
#[derive(Debug, Clone)]
pub struct Indicator {
    /// `CJ-CMD-01`.
    pub id: String,
    /// In a few words.
    pub name: String,
    /// What it is about.
    pub category: Category,
    /// Severity, unless a match is graded otherwise.
    pub severity: Severity,
    /// Whether it is searched for.
    pub enabled: bool,
    /// Why it matters.
    pub why: String,
    /// Where it is described.
    pub source: String,
    /// Harmless causes.
    pub false_positives: String,
    /// What it must find.
    pub positive: Vec<Example>,
    /// What it must not find.
    pub negative: Vec<Example>,
    at: Vec<Place>,
    test: Test,
    adjust: Vec<Adjust>,
    node: Node,
}

/// What is searched for in the places of an indicator.
#[derive(Debug, Clone, Default)]
struct Test {
    re: Option<Pattern>,
    equals: Option<Equals>,
    exists: bool,
    function: Option<Function>,
    unless: Vec<Pattern>,
    unless_decoded: Option<Pattern>,
    command: Option<Pattern>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    below: Option<f64>,
    names: Vec<String>,
}

/// The value, or a member of it, equals this.
#[derive(Debug, Clone)]
enum Equals {
    Value(Value),
    /// Paths to members, each with the value it must have.
    AnyMember(Vec<(String, Value)>),
}

/// Another severity, and when it applies.
#[derive(Debug, Clone)]
struct Adjust {
    severity: Severity,
    on: Condition,
}

#[derive(Debug, Clone)]
enum Condition {
    When(Pattern),
    Unless(Pattern),
    With(String),
}

/// Several findings that are significant together.
#[derive(Debug, Clone)]
pub struct Composite {
    /// `CJ-X-01`.
    pub id: String,
    /// In a few words.
    pub name: String,
    /// Whether it is searched for.
    pub enabled: bool,
    /// What it must find.
    pub positive: Vec<Example>,
    /// What it must not find.
    pub negative: Vec<Example>,
    all: Vec<String>,
    any: Vec<String>,
    node: Node,
}

/// What an indicator must find, or must not find.
#[derive(Debug, Clone, PartialEq)]
pub enum Example {
    /// The value in the place.
    Text(String),
    /// A part of a CronJob, with what is known about it.
    Spec(Value),
    /// Requests in order; the last one is judged.
    Events(Vec<Value>),
}

/// What is known about a CronJob besides its object.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, named where they are given")]
pub struct Context<'a> {
    /// Whether a member that the object lacks is missing, or may only be unknown.
    pub whole: bool,
    /// Allowed registries, optionally with a path; `*` stands for any text. If empty, their indicator is disabled.
    pub registries: &'a [String],
    /// Whether a component of the cluster made the request.
    pub actor_is_system: bool,
    /// From the parsed schedule. If unknown, the regular expressions decide.
    pub runs_per_day: Option<f64>,
    /// Whether the schedule names one date a year.
    pub one_date: bool,
    /// Whether the schedule names only dates that do not exist.
    pub never_fires: bool,
    /// Whether the schedule allows every day of the week. If it restricts these, cron also runs on days other than the
    /// date.
    pub any_weekday: bool,
}

impl Default for Context<'_> {
    /// Nothing is known.
    fn default() -> Self {
        Context {
            whole: true,
            registries: &[],
            actor_is_system: false,
            runs_per_day: None,
            one_date: false,
            never_fires: false,
            any_weekday: true,
        }
    }
}

/// Base64 in commands, args and env values that decodes to text, with its place. Decoded up to twice.
#[must_use]
pub fn decoded(object: &Value) -> Vec<(String, String)> {
    let context = Context::default();
    let containers = Subject::new(object, &context).containers;
    let texts = containers.into_iter().flat_map(|container| container.texts);
    texts.filter(|text| text.decoded && !text.rewritten).map(|text| (text.place_at(0).to_owned(), text.whole)).collect()
}

impl Catalogue {
    /// The indicator of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Indicator> {
        self.entries().indicators.iter().find(|indicator| indicator.id == id)
    }

    /// All indicators, including disabled ones.
    pub fn iter(&self) -> impl Iterator<Item = &Indicator> {
        self.entries().indicators.iter()
    }

    /// An indicator or composite in words, for those who meet its id on a page; `None` where there is none of this id.
    #[must_use]
    pub fn describe(&self, id: &str) -> Option<String> {
        let composite = || self.composites().find(|composite| composite.id == id).map(Composite::describe);
        self.get(id).map(Indicator::describe).or_else(composite)
    }

    /// All composites.
    pub fn composites(&self) -> impl Iterator<Item = &Composite> {
        self.entries().composites.iter()
    }

    /// Whether the regular expression of an enabled indicator matches a text, such as a field of an event.
    #[must_use]
    pub fn matches_text(&self, id: &str, text: &str) -> bool {
        let indicator = self.get(id).filter(|indicator| indicator.enabled);
        indicator.is_some_and(|indicator| indicator.find(pattern::cut(text)).is_some())
    }

    /// What is found in one CronJob, gravest first. A Job or Pod must be given in the shape of one.
    #[must_use]
    pub fn examine(&self, object: &Value, context: &Context<'_>) -> Vec<Finding> {
        let subject = Subject::new(object, context);
        let mut findings: Vec<Finding> =
            self.entries().that_may_find(&subject).flat_map(|indicator| indicator.examine(&subject)).collect();
        self.grade_together(&mut findings);
        let composites = self.composites().filter(|composite| composite.enabled);
        let composites: Vec<Finding> = composites.filter_map(|composite| composite.finding(&findings)).collect();
        findings.extend(composites);
        findings.sort_by(|left, right| {
            let key = |finding: &Finding| std::cmp::Reverse(finding.severity);
            (key(left), &left.id, &left.place).cmp(&(key(right), &right.id, &right.place))
        });
        findings.dedup_by(|later, kept| later.id == kept.id && later.place == kept.place);
        findings
    }

    /// Adjusts severities that depend on what else was found.
    fn grade_together(&self, findings: &mut [Finding]) {
        let found: Vec<String> = findings.iter().map(|finding| finding.id.clone()).collect();
        for finding in findings {
            let adjust = self.get(&finding.id).map(|indicator| indicator.adjust.as_slice()).unwrap_or_default();
            let holds = |adjust: &&Adjust| matches!(&adjust.on, Condition::With(id) if found.contains(id));
            if let Some(adjust) = adjust.iter().find(holds) {
                finding.severity = adjust.severity;
            }
        }
    }

    /// The level of a spec. Counts indicators, not their findings. Of those on behaviour, only those read from the spec
    /// count.
    #[must_use]
    pub fn level(&self, findings: &[Finding]) -> Level {
        let mut worst: BTreeMap<&str, (Severity, Category)> = BTreeMap::new();
        for finding in findings.iter().filter(|finding| self.counts(finding)) {
            let entry = worst.entry(&finding.id).or_insert((finding.severity, finding.category));
            entry.0 = entry.0.max(finding.severity);
        }
        let of = |wanted: Severity| worst.values().filter(move |(severity, _)| *severity == wanted);
        let in_categories = |wanted: Severity| {
            let mut categories: Vec<Category> = of(wanted).map(|(_, category)| *category).collect();
            let count = categories.len();
            categories.sort_unstable();
            categories.dedup();
            (count, categories.len())
        };
        let (highs, high_categories) = in_categories(Severity::High);
        let (mediums, medium_categories) = in_categories(Severity::Medium);
        match of(Severity::Critical).count() {
            1.. => Level::S3,
            0 if highs >= 3 || high_categories >= 2 => Level::S3,
            0 if highs >= 1 || (mediums >= 3 && medium_categories >= 2) => Level::S2,
            0 if mediums >= 1 || of(Severity::Low).count() >= 1 => Level::S1,
            0 => Level::S0,
        }
    }

    fn counts(&self, finding: &Finding) -> bool {
        finding.category != Category::Behaviour || self.get(&finding.id).is_some_and(Indicator::is_of_spec)
    }
}

impl Entries {
    /// Enabled indicators, except those whose expression matches none of the texts it is for.
    fn that_may_find(&self, subject: &Subject<'_>) -> impl Iterator<Item = &Indicator> {
        let mut may_find: Vec<bool> = self.indicators.iter().map(|indicator| indicator.enabled).collect();
        if let Some(texts) = self.texts.get_or_init(|| Texts::new(&self.indicators)) {
            texts.indicators.iter().for_each(|&at| may_find[at] = false);
            for text in places::texts(subject) {
                let fitting = texts.expressions.matches(text.as_bytes());
                fitting.iter().for_each(|nth| may_find[texts.indicators[nth]] = true);
            }
        }
        self.indicators.iter().zip(may_find).filter(|(_, may_find)| *may_find).map(|(indicator, _)| indicator)
    }
}

impl Texts {
    /// `None` if the expressions cannot be compiled together; each must then be tried.
    fn new(indicators: &[Indicator]) -> Option<Self> {
        let of_texts =
            indicators.iter().enumerate().filter(|(_, indicator)| indicator.enabled && indicator.is_of_texts());
        let (indicators, patterns): (Vec<usize>, Vec<&Pattern>) =
            of_texts.filter_map(|(at, indicator)| Some((at, indicator.test.re.as_ref()?))).unzip();
        pattern::together(&patterns).map(|expressions| Texts { expressions, indicators })
    }
}

/// What is told of an entry under labels, without those that say nothing.
fn paragraphs<const N: usize>(told: [(&str, String); N]) -> String {
    let told = told.into_iter().filter(|(_, told)| !told.is_empty());
    told.fold(String::new(), |text, (label, told)| text + "\n" + label + "\n  " + &told + "\n")
}

impl Indicator {
    fn describe(&self) -> String {
        let category = CATEGORIES.iter().find(|(_, category)| *category == self.category).map_or("", |(name, _)| name);
        let told = [("Why", &self.why), ("Harmless", &self.false_positives), ("Source", &self.source)];
        let told = told.map(|(label, told)| (label, told.clone()));
        format!("{}\n{} ({}, {category})\n{}", self.id, self.name, self.severity, paragraphs(told))
    }
}

impl Composite {
    fn describe(&self) -> String {
        let told = [("All of", &self.all), ("Any of", &self.any)].map(|(label, ids)| (label, ids.join(", ")));
        format!("{}\n{} (critical, several findings together)\n{}", self.id, self.name, paragraphs(told))
    }

    fn finding(&self, findings: &[Finding]) -> Option<Finding> {
        let found = |id: &&String| findings.iter().any(|finding| finding.id == **id);
        let any: Vec<&String> = self.any.iter().filter(found).collect();
        if !self.all.iter().all(|id| found(&id)) || (any.is_empty() && !self.any.is_empty()) {
            return None;
        }
        let ids: Vec<&str> = self.all.iter().chain(any).map(String::as_str).collect();
        let first = ids.first().and_then(|id| findings.iter().find(|finding| finding.id == *id));
        Some(Finding {
            id: self.id.clone(),
            name: self.name.clone(),
            severity: Severity::Critical,
            category: Category::Composite,
            place: ids.join(" + "),
            text: first.map(|finding| finding.text.clone()).unwrap_or_default(),
            decoded: first.is_some_and(|finding| finding.decoded),
        })
    }
}

impl Indicator {
    /// Whether it is read from the object, rather than from the request or its history.
    #[must_use]
    pub fn is_of_spec(&self) -> bool {
        self.at.iter().any(|place| !matches!(place, Place::Event))
    }

    /// Whether one of its places or its function concerns the request or its history.
    fn needs_events(&self) -> bool {
        let is_event = |place: &Place| matches!(place, Place::Event);
        self.at.iter().any(is_event) || self.test.function == Some(Function::History)
    }
}
