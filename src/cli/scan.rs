//! `kubesweep scan`.

use std::path::PathBuf;

use clap::Args;

use super::args::{Dump, Output, Ruling, RunbookOptions, Times};
use super::options::AskedShard;
use super::reports::{self, Begun, Reports};
use super::{ExitStatus, options, partial, stats, sweep, warn, warn_of_tuning};
use crate::case::Asked;
use crate::error::Error;
use crate::runbook::{Only, Scope};

#[derive(Debug, Args)]
pub(super) struct Scan {
    /// Case file: inputs that it has are not read again, and what they held
    /// counts
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub case: Option<PathBuf>,

    #[command(flatten)]
    pub dump: Dump,

    #[command(flatten)]
    pub ruling: Ruling,

    #[command(flatten)]
    pub output: Output,

    /// No runbook: neither its files nor verdicts
    #[arg(long, help_heading = "Runbook")]
    pub no_runbook: bool,

    #[command(flatten)]
    pub runbook: RunbookOptions,

    #[command(flatten)]
    pub times: Times,

    /// Read files too whose path proves them outside the window
    #[arg(long, help_heading = "Time")]
    pub no_prune: bool,

    /// Write no reports but what was observed, for `kubesweep merge`
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["out", "force", "format", "group_by", "fail_on", "case", "deep", "indicators", "redact"],
        help_heading = "Many machines"
    )]
    pub partial: Option<PathBuf>,

    /// Read only this share of the files, counted from 0: 0/16 to 15/16; `auto`
    /// asks the environment of an array job
    #[arg(long, value_name = "I/N", help_heading = "Many machines")]
    pub shard: Option<AskedShard>,
}

/// Sweeps, writes the reports, and returns the exit status.
pub(super) fn run(scan: &Scan, begun: Begun<'_>) -> Result<ExitStatus, Error> {
    if let Some(path) = &scan.partial {
        return partial::run(scan, path);
    }
    // clap does not require --partial if an option that conflicts with it is given.
    if scan.shard.is_some() {
        return Err(Error::Usage("--shard needs --partial FILE: reports are made by `kubesweep merge`".to_owned()));
    }
    if scan.no_runbook && scan.runbook.deep {
        return Err(Error::Usage("--deep is for the runbook; leave it or --no-runbook out".to_owned()));
    }
    let Dump { paths, origin, input } = &scan.dump;
    let clock = stats(input.stats);
    let clock = clock.as_ref();
    let times = options::times(&scan.times)?;
    let plan = reports::plan(&scan.output, &times, scan.no_runbook)?;
    // A case keeps what the runbook of a later run may need.
    let scope = if scan.no_runbook && scan.case.is_none() { Scope::Hits } else { Scope::Runbook };
    let pack = options::pack(&scan.ruling.rules, scan.ruling.tune.as_deref(), scope)?;
    let steps = options::runbook(&scan.runbook, &scan.times, &pack.tuning, Only::default())?;
    let steps = Some(steps).filter(|_| !scan.no_runbook);
    let deep = steps.is_some() && scan.runbook.deep;
    let job = options::job(input, origin, pack, times.kept)?;
    warn_of_tuning(&job.pack, times.now, input.quiet);
    let own = options::own_files(reports::directory(&scan.output.out), scan.case.as_deref());
    let mut found = options::found(paths, &own, (!scan.no_prune).then_some(job.window))?;
    if scan.case.is_some() && found.sources.is_empty() && found.unread.is_empty() {
        // What the case has would hide that a disk is not mounted.
        warn(input.quiet, "no file was found; the reports tell what the case has");
    }
    let asked = Asked::from_here(&scan.ruling.rules, scan.ruling.tune.as_deref());
    let case = options::case(scan.case.as_deref(), &job, &asked)?;
    let reports = Reports::begin(begun, &scan.output, plan, steps, input.quiet, clock)?;
    let tally = sweep(&mut found, &job, case.as_ref(), input, deep, clock)?;
    reports.finish(tally, &job.pack)
}
