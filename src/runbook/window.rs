//! Windows that move forward in time, and counts of the requests inside: a million alerts cost one pass.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::Judge;
use super::timeline::took_effect;
use crate::aggregate::Record;

/// What is counted of the requests in a window, which are given by position.
pub(super) trait Counted: Default {
    /// Whether a request counts.
    fn takes(record: &Record) -> bool {
        took_effect(record)
    }
    fn add(&mut self, judge: &Judge<'_>, at: usize);
    /// Removes a request: they leave in the order they came.
    fn remove(&mut self, judge: &Judge<'_>, at: usize);
}

/// Counts nothing but the requests themselves.
impl Counted for () {
    fn add(&mut self, _: &Judge<'_>, _: usize) {}

    fn remove(&mut self, _: &Judge<'_>, _: usize) {}
}

/// The requests in a window.
#[derive(Debug, Default)]
pub(super) struct Window<C> {
    /// Their positions.
    pub inside: VecDeque<usize>,
    /// How many of all positions have been processed.
    taken: usize,
    pub counted: C,
}

/// A window for each key.
#[derive(Debug)]
pub(super) struct Windows<K, C>(BTreeMap<K, Window<C>>);

impl<K, C> Default for Windows<K, C> {
    fn default() -> Self {
        Windows(BTreeMap::new())
    }
}

impl<K: Ord, C: Counted> Windows<K, C> {
    /// The window of a key, moved to [end - span, end); `positions` are those of the key's requests. Times must be
    /// ascending for each key.
    pub(super) fn at(
        &mut self,
        judge: &Judge<'_>,
        key: K,
        positions: &[usize],
        (end, span): (Timestamp, SignedDuration),
    ) -> &Window<C> {
        let window = self.0.entry(key).or_default();
        window.slide(judge, positions, end.checked_sub(span).unwrap_or(Timestamp::MIN), end);
        window
    }
}

impl<C: Counted> Window<C> {
    fn slide(&mut self, judge: &Judge<'_>, positions: &[usize], start: Timestamp, end: Timestamp) {
        let is_before = |at: usize, limit| judge.timeline.time(at).is_some_and(|time| time < limit);
        while let Some(&at) = positions.get(self.taken).filter(|at| is_before(**at, end)) {
            self.taken += 1;
            if C::takes(judge.timeline.record(at)) {
                self.inside.push_back(at);
                self.counted.add(judge, at);
            }
        }
        while let Some(at) = self.inside.front().copied().filter(|at| is_before(*at, start)) {
            self.inside.pop_front();
            self.counted.remove(judge, at);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.inside.len()
    }

    /// The times of its first and last request.
    pub(super) fn span(&self, judge: &Judge<'_>) -> Option<(Timestamp, Timestamp)> {
        judge.timeline.time(*self.inside.front()?).zip(judge.timeline.time(*self.inside.back()?))
    }
}
