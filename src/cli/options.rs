//! What arguments mean: times, spans and sizes.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, civil, tz::TimeZone};

use super::args::{self, Input, Origin};
use super::interrupt;
use crate::aggregate::{Alert, Plan, Verdict, is_group_field};
use crate::case::{Asked, Case};
use crate::decode::{Limits, sha256, sha256_of_parts};
use crate::discover::{Found, Window, discover};
use crate::error::Error;
use crate::partial::{About, Shard};
use crate::rule::{self, Pack, Severity, Tuning};
use crate::runbook::{self, Catalogue, Only, Scope, Settings};
use crate::sweep::Job;
use crate::verify;

/// Increased when the same record gives another observation, or when the texts of [`rule_texts`] change their meaning.
const CASE_FORMAT: &str = "6";

/// Reads a size: bytes, or a number with KiB, MiB or GiB.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..].to_ascii_lowercase()[..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        unit => return Err(format!("{unit} is not a unit; use KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is not a size; write 64MiB, for instance"))?;
    number.checked_mul(factor).filter(|size| *size > 0).ok_or_else(|| format!("{text} is not a possible size"))
}

/// The limits given by the arguments.
pub(super) fn limits(input: &Input) -> Limits {
    Limits { max_record: usize::try_from(input.max_record).unwrap_or(usize::MAX), max_bytes: input.max_bytes }
}

/// What makes a scan end with status 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailOn {
    Severity(Severity),
    Verdict(Verdict),
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let severity = text.parse().map(FailOn::Severity);
        // Every alert with a verdict is at least EXPECTED, so that value would mean nothing.
        let verdict = || text.parse().ok().filter(|verdict| *verdict != Verdict::Expected).map(FailOn::Verdict);
        severity.or_else(|_: String| verdict().ok_or(())).map_err(|()| {
            "a severity is info, low, medium, high or critical; a verdict is review, suspicious or malicious-likely"
                .to_owned()
        })
    }
}

impl FailOn {
    /// Whether an alert reaches this severity or verdict.
    pub(super) fn is_reached(self, alert: &Alert) -> bool {
        match self {
            FailOn::Severity(least) => alert.severity >= least,
            FailOn::Verdict(least) => alert.verdict.is_some_and(|verdict| verdict >= least),
        }
    }
}

/// The requested share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedShard {
    This(Shard),
    /// The share of this task of an array job.
    Auto,
}

/// Variables that give a task of an array job its number, from 0, and the number of tasks: AWS Batch, Cloud Run jobs,
/// Google Batch, Slurm (with `--array=0-15`), and Indexed Jobs of Kubernetes, for which the manifest must set the
/// second.
const ARRAY_JOBS: [[&str; 2]; 5] = [
    ["AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"],
    ["CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"],
    ["BATCH_TASK_INDEX", "BATCH_TASK_COUNT"],
    ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"],
    ["JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"],
];

impl FromStr for AskedShard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(AskedShard::Auto) } else { text.parse().map(AskedShard::This) }
    }
}

impl AskedShard {
    /// The share this means; `environment` returns the value of a variable.
    pub(super) fn resolve(self, environment: impl Fn(&str) -> Option<String>) -> Result<Shard, Error> {
        let shard = match self {
            AskedShard::This(shard) => return Ok(shard),
            AskedShard::Auto => ARRAY_JOBS.iter().find_map(|names| Some((names, environment(names[0])?))),
        };
        let Some(([name, of], index)) = shard else {
            let known: Vec<&str> = ARRAY_JOBS.iter().map(|[name, _]| *name).collect();
            let problem = format!("--shard auto finds no array job: none of {} is set; write I/N", known.join(", "));
            return Err(Error::Usage(problem));
        };
        let Some(count) = environment(of) else {
            let problem = format!("--shard auto knows {name}={index}, but not of how many: set {of}, or write I/N");
            return Err(Error::Usage(problem));
        };
        let shard = format!("{index}/{count}").parse();
        shard.map_err(|problem: String| Error::Usage(format!("--shard auto, from {name} and {of}: {problem}")))
    }
}

/// The rules to evaluate, as tuned, and the interests.
pub(super) fn pack(rules: &[String], tune: Option<&Path>, scope: Scope) -> Result<Pack, Error> {
    let rules = rule::load(rules)?;
    let tuning = tune.map(Tuning::load).transpose()?.unwrap_or_default();
    Ok(Pack::new(rules, tuning, runbook::interests(scope)?))
}

/// Opens a case file for inputs read with these rules and limits, which are everything that decides what is observed.
/// Stores which rules were requested, so that a later run needs no dump.
pub(super) fn case(path: Option<&Path>, job: &Job, asked: &Asked) -> Result<Option<Case>, Error> {
    let Some(path) = path else { return Ok(None) };
    let mut parts = rule_texts(&job.pack);
    parts.extend([format!("{:?}", job.limits), CASE_FORMAT.to_owned()]);
    let origin = format!("{:?} {:?}", job.cluster, job.platform);
    let case = Case::open(path, sha256_of_parts(parts.iter().map(String::as_bytes)), origin)?;
    case.remember(&Asked { texts: Some(rules_sha256(&job.pack)), ..asked.clone() })?;
    Ok(Some(case))
}

/// Hash of the text of the rules and of their suppressions.
pub(super) fn rules_sha256(pack: &Pack) -> String {
    sha256_of_parts(rule_texts(pack).iter().map(String::as_bytes))
}

/// What rules, their suppressions and the runbook read of a record.
fn rule_texts(pack: &Pack) -> Vec<String> {
    let rules = pack.rules.iter().map(|rule| format!("{} {} {}", rule.id, rule.line, rule.sha256));
    let interests = pack.interests.iter().map(|interest| format!("{} {}", interest.name, interest.condition));
    rules.chain(interests).chain([pack.tuning.suppressions_text()]).collect()
}

/// How inputs are read, as stored in a partial.
pub(super) fn about(job: &Job, no_prune: bool) -> About {
    let reading = format!("{:?} {} {:?} {:?} {no_prune}", job.limits, job.validate, job.cluster, job.platform);
    About { reading: sha256(reading.as_bytes()), ..about_rules(&job.pack, job.window) }
}

/// The part of it that a merge, which reads no inputs, also decides.
pub(super) fn about_rules(pack: &Pack, window: Window) -> About {
    About {
        kubesweep: env!("CARGO_PKG_VERSION").to_owned(),
        rules: rules_sha256(pack),
        window: (window.start, window.end),
        reading: String::new(),
    }
}

/// The files of a dump, without those excluded and those whose paths prove them outside the window.
///
/// # Errors
/// As for [`discover`]; or a PATH is something mistaken for a dump: a report, or the address of a bucket.
pub(super) fn found(paths: &[PathBuf], exclude: &[PathBuf], window: Option<Window>) -> Result<Found, Error> {
    paths.iter().try_for_each(|path| refuse(path))?;
    let mut found = discover(paths, exclude)?;
    if let Some(window) = window {
        found.prune(window);
    }
    Ok(found)
}

fn refuse(path: &Path) -> Result<(), Error> {
    let shown = path.display();
    if path.to_str().is_some_and(|text| text.contains("://")) && !path.exists() {
        return Err(Error::Usage(format!(
            "{shown} is an address, and kubesweep opens no connection: copy it to a disk, or let deploy/stream_prefix.py \
             read the bucket (docs/scale.md)"
        )));
    }
    let is_file = path.is_file();
    let directory = if is_file { path.parent().unwrap_or(Path::new("")) } else { path };
    let Some(files) = verify::files(directory) else { return Ok(()) };
    let is_listed = || path.file_name().is_some_and(|name| files.iter().any(|file| name == file.as_str()));
    if is_file && !is_listed() {
        return Ok(());
    }
    let whose = if is_file { directory.display().to_string() } else { shown.to_string() };
    let whose = if whose.is_empty() { ".".to_owned() } else { whose };
    Err(Error::Usage(format!("{whose} is a report of kubesweep, not a dump; name the dump")))
}

/// Paths to exclude from a walk: the report directory, and the case file with the files that SQLite writes next to it.
pub(super) fn own_files(out: Option<&Path>, case: Option<&Path>) -> Vec<PathBuf> {
    let beside = |suffix: &str| {
        let mut path = case?.as_os_str().to_owned();
        path.push(suffix);
        Some(PathBuf::from(path))
    };
    out.map(Path::to_owned)
        .into_iter()
        .chain(["", "-wal", "-shm", "-journal"].iter().filter_map(|end| beside(end)))
        .collect()
}

/// The settings of the runbook, and its indicators.
pub(super) fn runbook(
    options: &args::RunbookOptions,
    times: &args::Times,
    tuning: &Tuning,
    only: Only,
) -> Result<(Settings, Catalogue), Error> {
    let catalogue = options.indicators.as_deref().map_or_else(|| Ok(Catalogue::builtin()), Catalogue::load)?;
    let settings = Settings {
        lookback: span(&times.lookback, "--lookback")?,
        context: span(&times.context, "--context")?,
        deep: options.deep,
        registries: tuning.registries.clone(),
        limits: tuning.thresholds,
        only,
    };
    Ok((settings, catalogue))
}

/// The job of a sweep of the events in a window.
///
/// # Errors
/// The system does not accept signal handlers.
pub(super) fn job(input: &Input, origin: &Origin, pack: Pack, window: Window) -> Result<Job, Error> {
    Ok(Job {
        pack,
        limits: limits(input),
        window,
        validate: input.validate,
        cluster: origin.cluster.clone(),
        platform: origin.platform,
        stop: interrupt::stop()?,
    })
}

/// The start of the window of hits, and the wider window of events kept for history.
pub(super) struct Times {
    pub now: Timestamp,
    pub since: Option<Timestamp>,
    pub kept: Window,
}

/// Reads the time arguments.
pub(super) fn times(typed: &args::Times) -> Result<Times, Error> {
    let (now, Window { start: since, end: until }) = window(&typed.span)?;
    let history = span(&typed.lookback, "--lookback")?.max(span(&typed.context, "--context")?);
    let start = since.map(|since| since.checked_sub(history).unwrap_or(Timestamp::MIN));
    Ok(Times { now, since, kept: Window { start, end: until } })
}

/// Reads `--since`, `--until` and `--as-of`: the "now" of spans, and the window.
pub(super) fn window(typed: &args::Span) -> Result<(Timestamp, Window), Error> {
    let now = typed.as_of.as_ref().map_or_else(|| Ok(Timestamp::now()), |text| moment(text, "--as-of", None))?;
    let read = |text: &Option<String>, option| text.as_ref().map(|text| moment(text, option, Some(now))).transpose();
    let (start, end) = (read(&typed.since, "--since")?, read(&typed.until, "--until")?);
    if let (Some(since), Some(until)) = (start, end)
        && since >= until
    {
        return Err(Error::Usage(format!("--since {since} is not before --until {until}")));
    }
    Ok((now, Window { start, end }))
}

/// Refuses spans back from the clock, because the clocks of two machines differ.
pub(super) fn without_clock(typed: &args::Span) -> Result<(), Error> {
    let times = [(&typed.since, "--since"), (&typed.until, "--until")];
    for (text, option) in times.iter().filter_map(|(text, option)| Some((text.as_ref()?, option))) {
        if typed.as_of.is_none() && moment(text, option, None).is_err() {
            let problem = format!(
                "{option} {text} is a span back from the clock, which every machine reads differently; give all of them and merge the same --as-of"
            );
            return Err(Error::Usage(problem));
        }
    }
    Ok(())
}

/// What is counted, with the requested keys of the summary.
pub(super) fn plan(group_by: &[String], times: &Times) -> Result<Plan, Error> {
    let twice = group_by.iter().enumerate().find(|(at, name)| group_by[..*at].contains(name));
    if let Some((_, name)) = twice {
        return Err(Error::Usage(format!("--group-by names {name} twice; name it once")));
    }
    if let Some(unknown) = group_by.iter().find(|name| !is_group_field(name)) {
        let known: Vec<_> = crate::aggregate::GROUP_FIELDS.iter().map(|(name, _)| *name).collect();
        return Err(Error::Usage(format!("--group-by does not know {unknown}; it takes {}", known.join(", "))));
    }
    Ok(Plan { window: times.kept, since: times.since, group_by: group_by.to_vec() })
}

/// A time, a date (its midnight, UTC), or a span back from `now`.
fn moment(text: &str, option: &str, now: Option<Timestamp>) -> Result<Timestamp, Error> {
    // Without a zone it is UTC, as everywhere here. A zone by name must not be passed by.
    let civil = || {
        let civil = text.parse::<civil::DateTime>().ok().filter(|_| !text.contains('['))?;
        civil.to_zoned_datetime(TimeZone::UTC).ok()
    };
    let back = || now?.checked_sub(span(text, option).ok()?).ok();
    let forms = if now.is_some() {
        "a time (2026-11-24T03:00:00Z), a date (2026-11-24) or a span (30d, 24h)"
    } else {
        "a time (2026-11-24T03:00:00Z) or a date (2026-11-24)"
    };
    let civil = || civil().map(|zoned| zoned.timestamp());
    text.parse()
        .ok()
        .or_else(civil)
        .or_else(back)
        .ok_or_else(|| Error::Usage(format!("{option} {text}: write {forms}")))
}

/// A span of days and smaller units; a day has 24 hours.
fn span(text: &str, option: &str) -> Result<SignedDuration, Error> {
    let duration =
        text.parse::<Span>().ok().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    duration
        .filter(|duration| !duration.is_negative())
        .ok_or_else(|| Error::Usage(format!("{option} {text}: write a span such as 30d or 24h")))
}
