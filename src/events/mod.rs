//! `kubesweep events`: audit events as JSON lines, whatever form they were logged in.

mod filter;
mod line;
mod order;
mod sort;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub use filter::Filter;
pub use line::Form;

use crate::event::AuditEvent;
use crate::redact::Redactor;
use crate::spill::Sorter;
use crate::sweep::{Listener, Passing, Tap};
use order::Turn;
use sort::Entry;

/// Bytes of memory that `--sort time` uses before it writes temporary files.
const SORTED_IN_MEMORY: usize = 256 << 20;

/// The order in which events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By place: files by name, records in file order.
    Source,
    /// By time, then place; events without a time last.
    Time,
}

/// Prints events as they are read. The output does not depend on threads or their timing.
pub struct Printer<'p> {
    form: Form,
    /// Masks secrets in the output, except in originals.
    redactor: Option<Redactor>,
    /// Whether the filter names objects.
    by_name: bool,
    printed: AtomicU64,
    full: AtomicBool,
    out: Mutex<Output<'p>>,
    /// Notified when the turn moves on.
    turned: Condvar,
    sorted: bool,
}

struct Output<'p> {
    out: Box<dyn Write + Send + 'p>,
    sorter: Sorter<Entry>,
    /// Number of the source that may write.
    turn: usize,
    /// Sources that ended before their turn.
    ended: std::collections::BTreeSet<usize>,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Printer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printer").field("form", &self.form).finish_non_exhaustive()
    }
}

impl<'p> Printer<'p> {
    /// Prints to `out`.
    pub fn new(
        out: impl Write + Send + 'p,
        form: Form,
        order: Order,
        filter: &Filter,
        redactor: Option<Redactor>,
    ) -> Self {
        let sorter = Sorter::new(Ord::cmp, SORTED_IN_MEMORY);
        let output =
            Output { out: Box::new(out), sorter, turn: 0, ended: std::collections::BTreeSet::new(), failed: None };
        Printer {
            form,
            redactor,
            by_name: !filter.names.is_empty(),
            printed: AtomicU64::new(0),
            full: AtomicBool::new(false),
            out: Mutex::new(output),
            turned: Condvar::new(),
            sorted: order == Order::Time,
        }
    }

    /// Ends the output. Returns the number of events printed.
    ///
    /// # Errors
    /// Something could not be written. What was written before is whole lines.
    pub fn finish(self) -> io::Result<u64> {
        let mut output = self.out.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = output.failed.take() {
            return Err(error);
        }
        let Output { mut out, sorter, .. } = output;
        for entry in sorter.finish()?.into_values()? {
            out.write_all(&entry?.line)?;
        }
        out.flush()?;
        Ok(self.printed.into_inner())
    }

    /// The output. A thread that panicked left it between two lines.
    fn output(&self) -> MutexGuard<'_, Output<'p>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, output: &mut Output<'p>, error: io::Error) {
        output.failed.get_or_insert(error);
        self.full.store(true, Relaxed);
        self.turned.notify_all();
    }

    /// False for events that match only by a name that is not their own: on GKE a request without a name has that of
    /// its namespace, as Panther reads it.
    fn is_wanted(&self, event: &AuditEvent<'_>) -> bool {
        let object = &event.object_ref;
        !(self.by_name && object.name_is_namespace && object.resource.as_deref() != Some("namespaces"))
    }

    fn sort(&self, passing: Passing<'_>, line: Vec<u8>) {
        let entry = Entry::new(passing.time.map(|(time, _)| time), passing.evidence, line);
        let mut output = self.output();
        output.sorter.push(entry);
        if output.sorter.has_failed() {
            self.full.store(true, Relaxed);
        }
    }
}

impl Listener for Printer<'_> {
    fn listen(&self, source: usize) -> Box<dyn Tap + '_> {
        Box::new(Turn::new(self, source))
    }

    fn keeps_originals(&self) -> bool {
        self.form == Form::Original
    }

    fn has_enough(&self) -> bool {
        self.full.load(Relaxed)
    }
}
