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
mod summary;

use std::collections::BTreeMap;

pub use alerts::Alert;
pub use body::{Body, Interner};
pub use coverage::{Coverage, Day, Gap};
pub use cronjob::CronJob;
pub use finding::{Category, Finding, Verdict};
pub use finish::{Finished, Hit, Plan, finish};
pub use ledger::{Input, Status, Totals};
pub use observation::{Actor, Evidence, Observation, Record, Seen};
pub use summary::{GROUP_FIELDS, Group, is_group_field};

/// Everything that a sweep of some sources found. Merging is union, so neither order nor grouping matters.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests on CronJobs, and other rule matches.
    pub observations: Vec<Observation>,
    /// When each cluster was seen.
    pub coverage: Coverage,
    /// A row per input.
    pub inputs: Vec<Input>,
}

impl Tally {
    /// The union of two.
    #[must_use]
    pub fn merge(mut self, mut other: Tally) -> Tally {
        self.observations.append(&mut other.observations);
        self.inputs.append(&mut other.inputs);
        self.coverage.merge(other.coverage);
        self
    }

    /// Takes in what a second pass over the same sources kept: a record that the first one kept too stays one.
    #[must_use]
    pub fn with_acts(mut self, acts: Vec<Observation>) -> Tally {
        let places = self.observations.iter().enumerate();
        let known: BTreeMap<Evidence, usize> = places.map(|(at, known)| (known.evidence().clone(), at)).collect();
        for act in acts {
            match known.get(act.evidence()) {
                Some(&at) => self.observations[at].interests.extend(act.interests),
                None => self.observations.push(act),
            }
        }
        self
    }
}
