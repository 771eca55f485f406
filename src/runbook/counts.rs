//! Requests counted by their properties.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::aggregate::Record;

/// A property of requests: its name, and the function that reads its distinct values.
pub(super) type Facet = (&'static str, fn(&Record) -> Vec<String>);

/// How many requests have each value of some properties. Requests of a moving window are added and removed one by one,
/// so that a million alerts cost one pass.
#[derive(Debug)]
pub(super) struct Counts {
    facets: &'static [Facet],
    counts: Vec<BTreeMap<String, usize>>,
}

impl Counts {
    /// Nothing counted yet.
    pub(super) fn of(facets: &'static [Facet]) -> Self {
        Counts { facets, counts: vec![BTreeMap::new(); facets.len()] }
    }

    pub(super) fn add(&mut self, record: &Record) {
        for ((_, read), counts) in self.facets.iter().zip(&mut self.counts) {
            for value in read(record) {
                *counts.entry(value).or_default() += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, record: &Record) {
        for ((_, read), counts) in self.facets.iter().zip(&mut self.counts) {
            for value in read(record) {
                let_go(counts, value);
            }
        }
    }

    /// The values of a property, each with how many requests have it.
    pub(super) fn values(&self, facet: usize) -> &BTreeMap<String, usize> {
        &self.counts[facet]
    }

    /// How many requests have a value.
    pub(super) fn count(&self, facet: usize, value: &str) -> usize {
        self.counts[facet].get(value).copied().unwrap_or_default()
    }

    /// Whether every value that a request has was counted.
    pub(super) fn knows(&self, facet: usize, record: &Record) -> bool {
        self.facets[facet].1(record).iter().all(|value| self.counts[facet].contains_key(value))
    }
}

/// The values of a property that has at most one.
pub(super) fn one(value: Option<String>) -> Vec<String> {
    value.into_iter().collect()
}

/// Decrements the count of a value; removes it at 0.
pub(super) fn let_go<K: Ord>(counts: &mut BTreeMap<K, usize>, value: K) {
    if let Entry::Occupied(mut count) = counts.entry(value) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}
