//! Reads one source to its end: opens, hashes and decodes it, and passes each text in it through the later stages.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::listen::{Listener, Tap};
use super::member::Piped;
use super::stdin::standard_input;
use super::stop::{Cut, Ending};
use super::text::{Means, TextStream};
use super::{Job, Listening, Observer, Watch};
use crate::aggregate::{Evidence, Extent, INTERRUPTED, Input, Status, Tally};
use crate::decode::{self, Content, Damage, Ended, Hashing, Stream, Visitor};
use crate::discover::Source;
use crate::frame;
use crate::stats::{Stage, Stats, enter};
use crate::threads;

/// Reads one source to its end, or to a stop.
pub(super) fn sweep(source: &Source, job: &Job, watch: Watch<'_>, listening: Listening<'_>) -> Tally {
    let observer = watch.observer;
    observer.opened(&source.name);
    let listener = listening.map(|(listener, _)| listener);
    let means = Means { job, limits: job.limits, heads: watch.heads, listener };
    let tap = listening.map(|(listener, number)| listener.listen(number));
    let stats = observer.stats();
    let (tally, damaged, cut) = (Tally::one_of(threads::count()), Vec::new(), &Cut::by(&job.stop));
    let piped = source.path.is_none().then(|| Piped::new(watch));
    let name = source.name.clone();
    let mut reading = Reading { name, means, tally, damaged, matches: 0, tap, stats, piped, records: 0, cut };
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

/// The source as a stream, and as a file if it can be read out of order.
fn open<'c>(source: &Source, cut: &'c Cut<'_>) -> io::Result<(Box<dyn Read + Send + 'c>, Option<File>)> {
    let Some(path) = &source.path else { return Ok((standard_input(cut), None)) };
    let file = File::open(path)?;
    let seekable = if file.metadata()?.is_file() { Some(File::open(path)?) } else { None };
    Ok((Box::new(file), seekable))
}

/// A source being read.
pub(super) struct Reading<'j> {
    pub name: Arc<str>,
    pub means: Means<'j>,
    pub tally: Tally,
    /// Parts of the text whose checksum is wrong.
    damaged: Vec<Stretch>,
    /// Records that a rule matches.
    matches: u64,
    pub tap: Option<Box<dyn Tap + 'j>>,
    stats: Option<&'j Stats>,
    /// For standard input: what is known of the members of a tar.
    pub piped: Option<Piped<'j>>,
    records: u64,
    pub cut: &'j Cut<'j>,
}

/// Text from bytes whose checksum proved wrong.
pub(super) enum Stretch {
    /// Part of a stream, as offsets in its text. Records without an offset count as inside every part.
    Part { member: Option<Arc<str>>, offsets: RangeInclusive<u64> },
    /// An archive member, with everything inside it.
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

/// Whether a member of an archive is `member`, or lies inside it.
fn is_inside(inner: &str, member: &str) -> bool {
    inner.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Reading<'_> {
    /// What was read. Records from a part with a wrong checksum were decoded, but may say anything, so they are marked.
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

    /// Adds the row of a source of which nothing is read.
    fn unread(&mut self, bytes: u64, status: Status, reason: &str) {
        let mut input = Input::new(self.name.clone(), None);
        input.bytes = bytes;
        input.problem(status, reason);
        self.tally.inputs.push(input);
    }

    fn read(&mut self, reader: Box<dyn Read + Send + '_>, file: Option<File>, watch: Watch<'_>) {
        let (limits, stats, cut) = (self.means.job.limits, self.stats, self.cut);
        let (observer, listener) = (watch.observer, self.means.listener);
        let mut hashed = Hashing::new(Watched { inner: reader, observer, listener, cut });
        let mut timed = Timed { inner: &mut hashed, stats, stage: Stage::Read };
        if watch.ahead {
            decode::ahead(timed, Stage::Read, stats, |input| decode::walk_ahead(input, file, limits, stats, self));
        } else if file.is_some() {
            decode::walk(&mut decode::Full::new(timed), file, limits, self);
        } else {
            // What a pipe has given is processed before more is read.
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

    pub(super) fn open(&mut self, stream: Stream<'_, '_>) {
        let mut input = Input::new(self.name.clone(), stream.member.map(Arc::from));
        stream.container.clone_into(&mut input.container);
        match stream.content {
            Content::Data(kind, reader) => {
                let tap = self.tap.as_mut().map(|tap| &mut **tap as &mut dyn Tap);
                let ended = Cell::new(false);
                let (means, stats, ended) = (self.means, self.stats, &ended);
                let mut text = TextStream::new(means, &mut self.tally, input, tap, stats, ended);
                let reader = Timed { inner: reader, stats, stage: Stage::Decompress };
                let mut reader = Ending::new(reader, self.cut, ended);
                let _frame = enter(self.stats, Stage::Frame);
                frame::frame(kind, &mut reader, self.means.job.limits, &mut text);
                let told = text.finish();
                self.matches += told.matches;
                self.means.limits = told.limits;
                if let Some(stats) = self.stats {
                    stats.parsed(told.parsed);
                }
                self.damaged.extend(told.damaged);
                input = told.input;
                if ended.get() {
                    input.interrupt();
                }
            }
            // A stop cut the stream, so decoder errors here do not describe the source.
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
        // The row of a member is the last that its visit adds, after those of members inside it.
        if let Some(input) = self.tally.inputs.last_mut().filter(|input| input.member.as_deref() == Some(member)) {
            input.bytes = bytes;
            input.sha256 = Some(sha256);
        }
    }

    fn distrust(&mut self, member: &str, damage: &Damage) {
        // Damage caused by a stop is not damage of the stream.
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

/// Counts bytes for the progress display, and ends if the listener has enough or a stop is requested.
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

/// Measures the time of a reader, and counts the bytes it gives if they are text.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{Members, Window};
    use crate::rule::{Pack, Tuning, load};
    use crate::sweep::head::Heads;
    use crate::sweep::{Passing, Stop};

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/n/cronjobs","verb":"create","user":{"username":"u"},"objectRef":{"resource":"cronjobs","namespace":"n","name":"x"},"responseStatus":{"code":201},"requestReceivedTimestamp":"2026-11-24T03:00:00Z"}"#;

    struct Blind;

    impl Observer for Blind {
        fn opened(&self, _: &str) {}
        fn read(&self, _: u64) {}
        fn closed(&self, _: u64, _: u64) {}
    }

    /// Fails on the events of one member.
    struct Fails;

    impl Tap for Fails {
        fn event(&mut self, passing: Passing<'_>) {
            assert_ne!(&*passing.evidence.path, "bad.log", "a failure of the program");
        }

        fn unordered(&mut self) {}
    }

    #[test]
    fn a_failure_of_the_program_is_the_row_of_one_member() {
        let mut tar = tar::Builder::new(Vec::new());
        for name in ["a.log", "bad.log", "c.log"] {
            let mut header = tar::Header::new_ustar();
            header.set_size(EVENT.len() as u64);
            tar.append_data(&mut header, name, EVENT.as_bytes()).unwrap();
        }
        let limits = decode::Limits { max_record: 1 << 20, max_bytes: None };
        let pack = Pack::new(load(&["builtin:all".to_owned()]).unwrap(), Tuning::default(), Vec::new());
        let (window, stop) = (Window::default(), Stop::default());
        let job = &Job { pack, limits, window, validate: false, cluster: None, platform: None, stop };
        let (members, heads, keep) = (&Members::default(), &Heads::new(), &|_: &Source, tally| tally);
        let piped = Some(Piped::new(Watch { observer: &Blind, ahead: false, heads, members, keep }));
        let (name, tally, damaged, cut) = ("-".into(), Tally::default(), Vec::new(), &Cut::by(&job.stop));
        let means = Means { job, limits, heads, listener: None };
        let (tap, stats) = (Some(Box::new(Fails) as Box<dyn Tap>), None);
        let (matches, records) = (0, 0);
        let mut reading = Reading { name, means, tally, damaged, matches, tap, stats, piped, records, cut };
        decode::walk(&mut tar.into_inner().unwrap().as_slice(), None, limits, &mut reading);
        let rows = reading.piped.unwrap().finish().inputs;
        let told: Vec<_> = rows.iter().map(|row| (&*row.path, row.status)).collect();
        assert_eq!(told, [("a.log", Status::Ok), ("bad.log", Status::Failed), ("c.log", Status::Ok)]);
        assert!(rows[1].error.as_ref().unwrap().contains("report it as a bug"));
    }
}
