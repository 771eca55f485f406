//! Source order from many threads: each writes when its turn has come, and waits for it only if it holds much.
//!
//! Threads cannot wait for each other in a circle, because sources are begun in order: the source whose turn it is
//! either runs or has ended.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use super::sort::Entry;
use super::{Printer, SORTED_IN_MEMORY};
use crate::aggregate::Evidence;
use crate::spill::Sorter;
use crate::sweep::{Passing, Tap};

/// Bytes of lines written at once.
const CHUNK: usize = 64 << 10;
/// Bytes of lines that a source holds before it waits for its turn.
const HELD: usize = 32 << 20;

/// The events of one source.
pub(super) struct Turn<'t, 'p> {
    printer: &'t Printer<'p>,
    source: usize,
    held: Vec<u8>,
    /// Number of held bytes at which to check next whether the turn has come.
    next: usize,
    /// The lines of members of a tar stream, to be printed in the order of member names.
    members: Option<Sorter<Entry>>,
    events: u64,
}

impl<'t, 'p> Turn<'t, 'p> {
    pub(super) fn new(printer: &'t Printer<'p>, source: usize) -> Self {
        Turn { printer, source, held: Vec::new(), next: CHUNK, members: None, events: 0 }
    }

    fn sort(&mut self, path: &Arc<str>, line: Vec<u8>) {
        self.events += 1;
        let Some(members) = &mut self.members else { return };
        // By the member's name, then in the order received.
        let (path, record) = (Arc::clone(path), self.events);
        let place = Evidence { path, member: None, record, offset: None, pointer: String::new() };
        members.push(Entry::new(None, place, line));
        if members.has_failed() {
            self.printer.full.store(true, Relaxed);
        }
    }

    /// Writes the lines of members of a tar stream.
    fn write_members(&mut self, members: Sorter<Entry>) -> io::Result<()> {
        for entry in members.finish()?.into_values()? {
            self.held.extend_from_slice(&entry?.line);
            if self.held.len() >= CHUNK {
                self.write(true);
            }
        }
        Ok(())
    }

    /// Writes the held lines if the turn has come. With `wait`, waits for it.
    fn write(&mut self, wait: bool) {
        let printer = self.printer;
        let mut output = printer.output();
        while wait && output.turn != self.source && output.failed.is_none() {
            output = printer.turned.wait(output).unwrap_or_else(PoisonError::into_inner);
        }
        if output.turn != self.source || output.failed.is_some() {
            return;
        }
        if let Err(error) = output.out.write_all(&self.held) {
            printer.fail(&mut output, error);
        }
        self.held.clear();
    }
}

impl Tap for Turn<'_, '_> {
    fn event(&mut self, passing: Passing<'_>) {
        if !self.printer.is_wanted(passing.view.event) {
            return;
        }
        self.printer.printed.fetch_add(1, Relaxed);
        let line = self.printer.form.line(&passing, self.printer.redactor.as_ref());
        if self.printer.sorted {
            return self.printer.sort(passing, line);
        }
        if self.members.is_some() {
            return self.sort(&passing.evidence.path, line);
        }
        self.held.extend_from_slice(&line);
        if self.held.len() >= self.next {
            self.write(self.held.len() >= HELD);
            self.next = self.held.len() + CHUNK;
        }
    }

    fn unordered(&mut self) {
        self.members.get_or_insert_with(|| Sorter::new(Ord::cmp, SORTED_IN_MEMORY));
    }
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        if let Some(members) = self.members.take()
            && let Err(error) = self.write_members(members)
        {
            self.printer.fail(&mut self.printer.output(), error);
        }
        if !self.held.is_empty() {
            self.write(true);
        }
        let mut output = self.printer.output();
        output.ended.insert(self.source);
        while let Some(turn) = Some(output.turn).filter(|turn| output.ended.contains(turn)) {
            output.ended.remove(&turn);
            output.turn += 1;
        }
        self.printer.turned.notify_all();
    }
}
