//! What the runbook remembers of a sweep: every write, and of everything else only what says something new.
//!
//! Most records on CronJobs are status updates of their controller, and most others the Jobs and Pods that it makes: one
//! a minute and CronJob. A status that shows the CronJob as the last one did tells nothing; of Jobs and Pods those that
//! first show a new spec are kept, and of the others the time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::timeline::{Object, cronjob_of_job, cronjob_of_pod, object};
use crate::aggregate::Observation;
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
    state: Option<Arc<str>>,
    /// Whether a Job has shown its spec.
    job: bool,
    pod: bool,
}

impl Memory {
    /// Reads the sweep in time order.
    pub(super) fn of(timeline: &Sorted<Observation>) -> io::Result<Self> {
        let mut memory = Memory::default();
        for event in timeline.read()? {
            let event = event?;
            if memory.is_new(&event) {
                memory.events.push(event.into_owned());
            }
        }
        memory.trails.clear();
        Ok(memory)
    }

    fn is_new(&mut self, event: &Observation) -> bool {
        if event.meets("cronjob") {
            self.is_new_request(event)
        } else if event.meets("job_of_cronjob") {
            self.is_new_child(event, cronjob_of_job(event), |memory| &mut memory.jobs, |trail| &mut trail.job)
        } else if event.meets("pod_of_job") {
            self.is_new_child(event, cronjob_of_pod(event), |memory| &mut memory.pods, |trail| &mut trail.pod)
        } else {
            true
        }
    }

    fn is_new_request(&mut self, event: &Observation) -> bool {
        let trail = self.trails.entry(object(&event.record)).or_default();
        if event.record.change.is_some() {
            *trail = Trail::default();
            return true;
        }
        let state = event.body.as_ref().and_then(|body| body.state.clone());
        let is_new = state.is_some() && state != trail.state;
        if is_new {
            trail.state = state;
        }
        is_new || event.is_hit
    }

    fn is_new_child(
        &mut self,
        event: &Observation,
        owner: Option<Object>,
        times: fn(&mut Self) -> &mut Times,
        told: fn(&mut Trail) -> &mut bool,
    ) -> bool {
        let Some(owner) = owner else { return false };
        let told = told(self.trails.entry(owner.clone()).or_default());
        let is_new = !*told;
        *told |= event.body.as_ref().is_some_and(|body| body.state.is_some());
        times(self).entry(owner).or_default().push(event.record.time);
        is_new
    }
}
