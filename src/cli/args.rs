//! Arguments as typed: the commands, and what several of them take. What only one takes stands beside its work.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::color::When;
use super::events::Events;
use super::help;
use super::inspect::Inspect;
use super::merge::Merge;
use super::options::FailOn;
use super::rules::Rules;
use super::runbook::Runbook;
use super::scan::Scan;
use super::verify::Verify;
use crate::event::Platform;
use crate::report::Format;

/// Forensic sweeps over historical Kubernetes audit logs.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 80, arg_required_else_help = true, after_help = help::below(help::PROGRAM, help::SWEPT))]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sweep dumps, write reports
    #[command(after_help = help::below(help::SCAN, help::SWEPT))]
    Scan(Scan),
    /// Make the reports of one run from the partials of many
    #[command(after_help = help::below(help::MERGE, help::MERGED))]
    Merge(Merge),
    /// Print the runbook of every alert: the 24 hours before, the spec, the 30
    /// days of history, a verdict
    #[command(after_help = help::below(help::RUNBOOK, help::READ))]
    Runbook(Runbook),
    /// List, show and test rules
    #[command(after_help = help::below(help::RULES, help::TESTED))]
    Rules(Rules),
    /// Say what is in a dump: formats, clusters, time spans, gaps, damage
    #[command(after_help = help::below(help::INSPECT, help::READ))]
    Inspect(Inspect),
    /// Print audit events as JSON lines, whatever form they were logged in
    #[command(after_help = help::below(help::EVENTS, help::READ))]
    Events(Events),
    /// Hash reports and inputs again, and say what is not as it was
    #[command(after_help = help::below(help::VERIFY, help::VERIFIED))]
    Verify(Verify),
    /// Print the completions of a shell
    #[command(after_help = help::below(help::COMPLETIONS, help::WRITTEN))]
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Write the man pages, one per command
    #[command(after_help = help::below(help::MAN, help::WRITTEN))]
    Man {
        /// Directory for the pages; pages of the same names are overwritten
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// What to read, common to all commands that read dumps.
#[expect(clippy::struct_excessive_bools, reason = "arguments as typed")]
#[derive(Debug, Args)]
pub(super) struct Input {
    /// Largest record; larger ones are counted as malformed
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = super::options::bytes, help_heading = "Limits")]
    pub max_record: u64,

    /// Most bytes of text to read from one input
    #[arg(long, value_name = "BYTES", value_parser = super::options::bytes, help_heading = "Limits")]
    pub max_bytes: Option<u64>,

    /// Parse every record in full, not only those that a rule may need
    #[arg(long, help_heading = "Limits")]
    pub validate: bool,

    /// Threads [default: all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Limits")]
    pub threads: Option<u16>,

    /// Print nothing but errors on standard error
    #[arg(short, long, action = ArgAction::SetTrue, help_heading = "Terminal")]
    pub quiet: bool,

    /// Print how long each stage took, on standard error
    #[arg(long, help_heading = "Terminal")]
    pub stats: bool,

    /// No progress display
    #[arg(long, help_heading = "Terminal")]
    pub no_progress: bool,
}

/// What the dump does not say of itself.
#[derive(Debug, Default, Args)]
pub(super) struct Origin {
    /// Name of the cluster, whatever the dump says
    #[arg(long, value_name = "NAME", value_parser = named, help_heading = "Input")]
    pub cluster: Option<String>,

    /// Platform of the cluster, whatever the dump says: eks, aks, gke or
    /// kubernetes
    #[arg(long, value_name = "P", help_heading = "Input")]
    pub platform: Option<Platform>,
}

/// The dump, which must be named.
#[derive(Debug, Args)]
pub(super) struct Dump {
    /// Files or directories of audit logs; `-` is standard input, a stream or a
    /// tar of files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub origin: Origin,

    #[command(flatten)]
    pub input: Input,
}

/// The rules, and how they are tuned.
#[derive(Debug, Args)]
pub(super) struct Ruling {
    /// Rules to evaluate: a file or directory (Panther-style or Sigma YAML),
    /// builtin:cronjob or builtin:all; repeatable [default: builtin:cronjob]
    #[arg(short, long, value_name = "R", help_heading = "Rules")]
    pub rules: Vec<String>,

    /// Suppressions, severities, registries and thresholds, as YAML
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub tune: Option<PathBuf>,
}

/// Where the reports go, and what they are to say.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Report directory; `-` prints the hits to standard output
    #[arg(short, long, value_name = "DIR", default_value = "kubesweep-report", help_heading = "Output")]
    pub out: PathBuf,

    /// Format of hits on standard output: jsonl (the default), csv or timesketch
    #[arg(long, value_name = "F", help_heading = "Output")]
    pub format: Option<Format>,

    /// When to print colours on standard error
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Terminal")]
    pub color: When,

    /// Overwrite the reports in a directory that is not empty
    #[arg(long, help_heading = "Output")]
    pub force: bool,

    /// Mask secrets: values of environment variables, tokens, keys, passwords
    /// and last-applied annotations
    #[arg(long, help_heading = "Output")]
    pub redact: bool,

    /// Fields by which summary.csv counts
    #[arg(
        long,
        value_name = "F,F",
        value_delimiter = ',',
        value_parser = trimmed,
        default_value = "namespace,username",
        help_heading = "Output"
    )]
    pub group_by: Vec<String>,

    /// Exit with 1 if an alert has this severity or a higher one (info, low,
    /// medium, high, critical), or this verdict or a graver one (review,
    /// suspicious, malicious-likely)
    #[arg(long, value_name = "S", help_heading = "Output")]
    pub fail_on: Option<FailOn>,
}

/// A name, which an unset variable of a shell is not.
pub(super) fn named(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("a name is empty; leave the option out for all".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// The text between two commas, without surrounding spaces.
#[expect(clippy::unnecessary_wraps, reason = "the form of a value parser")]
fn trimmed(text: &str) -> Result<String, String> {
    Ok(text.trim().to_owned())
}

/// The times that were asked for.
#[derive(Debug, Args)]
pub(super) struct Span {
    /// Start: a time, a date, or a span back from --as-of (30d, 24h)
    #[arg(long, value_name = "T", help_heading = "Time")]
    pub since: Option<String>,

    /// End, not included: a time, a date, or a span back from --as-of
    #[arg(long, value_name = "T", help_heading = "Time")]
    pub until: Option<String>,

    /// Where spans are counted back from [default: now]
    #[arg(long, value_name = "T", help_heading = "Time")]
    pub as_of: Option<String>,
}

/// Which events alert, and which are history.
#[derive(Debug, Args)]
pub(super) struct Times {
    #[command(flatten)]
    pub span: Span,

    /// History before --since that is read as well
    #[arg(long, value_name = "SPAN", default_value = "30d", help_heading = "Time")]
    pub lookback: String,

    /// Context before --since that is read as well; the longer of this and
    /// --lookback counts
    #[arg(long, value_name = "SPAN", default_value = "24h", help_heading = "Time")]
    pub context: String,
}

/// What the runbook looks at.
#[derive(Debug, Args)]
pub(super) struct RunbookOptions {
    /// Indicators to add to the built-in ones, or to put in their place, as YAML
    #[arg(long, value_name = "FILE", help_heading = "Runbook")]
    pub indicators: Option<PathBuf>,

    /// Read everything again for what the users of hits did before: role
    /// bindings, tokens, secrets, exec, webhooks, refusals
    #[arg(long, help_heading = "Runbook")]
    pub deep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people
    #[default]
    Text,
    /// For machines
    Json,
}
