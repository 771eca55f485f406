//! The members of a tar on standard input, each of them a source.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::source::Reading;
use super::{Watch, failed};
use crate::aggregate::{Input, Status, Tally};
use crate::decode::{Content, Damage, Ended, Stream};
use crate::discover::Source;

/// What is known of a tar on standard input, and the results of its members so far.
pub(super) struct Piped<'o> {
    watch: Watch<'o>,
    /// The name of the stream, while a member is being read.
    stream: Option<Arc<str>>,
    done: Tally,
    /// Members read from bytes whose checksum proved wrong.
    damaged: BTreeSet<Arc<str>>,
}

impl<'o> Piped<'o> {
    pub(super) fn new(watch: Watch<'o>) -> Self {
        Piped { watch, stream: None, done: Tally::default(), damaged: BTreeSet::new() }
    }

    /// Whether a member is being read. Archives inside it belong to it.
    pub(super) fn is_in_member(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) fn finish(mut self) -> Tally {
        if !self.damaged.is_empty() {
            self.done.observations = self.done.observations.map(|observation| {
                if self.damaged.contains(&observation.evidence().path) {
                    observation.mark_damaged();
                }
            });
        }
        self.done
    }
}

impl Reading<'_> {
    /// Opens the stream, or part of a member. If the program fails on a member, that becomes a row, and the next one is
    /// read.
    pub(super) fn open_piped(&mut self, stream: Stream<'_, '_>) {
        if !self.piped.as_ref().is_some_and(Piped::is_in_member) {
            // A tar read to its end is not an input in addition to its members.
            let is_done = matches!(stream.content, Content::Archive(_, None)) && stream.container.ends_with("tar");
            if !is_done || stream.member.is_some() {
                self.open(stream);
            }
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.open(stream))).is_err() {
            self.tally = Tally { inputs: vec![failed(self.name.clone(), 0)], ..Tally::default() };
        }
    }

    /// Marks a member that was read before the bytes around it proved wrong.
    pub(super) fn distrust_source(&mut self, member: &str, damage: &Damage) {
        let Some(piped) = &mut self.piped else { return };
        let name = piped.watch.members.name(member);
        for input in piped.done.inputs.iter_mut().filter(|input| input.path == name) {
            input.problem(Status::Partial, format!("in the archive around it: {damage}"));
        }
        piped.damaged.insert(name);
    }

    pub(super) fn begin_member(&mut self, member: &str, size: u64) -> bool {
        let Some(piped) = &mut self.piped else { return true };
        if let Some(tap) = &mut self.tap {
            tap.unordered();
        }
        let name = piped.watch.members.name(member);
        if let Some(reason) = piped.watch.members.outside(&name) {
            let mut input = Input::new(name, None);
            input.bytes = size;
            input.problem(Status::Skipped, reason);
            piped.done.inputs.push(input);
            return false;
        }
        piped.watch.observer.opened(&name);
        piped.stream = Some(std::mem::replace(&mut self.name, name));
        self.means.limits = self.means.job.limits;
        true
    }

    pub(super) fn end_member(&mut self, ended: &Ended) {
        for input in self.tally.inputs.iter_mut().filter(|input| input.member.is_none()) {
            input.bytes = ended.bytes;
            match &ended.problem {
                _ if self.cut.was_made() => input.interrupt(),
                Some(problem) => input.problem(Status::Partial, problem.as_str()),
                None => input.sha256.clone_from(&ended.sha256),
            }
        }
        let tally = self.take();
        let Some(piped) = &mut self.piped else { return };
        let stream = piped.stream.take().unwrap_or_else(|| "-".into());
        let source = Source { name: std::mem::replace(&mut self.name, stream), path: None, bytes: ended.bytes };
        piped.done.add((piped.watch.keep)(&source, tally));
    }
}
