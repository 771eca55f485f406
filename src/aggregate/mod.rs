//! What a sweep keeps, merged over threads and machines, and what `finish` alone makes of it.

mod alerts;
mod body;
mod copies;
mod coverage;
mod cronjob;
mod finding;
mod finish;
mod ledger;
mod observation;
mod record;
mod summary;

pub use alerts::Alert;
pub use body::{Body, Interner};
pub use coverage::{Coverage, Day, Gap};
pub use cronjob::{CronJob, POD_OF_SPEC};
pub use finding::{Category, Finding, Verdict};
pub use finish::{Finished, Hit, Plan, finish};
pub use ledger::{INTERRUPTED, Input, Status, Totals};
pub use observation::{Observation, Seen};
pub use record::{Actor, Evidence, Record};
pub use summary::{GROUP_FIELDS, Group, is_group_field};

use crate::spill::Sorter;

/// Roughly the bytes of observations that are held in memory by all threads together, and again by the sources that
/// they read; the rest goes to temporary files.
const OBSERVED: usize = 24 << 20;
/// What each of many threads holds at least, or they would leave too many files to merge.
const LEAST: usize = 2 << 20;
/// Bytes of each list of hits that are held in memory.
const HELD: usize = 4 << 20;

/// Everything that a sweep of some sources found. Merging is union, so neither order nor grouping matters.
#[derive(Debug)]
pub struct Tally {
    /// Requests on CronJobs, and other rule matches.
    pub observations: Sorter<Observation>,
    /// When each cluster was seen.
    pub coverage: Coverage,
    /// A row per input.
    pub inputs: Vec<Input>,
    /// Whether something was left unread.
    pub extent: Extent,
}

/// Whether a sweep took in all that it was asked to; those further down outrank those before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// It did.
    #[default]
    Whole,
    /// Partials of a merge were missing, as its options allow.
    SharesMissing,
    /// A stop left something unread.
    Interrupted,
}

impl Extent {
    /// Whether nothing was left out.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Extent::Whole
    }
}

impl Default for Tally {
    fn default() -> Self {
        Tally::one_of(1)
    }
}

impl Tally {
    /// One of so many that are filled at the same time, and hold their part of what is held in memory.
    #[must_use]
    pub fn one_of(count: usize) -> Self {
        let limit = LEAST.max(OBSERVED / count.max(1));
        let observations = Sorter::in_sections(Observation::copy_order, Observation::section, limit);
        Tally { observations, coverage: Coverage::default(), inputs: Vec::new(), extent: Extent::Whole }
    }

    /// The union of two. A record that both kept becomes one in [`finish`].
    #[must_use]
    pub fn merge(mut self, other: Tally) -> Tally {
        self.add(other);
        self
    }

    /// Takes another one in.
    pub fn add(&mut self, mut other: Tally) {
        self.observations.append(other.observations);
        self.inputs.append(&mut other.inputs);
        self.coverage.merge(other.coverage);
        self.extent = self.extent.max(other.extent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one of two left out, and what one of two covers, is so of both, whichever comes first.
    #[test]
    fn a_merge_loses_neither_side() {
        let time = "2026-11-24T03:00:00Z".parse().unwrap();
        let one = || {
            let mut tally = Tally { extent: Extent::Interrupted, ..Tally::default() };
            tally.coverage.add(None, time);
            tally
        };
        let missing = || Tally { extent: Extent::SharesMissing, ..Tally::default() };
        for merged in [one().merge(missing()), missing().merge(one())] {
            assert_eq!((merged.extent, merged.coverage), (Extent::Interrupted, one().coverage));
        }
    }
}
