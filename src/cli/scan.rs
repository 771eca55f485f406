//! `kubesweep scan`.

use std::ffi::OsString;
use std::io::{self, Write};

use jiff::Timestamp;

use super::args::Scan;
use super::{ExitStatus, options, print, print_stats, redacted, stats, status, sweep, warn_if_nothing};
use crate::aggregate::{Finished, finish};
use crate::case::Asked;
use crate::discover::discover;
use crate::error::Error;
use crate::paths::printable;
use crate::report::{Directory, FILES, RUNBOOK_FILES, Report, Run, closing};
use crate::rule::Rule;
use crate::runbook::{Catalogue, Only, Scope, compute};
use crate::stats::{Stage, timed};
use crate::sweep::Job;

/// Sweeps, writes the reports, and says how it went.
pub(super) fn run(scan: &Scan, arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let start = Timestamp::now();
    let clock = stats(&scan.input);
    let clock = clock.as_ref();
    if scan.no_runbook && matches!(scan.fail_on, Some(options::FailOn::Verdict(_))) {
        return Err(Error::Usage("--fail-on a verdict needs the runbook; leave --no-runbook out".to_owned()));
    }
    let times = options::times(&scan.times)?;
    let plan = options::plan(scan, &times)?;
    // A case keeps what the runbook of a later run may want.
    let scope = if scan.no_runbook && scan.case.is_none() { Scope::Hits } else { Scope::Runbook };
    let pack = options::pack(&scan.rules, scan.tune.as_deref(), scope)?;
    let (settings, catalogue) = options::runbook(&scan.runbook, &scan.times, &pack.tuning, Only::default())?;
    let job = options::job(&scan.input, &scan.origin, pack)?;
    let job = Job { window: times.kept, ..job };
    warn(&job, times.now, scan.input.quiet);
    let to_stdout = scan.out.as_os_str() == "-";
    let out = Some(scan.out.as_path()).filter(|_| !to_stdout);
    let mut found = discover(&scan.paths, &options::own_files(out, scan.case.as_deref()))?;
    if !scan.no_prune {
        found.prune(job.window);
    }
    let case = options::case(scan.case.as_deref(), &job)?;
    if let Some(case) = &case {
        case.remember(&Asked::from_here(&scan.rules, scan.tune.as_deref()))?;
    }
    let directory = out.map(|out| Directory::create(out, scan.force)).transpose()?;
    let tally = sweep(&mut found, &job, case.as_ref(), &scan.input, settings.deep && !scan.no_runbook, clock)?;
    let finished = timed(clock, Stage::Finish, || finish(tally, &job.pack, &plan)).map_err(Error::Temporary)?;
    let (finished, runbook) = if scan.no_runbook {
        (finished, None)
    } else {
        let steps = || compute(finished, &catalogue, &settings).map_err(Error::Temporary);
        let (finished, runbook) = timed(clock, Stage::Runbook, steps)?;
        (finished, Some(runbook))
    };
    let (finished, runbook) = redacted(finished, runbook, scan.redact)?;
    let status = verdict(&finished, scan);
    let report = Report { finished: &finished, runbook: runbook.as_ref(), group_by: &scan.group_by };
    timed(clock, Stage::Reports, || match directory {
        Some(directory) => {
            write(directory, &report, &job.pack.rules, &facts(arguments, start, status, &job, &catalogue))
        }
        None => print(|out| scan.format.write(&finished, out)),
    })?;
    if !scan.input.quiet {
        let reports = if to_stdout { "standard output".to_owned() } else { scan.out.display().to_string() };
        // A closed standard error is no reason to fail: the reports are written.
        let _ = io::stderr().write_all(closing(&report, &reports).as_bytes());
        warn_if_nothing(&finished.totals);
    }
    print_stats(clock, &finished.totals);
    Ok(status)
}

/// Says which entries of the tuning do nothing.
fn warn(job: &Job, now: Timestamp, quiet: bool) {
    for warning in job.pack.tuning.warnings(&job.pack.rules, now) {
        if !quiet {
            let _ = writeln!(io::stderr(), "warning: {}", warning.0);
        }
    }
}

fn verdict(report: &Finished, scan: &Scan) -> ExitStatus {
    let alerted = scan.fail_on.is_some_and(|least| report.alerts.iter().any(|alert| least.is_reached(alert)));
    if alerted && report.complete { ExitStatus::Alerted } else { status(report) }
}

fn facts(arguments: &[OsString], start: Timestamp, status: ExitStatus, job: &Job, catalogue: &Catalogue) -> Run {
    let arguments = arguments.iter().skip(1).map(|argument| printable(argument.as_encoded_bytes())).collect();
    let tuning = job.pack.tuning.source().map(|(file, sha256)| (file.to_owned(), sha256.to_owned()));
    let indicators = catalogue.files.clone();
    Run { arguments, start, end: Timestamp::now(), exit_status: status as u8, tuning, indicators }
}

fn write(mut directory: Directory, report: &Report<'_>, rules: &[Rule], run: &Run) -> Result<(), Error> {
    let of_runbook = RUNBOOK_FILES.iter().filter(|_| report.runbook.is_some());
    for (name, writer) in FILES.iter().chain(of_runbook) {
        directory.write(name, |out| writer(report, out))?;
    }
    for (name, _) in RUNBOOK_FILES.iter().filter(|_| report.runbook.is_none()) {
        directory.remove(name)?;
    }
    let hashes = directory.hashes().to_vec();
    directory.write("run.json", |out| run.write(rules, report.finished, &hashes, out))
}
