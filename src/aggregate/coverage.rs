//! What the dump covers: the first and last time seen for each cluster and UTC hour.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use crate::discover::Window;

/// Silence longer than this is a gap.
const GAP: SignedDuration = SignedDuration::from_hours(1);
const HOUR: i64 = 3600;

/// Cells by cluster and hour. They merge by minimum and maximum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    cells: BTreeMap<(Option<String>, i64), (Timestamp, Timestamp)>,
}

/// A time without any event of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last event before.
    pub start: Timestamp,
    /// The first event after.
    pub end: Timestamp,
}

/// One cluster on one UTC day that has events: a row of `coverage.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Absent if the dump does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// UTC day.
    pub day: Date,
    /// First event of the day.
    pub first_seen: Timestamp,
    /// Last event of the day.
    pub last_seen: Timestamp,
    /// Hours of the day with an event, at most 24.
    pub hours_seen: u32,
    /// Gaps longer than an hour that begin on this day.
    pub gaps: Vec<Gap>,
}

/// The first and the last time that days of any clusters cover; `None` if there is no day.
#[must_use]
pub fn covered(days: &[Day]) -> Option<(Timestamp, Timestamp)> {
    days.iter().map(|day| day.first_seen).min().zip(days.iter().map(|day| day.last_seen).max())
}

impl Coverage {
    /// Notes that a cluster was seen at a time.
    pub fn add(&mut self, cluster: Option<&str>, time: Timestamp) {
        let hour = time.as_second().div_euclid(HOUR);
        self.widen((cluster.map(str::to_owned), hour), (time, time));
    }

    /// Adds all cells of another.
    pub fn merge(&mut self, other: Coverage) {
        for (key, span) in other.cells {
            self.widen(key, span);
        }
    }

    fn widen(&mut self, key: (Option<String>, i64), (first, last): (Timestamp, Timestamp)) {
        let cell = self.cells.entry(key).or_insert((first, last));
        cell.0 = cell.0.min(first);
        cell.1 = cell.1.max(last);
    }

    /// Each cell: its cluster, and the first and last time seen within its hour.
    pub fn cells(&self) -> impl Iterator<Item = (Option<&str>, Timestamp, Timestamp)> {
        self.cells.iter().map(|((cluster, _), (first, last))| (cluster.as_deref(), *first, *last))
    }

    /// Whether an event may lie in a window, by the hours with events.
    #[must_use]
    pub fn reaches(&self, window: Window) -> bool {
        self.cells.values().any(|&(first, last)| {
            window.start.is_none_or(|start| start <= last) && window.end.is_none_or(|end| first < end)
        })
    }

    /// How many hours between two times have an event of a cluster. Hours that the times cut count in part.
    #[must_use]
    pub fn hours(&self, cluster: Option<&str>, start: Timestamp, end: Timestamp) -> f64 {
        let cluster = cluster.map(str::to_owned);
        let hour = |time: Timestamp| time.as_second().div_euclid(HOUR);
        let cells = self.cells.range((cluster.clone(), hour(start))..=(cluster, hour(end)));
        let seconds: i64 = cells
            .map(|((_, hour), _)| {
                let from = (hour * HOUR).max(start.as_second());
                ((hour + 1) * HOUR).min(end.as_second()).saturating_sub(from).max(0)
            })
            .sum();
        SignedDuration::from_secs(seconds).as_secs_f64() / 3600.0
    }

    /// The gaps of a cluster that overlap a window.
    #[must_use]
    pub fn gaps(&self, cluster: Option<&str>, start: Timestamp, end: Timestamp) -> Vec<Gap> {
        let cluster = cluster.map(str::to_owned);
        let key = |hour: i64| (cluster.clone(), hour);
        let hour = |time: Timestamp| time.as_second().div_euclid(HOUR);
        let before = self.cells.range(key(i64::MIN)..key(hour(start))).next_back();
        let cells = before.into_iter().chain(self.cells.range(key(hour(start))..=key(i64::MAX)));
        let mut spans = cells.map(|(_, span)| *span).peekable();
        let mut gaps = Vec::new();
        while let Some((_, last)) = spans.next().filter(|(_, last)| *last < end) {
            let next = spans.peek().map(|(first, _)| *first);
            let gap = next.filter(|first| first.duration_since(last) > GAP && *first > start);
            gaps.extend(gap.map(|first| Gap { start: last, end: first }));
        }
        gaps
    }

    /// The last time at which a cluster was seen.
    #[must_use]
    pub fn end(&self, cluster: Option<&str>) -> Option<Timestamp> {
        let cluster = cluster.map(str::to_owned);
        let cells = self.cells.range((cluster.clone(), i64::MIN)..=(cluster, i64::MAX));
        cells.last().map(|(_, (_, last))| *last)
    }

    /// Rows by cluster, then day.
    #[must_use]
    pub fn days(&self) -> Vec<Day> {
        let mut days: Vec<Day> = Vec::new();
        let mut before: Option<(&Option<String>, Timestamp)> = None;
        for ((cluster, _), &(first, last)) in &self.cells {
            if let (Some((same, end)), Some(day)) = (before, days.last_mut())
                && same == cluster
                && first.duration_since(end) > GAP
            {
                day.gaps.push(Gap { start: end, end: first });
            }
            let date = first.to_zoned_datetime(TimeZone::UTC).date();
            match days.last_mut() {
                Some(day) if day.cluster == *cluster && day.day == date => {
                    day.last_seen = last;
                    day.hours_seen += 1;
                }
                _ => days.push(Day {
                    cluster: cluster.clone(),
                    day: date,
                    first_seen: first,
                    last_seen: last,
                    hours_seen: 1,
                    gaps: Vec::new(),
                }),
            }
            before = Some((cluster, last));
        }
        days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stand_on_the_day_they_begin() {
        let mut coverage = Coverage::default();
        for time in [
            "2026-11-10T22:10:00Z",
            "2026-11-10T22:50:00Z",
            "2026-11-12T06:00:00Z",
            "2026-11-12T06:59:00Z",
            "2026-11-12T07:58:00Z",
        ] {
            coverage.add(Some("prod"), time.parse().unwrap());
        }
        let days = coverage.days();
        assert_eq!(days.len(), 2);
        assert_eq!((days[0].hours_seen, days[1].hours_seen), (1, 2));
        assert_eq!(days[0].gaps[0].end.to_string(), "2026-11-12T06:00:00Z");
        assert!(days[1].gaps.is_empty());

        let gaps = |start: &str, end: &str| coverage.gaps(Some("prod"), start.parse().unwrap(), end.parse().unwrap());
        let gap = days[0].gaps[0];
        assert_eq!(gaps("2026-11-11T00:00:00Z", "2026-11-11T01:00:00Z"), [gap]);
        assert_eq!(gaps("2026-11-10T00:00:00Z", "2026-11-13T00:00:00Z"), [gap]);
        assert_eq!(gaps("2026-11-12T06:00:00Z", "2026-11-13T00:00:00Z"), []);
        assert_eq!(gaps("2026-11-10T22:00:00Z", "2026-11-10T22:50:00Z"), []);
        assert_eq!(coverage.gaps(None, gap.start, gap.end), []);
    }
}
