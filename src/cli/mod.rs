//! The command line: arguments as typed, and what they mean.

mod args;
mod color;
mod events;
mod help;
mod inspect;
mod interrupt;
mod manual;
mod merge;
mod options;
mod partial;
mod reports;
mod rules;
mod runbook;
mod scan;
mod verify;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::{CommandFactory, Parser};
use jiff::Timestamp;

use crate::aggregate::{Extent, Finished, Tally, Totals, covered};
use crate::case::Case;
use crate::discover::Found;
use crate::error::Error;
use crate::progress::Progress;
use crate::redact::Redactor;
use crate::rule::{Pack, Tuning};
use crate::runbook::{self as steps, Runbook};
use crate::stats::Stats;
use crate::sweep::{self, Job, Observer};
use crate::threads::in_threads;
use crate::words::minute;
use args::{Cli, Command};
use reports::Begun;

/// The exit status of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Swept; everything could be decoded and decided.
    Swept = 0,
    /// Swept, and an alert reaches `--fail-on`; or a rule's test failed; or `verify` found a difference.
    Alerted = 1,
    /// Nothing was swept, because of the arguments, paths or output.
    Usage = 2,
    /// Swept, but bytes could not be decoded, or a record could not be decided.
    Damaged = 3,
    /// A signal ended the sweep. The reports contain what was read until then.
    Interrupted = 130,
}

/// Runs the program on a command line.
///
/// # Errors
/// Nothing could be swept; the caller exits with [`ExitStatus::Usage`].
pub fn run(arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let begun = Begun { arguments, start: Timestamp::now() };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output and is not an error; clap knows which this is.
            let _ = error.print();
            return Ok(if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Swept });
        }
    };
    match cli.command {
        Command::Scan(scan) => in_threads(scan.dump.input.threads, || scan::run(&scan, begun))?,
        Command::Merge(merge) => in_threads(None, || merge::run(&merge, begun))?,
        Command::Runbook(runbook) => in_threads(runbook.input.threads, || runbook::run(&runbook))?,
        Command::Rules(rules) => rules::run(&rules.action),
        Command::Inspect(inspect) => in_threads(inspect.dump.input.threads, || inspect::run(&inspect))?,
        Command::Events(events) => in_threads(events.dump.input.threads, || events::run(&events))?,
        Command::Verify(verify) => in_threads(verify.threads, || verify::run(&verify))?,
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { directory } => manual::man(&directory),
    }
}

/// The declared command line, for callers that inspect it without running it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Interrupted outranks damaged; damaged outranks success.
fn status(extent: Extent, totals: &Totals) -> ExitStatus {
    match (extent, totals.partial + totals.failed) {
        (Extent::Interrupted, _) => ExitStatus::Interrupted,
        (Extent::Whole, 0) => ExitStatus::Swept,
        _ => ExitStatus::Damaged,
    }
}

/// Writes to standard output. A closed pipe is not an error: `kubesweep … | head` has what it wants.
fn print(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match content(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Error::Output { path: "standard output".into(), source }),
    }
}

fn progress<'s>(found: &Found, input: &args::Input, stats: Option<&'s Stats>) -> Progress<'s> {
    let bytes = found.sources.iter().map(|source| source.bytes).sum();
    let hidden = input.quiet || input.no_progress || !io::stderr().is_terminal();
    Progress::new(bytes, found.sources.len(), hidden, stats)
}

/// Sweeps, and adds what a case file has. With `deep`, looks back at the users of matches.
fn sweep(
    found: &mut Found,
    job: &Job,
    case: Option<&Case>,
    input: &args::Input,
    deep: bool,
    stats: Option<&Stats>,
) -> Result<Tally, Error> {
    if deep && found.sources.iter().any(|source| source.path.is_none()) {
        let problem = "--deep reads everything twice, and standard input can be read once; leave it out, or name files";
        return Err(Error::Usage(problem.to_owned()));
    }
    if let Some(case) = case {
        case.name_apart(found)?;
    }
    let progress = progress(found, input, stats);
    let mut tally = match case {
        Some(case) => sweep::sweep_into(case, found, job, &progress)?,
        None => sweep::sweep(found, job, &progress),
    };
    progress.finish();
    tell_interrupted(&tally, input.quiet);
    if let Some(case) = case {
        let (kept, others) = case.load()?;
        warn_of_others(others, input.quiet);
        tally = tally.merge(kept);
    }
    if deep { looked_back(tally, found, job, stats) } else { Ok(tally) }
}

/// Adds what the users of matches did before them, which takes a second sweep.
fn looked_back(tally: Tally, found: &Found, job: &Job, stats: Option<&Stats>) -> Result<Tally, Error> {
    let interests = steps::precursors(&tally.observations)?;
    if interests.is_empty() {
        return Ok(tally);
    }
    let pack = Pack::new(Vec::new(), Tuning::default(), interests);
    let second = Job { pack, cluster: job.cluster.clone(), stop: job.stop.clone(), ..*job };
    // The second pass reads the same records, so coverage and inputs stay those of the first.
    let again = sweep::sweep(found, &second, &Silent(stats));
    let (observations, extent) = (again.observations, again.extent);
    Ok(tally.merge(Tally { observations, extent, ..Tally::default() }))
}

/// Applies `--redact`, if requested.
fn redacted(
    finished: Finished,
    runbook: Option<Runbook>,
    is_asked: bool,
) -> Result<(Finished, Option<Runbook>), Error> {
    if !is_asked {
        return Ok((finished, runbook));
    }
    redactor()?.results(finished, runbook).map_err(Error::Temporary)
}

fn redactor() -> Result<Redactor, Error> {
    Redactor::new().map_err(|error| Error::Usage(format!("--redact: {error}")))
}

/// Says that a signal ended reading, before the results are decided.
fn tell_interrupted(tally: &Tally, quiet: bool) {
    if tally.extent == Extent::Interrupted && !quiet {
        let _ = writeln!(io::stderr(), "interrupted: no more is read; a second signal ends at once");
    }
}

/// Warns that part of a case is not counted.
fn warn_of_others(inputs: u64, quiet: bool) {
    if inputs > 0 {
        let problem = "were read with other rules, limits or suppressions: they count as history, not for hits; name them to read them again";
        warn(quiet, format_args!("{inputs} inputs of the case {problem}"));
    }
}

/// Observes a second pass, which the display does not count.
struct Silent<'s>(Option<&'s Stats>);

impl Observer for Silent<'_> {
    fn opened(&self, _: &str) {}
    fn read(&self, _: u64) {}
    fn closed(&self, _: u64, _: u64) {}
    fn stats(&self) -> Option<&Stats> {
        self.0
    }
}

/// The clock, if `--stats` is given.
fn stats(asked: bool) -> Option<Stats> {
    asked.then(Stats::start)
}

/// Prints the times, if `--stats` is given.
fn print_stats(stats: Option<&Stats>, totals: &Totals) {
    if let Some(stats) = stats {
        let _ = io::stderr().write_all(stats.print(totals.bytes, totals.records).as_bytes());
    }
}

/// Warns of fields of Sigma rules and entries of the tuning that have no effect.
fn warn_of_tuning(pack: &Pack, now: Timestamp, quiet: bool) {
    for warning in pack.warnings(now) {
        warn(quiet, warning.0);
    }
}

/// Prints a warning, unless `--quiet` is given.
fn warn(quiet: bool, warning: impl std::fmt::Display) {
    if !quiet {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}

/// Warns if no event was found, perhaps because of a typing error in a path, or none in the requested time.
fn warn_if_nothing(report: &Finished) {
    let warning = match (report.asked.words(), covered(&report.coverage)) {
        (Some(asked), Some((_, last))) if report.missed() => {
            format!("no event lies in the time asked for, {asked}; the last one is of {}", minute(last))
        }
        (asked, None) if report.totals.events == 0 => {
            let asked = asked.map_or_else(String::new, |asked| format!(" {asked}"));
            format!("no audit event was found{asked}; `kubesweep inspect` says what the files hold")
        }
        _ => return,
    };
    warn(false, warning);
}
