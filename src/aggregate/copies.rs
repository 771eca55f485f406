//! The same request, logged more than once: stages, overlapping exports, repeated deliveries, split entries.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::Evidence;
use super::observation::Observation;

/// Collapses copies. Those of one request must be adjacent. Gives out the survivors, and the evidence of the other
/// copies.
pub(super) fn collapse(
    observations: impl Iterator<Item = io::Result<Observation>>,
    survivors: &mut dyn FnMut(Observation),
    duplicates: &mut dyn FnMut(&Evidence),
) -> io::Result<()> {
    let mut request: Vec<Observation> = Vec::new();
    let mut settle = |request: &mut Vec<Observation>| {
        for copies in same_request(std::mem::take(request)) {
            survivors(survivor(copies, duplicates));
        }
    };
    for observation in observations {
        let observation = observation?;
        match request.last_mut() {
            Some(last) if last.key == observation.key && last.evidence() == observation.evidence() => {
                last.seen_again(observation);
            }
            Some(last) if last.key.request != observation.key.request => {
                settle(&mut request);
                request.push(observation);
            }
            _ => request.push(observation),
        }
    }
    settle(&mut request);
    Ok(())
}

/// Groups records with equal audit id, action and target by the time they were received.
///
/// A record without that time joins the others of its cluster if these have a single time. Otherwise it joins only
/// records equal to it.
fn same_request(records: Vec<Observation>) -> Vec<Vec<Observation>> {
    let mut timed: BTreeMap<Timestamp, Vec<Observation>> = BTreeMap::new();
    let mut untimed = Vec::new();
    for record in records {
        match record.key.received {
            Some(time) => timed.entry(time).or_default().push(record),
            None => untimed.push(record),
        }
    }
    let mut by_cluster: BTreeMap<Option<Arc<str>>, BTreeSet<Timestamp>> = BTreeMap::new();
    for (time, records) in &timed {
        for record in records {
            by_cluster.entry(record.record.cluster.clone()).or_default().insert(*time);
        }
    }
    let mut alone: BTreeMap<String, Vec<Observation>> = BTreeMap::new();
    for record in untimed {
        let only = by_cluster.get(&record.record.cluster).filter(|known| known.len() == 1);
        match only.and_then(|known| known.first()).and_then(|time| timed.get_mut(time)) {
            Some(copies) => copies.push(record),
            None => alone.entry(record.key.digest.clone()).or_default().push(record),
        }
    }
    timed.into_values().chain(alone.into_values()).collect()
}

/// The most complete copy, plus what any copy knows of its origin.
fn survivor(mut copies: Vec<Observation>, duplicates: &mut dyn FnMut(&Evidence)) -> Observation {
    copies.sort_by(|left, right| right.rank().cmp(&left.rank()));
    let count = copies.len() as u64;
    let leaked = copies.iter().all(|copy| copy.leaked_category.is_some());
    let mut copies = copies.into_iter();
    let Some(mut kept) = copies.next() else { unreachable!("a group has a member") };
    if count == 1 {
        return kept;
    }
    let record = Arc::make_mut(&mut kept.record);
    record.copies = count;
    for copy in copies {
        let other = Arc::unwrap_or_clone(copy.record);
        let is_counted = !copy.matches.is_empty() || other.is_on_cronjobs();
        // A cut copy may have lost the time the request was received, or any time.
        if other.time.is_some() && (other.time_source < record.time_source || record.time.is_none()) {
            (record.time, record.time_source) = (other.time, other.time_source);
        }
        if !kept.platform_known && copy.platform_known {
            record.platform = other.platform;
            kept.platform_known = true;
        }
        record.account = record.account.take().or(other.account);
        record.cluster = record.cluster.take().or(other.cluster);
        record.region = record.region.take().or(other.region);
        kept.body = kept.body.or(copy.body);
        if is_counted {
            duplicates(&other.evidence);
        }
    }
    if !leaked {
        kept.leaked_category = None;
    }
    kept
}
