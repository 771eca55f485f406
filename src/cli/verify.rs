//! `kubesweep verify`.

use std::path::PathBuf;

use clap::Args;

use super::{ExitStatus, print};
use crate::error::Error;
use crate::verify::{Difference, Finding, Verified, inputs, reports};
use crate::words::plural;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Directory that `scan` wrote its reports to
    #[arg(value_name = "REPORT_DIR")]
    pub directory: PathBuf,

    /// Dump to compare with inputs.csv, as it was given to `scan`; repeatable
    #[arg(long, value_name = "PATH")]
    pub dump: Vec<PathBuf>,

    /// Threads [default: all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// Hashes reports, and inputs if a dump is named, and says what differs.
pub(super) fn run(verify: &Verify) -> Result<ExitStatus, Error> {
    let of_reports = reports(&verify.directory)?;
    let of_inputs = if verify.dump.is_empty() { Verified::default() } else { inputs(&verify.directory, &verify.dump)? };
    let findings: Vec<&Finding> = of_reports.findings.iter().chain(&of_inputs.findings).collect();
    let compared = if verify.dump.is_empty() {
        plural(of_reports.compared, "report")
    } else {
        let (reports, inputs, unhashed) = (of_reports.compared, of_inputs.compared, of_inputs.unhashed);
        let have = if unhashed == 1 { "has" } else { "have" };
        format!("{}, {} ({unhashed} more {have} no hash)", plural(reports, "report"), plural(inputs, "input"))
    };
    print(|out| {
        findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
        writeln!(out, "verified   {compared}: {}", told(&findings))
    })?;
    Ok(if findings.is_empty() { ExitStatus::Swept } else { ExitStatus::Alerted })
}

/// The number of differences of each kind.
fn told(findings: &[&Finding]) -> String {
    use Difference::{Changed, Incomplete, Missing, New, Unreadable};
    let count = |of| findings.iter().filter(|finding| finding.difference == of).count();
    let named = [
        (Incomplete, "incomplete"),
        (Changed, "changed"),
        (Missing, "missing"),
        (New, "new"),
        (Unreadable, "unreadable"),
    ];
    let counts = named.map(|(of, name)| (count(of), name)).into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, name)| format!("{count} {name}")).collect();
    if counts.is_empty() { "all as written".to_owned() } else { counts.join(", ") }
}
