//! `kubesweep merge`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::args::{Output, RunbookOptions, Times};
use super::reports::{self, Begun, Reports};
use super::{ExitStatus, options, stats, warn, warn_of_tuning};
use crate::aggregate::Extent;
use crate::error::Error;
use crate::partial::{self, Shard};
use crate::runbook::{Only, Scope};
use crate::stats::{Stage, timed};

/// Most shares that a message names.
const NAMED: usize = 5;

#[expect(clippy::struct_excessive_bools, reason = "arguments as typed")]
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// Files that `scan --partial` wrote, or directories of them
    #[arg(required = true, value_name = "PARTIAL")]
    pub partials: Vec<PathBuf>,

    /// Write reports, marked incomplete, where partials are missing
    #[arg(long, help_heading = "Input")]
    pub allow_missing: bool,

    /// Rules that the partials were made with, as for scan
    #[arg(short, long, value_name = "R", help_heading = "Rules")]
    pub rules: Vec<String>,

    /// Suppressions, severities, registries and thresholds, as YAML; its
    /// suppressions are those that the partials were made with
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub tune: Option<PathBuf>,

    #[command(flatten)]
    pub output: Output,

    /// No runbook: neither its files nor verdicts
    #[arg(long, help_heading = "Runbook")]
    pub no_runbook: bool,

    /// Indicators to add to the built-in ones, or to put in their place, as YAML
    #[arg(long, value_name = "FILE", help_heading = "Runbook")]
    pub indicators: Option<PathBuf>,

    #[command(flatten)]
    pub times: Times,

    /// Print nothing but errors on standard error
    #[arg(short, long, action = ArgAction::SetTrue, help_heading = "Terminal")]
    pub quiet: bool,

    /// Print how long each stage took, on standard error
    #[arg(long, help_heading = "Terminal")]
    pub stats: bool,
}

/// Merges partials, and ends as a scan of everything would.
pub(super) fn run(merge: &Merge, begun: Begun<'_>) -> Result<ExitStatus, Error> {
    let clock = stats(merge.stats);
    let clock = clock.as_ref();
    options::without_clock(&merge.times.span)?;
    let times = options::times(&merge.times)?;
    let plan = reports::plan(&merge.output, &times, merge.no_runbook)?;
    let scope = if merge.no_runbook { Scope::Hits } else { Scope::Runbook };
    let pack = options::pack(&merge.rules, merge.tune.as_deref(), scope)?;
    let looks = RunbookOptions { indicators: merge.indicators.clone(), deep: false };
    let steps = options::runbook(&looks, &merge.times, &pack.tuning, Only::default())?;
    let steps = Some(steps).filter(|_| !merge.no_runbook);
    warn_of_tuning(&pack, times.now, merge.quiet);
    let partials = partial::open(&merge.partials)?;
    let missing = partial::check(&partials, &options::about_rules(&pack, times.kept))?;
    tell_missing(&missing, merge)?;
    let reports = Reports::begin(begun, &merge.output, plan, steps, merge.quiet, clock)?;
    let mut tally = timed(clock, Stage::Read, || partial::load(&partials))?;
    if !missing.is_empty() {
        tally.extent = Extent::SharesMissing;
    }
    reports.finish(tally, &pack)
}

/// Fails if shares are missing, or warns of it.
fn tell_missing(missing: &[Shard], merge: &Merge) -> Result<(), Error> {
    let (Some(shard), count) = (missing.first(), missing.len()) else { return Ok(()) };
    let named: Vec<String> = missing.iter().take(NAMED).map(Shard::to_string).collect();
    let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
    let told = format!("{count} of {} partials missing: {}{more}", shard.count, named.join(", "));
    if !merge.allow_missing {
        return Err(Error::Usage(format!("{told}; name them too, or --allow-missing for reports marked incomplete")));
    }
    warn(merge.quiet, format_args!("{told}; the reports are incomplete"));
    Ok(())
}
