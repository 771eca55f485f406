//! Which hits belong to which alert, by cluster. They are joined by sorting, because a sweep may have more of both than
//! memory holds.

use std::cmp::Ordering;
use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::Timestamp;

use super::timeline::{Name, Timeline};
use crate::aggregate::{Alert, Evidence, Finished, Hit};
use crate::spill::{self, Packed, Shared, Sorted, Sorter};

/// Bytes of links held in memory; the rest goes to temporary files.
const HELD: usize = 4 << 20;

/// An alert, or one of its hits.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub(super) struct Link {
    #[borsh(skip)]
    cluster: Name,
    /// When the alert begins.
    #[borsh(serialize_with = "spill::time::write", deserialize_with = "spill::time::read")]
    opened: Option<Timestamp>,
    #[borsh(skip)]
    rule_id: Arc<str>,
    dedup_key: Arc<str>,
    /// Its number among the alerts or hits of the report.
    number: u64,
    end: End,
}

#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
enum End {
    Alert(Box<Alert>),
    Hit(Place),
}

#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
struct Place {
    #[borsh(serialize_with = "spill::time::write", deserialize_with = "spill::time::read")]
    time: Option<Timestamp>,
    evidence: Evidence,
}

/// Links, cluster by cluster: the alerts of each by number, each followed by its hits.
pub(super) fn by_cluster(report: &Finished) -> io::Result<Sorted<Link>> {
    let mut links = Sorter::new(Link::order, HELD);
    for (number, alert) in (0..).zip(report.alerts.read()?) {
        links.push(Link::of_alert(number, alert?.into_owned()));
    }
    for (number, hit) in (0..).zip(report.hits.read()?) {
        links.push(Link::of_hit(number, &*hit?));
    }
    links.finish()
}

impl Link {
    fn of_alert(number: u64, alert: Alert) -> Self {
        Link {
            cluster: alert.cluster.clone(),
            opened: alert.first_seen,
            rule_id: alert.rule_id.clone(),
            dedup_key: alert.dedup_key.clone(),
            number,
            end: End::Alert(Box::new(alert)),
        }
    }

    fn of_hit(number: u64, hit: &Hit) -> Self {
        Link {
            cluster: hit.record.cluster.clone(),
            opened: hit.opened,
            rule_id: hit.rule_id.clone().unwrap_or_default(),
            dedup_key: hit.dedup_key.clone().unwrap_or_default(),
            number,
            end: End::Hit(Place { time: hit.record.time, evidence: hit.record.evidence.clone() }),
        }
    }

    /// By cluster, then as alerts are ordered. If nothing distinguishes several alerts, the last one gets the hits.
    fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn key(&self) -> impl Ord + '_ {
        let Link { cluster, opened, rule_id, dedup_key, number, end } = self;
        (cluster, opened.is_none(), opened, rule_id, dedup_key, matches!(end, End::Hit(_)), number)
    }
}

impl Packed for Link {
    fn weight(&self) -> usize {
        let own = match &self.end {
            End::Alert(alert) => alert.weight(),
            End::Hit(place) => place.evidence.path.len() + place.evidence.pointer.len(),
        };
        size_of::<Self>() + self.dedup_key.len() + own
    }

    fn texts(&self) -> Vec<&dyn Shared> {
        let of_end: Vec<&dyn Shared> = match &self.end {
            End::Alert(alert) => Packed::texts(&**alert),
            End::Hit(Place { evidence, .. }) => vec![&evidence.path, &evidence.member],
        };
        let own: [&dyn Shared; 2] = [&self.cluster, &self.rule_id];
        own.into_iter().chain(of_end).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
        let of_end: Vec<&mut dyn Shared> = match &mut self.end {
            End::Alert(alert) => Packed::texts_mut(&mut **alert),
            End::Hit(Place { evidence, .. }) => vec![&mut evidence.path, &mut evidence.member],
        };
        let own: [&mut dyn Shared; 2] = [&mut self.cluster, &mut self.rule_id];
        own.into_iter().chain(of_end).collect()
    }
}

/// An alert with its hits.
pub(super) struct Linked {
    /// Number of the alert.
    pub number: usize,
    pub alert: Box<Alert>,
    /// Numbers of its hits, and their positions in the timeline.
    pub hits: Vec<(u64, usize)>,
}

impl Linked {
    /// The next alert of the timeline's cluster that has hits there. Alerts left over from earlier clusters have none.
    pub(super) fn next(
        timeline: &Timeline<'_>,
        links: &mut Peekable<impl Iterator<Item = io::Result<Link>>>,
    ) -> io::Result<Option<Self>> {
        let mut linked: Option<Linked> = None;
        loop {
            let has_hits = linked.as_ref().is_some_and(|linked| !linked.hits.is_empty());
            let is_next =
                |link: &Link| link.cluster <= *timeline.cluster() && !(has_hits && matches!(link.end, End::Alert(_)));
            let next = links.next_if(|link| link.as_ref().map_or(true, is_next));
            let Some(Link { number, end, .. }) = next.transpose()? else {
                return Ok(linked.filter(|_| has_hits));
            };
            match end {
                End::Alert(alert) => {
                    let number = usize::try_from(number).map_err(io::Error::other)?;
                    linked = Some(Linked { number, alert, hits: Vec::new() });
                }
                End::Hit(place) => {
                    let at = timeline.position(place.time, &place.evidence);
                    if let Some((linked, at)) = linked.as_mut().zip(at) {
                        linked.hits.push((number, at));
                    }
                }
            }
        }
    }
}
