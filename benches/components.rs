//! The stages of a scan, each over a few megabytes of every common form.
//!
//! `cargo bench --bench components`. From `frame` on, each stage includes those before it: records are passed on by
//! reference, so no stage can run alone on the results of the one before. The cost of a stage is the difference.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use kubesweep::aggregate::{Plan, Tally, finish};
use kubesweep::decode::{self, Content, Damage, Kind, Limits, Stream, Visitor};
use kubesweep::discover::{Window, discover};
use kubesweep::evaluate::{evaluate, interests};
use kubesweep::event::Origin;
use kubesweep::frame::{self, Document, Sink};
use kubesweep::json::{Skip, skip_lenient, skip_strict};
use kubesweep::normalize::{Normalized, normalize};
use kubesweep::rule::{Pack, Tuning, View, load};
use kubesweep::runbook::{self, Scope};
use kubesweep::sweep::{Job, Observer, Stop, sweep};
use kubesweep::unwrap::{Envelope, Leaf, OnLeaf, Place, Unwrapper};

const LIMITS: Limits = Limits { max_record: 64 << 20, max_bytes: None };
/// Enough bytes that a run takes more than microseconds.
const TEXT: usize = 4 << 20;
/// Directories of the fixture dump, each of one form.
const FORMS: [&str; 5] = [
    "self-managed",
    "s3/aws-logs-111122223333-eu-central-1",
    "s3/firehose",
    "azure/insights-logs-kube-audit",
    "gcs/cloudaudit.googleapis.com",
];

fn main() {
    divan::main();
}

#[divan::bench(args = FORMS)]
fn decode(bencher: Bencher<'_, '_>, form: &str) {
    let text = text(form).expect("fixtures are read");
    let gzip = gzip(&text).expect("memory is written");
    bencher.counter(BytesCount::of_slice(&text)).bench_local(|| {
        let mut drain = Text(io::sink());
        decode::walk(&mut &gzip[..], None, LIMITS, &mut drain);
    });
}

/// Only finds where documents end.
#[divan::bench(args = FORMS)]
fn skip(bencher: Bencher<'_, '_>, form: &str) {
    skipped(bencher, form, skip_lenient);
}

/// The same, and checks that tokens fit.
#[divan::bench(args = FORMS)]
fn check(bencher: Bencher<'_, '_>, form: &str) {
    skipped(bencher, form, skip_strict);
}

fn skipped(bencher: Bencher<'_, '_>, form: &str, skip: fn(&[u8], usize) -> Skip) {
    let text = text(form).expect("fixtures are read");
    let mut documents = Documents(Vec::new());
    frame::frame(Kind::Text, &mut &text[..], LIMITS, &mut documents);
    let documents = documents.0;
    bencher
        .counter(BytesCount::new(documents.iter().map(Vec::len).sum::<usize>()))
        .bench_local(|| documents.iter().filter(|document| matches!(skip(document, 0), Skip::End(_))).count());
}

/// What rules search for is removed, so that all bytes are searched.
#[divan::bench(args = FORMS)]
fn prefilter(bencher: Bencher<'_, '_>, form: &str) {
    let text = text(form).expect("fixtures are read");
    let prefilter = pack().expect("built-in rules load").prefilter.expect("built-in rules have literals");
    let text = String::from_utf8_lossy(&text).replace("job", "___").into_bytes();
    let mut documents = Documents(Vec::new());
    frame::frame(Kind::Text, &mut &text[..], LIMITS, &mut documents);
    let documents = documents.0;
    bencher
        .counter(BytesCount::new(documents.iter().map(Vec::len).sum::<usize>()))
        .bench_local(|| documents.iter().filter(|document| prefilter.may_match(document)).count());
}

#[divan::bench(args = FORMS)]
fn frame(bencher: Bencher<'_, '_>, form: &str) {
    let text = text(form).expect("fixtures are read");
    bencher.counter(BytesCount::of_slice(&text)).bench_local(|| {
        frame::frame(Kind::Text, &mut &text[..], LIMITS, &mut Discard);
    });
}

#[divan::bench(args = FORMS)]
fn unwrap(bencher: Bencher<'_, '_>, form: &str) {
    records(bencher, form, |leaf, _| {
        black_box(leaf);
    });
}

#[divan::bench(args = FORMS)]
fn normalise(bencher: Bencher<'_, '_>, form: &str) {
    records(bencher, form, |leaf, _| {
        normalize(leaf, |normalized| {
            black_box(&normalized);
        });
    });
}

#[divan::bench(args = FORMS)]
fn evaluation(bencher: Bencher<'_, '_>, form: &str) {
    records(bencher, form, |leaf, pack| {
        normalize(leaf, |normalized| {
            let Normalized::Event(event) = normalized else { return };
            let origin = Origin::default();
            let view = View::new(&event, &origin, leaf.native_members());
            black_box((evaluate(pack, &view), interests(pack, &view)));
        });
    });
}

/// The work after everything is read: collapsing copies, opening alerts, counting groups.
#[divan::bench]
fn aggregate(bencher: Bencher<'_, '_>) {
    let job = Job {
        pack: pack().expect("built-in rules load"),
        limits: LIMITS,
        window: Window::default(),
        validate: false,
        cluster: None,
        platform: None,
        stop: Stop::default(),
    };
    let found = discover(&[dumps()], &[]).expect("fixtures are found");
    let swept = || sweep(&found, &job, &Unwatched);
    let plan = Plan { group_by: vec!["namespace".to_owned(), "username".to_owned()], ..Plan::default() };
    bencher
        .with_inputs(swept)
        .input_counter(|tally: &Tally| ItemsCount::new(tally.observations.read().map_or(0, Iterator::count)))
        .bench_local_values(|tally| finish(tally, &job.pack, &plan));
}

/// Runs a text through framing and unwrapping, and `then` over its records.
fn records(bencher: Bencher<'_, '_>, form: &str, then: impl Fn(&Leaf<'_>, &Pack)) {
    let text = text(form).expect("fixtures are read");
    let pack = pack().expect("built-in rules load");
    let on_leaf = |leaf: Leaf<'_>, _: &Envelope<'_>, _: Place<'_>| then(&leaf, &pack);
    bencher.counter(BytesCount::of_slice(&text)).bench_local(|| {
        let mut on_leaf = on_leaf;
        let mut leaves = Leaves { unwrapper: Unwrapper::new(LIMITS), on_leaf: &mut on_leaf };
        frame::frame(Kind::Text, &mut &text[..], LIMITS, &mut leaves);
    });
}

fn pack() -> Result<Pack> {
    Ok(Pack::new(load(&[])?, Tuning::default(), runbook::interests(Scope::Runbook)?))
}

fn dumps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dumps")
}

/// The texts of a form, one after another, repeated.
fn text(form: &str) -> Result<Vec<u8>> {
    let mut once = Vec::new();
    for entry in walkdir::WalkDir::new(dumps().join(form)).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() && !entry.path().ends_with("aws-logs-write-test") {
            let mut file = File::open(entry.path())?;
            decode::walk(&mut file, None, LIMITS, &mut Text(&mut once));
        }
    }
    anyhow::ensure!(!once.is_empty(), "no text below {form}");
    Ok(once.repeat(TEXT.div_ceil(once.len())))
}

fn gzip(text: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text)?;
    encoder.finish().context("gzip")
}

/// Receives the text of a source.
struct Text<W>(W);

impl<W: Write> Visitor for Text<W> {
    fn stream(&mut self, stream: Stream<'_, '_>) {
        if let Content::Data(_, reader) = stream.content {
            io::copy(reader, &mut self.0).expect("memory is written");
        }
    }

    fn hashed(&mut self, _: &str, _: u64, _: String) {}
}

struct Discard;

impl Sink for Discard {
    fn document(&mut self, document: Document<'_>) {
        black_box(document);
    }

    fn damage(&mut self, _: Damage) {}
}

struct Documents(Vec<Vec<u8>>);

impl Sink for Documents {
    fn document(&mut self, document: Document<'_>) {
        self.0.push(document.original.to_vec());
    }

    fn damage(&mut self, _: Damage) {}
}

struct Leaves<'l> {
    unwrapper: Unwrapper,
    on_leaf: &'l mut OnLeaf<'l>,
}

impl Sink for Leaves<'_> {
    fn document(&mut self, document: Document<'_>) {
        self.unwrapper.open(&document, &Envelope::default(), self.on_leaf);
    }

    fn damage(&mut self, _: Damage) {}
}

struct Unwatched;

impl Observer for Unwatched {
    fn opened(&self, _: &str) {}
    fn read(&self, _: u64) {}
    fn closed(&self, _: u64, _: u64) {}
}
