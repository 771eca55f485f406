//! Reads all sources, in parallel, into one tally.

mod head;
mod listen;
mod member;
mod queue;
mod skim;
mod source;
mod stdin;
mod stop;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::aggregate::{Input, Status, Tally};
use crate::case::Case;
use crate::decode::Limits;
use crate::discover::{Found, Members, Source, Window};
use crate::error::Error;
use crate::event::Platform;
use crate::rule::Pack;
use crate::stats::Stats;
use crate::threads::each;

use head::Heads;
use queue::Queue;

pub use listen::{Listener, Passing, Tap};
pub use stop::Stop;

/// The settings of a sweep.
#[derive(Debug)]
pub struct Job {
    /// Rules to evaluate.
    pub pack: Pack,
    /// Limits on sources.
    pub limits: Limits,
    /// Times of the events that are kept, including history.
    pub window: Window,
    /// Whether every record is parsed, not only those that a rule may match.
    pub validate: bool,
    /// The cluster of all records, whatever they say.
    pub cluster: Option<String>,
    /// The platform of all records, whatever they say.
    pub platform: Option<Platform>,
    /// Ends the sweep early: the rows of sources not read to their end say so.
    pub stop: Stop,
}

/// Watches a sweep; called from all threads.
pub trait Observer: Sync {
    /// A source was opened.
    fn opened(&self, name: &str);
    /// Bytes were read from sources.
    fn read(&self, bytes: u64);
    /// A source was read to its end.
    fn closed(&self, records: u64, hits: u64);
    /// Where the time of stages is measured, if it is.
    fn stats(&self) -> Option<&Stats> {
        None
    }
}

/// Sweeps everything that was found. A source that fails, or on which the program fails, is only a row.
#[must_use]
pub fn sweep(found: &Found, job: &Job, observer: &dyn Observer) -> Tally {
    let queue = Queue::largest_first(&found.sources.iter().map(|source| source.bytes).collect::<Vec<_>>());
    let (keep, heads) = (&|_: &Source, tally| tally, &Heads::new());
    let watch = |ahead| Watch { observer, ahead, heads, members: &found.members, keep };
    let read = |number: usize, ahead| isolated(&found.sources[number], job, watch(ahead), None);
    queue.run(read, || false).merge(unread(found))
}

/// The same, without what the case already has. The case keeps what is read.
///
/// # Errors
/// The case cannot be written.
pub fn sweep_into(case: &Case, found: &Found, job: &Job, observer: &dyn Observer) -> Result<Tally, Error> {
    let looks = each(&found.sources, |source| case.look(source));
    let known = case.settle(&found.sources, &looks)?;
    let size = |(source, known): (&Source, &Option<Input>)| if known.is_some() { 0 } else { source.bytes };
    let heads = &Heads::new();
    let queue = Queue::largest_first(&found.sources.iter().zip(&known).map(size).collect::<Vec<_>>());
    let read = |number: usize, ahead| {
        let (source, look) = (&found.sources[number], &looks[number]);
        match &known[number] {
            None => {
                // Members of a stream are known only by name.
                let keep = &|read: &Source, tally| match read.path {
                    Some(_) => case.keep(read, look, tally),
                    None => case.keep(read, &case.look(read), tally),
                };
                isolated(source, job, Watch { observer, ahead, heads, members: &found.members, keep }, None)
            }
            Some(input) => {
                observer.read(source.bytes);
                observer.closed(0, 0);
                Tally { inputs: vec![input.clone()], ..Tally::default() }
            }
        }
    };
    Ok(queue.run(read, || false).merge(unread(found)))
}

/// Sweeps everything that was found, and passes to the listener every event that meets an interest of the job. The
/// tally then has no observations. Sources are begun in order, so that a listener may make one wait for those before
/// it.
#[must_use]
pub fn stream(found: &Found, job: &Job, observer: &dyn Observer, listener: &dyn Listener) -> Tally {
    let queue = Queue::in_order(&found.sources.iter().map(|source| source.bytes).collect::<Vec<_>>());
    let (keep, heads) = (&|_: &Source, tally| tally, &Heads::new());
    let watch = |ahead| Watch { observer, ahead, heads, members: &found.members, keep };
    let read = |number: usize, ahead| isolated(&found.sources[number], job, watch(ahead), Some((listener, number)));
    queue.run(read, || listener.has_enough()).merge(unread(found))
}

/// Rows for the files that are not read.
fn unread(found: &Found) -> Tally {
    let unread = found.unread.iter().map(|unread| {
        let mut input = Input::new(unread.name.clone(), None);
        input.bytes = unread.bytes;
        input.problem(if unread.failed { Status::Failed } else { Status::Skipped }, unread.reason.as_str());
        input
    });
    Tally { inputs: unread.collect(), ..Tally::default() }
}

/// The listener to a source, and the number of the source.
type Listening<'l> = Option<(&'l dyn Listener, usize)>;

/// How a source is read.
#[derive(Clone, Copy)]
struct Watch<'o> {
    observer: &'o dyn Observer,
    /// Whether separate threads read and decompress, ahead of the one that parses.
    ahead: bool,
    heads: &'o Heads,
    /// For the members of a tar on standard input.
    members: &'o Members,
    /// Receives the tally of a file, a stream, or a member of a stream, and returns the part still to be counted.
    keep: &'o dyn Fn(&Source, Tally) -> Tally,
}

fn isolated(source: &Source, job: &Job, watch: Watch<'_>, listening: Listening<'_>) -> Tally {
    catch_unwind(AssertUnwindSafe(|| source::sweep(source, job, watch, listening)))
        .unwrap_or_else(|_| Tally { inputs: vec![failed(source.name.clone(), source.bytes)], ..Tally::default() })
}

/// The row of a source on which the program fails.
fn failed(name: Arc<str>, bytes: u64) -> Input {
    let mut input = Input::new(name, None);
    input.bytes = bytes;
    input.problem(Status::Failed, "kubesweep failed on this file; please report it as a bug");
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Tuning;

    /// Fails on one source.
    struct Fails;

    impl Observer for Fails {
        fn opened(&self, name: &str) {
            assert_ne!(name, "bad", "a failure of the program");
        }
        fn read(&self, _: u64) {}
        fn closed(&self, _: u64, _: u64) {}
    }

    #[test]
    fn a_failure_of_the_program_is_the_row_of_one_source() {
        let limits = Limits { max_record: 1 << 20, max_bytes: None };
        let pack = Pack::new(Vec::new(), Tuning::default(), Vec::new());
        let (window, stop) = (Window::default(), Stop::default());
        let job = Job { pack, limits, window, validate: false, cluster: None, platform: None, stop };
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = |name: &str| Source { name: name.into(), path: Some(file.path().to_owned()), bytes: 0 };
        let found = Found { sources: ["a", "bad", "c"].map(source).to_vec(), ..Found::default() };
        let mut rows = sweep(&found, &job, &Fails).inputs;
        rows.sort_by(|left, right| left.path.cmp(&right.path));
        let told: Vec<_> = rows.iter().map(|row| (&*row.path, row.status)).collect();
        assert_eq!(told, [("a", Status::Skipped), ("bad", Status::Failed), ("c", Status::Skipped)]);
        assert!(rows[1].error.as_ref().unwrap().contains("report it as a bug"));
    }
}
