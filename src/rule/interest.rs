//! Interests: records that are kept in addition to the matches of rules, because they help to explain them.

use std::sync::Arc;

use super::condition::{self, Condition};
use super::yaml::{self, RuleError};

/// A named condition that raises no alert.
#[derive(Debug, Clone)]
pub struct Interest {
    /// The name by which its observations are found.
    pub name: Arc<str>,
    /// When a record is kept.
    pub condition: Condition,
    /// How much of it is kept.
    pub keeps: Keeps,
}

/// How much is kept of a record that meets an interest and that no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// All that reports print.
    Whole,
    /// The same, but only an outline of status updates by controllers.
    OutlineOfStatus,
    /// An outline: what the record shows of an object, but not who made the request and how.
    Outline,
}

/// Compiles a file of interests: names, each with match expressions as in rules.
///
/// # Errors
/// The first thing wrong: file, line, what.
pub fn compile(file: &str, text: &str) -> Result<Vec<Interest>, RuleError> {
    let mut interests = Vec::new();
    for document in yaml::documents(text).map_err(|problem| problem.in_file(file))? {
        for member in document.map().map_err(|problem| problem.in_file(file))? {
            let condition = condition::compile(&member.value).map_err(|problem| problem.in_file(file))?;
            interests.push(Interest { name: member.key.as_str().into(), condition, keeps: Keeps::Whole });
        }
    }
    Ok(interests)
}
