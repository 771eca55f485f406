//! Members of a JSON object as words: tables say which, in what order, and how.

use serde_json::Value;

use super::text::{clean, fence, raw};

/// Most items shown of a list.
pub(super) const LISTED: usize = 40;
/// How a value is shown.
pub(super) type Show = fn(&str) -> String;
/// A key, a boolean, and the words printed if the object has this value.
pub(super) type Mark = (&'static str, bool, &'static str);
/// Words before, a key, how its value is shown, words after, and marks in brackets.
pub(super) type Field = (&'static str, &'static str, Show, &'static str, &'static [Mark]);
pub(super) const NO_MARKS: &[Mark] = &[];

/// `text -> path (member):record#offset pointer auditID id`.
pub(super) fn with_evidence(text: &str, of: &Value) -> String {
    let plain = clean as Show;
    let keys =
        [("", "path", ""), (" (", "member", ")"), (":", "record", ""), ("#", "offset", ""), (" ", "pointer", "")];
    let mut place: Vec<String> =
        told(&of["evidence"], &keys.map(|(before, key, after)| (before, key, plain, after, NO_MARKS)));
    place.extend(told(of, &[(" auditID ", "audit_id", plain, "", NO_MARKS)]));
    if place.is_empty() { text.to_owned() } else { format!("{text} -> {}", fence(place.concat().trim_start())) }
}

/// The fields in words. Those without a value are left out.
pub(super) fn told(of: &Value, fields: &[Field]) -> Vec<String> {
    let one = |&(before, key, show, after, marks): &Field| {
        let text = shown(of, key, show)?;
        let marks = marks.iter().filter(|(key, wanted, _)| of[*key] == *wanted).map(|(.., words)| *words);
        let marks: Vec<&str> = marks.collect();
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        Some(format!("{before}{text}{after}{marks}"))
    };
    fields.iter().filter_map(one).collect()
}

/// A value, or the items of a list; `None` if empty.
pub(super) fn shown(of: &Value, key: &str, show: Show) -> Option<String> {
    let Value::Array(all) = &of[key] else {
        return Some(raw(&of[key])).filter(|text| !text.is_empty()).map(|text| show(&text));
    };
    let items: Vec<String> = all.iter().take(LISTED).map(|item| show(&raw(item))).chain(more(of, key)).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

pub(super) fn items(of: &Value, key: &str, item: impl Fn(&Value) -> String) -> Vec<String> {
    list(of, key).iter().take(LISTED).map(item).chain(more(of, key)).collect()
}

/// How many items of a list are not shown, including those left out of runbook.json too.
pub(super) fn more(of: &Value, key: &str) -> Option<String> {
    let there = list(of, key).len().saturating_sub(LISTED);
    match (there, of["more"][key].as_u64()) {
        (0, None) => None,
        (0, Some(cut)) => Some(format!("and {cut} more")),
        (there, None) => Some(format!("and {there} more in runbook.json")),
        (there, Some(cut)) => Some(format!("and {} more, {there} of them in runbook.json", there as u64 + cut)),
    }
}

pub(super) fn list<'v>(of: &'v Value, key: &str) -> &'v [Value] {
    of[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
