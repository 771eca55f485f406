//! What a sweep keeps, merged over threads and machines, and what `finish` makes of it.

mod alerts;
mod body;
mod copies;
mod coverage;
mod cronjob;
mod finding;
mod finish;
mod hit;
mod ledger;
mod observation;
mod record;
mod summary;

pub use alerts::Alert;
pub use body::{Body, Interner};
pub use coverage::{Coverage, Day, Gap, covered};
pub use cronjob::{CronJob, POD_OF_SPEC};
pub use finding::{Category, Finding, Verdict};
pub use finish::{Finished, Plan, finish};
pub use hit::Hit;
pub use ledger::{INTERRUPTED, Input, Status, Totals};
pub use observation::{Observation, Seen};
pub use record::{Actor, Evidence, Record};
pub use summary::{GROUP_FIELDS, Group, is_group_field};

use crate::spill::Sorter;

/// Approximate bytes of observations held in memory by all threads together, and the same again by the sources they
/// read. The rest goes to temporary files.
const OBSERVED: usize = 24 << 20;
/// Least bytes that each of many threads holds: with less they would leave too many files to merge.
const LEAST: usize = 2 << 20;
/// Bytes of each list of hits held in memory.
const HELD: usize = 4 << 20;

/// Everything a sweep of some sources found. Merging is union, so neither order nor grouping matters.
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

/// Whether a sweep covered everything it was asked to. Later variants outrank earlier ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Everything was covered.
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
    /// One of `count` that are filled at the same time and share the memory.
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

    /// Adds another one.
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

    /// What either side left out, and what either covers, holds for the merge, in either order.
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
