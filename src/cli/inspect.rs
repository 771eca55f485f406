//! `kubesweep inspect`.

use std::path::PathBuf;

use clap::Args;

use super::args::{Input, Origin, OutputFormat};
use super::{ExitStatus, options, print, print_stats, progress, stats, status};
use crate::aggregate::{Plan, finish};
use crate::error::Error;
use crate::report::{inspection, inspection_json};
use crate::rule::{Pack, Tuning};
use crate::runbook::{self, Scope};
use crate::stats::{Stage, timed};
use crate::sweep;

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Files or directories of audit logs; `-` is standard input, a stream or a
    /// tar of files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub origin: Origin,

    #[command(flatten)]
    pub input: Input,

    /// Output format
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: OutputFormat,
}

/// Reads everything and says what it is; writes no file.
pub(super) fn run(inspect: &Inspect) -> Result<ExitStatus, Error> {
    let job = options::job(
        &inspect.input,
        &inspect.origin,
        Pack::new(Vec::new(), Tuning::default(), runbook::interests(Scope::Hits)?),
    )?;
    let stats = stats(inspect.input.stats);
    let found = options::found(&inspect.paths, &[])?;
    let progress = progress(&found, &inspect.input, stats.as_ref());
    let tally = sweep::sweep(&found, &job, &progress);
    progress.finish();
    let report = timed(stats.as_ref(), Stage::Finish, || finish(tally, &job.pack, &Plan::default()))
        .map_err(Error::Temporary)?;
    let text = timed(stats.as_ref(), Stage::Reports, || match inspect.format {
        OutputFormat::Text => inspection(&report),
        OutputFormat::Json => inspection_json(&report),
    });
    print(|out| out.write_all(text.as_bytes()))?;
    print_stats(stats.as_ref(), &report.totals);
    Ok(status(report.extent, &report.totals))
}
