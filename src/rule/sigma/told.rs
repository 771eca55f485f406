//! Rewrites a rule so that the engine finds what Sigma means: rsigma anchors `startswith` and `endswith` at the wrong
//! end of a value with wildcards, stops wildcards at line breaks, and requires all of several keywords in one text.

use rsigma_parser::value::{SigmaValue, SpecialChar, StringPart};
use rsigma_parser::{Detection, DetectionItem, FieldSpec, Modifier, SigmaRule};

/// Modifiers with which a value is text that may contain wildcards.
const OF_TEXT: [Modifier; 6] =
    [Modifier::Contains, Modifier::StartsWith, Modifier::EndsWith, Modifier::All, Modifier::Cased, Modifier::Neq];

/// The same rule, rewritten for the engine.
pub(super) fn told(rule: &SigmaRule) -> SigmaRule {
    let mut rule = rule.clone();
    let named = std::mem::take(&mut rule.detection.named);
    rule.detection.named = named.into_iter().map(|(name, detection)| (name, whole(detection, false))).collect();
    rule
}

/// Rewrites a detection. `in_element`: whether an item without a field is the element of a list, not a keyword.
fn whole(detection: Detection, in_element: bool) -> Detection {
    let each = |inner: Vec<Detection>| inner.into_iter().map(|detection| whole(detection, in_element)).collect();
    match detection {
        Detection::AllOf(items) if !items.is_empty() => {
            let is_keyword = |item: &DetectionItem| item.field.name.is_none() && !in_element;
            let told = |item: DetectionItem| if is_keyword(&item) { keywords(item) } else { values(item) };
            Detection::And(items.into_iter().map(told).collect())
        }
        Detection::Keywords(values) if !values.is_empty() && !in_element => {
            keywords(DetectionItem { field: FieldSpec::new(None, Vec::new()), values })
        }
        Detection::AnyOf(inner) => Detection::AnyOf(each(inner)),
        Detection::And(inner) => Detection::And(each(inner)),
        Detection::ArrayMatch { field, quantifier, body } => {
            Detection::ArrayMatch { field, quantifier, body: Box::new(whole(*body, true)) }
        }
        Detection::Conditional { named, condition } => {
            let named = named.into_iter().map(|(name, detection)| (name, whole(detection, in_element))).collect();
            Detection::Conditional { named, condition }
        }
        other => other,
    }
}

/// Text that must occur somewhere in the event. Several required texts may occur in different places.
fn keywords(item: DetectionItem) -> Detection {
    let all = item.field.modifiers.contains(&Modifier::All);
    let mut modifiers: Vec<Modifier> = without_all(item.field.modifiers);
    if modifiers.iter().all(|modifier| matches!(modifier, Modifier::Cased | Modifier::Neq)) {
        modifiers.push(Modifier::Contains);
    }
    let found = |texts| values(DetectionItem { field: FieldSpec::new(None, modifiers.clone()), values: texts });
    let texts = item.values.into_iter().map(written);
    if all { Detection::And(texts.map(|text| found(vec![text])).collect()) } else { found(texts.collect()) }
}

fn without_all(modifiers: Vec<Modifier>) -> Vec<Modifier> {
    modifiers.into_iter().filter(|modifier| *modifier != Modifier::All).collect()
}

/// Values of a field. If one of them has wildcards, all become regular expressions, except null.
fn values(item: DetectionItem) -> Detection {
    let DetectionItem { field, values } = item;
    let is_wild = |value: &SigmaValue| matches!(value, SigmaValue::String(text) if text.contains_wildcards());
    if !values.iter().any(is_wild) || !field.modifiers.iter().all(|modifier| OF_TEXT.contains(modifier)) {
        return Detection::AllOf(vec![DetectionItem { field, values }]);
    }
    let (nulls, texts): (Vec<_>, Vec<_>) = values.into_iter().partition(|value| *value == SigmaValue::Null);
    let expressions = texts.into_iter().map(written).map(|value| expression(value, &field.modifiers)).collect();
    let told = DetectionItem { field: of_expressions(&field), values: expressions };
    let told = [told, DetectionItem { field: field.clone(), values: nulls }];
    let told =
        told.into_iter().filter(|item| !item.values.is_empty()).map(|item| Detection::AllOf(vec![item])).collect();
    let is_any = !field.modifiers.iter().copied().any(is_link);
    if is_any { Detection::AnyOf(told) } else { Detection::And(told) }
}

/// The same field, to be compared with regular expressions in which `.` is any character.
fn of_expressions(field: &FieldSpec) -> FieldSpec {
    let case = (!field.modifiers.contains(&Modifier::Cased)).then_some(Modifier::IgnoreCase);
    let links = field.modifiers.iter().copied().filter(|modifier| is_link(*modifier));
    let modifiers = [Modifier::Re, Modifier::DotAll].into_iter().chain(case).chain(links).collect();
    FieldSpec::new(field.name.clone(), modifiers)
}

/// Whether the modifier says how several values are combined, rather than what each value is.
fn is_link(modifier: Modifier) -> bool {
    matches!(modifier, Modifier::All | Modifier::Neq)
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

fn expression(value: SigmaValue, modifiers: &[Modifier]) -> SigmaValue {
    let SigmaValue::String(text) = value else { return value };
    let is_open = |end: Modifier| modifiers.contains(&Modifier::Contains) || modifiers.contains(&end);
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
