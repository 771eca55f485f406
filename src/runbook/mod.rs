//! The rule's runbook, computed: the 24 hours before, the schedule and image, the user's past 30 days.

use crate::rule::{Interest, RuleError, compile_interests};

/// How much is kept beside the matches of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Requests on CronJobs.
    Hits,
    /// These, and what the controllers made of the CronJobs.
    Runbook,
}

/// What a sweep is to keep.
///
/// # Errors
/// None that a test would not have found: the file is embedded.
pub fn interests(scope: Scope) -> Result<Vec<Interest>, RuleError> {
    let mut interests = compile_interests("interests.yml", include_str!("interests.yml"))?;
    if scope == Scope::Hits {
        interests.truncate(1);
    }
    Ok(interests)
}
