//! Compares a report directory and its dump with what run.json and inputs.csv say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::decode::hashed;
use crate::discover::{Source, discover};
use crate::error::Error;
use crate::paths::printable;
use crate::report::{MARK, escape};
use crate::threads::each;

/// The report that lists the inputs.
const INPUTS: &str = "inputs.csv";

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words that are printed")]
pub enum Difference {
    Incomplete,
    Changed,
    Missing,
    New,
    Unreadable,
}

/// One difference. Printed as a line, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How it differs.
    pub difference: Difference,
    /// `report` or `input`.
    pub kind: &'static str,
    /// The name of the file, and details.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let difference = format!("{:?}", self.difference).to_lowercase();
        write!(f, "{difference:<11}{:<8}{}", self.kind, escape(&self.what))
    }
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Verified {
    /// Number of files with a hash.
    pub compared: usize,
    /// Number of files without one.
    pub unhashed: usize,
    /// Differences by kind, then by name.
    pub findings: Vec<Finding>,
}

/// The part of run.json that is read.
#[derive(Deserialize)]
struct Manifest {
    complete: bool,
    reports: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    file: String,
    sha256: String,
}

/// Hashes the reports of a directory, and looks for files that its run.json does not list.
///
/// # Errors
/// It has no run.json, which is written last, or one that is not from a scan; or it cannot be read.
pub fn reports(directory: &Path) -> Result<Verified, Error> {
    let manifest = manifest(directory)?;
    let mut verified = Verified { compared: manifest.reports.len(), ..Verified::default() };
    let mut find = |difference, what: String| verified.findings.push(Finding { difference, kind: "report", what });
    if !manifest.complete {
        find(
            Difference::Incomplete,
            format!("{MARK}: not all of the dump was read: the sweep was interrupted, or partials were missing"),
        );
    }
    for listed in &manifest.reports {
        match hash(&directory.join(&listed.file)) {
            Ok(sha256) if sha256 == listed.sha256 => {}
            Ok(_) => find(Difference::Changed, listed.file.clone()),
            Err(error) => find(difference(&error), told(&listed.file, &error)),
        }
    }
    let known: BTreeSet<&str> = manifest.reports.iter().map(|listed| listed.file.as_str()).chain([MARK]).collect();
    let unreadable = |error: io::Error| cannot(directory, error.to_string());
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let name = printable(entry.map_err(unreadable)?.file_name().as_encoded_bytes());
        if !known.contains(name.as_str()) {
            find(Difference::New, name);
        }
    }
    verified.findings.sort();
    Ok(verified)
}

/// The report files in a directory, including run.json, if a scan finished it.
#[must_use]
pub fn files(directory: &Path) -> Option<Vec<String>> {
    let manifest = manifest(directory).ok()?;
    Some(manifest.reports.into_iter().map(|listed| listed.file).chain([MARK.to_owned()]).collect())
}

fn manifest(directory: &Path) -> Result<Manifest, Error> {
    let text = regular(&directory.join(MARK)).and_then(io::read_to_string).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if directory.is_dir() => {
            let problem = "it has no run.json, which is written last, so its reports are incomplete; sweep again";
            cannot(directory, problem.to_owned())
        }
        _ => cannot(directory, format!("its {MARK}: {error}")),
    })?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| cannot(directory, format!("its run.json is not one that a scan wrote: {error}")))?;
    let is_name = |file: &str| Path::new(file).file_name().is_some_and(|name| name == file);
    match manifest.reports.iter().find(|listed| !is_name(&listed.file)) {
        Some(listed) => {
            Err(cannot(directory, format!("its run.json lists {}, which is not a report", escape(&listed.file))))
        }
        None => Ok(manifest),
    }
}

/// Hashes the inputs that inputs.csv lists, in their present place, and looks for files that it does not list. Names
/// are compared in printed form.
///
/// # Errors
/// There is no inputs.csv, or a PATH cannot be read.
pub fn inputs(directory: &Path, dump: &[PathBuf]) -> Result<Verified, Error> {
    let listed =
        listed(&directory.join(INPUTS)).map_err(|error| cannot(directory, format!("its {INPUTS}: {error}")))?;
    let found = discover(dump, &[directory.to_owned()])?;
    let mut verified = Verified::default();
    let mut to_hash = Vec::new();
    let mut seen: BTreeSet<&str> = found.unread.iter().map(|unread| &*unread.name).collect();
    let mut find = |difference, what: String| verified.findings.push(Finding { difference, kind: "input", what });
    for source in &found.sources {
        let Some((name, sha256)) = entry(&listed, source) else {
            find(Difference::New, source.name.to_string());
            continue;
        };
        seen.insert(name);
        to_hash.extend(sha256.map(|sha256| (source, sha256)));
    }
    for name in listed.keys().filter(|name| *name != "-" && !seen.contains(name.as_str())) {
        find(Difference::Missing, name.clone());
    }
    verified.compared = to_hash.len();
    verified.unhashed = listed.values().filter(|sha256| sha256.is_none()).count();
    let compare = |&(source, sha256): &(&Source, &str)| compare(source, sha256);
    verified.findings.extend(each(&to_hash, compare).into_iter().flatten());
    verified.findings.sort();
    Ok(verified)
}

fn compare(source: &Source, sha256: &str) -> Option<Finding> {
    let (difference, what) = match hash(source.path.as_ref()?) {
        Ok(now) if now == sha256 => return None,
        Ok(_) => (Difference::Changed, source.name.to_string()),
        Err(error) => (difference(&error), told(&source.name, &error)),
    };
    Some(Finding { difference, kind: "input", what })
}

/// Inputs by name, with their hashes if they were read. Archive members are part of their archive.
type Inputs = BTreeMap<String, Option<String>>;

fn listed(file: &Path) -> Result<Inputs, csv::Error> {
    let mut reader = csv::Reader::from_reader(regular(file)?);
    let rows = reader.deserialize().map(|row| {
        let mut row: BTreeMap<String, String> = row?;
        let mut cell = |column: &str| row.remove(column).unwrap_or_default();
        let (path, member, sha256) = (cell("path"), cell("member"), cell("sha256"));
        let path = path.strip_prefix('\'').map_or(path.clone(), str::to_owned);
        Ok((member.is_empty(), path, Some(sha256).filter(|sha256| !sha256.is_empty())))
    });
    let rows = rows.collect::<Result<Vec<_>, csv::Error>>()?;
    Ok(rows.into_iter().filter(|(is_whole, ..)| *is_whole).map(|(_, path, sha256)| (path, sha256)).collect())
}

/// The entry of a source: by its name, or by its absolute path, which a case uses for files with the same name.
fn entry<'l>(listed: &'l Inputs, source: &Source) -> Option<(&'l str, Option<&'l str>)> {
    let absolute = || {
        let path = source.path.as_ref()?.canonicalize().ok()?;
        listed.get_key_value(&printable(path.as_os_str().as_encoded_bytes()))
    };
    let (name, sha256) = listed.get_key_value(&*source.name).or_else(absolute)?;
    Some((name, sha256.as_deref()))
}

/// Opens a regular file. Reading anything else might block or never end.
fn regular(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(path)
}

/// SHA-256 of a regular file.
fn hash(path: &Path) -> io::Result<String> {
    hashed(regular(path)?).map(|(_, sha256)| sha256)
}

fn difference(error: &io::Error) -> Difference {
    if error.kind() == io::ErrorKind::NotFound { Difference::Missing } else { Difference::Unreadable }
}

fn told(name: &str, error: &io::Error) -> String {
    if difference(error) == Difference::Missing { name.to_owned() } else { format!("{name}: {error}") }
}

fn cannot(directory: &Path, problem: String) -> Error {
    Error::Verify { path: directory.to_owned(), problem }
}
