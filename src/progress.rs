//! The progress display, on standard error, if that is a terminal.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::escape;
use crate::stats::Stats;
use crate::sweep::Observer;

/// Shows the progress of a sweep.
#[derive(Debug)]
pub struct Progress<'s> {
    stats: Option<&'s Stats>,
    bar: ProgressBar,
    total_files: usize,
    files: AtomicU64,
    records: AtomicU64,
    hits: AtomicU64,
}

impl<'s> Progress<'s> {
    /// A display for this many bytes in this many files. If `hidden`, it shows nothing. With `stats`, stages are timed.
    #[must_use]
    pub fn new(bytes: u64, files: usize, hidden: bool, stats: Option<&'s Stats>) -> Self {
        let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
        let template = "{bar:20} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}\n{prefix}\n{wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress {
            stats,
            bar,
            total_files: files,
            files: AtomicU64::new(0),
            records: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    /// Removes the display.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Records per second so far.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a speed for people"
    )]
    fn rate(&self) -> u64 {
        (self.records.load(Relaxed) as f64 / self.bar.elapsed().as_secs_f64().max(0.001)) as u64
    }
}

impl Observer for Progress<'_> {
    fn stats(&self) -> Option<&Stats> {
        self.stats
    }

    fn opened(&self, name: &str) {
        self.bar.set_message(escape(name));
    }

    fn read(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn closed(&self, records: u64, hits: u64) {
        self.records.fetch_add(records, Relaxed);
        self.hits.fetch_add(hits, Relaxed);
        let files = self.files.fetch_add(1, Relaxed) + 1;
        let (total, hits) = (self.total_files, self.hits.load(Relaxed));
        self.bar.set_prefix(format!("{files}/{total} files, {} records/s, {hits} hits", self.rate()));
    }
}
