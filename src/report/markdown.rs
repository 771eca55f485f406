//! runbook.md.

use std::io::{self, Write};

use super::Report;

pub(super) fn runbook(_report: &Report<'_>, _out: &mut dyn Write) -> io::Result<()> {
    Ok(())
}
