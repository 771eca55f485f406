//! `kubesweep scan --partial`: one machine's share of a sweep.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::args::Dump;
use super::scan::Scan;
use super::{ExitStatus, options, print_stats, stats, status, sweep, warn_of_tuning};
use crate::aggregate::{Extent, Input, Totals};
use crate::discover::Found;
use crate::error::Error;
use crate::partial::{Header, Share, Writer};
use crate::report::closing_partial;
use crate::runbook::Scope;
use crate::stats::{Stage, timed};

/// Sweeps a share and writes what was observed; decides nothing.
pub(super) fn run(scan: &Scan, path: &Path) -> Result<ExitStatus, Error> {
    let Dump { paths, origin, input } = &scan.dump;
    let clock = stats(input.stats);
    let clock = clock.as_ref();
    options::without_clock(&scan.times.span)?;
    let times = options::times(&scan.times)?;
    let scope = if scan.no_runbook { Scope::Hits } else { Scope::Runbook };
    let pack = options::pack(&scan.ruling.rules, scan.ruling.tune.as_deref(), scope)?;
    let job = options::job(input, origin, pack, times.kept)?;
    warn_of_tuning(&job.pack, times.now, input.quiet);
    outside(path, paths)?;
    // Shares are of all files, whatever their paths prove.
    let mut found = options::found(paths, &[], None)?;
    let share = share(scan, &mut found)?;
    if !scan.no_prune {
        found.prune(job.window);
    }
    let writer = Writer::create(path)?;
    let mut tally = sweep(&mut found, &job, None, input, false, clock)?;
    if tally.extent == Extent::Interrupted {
        // Half a share would be taken for a whole one.
        if !input.quiet {
            let _ = writeln!(io::stderr(), "no partial is written; run this share again");
        }
        return Ok(ExitStatus::Interrupted);
    }
    // Of all that a merge joins, at most one may hold an input of this name.
    tally.inputs.retain(|input| !is_empty_stream(input));
    let (totals, inputs, kept) = (Totals::of(&tally.inputs), tally.inputs.clone(), tally.observations.len());
    let header = Header { about: options::about(&job, scan.no_prune), share };
    timed(clock, Stage::Reports, || writer.write(&header, tally))?;
    if !input.quiet {
        let of = header.share.map(|share| format!("{} of the dump", share.shard));
        let file = path.display().to_string();
        let text = closing_partial(&totals, &inputs, kept, of.as_deref(), &file);
        let _ = io::stderr().write_all(text.as_bytes());
    }
    print_stats(clock, &totals);
    Ok(status(Extent::Whole, &totals))
}

/// Whether this is standard input, and nothing came from it, or a tar without members.
fn is_empty_stream(input: &Input) -> bool {
    &*input.path == "-" && input.records == 0 && input.error.as_deref().is_none_or(|error| error == "empty")
}

/// Refuses a partial inside the dump: other machines would list it as input.
fn outside(partial: &Path, paths: &[PathBuf]) -> Result<(), Error> {
    let directory = partial.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(directory) = directory.canonicalize() else { return Ok(()) };
    let roots = paths.iter().filter_map(|path| path.canonicalize().ok());
    match roots.into_iter().find(|root| directory.starts_with(root)) {
        Some(_) => Err(Error::Partial {
            path: partial.to_owned(),
            problem: "lies inside the dump, where other machines would take it for a part of it; put it elsewhere"
                .to_owned(),
        }),
        None => Ok(()),
    }
}

fn share(scan: &Scan, found: &mut Found) -> Result<Option<Share>, Error> {
    let Some(asked) = scan.shard else { return Ok(None) };
    if scan.dump.paths.iter().any(|path| path.as_os_str() == "-") {
        let problem = "--shard takes a share of a listing, and standard input has none; leave --shard out and give every machine a tar of other files";
        return Err(Error::Usage(problem.to_owned()));
    }
    let shard = asked.resolve(|name| std::env::var(name).ok())?;
    Ok(Some(shard.take(found)))
}
