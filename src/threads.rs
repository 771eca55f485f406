//! Work on all threads of a run.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::error::Error;

/// Runs work on so many threads, or one per core.
///
/// # Errors
/// The threads cannot be started.
pub fn in_threads<T: Send>(threads: Option<u16>, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, usize::from)).build();
    let pool = pool.map_err(|error| Error::Usage(format!("cannot start threads: {error}")))?;
    Ok(pool.install(work))
}

/// How many threads there are.
#[must_use]
pub fn count() -> usize {
    rayon::current_num_threads()
}

/// Does the same on each of them.
pub fn on_each<R: Send>(work: impl Fn() -> R + Sync) -> Vec<R> {
    rayon::broadcast(|_| work())
}

/// Does the work on each of the items; what it gives keeps their order.
pub fn each<I, R: Send>(items: I, work: impl Fn(I::Item) -> R + Sync + Send) -> Vec<R>
where
    I: IntoParallelIterator<Iter: IndexedParallelIterator>,
{
    items.into_par_iter().with_max_len(1).map(work).collect()
}
