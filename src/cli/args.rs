//! Arguments as typed.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::color::When;
use super::help;
use super::options::{AskedShard, FailOn};
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

#[derive(Debug, Args)]
pub(super) struct Scan {
    /// Files or directories of audit logs; `-` is standard input, a stream or a
    /// tar of files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Case file: inputs that it has are not read again, and what they held
    /// counts
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub case: Option<PathBuf>,

    #[command(flatten)]
    pub origin: Origin,

    #[command(flatten)]
    pub input: Input,

    /// Rules to evaluate: a file or directory (Panther-style or Sigma YAML),
    /// builtin:cronjob or builtin:all; repeatable [default: builtin:cronjob]
    #[arg(short, long, value_name = "R", help_heading = "Rules")]
    pub rules: Vec<String>,

    /// Suppressions, severities, registries and thresholds, as YAML
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub tune: Option<PathBuf>,

    #[command(flatten)]
    pub output: Output,

    /// No runbook: neither its files nor verdicts
    #[arg(long, help_heading = "Runbook")]
    pub no_runbook: bool,

    #[command(flatten)]
    pub runbook: RunbookOptions,

    #[command(flatten)]
    pub times: Times,

    /// Read files too whose path proves them outside the window
    #[arg(long, help_heading = "Time")]
    pub no_prune: bool,

    /// Write no reports but what was observed, for `kubesweep merge`
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["out", "force", "format", "group_by", "fail_on", "case", "deep", "indicators", "redact"],
        help_heading = "Many machines"
    )]
    pub partial: Option<PathBuf>,

    /// Read only this share of the files, counted from 0: 0/16 to 15/16; `auto`
    /// asks the environment of an array job
    #[arg(long, value_name = "I/N", help_heading = "Many machines")]
    pub shard: Option<AskedShard>,
}

#[expect(clippy::struct_excessive_bools, reason = "arguments as typed")]
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// Files that `scan --partial` wrote, or directories of them
    #[arg(required = true, value_name = "PARTIAL")]
    pub partials: Vec<PathBuf>,

    /// Write reports, marked incomplete, where partials are missing
    #[arg(long, help_heading = "Input")]
    pub allow_missing: bool,

    /// Rules that the partials were made with, as for scan
    #[arg(short, long, value_name = "R", help_heading = "Rules")]
    pub rules: Vec<String>,

    /// Suppressions, severities, registries and thresholds, as YAML; its
    /// suppressions are those that the partials were made with
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub tune: Option<PathBuf>,

    #[command(flatten)]
    pub output: Output,

    /// No runbook: neither its files nor verdicts
    #[arg(long, help_heading = "Runbook")]
    pub no_runbook: bool,

    /// Indicators to add to the built-in ones, or to put in their place, as YAML
    #[arg(long, value_name = "FILE", help_heading = "Runbook")]
    pub indicators: Option<PathBuf>,

    #[command(flatten)]
    pub times: Times,

    /// Print nothing but errors on standard error
    #[arg(short, long, action = ArgAction::SetTrue, help_heading = "Terminal")]
    pub quiet: bool,

    /// Print how long each stage took, on standard error
    #[arg(long, help_heading = "Terminal")]
    pub stats: bool,
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

    /// Keys of summary.csv
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
fn named(text: &str) -> Result<String, String> {
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
    /// First moment: a time, a date, or a span back from --as-of (30d, 24h)
    #[arg(long, value_name = "T", help_heading = "Time")]
    pub since: Option<String>,

    /// First moment behind: a time, a date, or a span back from --as-of
    #[arg(long, value_name = "T", help_heading = "Time")]
    pub until: Option<String>,

    /// The "now" of spans [default: the clock]
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

    /// Context before --since that is read as well; the longer of the two counts
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

#[derive(Debug, Args)]
pub(super) struct Runbook {
    /// Files or directories of audit logs; `-` is standard input, a stream or a
    /// tar of files
    #[arg(required_unless_present = "case", value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Case file: inputs that it has are not read again, and what they held
    /// counts
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub case: Option<PathBuf>,

    #[command(flatten)]
    pub input: Input,

    /// Rules to evaluate, as for scan [default: builtin:cronjob]
    #[arg(short, long, value_name = "R", help_heading = "Rules")]
    pub rules: Vec<String>,

    /// Suppressions, severities, registries and thresholds, as YAML
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub tune: Option<PathBuf>,

    #[command(flatten)]
    pub looks: RunbookOptions,

    /// Only alerts of this user; `*` stands for any text. Repeatable, as all
    /// that follow
    #[arg(long, value_name = "U", value_parser = named, help_heading = "Alerts")]
    pub user: Vec<String>,

    /// Only alerts in this namespace
    #[arg(long, value_name = "N", value_parser = named, help_heading = "Alerts")]
    pub namespace: Vec<String>,

    /// Only alerts of this cluster
    #[arg(long, value_name = "NAME", value_parser = named, help_heading = "Alerts")]
    pub cluster: Vec<String>,

    /// Only the alert of this id, or whose id begins so
    #[arg(long, value_name = "ID", value_parser = named, help_heading = "Alerts")]
    pub alert: Vec<String>,

    #[command(flatten)]
    pub times: Times,

    /// Read files too whose path proves them outside the window
    #[arg(long, help_heading = "Time")]
    pub no_prune: bool,

    /// Directory for runbook.md and runbook.json; without one the runbook is
    /// printed
    #[arg(short, long, value_name = "DIR", conflicts_with = "format", help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// What is printed
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: RunbookFormat,

    /// Mask secrets: values of environment variables, tokens, keys, passwords
    /// and last-applied annotations
    #[arg(long, help_heading = "Output")]
    pub redact: bool,

    /// Overwrite the files in a directory that is not empty
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum RunbookFormat {
    /// Markdown, for people
    #[default]
    Markdown,
    /// As in runbook.json
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Files or directories of audit logs; `-` is standard input, a stream or a
    /// tar of files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub origin: Origin,

    #[command(flatten)]
    pub input: Input,

    /// Output format
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(super) struct Events {
    /// Files or directories of audit logs; `-` is standard input, a stream or a
    /// tar of files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub origin: Origin,

    #[command(flatten)]
    pub input: Input,

    /// User who asked, or in whose name; `*` stands for any text. Filters are
    /// repeatable: any of the values, all of the filters
    #[arg(long, value_name = "U", value_parser = named, help_heading = "Filters")]
    pub user: Vec<String>,

    /// Namespace
    #[arg(long, value_name = "N", value_parser = named, help_heading = "Filters")]
    pub namespace: Vec<String>,

    /// Verb: get, list, create, …
    #[arg(long, value_name = "V", help_heading = "Filters")]
    pub verb: Vec<String>,

    /// Resource: pods (with any subresource), pods/exec
    #[arg(long, value_name = "R", help_heading = "Filters")]
    pub resource: Vec<String>,

    /// Name of the object
    #[arg(long, value_name = "N", help_heading = "Filters")]
    pub name: Vec<String>,

    /// Any of the source addresses, or a block (10.0.0.0/8)
    #[arg(long, value_name = "IP", help_heading = "Filters")]
    pub source_ip: Vec<String>,

    /// Audit id
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    pub audit_id: Vec<String>,

    #[command(flatten)]
    pub span: Span,

    /// Read files too whose path proves them outside the window
    #[arg(long, help_heading = "Time")]
    pub no_prune: bool,

    /// Order: by place, or by time; more than 256 MiB are sorted in temporary
    /// files
    #[arg(long, value_enum, default_value = "source", help_heading = "Output")]
    pub sort: Sort,

    /// Output format
    #[arg(long, value_enum, default_value = "jsonl", help_heading = "Output")]
    pub format: EventFormat,

    /// Mask secrets: values of environment variables, data of Secrets,
    /// tokens, keys, passwords and last-applied annotations
    #[arg(long, help_heading = "Output")]
    pub redact: bool,

    /// Print the original bytes of the records instead; needs a filter
    #[arg(long, conflicts_with_all = ["format", "redact"], help_heading = "Output")]
    pub raw: bool,
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// Files by name, records as they stand there
    Source,
    /// By time, then by place; without a time last
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EventFormat {
    /// As audit.k8s.io/v1 writes them, with origin and evidence
    Jsonl,
    /// For Timesketch, with the keys of hits.jsonl
    Timesketch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people
    #[default]
    Text,
    /// For machines
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    pub action: RulesAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum RulesAction {
    /// List rules: id, severity, name
    #[command(after_help = help::below(help::RULES_LIST, help::TESTED))]
    List {
        /// Files, directories, builtin:cronjob or builtin:all
        #[arg(value_name = "R", default_value = "builtin:all")]
        rules: Vec<String>,
    },
    /// Show one rule: what it says, when it matches, what the prefilter uses;
    /// or one indicator of the runbook: why it matters, what is harmless
    #[command(after_help = help::below(help::RULES_SHOW, help::TESTED))]
    Show {
        /// Id of a rule, or of an indicator such as CJ-BEH-13
        id: String,
        /// Files, directories, builtin:cronjob or builtin:all
        #[arg(value_name = "R", default_value = "builtin:all")]
        rules: Vec<String>,
    },
    /// Run the tests that rules carry
    #[command(after_help = help::below(help::RULES_TEST, help::TESTED))]
    Test {
        /// Files, directories, builtin:cronjob or builtin:all
        #[arg(value_name = "PATH", default_value = "builtin:all")]
        rules: Vec<String>,
        /// Indicators whose examples are tried as well, on top of the built-in
        /// ones
        #[arg(long, value_name = "FILE")]
        indicators: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Print every field that rules may name, with its meaning
    #[command(after_help = help::below(help::RULES_FIELDS, help::TESTED))]
    Fields,
}
