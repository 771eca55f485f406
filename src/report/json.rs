//! The JSON reports.

use std::io::{self, Write};

use serde::ser::{Error, Serialize, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use super::Report;
use super::plain::Plain;
use crate::aggregate::{Alert, Day, Finished, Group, Hit, Input, Status};
use crate::rule::Severity;
use crate::runbook::{About, Printed};
use crate::spill::{Sorted, write_json};

/// Raised when a member of report.json changes its meaning.
const SCHEMA_VERSION: u32 = 1;

pub(super) fn lines(hits: &Sorted<Hit>, out: &mut dyn Write) -> io::Result<()> {
    hits.read()?.try_for_each(|hit| write_json(&hit?, &mut Plain::new(&mut *out)))
}

/// Everything but the hits.
pub(super) fn report(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    pretty(&whole(report), out)
}

/// Of the same what a page shows: neither the summary, nor the inputs that were read whole.
pub(super) fn outline(report: &Report<'_>) -> Value {
    let finished = report.finished;
    json!({
        "complete": finished.extent.is_whole(),
        "totals": totals(finished),
        "alerts": finished.alerts,
        "coverage": finished.coverage,
        "inputs": finished.inputs.iter().filter(|input| input.status >= Status::Partial).collect::<Vec<_>>(),
    })
}

/// What report.json holds.
#[derive(serde::Serialize)]
struct Whole<'r, S: Serialize> {
    schema_version: u32,
    complete: bool,
    totals: Value,
    group_by: &'r [String],
    summary: S,
    alerts: &'r [Alert],
    coverage: &'r [Day],
    inputs: &'r [Input],
}

fn whole<'r>(report: &Report<'r>) -> impl Serialize + 'r {
    let (finished, keys) = (report.finished, report.group_by);
    Whole {
        schema_version: SCHEMA_VERSION,
        complete: finished.extent.is_whole(),
        totals: totals(finished),
        group_by: keys,
        summary: Rows(|| finished.summary.iter().map(|row| group(row, keys))),
        alerts: &finished.alerts,
        coverage: &finished.coverage,
        inputs: &finished.inputs,
    }
}

/// Rows that are made one at a time.
struct Rows<F>(F);

impl<F: Fn() -> I, I: Iterator<Item = Value>> Serialize for Rows<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// The runbook; `null` where there is none.
pub(super) fn runbook(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    /// The pages are read one at a time.
    #[derive(serde::Serialize)]
    struct Members<'r> {
        #[serde(flatten)]
        about: &'r About,
        alerts: Pages<'r>,
    }
    let members = report.runbook.map(|runbook| Members { about: &runbook.about, alerts: Pages(&runbook.alerts) });
    pretty(&members, out)
}

struct Pages<'r>(&'r Sorted<Printed>);

impl Serialize for Pages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pages = serializer.serialize_seq(None)?;
        for page in self.0.read().map_err(S::Error::custom)? {
            pages.serialize_element(&page.and_then(|page| page.value()).map_err(S::Error::custom)?)?;
        }
        pages.end()
    }
}

fn pretty(value: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(Plain::new(&mut *out), value)?;
    out.write_all(b"\n")
}

/// What `inspect` says: everything about the dump, nothing about rules.
#[must_use]
pub fn inspection(report: &Finished) -> String {
    let value = json!({
        "schema_version": SCHEMA_VERSION,
        "complete": report.extent.is_whole(),
        "totals": report.totals,
        "coverage": report.coverage,
        "inputs": report.inputs,
    });
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = pretty(&value, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

fn totals(report: &Finished) -> Value {
    let mut totals = serde_json::to_value(report.totals).unwrap_or_default();
    let by_severity = |count: &dyn Fn(&Alert) -> u64| -> Map<String, Value> {
        let alerts = |severity| report.alerts.iter().filter(move |alert| alert.severity == severity);
        Severity::ALL.iter().map(|&of| (of.to_string(), alerts(of).map(count).sum::<u64>().into())).collect()
    };
    totals["hits"] = by_severity(&|alert| alert.hits).into();
    totals["alerts"] = by_severity(&|_| 1).into();
    totals["suppressed"] = report.suppressed.len().into();
    totals["activity"] = report.activity.len().into();
    totals
}

/// A group with its keys by name, as in summary.csv.
fn group(row: &Group, keys: &[String]) -> Value {
    let mut value = Map::new();
    for (name, key) in keys.iter().zip(&row.keys) {
        if let Some(key) = key {
            value.insert(name.clone(), key.as_str().into());
        }
    }
    if let Ok(Value::Object(rest)) = serde_json::to_value(row) {
        value.extend(rest.into_iter().filter(|(name, _)| name != "keys"));
    }
    value.insert("alerts".to_owned(), row.alerts.len().into());
    Value::Object(value)
}
