//! Query results: positional rows, lists of field and value, and columns whose names are dotted paths.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Envelope, Fields, Leaf, Platform, Raw, Step, Walk, step};
use crate::{json, names};

/// Where responses keep the names of their columns, and their rows: Log Analytics and Azure Data Explorer
/// (learn.microsoft.com, "Query response"), ES|QL (elastic.co), PPL and SQL of OpenSearch (docs.opensearch.org). Lookup
/// ignores case.
const TABLES: [(&str, &str); 3] = [("columns", "rows"), ("columns", "values"), ("schema", "datarows")];

/// Opens responses of positional rows with their columns listed separately: one table, or several in `tables`.
pub(super) fn open<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let Some(tables) = list(fields, "tables") else {
        return table(fields, &envelope.named("query", None), walk);
    };
    let told = envelope.named("azure-query", None);
    walk.inside(step(fields, "tables"), |walk| {
        walk.each(tables, &told, |walk, raw, told| {
            if !Fields::read(raw).is_some_and(|fields| table(&fields, told, walk)) {
                walk.leaf(Leaf::Other, told);
            }
        });
    });
    true
}

/// Opens the rows of a table; false if this is not one.
fn table<'a>(fields: &Fields<'a>, told: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let held = |(columns, rows)| Some((list(fields, columns)?, step(fields, rows), list(fields, rows)?));
    let Some((columns, step, rows)) = TABLES.into_iter().find_map(held) else { return false };
    let name = |column| {
        let column = Fields::read(column)?;
        ["name", "ColumnName"].iter().find_map(|key| column.text(key))
    };
    let names: Vec<Cow<'a, str>> = json::elements(columns).filter_map(name).collect();
    walk.inside(step, |walk| {
        walk.each(rows, told, |walk, row, told| {
            let members = names.iter().cloned().zip(json::elements(row)).collect();
            walk.row(&Fields::from_entries(members), told);
        });
    });
    true
}

fn list<'a>(fields: &Fields<'a>, key: &str) -> Option<Raw<'a>> {
    fields.get_folded(key).filter(|raw| raw.first() == Some(&b'['))
}

/// Reads a row of CloudWatch Logs Insights: `[{"field":…,"value":…},…]`.
pub(super) fn insights_row(raw: Raw<'_>) -> Option<Fields<'_>> {
    let cells = json::elements(raw).map(|cell| {
        let cell = Fields::read(cell)?;
        Some((cell.text("field")?, cell.get("value").unwrap_or(b"null")))
    });
    let cells: Vec<_> = cells.collect::<Option<_>>()?;
    (!cells.is_empty()).then(|| Fields::from_entries(cells))
}

/// Columns that mark a table whose column names are paths: as Insights extracts, Splunk shows, Logs Explorer saves, and
/// GDC flattens them.
const PATHS: [&str; 6] = [
    "objectRef.resource",
    "objectRef_resource",
    "user.username",
    "kubernetes.audit.verb",
    "kubernetes.audit.objectRef.resource",
    "protoPayload.methodName",
];

/// Opens an Insights row: its message if it has one, otherwise its fields.
pub(super) fn open_insights<'a>(row: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) {
    let told = super::siem::beside(row, &envelope.named("cloudwatch-insights", Some(Platform::Eks)));
    match row.iter().position(|(field, _)| field == "@message") {
        Some(at) => walk.inside(Step::Index(at), |walk| {
            walk.member("value", row.get("@message").unwrap_or_default(), &told);
        }),
        None => walk.object(as_object(row).as_bytes(), row, &told),
    }
}

/// The members as the text of an object.
pub(super) fn as_object(fields: &Fields<'_>) -> String {
    let members = fields.iter().map(|(name, raw)| format!("{}:{}", Value::from(name), String::from_utf8_lossy(raw)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Whether such a row does not show which resource was requested: it has a verb but no column for the resource, and its
/// request path names CronJobs or is absent too.
pub(super) fn is_undecidable(fields: &Fields<'_>) -> bool {
    let columns = Columns::of(fields);
    let get = |field: &str| fields.iter().find(|(name, _)| columns.path(name) == field).map(|(_, raw)| raw);
    let on_cronjobs = || get("requestURI").is_none_or(|uri| json::cut_string(uri).contains("/cronjobs"));
    get("verb").is_some() && get("objectRef.resource").is_none() && get("objectRef").is_none() && on_cronjobs()
}

/// What such a row says besides its event.
pub(super) fn told<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Envelope<'a> {
    super::siem::beside(fields, &envelope.named("columns", None))
}

/// The object that a row of such a table was made from, as JSON; `None` for any other object.
///
/// A member under its event name takes precedence over columns that stand for it.
pub(super) fn nest(fields: &Fields<'_>) -> Option<String> {
    let columns = Columns::of(fields);
    columns.is_table(fields).then_some(())?;
    // If several members share a name, the last counts. A row may have thousands of columns, and each looks others up.
    let members: BTreeMap<&str, Raw<'_>> = fields.iter().collect();
    let is_outdone = |name: &str| columns.is_outdone(name, |key| members.get(key).copied());
    let mut object = Map::new();
    for (name, raw) in fields.iter().filter(|(name, _)| !is_outdone(name)) {
        let path = columns.path(name);
        // Requests without an object leave its columns empty.
        if json::is_empty(raw) {
            let object_ref = path.starts_with("objectRef").then(|| object.entry("objectRef"));
            object_ref.map(|entry| entry.or_insert_with(|| Value::Object(Map::new())));
            continue;
        }
        match path.strip_suffix("{}").unwrap_or(&path) {
            list @ ("sourceIPs" | "user.groups" | "impersonatedUser.groups") => insert(&mut object, list, items(raw)),
            path => insert(&mut object, path, respelled(path, cell(raw))),
        }
    }
    Some(Value::Object(object).to_string())
}

/// Members that show that a record is no table, or one of another kind.
const NO_TABLE: [&str; 4] = ["objectRef", "ObjectRef", "RawEvent", "p_log_type"];
/// Event members that are objects, and are text in a cell of their own.
const QUOTED: [&str; 2] = ["objectRef", "user"];

/// How the columns of a row are named.
struct Columns<'f> {
    /// What stands in front of the fields, if the names are those of an event.
    prefix: Option<&'f str>,
}

impl<'f> Columns<'f> {
    fn of(fields: &'f Fields<'_>) -> Self {
        let may_be = NO_TABLE.iter().all(|key| fields.get(key).is_none()) && !super::siem::is_kubernetes_object(fields);
        let prefix = may_be.then(|| names::prefix(&fields.iter().map(|(name, _)| name))).flatten();
        Columns { prefix }
    }

    fn is_table(&self, fields: &Fields<'_>) -> bool {
        let is_text = |key: &&str| fields.get(key).and_then(json::string).is_some_and(|text| text.starts_with('{'));
        let stands_in = |name: &str| fields.get(name).is_some() && !self.is_outdone(name, |member| fields.get(member));
        self.prefix.is_some()
            || PATHS.iter().any(|path| stands_in(path))
            || fields.get("verb").is_some() && QUOTED.iter().any(is_text)
    }

    /// The path that a column name stands for.
    fn path<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let prefix = self.prefix.filter(|prefix| !prefix.is_empty()).unwrap_or("kubernetes.audit.");
        let path = name.strip_prefix(prefix).unwrap_or(name);
        names::path(path).unwrap_or(Cow::Borrowed(path))
    }

    /// Whether the event member that this column stands for, or is part of, is present under its event name.
    fn is_outdone<'a>(&self, name: &str, get: impl Fn(&str) -> Option<Raw<'a>>) -> bool {
        let path = self.path(name);
        let member = path.split('.').next().unwrap_or_default();
        let member = member.strip_suffix("{}").unwrap_or(member);
        member != name && get(member).is_some_and(|raw| !json::is_empty(raw))
    }
}

/// The value with its keys spelled as audit.k8s.io spells them.
fn respelled(field: &str, value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (names::key(field, &name), value)).collect())
        }
        value => value,
    }
}

/// The values of a cell with several: an array, or lines.
fn items(raw: Raw<'_>) -> Value {
    match cell(raw) {
        Value::String(text) => text.lines().collect(),
        other => other,
    }
}

/// The value of a cell: JSON if it holds an object or array or is not a string, otherwise text.
fn cell(raw: Raw<'_>) -> Value {
    let text = json::string(raw).unwrap_or_else(|| String::from_utf8_lossy(raw));
    let structured = text.starts_with(['{', '[']) || !json::is_string(raw);
    structured.then(|| serde_json::from_str(&text).ok()).flatten().unwrap_or_else(|| Value::from(text.as_ref()))
}

/// Most dots in the rest of a path that is split further; a deeper rest stays one key.
const MAX_STEPS: usize = 16;

/// Inserts a value at a dotted path. Keys of annotations and labels contain dots, so after these the rest is one key.
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
