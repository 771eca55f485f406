//! What the engine silently accepts in a rule although it can only be a mistake.

use rsigma_parser::value::SigmaValue;
use rsigma_parser::{ConditionExpr, DetectionItem, Modifier, Quantifier, SelectorPattern, SigmaRule};

use super::items;

/// The first such mistake in a rule.
pub(super) fn first(rule: &SigmaRule) -> Option<String> {
    let fitting = |pattern: &SelectorPattern| {
        rule.detection.named.keys().filter(|name| pattern.matches_detection_name(name)).count() as u64
    };
    let unmet = rule.detection.conditions.iter().find_map(|condition| unmet(condition, &fitting));
    unmet.or_else(|| items(rule).into_iter().find_map(odd_exists))
}

/// A selector that requires more detections than fit it.
fn unmet(condition: &ConditionExpr, fitting: &dyn Fn(&SelectorPattern) -> u64) -> Option<String> {
    match condition {
        ConditionExpr::Identifier(_) => None,
        ConditionExpr::Not(inner) => unmet(inner, fitting),
        ConditionExpr::And(inner) | ConditionExpr::Or(inner) => inner.iter().find_map(|inner| unmet(inner, fitting)),
        ConditionExpr::Selector { quantifier, pattern } => {
            let wanted = if let Quantifier::Count(wanted) = quantifier { *wanted } else { 1 };
            let there = fitting(pattern);
            (there < wanted).then(|| {
                format!("its condition says {quantifier} of {pattern}, and {there} of its detections fit that")
            })
        }
    }
}

fn odd_exists(item: &DetectionItem) -> Option<String> {
    let is_answer = |value: &SigmaValue| match value {
        SigmaValue::Bool(_) => true,
        SigmaValue::String(text) => ["true", "yes", "false", "no"].contains(&text.original.as_str()),
        _ => false,
    };
    let is_plain = matches!(item.values.as_slice(), [value] if is_answer(value));
    let name = item.field.name.as_deref().unwrap_or_default();
    (item.field.has_modifier(Modifier::Exists) && !is_plain).then(|| format!("{name}|exists is true or false"))
}
