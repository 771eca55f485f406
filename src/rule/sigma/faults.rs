//! What the engine silently accepts in a rule although it can only be a mistake.

use rsigma_parser::value::SigmaValue;
use rsigma_parser::{ConditionExpr, DetectionItem, Modifier, Quantifier, SelectorPattern, SigmaRule};

use super::items;
use crate::rule::yaml::{Kind, Member, Node, Problem};

/// What a document says that the engine's parser takes for something else, or leaves out.
pub(super) fn of_document(document: &Node) -> Option<Problem> {
    let Kind::Map(members) = &document.get("detection")?.value else { return None };
    members.iter().find_map(|member| match member.key.as_str() {
        "condition" => None,
        "timeframe" => Some(Problem::new(
            member.line,
            "a Sigma timeframe is not evaluated; take it out, and count with Threshold in a rule of Panther's form",
        )),
        _ => nested(&member.value),
    })
}

/// A mapping or list inside the values of a selection. Brackets in a key select elements, of which a mapping is
/// expected.
fn nested(selection: &Node) -> Option<Problem> {
    let is_plain = |value: &Node| matches!(value.value, Kind::Scalar(_));
    let of_member = |Member { line, key, value }: &Member| {
        let plain = match &value.value {
            Kind::List(values) => values.iter().all(is_plain),
            _ => is_plain(value),
        };
        let what =
            || format!("{key} is compared with text, numbers, or a list of these; name a member as {key}.member");
        (!plain && !key.contains('[')).then(|| Problem::new(*line, what()))
    };
    match &selection.value {
        Kind::Map(members) => members.iter().find_map(of_member),
        Kind::List(selections) => selections.iter().find_map(nested),
        Kind::Scalar(_) => None,
    }
}

/// The first such mistake in a rule.
pub(super) fn first(rule: &SigmaRule) -> Option<String> {
    let fitting = |pattern: &SelectorPattern| {
        let sees_hidden = matches!(pattern, SelectorPattern::Pattern(text) if text.starts_with('_'));
        let fits = |name: &&String| pattern.matches_detection_name(name) && (sees_hidden || !name.starts_with('_'));
        rule.detection.named.keys().filter(fits).count() as u64
    };
    let has = |name: &str| rule.detection.named.contains_key(name);
    let unmet = rule.detection.conditions.iter().find_map(|condition| unmet(condition, &fitting, &has));
    unmet.or_else(|| items(rule).into_iter().find_map(odd_exists))
}

/// A name of no detection, or a selector that requires more detections than fit it.
fn unmet(
    condition: &ConditionExpr,
    fitting: &dyn Fn(&SelectorPattern) -> u64,
    has: &dyn Fn(&str) -> bool,
) -> Option<String> {
    match condition {
        ConditionExpr::Identifier(name) => {
            (!has(name)).then(|| format!("its condition names {name}, and none of its detections has that name"))
        }
        ConditionExpr::Not(inner) => unmet(inner, fitting, has),
        ConditionExpr::And(inner) | ConditionExpr::Or(inner) => {
            inner.iter().find_map(|inner| unmet(inner, fitting, has))
        }
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
