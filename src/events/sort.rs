//! Lines by time, then place.

use std::io::{self, Write};

use jiff::Timestamp;

use crate::aggregate::Evidence;
use crate::spill::{Heard, Spill, Told};

/// Approximate bytes of an entry besides its line.
const OVERHEAD: usize = 256;

/// A line with its sort key. Entries with equal keys have equal lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    timeless: bool,
    time: Option<Timestamp>,
    evidence: Evidence,
    pub line: Vec<u8>,
}

impl Entry {
    pub(super) fn new(time: Option<Timestamp>, evidence: Evidence, line: Vec<u8>) -> Self {
        Entry { timeless: time.is_none(), time, evidence, line }
    }
}

/// Written as a line of JSON with the key and the length of the line, then the line, which need not be text.
impl Spill for Entry {
    fn weight(&self) -> usize {
        self.line.len() + OVERHEAD
    }

    fn write(&self, out: &mut dyn Write, _: &mut Told) -> io::Result<()> {
        let Evidence { path, member, record, offset, pointer } = &self.evidence;
        let head = (self.time, &**path, member.as_deref(), record, offset, pointer, self.line.len());
        crate::spill::write_json(&head, out)?;
        out.write_all(&self.line)
    }

    fn read(input: &mut &[u8], _: &mut Heard) -> io::Result<Self> {
        type Head = (Option<Timestamp>, String, Option<String>, u64, Option<u64>, String, usize);
        let head = crate::spill::read_json::<Head>(input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (time, path, member, record, offset, pointer, length) = head;
        let (line, rest) = input.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        *input = rest;
        let evidence = Evidence { path: path.into(), member: member.map(Into::into), record, offset, pointer };
        Ok(Entry::new(time, evidence, line.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::Sorter;

    fn entry(number: u64) -> Entry {
        // Times repeat and do not follow the numbers; some have none.
        let seconds = i64::try_from(number * 7919 % 101).unwrap();
        let time = (!number.is_multiple_of(10)).then(|| Timestamp::from_second(seconds).unwrap());
        let member = number.is_multiple_of(3).then(|| "m\n\"x".into());
        let evidence = Evidence {
            path: format!("file\n{}", number % 4).into(),
            member,
            record: number,
            offset: number.is_multiple_of(2).then_some(number),
            pointer: "/a".repeat(usize::try_from(number % 3).unwrap()),
        };
        Entry::new(time, evidence, format!("line\n{number}\n\0\n").into_bytes())
    }

    fn sorted(limit: usize, numbers: &[u64]) -> Vec<Entry> {
        let mut sorter = Sorter::new(Ord::cmp, limit);
        for &number in numbers {
            sorter.push(entry(number));
        }
        sorter.finish().unwrap().into_values().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn any_bound_gives_the_same_order() {
        let up: Vec<u64> = (0..1000).collect();
        let down: Vec<u64> = (0..1000).rev().collect();
        let whole = sorted(usize::MAX, &up);
        assert!(whole.len() == 1000 && whole.is_sorted());
        assert!(whole[..900].iter().all(|entry| entry.time.is_some()), "what has no time stands last");
        for limit in [0, 1000, 100_000] {
            assert_eq!(sorted(limit, &down), whole, "{limit}");
        }
    }
}
