//! run.json: the only report that depends on the clock.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aggregate::Finished;
use crate::rule::Rule;

/// One run of the program.
#[derive(Debug)]
pub struct Run {
    /// The command line, without the program name.
    pub arguments: Vec<String>,
    /// When it started.
    pub start: Timestamp,
    /// When the reports were written.
    pub end: Timestamp,
    /// The exit status of the program.
    pub exit_status: u8,
    /// The tuning file with its SHA-256.
    pub tuning: Option<(String, String)>,
    /// Files of indicators with their SHA-256, the built-in one first.
    pub indicators: Vec<(String, String)>,
}

impl Run {
    /// Writes the file.
    pub fn write(
        &self,
        rules: &[Rule],
        finished: &Finished,
        hashes: &[(String, String)],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let seconds = self.end.duration_since(self.start).as_secs_f64();
        let rules: Vec<Value> =
            rules.iter().map(|rule| json!({"rule_id": rule.id, "file": rule.file, "sha256": rule.sha256})).collect();
        let file = |(file, sha256): &(String, String)| json!({"file": file, "sha256": sha256});
        let value = json!({
            "kubesweep": env!("CARGO_PKG_VERSION"),
            "build": {
                "target": env!("KUBESWEEP_TARGET"),
                "profile": env!("KUBESWEEP_PROFILE"),
                "commit": option_env!("KUBESWEEP_COMMIT"),
            },
            "complete": finished.extent.is_whole(),
            "arguments": self.arguments,
            "window": super::json::window(finished),
            "rules": rules,
            "tuning": self.tuning.as_ref().map(file),
            "indicators": self.indicators.iter().map(file).collect::<Vec<_>>(),
            "reports": hashes.iter().map(file).collect::<Vec<_>>(),
            "start": self.start,
            "end": self.end,
            "seconds": seconds,
            "bytes_per_second": rate(finished.totals.bytes, seconds),
            "records_per_second": rate(finished.totals.records, seconds),
            "exit_status": self.exit_status,
        });
        serde_json::to_writer_pretty(&mut *out, &value)?;
        out.write_all(b"\n")
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a speed for people"
)]
fn rate(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds) as u64 } else { 0 }
}
