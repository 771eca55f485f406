//! Comparisons of two fields, which the engine sees as a field of its own that is true or false: its own comparison
//! looks into no list, and takes a number and its text for different.

use rsigma_eval::event::{Event, EventValue};
use rsigma_parser::value::SigmaValue;
use rsigma_parser::{Detection, DetectionItem, FieldSpec, Modifier};

/// No name in a rule contains it.
const MARK: char = '\0';

/// The modifiers that say how two texts compare: alone, or behind fieldref.
const WAYS: [Modifier; 4] = [Modifier::FieldRef, Modifier::Contains, Modifier::StartsWith, Modifier::EndsWith];

fn compares(way: usize, left: &str, right: &str) -> bool {
    match WAYS[way] {
        Modifier::Contains => left.contains(right),
        Modifier::StartsWith => left.starts_with(right),
        Modifier::EndsWith => left.ends_with(right),
        _ => left == right,
    }
}

/// A comparison of a field with one of several; `None` if the engine has to say what is wrong with it.
pub(super) fn told(field: &FieldSpec, others: &[SigmaValue]) -> Option<Detection> {
    let (cased, ways): (Vec<Modifier>, Vec<_>) =
        field.modifiers.iter().copied().partition(|modifier| *modifier == Modifier::Cased);
    let way = match ways.as_slice() {
        [Modifier::FieldRef] => 0,
        [Modifier::FieldRef, place] => WAYS.iter().position(|modifier| modifier == place)?,
        _ => return None,
    };
    let item = |other: &SigmaValue| {
        let SigmaValue::String(other) = other else { return None };
        let case = if cased.is_empty() { "" } else { "cased" };
        let name = [MARK.to_string(), format!("{way}{case}"), field.name.clone()?, other.as_plain()?];
        let field = FieldSpec::new(Some(name.join(&MARK.to_string())), Vec::new());
        Some(Detection::AllOf(vec![DetectionItem { field, values: vec![SigmaValue::from_raw_string("true")] }]))
    };
    others.iter().map(item).collect::<Option<_>>().map(Detection::AnyOf)
}

/// Whether the comparison of this name holds; `None` if the name is that of a field.
pub(super) fn holds(name: &str, event: &impl Event) -> Option<bool> {
    let parts: Vec<&str> = name.strip_prefix(MARK)?.split(MARK).collect();
    let &[_, how, left, right] = parts.as_slice() else { return None };
    let (way, case) = how.split_at(1);
    let way = way.parse().ok()?;
    let texts = |name: &str| {
        let mut found = Vec::new();
        event.get_field(name).iter().for_each(|value| texts(value, case.is_empty(), &mut found));
        found
    };
    let others = texts(right);
    Some(texts(left).iter().any(|left| others.iter().any(|right| compares(way, left, right))))
}

/// The texts of a value, or of the elements of a list.
fn texts(value: &EventValue<'_>, fold: bool, found: &mut Vec<String>) {
    match value {
        EventValue::Array(items) => items.iter().for_each(|item| texts(item, fold, found)),
        value => found.extend(value.as_str().map(|text| if fold { text.to_lowercase() } else { text.into_owned() })),
    }
}
