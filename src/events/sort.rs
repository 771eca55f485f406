//! Lines by time, more than memory holds: sorted runs in temporary files, merged at the end.
//!
//! The files have no name, so that they are gone however the program ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};

use jiff::Timestamp;

use crate::aggregate::Evidence;

/// Files that are open at once; so many are merged into one.
const MAX_RUNS: usize = 64;
/// What an entry takes beside its line.
const OVERHEAD: usize = 256;

/// A line with its key. Entries of equal keys are equal lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    timeless: bool,
    time: Option<Timestamp>,
    evidence: Evidence,
    pub line: Vec<u8>,
}

impl Entry {
    pub(super) fn new(time: Option<Timestamp>, evidence: Evidence, line: Vec<u8>) -> Self {
        Entry { timeless: time.is_none(), time, evidence, line }
    }
}

/// Takes entries in any order, and gives them out by time, then place.
#[derive(Debug)]
pub(super) struct Sorter {
    limit: usize,
    held: usize,
    entries: Vec<Entry>,
    runs: Vec<File>,
}

impl Sorter {
    /// A sorter that holds so many bytes in memory.
    pub(super) fn new(limit: usize) -> Self {
        Sorter { limit, held: 0, entries: Vec::new(), runs: Vec::new() }
    }

    /// # Errors
    /// No temporary file could be written.
    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.held += entry.line.len() + OVERHEAD;
        self.entries.push(entry);
        if self.held > self.limit { self.spill() } else { Ok(()) }
    }

    /// Gives out all entries.
    ///
    /// # Errors
    /// A temporary file could not be read, or `give` failed.
    pub(super) fn finish(mut self, give: &mut dyn FnMut(&Entry) -> io::Result<()>) -> io::Result<()> {
        if self.runs.is_empty() {
            self.entries.sort_unstable();
            return self.entries.iter().try_for_each(give);
        }
        self.spill()?;
        merge(self.runs, give)
    }

    fn spill(&mut self) -> io::Result<()> {
        self.entries.sort_unstable();
        let entries = std::mem::take(&mut self.entries);
        self.held = 0;
        self.runs.push(run(|out| entries.iter().try_for_each(|entry| write(entry, out)))?);
        if self.runs.len() >= MAX_RUNS {
            let runs = std::mem::take(&mut self.runs);
            self.runs.push(run(|out| merge(runs, &mut |entry| write(entry, out)))?);
        }
        Ok(())
    }
}

/// A temporary file of entries, to be read from its start.
fn run(content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<File> {
    let mut out = BufWriter::new(tempfile::tempfile()?);
    content(&mut out)?;
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn merge(runs: Vec<File>, give: &mut dyn FnMut(&Entry) -> io::Result<()>) -> io::Result<()> {
    let mut runs: Vec<BufReader<File>> = runs.into_iter().map(BufReader::new).collect();
    let mut heads = BinaryHeap::new();
    for (number, run) in runs.iter_mut().enumerate() {
        heads.extend(read(run)?.map(|entry| Reverse((entry, number))));
    }
    while let Some(Reverse((entry, number))) = heads.pop() {
        give(&entry)?;
        heads.extend(read(&mut runs[number])?.map(|entry| Reverse((entry, number))));
    }
    Ok(())
}

/// The key as a line of JSON with the length of the line behind it.
fn write(entry: &Entry, out: &mut BufWriter<File>) -> io::Result<()> {
    let Evidence { path, member, record, offset, pointer } = &entry.evidence;
    let head = (entry.time, &**path, member.as_deref(), record, offset, pointer, entry.line.len());
    serde_json::to_writer(&mut *out, &head)?;
    out.write_all(b"\n")?;
    out.write_all(&entry.line)
}

fn read(run: &mut BufReader<File>) -> io::Result<Option<Entry>> {
    type Head = (Option<Timestamp>, String, Option<String>, u64, Option<u64>, String, usize);
    let mut head = Vec::new();
    if run.read_until(b'\n', &mut head)? == 0 {
        return Ok(None);
    }
    let (time, path, member, record, offset, pointer, length): Head = serde_json::from_slice(&head)?;
    let mut line = vec![0; length];
    run.read_exact(&mut line)?;
    let evidence = Evidence { path: path.into(), member: member.map(Into::into), record, offset, pointer };
    Ok(Some(Entry::new(time, evidence, line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        // Times repeat and do not follow the numbers; some have none.
        let seconds = i64::try_from(number * 7919 % 101).unwrap();
        let time = (!number.is_multiple_of(10)).then(|| Timestamp::from_second(seconds).unwrap());
        let member = number.is_multiple_of(3).then(|| "m\n\"x".into());
        let evidence = Evidence {
            path: format!("file\n{}", number % 4).into(),
            member,
            record: number,
            offset: number.is_multiple_of(2).then_some(number),
            pointer: "/a".repeat(usize::try_from(number % 3).unwrap()),
        };
        Entry::new(time, evidence, format!("line\n{number}\n").into_bytes())
    }

    fn sorted(limit: usize, numbers: &[u64]) -> (Vec<Entry>, usize) {
        let mut sorter = Sorter::new(limit);
        for &number in numbers {
            sorter.push(entry(number)).unwrap();
        }
        let (runs, mut given) = (sorter.runs.len(), Vec::new());
        sorter
            .finish(&mut |entry| {
                given.push(entry.clone());
                Ok(())
            })
            .unwrap();
        (given, runs)
    }

    #[test]
    fn any_bound_gives_the_same_order() {
        let up: Vec<u64> = (0..1000).collect();
        let down: Vec<u64> = (0..1000).rev().collect();
        let (whole, runs) = sorted(usize::MAX, &up);
        assert_eq!((whole.len(), runs), (1000, 0));
        assert!(whole.is_sorted());
        assert!(whole[..900].iter().all(|entry| entry.time.is_some()), "what has no time stands last");
        // The smallest bound makes a file of every entry, and merges files many times.
        for limit in [0, 1000, 5000, 100_000] {
            let (given, runs) = sorted(limit, &down);
            assert_eq!(given, whole, "{limit}");
            assert!((1..MAX_RUNS).contains(&runs), "{limit}: {runs} files");
        }
    }
}
