//! Runs: sorted items in temporary files, read one by one or merged.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use super::chunks::{Chunks, Unpacker};
use super::{Heard, Order, SECTIONS, Section, Spill, Told};

/// Items in a temporary file, in order.
#[derive(Debug, Clone)]
pub(super) struct Run {
    file: Arc<File>,
    /// Where each section ends.
    ends: [u64; SECTIONS],
    /// The sections of it that are read.
    sections: Range<usize>,
    /// How often its items have been merged.
    pub level: u32,
}

impl Run {
    /// A run without items.
    pub(super) fn new(level: u32) -> io::Result<Self> {
        Ok(Run { file: Arc::new(tempfile::tempfile()?), ends: [0; SECTIONS], sections: 0..SECTIONS, level })
    }

    /// Appends items, which must be in order and must not sort before those it has.
    pub(super) fn extend<T: Spill>(
        &mut self,
        section: Section<T>,
        items: impl Iterator<Item = io::Result<T>>,
    ) -> io::Result<()> {
        let mut file = &*self.file;
        file.seek(SeekFrom::End(0))?;
        let (mut items, mut written) = (items.peekable(), None);
        for (number, end) in self.ends.iter_mut().enumerate() {
            let is_last = number + 1 == SECTIONS;
            let is_of_it = |item: &io::Result<T>| item.as_ref().map_or(true, |item| is_last || section(item) <= number);
            if items.peek().is_some_and(is_of_it) {
                let (mut out, mut told) = (Chunks::new(file)?, Told::default());
                while let Some(item) = items.next_if(is_of_it).transpose()? {
                    out.add(|out| item.write(out, &mut told))?;
                }
                file = out.finish()?;
                written = Some(file.stream_position()?);
            }
            *end = written.unwrap_or(*end);
        }
        Ok(())
    }

    /// The same run, limited to some sections.
    pub(super) fn narrowed(&self, sections: Range<usize>) -> Self {
        Run { sections, ..self.clone() }
    }

    fn open(&self) -> Opened {
        let end = |sections: usize| sections.checked_sub(1).map_or(0, |last| self.ends[last]);
        let (at, end) = (end(self.sections.start), end(self.sections.end));
        let input = Reader { file: Arc::clone(&self.file), at, end };
        Opened { input, items: Vec::new(), given: 0, heard: Heard::default() }
    }
}

/// A run being read.
struct Opened {
    input: Reader,
    /// The chunk at hand.
    items: Vec<u8>,
    /// How much of it was given out.
    given: usize,
    heard: Heard,
}

impl Opened {
    /// The next item; `None` at the end.
    fn next<T: Spill>(&mut self, unpacker: &mut Unpacker) -> io::Result<Option<T>> {
        if self.given == self.items.len() {
            if self.input.at == self.input.end {
                return Ok(None);
            }
            (self.items, self.given) = (unpacker.chunk(&mut self.input)?, 0);
        }
        let mut rest = &self.items[self.given..];
        let item = T::read(&mut rest, &mut self.heard)?;
        self.given = self.items.len() - rest.len();
        Ok(Some(item))
    }
}

/// Reads part of a file, independently of other readers.
struct Reader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = out.len().min(left);
        let count = read_at(&self.file, &mut out[..wanted], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, at)
}

#[cfg(windows)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, at)
}

/// The items of several runs, in order.
pub(super) struct Merge<T> {
    runs: Vec<Opened>,
    unpacker: Unpacker,
    heads: BinaryHeap<Head<T>>,
    order: Order<T>,
}

/// The next item of a run. The greatest head has the item that comes first.
struct Head<T> {
    item: T,
    run: usize,
    order: Order<T>,
}

impl<T> Ord for Head<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.order)(&other.item, &self.item).then(other.run.cmp(&self.run))
    }
}

impl<T> PartialOrd for Head<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Head<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Head<T> {}

impl<T: Spill> Merge<T> {
    pub(super) fn new(runs: &[Run], order: Order<T>) -> io::Result<Self> {
        let runs = runs.iter().map(Run::open).collect();
        let mut merge = Merge { runs, unpacker: Unpacker::default(), heads: BinaryHeap::new(), order };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        let next = self.runs[run].next(&mut self.unpacker)?;
        self.heads.extend(next.map(|item| Head { item, run, order: self.order }));
        Ok(())
    }
}

impl<T: Spill> Iterator for Merge<T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<io::Result<T>> {
        let head = self.heads.pop()?;
        Some(self.advance(head.run).map(|()| head.item))
    }
}
