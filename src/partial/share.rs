//! Shares of a dump: every machine lists all of it, and takes the inputs whose names hash to its number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::decode::{digest, sha256_of_parts};
use crate::discover::Found;

/// A share by its number, which counts from 0 as array jobs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// Number of shares.
    pub count: u32,
}

/// A share of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which one.
    pub shard: Shard,
    /// Hash of the names and sizes of the whole dump.
    pub listing: String,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let numbers = text.split_once('/').and_then(|(index, count)| Some((number(index)?, number(count)?)));
        let Some((index, count)) = numbers else {
            return Err(format!("{text} is not a share; write its number and how many there are, for instance 0/16"));
        };
        if index >= count {
            return Err(format!("{text} is not a share: they are counted from 0, so that the last of 16 is 15/16"));
        }
        Ok(Shard { index, count })
    }
}

impl Shard {
    /// Keeps only this share of what was found, and says what it is a share of.
    #[must_use]
    pub fn take(self, found: &mut Found) -> Share {
        let listing = listing(found);
        found.sources.retain(|source| self.holds(&source.name));
        found.unread.retain(|unread| self.holds(&unread.name));
        Share { shard: self, listing }
    }

    fn holds(self, name: &str) -> bool {
        let hash = digest(name.as_bytes()).first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        hash % u64::from(self.count) == u64::from(self.index)
    }
}

/// A hash of names and sizes. Unreadable files are listed without a size, because machines may not agree on it.
fn listing(found: &Found) -> String {
    let read = found.sources.iter().map(|source| format!("{}\0{}\n", source.name, source.bytes));
    let unread = found.unread.iter().map(|unread| format!("{}\0-\n", unread.name));
    let lines: Vec<String> = read.chain(unread).collect();
    sha256_of_parts(lines.iter().map(String::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::Source;

    #[test]
    fn every_input_is_in_one_share() {
        let names = || (0..1000).map(|number| Source { name: format!("logs/{number}").into(), path: None, bytes: 1 });
        for count in [1, 2, 7, 16] {
            let mut seen = Vec::new();
            for index in 0..count {
                let mut found = Found { sources: names().collect(), ..Found::default() };
                let whole = listing(&found);
                assert_eq!(Shard { index, count }.take(&mut found).listing, whole);
                assert!(found.sources.len() * count as usize > 500, "{index}/{count} has {}", found.sources.len());
                seen.extend(found.sources);
            }
            seen.sort();
            let mut all: Vec<Source> = names().collect();
            all.sort();
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn shares_are_counted_from_zero() {
        assert_eq!("3/16".parse(), Ok(Shard { index: 3, count: 16 }));
        for wrong in ["16/16", "0/0", "-1/4", "+1/4", "1", "a/b", "1/2/3", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
