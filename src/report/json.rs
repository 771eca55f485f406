//! The JSON reports.

use std::io::{self, BufWriter, Write};

use serde::ser::{Error, Serialize, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use super::Report;
use super::plain::Plain;
use crate::aggregate::{Alert, Day, Finished, Group, Hit, Input, Status};
use crate::json::{Skip, skip_lenient};
use crate::rule::Severity;
use crate::spill::{Sorted, write_json};

/// Increased when a member of report.json changes its meaning.
const SCHEMA_VERSION: u32 = 1;

pub(super) fn lines(hits: &Sorted<Hit>, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(Plain::new(out));
    hits.read()?.try_for_each(|hit| write_json(&hit?, &mut out))?;
    out.flush()
}

/// Writes everything but the hits.
pub(super) fn report(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    pretty(&whole(report), out)
}

/// What the HTML page needs of that: neither the summary, nor inputs that were read completely, nor the alerts, which
/// the page reads itself.
pub(super) fn outline(report: &Report<'_>) -> Value {
    let finished = report.finished;
    json!({
        "complete": finished.extent.is_whole(),
        "totals": totals(finished),
        "asked": finished.asked.words(),
        "missed": finished.missed(),
        "coverage": finished.coverage,
        "inputs": finished.inputs.iter().filter(|input| input.status >= Status::Partial).collect::<Vec<_>>(),
    })
}

/// The content of report.json.
#[derive(serde::Serialize)]
struct Whole<'r, S: Serialize, A: Serialize> {
    schema_version: u32,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Value>,
    totals: Value,
    group_by: &'r [String],
    summary: S,
    alerts: A,
    coverage: &'r [Day],
    inputs: &'r [Input],
}

fn whole<'r>(report: &Report<'r>) -> impl Serialize + 'r {
    let (finished, keys) = (report.finished, report.group_by);
    Whole {
        schema_version: SCHEMA_VERSION,
        complete: finished.extent.is_whole(),
        window: window(finished),
        totals: totals(finished),
        group_by: keys,
        summary: Rows(|| finished.summary.iter().map(|row| group(row, keys))),
        alerts: Alerts(&finished.alerts),
        coverage: &finished.coverage,
        inputs: &finished.inputs,
    }
}

/// Rows that are created one at a time.
struct Rows<F>(F);

impl<F: Fn() -> I, I: Iterator<Item = Value>> Serialize for Rows<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// Alerts that are read while they are written.
struct Alerts<'r>(&'r Sorted<Alert>);

impl Serialize for Alerts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for alert in self.0.read().map_err(S::Error::custom)? {
            list.serialize_element(&alert.map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

/// Writes the runbook; `null` if there is none. Its pages are indented one at a time, without parsing them.
pub(super) fn runbook(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Some(runbook) = report.runbook else { return pretty(&(), out) };
    let mut out = BufWriter::new(Plain::new(out));
    let about = serde_json::to_vec_pretty(&runbook.about)?;
    out.write_all(about.strip_suffix(b"\n}").unwrap_or(&about))?;
    out.write_all(b",\n  \"alerts\": [")?;
    let (mut page_text, mut separator) = (Vec::new(), "\n    ");
    for page in runbook.alerts.read()? {
        page_text.clear();
        indent(page?.text.as_bytes(), 2, &mut page_text);
        out.write_all(separator.as_bytes())?;
        out.write_all(&page_text)?;
        separator = ",\n    ";
    }
    out.write_all(if runbook.alerts.is_empty() { b"]\n}\n" } else { b"\n  ]\n}\n" })?;
    out.flush()
}

/// Indents compact JSON as serde_json's pretty printer does, starting at `depth`.
fn indent(json: &[u8], mut depth: usize, out: &mut Vec<u8>) {
    let line = |depth: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    let mut rest = json;
    while let [byte, after @ ..] = rest {
        match (byte, after) {
            (b'"', _) => {
                let end = if let Skip::End(end) = skip_lenient(rest, 0) { end } else { rest.len() };
                out.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            (b'{' | b'[', [b'}' | b']', ..]) => {
                out.extend_from_slice(&rest[..2]);
                rest = &rest[2..];
                continue;
            }
            (b'}' | b']', _) => {
                depth = depth.saturating_sub(1);
                line(depth, out);
            }
            _ => {}
        }
        out.push(*byte);
        match byte {
            b'{' | b'[' => {
                depth += 1;
                line(depth, out);
            }
            b',' => line(depth, out),
            b':' => out.push(b' '),
            _ => {}
        }
        rest = after;
    }
}

fn pretty(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(Plain::new(out));
    serde_json::to_writer_pretty(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The JSON output of `inspect`: everything about the dump, nothing about rules.
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

/// The requested times. An open end is left out.
pub(super) fn window(report: &Finished) -> Option<Value> {
    let ends = [("since", report.asked.start), ("until", report.asked.end)];
    let given: Map<String, Value> =
        ends.into_iter().filter_map(|(key, time)| Some((key.to_owned(), json!(time?)))).collect();
    (!given.is_empty()).then(|| given.into())
}

fn totals(report: &Finished) -> Value {
    let mut totals = serde_json::to_value(report.totals).unwrap_or_default();
    let by_severity = |count: fn((u64, u64)) -> u64| -> Map<String, Value> {
        let count = |of: &Severity| count(report.counts.get(of).copied().unwrap_or_default());
        Severity::ALL.iter().map(|of| (of.to_string(), count(of).into())).collect()
    };
    totals["hits"] = by_severity(|(_, hits)| hits).into();
    totals["alerts"] = by_severity(|(alerts, _)| alerts).into();
    totals["suppressed"] = report.suppressed.len().into();
    totals["activity"] = report.activity.len().into();
    totals
}

/// A group with its keys by name, as in summary.csv.
fn group(row: &Group, keys: &[String]) -> Value {
    let mut value = Map::new();
    for (name, key) in keys.iter().zip(&row.keys) {
        if let Some(key) = key {
            value.insert(name.clone(), (**key).into());
        }
    }
    if let Ok(Value::Object(rest)) = serde_json::to_value(row) {
        value.extend(rest.into_iter().filter(|(name, _)| name != "keys"));
    }
    value.insert("alerts".to_owned(), row.alerts.len().into());
    Value::Object(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_laid_out_as_serde_json_lays_them_out() {
        let odd =
            json!({"a": [], "b": {}, "c": [1, {"d": null}], "\"e\\": "\\\"{[,:]}\u{7f}\n\\", "f": -1.5e300, "": true});
        for value in [json!({}), json!([[[]], [{}]]), json!("]"), odd] {
            let mut out = Vec::new();
            indent(value.to_string().as_bytes(), 0, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string_pretty(&value).unwrap());
        }
    }
}
