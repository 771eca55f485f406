//! Alerts as the page ranks, counts and groups them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::plural;
use crate::runbook::{Alike, Standing};

/// Rows and columns of the heat map.
const HEAT: usize = 12;
/// Shades of the heat map.
const SHADES: f64 = 5.0;

/// A verdict or a severity.
#[derive(Debug)]
pub(super) struct Class {
    /// As reports write it.
    pub(super) name: &'static str,
    /// Its colour in page.css.
    pub(super) css: &'static str,
    /// Its explanation.
    pub(super) note: &'static str,
}

const fn class(name: &'static str, css: &'static str, note: &'static str) -> Class {
    Class { name, css, note }
}

/// Worst first. The last one is for alerts without a verdict.
pub(super) const VERDICTS: [Class; 5] = [
    class("MALICIOUS-LIKELY", "k0", "critical signs, or signs that add up to an attack"),
    class("SUSPICIOUS", "k1", "strong signs in the spec, or an actor out of character"),
    class("REVIEW", "k3", "too little evidence to decide; a person has to look"),
    class("EXPECTED", "k4", "consistent with established activity, and nothing grave in the spec"),
    class("no verdict", "k5", "the runbook did not look at these"),
];

/// Worst first. The last one is for alerts of unknown severity.
pub(super) const SEVERITIES: [Class; 6] = [
    class("critical", "k0", ""),
    class("high", "k1", ""),
    class("medium", "k2", ""),
    class("low", "k3", ""),
    class("info", "k4", ""),
    class("no severity", "k5", ""),
];

/// For each severity, the verdict rank at which alerts without a verdict are sorted.
const UNJUDGED: [usize; SEVERITIES.len()] = [1, 1, 2, 3, 3, 3];

/// What the overview needs of one alert.
#[derive(Debug)]
pub(super) struct Alert {
    /// Its position among the alerts of the report.
    pub(super) number: usize,
    pub(super) id: Arc<str>,
    pub(super) username: Arc<str>,
    pub(super) cluster: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) verdict: usize,
    pub(super) severity: usize,
    pub(super) time: Option<Timestamp>,
    pub(super) hits: u64,
    /// Index of its class, by which the page counts and colours.
    pub(super) class: usize,
    /// The class by which it is sorted: without a verdict, it depends on its severity.
    rank: usize,
    standing: Standing,
}

/// Alerts, worst first.
#[derive(Debug)]
pub(super) struct Alerts {
    pub(super) all: Vec<Alert>,
    /// Verdicts with a runbook, severities without.
    pub(super) classes: &'static [Class],
}

/// The string under a key; empty if it is not a string.
pub(super) fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The list under a key; empty if it is not a list.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn rank(classes: &[Class], name: &str) -> usize {
    classes.iter().position(|class| class.name == name).unwrap_or(classes.len() - 1)
}

impl Alerts {
    /// Reads alerts as in report.json.
    pub(super) fn new(
        alerts: impl Iterator<Item = io::Result<Value>>,
        standings: Option<&BTreeMap<usize, Standing>>,
    ) -> io::Result<Self> {
        let is_judged = standings.is_some();
        let mut texts = BTreeSet::<Arc<str>>::new();
        let mut shared = |text: &str| {
            let known = texts.get(text).cloned().unwrap_or_else(|| text.into());
            texts.insert(Arc::clone(&known));
            known
        };
        let alert = |(number, value): (usize, io::Result<Value>)| {
            let value = value?;
            let mut text = |key: &str| shared(string(&value, key));
            let verdict = value["verdict"].as_str().filter(|_| is_judged).unwrap_or_default();
            let (verdict, severity) = (rank(&VERDICTS, verdict), rank(&SEVERITIES, string(&value, "severity")));
            let class = if is_judged { verdict } else { severity };
            let is_unjudged = is_judged && verdict == VERDICTS.len() - 1;
            Ok(Alert {
                number,
                id: string(&value, "alert_id").into(),
                username: text("username"),
                cluster: text("cluster"),
                namespace: text("namespace"),
                verdict,
                severity,
                time: string(&value, "first_seen").parse().ok(),
                hits: value["hits"].as_u64().unwrap_or(1),
                class,
                rank: if is_unjudged { UNJUDGED[severity] } else { class },
                standing: standings.and_then(|standings| standings.get(&number)).copied().unwrap_or_default(),
            })
        };
        let mut all = alerts.enumerate().map(alert).collect::<io::Result<Vec<_>>>()?;
        let key = |alert: &Alert| (alert.rank, alert.class, Reverse(alert.standing.rank), alert.severity, alert.time);
        all.sort_by(|left, right| key(left).cmp(&key(right)).then_with(|| left.id.cmp(&right.id)));
        Ok(Alerts { all, classes: if is_judged { &VERDICTS } else { &SEVERITIES } })
    }

    /// Alerts and hits of each class. The last class is left out if it is empty.
    pub(super) fn tiles(&self) -> Vec<Value> {
        let mut counts = vec![(0_u64, 0_u64); self.classes.len()];
        for alert in &self.all {
            counts[alert.class].0 += 1;
            counts[alert.class].1 += alert.hits;
        }
        let shown = counts.len() - usize::from(counts.last().is_some_and(|last| last.0 == 0));
        let tiles = self.classes.iter().zip(counts).take(shown);
        tiles
            .map(|(class, (alerts, hits))| {
                json!({"name": class.name, "css": class.css, "note": class.note, "alerts": alerts,
                       "hits": plural(hits, "hit")})
            })
            .collect()
    }

    /// The worst alerts, at most `most`. The first of several that are alike has their number, the others 0. No more
    /// than `alike` that are alike are shown while there are others.
    pub(super) fn shown(&self, most: usize, alike: usize) -> Vec<(&Alert, u64)> {
        let mut counts = BTreeMap::<Alike, usize>::new();
        let places = self.all.iter().map(|alert| {
            let count = counts.entry(alert.standing.alike).or_default();
            *count += 1;
            *count
        });
        // An alert without a standing is like no other.
        let is_first = |alert: &Alert, place: usize| place <= alike || alert.standing == Standing::default();
        let places: Vec<usize> = places.collect();
        let all = || self.all.iter().zip(&places);
        let first = all().filter(|(alert, place)| is_first(alert, **place)).count().min(most);
        let (mut first, mut rest) = (first, most - first);
        let mut shown = Vec::new();
        for (alert, &place) in all() {
            let left = if is_first(alert, place) { &mut first } else { &mut rest };
            if *left > 0 {
                *left -= 1;
                let is_one = place > 1 || alert.standing == Standing::default();
                shown.push((alert, if is_one { 0 } else { counts[&alert.standing.alike] as u64 }));
            }
        }
        shown
    }

    /// The actors of the alerts, by username and cluster: worst first, then busiest.
    pub(super) fn actors(&self) -> Vec<Value> {
        let mut actors = BTreeMap::<(&str, &str), (usize, u64, u64, BTreeSet<&str>)>::new();
        for alert in &self.all {
            let key = (&*alert.username, &*alert.cluster);
            let actor = actors.entry(key).or_insert((usize::MAX, 0, 0, BTreeSet::new()));
            actor.0 = actor.0.min(alert.class);
            actor.1 += 1;
            actor.2 += alert.hits;
            actor.3.insert(&*alert.namespace);
        }
        let mut ranked: Vec<_> = actors.into_iter().collect();
        ranked.sort_by_key(|(_, (worst, _, hits, _))| (*worst, Reverse(*hits)));
        let rows = ranked.into_iter().map(|((username, cluster), (worst, alerts, hits, namespaces))| {
            let class = &self.classes[worst];
            json!({"username": username, "cluster": cluster, "worst": class.name, "css": class.css, "alerts": alerts,
                   "hits": hits, "namespaces": namespaces.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>()})
        });
        rows.collect()
    }

    /// Hits by username and namespace: the busiest of both, the others summed.
    pub(super) fn heat(&self) -> Value {
        let users = Busiest::new(self.all.iter().map(|alert| (&*alert.username, alert.hits)));
        let spaces = Busiest::new(self.all.iter().map(|alert| (&*alert.namespace, alert.hits)));
        let mut cells = vec![vec![(0_u64, usize::MAX); spaces.columns()]; users.columns()];
        for alert in &self.all {
            let cell = &mut cells[users.place(&alert.username)][spaces.place(&alert.namespace)];
            *cell = (cell.0 + alert.hits, cell.1.min(alert.class));
        }
        let most = cells.iter().flatten().map(|cell| cell.0).max().unwrap_or(0);
        let rows: Vec<_> = (users.labels().into_iter().zip(cells))
            .map(|(user, row)| {
                let cells: Vec<_> = row.into_iter().map(|cell| self.cell(cell, most)).collect();
                json!({"user": user, "cells": cells})
            })
            .collect();
        json!({"namespaces": spaces.labels(), "rows": rows, "other_users": users.others, "other_namespaces": spaces.others})
    }

    fn cell(&self, (hits, worst): (u64, usize), most: u64) -> Value {
        // A busy cell must not hide the two worst classes.
        let mark = (worst < 2).then(|| json!({"name": self.classes[worst].name, "css": self.classes[worst].css}));
        json!({"hits": hits, "shade": shade(hits, most), "mark": mark})
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 5")]
fn shade(hits: u64, most: u64) -> u64 {
    if hits == 0 {
        return 0;
    }
    ((hits as f64).ln_1p() / (most as f64).ln_1p() * SHADES).ceil().clamp(1.0, SHADES) as u64
}

/// The names with the most hits, and how many others there are.
struct Busiest<'a> {
    names: Vec<&'a str>,
    places: BTreeMap<&'a str, usize>,
    others: usize,
}

impl<'a> Busiest<'a> {
    fn new(hits: impl Iterator<Item = (&'a str, u64)>) -> Self {
        let mut sums = BTreeMap::<&str, u64>::new();
        for (name, hits) in hits {
            *sums.entry(name).or_default() += hits;
        }
        let mut ranked: Vec<_> = sums.into_iter().collect();
        ranked.sort_by_key(|(_, hits)| Reverse(*hits));
        // If only one other name is left, it takes no more room than a row for others.
        let kept = if ranked.len() == HEAT + 1 { HEAT + 1 } else { HEAT };
        let names: Vec<_> = ranked.iter().take(kept).map(|(name, _)| *name).collect();
        let places = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
        Busiest { others: ranked.len() - names.len(), names, places }
    }

    fn columns(&self) -> usize {
        self.names.len() + usize::from(self.others > 0)
    }

    fn place(&self, name: &str) -> usize {
        self.places.get(name).copied().unwrap_or(self.names.len())
    }

    fn labels(&self) -> Vec<Value> {
        let named = self.names.iter().map(|name| json!({"name": name, "others": null}));
        let others = (self.others > 0).then(|| json!({"name": "", "others": self.others}));
        named.chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_that_are_alike_leave_room_for_others() {
        let alerts = (0..40).map(|at| Ok(json!({"alert_id": format!("{at:02}")})));
        let standing = |at| Standing { alike: if at < 37 { 7 } else { 1000 + at as u64 }, ..Standing::default() };
        let standings = (0..40).map(|at| (at, standing(at))).collect();
        let alerts = Alerts::new(alerts, Some(&standings)).unwrap();
        let shown: Vec<(&str, u64)> =
            alerts.shown(10, 5).into_iter().map(|(alert, alike)| (&*alert.id, alike)).collect();
        let same = ["01", "02", "03", "04", "05", "06"].map(|id| (id, 0));
        assert_eq!(shown, [&[("00", 37)][..], &same, &[("37", 1), ("38", 1), ("39", 1)]].concat());
        assert_eq!(alerts.shown(3, 5).len(), 3);
        assert_eq!(alerts.shown(100, 5).len(), 40);
    }
}
