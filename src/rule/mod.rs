//! Detection rules: what they are called, and what a match of one is.

pub(crate) mod cronjob;

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::event::AuditEvent;

/// Severity of a rule, in Panther's words, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// A rule that can be evaluated.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Panther's RuleID.
    pub id: &'static str,
    /// DisplayName.
    pub name: &'static str,
    /// Severity of its alerts.
    pub severity: Severity,
    /// MITRE ATT&CK techniques.
    pub mitre: &'static [&'static str],
    /// DedupPeriodMinutes, as a duration.
    pub dedup_period: SignedDuration,
    /// Decides one event.
    pub matches: fn(&AuditEvent<'_>) -> Option<RuleMatch>,
}

/// What a rule says of one event that it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleMatch {
    /// RuleID.
    pub rule_id: String,
    /// Alert title.
    pub title: String,
    /// Hits of one key within the dedup period are one alert.
    pub dedup_key: String,
    /// Why this match is no hit.
    pub suppressed: Option<Suppression>,
}

/// What takes a match out of the hits. It stays visible, in its own file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The exclusion's name.
    pub by: String,
    /// A sentence for people.
    pub reason: String,
}

/// The rules that a scan evaluates unless told otherwise.
#[must_use]
pub fn builtin() -> Vec<Rule> {
    vec![cronjob::RULE]
}

/// Panther's limit for titles and dedup keys: beyond 1,000 characters, 985 and a mark.
fn limited(text: String) -> String {
    if text.chars().nth(1000).is_none() {
        return text;
    }
    let kept: String = text.chars().take(985).collect();
    kept + "... (truncated)"
}
