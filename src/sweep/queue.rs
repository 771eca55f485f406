//! Decides which source is next, and whether threads would be idle while it is read.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::aggregate::Tally;
use crate::threads;

/// Smaller sources are read before another thread could start.
const MIN_AHEAD: u64 = 256 * 1024;

/// Sources in the order in which threads take them.
pub(super) struct Queue {
    /// Their numbers.
    order: Vec<usize>,
    /// Whether each source is read by more than one thread.
    ahead: Vec<bool>,
    next: AtomicUsize,
}

impl Queue {
    /// Largest source first, so that no large one is left alone at the end.
    pub(super) fn largest_first(sizes: &[u64]) -> Self {
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&number| std::cmp::Reverse(sizes[number]));
        Self::new(order, sizes)
    }

    pub(super) fn in_order(sizes: &[u64]) -> Self {
        Self::new((0..sizes.len()).collect(), sizes)
    }

    fn new(order: Vec<usize>, sizes: &[u64]) -> Self {
        let threads = threads::count() as u64;
        let mut left: u64 = sizes.iter().sum();
        let mut is_ahead = |number: usize| {
            let (size, before) = (sizes[number], left);
            left -= size;
            // More than a thread's share of what is left: the other threads finish before this source does.
            threads > 1 && size >= MIN_AHEAD && size.saturating_mul(threads) > before
        };
        let ahead = order.iter().map(|&number| is_ahead(number)).collect();
        Queue { order, ahead, next: AtomicUsize::new(0) }
    }

    /// Does the work on all threads, until no source is left or no more is wanted.
    pub(super) fn run(
        &self,
        work: impl Fn(usize, bool) -> Tally + Sync,
        has_enough: impl Fn() -> bool + Sync,
    ) -> Tally {
        let drain = || {
            let mut tally = Tally::one_of(threads::count());
            while !has_enough() {
                let turn = self.next.fetch_add(1, Relaxed);
                let Some((&number, &ahead)) = self.order.get(turn).zip(self.ahead.get(turn)) else { break };
                tally = tally.merge(work(number, ahead));
            }
            tally
        };
        threads::on_each(drain).into_iter().fold(Tally::default(), Tally::merge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::in_threads;

    /// The order of sources of these sizes in MiB, and which of them are read ahead.
    fn queue(threads: u16, sizes: &[u64]) -> (Vec<usize>, Vec<bool>) {
        let sizes: Vec<u64> = sizes.iter().map(|size| size << 20).collect();
        let queue = in_threads(Some(threads), || Queue::largest_first(&sizes)).unwrap();
        (queue.order, queue.ahead)
    }

    #[test]
    fn a_source_is_read_ahead_where_threads_would_idle() {
        assert_eq!(queue(1, &[9]), (vec![0], vec![false]));
        assert_eq!(queue(2, &[1, 9, 2]), (vec![1, 2, 0], vec![true, true, true]));
        assert_eq!(queue(2, &[3, 4, 3, 3]), (vec![1, 0, 2, 3], vec![false, false, false, true]));
        assert_eq!(queue(2, &[0, 0]).1, [false, false]);
    }
}
