//! What the runbook says of a CronJob and of an alert, as reports print it.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::rule::Severity;

/// What an indicator looks at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Category {
    Schedule,
    Image,
    Command,
    Privilege,
    Behaviour,
    Composite,
}

/// An indicator that matches, with the text it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Finding {
    /// The indicator's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its severity for this match.
    pub severity: Severity,
    /// What it looks at.
    pub category: Category,
    /// Path from the root of the CronJob, or the field of the event; for a composite, the ids it consists of.
    #[serde(rename = "where")]
    pub place: String,
    /// The text that matches, at most 200 characters.
    #[serde(rename = "match")]
    pub text: String,
    /// Whether that text was decoded from base64.
    #[serde(skip)]
    pub decoded: bool,
}

impl Finding {
    /// Approximate size in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + [&self.id, &self.name, &self.place, &self.text].map(String::len).iter().sum::<usize>()
    }
}

/// What the runbook concludes about an alert, ascending. Never `benign`: a dump cannot prove that.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
pub enum Verdict {
    /// Consistent with established activity; nothing in the spec matched.
    #[serde(rename = "EXPECTED")]
    Expected,
    /// A person should look.
    #[serde(rename = "REVIEW")]
    Review,
    /// Wrong unless somebody can explain it.
    #[serde(rename = "SUSPICIOUS")]
    Suspicious,
    /// Treat as an attack.
    #[serde(rename = "MALICIOUS-LIKELY")]
    MaliciousLikely,
}

impl Verdict {
    /// All, gravest first.
    pub const ALL: [Verdict; 4] = [Verdict::MaliciousLikely, Verdict::Suspicious, Verdict::Review, Verdict::Expected];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Expected => "EXPECTED",
            Verdict::Review => "REVIEW",
            Verdict::Suspicious => "SUSPICIOUS",
            Verdict::MaliciousLikely => "MALICIOUS-LIKELY",
        })
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Verdict::ALL.into_iter().find(|verdict| verdict.to_string() == text.to_ascii_uppercase());
        named.ok_or_else(|| "a verdict is expected, review, suspicious or malicious-likely".to_owned())
    }
}
