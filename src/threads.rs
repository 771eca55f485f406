//! Runs work on all threads.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::error::Error;

/// Runs work on this many threads; `None` means one per core.
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
pub(crate) fn count() -> usize {
    rayon::current_num_threads()
}

/// Does the work once on each thread.
pub(crate) fn on_each<R: Send>(work: impl Fn() -> R + Sync) -> Vec<R> {
    rayon::broadcast(|_| work())
}

/// Does the work on each item. Results keep the order of the items.
pub(crate) fn each<I, R: Send>(items: I, work: impl Fn(I::Item) -> R + Sync + Send) -> Vec<R>
where
    I: IntoParallelIterator<Iter: IndexedParallelIterator>,
{
    items.into_par_iter().with_max_len(1).map(work).collect()
}

/// Does the work on batches of `for_each_thread` items per thread, and passes on the results in order.
///
/// # Errors
/// Those of the items and of `take`.
pub(crate) fn in_batches<T: Send, R: Send, E>(
    for_each_thread: usize,
    items: impl Iterator<Item = Result<T, E>>,
    work: impl Fn(T) -> R + Sync + Send,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    batches(for_each_thread, items).try_for_each(|some| each(some?, &work).into_iter().try_for_each(&mut take))
}

/// Batches of `for_each_thread` items per thread.
pub(crate) fn batches<T, E>(
    for_each_thread: usize,
    mut items: impl Iterator<Item = Result<T, E>>,
) -> impl Iterator<Item = Result<Vec<T>, E>> {
    std::iter::from_fn(move || {
        let some: Result<Vec<T>, E> = items.by_ref().take(for_each_thread * count()).collect();
        Some(some).filter(|some| some.as_ref().map_or(true, |some| !some.is_empty()))
    })
}
