//! Rewrites a rule so that the engine finds what Sigma means. Left to itself, the engine anchors `startswith` and
//! `endswith` at the wrong end of a value with wildcards, stops wildcards at line breaks, requires all of several
//! keywords in one text, encodes otherwise than pySigma, finds no missing field where null is one of several values,
//! and nothing at all in a missing field that a value is not to be in.

use std::collections::HashMap;

use rsigma_parser::value::{SigmaValue, SpecialChar, StringPart};
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, FieldSpec, Modifier, SelectorPattern, SigmaRule};

use super::{CODE, DECISION, encoded, reference};

/// Modifiers that say where in a field a value is looked for. With others, values are no text.
const PLACES: [Modifier; 4] = [Modifier::Contains, Modifier::StartsWith, Modifier::EndsWith, Modifier::Cased];

type Told<T> = Result<T, String>;

/// The same rule, rewritten for the engine; or what it says that cannot be evaluated.
pub(super) fn told(rule: &SigmaRule) -> Told<SigmaRule> {
    let mut rule = rule.clone();
    rule.detection.named = named(std::mem::take(&mut rule.detection.named), false)?;
    rule.detection.conditions = rule.detection.conditions.into_iter().map(condition).collect();
    Ok(rule)
}

/// Rewrites detections and their names. Patterns leave out names that begin with an underscore, unless they begin with
/// one: all others, patterns too, get a sign in front.
fn named(all: HashMap<String, Detection>, in_element: bool) -> Told<HashMap<String, Detection>> {
    all.into_iter().map(|(name, detection)| Ok((signed(&name), whole(detection, in_element)?))).collect()
}

fn signed(name: &str) -> String {
    if name.starts_with('_') { name.to_owned() } else { format!("+{name}") }
}

fn condition(expression: ConditionExpr) -> ConditionExpr {
    let each = |inner: Vec<ConditionExpr>| inner.into_iter().map(condition).collect();
    match expression {
        ConditionExpr::Identifier(name) => ConditionExpr::Identifier(signed(&name)),
        ConditionExpr::And(inner) => ConditionExpr::And(each(inner)),
        ConditionExpr::Or(inner) => ConditionExpr::Or(each(inner)),
        ConditionExpr::Not(inner) => ConditionExpr::Not(Box::new(condition(*inner))),
        ConditionExpr::Selector { quantifier, pattern: SelectorPattern::Pattern(pattern) } => {
            ConditionExpr::Selector { quantifier, pattern: SelectorPattern::Pattern(signed(&pattern)) }
        }
        them @ ConditionExpr::Selector { .. } => them,
    }
}

/// Rewrites a detection. `in_element`: whether an item without a field is the element of a list, not a keyword.
fn whole(detection: Detection, in_element: bool) -> Told<Detection> {
    let each =
        |inner: Vec<Detection>| inner.into_iter().map(|detection| whole(detection, in_element)).collect::<Told<_>>();
    Ok(match detection {
        Detection::AllOf(items) if !items.is_empty() => {
            Detection::And(items.into_iter().map(|inner| item(inner, in_element)).collect::<Told<_>>()?)
        }
        Detection::Keywords(values) if !values.is_empty() && !in_element => {
            item(DetectionItem { field: FieldSpec::new(None, Vec::new()), values }, false)?
        }
        Detection::AnyOf(inner) => Detection::AnyOf(each(inner)?),
        Detection::And(inner) => Detection::And(each(inner)?),
        Detection::ArrayMatch { field, quantifier, body } => {
            Detection::ArrayMatch { field, quantifier, body: Box::new(whole(*body, true)?) }
        }
        Detection::Conditional { named: inner, condition: joined } => {
            Detection::Conditional { named: named(inner, in_element)?, condition: condition(joined) }
        }
        other => other,
    })
}

/// An item, with what its modifiers say of all its values together.
fn item(mut item: DetectionItem, in_element: bool) -> Told<Detection> {
    if takes(&mut item.field, Modifier::Neq) {
        return self::item(item, in_element).map(not);
    }
    let is_keyword = item.field.name.is_none() && !in_element;
    let name = item.field.name.clone().unwrap_or_else(|| "a keyword".to_owned());
    if let Some(what) = refused(&item, is_keyword, in_element) {
        return Err(format!("{name}{what}"));
    }
    let all = takes(&mut item.field, Modifier::All);
    let DetectionItem { field, values } = if is_keyword { keywords(item) } else { item };
    let any = |values| any(&field, values).map_err(|what| format!("a modifier of {name} {what}"));
    if !all {
        return any(values);
    }
    values.into_iter().map(|value| any(vec![value])).collect::<Told<_>>().map(Detection::And)
}

/// What the engine would evaluate otherwise than it is written.
fn refused(item: &DetectionItem, is_keyword: bool, in_element: bool) -> Option<&'static str> {
    let has = |modifier| item.field.has_modifier(modifier);
    [
        (item.values.is_empty(), " has no value; take it out, or write null for a field that is missing"),
        (has(Modifier::Expand), "|expand needs a list of values that is not here; write the values out"),
        (in_element && has(Modifier::FieldRef), "|fieldref is not evaluated inside the elements of a list"),
        (has(Modifier::All) && item.values.len() == 1 && !is_keyword, "|all needs several values"),
    ]
    .into_iter()
    .find_map(|(is_refused, what)| is_refused.then_some(what))
}

/// Text that must occur somewhere in the event. Several required texts may occur in different places.
fn keywords(mut item: DetectionItem) -> DetectionItem {
    item.values = item.values.into_iter().map(written).collect();
    if item.field.modifiers.iter().all(|modifier| *modifier == Modifier::Cased || encoded::is_encoder(*modifier)) {
        item.field.modifiers.push(Modifier::Contains);
    }
    item
}

/// Whether the field had the modifier, which it loses.
fn takes(field: &mut FieldSpec, modifier: Modifier) -> bool {
    let before = field.modifiers.len();
    field.modifiers.retain(|other| *other != modifier);
    field.modifiers.len() < before
}

fn not(detection: Detection) -> Detection {
    let name = "it".to_owned();
    let condition = ConditionExpr::Not(Box::new(ConditionExpr::Identifier(name.clone())));
    Detection::Conditional { named: HashMap::from([(name, detection)]), condition }
}

/// A field that has one of several values.
fn any(field: &FieldSpec, values: Vec<SigmaValue>) -> Told<Detection> {
    if !field.modifiers.iter().all(|modifier| PLACES.contains(modifier) || encoded::is_encoder(*modifier)) {
        let left_alone = |values| Detection::AllOf(vec![DetectionItem { field: field.clone(), values }]);
        return Ok(reference::told(field, &values).unwrap_or_else(|| left_alone(values)));
    }
    let (nulls, values): (Vec<_>, Vec<_>) = values.into_iter().partition(|value| *value == SigmaValue::Null);
    let values = values.into_iter().map(|value| encoded::texts(value, &field.modifiers)).collect::<Told<Vec<_>>>()?;
    let places: Vec<Modifier> = field.modifiers.iter().copied().filter(|modifier| PLACES.contains(modifier)).collect();
    let (wild, plain): (Vec<_>, Vec<_>) = values.concat().into_iter().map(worded).partition(is_wild);
    // A response code that is a word is the authorizer's decision.
    let of_decision = |value: &&SigmaValue| field.name.as_deref() == Some(CODE) && places.is_empty() && is_word(value);
    let words: Vec<_> = plain.iter().filter(of_decision).cloned().collect();
    let expressions = wild.into_iter().map(|value| expression(value, &places)).collect();
    let name = || field.name.clone();
    let told = [
        (FieldSpec::new(name(), Vec::new()), nulls),
        (of_expressions(name(), &places), expressions),
        (FieldSpec::new(Some(format!("annotations.{DECISION}")), Vec::new()), words),
        (FieldSpec::new(name(), places.clone()), plain),
    ];
    let told = told.into_iter().filter(|(_, values)| !values.is_empty());
    Ok(Detection::AnyOf(told.map(|(field, values)| Detection::AllOf(vec![DetectionItem { field, values }])).collect()))
}

/// The same field, to be compared with regular expressions in which `.` is any character.
fn of_expressions(name: Option<String>, places: &[Modifier]) -> FieldSpec {
    let case = (!places.contains(&Modifier::Cased)).then_some(Modifier::IgnoreCase);
    FieldSpec::new(name, [Modifier::Re, Modifier::DotAll].into_iter().chain(case).collect())
}

/// A boolean as its text: the engine takes `yes` and `1` for true.
fn worded(value: SigmaValue) -> SigmaValue {
    if matches!(value, SigmaValue::Bool(_)) { written(value) } else { value }
}

/// A number or boolean as its text.
fn written(value: SigmaValue) -> SigmaValue {
    match value {
        SigmaValue::Integer(_) | SigmaValue::Float(_) | SigmaValue::Bool(_) => {
            SigmaValue::from_raw_string(&value.to_string())
        }
        text => text,
    }
}

fn is_wild(value: &SigmaValue) -> bool {
    matches!(value, SigmaValue::String(text) if text.contains_wildcards())
}

fn is_word(value: &SigmaValue) -> bool {
    let SigmaValue::String(text) = value else { return false };
    text.as_plain().is_some_and(|text| !text.is_empty() && text.chars().all(char::is_alphabetic))
}

fn expression(value: SigmaValue, places: &[Modifier]) -> SigmaValue {
    let SigmaValue::String(text) = value else { return value };
    let is_open = |end: Modifier| places.contains(&Modifier::Contains) || places.contains(&end);
    let start = if is_open(Modifier::EndsWith) { "" } else { "^" };
    let end = if is_open(Modifier::StartsWith) { "" } else { "$" };
    let parts: String = text.parts.iter().map(part).collect();
    SigmaValue::from_raw_string(&format!("{start}{parts}{end}"))
}

fn part(part: &StringPart) -> String {
    match part {
        StringPart::Plain(text) => regex::escape(text),
        StringPart::Special(SpecialChar::WildcardMulti) => ".*".to_owned(),
        StringPart::Special(SpecialChar::WildcardSingle) => ".".to_owned(),
    }
}
