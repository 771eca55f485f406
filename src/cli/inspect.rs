//! `kubesweep inspect`.

use clap::Args;

use super::args::{Dump, OutputFormat};
use super::{ExitStatus, options, print, print_stats, progress, stats, status};
use crate::aggregate::{Plan, finish};
use crate::discover::Window;
use crate::error::Error;
use crate::report::{inspection, inspection_json};
use crate::rule::{Pack, Tuning};
use crate::runbook::{self, Scope};
use crate::stats::{Stage, timed};
use crate::sweep;

#[derive(Debug, Args)]
pub(super) struct Inspect {
    #[command(flatten)]
    pub dump: Dump,

    /// Output format
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: OutputFormat,
}

/// Reads everything and says what it is; writes no file.
pub(super) fn run(inspect: &Inspect) -> Result<ExitStatus, Error> {
    let Dump { paths, origin, input } = &inspect.dump;
    let pack = Pack::new(Vec::new(), Tuning::default(), runbook::interests(Scope::Hits)?);
    let job = options::job(input, origin, pack, Window::default())?;
    let stats = stats(input.stats);
    let found = options::found(paths, &[], None)?;
    let progress = progress(&found, input, stats.as_ref());
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
