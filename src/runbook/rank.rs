//! The order in which alerts are read.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};

use super::history::Known;
use super::judged::Judged;
use crate::aggregate::{Category, Record, Verdict};
use crate::decode::digest;

/// How grave an alert is, ascending: verdict, then level of the spec, red flags, and history from E3, E2, E1, E? to E0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, BorshSerialize, BorshDeserialize)]
pub struct Rank {
    verdict: Option<Verdict>,
    level: u8,
    flags: usize,
    history: u8,
}

/// Equal for alerts with the same user, findings in the spec and red flags, regardless of history.
pub type Alike = u64;

/// Where an alert stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Standing {
    /// How grave it is.
    pub rank: Rank,
    /// Equal for alerts that are alike.
    pub alike: Alike,
}

impl Rank {
    /// The first criterion of the order.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }
}

impl Standing {
    /// The standing of an alert, by the request that decided its verdict.
    pub(super) fn of(record: &Record, judged: &Judged) -> Self {
        let history = match judged.history.known {
            Known::Established => 0,
            Known::Partly => 1,
            Known::Weak => 2,
            Known::Insufficient => 3,
            Known::Anomalous => 4,
        };
        let level = judged.level.map_or(0, |level| level as u8 + 1);
        let rank = Rank { verdict: Some(judged.verdict), level, flags: judged.flags.len(), history };
        let of_spec = judged.findings.iter().filter(|finding| finding.category != Category::Behaviour);
        let ids: BTreeSet<&str> = of_spec.map(|finding| finding.id.as_str()).collect();
        let said =
            format!("{:?} {:?} {:?} {ids:?} {:?}", record.cluster, record.username, judged.verdict, judged.flags);
        let alike = digest(said.as_bytes()).into_iter().take(8).fold(0, |all, byte| all << 8 | Alike::from(byte));
        Standing { rank, alike }
    }
}
