//! Checks that partials form one whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::may_be_partial;
use super::{About, Partial, Shard};
use crate::aggregate::Tally;
use crate::error::Error;

/// Opens partials. A directory stands for all partials in it.
///
/// # Errors
/// One cannot be read or is not a partial.
pub fn open(paths: &[PathBuf]) -> Result<Vec<Partial>, Error> {
    let mut partials = Vec::new();
    for path in paths {
        for file in files(path)? {
            partials.push(Partial::open(&file)?);
        }
    }
    Ok(partials)
}

/// The partials at a path. In a directory, skips names that begin with a dot, which are partials still being written,
/// and files that are not partials. What may be one is kept, even if it cannot be read: a damaged one must not be missing
/// in silence.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |source| Error::Input { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file = entry.path();
        if !entry.file_name().as_encoded_bytes().starts_with(b".")
            && file.is_file()
            && may_be_partial(&file).unwrap_or(true)
        {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::Usage(format!("{} holds no partials; name the directory that they are in", path.display())));
    }
    Ok(files)
}

/// Checks that all partials were made as `wanted` says and in the same way, and that no share is repeated. Returns the
/// shares that are missing.
///
/// # Errors
/// One differs from the others or from the options of the merge, or two are the same share; the partials are named.
pub fn check(partials: &[Partial], wanted: &About) -> Result<Vec<Shard>, Error> {
    let Some(first) = partials.first() else { return Ok(Vec::new()) };
    let mut shares = BTreeMap::new();
    for partial in partials {
        if let Some(problem) = differs_from_options(&partial.header.about, wanted) {
            return Err(partial.error(&problem));
        }
        if let Some(problem) = differs(partial, first) {
            let of = first.path.display();
            return Err(partial.error(&format!("is not a part of the same run as {of}: {problem}")));
        }
        if let Some(share) = &partial.header.share
            && let Some(other) = shares.insert(share.shard, partial.path.as_path())
        {
            let (shard, other) = (share.shard, other.display());
            return Err(partial.error(&format!("is share {shard}, and so is {other}; name one of them")));
        }
    }
    let count = first.header.share.as_ref().map_or(0, |share| share.shard.count);
    let all = (0..count).map(|index| Shard { index, count });
    Ok(all.filter(|shard| !shares.contains_key(shard)).collect())
}

/// The union of partials. Beyond a limit, observations go to temporary files.
///
/// # Errors
/// One cannot be read or is damaged, or two contain the same input.
pub fn load(partials: &[Partial]) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    let mut homes = BTreeMap::new();
    for (number, partial) in partials.iter().enumerate() {
        let before = tally.inputs.len();
        partial.load(&mut tally)?;
        for input in &tally.inputs[before..] {
            let home = *homes.entry(Arc::clone(&input.path)).or_insert(number);
            if home != number {
                let (input, other) = (&*input.path, partials[home].path.display());
                let cure = if input == "-" { "give every machine a tar of other files" } else { "name one of them" };
                return Err(partial.error(&format!("holds {input}, and so does {other}; {cure}")));
            }
        }
    }
    Ok(tally)
}

/// What differs from the options of the merge, in words.
fn differs_from_options(about: &About, wanted: &About) -> Option<String> {
    if about.kubesweep != wanted.kubesweep {
        let (made, own) = (&about.kubesweep, &wanted.kubesweep);
        return Some(format!("was made by kubesweep {made}, and this is {own}; use one version for all"));
    }
    if about.rules != wanted.rules {
        let problem = "was made with other rules; give merge the --rules, --tune and --no-runbook that it was made with, or make it again";
        return Some(problem.to_owned());
    }
    if about.window != wanted.window {
        return Some(format!(
            "holds events {}, and merge is asked for those {}; give both the same --since, --until, --as-of, --lookback and --context",
            window(about),
            window(wanted)
        ));
    }
    None
}

fn window(about: &About) -> String {
    match about.window {
        (None, None) => "of any time".to_owned(),
        (Some(start), None) => format!("from {start}"),
        (None, Some(end)) => format!("before {end}"),
        (Some(start), Some(end)) => format!("from {start} to {end}"),
    }
}

fn differs(partial: &Partial, first: &Partial) -> Option<String> {
    if partial.header.about.reading != first.header.about.reading {
        let options = "--max-record, --max-bytes, --validate, --cluster, --platform and --no-prune";
        return Some(format!("they were read with other options; {options} must be the same for all"));
    }
    match (&partial.header.share, &first.header.share) {
        (Some(own), Some(other)) if own.shard.count != other.shard.count => {
            Some(format!("it is share {}, and that one is {}", own.shard, other.shard))
        }
        (Some(own), Some(other)) if own.listing != other.listing => {
            Some("their machines saw other files, or other sizes; the dump must not change while it is read".to_owned())
        }
        (Some(_), Some(_)) | (None, None) => None,
        _ => Some("one was made with --shard, the other without".to_owned()),
    }
}
