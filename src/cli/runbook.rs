//! `kubesweep runbook`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::{Input, Origin, Ruling, RunbookOptions, Times, named};
use super::{
    ExitStatus, options, print, print_stats, redacted, reports, stats, status, sweep, warn, warn_if_nothing,
    warn_of_tuning,
};
use crate::aggregate::{Plan, finish};
use crate::case::{Asked, Case};
use crate::error::Error;
use crate::report::{Directory, RUNBOOK_FILES, Report};
use crate::runbook::{Only, Scope, compute};
use crate::stats::{Stage, timed};

#[derive(Debug, Args)]
pub(super) struct Runbook {
    /// Files or directories of audit logs; `-` is standard input, a stream or a
    /// tar of files
    #[arg(required_unless_present = "case", value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Case file: inputs that it has are not read again, and what they held
    /// counts
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub case: Option<PathBuf>,

    #[command(flatten)]
    pub input: Input,

    #[command(flatten)]
    pub ruling: Ruling,

    #[command(flatten)]
    pub looks: RunbookOptions,

    /// Only alerts of this user; `*` stands for any text. Repeatable, as all
    /// that follow
    #[arg(long, value_name = "U", value_parser = named, help_heading = "Alerts")]
    pub user: Vec<String>,

    /// Only alerts in this namespace
    #[arg(long, value_name = "N", value_parser = named, help_heading = "Alerts")]
    pub namespace: Vec<String>,

    /// Only alerts of this cluster
    #[arg(long, value_name = "NAME", value_parser = named, help_heading = "Alerts")]
    pub cluster: Vec<String>,

    /// Only the alert of this id, or whose id begins so
    #[arg(long, value_name = "ID", value_parser = named, help_heading = "Alerts")]
    pub alert: Vec<String>,

    #[command(flatten)]
    pub times: Times,

    /// Read files too whose path proves them outside the window
    #[arg(long, help_heading = "Time")]
    pub no_prune: bool,

    /// Directory for runbook.md and runbook.json; without one, or with `-`, the
    /// runbook is printed
    #[arg(short, long, value_name = "DIR", conflicts_with = "format", help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// What is printed
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: RunbookFormat,

    /// Mask secrets: values of environment variables, tokens, keys, passwords
    /// and last-applied annotations
    #[arg(long, help_heading = "Output")]
    pub redact: bool,

    /// Overwrite the files in a directory that is not empty
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum RunbookFormat {
    /// Markdown, for people
    #[default]
    Markdown,
    /// As in runbook.json
    Json,
}

/// Sweeps, and prints the runbook or writes its files.
pub(super) fn run(runbook: &Runbook) -> Result<ExitStatus, Error> {
    let Runbook { paths, input, .. } = runbook;
    let clock = stats(input.stats);
    let clock = clock.as_ref();
    let times = options::times(&runbook.times)?;
    let reopened = reopened(runbook)?;
    let typed = Asked::from_here(&runbook.ruling.rules, runbook.ruling.tune.as_deref());
    let asked = reopened.as_ref().map_or(&typed, |(_, asked)| asked);
    let pack = options::pack(&asked.rules, asked.tune.as_deref(), Scope::Runbook)?;
    if asked.texts.as_ref().is_some_and(|texts| *texts != options::rules_sha256(&pack)) {
        let problem = "the rules or the tuning have changed since the case was read; name the dump to apply them";
        warn(input.quiet, problem);
    }
    let (settings, catalogue) = options::runbook(&runbook.looks, &runbook.times, &pack.tuning, only(runbook))?;
    let job = options::job(input, &Origin::default(), pack, times.kept)?;
    warn_of_tuning(&job.pack, times.now, input.quiet);
    let out = runbook.out.as_deref().and_then(reports::directory);
    let own = options::own_files(out, runbook.case.as_deref());
    let mut found = options::found(paths, &own, (!runbook.no_prune).then_some(job.window))?;
    let case = match reopened {
        Some((case, _)) => Some(case),
        None => options::case(runbook.case.as_deref(), &job, &typed)?,
    };
    let directory = out.map(|out| Directory::create(out, runbook.force)).transpose()?;
    let tally = sweep(&mut found, &job, case.as_ref(), input, settings.deep, clock)?;
    let plan = Plan { window: times.kept, since: times.since, group_by: Vec::new() };
    let finished = timed(clock, Stage::Finish, || finish(tally, &job.pack, &plan)).map_err(Error::Temporary)?;
    let judge = || compute(finished, &catalogue, &settings).map_err(Error::Temporary);
    let (finished, computed) = timed(clock, Stage::Runbook, judge)?;
    let (finished, computed) = redacted(finished, Some(computed), runbook.redact)?;
    let report = Report { finished: &finished, runbook: computed.as_ref(), group_by: &[] };
    timed(clock, Stage::Reports, || write(&report, directory.as_ref(), runbook.format))?;
    if !input.quiet && !paths.is_empty() {
        warn_if_nothing(&finished);
    }
    print_stats(clock, &finished.totals);
    Ok(status(finished.extent, &finished.totals))
}

/// The case, if there is no dump, with the rules with which it was last read.
fn reopened(runbook: &Runbook) -> Result<Option<(Case, Asked)>, Error> {
    let Some(path) = runbook.case.as_deref().filter(|_| runbook.paths.is_empty()) else { return Ok(None) };
    if !runbook.ruling.rules.is_empty() || runbook.ruling.tune.is_some() {
        let problem = "--rules and --tune need a PATH: without one the rules are those that the case was read with";
        return Err(Error::Usage(problem.to_owned()));
    }
    if runbook.looks.deep {
        return Err(Error::Usage("--deep reads the dump once more: name it, or leave --deep out".to_owned()));
    }
    Case::reopen(path).map(Some)
}

fn only(runbook: &Runbook) -> Only {
    Only {
        users: runbook.user.clone(),
        namespaces: runbook.namespace.clone(),
        alerts: runbook.alert.clone(),
        clusters: runbook.cluster.clone(),
    }
}

/// Writes the files, or prints the one of this format.
fn write(report: &Report<'_>, directory: Option<&Directory>, format: RunbookFormat) -> Result<(), Error> {
    let wanted = if format == RunbookFormat::Json { "runbook.json" } else { "runbook.md" };
    RUNBOOK_FILES.iter().try_for_each(|(name, writer)| match directory {
        Some(directory) => directory.write(name, |out| writer(report, out)).map(|_| ()),
        None if *name == wanted => print(|out| writer(report, out)),
        None => Ok(()),
    })
}
