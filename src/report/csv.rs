//! The CSV reports (RFC 4180). A spreadsheet must not run what an attacker wrote, so cells that could start a formula
//! get a leading `'`. List items are joined with `;`.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::Value;

use super::Report;
use super::columns::{self, Column};
use crate::aggregate::Hit;
use crate::spill::Sorted;

pub(super) fn hits(hits: &Sorted<Hit>, out: &mut dyn io::Write) -> io::Result<()> {
    hit_rows(&columns::HIT, hits, out)
}

pub(super) fn suppressed(hits: &Sorted<Hit>, out: &mut dyn io::Write) -> io::Result<()> {
    hit_rows(&[&columns::HIT[..], &columns::SUPPRESSION].concat(), hits, out)
}

fn hit_rows(columns: &[Column], hits: &Sorted<Hit>, out: &mut dyn io::Write) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(columns.iter().map(|(name, _)| name))?;
    for hit in hits.read()? {
        let hit = hit?;
        for (_, read) in columns {
            writer.write_field(escape(read(&hit)).as_bytes())?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}

pub(super) fn alerts(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let columns = [
        "alert_id",
        "rule_id",
        "severity",
        "title",
        "cluster",
        "namespace",
        "username",
        "hits",
        "first_seen",
        "last_seen",
        "dedup_key",
        "mitre",
        "verdict",
    ];
    rows(&columns, report.finished.alerts.read()?, out)
}

pub(super) fn inputs(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let columns = [
        "path",
        "member",
        "bytes",
        "sha256",
        "container",
        "format",
        "members",
        "records",
        "events",
        "not_audit",
        "malformed",
        "truncated",
        "salvaged",
        "duplicates",
        "outside",
        "hits",
        "first_time",
        "last_time",
        "status",
        "error",
    ];
    rows(&columns, report.finished.inputs.iter().map(Ok), out)
}

/// Writes rows of serialisable items, whose members are looked up by column.
fn rows<T: Serialize>(
    columns: &[&str],
    items: impl Iterator<Item = io::Result<T>>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(columns)?;
    for item in items {
        let value = serde_json::to_value(item?)?;
        writer.write_record(columns.iter().map(|column| cell(value.get(column))))?;
    }
    writer.flush()
}

pub(super) fn coverage(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(["cluster", "day", "first_seen", "last_seen", "hours_seen", "gaps"])?;
    for day in &report.finished.coverage {
        let gaps = day.gaps.iter().map(|gap| format!("{}/{}", gap.start, gap.end));
        writer.write_record([
            escape(day.cluster.as_deref().unwrap_or_default()).into_owned(),
            day.day.to_string(),
            day.first_seen.to_string(),
            day.last_seen.to_string(),
            day.hours_seen.to_string(),
            list(gaps),
        ])?;
    }
    writer.flush()
}

pub(super) fn summary(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let columns = [
        "hits",
        "alerts",
        "created",
        "modified",
        "deleted",
        "denied",
        "dry_run",
        "suppressed",
        "first_seen",
        "last_seen",
        "cronjobs",
        "clusters",
        "platforms",
        "source_ips",
        "user_agents",
        "images",
        "schedules",
        "max_severity",
        "verdict",
    ];
    let mut writer = writer(out);
    writer.write_record(report.group_by.iter().map(String::as_str).chain(columns))?;
    for group in &report.finished.summary {
        let keys = group.keys.iter().map(|key| escape(key.as_deref().unwrap_or_default()).into_owned());
        let mut value = serde_json::to_value(group)?;
        // A row counts the alerts; their ids are in alerts.csv.
        value["alerts"] = group.alerts.len().into();
        writer.write_record(keys.chain(columns.map(|column| cell(value.get(column)))))?;
    }
    writer.flush()
}

fn writer(out: &mut dyn io::Write) -> ::csv::Writer<&mut dyn io::Write> {
    ::csv::WriterBuilder::new().terminator(::csv::Terminator::Any(b'\n')).from_writer(out)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => escape(text.as_str()).into_owned(),
        Some(Value::Array(items)) => {
            list(items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)))
        }
        Some(other) => escape(other.to_string()).into_owned(),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    escape(joined(&items.collect::<Vec<_>>())).into_owned()
}

/// Joins items with `;`. Inside an item, `\` and `;` are written `\\` and `\;`.
pub(super) fn joined(items: &[String]) -> Cow<'_, str> {
    match items {
        [item] if !item.contains(['\\', ';']) => item.into(),
        _ => {
            items.iter().map(|item| item.replace('\\', "\\\\").replace(';', "\\;")).collect::<Vec<_>>().join(";").into()
        }
    }
}

/// Prevents a spreadsheet from reading a cell as a formula. To undo, remove one leading `'`.
fn escape<'t>(text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
    let text = text.into();
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) { format!("'{text}").into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_start_a_formula() {
        for text in ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'x"] {
            assert_eq!(escape(text), format!("'{text}"));
        }
        assert_eq!(escape("a=1"), "a=1");
        assert_eq!(list(["a;b".to_owned(), "c\\".to_owned()].into_iter()), "a\\;b;c\\\\");
        assert_eq!(list(["=x".to_owned()].into_iter()), "'=x");
    }
}
