//! The CSV reports (RFC 4180). A spreadsheet must not run what an attacker wrote, so cells that could start a
//! formula get a leading `'`; list items join with `;`.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;
use serde_json::Value;

use super::Report;
use crate::aggregate::Hit;
use crate::spill::Sorted;

/// Columns of hits.csv: the keys of hits.jsonl, nested ones dotted.
pub(super) const HIT_COLUMNS: [&str; 59] = [
    "rule_id",
    "rule_name",
    "severity",
    "alert_id",
    "title",
    "dedup_key",
    "mitre",
    "time",
    "time_source",
    "platform",
    "cluster",
    "account",
    "region",
    "audit_id",
    "stage",
    "level",
    "outcome",
    "response_code",
    "response_reason",
    "response_message",
    "change",
    "verb",
    "api_group",
    "api_version",
    "resource",
    "subresource",
    "namespace",
    "name",
    "request_uri",
    "username",
    "uid",
    "groups",
    "actor.arn",
    "actor.canonical_arn",
    "actor.session",
    "actor.access_key_id",
    "actor.principal_id",
    "impersonated_user",
    "principal_class",
    "source_ips",
    "trusted_ip",
    "user_agent",
    "cronjob.schedule",
    "cronjob.schedule_text",
    "cronjob.suspend",
    "cronjob.service_account",
    "cronjob.images",
    "cronjob.commands",
    "cronjob.spec_source",
    "indicators",
    "truncated",
    "damaged",
    "malformed_fields",
    "copies",
    "evidence.path",
    "evidence.member",
    "evidence.record",
    "evidence.offset",
    "evidence.pointer",
];

const SUPPRESSION_COLUMNS: [&str; 2] = ["suppressed_by", "reason"];

pub(super) fn hits(hits: &Sorted<Hit>, out: &mut dyn io::Write) -> io::Result<()> {
    rows(&HIT_COLUMNS, hits.read()?, out)
}

pub(super) fn suppressed(hits: &Sorted<Hit>, out: &mut dyn io::Write) -> io::Result<()> {
    let columns: Vec<&str> = HIT_COLUMNS.iter().chain(&SUPPRESSION_COLUMNS).copied().collect();
    rows(&columns, hits.read()?, out)
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
    rows(&columns, report.finished.alerts.iter().map(Ok), out)
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

/// Rows of serialisable things, their members looked up by column.
fn rows<T: Serialize>(
    columns: &[&str],
    items: impl Iterator<Item = io::Result<T>>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(columns)?;
    for item in items {
        let value = serde_json::to_value(item?)?;
        writer.write_record(columns.iter().map(|column| cell(lookup(&value, column))))?;
    }
    writer.flush()
}

pub(super) fn coverage(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(["cluster", "day", "first_seen", "last_seen", "hours_seen", "gaps"])?;
    for day in &report.finished.coverage {
        let gaps = day.gaps.iter().map(|gap| format!("{}/{}", gap.start, gap.end));
        writer.write_record([
            escape(day.cluster.as_deref().unwrap_or_default()),
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
    let counts = [
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
    writer.write_record(report.group_by.iter().map(String::as_str).chain(counts))?;
    let set = |set: &BTreeSet<String>| list(set.iter().cloned());
    for group in &report.finished.summary {
        let keys = group.keys.iter().map(|key| escape(key.as_deref().unwrap_or_default()));
        let numbers = [
            group.hits,
            group.alerts.len() as u64,
            group.created,
            group.modified,
            group.deleted,
            group.denied,
            group.dry_run,
            group.suppressed,
        ];
        let times =
            [group.first_seen, group.last_seen].map(|time| time.map(|time| time.to_string()).unwrap_or_default());
        let sets = [
            &group.cronjobs,
            &group.clusters,
            &group.platforms,
            &group.source_ips,
            &group.user_agents,
            &group.images,
            &group.schedules,
        ];
        let severity = group.max_severity.map(|severity| severity.to_string()).unwrap_or_default();
        let row = keys.chain(numbers.map(|number| number.to_string())).chain(times).chain(sets.map(set));
        let verdict = group.verdict.map(|verdict| verdict.to_string()).unwrap_or_default();
        writer.write_record(row.chain([severity, verdict]))?;
    }
    writer.flush()
}

fn writer(out: &mut dyn io::Write) -> ::csv::Writer<&mut dyn io::Write> {
    ::csv::WriterBuilder::new().terminator(::csv::Terminator::Any(b'\n')).from_writer(out)
}

fn lookup<'v>(value: &'v Value, column: &str) -> &'v Value {
    column.split('.').fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        Value::Array(items) => {
            list(items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)))
        }
        other => escape(&other.to_string()),
    }
}

/// Joins items with `;`; inside an item `\` and `;` are written `\\` and `\;`.
fn list(items: impl Iterator<Item = String>) -> String {
    let items = items.map(|item| item.replace('\\', "\\\\").replace(';', "\\;"));
    escape(&items.collect::<Vec<_>>().join(";"))
}

/// Keeps a spreadsheet from taking a cell for a formula. Undone by removing one leading `'`.
fn escape(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) { format!("'{text}") } else { text.to_owned() }
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
