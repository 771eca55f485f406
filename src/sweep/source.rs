//! One source through all stages: decode, frame, unwrap, normalize, evaluate.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;

use super::listen::{Listener, Originals, Passing, Tap};
use super::member::Piped;
use super::piped::standard_input;
use super::skim::{Hour, Look, Skimmer};
use super::stop::{Cut, Ending};
use super::{Job, Listening, Observer, Watch};
use crate::aggregate::{Evidence, Extent, INTERRUPTED, Input, Interner, Observation, Seen, Status, Tally};
use crate::decode::{self, Content, Damage, Ended, Hashing, Stream, Visitor};
use crate::discover::{Source, Window, origin_of_path};
use crate::evaluate::{evaluate, interests};
use crate::event::{AuditEvent, Origin};
use crate::frame::{self, Body, Document, Offer, Sink};
use crate::normalize::{Normalized, normalize, time_of};
use crate::rule::{Prefilter, View};
use crate::stats::{Stage, Stats, enter};
use crate::unwrap::{Envelope, Leaf, Place, Unwrapper};

/// Reads one source to its end, or to a stop.
pub(super) fn sweep(source: &Source, job: &Job, watch: Watch<'_>, listening: Listening<'_>) -> Tally {
    let observer = watch.observer;
    observer.opened(&source.name);
    let listener = listening.map(|(listener, _)| listener);
    let tap = listening.map(|(listener, number)| listener.listen(number));
    let stats = observer.stats();
    let (tally, damaged, cut) = (Tally::default(), Vec::new(), &Cut::by(&job.stop));
    let piped = source.path.is_none().then(|| Piped::new(watch));
    let name = source.name.clone();
    let mut reading = Reading { name, job, tally, damaged, matches: 0, listener, tap, stats, piped, records: 0, cut };
    if cut.is_due() {
        reading.unread(source.bytes, Status::Skipped, INTERRUPTED);
    } else {
        match open(source, cut) {
            Ok((reader, file)) => reading.read(reader, file, watch),
            Err(error) => reading.unread(0, Status::Failed, &format!("cannot be opened: {error}")),
        }
    }
    if cut.was_made() {
        reading.tally.extent = Extent::Interrupted;
    }
    let own = reading.take();
    observer.closed(reading.records, reading.matches);
    (watch.keep)(source, own).merge(reading.piped.map(Piped::finish).unwrap_or_default())
}

/// The source as a stream, and as a file where it can be read out of order.
fn open<'c>(source: &Source, cut: &'c Cut<'_>) -> io::Result<(Box<dyn Read + Send + 'c>, Option<File>)> {
    let Some(path) = &source.path else { return Ok((standard_input(cut), None)) };
    let file = File::open(path)?;
    let seekable = if file.metadata()?.is_file() { Some(File::open(path)?) } else { None };
    Ok((Box::new(file), seekable))
}

/// A source being read.
pub(super) struct Reading<'j> {
    pub name: Arc<str>,
    job: &'j Job,
    pub tally: Tally,
    /// Parts of the text whose checksum is wrong.
    damaged: Vec<Stretch>,
    /// Records that a rule matches.
    matches: u64,
    listener: Option<&'j dyn Listener>,
    pub tap: Option<Box<dyn Tap + 'j>>,
    stats: Option<&'j Stats>,
    /// For standard input: what is known of the members of a tar.
    pub piped: Option<Piped<'j>>,
    records: u64,
    pub cut: &'j Cut<'j>,
}

/// Text that came from bytes whose checksum proved wrong.
enum Stretch {
    /// Part of a stream: offsets in its text. What has no offset lies in all of it.
    Part { member: Option<Arc<str>>, offsets: RangeInclusive<u64> },
    /// An archive member, with all inside it.
    Whole(String),
}

impl Stretch {
    fn holds(&self, evidence: &Evidence) -> bool {
        match self {
            Stretch::Part { member, offsets } => {
                let holds = evidence.offset.map_or(!offsets.is_empty(), |offset| offsets.contains(&offset));
                evidence.member == *member && holds
            }
            Stretch::Whole(member) => evidence.member.as_deref().is_some_and(|inner| is_inside(inner, member)),
        }
    }
}

/// Whether a member of an archive is another one, or lies in it.
fn is_inside(inner: &str, member: &str) -> bool {
    inner.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Reading<'_> {
    /// What was read; records from a part whose checksum is wrong were decoded, and may say anything.
    pub(super) fn take(&mut self) -> Tally {
        let (mut tally, damaged) = (std::mem::take(&mut self.tally), std::mem::take(&mut self.damaged));
        self.records += tally.inputs.iter().map(|input| input.records).sum::<u64>();
        if !damaged.is_empty() {
            tally.observations = tally.observations.map(|observation| {
                if damaged.iter().any(|stretch| stretch.holds(observation.evidence())) {
                    observation.mark_damaged();
                }
            });
        }
        tally
    }

    /// The row of a source of which nothing is read.
    fn unread(&mut self, bytes: u64, status: Status, reason: &str) {
        let mut input = Input::new(self.name.clone(), None);
        input.bytes = bytes;
        input.problem(status, reason);
        self.tally.inputs.push(input);
    }

    fn read(&mut self, reader: Box<dyn Read + Send + '_>, file: Option<File>, watch: Watch<'_>) {
        let (limits, stats, cut) = (self.job.limits, self.stats, self.cut);
        let (observer, listener) = (watch.observer, self.listener);
        let mut hashed = Hashing::new(Watched { inner: reader, observer, listener, cut });
        let mut timed = Timed { inner: &mut hashed, stats, stage: Stage::Read };
        if watch.ahead {
            decode::ahead(timed, Stage::Read, stats, |input| decode::walk_ahead(input, file, limits, stats, self));
        } else if file.is_some() {
            decode::walk(&mut decode::Full::new(timed), file, limits, self);
        } else {
            // What a pipe gave is looked at before it gives more.
            decode::walk(&mut timed, None, limits, self);
        }
        let drained = {
            let _read = enter(stats, Stage::Read);
            hashed.drain()
        };
        let (bytes, sha256) = hashed.finish();
        for input in self.tally.inputs.iter_mut().filter(|input| input.member.is_none()) {
            input.bytes = bytes;
            match &drained {
                _ if cut.was_made() => input.interrupt(),
                Ok(()) => input.sha256 = Some(sha256.clone()),
                Err(error) => input.problem(Status::Partial, format!("reading stopped at byte {bytes}: {error}")),
            }
        }
    }
}

impl Reading<'_> {
    pub(super) fn open(&mut self, stream: Stream<'_, '_>) {
        let mut input = Input::new(self.name.clone(), stream.member.map(Arc::from));
        stream.container.clone_into(&mut input.container);
        match stream.content {
            Content::Data(kind, reader) => {
                let tap = self.tap.as_mut().map(|tap| &mut **tap as &mut dyn Tap);
                let ended = Cell::new(false);
                let (listener, stats, ended) = (self.listener, self.stats, &ended);
                let mut text = TextStream::new(self.job, &mut self.tally, input, listener, tap, stats, ended);
                let reader = Timed { inner: reader, stats, stage: Stage::Decompress };
                let mut reader = Ending::new(reader, self.cut, ended);
                let _frame = enter(self.stats, Stage::Frame);
                frame::frame(kind, &mut reader, self.job.limits, &mut text);
                let told = text.finish();
                self.matches += told.matches;
                if let Some(stats) = self.stats {
                    stats.parsed(told.parsed);
                }
                self.damaged.extend(told.damaged);
                input = told.input;
                if ended.get() {
                    input.interrupt();
                }
            }
            // What a decoder makes of an end that is none says nothing of the source.
            Content::Archive(members, _) if self.cut.was_made() => {
                input.members = Some(members);
                input.interrupt();
            }
            _ if self.cut.was_made() => input.interrupt(),
            Content::Archive(members, problem) => {
                input.members = Some(members);
                if let Some(problem) = problem {
                    input.problem(Status::Partial, problem);
                }
            }
            Content::Empty => input.problem(Status::Skipped, "empty"),
            Content::Foreign(what) => input.problem(Status::Skipped, what),
            Content::Unsupported(format) => {
                input.format.insert(format.into());
                input.problem(Status::Failed, format!("{format} is not read; convert it to JSON lines first"));
            }
            Content::Failed(problem) => input.problem(Status::Failed, problem),
        }
        self.tally.inputs.push(input);
    }
}

impl Visitor for Reading<'_> {
    fn stream(&mut self, stream: Stream<'_, '_>) {
        if self.piped.is_some() { self.open_piped(stream) } else { self.open(stream) }
    }

    fn spreads(&self) -> bool {
        self.piped.as_ref().is_some_and(|piped| !piped.is_in_member())
    }

    fn begin(&mut self, name: &str, size: u64) -> bool {
        self.begin_member(name, size)
    }

    fn end(&mut self, ended: Ended) {
        self.end_member(&ended);
    }

    fn hashed(&mut self, member: &str, bytes: u64, sha256: String) {
        if self.cut.was_made() {
            return;
        }
        // The row of a member is the last that its visit leaves, behind those of members inside it.
        if let Some(input) = self.tally.inputs.last_mut().filter(|input| input.member.as_deref() == Some(member)) {
            input.bytes = bytes;
            input.sha256 = Some(sha256);
        }
    }

    fn distrust(&mut self, member: &str, damage: &Damage) {
        // What a stop makes of a stream is no damage.
        if self.cut.was_made() {
            return;
        }
        if self.piped.as_ref().is_some_and(|piped| !piped.is_in_member()) {
            return self.distrust_source(member, damage);
        }
        let inside = |input: &&mut Input| input.member.as_deref().is_some_and(|inner| is_inside(inner, member));
        for input in self.tally.inputs.iter_mut().filter(inside) {
            input.problem(Status::Partial, format!("in the archive around it: {damage}"));
        }
        self.damaged.push(Stretch::Whole(member.to_owned()));
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

/// Counts bytes for the progress display, and ends where nobody listens any more or a stop is asked for.
struct Watched<'o> {
    inner: Box<dyn Read + Send + 'o>,
    observer: &'o dyn Observer,
    listener: Option<&'o dyn Listener>,
    cut: &'o Cut<'o>,
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.listener.is_some_and(Listener::has_enough) || self.cut.is_due() {
            return Ok(0);
        }
        let count = self.inner.read(out)?;
        self.observer.read(count as u64);
        Ok(count)
    }
}

/// Times a reader, and counts what it gives where that is text.
struct Timed<'s, R> {
    inner: R,
    stats: Option<&'s Stats>,
    stage: Stage,
}

impl<R: Read> Read for Timed<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let _stage = enter(self.stats, self.stage);
        let count = self.inner.read(out)?;
        if let Some(stats) = self.stats.filter(|_| self.stage == Stage::Decompress) {
            stats.text(count as u64);
        }
        Ok(count)
    }
}

/// One stream of text being framed: a file, or a member of an archive.
struct TextStream<'j> {
    unwrapper: Unwrapper,
    skimmer: Skimmer,
    listener: Option<&'j dyn Listener>,
    stats: Option<&'j Stats>,
    /// Whether a stop ended it: what is left is the beginning of a record, which says nothing.
    ended: &'j Cell<bool>,
    recorder: Recorder<'j>,
}

impl<'j> TextStream<'j> {
    fn new(
        job: &'j Job,
        tally: &'j mut Tally,
        input: Input,
        listener: Option<&'j dyn Listener>,
        tap: Option<&'j mut dyn Tap>,
        stats: Option<&'j Stats>,
        ended: &'j Cell<bool>,
    ) -> Self {
        let keeps = listener.is_some_and(Listener::keeps_originals);
        let originals = keeps.then(|| Originals::new(job.limits.max_record));
        let (hour, texts) = (Hour::default(), Interner::default());
        let of_path = origin_of_path(&input.path).into_owned();
        let told = Told { input, matches: 0, parsed: 0, damaged: Vec::new() };
        TextStream {
            unwrapper: Unwrapper::new(job.limits),
            skimmer: Skimmer::new(),
            listener,
            stats,
            ended,
            recorder: Recorder { job, tally, told, of_path, last_offset: None, hour, texts, tap, originals },
        }
    }

    fn finish(mut self) -> Told {
        let recorder = &mut self.recorder;
        if !self.ended.get() {
            self.unwrapper.finish(&mut |leaf, envelope, place| recorder.leaf(&leaf, envelope, place));
        }
        let span = self.recorder.hour.take();
        self.recorder.span(span);
        self.recorder.told
    }
}

impl TextStream<'_> {
    /// What tells the records that need not be parsed, where there may be any.
    fn prefilter(&self) -> Option<&Prefilter> {
        let job = self.recorder.job;
        job.pack.prefilter.as_ref().filter(|_| !job.validate && !self.unwrapper.is_waiting())
    }
}

impl Sink for TextStream<'_> {
    fn document(&mut self, document: Document<'_>) {
        if self.listener.is_some_and(Listener::has_enough) || self.ended.get() {
            return;
        }
        if let (Some(element), Body::Json(text)) = (document.element, document.body)
            && let Some(prefilter) = self.prefilter()
            && !prefilter.may_match(text)
            && let Some(look) = self.skimmer.log_event(text, element.around)
        {
            return self.recorder.skimmed(&look);
        }
        let _evaluate = enter(self.stats, Stage::Evaluate);
        let recorder = &mut self.recorder;
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

    fn skim(&mut self, offer: Offer<'_>) -> Option<usize> {
        let prefilter = self.prefilter()?;
        let (text, may_match) = match offer {
            Offer::Line(line) => (line, prefilter.may_match(line)),
            Offer::Payload(text) => {
                let text = &text[..self.skimmer.payload_end(text)?];
                // Asked one by one, its events do not lend each other what they lack.
                (text, self.skimmer.payload_events(text).any(|event| prefilter.may_match(event)))
            }
        };
        if text.len() > self.recorder.job.limits.max_record || may_match {
            return None;
        }
        self.recorder.skimmed(&self.skimmer.look(text)?);
        Some(text.len())
    }

    fn damage(&mut self, damage: Damage) {
        if !self.ended.get() {
            self.recorder.damage(&damage);
        }
    }
}

/// What is told of a stream at its end.
struct Told {
    input: Input,
    matches: u64,
    parsed: u64,
    damaged: Vec<Stretch>,
}

/// Counts the records of a stream and keeps those that reports need.
struct Recorder<'j> {
    job: &'j Job,
    tally: &'j mut Tally,
    told: Told,
    /// What the path tells of where its events come from.
    of_path: Origin<'static>,
    /// Where the last observation lies; 0 where it has no offset.
    last_offset: Option<u64>,
    /// Times of the records that were skimmed.
    hour: Hour,
    /// Bodies of its observations.
    texts: Interner,
    /// Takes what would be an observation, where somebody listens.
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
            Normalized::Event(event) => self.event(&event, leaf, envelope, place),
            Normalized::NotAudit => self.told.input.not_audit += 1,
            Normalized::Malformed(reason) => {
                self.told.input.malformed += 1;
                let offset = place.offset.map_or_else(String::new, |offset| format!(", byte {offset}"));
                self.told.input.problem(Status::Partial, format!("record {}{offset}: {reason}", place.record));
            }
        });
        self.told.input.format.extend(envelope.format.or_else(|| leaf.format()).map(Into::into));
    }

    /// Counts the events of a record that was not parsed.
    fn skimmed(&mut self, look: &Look<'_>) {
        let count = look.times.len() as u64;
        self.told.input.records += count;
        self.told.input.events += count;
        self.told.input.format.insert(look.format.into());
        for time in &look.times {
            if self.job.window != Window::default() {
                let time = std::str::from_utf8(time).ok().and_then(crate::time::parse);
                self.told.input.outside += u64::from(time.is_some_and(|time| !self.job.window.contains(time)));
            }
            let span = self.hour.add(look.cluster.as_deref(), time);
            self.span(span);
        }
    }

    /// Takes in when the records that were skimmed were made.
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
                // What is kept is chosen when copies are joined: a copy without a time must find those that have one.
                if self.tap.is_some() {
                    return;
                }
            }
        }
        let view = View::new(event, &origin, leaf.native_members());
        let matches = evaluate(&self.job.pack, &view, time.map(|(time, _)| time));
        let interests = interests(&self.job.pack, &view);
        if matches.is_empty() && interests.is_empty() {
            return;
        }
        let evidence = Evidence {
            path: self.told.input.path.clone(),
            member: self.told.input.member.clone(),
            record: place.record,
            offset: place.offset,
            pointer: place.pointer.to_string(),
        };
        if let Some(tap) = &mut self.tap {
            let original = self.originals.as_mut().map(|originals| originals.take(place)).unwrap_or_default();
            return tap.event(Passing { view: &view, time, origin: &origin, evidence, original });
        }
        self.told.matches += u64::from(!matches.is_empty());
        self.last_offset = Some(place.offset.unwrap_or(0));
        let category = envelope.category.as_deref();
        let seen = Seen { time, origin, category, evidence, digest: leaf.digest(), matches, interests };
        self.tally.observations.push(Observation::new(event, seen, &mut self.texts));
    }

    fn damage(&mut self, damage: &Damage) {
        self.told.input.problem(Status::Partial, damage.to_string());
        if let Some(last) = self.last_offset {
            let (member, offsets) = (self.told.input.member.clone(), damage.text_start..=last);
            self.told.damaged.push(Stretch::Part { member, offsets });
        }
    }
}

/// Options outrank the envelope, which outranks the path; Panther's source label is the last resort.
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
