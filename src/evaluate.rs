//! Rules over one event: stateless, and without allocation where nothing matches.

use crate::event::AuditEvent;
use crate::rule::{Rule, RuleMatch};

/// What the rules say of an event, in rule order.
#[must_use]
pub fn evaluate(rules: &[Rule], event: &AuditEvent<'_>) -> Vec<RuleMatch> {
    rules.iter().filter_map(|rule| (rule.matches)(event)).collect()
}
