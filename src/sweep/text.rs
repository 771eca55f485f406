//! One stream of framed text: unwraps, normalizes and evaluates its records, counts them, and keeps what reports need.

use std::cell::Cell;

use jiff::Timestamp;

use super::Job;
use super::head::{Gate, Heads};
use super::listen::{Listener, Originals, Passing, Tap};
use super::skim::{Hour, Look, Skimmer};
use super::source::Stretch;
use crate::aggregate::{Evidence, Input, Interner, Observation, Seen, Status, Tally};
use crate::decode::{self, Damage, Limits};
use crate::discover::{Window, origin_of_path};
use crate::evaluate::{evaluate, interests};
use crate::event::{AuditEvent, Origin};
use crate::frame::{Body, Document, Sink};
use crate::normalize::{Normalized, normalize, time_of};
use crate::rule::View;
use crate::stats::{Stage, Stats, enter};
use crate::unwrap::{Envelope, Leaf, Place, Unwrapper};

/// What reading any stream of a sweep needs.
#[derive(Clone, Copy)]
pub(super) struct Means<'j> {
    pub job: &'j Job,
    /// For payloads inside records: those of all streams of a source share what `--max-bytes` allows.
    pub limits: Limits,
    pub heads: &'j Heads,
    pub listener: Option<&'j dyn Listener>,
}

/// One stream of text being framed: a file, or a member of an archive.
pub(super) struct TextStream<'j> {
    unwrapper: Unwrapper,
    skimmer: Skimmer,
    heads: &'j Heads,
    listener: Option<&'j dyn Listener>,
    stats: Option<&'j Stats>,
    /// Whether a stop ended it: the rest is then the beginning of a record, which proves nothing.
    ended: &'j Cell<bool>,
    recorder: Recorder<'j>,
}

impl<'j> TextStream<'j> {
    pub(super) fn new(
        Means { job, limits, heads, listener }: Means<'j>,
        tally: &'j mut Tally,
        input: Input,
        tap: Option<&'j mut dyn Tap>,
        stats: Option<&'j Stats>,
        ended: &'j Cell<bool>,
    ) -> Self {
        let keeps = listener.is_some_and(Listener::keeps_originals);
        let originals = keeps.then(|| Originals::new(job.limits.max_record));
        let (hour, texts) = (Hour::default(), Interner::default());
        let place = input.member.as_ref().map(|member| format!("{}/{member}", input.path));
        let of_path = origin_of_path(place.as_deref().unwrap_or(&input.path)).into_owned();
        let told = Told { input, matches: 0, parsed: 0, limits, damaged: Vec::new(), trouble: None };
        TextStream {
            unwrapper: Unwrapper::new(limits),
            skimmer: Skimmer::new(),
            heads,
            listener,
            stats,
            ended,
            recorder: Recorder { job, tally, told, of_path, last_offset: None, hour, texts, tap, originals },
        }
    }

    pub(super) fn finish(mut self) -> Told {
        let recorder = &mut self.recorder;
        if !self.ended.get() {
            self.unwrapper.finish(&mut |leaf, envelope, place| recorder.leaf(&leaf, envelope, place));
        }
        let span = self.recorder.hour.take();
        self.recorder.span(span);
        let mut told = Told { limits: self.unwrapper.limits(), ..self.recorder.told };
        if let Some(trouble) = told.trouble.take() {
            told.input.problem(Status::Partial, trouble);
        }
        told
    }
}

impl<'j> TextStream<'j> {
    /// What decides which records need not be parsed; `None` if all must be.
    fn gate(&self) -> Option<Gate<'j>> {
        let (job, heads) = (self.recorder.job, self.heads);
        let prefilter = job.pack.prefilter.as_ref().filter(|_| !job.validate && !self.unwrapper.is_waiting())?;
        Some(Gate { prefilter, heads, pack: &job.pack })
    }
}

impl Sink for TextStream<'_> {
    fn document(&mut self, document: Document<'_>) {
        if self.listener.is_some_and(Listener::has_enough) || self.ended.get() {
            return;
        }
        if let (Some(element), Body::Json(text)) = (document.element, document.body)
            && let Some(gate) = self.gate()
            && let Some(look) = self.skimmer.log_event(text, element.around, &gate)
        {
            return self.recorder.skimmed(&look);
        }
        let _evaluate = enter(self.stats, Stage::Evaluate);
        let recorder = &mut self.recorder;
        if let Body::Text(line) = document.body
            && let Some((codec, ahead)) = decode::packed(line)
        {
            recorder.packed(codec, document.offset.unwrap_or(0).saturating_sub(ahead));
        }
        if let Some(originals) = &mut recorder.originals {
            originals.add(&document);
        }
        let base = Envelope::default();
        self.unwrapper.open(&document, &base, &mut |leaf, envelope, place| recorder.leaf(&leaf, envelope, place));
        if let Some(originals) = &mut recorder.originals {
            originals.settle(self.unwrapper.is_waiting());
        }
    }

    fn keeps_originals(&self) -> bool {
        self.recorder.originals.is_some()
    }

    fn skim(&mut self, line: &[u8]) -> bool {
        if line.len() > self.recorder.job.limits.max_record {
            return false;
        }
        let look = self.gate().and_then(|gate| self.skimmer.line(line, &gate));
        look.map(|look| self.recorder.skimmed(&look)).is_some()
    }

    fn damage(&mut self, damage: Damage) {
        if !self.ended.get() {
            self.recorder.damage(&damage);
        }
    }
}

/// The results of a stream, at its end.
pub(super) struct Told {
    pub input: Input,
    pub matches: u64,
    pub parsed: u64,
    /// The limits for payloads of the next stream.
    pub limits: Limits,
    pub damaged: Vec<Stretch>,
    /// What is wrong with the first bad record. If the stream is damaged, which may be the cause, that is reported
    /// instead.
    trouble: Option<String>,
}

impl Told {
    fn evidence(&self, place: Place<'_>) -> Evidence {
        Evidence {
            path: self.input.path.clone(),
            member: self.input.member.clone(),
            record: place.record,
            offset: place.offset,
            pointer: place.pointer.to_string(),
        }
    }

    /// Notes what is wrong with a record.
    fn trouble(&mut self, place: Place<'_>, what: &str) {
        let offset = place.offset.map_or_else(String::new, |offset| format!(", byte {offset}"));
        self.trouble.get_or_insert_with(|| format!("record {}{offset}: {what}", place.record));
    }
}

/// Counts the records of a stream and keeps those that reports need.
struct Recorder<'j> {
    job: &'j Job,
    tally: &'j mut Tally,
    told: Told,
    /// The origin of its events according to the path.
    of_path: Origin<'static>,
    /// Offset of the last observation; 0 for rows of binary files, which have none. Damage marks observations up to
    /// here.
    last_offset: Option<u64>,
    /// Times of the skimmed records.
    hour: Hour,
    /// Texts of its observations.
    texts: Interner,
    /// Receives what would be an observation, if there is a listener.
    tap: Option<&'j mut dyn Tap>,
    originals: Option<Originals>,
}

impl Recorder<'_> {
    fn leaf(&mut self, leaf: &Leaf<'_>, envelope: &Envelope<'_>, place: Place<'_>) {
        self.told.input.records += 1;
        self.told.parsed += 1;
        if let Some(originals) = &mut self.originals {
            originals.give(place);
        }
        normalize(leaf, |normalized| match normalized {
            Normalized::Event(event) => {
                let truncated = event.truncated || envelope.cut;
                self.event(&AuditEvent { truncated, ..event }, leaf, envelope, place);
            }
            Normalized::NotAudit => self.told.input.not_audit += 1,
            Normalized::Malformed(reason) => {
                self.told.input.malformed += 1;
                self.told.trouble(place, reason);
            }
        });
        self.told.input.format.extend(envelope.format.or_else(|| leaf.format()).map(Into::into));
    }

    /// Counts the event of a record that was not parsed.
    fn skimmed(&mut self, look: &Look<'_>) {
        let input = &mut self.told.input;
        input.records += 1;
        input.events += 1;
        input.format.insert(look.format.into());
        if self.job.window != Window::default() {
            let time = std::str::from_utf8(look.time).ok().and_then(crate::time::parse);
            input.outside += u64::from(time.is_some_and(|time| !self.job.window.contains(time)));
        }
        let span = self.hour.add(look.cluster, look.time);
        self.span(span);
    }

    /// Adds the span of times of skimmed records.
    fn span(&mut self, span: Option<(Option<String>, [Timestamp; 2])>) {
        let Some((cluster, times)) = span else { return };
        let envelope = Envelope {
            origin: Origin { cluster: cluster.map(Into::into), ..Origin::default() },
            ..Envelope::default()
        };
        let origin = origin(self.job, &envelope, &self.of_path);
        for time in times {
            self.told.input.seen(time);
            self.tally.coverage.add(origin.cluster.as_deref(), time);
        }
    }

    fn event(&mut self, event: &AuditEvent<'_>, leaf: &Leaf<'_>, envelope: &Envelope<'_>, place: Place<'_>) {
        self.told.input.events += 1;
        self.told.input.truncated += u64::from(event.truncated);
        self.told.input.salvaged += u64::from(event.salvaged);
        let origin = origin(self.job, envelope, &self.of_path);
        let time = time_of(event, envelope);
        if let Some((time, _)) = time {
            self.told.input.seen(time);
            self.tally.coverage.add(origin.cluster.as_deref(), time);
            if !self.job.window.contains(time) {
                self.told.input.outside += 1;
                // Without a listener, keep events outside the window here: a copy without a time is matched to one that
                // has it later. The window is applied when copies are joined.
                if self.tap.is_some() {
                    return;
                }
            }
        }
        let view = View::new(event, &origin, leaf.native_members()).tuned(&self.job.pack.tuning);
        let matches = evaluate(&self.job.pack, &view);
        let interests = interests(&self.job.pack, &view);
        // A hit names such fields itself.
        if let Some(field) = event.undecided_by().filter(|_| matches.is_empty()) {
            self.told.trouble(place, &format!("{field} has a wrong type, so that rules cannot decide it"));
        }
        if matches.is_empty() && interests.is_empty() {
            return;
        }
        let evidence = self.told.evidence(place);
        if let Some(tap) = &mut self.tap {
            let original = self.originals.as_mut().map(|originals| originals.take(place)).unwrap_or_default();
            return tap.event(Passing { view: &view, time, origin: &origin, evidence, original });
        }
        self.told.matches += u64::from(!matches.is_empty());
        self.last_offset = Some(place.offset.unwrap_or(0));
        let category = envelope.category.as_deref();
        // The digest identifies copies if nothing else does, but costs as much as reading the record.
        let digest = if event.is_identified() { String::new() } else { leaf.digest() };
        let seen = Seen { time, origin, category, evidence, digest, matches, interests };
        self.tally.observations.push(Observation::new(event, seen, &mut self.texts));
    }

    /// Notes that a compressed stream was appended to a text: its bytes are not lines of the text.
    fn packed(&mut self, codec: &str, offset: u64) {
        let what = format!(
            "{codec} begins inside the text, at byte {offset} of it, and is not read; cut the file there, and scan both parts"
        );
        self.told.input.problem(Status::Partial, what);
    }

    fn damage(&mut self, damage: &Damage) {
        self.told.input.problem(Status::Partial, damage.to_string());
        if let Some(last) = self.last_offset {
            let (member, offsets) = (self.told.input.member.clone(), damage.text_start..=last);
            self.told.damaged.push(Stretch::Part { member, offsets });
        }
    }
}

/// The origin of an event: options outrank the envelope, which outranks the path. Panther's source label is the last
/// resort.
fn origin<'a>(job: &'a Job, envelope: &'a Envelope<'_>, of_path: &'a Origin<'static>) -> Origin<'a> {
    let told = &envelope.origin;
    let cluster = job.cluster.as_deref().or(told.cluster.as_deref()).or(of_path.cluster.as_deref());
    let account = told.account.as_deref().or(of_path.account.as_deref());
    let region = told.region.as_deref().or(of_path.region.as_deref());
    Origin {
        platform: job.platform.or(told.platform).or(of_path.platform),
        account: account.map(Into::into),
        cluster: cluster.or(envelope.source_label.as_deref()).map(Into::into),
        region: region.map(Into::into),
    }
}
