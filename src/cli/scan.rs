//! `kubesweep scan`.

use std::ffi::OsString;
use std::io::{self, Write};

use jiff::Timestamp;

use super::args::Scan;
use super::{ExitStatus, options, progress, status, warn_if_nothing};
use crate::aggregate::{Finished, finish};
use crate::discover::discover;
use crate::error::Error;
use crate::paths::printable;
use crate::report::{Directory, FILES, Run, closing};
use crate::rule::Rule;
use crate::sweep::{self, Job};

/// Sweeps, writes the reports, and says how it went.
pub(super) fn run(scan: &Scan, arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let start = Timestamp::now();
    let times = options::times(scan)?;
    let plan = options::plan(scan, &times)?;
    let job = Job { window: times.kept, ..options::job(&scan.input, options::pack(scan)?) };
    warn(&job, times.now, scan.input.quiet);
    let to_stdout = scan.out.as_os_str() == "-";
    let mut found = discover(&scan.input.paths, Some(scan.out.as_path()).filter(|_| !to_stdout))?;
    if !scan.no_prune {
        found.prune(job.window);
    }
    let directory = if to_stdout { None } else { Some(Directory::create(&scan.out, scan.force)?) };
    let progress = progress(&found, scan.input.quiet || scan.input.no_progress);
    let tally = sweep::in_threads(scan.input.threads, || sweep::sweep(&found, &job, &progress))?;
    progress.finish();
    let report = finish(tally, &job.pack, &plan);
    let status = verdict(&report, scan);
    match directory {
        Some(directory) => write(directory, &report, &job.pack.rules, scan, &facts(arguments, start, status))?,
        None => print(&report, scan)?,
    }
    if !scan.input.quiet {
        let reports = if to_stdout { "standard output".to_owned() } else { scan.out.display().to_string() };
        // A closed standard error is no reason to fail: the reports are written.
        let _ = io::stderr().write_all(closing(&report, &scan.group_by, &reports).as_bytes());
        warn_if_nothing(&report.totals);
    }
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
    let alerted = scan.fail_on.is_some_and(|least| report.alerts.iter().any(|alert| alert.severity >= least));
    if alerted { ExitStatus::Alerted } else { status(&report.totals) }
}

fn facts(arguments: &[OsString], start: Timestamp, status: ExitStatus) -> Run {
    let arguments = arguments.iter().skip(1).map(|argument| printable(argument.as_encoded_bytes())).collect();
    Run { arguments, start, end: Timestamp::now(), exit_status: status as u8 }
}

fn write(mut directory: Directory, report: &Finished, rules: &[Rule], scan: &Scan, run: &Run) -> Result<(), Error> {
    for (name, writer) in FILES {
        directory.write(name, |out| writer(report, &scan.group_by, out))?;
    }
    let hashes = directory.hashes().to_vec();
    directory.write("run.json", |out| run.write(rules, &report.totals, &hashes, out))
}

fn print(report: &Finished, scan: &Scan) -> Result<(), Error> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match scan.format.write(report, &mut out).and_then(|()| out.flush()) {
        // `kubesweep … | head` has what it wants.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Error::Output { path: "standard output".into(), source }),
    }
}
