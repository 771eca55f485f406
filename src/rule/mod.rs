//! Detection rules: YAML → compiled rules, and what a match of one says.

mod condition;
mod field;
mod interest;
mod literals;
mod mark;
mod need;
mod pack;
mod panther;
mod patch;
mod principal;
mod sigma;
mod template;
mod tune;
mod value;
mod view;
pub(crate) mod yaml;

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use condition::{Condition, Quantifier};
pub use field::{FIELDS, Field, Path, Step};
pub use interest::{Interest, Keeps, compile as compile_interests};
pub(crate) use literals::Searcher;
#[cfg(test)]
pub(crate) use literals::literals_of_interest;
pub use literals::{Prefilter, literals_of};
pub use pack::{Pack, load};
pub use principal::{Class, classify};
pub use sigma::Sigma;
pub(crate) use template::Piece;
pub use template::Template;
pub(crate) use tune::glob;
pub use tune::{Thresholds, Tuning, Warning};
pub use value::{Operand, Test as ValueTest, Value, is_public};
pub(crate) use value::{is_cidr, same};
pub(crate) use view::SYSTEM_NAMESPACES;
pub use view::View;
pub use yaml::RuleError;

/// Severity of a rule, by Panther's names, ascending.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// All, ascending.
    pub const ALL: [Severity; 5] =
        [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Severity::ALL.into_iter().find(|severity| severity.to_string() == text.to_ascii_lowercase());
        named.ok_or_else(|| "a severity is info, low, medium, high or critical".to_owned())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        })
    }
}

/// A compiled rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Panther's RuleID, or Sigma's id.
    pub id: String,
    /// DisplayName.
    pub name: String,
    /// Whether it is evaluated when loaded as part of a directory or pack.
    pub enabled: bool,
    /// Severity of its alerts.
    pub severity: Severity,
    /// What it finds and why that matters.
    pub description: String,
    /// What to do about a hit.
    pub runbook: String,
    /// Where to read more.
    pub reference: String,
    /// Harmless causes of a hit.
    pub false_positives: Vec<String>,
    /// MITRE ATT&CK techniques.
    pub mitre: Vec<String>,
    /// DedupPeriodMinutes.
    pub dedup_period: SignedDuration,
    /// How many matches of one dedup key within the period make an alert.
    pub threshold: u64,
    /// If set, the threshold counts distinct values of this path instead of matches.
    pub distinct: Option<Path>,
    /// Alert title.
    pub title: Template,
    /// Dedup key.
    pub dedup_key: Template,
    /// Stages it looks at; `None` for all but RequestReceived.
    pub stages: Option<Vec<String>>,
    /// When it matches.
    pub logic: Logic,
    /// Named conditions that suppress a match.
    pub exclusions: Vec<(String, Condition)>,
    /// Its own tests.
    pub tests: Vec<Test>,
    /// The file it comes from.
    pub file: String,
    /// Its first line in that file, from 1.
    pub line: usize,
    /// SHA-256 of that file.
    pub sha256: String,
}

impl Rule {
    /// Paths of the fields that its titles and dedup keys quote.
    pub(crate) fn quotes(&self) -> impl Iterator<Item = String> {
        let path = |piece: &Piece| if let Piece::Field(path, _) = piece { Some(path.to_string()) } else { None };
        self.title.0.iter().chain(&self.dedup_key.0).filter_map(path)
    }

    /// Whether it can match only requests on CronJobs; `None` for a Sigma rule, because only its engine knows.
    #[must_use]
    pub fn is_on_cronjobs(&self) -> Option<bool> {
        match &self.logic {
            Logic::Panther { detection } => Some(detection.is_on_cronjobs()),
            Logic::Sigma(_) => None,
        }
    }
}

/// The predicate of a rule.
#[derive(Debug, Clone)]
pub enum Logic {
    /// Match expressions.
    Panther {
        /// What must hold.
        detection: Condition,
    },
    /// A Sigma rule.
    Sigma(Box<Sigma>),
}

/// A test that a rule carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Whether the rule must hit. A suppressed match is not a hit.
    pub expected: bool,
    /// The record, as JSON.
    pub log: String,
    /// The title it must give.
    pub title: Option<String>,
    /// The dedup key it must give.
    pub dedup_key: Option<String>,
    /// The exclusion that must suppress it.
    pub suppressed_by: Option<String>,
    /// Whether it has Mocks, replies of functions that only Panther's Python rules call.
    pub has_mocks: bool,
}

/// What a rule says of an event it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct RuleMatch {
    /// RuleID.
    pub rule_id: String,
    /// Alert title.
    pub title: String,
    /// Matches with one key within the dedup period form one alert.
    pub dedup_key: String,
    /// The value that a distinct threshold counts.
    pub distinct: Option<String>,
    /// Why this match is not a hit.
    pub suppressed: Option<Suppression>,
    /// Tuning entries that fit, except that cluster and time are not yet checked: another copy of the request may know
    /// them.
    pub tuned: Vec<Tuned>,
}

/// A tuning entry that applies to a match if its cluster and time fit too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Tuned {
    /// The suppression it asks for.
    pub suppression: Suppression,
    /// The pattern that the cluster must fit.
    pub cluster: Option<String>,
    /// When it stops applying.
    #[borsh(serialize_with = "crate::spill::time::write", deserialize_with = "crate::spill::time::read")]
    pub expires: Option<Timestamp>,
}

/// What removes a match from the hits. The match stays visible, in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Suppression {
    /// The exclusion's name.
    pub by: String,
    /// A sentence for people.
    pub reason: String,
}
