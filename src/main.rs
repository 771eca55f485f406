//! The kubesweep binary: runs the library, prints the error, chooses the exit status.

use std::io::{self, Write};
use std::process::ExitCode;

use kubesweep::cli::{self, ExitStatus};
use mimalloc::MiMalloc;

/// Observations and pages are many small texts, which cost a twentieth of a sweep more with the allocator of glibc, and
/// a quarter of one with many hits.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let status = cli::run(&std::env::args_os().collect::<Vec<_>>()).unwrap_or_else(|error| {
        // Nothing is left to do where even this cannot be printed.
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitStatus::Usage
    });
    ExitCode::from(status as u8)
}
