//! PATH arguments → the files to read, in the same order on every machine, and the entries that are not read, with
//! reasons.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use walkdir::{DirEntry, WalkDir};

use crate::error::Error;
use crate::event::Origin;
use crate::paths::{azure_cluster, azure_subscription, printable};
use crate::words::minute;

/// How far outside the window the date in a file's path must be for the file to be skipped. Azure files records by the
/// hour they were received, GCS adds late ones, Firehose buffers.
const PRUNE_MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// The files of a report. Where they stand, other files may be logs.
pub(crate) const REPORTS: [&str; 13] = [
    "activity.csv",
    "alerts.csv",
    "coverage.csv",
    "hits.csv",
    "hits.jsonl",
    "inputs.csv",
    "report.html",
    "report.json",
    "run.json",
    "runbook.json",
    "runbook.md",
    "summary.csv",
    "suppressed.csv",
];
/// What marks a directory as a report.
const MARKS: [&str; 3] = ["hits.jsonl", "inputs.csv", "summary.csv"];

/// A file, or standard input, to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// As reports print it: relative to the PATH argument, with `/`.
    pub name: Arc<str>,
    /// Its path; `None` for standard input.
    pub path: Option<PathBuf>,
    /// Size when it was found, in bytes.
    pub bytes: u64,
}

/// An entry that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// As reports print it.
    pub name: Arc<str>,
    /// Size in bytes; 0 if it has none.
    pub bytes: u64,
    /// Why it is not read.
    pub reason: String,
    /// Whether the reason is damage rather than choice.
    pub failed: bool,
}

/// The result of a walk, each list sorted by name.
#[derive(Debug, Default)]
pub struct Found {
    /// To be read.
    pub sources: Vec<Source>,
    /// Not to be read.
    pub unread: Vec<Unread>,
    /// For the members of a tar on standard input, which are found only when they are read.
    pub members: Members,
}

/// How members of a tar on standard input are named, and which of them are read.
#[derive(Debug, Default)]
pub struct Members {
    /// Prefix of their names; empty if standard input is the only argument.
    label: String,
    window: Window,
}

impl Members {
    /// As reports print it.
    #[must_use]
    pub fn name(&self, member: &str) -> Arc<str> {
        if self.label.is_empty() { member.into() } else { format!("{}/{member}", self.label).into() }
    }

    /// Why a member is not read, if its path proves that it is outside the window.
    #[must_use]
    pub fn outside(&self, name: &str) -> Option<String> {
        outside(name, self.window)
    }
}

/// A span of event times. Either end may be open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// The first moment inside.
    pub start: Option<Timestamp>,
    /// The first moment after it.
    pub end: Option<Timestamp>,
}

impl Window {
    /// Whether a time lies inside.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time < end)
    }

    /// The window in words; `None` for all times.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match (self.start, self.end) {
            (None, None) => None,
            (Some(start), None) => Some(format!("from {}", minute(start))),
            (None, Some(end)) => Some(format!("before {}", minute(end))),
            (Some(start), Some(end)) => Some(format!("from {} to {}", minute(start), minute(end))),
        }
    }
}

/// Walks the arguments. `-` is standard input. Excluded files are skipped, and of excluded directories what a report
/// consists of: the report directory and the case file may be inside a dump.
///
/// # Errors
/// An argument does not exist, or two have the same last component, so that their files could not be distinguished.
pub fn discover(paths: &[PathBuf], exclude: &[PathBuf]) -> Result<Found, Error> {
    let exclude: Vec<PathBuf> = exclude.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut found = Found::default();
    let mut prefixes = BTreeSet::new();
    for path in paths {
        let label = if paths.len() > 1 { label(path)? } else { String::new() };
        if paths.len() > 1 && !prefixes.insert(label.clone()) {
            let problem = format!(
                "two PATH arguments are named {label}; their files could not be told apart: sweep the directory above them"
            );
            return Err(Error::Usage(problem));
        }
        if path.as_os_str() == "-" {
            found.members.label.clone_from(&label);
            found.sources.push(Source { name: "-".into(), path: None, bytes: 0 });
        } else {
            found.walk(path, &label, &exclude)?;
        }
    }
    found.sources.sort();
    found.unread.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

/// The last component of an argument, which precedes the names of its files if there are several arguments.
fn label(path: &Path) -> Result<String, Error> {
    if path.as_os_str() == "-" {
        return Ok("-".to_owned());
    }
    let named = if path.file_name().is_some() { path.to_path_buf() } else { canonical(path)? };
    Ok(named.file_name().map_or_else(|| "/".to_owned(), |name| printable(name.as_encoded_bytes())))
}

fn canonical(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|source| Error::Input { path: path.to_owned(), source })
}

impl Found {
    fn walk(&mut self, root: &Path, label: &str, exclude: &[PathBuf]) -> Result<(), Error> {
        let meta = root.metadata().map_err(|source| Error::Input { path: root.to_owned(), source })?;
        if !meta.is_dir() {
            let name = root.file_name().map_or_else(String::new, |name| printable(name.as_encoded_bytes()));
            self.sources.push(Source { name: name.into(), path: Some(root.to_owned()), bytes: meta.len() });
            return Ok(());
        }
        std::fs::read_dir(root).map_err(|source| Error::Input { path: root.to_owned(), source })?;
        for entry in WalkDir::new(root) {
            match entry {
                // The argument itself, which may be a link.
                Ok(entry) if entry.depth() == 0 => {}
                Ok(entry) if entry.file_type().is_file() && is_own(entry.path(), exclude) => {
                    self.skip(name(root, label, entry.path()), 0, "written by kubesweep, not a dump");
                }
                Ok(entry) => self.entry(root, label, &entry),
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_owned();
                    let reason = error.io_error().map_or_else(|| error.to_string(), io::Error::to_string);
                    self.unread.push(Unread { name: name(root, label, &path), bytes: 0, reason, failed: true });
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, root: &Path, label: &str, entry: &DirEntry) {
        let kind = entry.file_type();
        let name = || name(root, label, entry.path());
        if kind.is_file() {
            let bytes = entry.metadata().map_or(0, |meta| meta.len());
            self.sources.push(Source { name: name(), path: Some(entry.path().to_owned()), bytes });
        } else if kind.is_symlink() {
            self.skip(name(), 0, "a symbolic link, not followed");
        } else if !kind.is_dir() {
            self.skip(name(), 0, "not a regular file");
        }
    }

    fn skip(&mut self, name: Arc<str>, bytes: u64, reason: &str) {
        self.unread.push(Unread { name, bytes, reason: reason.to_owned(), failed: false });
    }

    /// Moves files whose paths prove that they are outside the window from the sources to the unread.
    pub fn prune(&mut self, window: Window) {
        self.members.window = window;
        let sources = std::mem::take(&mut self.sources);
        for source in sources {
            match outside(&source.name, window) {
                Some(reason) => self.skip(source.name, source.bytes, &reason),
                None => self.sources.push(source),
            }
        }
        self.unread.sort_by(|left, right| left.name.cmp(&right.name));
    }
}

/// Whether a file is excluded, or part of a report.
fn is_own(file: &Path, exclude: &[PathBuf]) -> bool {
    let is_report = |directory: &Path| MARKS.iter().all(|mark| directory.join(mark).exists());
    let is_named_so = REPORTS.iter().any(|name| file.ends_with(name));
    let is_part = |directory: &Path| is_named_so && (is_excluded(directory, exclude) || is_report(directory));
    is_excluded(file, exclude) || file.parent().is_some_and(is_part)
}

fn is_excluded(path: &Path, exclude: &[PathBuf]) -> bool {
    let is_same = |excluded: &PathBuf| path.canonicalize().is_ok_and(|path| path == *excluded);
    exclude.iter().filter(|excluded| excluded.file_name() == path.file_name()).any(is_same)
}

/// The path below the argument, joined by `/`. Bytes that are not UTF-8 are written `\xNN`.
fn name(root: &Path, label: &str, path: &Path) -> Arc<str> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts = below.components().map(|part| printable(part.as_os_str().as_encoded_bytes()));
    let label = Some(label.to_owned()).filter(|label| !label.is_empty());
    label.into_iter().chain(parts).collect::<Vec<_>>().join("/").into()
}

/// Why a file is not read, if its path proves that it is outside the window.
fn outside(name: &str, window: Window) -> Option<String> {
    let (start, _) = dates(name).filter(|span| is_outside(*span, window))?;
    let date = start.to_zoned_datetime(TimeZone::UTC).date();
    Some(format!("its path dates it {date}, outside the window; --no-prune reads it"))
}

fn is_outside((start, end): (Timestamp, Timestamp), window: Window) -> bool {
    let before = window.start.is_some_and(|first| end.checked_add(PRUNE_MARGIN).is_ok_and(|end| end <= first));
    let after = window.end.is_some_and(|last| start.checked_sub(PRUNE_MARGIN).is_ok_and(|start| start >= last));
    before || after
}

/// The hour or day that a path proves for its file, in the layouts of Firehose (`2026/11/24/03/…`), GCS sinks
/// (`cloudaudit.googleapis.com/…/2026/11/24/…`), Azure (`y=2026/m=11/d=24/h=03`) and Hive (`year=2026/month=11/day=24`,
/// `dt=2026-11-24`). Two different dates prove nothing, and neither does a day alone, which people use for their own
/// folders.
fn dates(name: &str) -> Option<(Timestamp, Timestamp)> {
    let parts: Vec<&str> = name.split('/').collect();
    let of_gcs = parts.iter().any(|part| part.contains("audit.googleapis.com"));
    let mut found = (0..parts.len()).filter_map(|at| date_at(&parts[at..]));
    let (date, hour, keyed) = found.next()?;
    if found.any(|(other, ..)| other != date) || !(keyed || of_gcs || hour.is_some()) {
        return None;
    }
    let midnight = date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp();
    let (offset, length) = hour.map_or((0, 24), |hour| (hour, 1));
    let start = midnight.checked_add(SignedDuration::from_hours(offset)).ok()?;
    Some((start, start.checked_add(SignedDuration::from_hours(length)).ok()?))
}

/// The date at the start of some path segments, its hour, and whether it is in `key=value` form.
fn date_at(parts: &[&str]) -> Option<(Date, Option<i64>, bool)> {
    if let Some(date) = ["dt=", "date=", "eventDay="].iter().find_map(|key| parts[0].strip_prefix(key)) {
        let date = date.parse().ok().or_else(|| Date::strptime("%Y%m%d", date).ok())?;
        return Some((date, None, true));
    }
    let keyed = [["y=", "m=", "d=", "h="], ["year=", "month=", "day=", "hour="], ["", "", "", ""]];
    keyed.iter().find_map(|keys| {
        let digits = |at: usize, width: usize| {
            let text = parts.get(at)?.strip_prefix(keys[at])?;
            let fits = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| text.parse::<i16>().ok()).flatten()
        };
        let narrow = |at: usize| i8::try_from(digits(at, 2)?).ok();
        let date = Date::new(digits(0, 4)?, narrow(1)?, narrow(2)?).ok()?;
        Some((date, digits(3, 2).filter(|hour| *hour < 24).map(i64::from), !keys[0].is_empty()))
    })
}

/// The origin in a documented path layout: Azure's resource id, the bucket of CloudWatch exports
/// (`aws-logs-<account>-<region>`), Hive keys of Security Lake.
#[must_use]
pub fn origin_of_path(name: &str) -> Origin<'_> {
    let mut origin = Origin::default();
    if let Some(cluster) = azure_cluster(name) {
        origin.cluster = Some(cluster.into());
        origin.account = azure_subscription(name).map(Into::into);
        origin.platform = Some(crate::event::Platform::Aks);
    }
    for part in name.split('/') {
        if let Some((account, region)) = part.strip_prefix("aws-logs-").and_then(|rest| rest.split_once('-')) {
            let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
            origin.account = is_account.then(|| account.into()).or(origin.account);
            origin.region = is_account.then(|| region.into()).or(origin.region);
            origin.platform = origin.platform.or(is_account.then_some(crate::event::Platform::Eks));
        }
        if part.starts_with("kube-apiserver-audit-") {
            origin.platform = origin.platform.or(Some(crate::event::Platform::Eks));
        }
        origin.region = part.strip_prefix("region=").map(Into::into).or(origin.region);
        origin.account = part.strip_prefix("accountId=").map(Into::into).or(origin.account);
    }
    origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_within_a_day_of_the_window_are_read() {
        let window = Window { start: "2026-11-24T00:00:00Z".parse().ok(), end: "2026-11-25T00:00:00Z".parse().ok() };
        let outside = |path: &str| is_outside(dates(path).unwrap(), window);
        for (path, expected) in [
            ("2026/11/22/22/x", true),
            ("2026/11/22/23/x", true),
            ("2026/11/23/00/x", false),
            ("2026/11/25/23/x", false),
            ("2026/11/26/00/x", true),
        ] {
            assert_eq!(outside(path), expected, "{path}");
        }
    }

    #[test]
    fn paths_date_their_files() {
        let cases = [
            ("a/2026/11/24/03/audit-1", Some("2026-11-24T03:00:00Z")),
            ("cloudaudit.googleapis.com/activity/2026/11/24/03:00:00_03:59:59_S0.json", Some("2026-11-24T00:00:00Z")),
            ("y=2026/m=11/d=24/h=03/m=00/PT1H.json", Some("2026-11-24T03:00:00Z")),
            ("year=2026/month=11/day=24/x.gz", Some("2026-11-24T00:00:00Z")),
            ("region=eu/eventDay=20261124/x.gz", Some("2026-11-24T00:00:00Z")),
            ("2026/13/24/x", None),
            ("export/2026/11/24/task/000000", None),
            ("downloads/2026/12/30/01/logs/2026/11/24/03/a.log", None),
            ("audit.log", None),
        ];
        for (path, start) in cases {
            assert_eq!(dates(path).map(|(start, _)| start.to_string()).as_deref(), start, "{path}");
        }
    }
}
