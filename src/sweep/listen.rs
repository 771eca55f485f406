//! Listeners of a sweep: they receive events as they are read and print them, instead of counting hits.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::aggregate::Evidence;
use crate::event::Origin;
use crate::frame::Document;
use crate::normalize::TimeSource;
use crate::rule::View;
use crate::unwrap::Place;

/// Receives the events that meet an interest of the job; called from all threads.
pub trait Listener: Sync {
    /// Begins a source; called once for each source, in order. The source ends when the returned value is dropped.
    fn listen(&self, source: usize) -> Box<dyn Tap + '_>;
    /// Whether [`Passing::original`] is wanted.
    fn keeps_originals(&self) -> bool {
        false
    }
    /// Whether nothing more is wanted: sources are then read no further.
    fn has_enough(&self) -> bool;
}

/// Receives the events of one source, in order.
pub trait Tap {
    /// The next event.
    fn event(&mut self, passing: Passing<'_>);
    /// From here on, events come from members of a tar stream, in the order of the stream.
    fn unordered(&mut self);
}

/// An event with its context.
#[derive(Debug)]
pub struct Passing<'p> {
    /// The event.
    pub view: &'p View<'p>,
    /// Its time.
    pub time: Option<(Timestamp, TimeSource)>,
    /// Where it comes from.
    pub origin: &'p Origin<'p>,
    /// Where its bytes are.
    pub evidence: Evidence,
    /// The bytes of the line, document or element that holds it; joined lines are separated by newlines. Empty unless
    /// the listener keeps originals, and for all but the first event of a record.
    pub original: Vec<u8>,
}

/// Documents that may still give an event: the current one, and earlier ones waiting for their continuation.
#[derive(Debug)]
pub(super) struct Originals {
    held: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    /// Most bytes that wait. Beyond that, the oldest documents are dropped.
    limit: usize,
    /// Whether the current document gave a record, so that none is waiting for it.
    gave: bool,
}

impl Originals {
    pub(super) fn new(limit: usize) -> Self {
        Originals { held: VecDeque::new(), bytes: 0, limit, gave: false }
    }

    pub(super) fn add(&mut self, document: &Document<'_>) {
        self.gave = false;
        self.bytes += document.original.len();
        self.held.push_back((document.record, document.original.to_vec()));
        while self.bytes > self.limit && self.held.len() > 1 {
            self.bytes -= self.held.pop_front().map_or(0, |(_, original)| original.len());
        }
    }

    /// Notes a record that was given out; it may end in the current document or in an earlier one.
    pub(super) fn give(&mut self, place: Place<'_>) {
        self.gave |= self.held.back().is_some_and(|(at_hand, _)| *at_hand == place.last);
    }

    /// Ends the current document. `waiting`: whether some record still waits for its continuation.
    pub(super) fn settle(&mut self, waiting: bool) {
        if !waiting {
            self.held.clear();
        } else if self.gave {
            self.held.pop_back();
        }
        self.bytes = self.held.iter().map(|(_, original)| original.len()).sum();
    }

    /// The documents that a record was joined from, each once. Lines of another, waiting record may lie between them.
    pub(super) fn take(&mut self, place: Place<'_>) -> Vec<u8> {
        let of_record = |(number, _): &(u64, Vec<u8>)| (place.record..=place.last).contains(number);
        let (taken, held) = std::mem::take(&mut self.held).into_iter().partition::<VecDeque<_>, _>(of_record);
        self.held = held;
        taken.into_iter().map(|(_, original)| original).collect::<Vec<_>>().join(&b'\n')
    }
}
