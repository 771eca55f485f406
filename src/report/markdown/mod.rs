//! The runbook for people: Markdown that also reads as plain text.

mod fields;
mod page;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, Write};

use serde_json::Value;

use self::fields::{Field, Show, items, shown, told, with_evidence};
use self::page::{PLACE, TEXT, heading, page, reason};
use self::text::{cell, code, name, prose, raw, when};
use crate::threads::in_batches;

/// Pages that a thread makes before they are written.
const AT_A_TIME: usize = 8;
/// Widest column to which table cells are padded.
const PADDED: usize = 40;
/// Prints lines.
type Print<'p> = dyn FnMut(&[String]) -> io::Result<()> + 'p;
/// Rows of a list, each created when it is printed.
type Rows<'r> = Box<dyn Iterator<Item = Value> + 'r>;
/// A heading, and the function that prints the rows of its list.
type Section = (&'static str, fn(Rows<'_>, &mut Print<'_>) -> io::Result<()>);
const SEEN: [Field; 6] = [
    ("cluster ", "cluster", code, "", &[]),
    ("Jobs ", "jobs", prose, "", &[]),
    ("Pods ", "pods", prose, "", &[]),
    ("first ", "first_seen", when, "", &[]),
    ("last ", "last_seen", when, "", &[]),
    ("spec ", "spec_level", prose, "", &[]),
];
const GRAVE: [Field; 4] = [
    ("", "count", prose, " of them grave", &[]),
    ("the gravest ", "spec_level", prose, "", &[]),
    ("CronJob ", "name", code, "", &[]),
    ("", "time", when, "", &[]),
];
/// Columns of the table of users.
const USER: [(&str, &str, Show); 6] = [
    ("user", "username", code),
    ("cluster", "cluster", code),
    ("worst", "worst", name),
    ("alerts", "alerts", prose),
    ("hits", "hits", prose),
    ("namespaces", "namespaces", code),
];
/// The sections after the alerts.
const SECTIONS: [Section; 3] = [
    ("Who", |rows, print| print(&users(rows))),
    ("CronJobs seen only through their controllers", |mut rows, print| rows.try_for_each(|row| print(&seen(&row)))),
    ("Suppressed", |mut rows, print| rows.try_for_each(|row| print(&suppressed(&row)))),
];

/// Writes runbook.md: what is said of the sweep, a page for each alert, given as JSON, and the rows of `lists`, one
/// list per section. Pages are made a few at a time, and rows one by one.
pub(super) fn runbook(
    about: &Value,
    lists: [Rows<'_>; SECTIONS.len()],
    alerts: &mut dyn Iterator<Item = io::Result<String>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut print = |lines: &[String]| {
        lines.iter().try_for_each(|line| {
            out.write_all(line.trim_end().as_bytes())?;
            out.write_all(b"\n")
        })
    };
    let mut alerts = alerts.peekable();
    print(&head(about, alerts.peek().is_none()))?;
    let lines = |text: String| {
        let alert = serde_json::from_str(&text)?;
        let heading = [String::new(), heading(&alert), String::new()];
        io::Result::Ok(heading.into_iter().chain(page(&alert, &about["settings"])).collect::<Vec<_>>())
    };
    in_batches(AT_A_TIME, alerts, lines, |lines| print(&lines?))?;
    for ((heading, section), rows) in SECTIONS.iter().zip(lists) {
        print(&[String::new(), format!("## {heading}"), String::new()])?;
        let mut rows = rows.peekable();
        match rows.peek() {
            Some(_) => section(Box::new(rows), &mut print)?,
            None => print(&["None.".to_owned()])?,
        }
    }
    Ok(())
}

fn head(runbook: &Value, is_empty: bool) -> Vec<String> {
    let counted = |key: &str| {
        let counts = runbook[key].as_object().into_iter().flatten();
        counts.map(|(of, count)| format!("{} {}", prose(&raw(count)), name(of))).collect::<Vec<_>>().join(", ")
    };
    let (verdicts, without) = (counted("verdicts"), counted("without_verdict"));
    let coverage = raw(&runbook["coverage_note"]);
    let covered = if coverage.is_empty() { "what the dump covers is not known".to_owned() } else { prose(&coverage) };
    let only = runbook["settings"]["only"].as_str();
    let mut lines = vec!["# Runbook".to_owned(), String::new()];
    if let Some(only) = only {
        lines.push(format!(
            "An excerpt, {}: {} left out.",
            code(only),
            if runbook["left_out"] == 1 {
                "1 other alert is".to_owned()
            } else {
                format!("{} other alerts are", prose(&raw(&runbook["left_out"])))
            }
        ));
    }
    if !verdicts.is_empty() {
        lines.push(format!("Alerts by verdict: {verdicts}."));
    }
    if !without.is_empty() {
        lines.push(format!("Alerts of rules that are not on CronJobs have no verdict and no page here: {without}."));
    }
    lines.push(match only {
        _ if !is_empty => format!("Coverage: {covered}."),
        Some(_) => format!("No alert fits; {covered}."),
        None if !without.is_empty() => format!("No alert is on a CronJob; {covered}."),
        None => format!("There is no alert; {covered}."),
    });
    lines
}

/// The table of users, padded for readers of the plain text.
fn users(all: Rows<'_>) -> Vec<String> {
    let titles = std::iter::once("#").chain(USER.iter().map(|(title, ..)| *title)).map(str::to_owned).collect();
    let rows = all.enumerate().map(|(at, user)| {
        let cells = USER
            .iter()
            .map(|(_, key, show)| shown(&user, key, *show).map_or_else(|| "-".to_owned(), |text| cell(&text)));
        std::iter::once((at + 1).to_string()).chain(cells).collect()
    });
    let mut rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(PADDED);
    let widths: Vec<usize> = (0..=USER.len()).map(width).collect();
    rows.insert(1, widths.iter().map(|&width| "-".repeat(width.max(3))).collect());
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, &width)| format!("{text:<0$}", width.max(3)));
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    rows.iter().map(line).collect()
}

fn seen(seen: &Value) -> Vec<String> {
    let place = told(seen, &PLACE).join("/");
    let said = told(seen, &SEEN).into_iter().chain(told(seen, &TEXT));
    let line = format!("- CronJob {place}: {}", said.collect::<Vec<_>>().join("; "));
    let findings = items(seen, "indicators", |finding| format!("  - {}", reason(finding)));
    [with_evidence(&line, seen)].into_iter().chain(findings).collect()
}

fn suppressed(row: &Value) -> Vec<String> {
    let count = raw(&row["count"]);
    let (namespace, user) = (code(&raw(&row["namespace"])), code(&raw(&row["username"])));
    let line = format!("- {} by {user} in {namespace}: {}", prose(&count), prose(&raw(&row["reason"])));
    let grave = &row["grave"];
    if !grave.is_object() {
        return vec![line];
    }
    let gravest = format!("  - {}", with_evidence(&told(grave, &GRAVE).join("; "), grave));
    let findings = items(grave, "indicators", |finding| format!("    - {}", reason(finding)));
    [line, gravest].into_iter().chain(findings).collect()
}
