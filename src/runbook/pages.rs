//! The pages of all alerts on CronJobs, made a few at a time, and the findings of each hit.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use serde_json::Value;

use super::Judge;
use super::graver::Gravers;
use super::links::{Link, Linked};
use super::overview::Users;
use super::page::{Asked, Examined, Looks, Page, page};
use super::rank::Standing;
use crate::aggregate::{CronJob, Finding, Hit, Verdict};
use crate::spill::{Packed, Sorted, Sorter};
use crate::threads::{batches, each};

/// Bytes of pages, and of findings of hits, held in memory; the rest goes to temporary files.
const HELD: usize = 4 << 20;
/// Alerts that a thread judges before their results are collected.
const AT_A_TIME: usize = 8;

/// A page as it appears in runbook.json.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub struct Printed {
    /// Its rank among the others, and which are alike.
    pub standing: Standing,
    /// Number of its alert.
    number: usize,
    /// Id of its alert.
    pub alert_id: Arc<str>,
    /// JSON.
    pub text: String,
}

impl Printed {
    /// Changes the text of the page, but not its place in the order.
    pub(super) fn change(&mut self, change: &mut dyn FnMut(&mut Value)) -> io::Result<()> {
        let mut page = serde_json::from_str(&self.text)?;
        change(&mut page);
        self.text = page.to_string();
        Ok(())
    }

    /// Its verdict.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.standing.rank.verdict()
    }

    /// Gravest first, then in the order of the alerts.
    fn order(&self, other: &Self) -> Ordering {
        other.standing.rank.cmp(&self.standing.rank).then_with(|| self.number.cmp(&other.number))
    }
}

/// The findings of one hit, and the CronJob that its own record does not show.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub(super) struct Note {
    /// Number of the hit.
    hit: u64,
    findings: Vec<Finding>,
    cronjob: Option<Box<CronJob>>,
}

impl Packed for Printed {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }
}

impl Packed for Note {
    fn weight(&self) -> usize {
        let cronjob = self.cronjob.as_ref().map_or(0, |cronjob| cronjob.weight());
        size_of::<Self>() + cronjob + self.findings.iter().map(Finding::weight).sum::<usize>()
    }
}

/// The results for all alerts.
pub(super) struct Pages {
    /// Pages of the requested alerts.
    pub printed: Sorter<Printed>,
    pub verdicts: BTreeMap<Verdict, u64>,
    pub users: Users,
    /// Standings of all alerts, by number.
    pub by_alert: BTreeMap<usize, Standing>,
    pub notes: Sorter<Note>,
}

impl Pages {
    /// No results yet.
    pub(super) fn new() -> Self {
        Pages {
            printed: Sorter::new(Printed::order, HELD),
            verdicts: Verdict::ALL.iter().map(|&verdict| (verdict, 0)).collect(),
            users: Users::default(),
            by_alert: BTreeMap::new(),
            notes: Sorter::new(|left, right| left.hit.cmp(&right.hit), HELD),
        }
    }

    /// Judges the alerts of a cluster.
    pub(super) fn judge(
        &mut self,
        judge: &Judge<'_>,
        links: &mut Peekable<impl Iterator<Item = io::Result<Link>>>,
    ) -> io::Result<()> {
        let (mut looks, mut gravers) = (Looks::default(), Gravers::default());
        // History windows only move forward in time, so alerts are looked at in order.
        let asked = std::iter::from_fn(|| Linked::next(&judge.timeline, links).transpose());
        let asked = asked.map(|linked| io::Result::Ok(Asked::new(judge, linked?, &mut looks)));
        for some in batches(AT_A_TIME, asked) {
            let mut some = each(some?, |asked| asked.examine(judge));
            for alert in &mut some {
                gravers.weigh(judge, alert);
            }
            for made in each(some, |alert| made(judge, alert)) {
                self.take(judge, made?);
            }
        }
        Ok(())
    }

    fn take(&mut self, judge: &Judge<'_>, (linked, page, text, findings): Made) {
        for ((hit, at), findings) in linked.hits.into_iter().zip(findings) {
            let cronjob = judge.recovered.get(&at).cloned().map(|cronjob| Box::new(cronjob.recovered()));
            if cronjob.is_some() || !findings.is_empty() {
                self.notes.push(Note { hit, findings, cronjob });
            }
        }
        self.add(linked.number, &page, text);
    }

    fn add(&mut self, number: usize, page: &Page, text: Option<String>) {
        self.by_alert.insert(number, page.standing);
        if let Some(text) = text {
            *self.verdicts.entry(page.verdict).or_default() += 1;
            self.users.add(page);
            let (standing, alert_id) = (page.standing, page.alert_id.clone());
            self.printed.push(Printed { standing, number, alert_id, text });
        }
    }
}

/// An alert, its page, the text of the page if it is wanted, and the findings of each hit.
type Made = (Linked, Page, Option<String>, Vec<Vec<Finding>>);

fn made(judge: &Judge<'_>, alert: Examined) -> io::Result<Made> {
    let (linked, page, findings) = page(judge, alert);
    let is_wanted = judge.settings.only.fits(&page);
    let text = is_wanted.then(|| serde_json::to_string(&page)).transpose()?;
    Ok((linked, page, text, findings))
}

/// Writes into hits their findings, and the CronJobs that their own records do not show.
pub(super) fn annotate(hits: Sorted<Hit>, notes: Sorter<Note>) -> io::Result<Sorted<Hit>> {
    let notes = notes.finish()?;
    let (mut notes, mut number) = (notes.into_values()?.peekable(), 0);
    hits.change(|hit| {
        let own = notes.next_if(|note| note.as_ref().map_or(true, |note| note.hit == number)).transpose()?;
        let (findings, cronjob) = own.map(|note| (note.findings, note.cronjob)).unwrap_or_default();
        hit.indicators = findings;
        if cronjob.is_some() {
            Arc::make_mut(&mut hit.record).cronjob = cronjob;
        }
        number += 1;
        Ok(())
    })
}
