//! What the runbook remembers of a cluster: every write, and of everything else only what describes a CronJob. It joins
//! nothing across clusters, so each cluster is processed and dropped in turn.
//!
//! Most records on CronJobs are status updates by their controller, and most others the Jobs and Pods that it makes:
//! one per minute and CronJob. Of requests that show a CronJob without writing it, the last before each write is kept,
//! and for one that is never written, the first. Of Jobs and Pods, the first after each write is kept (or the first of
//! all, if there is no write), the last before the first write that shows another spec, and the times of all.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use jiff::Timestamp;

use super::timeline::{
    Name, Object, cronjob_of_job, cronjob_of_pod, is_by_controller, job_of_pod, made, object, scheduled, shown,
    took_effect,
};
use crate::aggregate::{Interner, Observation};
use crate::event::Change;
use crate::spill::{SECTIONS, Sorted};
use crate::threads::each;

/// Times of the Jobs or Pods of each CronJob, in order; those without a time come last.
pub(super) type Times = BTreeMap<Object, Vec<Option<Timestamp>>>;

/// Interests in what CronJobs create.
const CHILDREN: [&str; 3] = ["job", "job_by_controller", "pod_of_job"];

/// What is remembered of a cluster.
#[derive(Default)]
pub(super) struct Memory {
    pub cluster: Name,
    /// In time order.
    pub events: Vec<Observation>,
    pub jobs: Times,
    pub pods: Times,
    trails: BTreeMap<Object, Trail>,
    /// Jobs not made by the controller that are named like its Jobs.
    foreign: BTreeSet<Object>,
    /// Texts of `events` and `trails`: records read from a file do not share theirs.
    texts: Interner,
}

/// What is known of a CronJob since its last write.
#[derive(Default)]
struct Trail {
    /// The first request that showed it, until it is created or changed.
    first: Option<Observation>,
    /// The last request that showed it in another state.
    last: Option<Observation>,
    is_written: bool,
    /// Whether a Job has shown its spec.
    job: bool,
    pod: bool,
    /// Its first Jobs, or else their Pods, until it is created or changed.
    children: Vec<Observation>,
    /// The last Job of the controller, or Pod, whose spec differs from that of the one before it, until a write is
    /// known.
    latest: Option<Observation>,
}

impl Memory {
    /// Reads a sweep and passes on one cluster at a time, by name.
    pub(super) fn of_each_cluster(
        timeline: Sorted<Observation>,
        give: &mut dyn FnMut(Memory) -> io::Result<()>,
    ) -> io::Result<()> {
        // Each part is a section, in which the records of a cluster are adjacent.
        let parts = timeline.into_parts(SECTIONS)?;
        let mut parts: Vec<_> = parts.into_iter().map(Iterator::peekable).collect();
        loop {
            // An error is handled at once: it sorts as a record without a cluster, which comes first.
            let cluster_of = |event: &io::Result<Observation>| event.as_ref().ok()?.record.cluster.clone();
            let Some(cluster) = parts.iter_mut().filter_map(|part| part.peek().map(cluster_of)).min() else {
                return Ok(());
            };
            give(Memory::of(&mut parts, cluster)?)?;
        }
    }

    /// Reads a cluster, its sections in parallel.
    fn of(
        parts: &mut [Peekable<impl Iterator<Item = io::Result<Observation>> + Send>],
        cluster: Name,
    ) -> io::Result<Self> {
        let is_of_it =
            |event: &io::Result<Observation>| event.as_ref().map_or(true, |event| event.record.cluster == cluster);
        let read = each(parts, |part| Memory::read(std::iter::from_fn(|| part.next_if(is_of_it))));
        let mut all = read.into_iter().try_fold(Memory::default(), |all, part| io::Result::Ok(all.with(part?)))?;
        all.events.sort_by(Observation::time_order);
        Ok(Memory { cluster, ..all })
    }

    /// Reads some namespaces, in time order.
    fn read(timeline: impl Iterator<Item = io::Result<Observation>>) -> io::Result<Self> {
        let mut memory = Memory::default();
        for event in timeline {
            memory.add(event?);
        }
        for trail in std::mem::take(&mut memory.trails).into_values() {
            memory.events.extend(trail.first.into_iter().chain(trail.children));
        }
        Ok(memory)
    }

    /// The union of both, which must not share namespaces.
    fn with(mut self, mut other: Self) -> Self {
        self.events.append(&mut other.events);
        self.jobs.append(&mut other.jobs);
        self.pods.append(&mut other.pods);
        self
    }

    fn add(&mut self, event: Observation) {
        if event.meets("cronjob") {
            self.request(event);
        } else if made(&event, "job") {
            self.job(event);
        } else if made(&event, "pod_of_job") {
            self.pod(event);
        } else if event.interests().any(|interest| !CHILDREN.contains(&interest)) {
            self.keep(event);
        }
    }

    fn job(&mut self, event: Observation) {
        let record = &event.record;
        let is_named_so = || record.name.as_deref().is_some_and(|name| scheduled(name, record.time).is_some());
        if !is_by_controller(&event) && is_named_so() {
            self.foreign.insert(object(record));
        }
        let Some(owner) = cronjob_of_job(&event) else { return };
        self.jobs.entry(owner.clone()).or_default().push(event.record.time);
        self.events.extend(self.trails.entry(owner).or_default().job(event, &mut self.texts));
    }

    fn pod(&mut self, event: Observation) {
        let job = job_of_pod(&event).map(Into::into);
        let (cluster, namespace, _) = object(&event.record);
        if self.foreign.contains(&(cluster, namespace, job)) {
            return;
        }
        let Some(owner) = cronjob_of_pod(&event) else { return };
        self.pods.entry(owner.clone()).or_default().push(event.record.time);
        self.events.extend(self.trails.entry(owner).or_default().pod(event, &mut self.texts));
    }

    fn keep(&mut self, mut event: Observation) {
        event.share(&mut self.texts);
        self.events.push(event);
    }

    /// Adds a request on a CronJob.
    fn request(&mut self, event: Observation) {
        let trail = self.trails.entry(object(&event.record)).or_default();
        match event.record.change {
            None if event.is_hit => {}
            None => return trail.show(event, &mut self.texts),
            Some(_) if !took_effect(&event.record) => self.events.extend(trail.known()),
            Some(change) => self.events.extend(trail.write(change)),
        }
        self.keep(event);
    }
}

impl Trail {
    /// Adds what a request shows that writes nothing.
    fn show(&mut self, event: Observation, texts: &mut Interner) {
        let before = self.last.as_ref().or(self.first.as_ref()).and_then(state);
        if shown(&event).is_none_or(|state| before == Some(state)) {
            return;
        }
        let event = outline(event, texts);
        if !self.is_written && self.first.is_none() && self.last.is_none() {
            // It shows more than its Jobs and Pods do.
            self.children.iter_mut().for_each(Observation::forget_state);
            self.first = Some(event);
        } else {
            self.last = Some(event);
        }
    }

    /// The last request that showed the CronJob.
    fn known(&mut self) -> Option<Observation> {
        self.last.take().or_else(|| self.first.take())
    }

    /// Notes a write. Returns what last showed the CronJob before it.
    fn write(&mut self, change: Change) -> impl Iterator<Item = Observation> + use<> {
        let (shown, latest) = (self.known(), self.latest.take());
        (self.job, self.pod) = (false, false);
        if change != Change::Deleted {
            self.is_written = true;
            self.first = None;
            self.children.clear();
        }
        shown.into_iter().chain(latest)
    }

    /// Notes what ran before any write is known.
    fn ran(&mut self, event: &Observation, texts: &mut Interner) {
        let is_other = |latest: &Observation| state(latest) != state(event);
        if !self.is_written && state(event).is_some() && self.latest.as_ref().is_none_or(is_other) {
            self.latest = Some(outline(event.clone(), texts));
        }
    }

    /// Notes a Job. One of the controller shows what its CronJob runs, but not who wrote that. Returns what is to be
    /// remembered of it.
    fn job(&mut self, event: Observation, texts: &mut Interner) -> Option<Observation> {
        let is_new = !self.job;
        if is_by_controller(&event) {
            self.ran(&event, texts);
        }
        self.job |= state(&event).is_some() && is_by_controller(&event);
        if is_new { self.child(event, texts) } else { None }
    }

    /// The same for a Pod, unless a Job has shown the spec.
    fn pod(&mut self, event: Observation, texts: &mut Interner) -> Option<Observation> {
        let is_new = !self.pod && (self.is_written || !self.job);
        if !self.job {
            self.ran(&event, texts);
        }
        self.pod |= state(&event).is_some();
        if is_new { self.child(event, texts) } else { None }
    }

    fn child(&mut self, event: Observation, texts: &mut Interner) -> Option<Observation> {
        let mut event = outline(event, texts);
        if self.is_written {
            return Some(event);
        }
        if self.first.is_some() {
            event.forget_state();
        }
        self.children.push(event);
        None
    }
}

/// The outline of an event. Its texts are shared at once, because a trail may hold it to the end.
fn outline(event: Observation, texts: &mut Interner) -> Observation {
    let mut event = event.into_outline();
    event.share(texts);
    event
}

fn state(event: &Observation) -> Option<&Arc<str>> {
    event.body.as_ref()?.state.as_ref()
}
