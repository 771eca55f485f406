//! Who writes CronJobs in a namespace, and who writes each of them, ordered by how often.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Judge;
use super::counts::let_go;
use super::page::brief;
use super::timeline::Name;
use super::window::Counted;
use crate::aggregate::Record;

/// What is written: one CronJob of a namespace, or with `None` any.
type Written = Option<Name>;

/// How often each user wrote what.
#[derive(Debug, Default)]
pub(super) struct Writers {
    counts: BTreeMap<(Written, Arc<str>), usize>,
    /// The same, most writes first.
    ranks: BTreeSet<(Written, Reverse<usize>, Arc<str>)>,
}

/// How many writers are named.
const NAMED: usize = 5;

impl Counted for Writers {
    fn add(&mut self, judge: &Judge<'_>, at: usize) {
        self.change(judge.timeline.record(at), |counts, key| *counts.entry(key).or_default() += 1);
    }

    fn remove(&mut self, judge: &Judge<'_>, at: usize) {
        self.change(judge.timeline.record(at), let_go);
    }
}

impl Writers {
    fn change(
        &mut self,
        record: &Record,
        change: impl Fn(&mut BTreeMap<(Written, Arc<str>), usize>, (Written, Arc<str>)),
    ) {
        let Some(user) = &record.username else { return };
        for written in [None, Some(record.name.clone())] {
            let key = (written, Arc::clone(user));
            let rank = |count: &usize| (key.0.clone(), Reverse(*count), Arc::clone(user));
            let before = self.counts.get(&key).map(rank);
            change(&mut self.counts, key.clone());
            let after = self.counts.get(&key).map(rank);
            before.map(|before| self.ranks.remove(&before));
            self.ranks.extend(after);
        }
    }

    /// Who else wrote, most writes first: in the whole namespace, and to the CronJob of the request.
    pub(super) fn beside(&self, own: &Record) -> [Vec<String>; 2] {
        [None, Some(own.name.clone())].map(|written| {
            let ranks = self.ranks.range((written.clone(), Reverse(usize::MAX), Arc::default())..);
            let ranks = ranks.take_while(|(of, ..)| *of == written);
            let others = ranks.filter(|(.., user)| own.username.as_ref() != Some(user));
            others.take(NAMED).map(|(_, Reverse(count), user)| format!("{} ({count})", brief(user))).collect()
        })
    }
}
