//! The pages of all alerts on CronJobs, made a few at a time, and what each of their hits shows.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use serde_json::Value;

use super::Judge;
use super::history::Histories;
use super::overview::Users;
use super::page::{Asked, Page, page};
use super::rank::Standing;
use crate::aggregate::{Alert, Finding, Finished, Hit, Verdict};
use crate::spill::{Packed, Sorted, Sorter};
use crate::threads::in_batches;

/// Bytes of pages, and of what hits show, that are held in memory; the rest goes to temporary files.
const HELD: usize = 4 << 20;
/// Alerts that a thread judges before they are taken in.
const AT_A_TIME: usize = 8;

/// A page as runbook.json has it.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub struct Printed {
    /// Where it stands.
    pub standing: Standing,
    /// Number of its alert.
    number: usize,
    /// Its alert.
    pub alert_id: Arc<str>,
    /// JSON.
    pub text: String,
}

impl Printed {
    /// Changes the page, but for what orders it.
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

/// What one hit shows.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub(super) struct Note {
    /// Number of the hit.
    hit: u64,
    findings: Vec<Finding>,
}

impl Packed for Printed {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }
}

impl Packed for Note {
    fn weight(&self) -> usize {
        self.findings.iter().map(Finding::weight).sum()
    }
}

/// What is made of all alerts.
pub(super) struct Pages {
    /// Those that were asked for.
    pub printed: Sorter<Printed>,
    pub verdicts: BTreeMap<Verdict, u64>,
    pub users: Users,
    /// Where all alerts stand, by their number.
    pub by_alert: BTreeMap<usize, Standing>,
    pub notes: Sorter<Note>,
}

/// Judges the alerts of a sweep.
pub(super) fn pages(judge: &Judge<'_>, report: &Finished) -> io::Result<Pages> {
    let mut pages = Pages {
        printed: Sorter::new(Printed::order, HELD),
        verdicts: Verdict::ALL.iter().map(|&verdict| (verdict, 0)).collect(),
        users: Users::default(),
        by_alert: BTreeMap::new(),
        notes: Sorter::new(|left, right| left.hit.cmp(&right.hit), HELD),
    };
    let mut hits = by_alert(judge, &report.alerts, &report.hits)?;
    let mut histories = Histories::default();
    // Windows of history move on in time, so that they are looked at in order.
    let asked = report.alerts.read()?.enumerate().filter_map(|(number, alert)| {
        let alert = match alert {
            Ok(alert) => alert.into_owned(),
            Err(error) => return Some(Err(error)),
        };
        let hits = hits.remove(&number)?;
        let asked = Asked::new(judge, alert, &hits, &mut histories);
        Some(io::Result::Ok((number, hits, asked)))
    });
    let judged = |(number, hits, asked)| {
        let (page, findings) = page(judge, &asked);
        let is_wanted = judge.settings.only.fits(&page);
        let text = is_wanted.then(|| serde_json::to_string(&page)).transpose()?;
        io::Result::Ok((number, hits, page, text, findings))
    };
    in_batches(AT_A_TIME, asked, judged, |judged| {
        let (number, hits, page, text, findings) = judged?;
        for (&(hit, _), findings) in hits.iter().zip(findings).filter(|(_, findings)| !findings.is_empty()) {
            pages.notes.push(Note { hit, findings });
        }
        pages.add(number, &page, text);
        Ok(())
    })?;
    Ok(pages)
}

impl Pages {
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

/// The hits of an alert: their numbers, and where they stand in the timeline.
pub(super) type Hits = Vec<(u64, usize)>;

/// The hits of each alert on CronJobs, by its number.
type Positions = BTreeMap<usize, Hits>;

fn by_alert(judge: &Judge<'_>, alerts: &Sorted<Alert>, hits: &Sorted<Hit>) -> io::Result<Positions> {
    let numbers = alerts.read()?.enumerate().map(|(number, alert)| Ok((alert?.alert_id.clone(), number)));
    let numbers = numbers.collect::<io::Result<BTreeMap<Arc<str>, usize>>>()?;
    let mut positions = Positions::new();
    for (number, hit) in (0..).zip(hits.read()?) {
        let hit = hit?;
        let alert = hit.alert_id.as_deref().and_then(|id| numbers.get(id));
        let at = judge.timeline.position(&hit.record.evidence);
        if let Some((&alert, at)) = alert.zip(at) {
            positions.entry(alert).or_default().push((number, at));
        }
    }
    Ok(positions)
}

/// Writes into hits what they show, and the CronJobs that their own records do not tell.
pub(super) fn annotate(judge: &Judge<'_>, hits: Sorted<Hit>, notes: Sorter<Note>) -> io::Result<Sorted<Hit>> {
    let notes = notes.finish()?;
    let (mut notes, mut number) = (notes.read()?.peekable(), 0);
    hits.change(|hit| {
        let own = notes.next_if(|note| note.as_ref().map_or(true, |note| note.hit == number));
        hit.indicators = own.transpose()?.map(|note| note.into_owned().findings).unwrap_or_default();
        judge.complete(hit);
        number += 1;
        Ok(())
    })
}
