//! Sorting more items than memory holds: sorted runs in temporary files, merged when they are read.
//!
//! The files have no names, so they disappear however the program ends. `packed` defines how most items are written,
//! `runs` how they are stored, `chunks` how they are compressed.

mod chunks;
mod packed;
mod runs;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::stream::{read::Decoder, write::Encoder};

pub(crate) use self::packed::shared;
pub use self::packed::{Heard, Packed, Shared, Told, time};
use self::runs::{Merge, Run};

/// How many runs of one size are merged into a larger one.
const FAN: usize = 32;
/// Compression level of zstd.
const LEVEL: i32 = 1;
/// Base-2 logarithm of the window of a compressed stream in bytes.
const WINDOW: u32 = 17;
/// Bytes of a compressed stream read at once.
const CHUNK: usize = 64 << 10;
/// Sections of a run, so that threads can read different ones. Each thread opens every run, so more sections would cost
/// memory.
pub(crate) const SECTIONS: usize = 4;

/// An item of a [`Sorter`].
pub trait Spill: Clone {
    /// Approximate size in memory, in bytes.
    fn weight(&self) -> usize;
    /// Writes it in such a way that [`Spill::read`] finds its end.
    fn write(&self, out: &mut dyn Write, told: &mut Told) -> io::Result<()>;
    /// Takes the first item from what was written.
    fn read(input: &mut &[u8], heard: &mut Heard) -> io::Result<Self>;
}

/// Writes a line of JSON.
pub fn write_json(item: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, item)?;
    out.write_all(b"\n")
}

/// Reads a line of JSON; `None` at the end.
pub fn read_json<T: DeserializeOwned>(input: &mut dyn BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Writes compressed. The buffer must be taken out of it before the stream can be finished.
pub type Packing<W> = BufWriter<Encoder<'static, W>>;

/// Reads what [`Packing`] wrote.
pub type Unpacking<R> = BufReader<Decoder<'static, BufReader<R>>>;

/// Begins a compressed stream.
pub fn pack<W: Write>(out: W) -> io::Result<Packing<W>> {
    let mut packed = Encoder::new(out, LEVEL)?;
    packed.window_log(WINDOW)?;
    // A case may be read years later: a bit that has flipped must be damage, not another observation.
    packed.include_checksum(true)?;
    Ok(BufWriter::with_capacity(CHUNK, packed))
}

/// Opens a compressed stream.
pub fn unpack<R: Read>(input: R) -> io::Result<Unpacking<R>> {
    Ok(BufReader::with_capacity(CHUNK, Decoder::with_buffer(BufReader::with_capacity(CHUNK, input))?))
}

/// Orders two items.
pub type Order<T> = fn(&T, &T) -> Ordering;

/// The section of an item, below [`SECTIONS`]. It must not decrease in sort order.
pub(crate) type Section<T> = fn(&T) -> usize;

/// Accepts items in any order. Beyond a limit, they go to temporary files.
#[derive(Debug)]
pub struct Sorter<T> {
    order: Order<T>,
    section: Section<T>,
    limit: usize,
    held: usize,
    items: Vec<T>,
    runs: Vec<Run>,
    /// The last item of the last run, if it was written here: items that do not sort before it extend that run.
    last: Option<T>,
    count: u64,
    problem: Option<io::Error>,
}

impl<T: Spill> Sorter<T> {
    /// A sorter that holds about `limit` bytes in memory.
    #[must_use]
    pub fn new(order: Order<T>, limit: usize) -> Self {
        Sorter::in_sections(order, |_| 0, limit)
    }

    /// The same. Its items can be [given away in parts](Sorted::into_parts).
    #[must_use]
    pub(crate) fn in_sections(order: Order<T>, section: Section<T>, limit: usize) -> Self {
        Sorter {
            order,
            section,
            limit,
            held: 0,
            items: Vec::new(),
            runs: Vec::new(),
            last: None,
            count: 0,
            problem: None,
        }
    }

    /// Adds an item. A failure to write a temporary file is reported at the end; items after it are dropped.
    pub fn push(&mut self, item: T) {
        if self.problem.is_some() {
            return;
        }
        self.count += 1;
        self.held += item.weight();
        self.items.push(item);
        self.settle();
    }

    /// Adds all items of another one.
    pub fn append(&mut self, mut other: Self) {
        self.problem = self.problem.take().or(other.problem);
        self.count += other.count;
        self.held += other.held;
        self.items.append(&mut other.items);
        self.runs.append(&mut other.runs);
        self.last = None;
        if self.problem.is_none() {
            self.problem = self.compact().err();
        }
        self.settle();
    }

    /// Sorts what is held, into a file if there is one already. [`Sorter::finish`] does the same, but on one thread.
    #[must_use]
    pub(crate) fn settled(mut self) -> Self {
        if self.runs.is_empty() {
            self.items.sort_by(self.order);
        } else if self.problem.is_none() {
            self.problem = self.spill().err();
        }
        self
    }

    /// All items, in order.
    ///
    /// # Errors
    /// A temporary file could not be written.
    pub fn finish(self) -> io::Result<Sorted<T>> {
        let mut all = self.settled();
        if let Some(problem) = all.problem.take() {
            return Err(problem);
        }
        let Sorter { order, section, limit, items, runs, count, .. } = all;
        Ok(Sorted { order, section, limit, items, runs, count })
    }

    /// How many items were added.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether no item was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a temporary file could not be written; [`Sorter::finish`] says why.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.problem.is_some()
    }

    /// Reads the items so far, in no particular order.
    ///
    /// # Errors
    /// A temporary file could not be written, or cannot be read; each item may fail for the same reason.
    pub fn read(&self) -> io::Result<impl Iterator<Item = io::Result<Cow<'_, T>>>> {
        match &self.problem {
            Some(problem) => Err(io::Error::new(problem.kind(), problem.to_string())),
            None => read(&self.items, &self.runs, self.order),
        }
    }

    /// The same items, each changed. The change must not affect their order.
    #[must_use]
    pub fn map(self, mut change: impl FnMut(&mut T)) -> Self {
        let mut changed = Sorter::in_sections(self.order, self.section, self.limit);
        let done = self.finish().and_then(|sorted| {
            sorted.into_values()?.try_for_each(|item| {
                let mut item = item?;
                change(&mut item);
                changed.push(item);
                Ok(())
            })
        });
        changed.problem = changed.problem.or(done.err());
        changed
    }

    fn settle(&mut self) {
        if self.held > self.limit && self.problem.is_none() {
            self.problem = self.spill().err();
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.items.sort_by(self.order);
        self.held = 0;
        let items = std::mem::take(&mut self.items);
        let (Some(first), Some(last)) = (items.first(), items.last().cloned()) else { return Ok(()) };
        let follows = self.last.replace(last).is_some_and(|last| (self.order)(&last, first).is_le());
        let before = if follows { self.runs.pop() } else { None };
        let mut run = before.map_or_else(|| Run::new(0), Ok)?;
        run.extend(self.section, items.into_iter().map(Ok))?;
        self.runs.push(run);
        self.compact()
    }

    /// Merges runs of one level once there are enough of them, so that no item is written more than a few times.
    fn compact(&mut self) -> io::Result<()> {
        // Runs made by another thread may have any level.
        for level in 0.. {
            if self.runs.iter().all(|run| run.level < level) {
                break;
            }
            if self.runs.iter().filter(|run| run.level == level).count() < FAN {
                continue;
            }
            let (merged, rest) = std::mem::take(&mut self.runs).into_iter().partition(|run| run.level == level);
            self.runs = rest;
            self.last = None;
            let mut run = Run::new(level + 1)?;
            run.extend(self.section, Merge::new(&merged, self.order)?)?;
            self.runs.push(run);
        }
        Ok(())
    }
}

/// Items in memory, then those of the runs.
fn read<'t, T: Spill>(
    items: &'t [T],
    runs: &[Run],
    order: Order<T>,
) -> io::Result<impl Iterator<Item = io::Result<Cow<'t, T>>>> {
    let merged = Merge::new(runs, order)?;
    Ok(items.iter().map(|item| Ok(Cow::Borrowed(item))).chain(merged.map(|item| item.map(Cow::Owned))))
}

/// Items in order, in memory or in temporary files. They can be read any number of times.
#[derive(Debug)]
pub struct Sorted<T> {
    order: Order<T>,
    section: Section<T>,
    limit: usize,
    items: Vec<T>,
    runs: Vec<Run>,
    count: u64,
}

impl<T: Spill> Sorted<T> {
    /// The number of items.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Reads the items.
    ///
    /// # Errors
    /// A temporary file cannot be read; each item may fail for the same reason.
    pub fn read(&self) -> io::Result<impl Iterator<Item = io::Result<Cow<'_, T>>>> {
        read(&self.items, &self.runs, self.order)
    }

    /// The same items in the same order, each changed, even in what ordered them.
    ///
    /// # Errors
    /// A temporary file cannot be read or written, or an item cannot be changed.
    pub fn change(self, mut change: impl FnMut(&mut T) -> io::Result<()>) -> io::Result<Self> {
        let mut changed = Sorter::new(|_, _| Ordering::Equal, self.limit);
        for item in self.into_values()? {
            let mut item = item?;
            change(&mut item)?;
            changed.push(item);
        }
        changed.finish()
    }

    /// Takes all items out of it.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let Sorted { order, section, limit, .. } = *self;
        let (items, runs) = (std::mem::take(&mut self.items), std::mem::take(&mut self.runs));
        Sorted { order, section, limit, items, runs, count: std::mem::take(&mut self.count) }
    }

    /// Gives the items away in `count` parts, for as many threads: each in order, and none dividing a section.
    ///
    /// # Errors
    /// As for [`Sorted::read`].
    pub(crate) fn into_parts(mut self, count: usize) -> io::Result<Vec<impl Iterator<Item = io::Result<T>> + use<T>>> {
        let part = |number: usize| {
            let sections = number * SECTIONS / count..(number + 1) * SECTIONS / count;
            let begin = self.items.partition_point(|item| (self.section)(item) < sections.start);
            let items = self.items.split_off(begin);
            let runs: Vec<_> = self.runs.iter().map(|run| run.narrowed(sections.clone())).collect();
            Ok(items.into_iter().map(Ok).chain(Merge::new(&runs, self.order)?))
        };
        // From the last part, because what is split off takes no more room than it needs.
        let mut parts = (0..count).rev().map(part).collect::<io::Result<Vec<_>>>()?;
        parts.reverse();
        Ok(parts)
    }

    /// Gives the items away.
    ///
    /// # Errors
    /// As for [`Sorted::read`].
    pub fn into_values(self) -> io::Result<impl Iterator<Item = io::Result<T>>> {
        let merged = Merge::new(&self.runs, self.order)?;
        Ok(self.items.into_iter().map(Ok).chain(merged))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use borsh::{BorshDeserialize, BorshSerialize};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
    struct Line(u64, #[borsh(skip)] Arc<str>, #[borsh(skip)] Option<Arc<str>>);

    impl Packed for Line {
        fn weight(&self) -> usize {
            100
        }

        fn texts(&self) -> Vec<&dyn Shared> {
            vec![&self.1, &self.2]
        }

        fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
            vec![&mut self.1, &mut self.2]
        }
    }

    fn sorter(limit: usize, numbers: impl Iterator<Item = u64>) -> Sorter<Line> {
        let section = |item: &Line| usize::try_from(item.0 / 2502).unwrap();
        let mut sorter = Sorter::in_sections(Ord::cmp, section, limit);
        // All second texts together exceed what is remembered.
        let second = |number| (number % 3 > 0).then(|| format!("{}{}", number % 600, " ".repeat(1500)).into());
        numbers.for_each(|number| {
            sorter.push(Line(number * 7919 % 10_007, format!("line\n{number}").into(), second(number)));
        });
        sorter
    }

    #[test]
    fn files_give_what_memory_gives() {
        let all = |sorter: Sorter<Line>| {
            let runs = sorter.runs.len();
            let sorted = sorter.map(|item| item.1 = format!("{}!", item.1).into()).finish().unwrap();
            assert_eq!(sorted.len(), 5000);
            let read = || sorted.read().unwrap().map(|item| item.unwrap().into_owned()).collect::<Vec<_>>();
            assert_eq!(read(), read());
            let all = read();
            for count in [1, 3, SECTIONS, 2 * SECTIONS] {
                let parts =
                    Sorted { items: sorted.items.clone(), runs: sorted.runs.clone(), ..sorted }.into_parts(count);
                let parts: Vec<Vec<_>> =
                    parts.unwrap().into_iter().map(|part| part.map(Result::unwrap).collect()).collect();
                assert!(count > SECTIONS || parts.iter().all(|part| !part.is_empty()), "{count}");
                assert_eq!(parts.concat(), all, "{count}");
            }
            assert_eq!(sorted.into_values().unwrap().map(Result::unwrap).collect::<Vec<_>>(), all);
            (runs, all)
        };
        let (none, expected) = all(sorter(usize::MAX, 0..5000));
        assert_eq!(none, 0);
        assert!(expected.is_sorted() && expected[0].1.ends_with('!'));
        // 1,250 runs: two levels of merging.
        let (files, merged) = all(sorter(300, 0..5000));
        assert!(files > 1 && files < 2 * FAN, "{files}");
        assert_eq!(merged, expected);
        let mut parts = sorter(1000, 0..2000);
        parts.append(sorter(usize::MAX, 2000..5000));
        assert_eq!(all(parts).1, expected);
        // Each of a hundred threads leaves some twelve runs.
        let threads = (0..100).map(|thread| sorter(300, thread * 50..(thread + 1) * 50));
        let many = threads.fold(sorter(usize::MAX, 0..0), |mut all, thread| {
            all.append(thread);
            all
        });
        let of = |level: u32| many.runs.iter().filter(|run| run.level == level).count();
        assert!((0..4).all(|level| of(level) < FAN), "{:?}", [of(0), of(1), of(2), of(3)]);
        assert_eq!(all(many).1, expected);
    }

    #[test]
    fn what_comes_in_order_is_one_run() {
        let items = || (0..5000).map(|number| Line(number / 2, "x".into(), None));
        let section = |item: &Line| usize::try_from(item.0 / 700).unwrap();
        let mut sorter = Sorter::in_sections(Ord::cmp, section, 300);
        items().for_each(|item| sorter.push(item));
        assert_eq!(sorter.runs.len(), 1);
        let parts = sorter.finish().unwrap().into_parts(SECTIONS).unwrap().into_iter();
        let parts: Vec<Vec<_>> = parts.map(|part| part.map(Result::unwrap).collect()).collect();
        assert!(parts.iter().enumerate().all(|(number, part)| part.iter().all(|item| section(item) == number)));
        assert_eq!(parts.concat(), items().collect::<Vec<_>>());
    }
}
