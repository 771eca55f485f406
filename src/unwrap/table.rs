//! Query results: positional rows, lists of field and value, and columns whose names are dotted paths.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Envelope, Fields, Leaf, Platform, Raw, Step, Walk};
use crate::json;

/// The answer of Log Analytics' query API: `tables[].rows[][]`, whose columns stand beside the rows.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(tables) = fields.get("tables").filter(|raw| raw.first() == Some(&b'[')) else { return false };
    let told = envelope.named("azure-query", None);
    walk.inside(Step::Key("tables"), |walk| walk.each(tables, &told, table));
    true
}

fn table<'a>(walk: &mut Walk<'_, '_>, table: Raw<'a>, told: &Envelope<'a>) {
    let Some(fields) = Fields::read(table) else { return walk.leaf(Leaf::Other, told) };
    let columns = fields.get("columns").map(json::elements).into_iter().flatten();
    let names: Vec<Cow<'a, str>> = columns.filter_map(|column| Fields::read(column)?.text("name")).collect();
    let Some(rows) = fields.get("rows").filter(|raw| raw.first() == Some(&b'[')) else {
        return walk.leaf(Leaf::Other, told);
    };
    walk.inside(Step::Key("rows"), |walk| {
        walk.each(rows, told, |walk, row, told| {
            let members = names.iter().cloned().zip(json::elements(row)).collect();
            walk.row(&Fields::from_entries(members), told);
        });
    });
}

/// A row of CloudWatch Logs Insights: `[{"field":…,"value":…},…]`.
pub(super) fn insights_row(raw: Raw<'_>) -> Option<Fields<'_>> {
    let cells = json::elements(raw).map(|cell| {
        let cell = Fields::read(cell)?;
        Some((cell.text("field")?, cell.get("value").unwrap_or(b"null")))
    });
    let cells: Vec<_> = cells.collect::<Option<_>>()?;
    (!cells.is_empty()).then(|| Fields::from_entries(cells))
}

/// Columns that tell a table whose names are paths: what Insights extracts, Splunk shows and Logs Explorer saves.
const PATHS: [&str; 5] = [
    "objectRef.resource",
    "user.username",
    "kubernetes.audit.verb",
    "kubernetes.audit.objectRef.resource",
    "protoPayload.methodName",
];

/// Opens such a row: its message where it has one, else what its fields say.
pub(super) fn open_insights<'a>(row: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) {
    let mut told = envelope.named("cloudwatch-insights", Some(Platform::Eks));
    told.time = row.get("@timestamp").or(told.time);
    match row.iter().position(|(field, _)| field == "@message") {
        Some(at) => walk.inside(Step::Index(at), |walk| {
            walk.member("value", row.get("@message").unwrap_or_default(), &told);
        }),
        None => walk.object(b"{}", row, &told),
    }
}

/// Whether such a row leaves open what was asked for: it has no column for that, and its path names CronJobs, or is not
/// there either.
pub(super) fn is_undecidable(fields: &Fields<'_>) -> bool {
    let get = |path: &str| fields.get(path).or_else(|| fields.get(&format!("kubernetes.audit.{path}")));
    let on_cronjobs = || get("requestURI").is_none_or(|uri| json::cut_string(uri).contains("/cronjobs"));
    get("verb").is_some() && get("objectRef.resource").is_none() && get("objectRef").is_none() && on_cronjobs()
}

/// The object that a row of such a table was made from, as JSON; `None` for any other object.
pub(super) fn nest(fields: &Fields<'_>) -> Option<String> {
    PATHS.iter().find(|path| fields.get(path).is_some())?;
    let mut object = Map::new();
    for (name, raw) in fields.iter().filter(|(_, raw)| !json::is_empty(raw)) {
        let path = name.strip_prefix("kubernetes.audit.").unwrap_or(name);
        match path.strip_suffix("{}").unwrap_or(path) {
            list @ ("sourceIPs" | "user.groups" | "impersonatedUser.groups") => insert(&mut object, list, items(raw)),
            path => insert(&mut object, path, cell(raw)),
        }
    }
    Some(Value::Object(object).to_string())
}

/// A cell of several values: an array, or lines.
fn items(raw: Raw<'_>) -> Value {
    match cell(raw) {
        Value::String(text) => text.lines().collect(),
        other => other,
    }
}

/// A cell: JSON where it holds an object or array, text otherwise.
fn cell(raw: Raw<'_>) -> Value {
    let text = json::string(raw).unwrap_or_else(|| String::from_utf8_lossy(raw));
    let structured = text.starts_with(['{', '[']) || !json::is_string(raw);
    structured.then(|| serde_json::from_str(&text).ok()).flatten().unwrap_or_else(|| Value::from(text.as_ref()))
}

/// Steps of a path; deeper ones stay one key.
const MAX_STEPS: usize = 16;

/// Puts a value at a dotted path. The keys of annotations and labels hold dots themselves, so there the rest is one key.
fn insert(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        Some((first, rest)) if rest.matches('.').count() < MAX_STEPS => {
            if rest.bytes().all(|byte| byte.is_ascii_digit()) {
                if let Value::Array(items) = object.entry(first).or_insert_with(|| Value::Array(Vec::new())) {
                    items.push(value);
                }
                return;
            }
            if let Value::Object(inner) = object.entry(first).or_insert_with(|| Value::Object(Map::new())) {
                if matches!(first, "annotations" | "labels") {
                    inner.insert(rest.to_owned(), value);
                } else {
                    insert(inner, rest, value);
                }
            }
        }
        _ => {
            object.insert(path.to_owned(), value);
        }
    }
}
