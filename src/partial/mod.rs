//! Partials: what one machine observed in its share of a dump, to be merged and decided on as a whole.
//!
//! A partial says what it is a part of, so that a merge accepts only a whole: no share is missing or repeated, and all
//! were read in the same way.

mod file;
mod set;
mod share;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use file::{Partial, Writer};
pub use set::{check, load, open};
pub use share::{Shard, Share};

/// How inputs were read: everything that decides what is observed in them. Equal for all partials of a merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Version of the program.
    pub kubesweep: String,
    /// Hash of the rules, their suppressions, and the runbook's interests.
    pub rules: String,
    /// Times of the events that are kept, including history.
    pub window: (Option<Timestamp>, Option<Timestamp>),
    /// Hash of limits and other options on inputs.
    pub reading: String,
}

/// The first line of a partial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    /// How its inputs were read.
    pub about: About,
    /// Which share of a listing it is; absent if its inputs are everything it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}
