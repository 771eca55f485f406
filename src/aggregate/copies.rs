//! The same request, logged more than once: stages, overlapping exports, repeated deliveries, split entries.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::Evidence;
use super::observation::Observation;
use crate::normalize::TimeSource;

/// This many copies of a request are held before those that add nothing are dropped.
const MOST: usize = 16;

/// Collapses copies, which come in copy order. Gives out the survivors, and the evidence of the other copies.
pub(super) fn collapse(
    observations: impl Iterator<Item = io::Result<Observation>>,
    survivors: &mut dyn FnMut(Observation),
    duplicates: &mut dyn FnMut(&Evidence),
) -> io::Result<()> {
    let mut requests = Requests::new(survivors, duplicates);
    let mut last: Option<Observation> = None;
    for observation in observations {
        let observation = observation?;
        match &mut last {
            Some(last) if last.key == observation.key && last.evidence() == observation.evidence() => {
                last.seen_again(observation);
            }
            last => {
                if let Some(whole) = last.replace(observation) {
                    requests.add(whole);
                }
            }
        }
    }
    if let Some(whole) = last {
        requests.add(whole);
    }
    requests.settle();
    Ok(())
}

/// Groups records with equal audit id, action and target by the time they were received.
///
/// A record without that time joins the others of its cluster if these have a single time. Otherwise it joins only
/// records equal to it. It comes after all that have a time, so that a group is held only as long as some cluster has
/// no other time.
struct Requests<'o> {
    survivors: &'o mut dyn FnMut(Observation),
    duplicates: &'o mut dyn FnMut(&Evidence),
    /// What the records being read have in common.
    id: Option<[u8; 32]>,
    timed: BTreeMap<Timestamp, Copies>,
    /// The last time.
    now: Option<Timestamp>,
    /// The only time of each cluster; `None` if it has several.
    only: BTreeMap<Option<Arc<str>>, Option<Timestamp>>,
    /// Equal records without a time.
    alone: Copies,
}

impl<'o> Requests<'o> {
    fn new(survivors: &'o mut dyn FnMut(Observation), duplicates: &'o mut dyn FnMut(&Evidence)) -> Self {
        let (timed, only) = (BTreeMap::new(), BTreeMap::new());
        Requests { survivors, duplicates, id: None, timed, now: None, only, alone: Copies::default() }
    }

    fn add(&mut self, record: Observation) {
        if self.id != Some(record.key.request) {
            self.settle();
            self.id = Some(record.key.request);
        }
        match record.key.received {
            Some(time) => self.add_timed(time, record),
            None => self.add_untimed(record),
        }
    }

    fn add_timed(&mut self, time: Timestamp, record: Observation) {
        if let Some(before) = self.now.replace(time).filter(|before| *before != time) {
            self.let_go(before);
        }
        let copies = self.timed.entry(time).or_default();
        let before = match self.only.entry(record.record.cluster.clone()) {
            Entry::Vacant(entry) => {
                copies.clusters += 1;
                entry.insert(Some(time));
                None
            }
            Entry::Occupied(entry) if *entry.get() == Some(time) => None,
            Entry::Occupied(mut entry) => entry.insert(None),
        };
        copies.add(record, self.duplicates);
        if let Some(before) = before {
            self.timed.entry(before).and_modify(|copies| copies.clusters -= 1);
            self.let_go(before);
        }
    }

    fn add_untimed(&mut self, record: Observation) {
        let only = self.only.get(&record.record.cluster).copied().flatten();
        if let Some(copies) = only.and_then(|time| self.timed.get_mut(&time)) {
            return copies.add(record, self.duplicates);
        }
        if self.alone.held.first().is_some_and(|other| other.key.digest != record.key.digest) {
            let alone = std::mem::take(&mut self.alone);
            self.give(alone);
        }
        self.alone.add(record, self.duplicates);
    }

    /// Gives out the group of a time that is over, if no record without a time may join it.
    fn let_go(&mut self, time: Timestamp) {
        if let Entry::Occupied(entry) = self.timed.entry(time)
            && entry.get().clusters == 0
        {
            let copies = entry.remove();
            self.give(copies);
        }
    }

    /// Gives out all groups of a request.
    fn settle(&mut self) {
        let alone = std::mem::take(&mut self.alone);
        std::mem::take(&mut self.timed).into_values().chain([alone]).for_each(|copies| self.give(copies));
        self.only.clear();
        self.now = None;
    }

    fn give(&mut self, copies: Copies) {
        copies.survivor(self.duplicates).into_iter().for_each(&mut *self.survivors);
    }
}

/// The copies of one request.
#[derive(Default)]
struct Copies {
    /// Those that the survivor may need.
    held: Vec<Observation>,
    count: u64,
    /// Whether one of them is in its place.
    in_place: bool,
    /// How many clusters have no other time.
    clusters: usize,
}

impl Copies {
    fn add(&mut self, copy: Observation, duplicates: &mut dyn FnMut(&Evidence)) {
        self.count += 1;
        self.in_place |= copy.leaked_category.is_none();
        self.held.push(copy);
        if self.held.len() > MOST {
            self.drop_needless(duplicates);
        }
    }

    fn sort(&mut self) {
        self.held.sort_by(|left, right| right.rank().cmp(&left.rank()));
    }

    /// Drops copies that add nothing to those of higher rank, whatever copies are still to come.
    fn drop_needless(&mut self, duplicates: &mut dyn FnMut(&Evidence)) {
        self.sort();
        let mut known = None;
        self.held.retain(|copy| {
            let (adds, had) = (adds(copy), known.unwrap_or(0));
            let is_needed = known.is_none() || adds & !had != 0;
            known = Some(had | adds);
            if !is_needed {
                count(copy, duplicates);
            }
            is_needed
        });
    }

    /// The most complete copy, plus what any copy knows of its origin.
    fn survivor(mut self, duplicates: &mut dyn FnMut(&Evidence)) -> Option<Observation> {
        self.sort();
        let mut copies = self.held.into_iter();
        let mut kept = copies.next()?;
        if self.count == 1 {
            return Some(kept);
        }
        let record = Arc::make_mut(&mut kept.record);
        record.copies = self.count;
        for copy in copies {
            count(&copy, duplicates);
            let other = Arc::unwrap_or_clone(copy.record);
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
        }
        if self.in_place {
            kept.leaked_category = None;
        }
        Some(kept)
    }
}

/// Counts a copy that does not survive.
fn count(copy: &Observation, duplicates: &mut dyn FnMut(&Evidence)) {
    if copy.is_match() || copy.record.is_on_cronjobs() {
        duplicates(copy.evidence());
    }
}

/// What a survivor may take from a copy, one bit for each. Of times, the first with the best source counts.
fn adds(copy: &Observation) -> u8 {
    let record = &copy.record;
    let dated = |least| record.time_source.is_some_and(|source| source <= least);
    [
        copy.platform_known,
        record.account.is_some(),
        record.cluster.is_some(),
        record.region.is_some(),
        copy.body.is_some(),
        dated(TimeSource::RequestReceived),
        dated(TimeSource::Stage),
        dated(TimeSource::Envelope),
    ]
    .iter()
    .fold(0, |bits, has| bits << 1 | u8::from(*has))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A record from a few numbers, each of which decides one thing.
    fn observation(number: usize, of: &[u8]) -> Observation {
        let text = |value: u8| (value > 1).then(|| value.to_string());
        let source = ["requestReceived", "stage", "envelope"].get(usize::from(of[0]));
        let time = source.map(|_| format!("2026-11-24T03:{:02}:{:02}Z", number / 60, number % 60));
        serde_json::from_value(json!({
            "key": {"request": "A".repeat(43), "received": text(of[1]).map(|time| format!("2026-11-24T03:00:0{time}Z")),
                "digest": if of[1] > 1 { String::new() } else { of[2].to_string() }},
            "platform_known": of[3] > 1, "has_bodies": of[4] > 1, "part": of[5], "leaked_category": text(of[6]),
            "matches": [], "interests": "", "body": text(of[7]).map(|state| json!({"state": state, "source": "requestObject"})),
            "record": {"time": time, "time_source": source, "platform": "eks", "cluster": text(of[8]),
                "account": text(of[9]), "region": text(of[10]), "resource": text(of[11]).map(|_| "cronjobs"),
                "outcome": "success", "principal_class": "human", "truncated": of[12] > 1, "damaged": false, "copies": 1,
                "evidence": {"path": of[13].to_string(), "record": number}},
        }))
        .unwrap()
    }

    /// The groups that all records of a request form, if all can be seen at once.
    fn groups(records: &[Observation]) -> Vec<Vec<Observation>> {
        let mut groups: BTreeMap<(Option<Timestamp>, String), Vec<Observation>> = BTreeMap::new();
        for record in records {
            let of_cluster = records.iter().filter(|other| other.record.cluster == record.record.cluster);
            let times: std::collections::BTreeSet<_> = of_cluster.filter_map(|other| other.key.received).collect();
            let time = record.key.received.or_else(|| times.first().copied().filter(|_| times.len() == 1));
            let digest = if time.is_some() { String::new() } else { record.key.digest.clone() };
            groups.entry((time, digest)).or_default().push(record.clone());
        }
        groups.into_values().collect()
    }

    /// What is given out, in any order.
    fn sorted(mut told: Vec<String>) -> Vec<String> {
        told.sort();
        told
    }

    proptest! {
        /// Copies that are dropped early are those that the survivor would not have needed.
        #[test]
        fn copies_collapse_as_if_all_were_held(records in vec(vec(0_u8..4, 14), 1..80)) {
            let mut records: Vec<_> = records.iter().enumerate().map(|(number, of)| observation(number, of)).collect();
            records.sort_by(Observation::copy_order);
            let (mut expected, mut lost) = (Vec::new(), Vec::new());
            for held in groups(&records) {
                let in_place = held.iter().any(|copy| copy.leaked_category.is_none());
                let copies = Copies { count: held.len() as u64, held, in_place, clusters: 0 };
                let kept = copies.survivor(&mut |place| lost.push(json!(place).to_string()));
                expected.push(json!(kept.unwrap()).to_string());
            }
            let (mut told, mut dropped) = (Vec::new(), Vec::new());
            collapse(
                records.into_iter().map(Ok),
                &mut |kept| told.push(json!(kept).to_string()),
                &mut |place| dropped.push(json!(place).to_string()),
            )
            .unwrap();
            prop_assert_eq!(sorted(told), sorted(expected));
            prop_assert_eq!(sorted(dropped), sorted(lost));
        }
    }

    /// Whether a client sends one audit id again and again, or a request is logged so.
    #[test]
    fn few_copies_are_held() {
        for seconds in [1, 60] {
            let (mut survivors, mut duplicates) = (0, 0);
            let (mut survives, mut counts) = (|_| survivors += 1, |_: &Evidence| duplicates += 1);
            let mut requests = Requests::new(&mut survives, &mut counts);
            let mut records: Vec<_> =
                (0..6000).map(|_| observation(0, &[0, 2, 0, 2, 2, 0, 0, 2, 2, 2, 2, 2, 0, 0])).collect();
            for (number, record) in records.iter_mut().enumerate() {
                let time = i64::try_from(number * seconds / 6000).unwrap();
                record.key.received = Timestamp::from_second(time).ok();
                Arc::make_mut(&mut record.record).evidence.record = number as u64;
            }
            for record in records {
                requests.add(record);
                let held = requests.timed.values().map(|copies| copies.held.len()).sum::<usize>();
                assert!(held <= MOST + 1, "{held}");
            }
            requests.settle();
            assert_eq!((survivors, duplicates), (seconds, 6000 - seconds));
        }
    }
}
