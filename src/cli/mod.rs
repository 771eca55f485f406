//! The command line: as typed, then as meant.

mod args;
mod events;
mod inspect;
mod options;
mod rules;
mod scan;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::Parser;

use crate::aggregate::Totals;
use crate::discover::Found;
use crate::error::Error;
use crate::progress::Progress;
use args::{Cli, Command};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Swept; everything could be decoded and decided.
    Swept = 0,
    /// Swept, and an alert reaches `--fail-on`; or a rule's test failed.
    Alerted = 1,
    /// Nothing was swept: arguments, paths, output.
    Usage = 2,
    /// Swept, but bytes could not be decoded, or a record could not be decided.
    Damaged = 3,
}

/// Runs the program on a command line.
///
/// # Errors
/// Nothing could be swept; [`ExitStatus::Usage`] goes with it.
pub fn run(arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output and is no error; clap knows which this is.
            let _ = error.print();
            return Ok(if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Swept });
        }
    };
    match cli.command {
        Command::Scan(scan) => scan::run(&scan, arguments),
        Command::Rules(rules) => rules::run(&rules.action),
        Command::Inspect(inspect) => inspect::run(&inspect),
        Command::Events(events) => events::run(&events),
    }
}

/// Damage outranks nothing but success.
fn status(totals: &Totals) -> ExitStatus {
    if totals.partial + totals.failed > 0 { ExitStatus::Damaged } else { ExitStatus::Swept }
}

fn progress(found: &Found, quiet: bool) -> Progress {
    let bytes = found.sources.iter().map(|source| source.bytes).sum();
    Progress::new(bytes, found.sources.len(), quiet || !io::stderr().is_terminal())
}

/// A warning that no event was found, which a typing error in a path looks like.
fn warn_if_nothing(totals: &Totals) {
    if totals.events == 0 {
        let _ =
            writeln!(io::stderr(), "warning: no audit event was found; `kubesweep inspect` says what the files hold");
    }
}
