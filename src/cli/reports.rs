//! How scan and merge end: decides on what was observed, writes the reports, and returns an exit status.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::args::Output;
use super::options::{self, FailOn, Times};
use super::{ExitStatus, color, print, print_stats, redacted, status, warn_if_nothing};
use crate::aggregate::{Finished, Plan, Tally, finish};
use crate::error::Error;
use crate::paths::printable;
use crate::report::{Directory, FILES, MARK, RUNBOOK_FILES, Report, Run, Writer, closing};
use crate::rule::{Pack, Rule};
use crate::runbook::{Catalogue, Runbook, Settings, compute};
use crate::stats::{Stage, Stats, timed};
use crate::threads::each;

/// The command line, and when the program started.
#[derive(Clone, Copy)]
pub(super) struct Begun<'a> {
    pub arguments: &'a [OsString],
    pub start: Timestamp,
}

/// Reports to be written.
pub(super) struct Reports<'a> {
    begun: Begun<'a>,
    output: &'a Output,
    plan: Plan,
    /// Settings and indicators of the runbook; `None` for no runbook.
    steps: Option<(Settings, Catalogue)>,
    directory: Option<Directory>,
    quiet: bool,
    clock: Option<&'a Stats>,
}

/// The directory that `--out` names, unless it names standard output.
pub(super) fn directory(out: &Path) -> Option<&Path> {
    Some(out).filter(|out| out.as_os_str() != "-")
}

/// What is counted. Refuses a `--fail-on` that could never be decided, and a format of what is not printed.
pub(super) fn plan(output: &Output, times: &Times, no_runbook: bool) -> Result<Plan, Error> {
    if output.format.is_some() && directory(&output.out).is_some() {
        let problem =
            "--format is for hits on standard output; add -o -, or leave it out: a report directory has each format";
        return Err(Error::Usage(problem.to_owned()));
    }
    if no_runbook && matches!(output.fail_on, Some(FailOn::Verdict(_))) {
        return Err(Error::Usage("--fail-on a verdict needs the runbook; leave --no-runbook out".to_owned()));
    }
    options::plan(&output.group_by, times)
}

impl<'a> Reports<'a> {
    /// Creates the directory of the reports before the long work.
    pub(super) fn begin(
        begun: Begun<'a>,
        output: &'a Output,
        plan: Plan,
        steps: Option<(Settings, Catalogue)>,
        quiet: bool,
        clock: Option<&'a Stats>,
    ) -> Result<Self, Error> {
        let directory = directory(&output.out).map(|out| Directory::create(out, output.force)).transpose()?;
        Ok(Reports { begun, output, plan, steps, directory, quiet, clock })
    }

    /// Decides, writes, and returns the exit status.
    pub(super) fn finish(self, tally: Tally, pack: &Pack) -> Result<ExitStatus, Error> {
        let Reports { begun, output, plan, steps, directory, quiet, clock } = self;
        let finished = timed(clock, Stage::Finish, || finish(tally, pack, &plan)).map_err(Error::Temporary)?;
        let (finished, runbook) = runbook(finished, steps.as_ref(), clock)?;
        let (finished, runbook) = redacted(finished, runbook, output.redact)?;
        let status = verdict(&finished, output).map_err(Error::Temporary)?;
        let report = Report { finished: &finished, runbook: runbook.as_ref(), group_by: &output.group_by };
        timed(clock, Stage::Reports, || match directory {
            Some(directory) => write(&directory, &report, &pack.rules, &facts(begun, status, pack, steps.as_ref())),
            None => print(|out| output.format.unwrap_or_default().write(&finished, out)),
        })?;
        if !quiet {
            let reports = self::directory(&output.out).map(|out| out.display().to_string());
            let closing = closing(&report, reports.as_deref()).map_err(Error::Temporary)?;
            color::print(&closing, output.color);
            warn_if_nothing(&finished);
        }
        print_stats(clock, &finished.totals);
        Ok(status)
    }
}

/// Computes the runbook, if requested.
fn runbook(
    finished: Finished,
    steps: Option<&(Settings, Catalogue)>,
    clock: Option<&Stats>,
) -> Result<(Finished, Option<Runbook>), Error> {
    let Some((settings, catalogue)) = steps else { return Ok((finished, None)) };
    let steps = || compute(finished, catalogue, settings).map_err(Error::Temporary);
    let (finished, runbook) = timed(clock, Stage::Runbook, steps)?;
    Ok((finished, Some(runbook)))
}

fn verdict(report: &Finished, output: &Output) -> io::Result<ExitStatus> {
    Ok(match status(report.extent, &report.totals) {
        ExitStatus::Interrupted => ExitStatus::Interrupted,
        status => match output.fail_on {
            Some(least) if is_reached(least, report)? => ExitStatus::Alerted,
            _ => status,
        },
    })
}

fn is_reached(least: FailOn, report: &Finished) -> io::Result<bool> {
    for alert in report.alerts.read()? {
        if least.is_reached(&*alert?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn facts(begun: Begun<'_>, status: ExitStatus, pack: &Pack, steps: Option<&(Settings, Catalogue)>) -> Run {
    let arguments = begun.arguments.iter().skip(1).map(|argument| printable(argument.as_encoded_bytes())).collect();
    let tuning = pack.tuning.source().map(|(file, sha256)| (file.to_owned(), sha256.to_owned()));
    let indicators = steps.map(|(_, catalogue)| catalogue.files.clone()).unwrap_or_default();
    Run { arguments, start: begun.start, end: Timestamp::now(), exit_status: status as u8, tuning, indicators }
}

/// Writes the files in parallel, and last the one that marks them complete.
fn write(directory: &Directory, report: &Report<'_>, rules: &[Rule], run: &Run) -> Result<(), Error> {
    let of_runbook = RUNBOOK_FILES.iter().filter(|_| report.runbook.is_some());
    let files: Vec<_> = FILES.iter().chain(of_runbook).collect();
    let hash = |(name, writer): &&(&str, Writer)| directory.write(name, |out| writer(report, out));
    let hashes = each(&files, hash).into_iter().collect::<Result<Vec<_>, _>>()?;
    for (name, _) in RUNBOOK_FILES.iter().filter(|_| report.runbook.is_none()) {
        directory.remove(name)?;
    }
    let hashes: Vec<_> = files.iter().map(|(name, _)| (*name).to_owned()).zip(hashes).collect();
    directory.write(MARK, |out| run.write(rules, report.finished, &hashes, out)).map(|_| ())
}
