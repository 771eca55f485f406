//! What graver alerts of the same user came before an alert. The user wrote since, and that explains nothing: else three
//! writes within a day would make the third of them look usual.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;

use super::Judge;
use super::behaviour::after_graver;
use super::history::Histories;
use super::judged::{Judged, place};
use super::page::{Examined, brief};
use super::timeline::Name;
use super::verdict::verdict;
use crate::aggregate::{Record, Verdict};

/// An alert that later ones of its user name.
struct Graver {
    time: Timestamp,
    alert_id: Arc<str>,
    /// Position of the user's gravest request in it.
    at: usize,
}

/// The alerts of a user whose verdicts are SUSPICIOUS or graver, by verdict and in order.
type OfUser = BTreeMap<Verdict, VecDeque<Graver>>;

/// The graver alerts of each user, by cluster and username, within the windows before the alert that is looked at.
#[derive(Default)]
pub(super) struct Gravers {
    users: BTreeMap<(Name, Name), OfUser>,
    /// What each actor had done when the first of these began.
    histories: Histories,
}

impl Gravers {
    /// Weighs the requests of an alert again, given the alerts before it. Alerts must come in the order of their times.
    pub(super) fn weigh(&mut self, judge: &Judge<'_>, alert: &mut Examined) {
        for judged in &mut alert.requests {
            self.weigh_request(judge, alert.time, judged);
        }
        self.remember(judge, alert);
    }

    fn weigh_request(&mut self, judge: &Judge<'_>, time: Timestamp, judged: &mut Judged) {
        let record = judge.timeline.record(judged.at);
        let Some(of_user) = self.users.get_mut(&user(record)) else { return };
        forget(judge, of_user, time);
        let graver = of_user.range((Bound::Excluded(judged.verdict), Bound::Unbounded));
        let first = graver.filter_map(|(verdict, alerts)| Some((verdict, alerts.front()?)));
        let first: Vec<_> = first.filter(|(_, alert)| alert.time < time).collect();
        let Some(&(verdict, gravest)) = first.last() else { return };
        let Some(finding) = after_graver(judge, gravest.text(judge, *verdict)) else { return };
        judged.add(finding, gravest.at);
        let Some(since) = first.iter().map(|(_, alert)| alert.time).min() else { return };
        if judged.verdict == Verdict::Expected {
            weigh_without(judge, &mut self.histories, since, judged);
        }
    }

    fn remember(&mut self, judge: &Judge<'_>, alert: &Examined) {
        let mut worst: BTreeMap<(Name, Name), &Judged> = BTreeMap::new();
        for judged in alert.requests.iter().filter(|judged| judged.verdict >= Verdict::Suspicious) {
            let of_user = worst.entry(user(judge.timeline.record(judged.at))).or_insert(judged);
            if judged.verdict > of_user.verdict {
                *of_user = judged;
            }
        }
        for (user, &Judged { verdict, at, .. }) in worst {
            let graver = Graver { time: alert.time, alert_id: alert.linked.alert.alert_id.clone(), at };
            self.users.entry(user).or_default().entry(verdict).or_default().push_back(graver);
        }
    }
}

impl Graver {
    /// `MALICIOUS-LIKELY alert 7e2ad40da9b8dbff of 2026-11-24T03:12:37Z: kube-system/kube-proxy-health`.
    fn text(&self, judge: &Judge<'_>, verdict: Verdict) -> String {
        let place = place(judge.timeline.record(self.at));
        format!("{verdict} alert {} of {}: {}", self.alert_id, self.time, brief(&place))
    }
}

/// Gives an EXPECTED request the verdict that it would have with the history before `since`, if that is graver.
fn weigh_without(judge: &Judge<'_>, histories: &mut Histories, since: Timestamp, judged: &mut Judged) {
    let known = histories.known(judge, judge.timeline.record(judged.at), since);
    let (graver, rule) = verdict(judged.level, known, &judged.flags);
    if graver > judged.verdict {
        judged.verdict = graver;
        judged.rule = format!("{rule}, the history before the first graver alert");
        judged.is_raised = true;
    }
}

/// Drops alerts that lie before the windows.
fn forget(judge: &Judge<'_>, of_user: &mut OfUser, time: Timestamp) {
    let window = judge.settings.lookback.max(judge.settings.context);
    let start = time.checked_sub(window).unwrap_or(Timestamp::MIN);
    for alerts in of_user.values_mut() {
        while alerts.front().is_some_and(|alert| alert.time < start) {
            alerts.pop_front();
        }
    }
}

fn user(record: &Record) -> (Name, Name) {
    (record.cluster.clone(), record.username.clone())
}
