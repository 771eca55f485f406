//! Finished results → files and terminal, one file per format, each escaped for its own reader.

mod columns;
mod csv;
mod directory;
mod hidden;
mod html;
mod json;
mod markdown;
mod plain;
mod run;
mod terminal;
mod timesketch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Value, json};

pub use directory::{Directory, MARK};
pub use json::inspection as inspection_json;
pub(crate) use plain::Plain;
pub use run::Run;
pub use terminal::{closing, closing_events, closing_partial, escape, inspection};
pub use timesketch::line as timesketch_line;

use crate::aggregate::Finished;
use crate::runbook::{About, Runbook};

/// What reports print.
#[derive(Debug, Clone, Copy)]
pub struct Report<'r> {
    /// The sweep.
    pub finished: &'r Finished,
    /// Its runbook, if requested.
    pub runbook: Option<&'r Runbook>,
    /// Names of the summary's keys.
    pub group_by: &'r [String],
}

/// Writes one report file.
pub type Writer = fn(&Report<'_>, &mut dyn io::Write) -> io::Result<()>;

/// The report files of a scan, in the order they are written.
pub const FILES: [(&str, Writer); 10] = [
    ("summary.csv", csv::summary),
    ("alerts.csv", csv::alerts),
    ("hits.csv", |report, out| csv::hits(&report.finished.hits, out)),
    ("hits.jsonl", |report, out| json::lines(&report.finished.hits, out)),
    ("suppressed.csv", |report, out| csv::suppressed(&report.finished.suppressed, out)),
    ("activity.csv", |report, out| csv::hits(&report.finished.activity, out)),
    ("coverage.csv", csv::coverage),
    ("inputs.csv", csv::inputs),
    ("report.json", json::report),
    ("report.html", page),
];

/// The files of a runbook.
pub const RUNBOOK_FILES: [(&str, Writer); 2] = [("runbook.json", json::runbook), ("runbook.md", pages)];

/// Writes the HTML page from the content of the JSON reports. Reads only those runbook pages that it shows.
fn page(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let settings = report.runbook.map(|runbook| json!(runbook.about.settings)).unwrap_or_default();
    let runbook = report.runbook.map(|runbook| html::Runbook {
        settings: &settings,
        controller_only: runbook.about.controller_only.as_slice(),
        grave: runbook.about.graves().map(|grave| grave.count).sum(),
        standings: &runbook.standings,
    });
    let pages = |wanted: &BTreeSet<&str>| pages_of(report, wanted);
    let alerts = || -> io::Result<html::AlertValues<'_>> {
        Ok(Box::new(report.finished.alerts.read()?.map(|alert| Ok(json!(alert?)))))
    };
    html::page(&json::outline(report), &alerts, runbook.as_ref(), &pages, out)
}

/// The pages of some alerts.
fn pages_of(report: &Report<'_>, wanted: &BTreeSet<&str>) -> io::Result<BTreeMap<String, String>> {
    let mut pages = BTreeMap::new();
    let Some(runbook) = report.runbook else { return Ok(pages) };
    for page in runbook.alerts.read()? {
        let page = page?;
        if wanted.contains(&*page.alert_id) {
            pages.insert(page.alert_id.to_string(), page.text.clone());
        }
    }
    Ok(pages)
}

/// Writes the content of runbook.json for people.
fn pages(report: &Report<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let Some(runbook) = report.runbook else { return Ok(()) };
    let mut pages = runbook.alerts.read()?.map(|page| Ok(page?.into_owned().text));
    let About { users, controller_only, suppressed, settings, verdicts, coverage_note, .. } = &runbook.about;
    let (left_out, without) = (runbook.about.left_out, &runbook.about.without_verdict);
    let about = json!({"settings": settings, "verdicts": verdicts, "left_out": left_out, "without_verdict": without,
        "coverage_note": coverage_note});
    let lists = [rows(users), rows(controller_only), rows(suppressed)];
    markdown::runbook(&about, lists, &mut pages, out)
}

/// Values that are created one at a time.
fn rows<T: Serialize>(items: &[T]) -> Box<dyn Iterator<Item = Value> + '_> {
    Box::new(items.iter().map(|item| json!(item)))
}

/// How hits are written to standard output, in report order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object per line, as in hits.jsonl.
    #[default]
    Jsonl,
    /// As in hits.csv.
    Csv,
    /// JSON lines for Timesketch.
    Timesketch,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jsonl" => Ok(Format::Jsonl),
            "csv" => Ok(Format::Csv),
            "timesketch" => Ok(Format::Timesketch),
            _ => Err("hits are printed as jsonl, csv or timesketch".to_owned()),
        }
    }
}

impl Format {
    /// Writes the hits.
    pub fn write(self, report: &Finished, out: &mut dyn io::Write) -> io::Result<()> {
        match self {
            Format::Jsonl => json::lines(&report.hits, out),
            Format::Csv => csv::hits(&report.hits, out),
            Format::Timesketch => timesketch::lines(&report.hits, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_knows_every_file_of_a_report() {
        let written = FILES.iter().chain(&RUNBOOK_FILES).map(|(name, _)| *name).chain([directory::MARK]);
        assert_eq!(written.collect::<BTreeSet<_>>(), crate::discover::REPORTS.into_iter().collect());
    }
}
