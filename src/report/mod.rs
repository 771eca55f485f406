//! Finished results → files and terminal, one file a format, each escaping for its own reader.

mod csv;
mod directory;
mod json;
mod run;
mod terminal;
mod timesketch;

use std::io;
use std::str::FromStr;

pub use directory::Directory;
pub use json::inspection as inspection_json;
pub use run::Run;
pub use terminal::{closing, closing_events, escape, inspection};
pub use timesketch::line as timesketch_line;

use crate::aggregate::Finished;

/// Writes one report file.
type Writer = fn(&Finished, &[String], &mut dyn io::Write) -> io::Result<()>;

/// The report files of a scan, in the order they are written. The second argument names the summary's keys.
pub const FILES: [(&str, Writer); 9] = [
    ("summary.csv", csv::summary),
    ("alerts.csv", csv::alerts),
    ("hits.csv", |report, _, out| csv::hits(&report.hits, out)),
    ("hits.jsonl", |report, _, out| json::lines(&report.hits, out)),
    ("suppressed.csv", |report, _, out| csv::suppressed(&report.suppressed, out)),
    ("activity.csv", |report, _, out| csv::hits(&report.activity, out)),
    ("coverage.csv", csv::coverage),
    ("inputs.csv", csv::inputs),
    ("report.json", json::report),
];

/// Hits to standard output, in report order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object a line, as in hits.jsonl.
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
