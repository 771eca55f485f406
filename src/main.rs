//! The kubesweep binary: runs the library, prints the error, chooses the exit status.

use std::io::{self, Write};
use std::process::ExitCode;

use kubesweep::cli::{self, ExitStatus};
use mimalloc::MiMalloc;

/// Observations and pages consist of many small texts: with the allocator of glibc, a sweep takes a twentieth longer,
/// and one with many hits a quarter.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let status = cli::run(&std::env::args_os().collect::<Vec<_>>()).unwrap_or_else(|error| {
        // If even this cannot be printed, nothing is left to do.
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitStatus::Usage
    });
    ExitCode::from(status as u8)
}
