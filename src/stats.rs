//! How long each stage of a run took, for `--stats`. Nothing is timed unless requested.

use std::cell::Cell;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named in STAGES")]
pub enum Stage {
    Read,
    Decompress,
    Frame,
    Evaluate,
    Wait,
    Finish,
    Runbook,
    Reports,
}

/// Stages in the order of [`Stage`], as they are printed.
const STAGES: [&str; 8] = [
    "read and hash",
    "decompress",
    "frame and prefilter",
    "parse and evaluate",
    "wait for another thread",
    "finish",
    "runbook",
    "reports",
];

/// Time per stage, summed over threads, and how much was processed.
#[derive(Debug)]
pub struct Stats {
    start: Instant,
    nanoseconds: [AtomicU64; STAGES.len()],
    text: AtomicU64,
    parsed: AtomicU64,
}

thread_local! {
    /// The current stage, and since when its time has not been counted.
    static AT: Cell<Option<(Stage, Instant)>> = const { Cell::new(None) };
}

/// A stage being timed. When this is dropped, the stage ends and the one around it continues.
#[derive(Debug)]
pub struct Inside<'s> {
    stats: Option<&'s Stats>,
    outer: Option<Stage>,
}

/// Begins a stage. The time of a nested stage counts only for that stage.
#[must_use]
pub fn enter(stats: Option<&Stats>, stage: Stage) -> Inside<'_> {
    Inside { stats, outer: stats.and_then(|stats| stats.switch(Some(stage))) }
}

/// Times some work as a stage.
pub fn timed<T>(stats: Option<&Stats>, stage: Stage, work: impl FnOnce() -> T) -> T {
    let _stage = enter(stats, stage);
    work()
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(stats) = self.stats {
            stats.switch(self.outer);
        }
    }
}

impl Stats {
    /// Starts the clock of the whole run.
    #[must_use]
    pub fn start() -> Self {
        Stats {
            start: Instant::now(),
            nanoseconds: Default::default(),
            text: AtomicU64::new(0),
            parsed: AtomicU64::new(0),
        }
    }

    /// Counts bytes of text.
    pub fn text(&self, bytes: u64) {
        self.text.fetch_add(bytes, Relaxed);
    }

    /// Counts records that skimming did not handle.
    pub fn parsed(&self, records: u64) {
        self.parsed.fetch_add(records, Relaxed);
    }

    /// Adds the time so far to the current stage and makes `stage` the current one. Returns the stage before.
    fn switch(&self, stage: Option<Stage>) -> Option<Stage> {
        let now = Instant::now();
        let (before, since) = AT.replace(stage.map(|stage| (stage, now)))?;
        let spent = u64::try_from(now.duration_since(since).as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds[before as usize].fetch_add(spent, Relaxed);
        Some(before)
    }

    /// The text to print, given the bytes and records read.
    #[must_use]
    pub fn print(&self, bytes: u64, records: u64) -> String {
        let (text, parsed) = (self.text.load(Relaxed), self.parsed.load(Relaxed));
        let seconds = self.start.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a speed for people")]
        let speed = text as f64 / seconds.max(1e-9) / 1e9;
        let mut out = format!(
            "stats: {bytes} bytes read, {text} bytes of text, {records} records, {parsed} of them parsed\n\
             stats: {seconds:.3} s in all, {speed:.2} GB of text per second; summed over threads:\n"
        );
        for (stage, nanoseconds) in STAGES.iter().zip(&self.nanoseconds) {
            let spent = Duration::from_nanos(nanoseconds.load(Relaxed)).as_secs_f64();
            let _ = writeln!(out, "stats: {spent:>9.3} s {stage}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_inside_a_stage_is_not_of_the_one_around_it() {
        let stats = Stats::start();
        let spent = |stage: Stage| stats.nanoseconds[stage as usize].load(Relaxed);
        {
            let _frame = enter(Some(&stats), Stage::Frame);
            let _read = enter(Some(&stats), Stage::Read);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(spent(Stage::Read) >= 50_000_000 && spent(Stage::Frame) < 50_000_000, "{stats:?}");
        assert_eq!(AT.get().map(|(stage, _)| stage), None);
    }
}
