//! Writes one file of a dump, and counts what it contains.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Result;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;

use crate::expected::{Column, Expected};
use crate::plan::File;
use crate::random::{Random, mix, pick, uuid};
use crate::request::Request;
use crate::shape::{Frame, Shape};
use crate::template::Template;
use crate::values::{Pools, Values};

/// The compression level of CloudWatch Logs (AWS docs, subscription filters).
const LEVEL: u32 = 6;
/// Text is compressed in pieces of this size.
const PIECE: usize = 256 << 10;
/// This many files begin with a request that counts, of each kind in turn, so that even small dumps have all of them.
const OPENED: u64 = 96;

/// One in this many files has a record of another service.
const FOREIGN: u64 = 8;

/// A kind of record in one form of file.
struct Kind {
    record: Template,
    namespace: Template,
    username: Template,
    of_cronjob: bool,
    counts: &'static [Column],
}

/// All kinds of records in one form of file.
pub(crate) struct Traffic {
    frame: Frame,
    kinds: Vec<Kind>,
    /// Cumulative shares of the kinds.
    shares: Vec<u64>,
    /// Indexes of the kinds that count.
    counted: Vec<usize>,
}

impl Traffic {
    pub(crate) fn new(shape: Shape, requests: &[Request]) -> Result<Self> {
        let (mut kinds, mut shares, mut sum) = (Vec::new(), Vec::new(), 0);
        for request in requests {
            sum += request.share;
            shares.push(sum);
            kinds.push(Kind {
                record: shape.record(request)?,
                namespace: Template::new(request.object().namespace)?,
                username: Template::new(&request.actor.username)?,
                of_cronjob: request.is_of_cronjob(),
                counts: request.counts,
            });
        }
        let counted = (0..kinds.len()).filter(|at| !kinds[*at].counts.is_empty()).collect();
        Ok(Traffic { frame: shape.frame()?, kinds, shares, counted })
    }

    fn draw(&self, random: &mut Random) -> &Kind {
        let number = random.below(self.shares.last().copied().unwrap_or_default());
        &self.kinds[self.shares.partition_point(|sum| *sum <= number)]
    }

    /// The first record of a file.
    fn first(&self, file: &File, random: &mut Random) -> &Kind {
        if file.number < OPENED && !self.counted.is_empty() {
            // Forms take turns, so that each has all kinds.
            return &self.kinds[pick(&self.counted, file.number / 4)];
        }
        self.draw(random)
    }
}

/// A file being written.
struct Sink {
    gzip: GzEncoder<BufWriter<fs::File>>,
    piece: String,
    /// Bytes of text in pieces before this one.
    before: u64,
}

impl Sink {
    fn create(path: &Path) -> Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = BufWriter::new(fs::File::create_new(path)?);
        Ok(Sink { gzip: encoder(file), piece: String::with_capacity(PIECE * 2), before: 0 })
    }

    fn text(&self) -> u64 {
        self.before + self.piece.len() as u64
    }

    fn flush(&mut self) -> Result<()> {
        self.gzip.write_all(self.piece.as_bytes())?;
        self.before += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    /// Ends a gzip member and begins another.
    fn end_member(mut self) -> Result<Self> {
        self.flush()?;
        Ok(Sink { gzip: encoder(self.gzip.finish()?), ..self })
    }

    /// Ends the file; returns its size.
    fn finish(mut self) -> Result<u64> {
        self.flush()?;
        let file = self.gzip.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(file.metadata()?.len())
    }
}

fn encoder(file: BufWriter<fs::File>) -> GzEncoder<BufWriter<fs::File>> {
    GzBuilder::new().write(file, Compression::new(LEVEL))
}

/// Writes a file below a directory, generated from the seed and its number; returns its counts.
pub(crate) fn file(logs: &Path, file: &File, traffic: &Traffic, seed: u64, pools: Pools) -> Result<Expected> {
    let mut values = Values::new(Random::new(seed.wrapping_add(file.number)), pools, file.shape.cloud(), file.cluster);
    name(&mut values, file)?;
    values.draw(file.start * 1_000_000, false)?;
    let path = Template::new(file.shape.path())?.text(&mut values);
    let mut sink = Sink::create(&logs.join(path))?;
    let mut expected = Expected { files: 1, ..Expected::default() };
    if let Some(foreign) = traffic.frame.foreign.as_ref().filter(|_| (file.number / 4).is_multiple_of(FOREIGN)) {
        foreign.fill(&mut values, &mut sink.piece);
        expected.not_audit += 1;
        if traffic.frame.members {
            sink = sink.end_member()?;
        }
    }
    while expected.events == 0 || sink.text() < file.size {
        batch(traffic, file, &mut values, &mut sink, &mut expected)?;
        if traffic.frame.members && sink.text() < file.size {
            sink = sink.end_member()?;
        }
    }
    expected.text = sink.text();
    expected.compressed = sink.finish()?;
    Ok(expected)
}

/// Writes the records of one batch, and the text around them.
fn batch(traffic: &Traffic, file: &File, values: &mut Values, sink: &mut Sink, expected: &mut Expected) -> Result<()> {
    let frame = &traffic.frame;
    let end = sink.text().saturating_add(frame.batch).min(file.size);
    frame.head.fill(values, &mut sink.piece);
    let mut between = "";
    loop {
        sink.piece.push_str(between);
        between = frame.between;
        let kind = if expected.events == 0 {
            traffic.first(file, &mut values.random)
        } else {
            traffic.draw(&mut values.random)
        };
        record(kind, file, values, sink, expected)?;
        if sink.text() >= end {
            sink.piece.push_str(frame.tail);
            return Ok(());
        }
    }
}

/// Sets the slots with one value for the whole file.
fn name(values: &mut Values, file: &File) -> Result<()> {
    let start = Timestamp::from_second(file.start)?;
    let own = mix((file.cluster + 1) << 8 | file.shape.cloud() as u64);
    let cluster = ["prod-eu", "SHOP-AKS", "payments"][file.shape.cloud() as usize];
    values.set("cluster", format!("{cluster}-{}", file.cluster));
    values.set("account", "111122223333".to_owned());
    values.set("project", format!("acme-payments-{}", file.cluster));
    values.set("subscription", uuid(mix(own), own).to_uppercase());
    values.set("stream", format!("kube-apiserver-audit-{own:016x}{:016x}", mix(own)));
    values.set("date", start.strftime(file.shape.date()).to_string());
    values.set("path", start.strftime("%Y-%m-%d-%H-%M-%S").to_string());
    Ok(())
}

/// Writes a record. Times grow with the position in the file.
fn record(kind: &Kind, file: &File, values: &mut Values, sink: &mut Sink, expected: &mut Expected) -> Result<()> {
    let span = (i128::from(file.span) - 2) * 1_000_000;
    let progress = span * i128::from(sink.text().min(file.size)) / i128::from(file.size.max(1));
    let jitter = values.random.time_below(1_000_000);
    values.draw(file.start * 1_000_000 + i64::try_from(progress)? + jitter, kind.of_cronjob)?;
    kind.record.fill(values, &mut sink.piece);
    expected.events += 1;
    if !kind.counts.is_empty() {
        let key = (kind.namespace.text(values), kind.username.text(values));
        expected.request(key.0, key.1, kind.counts, values.received);
    }
    if sink.piece.len() >= PIECE {
        sink.flush()?;
    }
    Ok(())
}
