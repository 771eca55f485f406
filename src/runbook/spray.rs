//! The same spec written in several namespaces within minutes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::actor::Actor;
use super::timeline::{Timeline, took_effect};

/// How many namespaces make a spray.
const SPRAYED: usize = 3;
/// The time within which they must be written to.
const SPRAY: SignedDuration = SignedDuration::from_mins(10);

/// When a spray begins, and its namespaces in the order they were written to.
#[derive(Debug, PartialEq)]
pub(super) struct Spray {
    begin: Timestamp,
    pub namespaces: [Arc<str>; SPRAYED],
}

/// All sprays in time order, by actor and digest of the pod spec.
pub(super) struct Sprays(BTreeMap<(Actor, [u8; 32]), Vec<Spray>>);

impl Sprays {
    /// Finds sprays among writes with equal pod specs, which `templates` gives by their digests.
    pub(super) fn of(timeline: &Timeline<'_>, templates: &BTreeMap<usize, [u8; 32]>) -> Self {
        let mut writes: BTreeMap<_, Vec<(Timestamp, Arc<str>)>> = BTreeMap::new();
        for (&at, template) in templates {
            let record = timeline.record(at);
            if let (true, Some(time), Some(namespace)) = (took_effect(record), record.time, &record.namespace) {
                writes.entry((Actor::of(record), *template)).or_default().push((time, Arc::clone(namespace)));
            }
        }
        let sprays = writes.into_iter().map(|(key, writes)| (key, sprays(&writes)));
        Sprays(sprays.filter(|(_, sprays)| !sprays.is_empty()).collect())
    }

    /// The first spray that began at the time of a write, or up to [`SPRAY`] before it.
    pub(super) fn at(&self, actor: Actor, template: [u8; 32], time: Timestamp) -> Option<&Spray> {
        let sprays = self.0.get(&(actor, template))?;
        let first = sprays.partition_point(|spray| time.duration_since(spray.begin) > SPRAY);
        sprays.get(first).filter(|spray| spray.begin <= time)
    }
}

/// The sprays among the writes of one spec, in time order.
fn sprays(writes: &[(Timestamp, Arc<str>)]) -> Vec<Spray> {
    // The next write in each of the namespaces written to next.
    let mut next: Vec<&(Timestamp, Arc<str>)> = Vec::new();
    let mut sprays = Vec::new();
    for write in writes.iter().rev() {
        next.retain(|(_, namespace)| *namespace != write.1);
        next.insert(0, write);
        next.truncate(SPRAYED);
        let is_soon = |last: &&(Timestamp, Arc<str>)| last.0.duration_since(write.0) <= SPRAY;
        if next.len() == SPRAYED && next.last().is_some_and(is_soon) {
            sprays.push(Spray { begin: write.0, namespaces: std::array::from_fn(|at| Arc::clone(&next[at].1)) });
        }
    }
    sprays.reverse();
    sprays
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The same, found by looking at all writes after each one.
    fn looked(writes: &[(Timestamp, Arc<str>)]) -> Vec<Spray> {
        let begins = writes.iter().enumerate().filter_map(|(at, (time, _))| {
            let mut seen = BTreeSet::new();
            let within = writes[at..].iter().take_while(|(later, _)| later.duration_since(*time) <= SPRAY);
            let names: Vec<_> =
                within.map(|(_, name)| Arc::clone(name)).filter(|name| seen.insert(Arc::clone(name))).collect();
            Some(Spray { begin: *time, namespaces: names.get(..SPRAYED)?.to_vec().try_into().ok()? })
        });
        begins.collect()
    }

    proptest! {
        #[test]
        fn sprays_begin_where_a_look_at_all_finds_them(steps in prop::collection::vec((0i64..400, 0u8..5), 0..60)) {
            let mut time = Timestamp::UNIX_EPOCH;
            let writes: Vec<(Timestamp, Arc<str>)> = steps.iter().map(|(seconds, namespace)| {
                time = time.checked_add(SignedDuration::from_secs(*seconds)).unwrap();
                (time, namespace.to_string().into())
            }).collect();
            prop_assert_eq!(sprays(&writes), looked(&writes));
        }
    }
}
