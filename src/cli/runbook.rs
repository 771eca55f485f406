//! `kubesweep runbook`.

use std::io::{self, Write};
use std::path::Path;

use super::args::{Origin, Runbook, RunbookFormat};
use super::{ExitStatus, options, progress, status, sweep, warn_if_nothing};
use crate::aggregate::{Plan, finish};
use crate::discover::discover;
use crate::error::Error;
use crate::report::{Directory, RUNBOOK_FILES, Report};
use crate::runbook::{Only, Scope, compute};
use crate::sweep::Job;

/// Sweeps, and prints the runbook or writes its files.
pub(super) fn run(runbook: &Runbook) -> Result<ExitStatus, Error> {
    let times = options::times(&runbook.times)?;
    let only = Only {
        users: runbook.user.clone(),
        namespaces: runbook.namespace.clone(),
        alerts: runbook.alert.clone(),
        clusters: runbook.cluster.clone(),
    };
    let pack = options::pack(&runbook.rules, runbook.tune.as_deref(), Scope::Runbook)?;
    let (settings, catalogue) = options::runbook(&runbook.looks, &runbook.times, &pack.tuning, only)?;
    let job = Job { window: times.kept, ..options::job(&runbook.input, &Origin::default(), pack) };
    let mut found = discover(&runbook.input.paths, runbook.out.as_deref())?;
    found.prune(job.window);
    let directory = runbook.out.as_deref().map(|out| Directory::create(out, runbook.force)).transpose()?;
    let progress = progress(&found, runbook.input.quiet || runbook.input.no_progress);
    let tally = sweep(&found, &job, &progress, runbook.input.threads, settings.deep)?;
    let plan = Plan { window: times.kept, since: times.since, group_by: Vec::new() };
    let mut finished = finish(tally, &job.pack, &plan);
    let computed = compute(&mut finished, &catalogue, &settings);
    progress.finish();
    let report = Report { finished: &finished, runbook: Some(&computed), group_by: &[] };
    match directory {
        Some(mut directory) => {
            RUNBOOK_FILES.iter().try_for_each(|(name, writer)| directory.write(name, |out| writer(&report, out)))?;
        }
        None => print(&report, runbook.format)?,
    }
    if !runbook.input.quiet {
        warn_if_nothing(&finished.totals);
    }
    Ok(status(&finished.totals))
}

fn print(report: &Report<'_>, format: RunbookFormat) -> Result<(), Error> {
    let wanted = if format == RunbookFormat::Json { "runbook.json" } else { "runbook.md" };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut writers = RUNBOOK_FILES.iter().filter(|(name, _)| *name == wanted);
    let written = writers.try_for_each(|(_, writer)| writer(report, &mut out));
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Error::Output { path: Path::new("standard output").to_owned(), source }),
    }
}
