//! What a sweep of the dump must find, counted while the dump is written.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A column of the summary.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Hits,
    Created,
    Modified,
    Deleted,
    Denied,
    DryRun,
    Suppressed,
    /// None of them: a request that failed. It is counted as seen, but makes no row on its own.
    Seen,
}

const COLUMNS: [(Column, &str); 7] = [
    (Column::Hits, "hits"),
    (Column::Created, "created"),
    (Column::Modified, "modified"),
    (Column::Deleted, "deleted"),
    (Column::Denied, "denied"),
    (Column::DryRun, "dry_run"),
    (Column::Suppressed, "suppressed"),
];

/// Columns of which a count makes a row.
const ROW: [Column; 4] = [Column::Hits, Column::Deleted, Column::Denied, Column::Suppressed];

/// A row of the summary.
#[derive(Default)]
pub(crate) struct Row {
    counts: [u64; 8],
    first: Option<i64>,
    last: Option<i64>,
}

/// Counters of one file, or of all.
#[derive(Default)]
pub(crate) struct Expected {
    pub files: u64,
    pub events: u64,
    pub not_audit: u64,
    pub text: u64,
    pub compressed: u64,
    /// By namespace and username.
    pub rows: BTreeMap<(String, String), Row>,
}

impl Expected {
    /// Counts a request on CronJobs, received at this time in microseconds.
    pub(crate) fn request(&mut self, namespace: String, username: String, columns: &[Column], received: i64) {
        let row = self.rows.entry((namespace, username)).or_default();
        for column in columns {
            row.counts[*column as usize] += 1;
        }
        row.first = Some(row.first.map_or(received, |first| first.min(received)));
        row.last = row.last.max(Some(received));
    }

    /// The sums of both.
    pub(crate) fn merge(mut self, other: Expected) -> Expected {
        self.files += other.files;
        self.events += other.events;
        self.not_audit += other.not_audit;
        self.text += other.text;
        self.compressed += other.compressed;
        for (key, row) in other.rows {
            let own = self.rows.entry(key).or_default();
            for (count, more) in own.counts.iter_mut().zip(row.counts) {
                *count += more;
            }
            own.first = [own.first, row.first].into_iter().flatten().min();
            own.last = own.last.max(row.last);
        }
        self
    }

    /// The content of `expected.json`.
    pub(crate) fn json(&self) -> Result<Value> {
        let is_row = |row: &&Row| ROW.iter().any(|column| row.counts[*column as usize] > 0);
        let rows: Vec<_> = self.rows.iter().filter(|(_, row)| is_row(row)).collect();
        let sum = |column: Column| rows.iter().map(|(_, row)| row.counts[column as usize]).sum::<u64>();
        let totals = json!({"files": self.files, "records": self.events + self.not_audit, "events": self.events,
            "not_audit": self.not_audit, "malformed": 0, "duplicates": 0, "hits": sum(Column::Hits),
            "suppressed": sum(Column::Suppressed)});
        let summary = rows.iter().map(|(key, row)| row.json(key)).collect::<Result<Vec<_>>>()?;
        Ok(json!({"totals": totals, "text_bytes": self.text, "compressed_bytes": self.compressed, "summary": summary}))
    }
}

impl Row {
    fn json(&self, (namespace, username): &(String, String)) -> Result<Value> {
        let time = |micros: Option<i64>| -> Result<Option<String>> {
            micros.map(|micros| Ok(Timestamp::from_microsecond(micros)?.to_string())).transpose()
        };
        let mut row = json!({"namespace": namespace, "username": username});
        for (column, name) in COLUMNS {
            row[name] = self.counts[column as usize].into();
        }
        row["first_seen"] = time(self.first)?.into();
        row["last_seen"] = time(self.last)?.into();
        Ok(row)
    }
}
