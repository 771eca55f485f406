//! What the runbook remembers of a sweep: every write, and of everything else only what says something of one.
//!
//! Most records on CronJobs are status updates of their controller, and most others the Jobs and Pods that it makes: one
//! a minute and CronJob. Of what shows a CronJob without writing it, the last before each write is kept, and the first of
//! one that is never written; of Jobs and Pods the first behind each write, and of all the time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;

use super::timeline::{Object, cronjob_of_job, cronjob_of_pod, object};
use crate::aggregate::Observation;
use crate::event::Change;
use crate::spill::Sorted;

/// Times of the Jobs or Pods of CronJobs, in order; those without a time last.
pub(super) type Times = BTreeMap<Object, Vec<Option<Timestamp>>>;

/// What is remembered.
#[derive(Default)]
pub(super) struct Memory {
    /// In time order.
    pub events: Vec<Observation>,
    pub jobs: Times,
    pub pods: Times,
    trails: BTreeMap<Object, Trail>,
}

/// What is known of a CronJob since its last write.
#[derive(Default)]
struct Trail {
    /// What first showed it, until it is created or changed.
    first: Option<Observation>,
    /// What last showed it, in another state.
    last: Option<Observation>,
    is_written: bool,
    /// Whether a Job has shown its spec.
    job: bool,
    pod: bool,
}

impl Memory {
    /// Reads the sweep in time order.
    pub(super) fn of(timeline: &Sorted<Observation>) -> io::Result<Self> {
        let mut memory = Memory::default();
        for event in timeline.read()? {
            memory.add(event?);
        }
        for trail in std::mem::take(&mut memory.trails).into_values() {
            memory.events.extend(trail.first);
        }
        memory.events.sort_by(Observation::time_order);
        Ok(memory)
    }

    fn add(&mut self, event: Cow<'_, Observation>) {
        let is_kept = if event.meets("cronjob") {
            self.request(&event)
        } else if event.meets("job_of_cronjob") {
            return self.child(&event, cronjob_of_job(&event), |memory| &mut memory.jobs, |trail| &mut trail.job);
        } else if event.meets("pod_of_job") {
            return self.child(&event, cronjob_of_pod(&event), |memory| &mut memory.pods, |trail| &mut trail.pod);
        } else {
            true
        };
        if is_kept {
            self.events.push(event.into_owned());
        }
    }

    /// Whether it is kept as it is.
    fn request(&mut self, event: &Observation) -> bool {
        let trail = self.trails.entry(object(&event.record)).or_default();
        match event.record.change {
            None if event.is_hit => {}
            None => {
                trail.show(event);
                return false;
            }
            Some(change) => self.events.extend(trail.write(change)),
        }
        true
    }

    /// A Job or Pod: it says what its CronJob runs, not who wrote that.
    fn child(
        &mut self,
        event: &Observation,
        owner: Option<Object>,
        times: fn(&mut Self) -> &mut Times,
        told: fn(&mut Trail) -> &mut bool,
    ) {
        let Some(owner) = owner else { return };
        let told = told(self.trails.entry(owner.clone()).or_default());
        let is_new = !*told;
        *told |= event.body.as_ref().is_some_and(|body| body.state.is_some());
        times(self).entry(owner).or_default().push(event.record.time);
        if is_new {
            self.events.push(event.outline());
        }
    }
}

impl Trail {
    /// Takes in what a request shows that writes nothing.
    fn show(&mut self, event: &Observation) {
        let state = |event: &Observation| event.body.as_ref().and_then(|body| body.state.clone());
        let shown = self.last.as_ref().or(self.first.as_ref()).and_then(state);
        if state(event).is_some_and(|state| shown.as_ref() != Some(&state)) {
            let is_first = !self.is_written && self.first.is_none() && self.last.is_none();
            *(if is_first { &mut self.first } else { &mut self.last }) = Some(event.outline());
        }
    }

    /// A write: gives what last showed the CronJob before it.
    fn write(&mut self, change: Change) -> Option<Observation> {
        let shown = self.last.take().or_else(|| self.first.take());
        (self.job, self.pod) = (false, false);
        if change != Change::Deleted {
            self.is_written = true;
            self.first = None;
        }
        shown
    }
}
