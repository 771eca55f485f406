//! One source through all stages: decode, frame, unwrap, normalize, evaluate.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use jiff::Timestamp;

use super::listen::{Listener, Originals, Passing, Tap};
use super::skim::{Hour, Look, Skimmer};
use super::{Job, Listening, Observer};
use crate::aggregate::{Evidence, Input, Interner, Observation, Seen, Status, Tally};
use crate::decode::{self, Content, Damage, Hashing, Stream, Visitor};
use crate::discover::{Source, Window, origin_of_path};
use crate::evaluate::{evaluate, interests};
use crate::event::{AuditEvent, Origin};
use crate::frame::{self, Document, Offer, Sink};
use crate::normalize::{Normalized, normalize, time_of};
use crate::rule::View;
use crate::unwrap::{Envelope, Leaf, Place, Unwrapper};

/// Reads one source to its end.
pub(super) fn sweep(source: &Source, job: &Job, observer: &dyn Observer, listening: Listening<'_>) -> Tally {
    observer.opened(&source.name);
    let listener = listening.map(|(listener, _)| listener);
    let tap = listening.map(|(listener, number)| listener.listen(number));
    let mut reading = Reading { name: source.name.clone(), job, tally: Tally::default(), listener, tap };
    match open(source) {
        Ok((reader, file)) => reading.read(reader, file, observer),
        Err(error) => {
            let mut input = Input::new(source.name.clone(), None);
            input.problem(Status::Failed, format!("cannot be opened: {error}"));
            reading.tally.inputs.push(input);
        }
    }
    let tally = reading.tally;
    let records = tally.inputs.iter().map(|input| input.records).sum();
    let hits = tally.observations.iter().filter(|observation| observation.is_match()).count();
    observer.closed(records, hits as u64);
    tally
}

/// The source as a stream, and as a file where it can be read out of order.
fn open(source: &Source) -> io::Result<(Box<dyn Read>, Option<File>)> {
    let Some(path) = &source.path else { return Ok((Box::new(io::stdin().lock()), None)) };
    let file = File::open(path)?;
    let seekable = if file.metadata()?.is_file() { Some(File::open(path)?) } else { None };
    Ok((Box::new(file), seekable))
}

/// A source being read.
struct Reading<'j> {
    name: Arc<str>,
    job: &'j Job,
    tally: Tally,
    listener: Option<&'j dyn Listener>,
    tap: Option<Box<dyn Tap + 'j>>,
}

impl Reading<'_> {
    fn read(&mut self, reader: Box<dyn Read>, file: Option<File>, observer: &dyn Observer) {
        let mut hashed = Hashing::new(Watched { inner: reader, observer, listener: self.listener });
        decode::walk(&mut hashed, file, self.job.limits, self);
        let drained = hashed.drain();
        let (bytes, sha256) = hashed.finish();
        for input in self.tally.inputs.iter_mut().filter(|input| input.member.is_none()) {
            input.bytes = bytes;
            match &drained {
                Ok(()) => input.sha256 = Some(sha256.clone()),
                Err(error) => input.problem(Status::Partial, format!("reading stopped at byte {bytes}: {error}")),
            }
        }
    }
}

impl Visitor for Reading<'_> {
    fn stream(&mut self, stream: Stream<'_, '_>) {
        let mut input = Input::new(self.name.clone(), stream.member.map(Arc::from));
        stream.container.clone_into(&mut input.container);
        match stream.content {
            Content::Data(kind, reader) => {
                let tap = self.tap.as_mut().map(|tap| &mut **tap as &mut dyn Tap);
                let mut text = TextStream::new(self.job, &mut self.tally, input, self.listener, tap);
                frame::frame(kind, reader, self.job.limits, &mut text);
                input = text.finish();
            }
            Content::Archive(members, problem) => {
                input.members = Some(members);
                if let Some(problem) = problem {
                    input.problem(Status::Partial, problem);
                }
            }
            Content::Empty => input.problem(Status::Skipped, "empty"),
            Content::Foreign(what) => input.problem(Status::Skipped, what),
            Content::Unsupported(format) => {
                input.format.insert(format);
                input.problem(Status::Failed, format!("{format} is not read; convert it to JSON lines first"));
            }
            Content::Failed(problem) => input.problem(Status::Failed, problem),
        }
        self.tally.inputs.push(input);
    }

    fn hashed(&mut self, member: &str, bytes: u64, sha256: String) {
        // The row of a member is the last that its visit leaves, behind those of members inside it.
        if let Some(input) = self.tally.inputs.last_mut().filter(|input| input.member.as_deref() == Some(member)) {
            input.bytes = bytes;
            input.sha256 = Some(sha256);
        }
    }
}

/// Counts bytes for the progress display, and ends where nobody listens any more.
struct Watched<'o> {
    inner: Box<dyn Read>,
    observer: &'o dyn Observer,
    listener: Option<&'o dyn Listener>,
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.listener.is_some_and(Listener::has_enough) {
            return Ok(0);
        }
        let count = self.inner.read(out)?;
        self.observer.read(count as u64);
        Ok(count)
    }
}

/// One stream of text being framed: a file, or a member of an archive.
struct TextStream<'j> {
    unwrapper: Unwrapper,
    skimmer: Skimmer,
    listener: Option<&'j dyn Listener>,
    recorder: Recorder<'j>,
}

impl<'j> TextStream<'j> {
    fn new(
        job: &'j Job,
        tally: &'j mut Tally,
        input: Input,
        listener: Option<&'j dyn Listener>,
        tap: Option<&'j mut dyn Tap>,
    ) -> Self {
        let first = tally.observations.len();
        let keeps = listener.is_some_and(Listener::keeps_originals);
        let originals = keeps.then(|| Originals::new(job.limits.max_record));
        let (hour, texts) = (Hour::default(), Interner::default());
        TextStream {
            unwrapper: Unwrapper::new(job.limits),
            skimmer: Skimmer::new(),
            listener,
            recorder: Recorder { job, tally, input, first, hour, texts, tap, originals },
        }
    }

    fn finish(mut self) -> Input {
        let recorder = &mut self.recorder;
        self.unwrapper.finish(&mut |leaf, envelope, place| recorder.leaf(&leaf, envelope, place));
        let span = self.recorder.hour.take();
        self.recorder.span(span);
        self.recorder.input
    }
}

impl Sink for TextStream<'_> {
    fn document(&mut self, document: Document<'_>) {
        if self.listener.is_some_and(Listener::has_enough) {
            return;
        }
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
        let job = self.recorder.job;
        let prefilter = job.pack.prefilter.as_ref().filter(|_| !job.validate && !self.unwrapper.is_waiting())?;
        let (text, may_match) = match offer {
            Offer::Line(line) => (line, prefilter.may_match(line)),
            Offer::Payload(text) => {
                let text = &text[..self.skimmer.payload_end(text)?];
                // Asked one by one, its events do not lend each other what they lack.
                (text, self.skimmer.payload_events(text).any(|event| prefilter.may_match(event)))
            }
        };
        if text.len() > job.limits.max_record || may_match {
            return None;
        }
        self.recorder.skimmed(&self.skimmer.look(text)?);
        Some(text.len())
    }

    fn damage(&mut self, damage: Damage) {
        self.recorder.damage(&damage);
    }
}

/// Counts the records of a stream and keeps those that reports need.
struct Recorder<'j> {
    job: &'j Job,
    tally: &'j mut Tally,
    input: Input,
    /// Index of the stream's first observation.
    first: usize,
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
        self.input.records += 1;
        if let Some(originals) = &mut self.originals {
            originals.give(place);
        }
        normalize(leaf, |normalized| match normalized {
            Normalized::Event(event) => self.event(&event, leaf, envelope, place),
            Normalized::NotAudit => self.input.not_audit += 1,
            Normalized::Malformed(reason) => {
                self.input.malformed += 1;
                let offset = place.offset.map_or_else(String::new, |offset| format!(", byte {offset}"));
                self.input.problem(Status::Partial, format!("record {}{offset}: {reason}", place.record));
            }
        });
        self.input.format.extend(envelope.format.or_else(|| leaf.format()));
    }

    /// Counts the events of a record that was not parsed.
    fn skimmed(&mut self, look: &Look<'_>) {
        let count = look.times.len() as u64;
        self.input.records += count;
        self.input.events += count;
        self.input.format.insert(look.format);
        for time in &look.times {
            if self.job.window != Window::default() {
                let time = std::str::from_utf8(time).ok().and_then(crate::time::parse);
                self.input.outside += u64::from(time.is_some_and(|time| !self.job.window.contains(time)));
            }
            let span = self.hour.add(look.cluster.as_deref(), time);
            self.span(span);
        }
    }

    /// Takes in when the records that were skimmed were made.
    fn span(&mut self, span: Option<(Option<String>, [Timestamp; 2])>) {
        let Some((cluster, times)) = span else { return };
        let path = self.input.path.clone();
        let envelope = Envelope {
            origin: Origin { cluster: cluster.map(Into::into), ..Origin::default() },
            ..Envelope::default()
        };
        let origin = origin(self.job, &envelope, &path);
        for time in times {
            self.input.seen(time);
            self.tally.coverage.add(origin.cluster.as_deref(), time);
        }
    }

    fn event(&mut self, event: &AuditEvent<'_>, leaf: &Leaf<'_>, envelope: &Envelope<'_>, place: Place<'_>) {
        self.input.events += 1;
        self.input.truncated += u64::from(event.truncated);
        self.input.salvaged += u64::from(event.salvaged);
        let path = self.input.path.clone();
        let origin = origin(self.job, envelope, &path);
        let time = time_of(event, envelope);
        if let Some((time, _)) = time {
            self.input.seen(time);
            self.tally.coverage.add(origin.cluster.as_deref(), time);
            if !self.job.window.contains(time) {
                self.input.outside += 1;
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
            path: path.clone(),
            member: self.input.member.clone(),
            record: place.record,
            offset: place.offset,
            pointer: place.pointer.to_string(),
        };
        if let Some(tap) = &mut self.tap {
            let original = self.originals.as_mut().map(|originals| originals.take(place)).unwrap_or_default();
            return tap.event(Passing { view: &view, time, origin: &origin, evidence, original });
        }
        let category = envelope.category.as_deref();
        let seen = Seen { time, origin, category, evidence, digest: leaf.digest(), matches, interests };
        self.tally.observations.push(Observation::new(event, seen, &mut self.texts));
    }

    /// Records from a part of the stream whose checksum is wrong were decoded, and may say anything.
    fn damage(&mut self, damage: &Damage) {
        self.input.problem(Status::Partial, damage.to_string());
        let since = |offset: Option<u64>| offset.is_some_and(|offset| offset >= damage.text_start);
        for observation in self.tally.observations[self.first..].iter_mut().rev() {
            if !since(observation.evidence().offset) {
                break;
            }
            observation.mark_damaged();
        }
    }
}

/// Options outrank the envelope, which outranks the path; Panther's source label is the last resort.
fn origin<'a>(job: &'a Job, envelope: &'a Envelope<'_>, path: &'a str) -> Origin<'a> {
    let of_path = origin_of_path(path);
    let told = &envelope.origin;
    let cluster = job.cluster.as_deref().or(told.cluster.as_deref());
    let label = envelope.source_label.as_deref();
    Origin {
        platform: job.platform.or(told.platform).or(of_path.platform),
        account: told.account.as_deref().map(Into::into).or(of_path.account),
        cluster: cluster.map(Into::into).or(of_path.cluster).or(label.map(Into::into)),
        region: told.region.as_deref().map(Into::into).or(of_path.region),
    }
}
