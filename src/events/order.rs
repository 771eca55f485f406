//! Source order from many threads: each writes when its turn has come, and waits for it only when it holds much.
//!
//! No two threads can wait for each other, since sources are begun in their order: the one whose turn it is either
//! runs or has ended.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::Printer;
use crate::sweep::{Passing, Tap};

/// Lines that are written at once.
const CHUNK: usize = 64 << 10;
/// Lines that a source holds before it waits for its turn.
const HELD: usize = 32 << 20;

/// The events of one source.
pub(super) struct Turn<'t, 'p> {
    printer: &'t Printer<'p>,
    source: usize,
    held: Vec<u8>,
    /// Held bytes at which to look next whether the turn has come.
    next: usize,
}

impl<'t, 'p> Turn<'t, 'p> {
    pub(super) fn new(printer: &'t Printer<'p>, source: usize) -> Self {
        Turn { printer, source, held: Vec::new(), next: CHUNK }
    }

    /// Writes what is held if the turn has come, or when it comes where so much is held that it has to.
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
        self.held.extend_from_slice(&line);
        if self.held.len() >= self.next {
            self.write(self.held.len() >= HELD);
            self.next = self.held.len() + CHUNK;
        }
    }
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
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
