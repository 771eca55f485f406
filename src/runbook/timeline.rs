//! The observations of a cluster in time order, accessible by actor, by object and by evidence.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::actor::Actor;
use super::memory::Memory;
use crate::aggregate::{Evidence, Observation, Record};
use crate::event::{Change, Outcome, is_status_of_controller};

/// A name that a record may lack.
pub(super) type Name = Option<Arc<str>>;

/// Cluster, namespace and name.
pub(super) type Object = (Name, Name, Name);

/// Positions in time order.
type Positions = Vec<usize>;

/// Everything that the runbook remembers of a cluster.
pub(super) struct Timeline<'t> {
    events: &'t [Observation],
    memory: &'t Memory,
    writes: BTreeMap<Actor, Positions>,
    /// Those writes that were refused.
    denied: BTreeMap<Actor, Positions>,
    /// Writes by cluster and username, for users that comprise several actors.
    users: BTreeMap<(Name, Name), Positions>,
    /// Writes and precursors by actor, with any address and client.
    acts: BTreeMap<Actor, Positions>,
    /// Those acts that are risky in any context, and those that were refused.
    risky: BTreeMap<Actor, Positions>,
    refused: BTreeMap<Actor, Positions>,
    /// Acts by address, and by client.
    clients: BTreeMap<(Actor, &'t str), Positions>,
    objects: BTreeMap<Object, Positions>,
    deletes: BTreeMap<Object, Positions>,
    creates: BTreeMap<Object, Positions>,
    jobs: BTreeMap<Object, Positions>,
    pods: BTreeMap<Object, Positions>,
    configmaps: BTreeMap<Object, Positions>,
}

impl<'t> Timeline<'t> {
    pub(super) fn new(memory: &'t Memory) -> Self {
        let mut timeline = Timeline {
            events: &memory.events,
            memory,
            writes: BTreeMap::new(),
            denied: BTreeMap::new(),
            users: BTreeMap::new(),
            acts: BTreeMap::new(),
            risky: BTreeMap::new(),
            refused: BTreeMap::new(),
            clients: BTreeMap::new(),
            objects: BTreeMap::new(),
            deletes: BTreeMap::new(),
            creates: BTreeMap::new(),
            jobs: BTreeMap::new(),
            pods: BTreeMap::new(),
            configmaps: BTreeMap::new(),
        };
        for (at, event) in memory.events.iter().enumerate() {
            timeline.add(at, event);
        }
        timeline
    }

    fn add(&mut self, at: usize, event: &'t Observation) {
        let record = &event.record;
        if event.meets("cronjob") {
            self.objects.entry(object(record)).or_default().push(at);
            if record.change == Some(Change::Deleted) && took_effect(record) {
                self.deletes.entry(object(record)).or_default().push(at);
            }
            if record.change == Some(Change::Created) && record.outcome == Outcome::Success {
                self.creates.entry(object(record)).or_default().push(at);
            }
            if record.change.is_some() {
                let actor = Actor::of(record);
                if actor.part().is_some() {
                    self.users.entry(actor.user()).or_default().push(at);
                }
                if record.is_denied() {
                    self.denied.entry(actor.clone()).or_default().push(at);
                }
                self.writes.entry(actor).or_default().push(at);
                self.act(at, event);
            }
        } else if made(event, "job") {
            if let Some(owner) = cronjob_of_job(event) {
                self.jobs.entry(owner).or_default().push(at);
            }
        } else if made(event, "pod_of_job") {
            if let Some(owner) = cronjob_of_pod(event) {
                self.pods.entry(owner).or_default().push(at);
            }
        } else if event.meets("configmap") {
            self.configmaps.entry(object(record)).or_default().push(at);
        } else {
            self.act(at, event);
        }
    }

    fn act(&mut self, at: usize, event: &'t Observation) {
        let record = &event.record;
        let actor = Actor::everywhere(record);
        for client in [record.trusted_ip.as_deref(), record.user_agent.as_deref()].into_iter().flatten() {
            self.clients.entry((actor.clone(), client)).or_default().push(at);
        }
        if event.interests().any(|interest| !["cronjob", "refused"].contains(&interest)) {
            self.risky.entry(actor.clone()).or_default().push(at);
        }
        if event.meets("refused") {
            self.refused.entry(actor.clone()).or_default().push(at);
        }
        self.acts.entry(actor).or_default().push(at);
    }

    pub(super) fn event(&self, at: usize) -> &'t Observation {
        &self.events[at]
    }

    pub(super) fn record(&self, at: usize) -> &'t Record {
        &self.events[at].record
    }

    pub(super) fn time(&self, at: usize) -> Option<Timestamp> {
        self.events[at].record.time
    }

    /// Its cluster.
    pub(super) fn cluster(&self) -> &Name {
        &self.memory.cluster
    }

    /// The position of a request on a CronJob.
    pub(super) fn position(&self, time: Option<Timestamp>, evidence: &Evidence) -> Option<usize> {
        let order = |record: &'t Record| (record.time.is_none(), record.time, &record.evidence);
        let wanted = (time.is_none(), time, evidence);
        let at = self.events.binary_search_by(|event| order(&event.record).cmp(&wanted)).ok()?;
        self.events[at].meets("cronjob").then_some(at)
    }

    /// Writes to CronJobs by one actor, whatever their outcome.
    pub(super) fn writes(&self, actor: &Actor) -> &[usize] {
        listed(&self.writes, actor)
    }

    /// The same by all actors of a user who comprises several.
    pub(super) fn writes_of_user(&self, user: &(Name, Name)) -> &[usize] {
        self.users.get(user).map(Vec::as_slice).unwrap_or_default()
    }

    /// Writes to CronJobs by one actor that were refused.
    pub(super) fn denied(&self, actor: &Actor) -> &[usize] {
        listed(&self.denied, actor)
    }

    /// Writes to CronJobs and precursors by an actor with any address and client.
    pub(super) fn acts(&self, actor: &Actor) -> &[usize] {
        listed(&self.acts, actor)
    }

    /// Acts that are risky in any context.
    pub(super) fn risky(&self, actor: &Actor) -> &[usize] {
        listed(&self.risky, actor)
    }

    /// Acts that were refused.
    pub(super) fn refused(&self, actor: &Actor) -> &[usize] {
        listed(&self.refused, actor)
    }

    /// The acts of an actor from one address, or with one client.
    pub(super) fn acts_with(&self, actor: &Actor, client: &'t str) -> &[usize] {
        listed(&self.clients, &(actor.clone(), client))
    }

    /// All requests on one CronJob.
    pub(super) fn requests(&self, object: &Object) -> &[usize] {
        listed(&self.objects, object)
    }

    /// Requests that deleted one CronJob.
    pub(super) fn deletes(&self, object: &Object) -> &[usize] {
        listed(&self.deletes, object)
    }

    /// Requests that created one CronJob and certainly succeeded.
    pub(super) fn creates(&self, object: &Object) -> &[usize] {
        listed(&self.creates, object)
    }

    /// Remembered Jobs of a CronJob: those up to the first that shows its spec after a write, and the last that shows
    /// another spec before its first recorded write.
    pub(super) fn jobs(&self, object: &Object) -> &[usize] {
        listed(&self.jobs, object)
    }

    /// The same for the Pods of its Jobs.
    pub(super) fn pods(&self, object: &Object) -> &[usize] {
        listed(&self.pods, object)
    }

    /// When the Jobs of a CronJob were started, and their Pods.
    pub(super) fn started(&self, object: &Object) -> [&'t [Option<Timestamp>]; 2] {
        [listed(&self.memory.jobs, object), listed(&self.memory.pods, object)]
    }

    /// Whether the log shows a Job or Pod of any CronJob: if the audit policy leaves them out, it shows none.
    pub(super) fn shows_runs(&self) -> bool {
        !self.memory.jobs.is_empty() || !self.memory.pods.is_empty()
    }

    /// Writes of one ConfigMap.
    pub(super) fn configmap(&self, object: &Object) -> &[usize] {
        listed(&self.configmaps, object)
    }

    /// CronJobs on which there is a request, with the positions of these.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&Object, &[usize])> {
        self.objects.iter().map(|(object, at)| (object, at.as_slice()))
    }

    /// CronJobs with Jobs or Pods.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Object> {
        self.jobs.keys().chain(self.pods.keys().filter(|pod| !self.jobs.contains_key(*pod)))
    }

    /// Those of some positions whose time is `start` or later.
    pub(super) fn since<'p>(&self, positions: &'p [usize], start: Timestamp) -> &'p [usize] {
        let timed = &positions[..positions.partition_point(|&at| self.time(at).is_some())];
        &timed[timed.partition_point(|&at| self.time(at).is_some_and(|time| time < start))..]
    }

    /// Those of some positions whose time is in [end - span, end).
    pub(super) fn within<'p>(&self, positions: &'p [usize], end: Timestamp, span: SignedDuration) -> &'p [usize] {
        let start = end.checked_sub(span).unwrap_or(Timestamp::MIN);
        let before = |limit: Timestamp| positions.partition_point(|&at| self.time(at).is_some_and(|time| time < limit));
        &positions[before(start)..before(end)]
    }
}

/// The values of a key; empty if it has none.
fn listed<'m, K: Ord, V>(map: &'m BTreeMap<K, Vec<V>>, key: &K) -> &'m [V] {
    map.get(key).map(Vec::as_slice).unwrap_or_default()
}

/// Those of some positions that come after `at`.
pub(super) fn after(positions: &[usize], at: usize) -> &[usize] {
    &positions[positions.partition_point(|&position| position <= at)..]
}

/// Those of some positions that come before `at`.
pub(super) fn ahead(positions: &[usize], at: usize) -> &[usize] {
    &positions[..positions.partition_point(|&position| position < at)]
}

/// Whether a request did what it asked for, as far as the log shows.
pub(super) fn took_effect(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Success | Outcome::Unknown)
}

/// Whether a request is on one object, which deletecollection is not.
pub(super) fn is_on_one(record: &Record) -> bool {
    record.name.is_some() || record.change != Some(Change::Deleted)
}

/// The object of a request.
pub(super) fn object(record: &Record) -> Object {
    (record.cluster.clone(), record.namespace.clone(), record.name.clone())
}

/// Whether this is a Job or Pod that was created. A refused request is only an act of its user.
pub(super) fn made(event: &Observation, interest: &str) -> bool {
    event.meets(interest) && took_effect(&event.record)
}

/// Whether a request created, changed or deleted its object.
pub(super) fn writes(record: &Record) -> bool {
    record.change.is_some() && took_effect(record)
}

/// Whether a request created its object.
pub(super) fn is_creation(record: &Record) -> bool {
    record.change == Some(Change::Created) && took_effect(record)
}

/// The state that a request shows. The spec sent with a status is believed only from the controller, because the API
/// server ignores it.
pub(super) fn shown(event: &Observation) -> Option<&Arc<str>> {
    let (body, record) = (event.body.as_ref()?, &event.record);
    let is_of_controller = || is_status_of_controller(record.subresource.as_deref(), record.username.as_deref());
    let is_answer = body.source.as_deref() == Some("responseObject");
    let is_sound = is_answer || record.subresource.is_none() || is_of_controller();
    body.state.as_ref().filter(|_| took_effect(record) && is_sound)
}

/// Whether the controller made this Job, so that its template is that of its CronJob. Anyone can give a Job such an
/// owner.
pub(super) fn is_by_controller(event: &Observation) -> bool {
    event.meets("job_by_controller")
}

/// The CronJob that owns a Job: by owner reference, or, if bodies are not logged, by the name that the controller gives
/// (CronJob and minutes).
pub(super) fn cronjob_of_job(event: &Observation) -> Option<Object> {
    let owner = event.body.as_ref().and_then(|body| body.owner.as_ref());
    let told = owner.filter(|(kind, _)| kind == "CronJob").map(|(_, name)| name.as_str());
    let by_name = || scheduled(event.record.name.as_deref()?, event.record.time);
    let name = told.or_else(|| by_name().filter(|_| is_by_controller(event)))?;
    Some((event.record.cluster.clone(), event.record.namespace.clone(), Some(name.into())))
}

/// The CronJob of a Pod, by the name of the Job that owns it.
pub(super) fn cronjob_of_pod(event: &Observation) -> Option<Object> {
    let name = scheduled(job_of_pod(event)?, event.record.time)?;
    Some((event.record.cluster.clone(), event.record.namespace.clone(), Some(name.into())))
}

/// The Job that owns a Pod.
pub(super) fn job_of_pod(event: &Observation) -> Option<&str> {
    let (kind, job) = event.body.as_ref()?.owner.as_ref()?;
    (kind == "Job").then_some(job)
}

/// The CronJob in the name of a Job: `backup-29384715` is a Job of `backup` for that minute since 1970; before
/// Kubernetes 1.21 the number was in seconds. `None` if the number is far from the time of the record.
pub(super) fn scheduled(job: &str, time: Option<Timestamp>) -> Option<&str> {
    let (name, number) = job.rsplit_once('-')?;
    let at: i64 = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    let seconds = match number.len() {
        7 | 8 => at * 60,
        9 | 10 => at,
        _ => return None,
    };
    let is_near = time.is_none_or(|time| (-LATE..=EARLY).contains(&(seconds - time.as_second())));
    (is_near && seconds % 60 == 0).then_some(name)
}

/// By how many seconds a Job may be later than its schedule, generously.
const LATE: i64 = 2 * 365 * 24 * 3600;
/// By how many seconds it may be earlier, because clocks differ.
const EARLY: i64 = 3600;
