//! Bytes of a source → streams of text, through compression and archives. Formats are recognised by magic bytes, or by
//! name if those are destroyed.
//!
//! Everything is streamed; nothing is unpacked to disk. The exception is a zip inside another container: its directory
//! is at its end, so it is held in memory, up to the record limit.

mod ahead;
mod archive;
mod codec;
mod hashing;
mod members;
mod sniff;
mod spread;
mod tar;
mod utf16;
mod window;
mod zip;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};

pub use ahead::{Full, ahead};
pub(crate) use codec::packed;
pub use hashing::Hashing;
pub(crate) use hashing::{digest, hashed, sha256, sha256_of_parts};
pub use sniff::Kind;
pub use spread::Ended;
pub use window::Window;

use crate::stats::{Stage, Stats};
use codec::Codec;
use members::Members;
use sniff::{GZIP_HEADER, MOST_ZEROS, SNIFFED};

/// Most containers inside containers.
const MAX_LAYERS: usize = 8;

/// Part of a stream could not be decoded. After this error the reader can be read on: it continues after the damage.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Damage {
    /// What is wrong.
    pub what: String,
    /// Offset in the stream as stored, in bytes.
    pub at: u64,
    /// Offset in the decoded text from which the text is doubtful.
    pub text_start: u64,
}

impl Damage {
    /// The damage in this error, if it is one; reading may then continue.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Damage> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, damage)
    }
}

/// Limits that keep a hostile source from using up the machine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest record, in bytes; also the largest zip that may lie inside another container.
    pub max_record: usize,
    /// Most bytes of text to read from one source.
    pub max_bytes: Option<u64>,
}

/// What a source, or a member of an archive in it, turned out to be.
#[derive(Debug)]
pub struct Stream<'s, 'c> {
    /// Path inside the archive; `None` for the source itself.
    pub member: Option<&'s str>,
    /// The containers around it, outermost first, joined by `+`; empty for none.
    pub container: &'s str,
    /// What is inside.
    pub content: Content<'c>,
}

/// The inside of a [`Stream`].
pub enum Content<'s> {
    /// Text, or an Avro or Parquet file.
    Data(Kind, &'s mut (dyn Read + 's)),
    /// An archive: the number of its members, which were visited before, and what stopped reading it.
    Archive(u64, Option<String>),
    /// Nothing at all.
    Empty,
    /// Bytes that are not an audit log; with what they are.
    Foreign(&'static str),
    /// A format that may hold audit logs but is not supported; with its name.
    Unsupported(&'static str),
    /// It could not be opened.
    Failed(String),
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Content::Data(..) => "Data",
            Content::Archive(..) => "Archive",
            Content::Empty => "Empty",
            Content::Foreign(_) => "Foreign",
            Content::Unsupported(_) => "Unsupported",
            Content::Failed(_) => "Failed",
        })
    }
}

/// Takes what [`walk`] finds.
pub trait Visitor {
    /// One stream. Every source and every archive member gives exactly one.
    fn stream(&mut self, stream: Stream<'_, '_>);
    /// Size and SHA-256 of an archive member as stored, after it was visited.
    fn hashed(&mut self, member: &str, bytes: u64, sha256: String);
    /// Whether each member of this tar is a source of its own. If so, `begin` and `end` are called around it, and the
    /// streams in between belong to it.
    fn spreads(&self) -> bool {
        false
    }
    /// A source of `size` bytes begins in a tar. Returns whether to read it.
    fn begin(&mut self, name: &str, size: u64) -> bool {
        let _ = (name, size);
        true
    }
    /// The source ends, if it was to be read.
    fn end(&mut self, ended: Ended) {
        let _ = ended;
    }
    /// What was read of an archive member, and of everything inside it, came from bytes whose checksum is wrong.
    fn distrust(&mut self, member: &str, damage: &Damage) {
        let _ = (member, damage);
    }
    /// The name of the source, if it has one: it may show what damaged bytes were.
    fn name(&self) -> String {
        String::new()
    }
}

/// Finds all streams of a source and hands them to `visitor`, members in archive order. Returns how many bytes count
/// towards `--max-bytes`.
///
/// `file` is the same source, seekable, where there is one: a zip at the top is read through it.
pub fn walk(input: &mut dyn Read, file: Option<File>, limits: Limits, visitor: &mut dyn Visitor) -> u64 {
    let most = limits.max_bytes.unwrap_or(u64::MAX);
    let budget = Cell::new(most);
    let place = Place::named(visitor.name());
    let mut walker = Walker { limits, budget: &budget, visitor, file, seen: BTreeMap::new() };
    walker.descend(Window::new(Box::new(input)), &place);
    most - budget.get()
}

/// Like [`walk`], but another thread decodes the outermost compression, through [`ahead()`].
pub fn walk_ahead(
    input: &mut (dyn Read + Send),
    file: Option<File>,
    limits: Limits,
    stats: Option<&Stats>,
    visitor: &mut dyn Visitor,
) {
    let budget = Cell::new(limits.max_bytes.unwrap_or(u64::MAX));
    let place = Place::named(visitor.name());
    let mut walker = Walker { limits, budget: &budget, visitor, file, seen: BTreeMap::new() };
    let mut input: Window<Box<dyn Read + Send>> = Window::new(Box::new(input));
    let kind = match sniffed(&mut input) {
        Ok(head) => sniff::kind(head, &place.name),
        Err(error) => return walker.emit(&place, Content::Failed(error.to_string())),
    };
    let Some(codec) = Codec::of(kind) else {
        return walker.descend(input.map(|input| input as Box<dyn Read>), &place);
    };
    ahead(Members::new(codec, input), Stage::Decompress, stats, |reader| {
        walker.descend(Window::new(Box::new(reader)), &place.inside(kind.name()));
    });
}

/// The first bytes of a stream: enough to recognise it, and enough to see past leading zeros.
fn sniffed<R: Read>(input: &mut Window<R>) -> io::Result<&[u8]> {
    let mut size = SNIFFED;
    while size < MOST_ZEROS && input.peek(size)?.len() >= size && input.available().iter().all(|byte| *byte == 0) {
        size *= 2;
    }
    input.peek(size)
}

/// Where a gzip member begins in a stream. Reads up to there or to the end.
fn gzip_inside(input: &mut dyn Read) -> io::Result<Option<u64>> {
    let mut window = Window::new(input);
    loop {
        if let Some(at) = sniff::gzip_header(window.available()) {
            return Ok(Some(window.offset() + at as u64));
        }
        let seen = window.available().len().saturating_sub(GZIP_HEADER - 1);
        io::BufRead::consume(&mut window, seen);
        if window.extend()? == 0 {
            return Ok(None);
        }
    }
}

/// Where in a source the walker is.
struct Place {
    member: Option<String>,
    /// The name of the source or member, without the extensions of compressions already undone.
    name: String,
    container: String,
    layers: usize,
}

impl Place {
    fn named(name: String) -> Place {
        Place { member: None, name, container: String::new(), layers: 0 }
    }

    fn inside(&self, container: &str) -> Place {
        let joint = if self.container.is_empty() { "" } else { "+" };
        Place {
            member: self.member.clone(),
            name: sniff::name_inside(&self.name),
            container: format!("{}{joint}{container}", self.container),
            layers: self.layers + 1,
        }
    }

    fn member(&self, name: &str) -> Place {
        let member = self.member.as_ref().map_or_else(|| name.to_owned(), |outer| format!("{outer}/{name}"));
        Place { member: Some(member), name: name.to_owned(), container: String::new(), layers: self.layers + 1 }
    }
}

struct Walker<'w> {
    limits: Limits,
    budget: &'w Cell<u64>,
    visitor: &'w mut dyn Visitor,
    file: Option<File>,
    /// The names given to members so far, each with the last number that was added to it.
    seen: BTreeMap<String, u32>,
}

impl Walker<'_> {
    fn descend<'r>(&mut self, mut input: Window<Box<dyn Read + 'r>>, place: &Place) {
        let mut damages = Vec::new();
        let kind = loop {
            match sniffed(&mut input) {
                Ok(head) => break sniff::kind(head, &place.name),
                Err(error) if Damage::of(&error).is_some() => damages.push(error),
                Err(error) => return self.emit(place, Content::Failed(error.to_string())),
            }
        };
        if matches!(kind, Kind::Empty | Kind::Binary)
            && let Some(damage) = damages.first()
        {
            return self.emit(place, Content::Failed(damage.to_string()));
        }
        if !damages.is_empty() {
            input = Window::new(Box::new(Damaged { damages: damages.into(), rest: input }));
        }
        if kind.is_container() && place.layers >= MAX_LAYERS {
            return self.emit(place, Content::Failed(format!("containers nested deeper than {MAX_LAYERS}")));
        }
        if let Some(codec) = Codec::of(kind) {
            // When a decoder notices damage depends on how much input it has.
            let text = Full::new(Members::new(codec, Full::new(input)));
            return self.descend(Window::new(Box::new(text)), &place.inside(kind.name()));
        }
        match kind {
            Kind::Tar => self.tar(input, &place.inside(kind.name())),
            Kind::Zip => self.zip(input, &place.inside(kind.name())),
            Kind::Utf16 => self.data(kind, &mut utf16::Utf8::new(input), place),
            Kind::Text | Kind::Avro | Kind::Parquet => self.data(kind, &mut { input }, place),
            Kind::Empty | Kind::Gzip | Kind::Zstd | Kind::Bzip2 | Kind::Xz => self.emit(place, Content::Empty),
            Kind::Binary => self.foreign(&mut input, place),
            Kind::Case => self.emit(place, Content::Foreign("a case file of kubesweep, not a dump")),
            Kind::Unsupported(what) => self.emit(place, Content::Unsupported(what)),
        }
    }

    fn data(&mut self, kind: Kind, reader: &mut dyn Read, place: &Place) {
        let mut limited = Budgeted { inner: reader, left: self.budget };
        self.emit(place, Content::Data(kind, &mut limited));
    }

    /// Reports a stream that is not text. It may be a log spoiled by a damaged container, which shows at its end at the
    /// latest, so it is read to there. If the beginning of a Firehose object is lost, gzip members follow it.
    fn foreign(&mut self, input: &mut dyn Read, place: &Place) {
        let mut limited = Budgeted { inner: input, left: self.budget };
        // The bytes of a plain file were not decompressed, and do not count as text.
        let found = if place.layers == 0 { gzip_inside(limited.inner) } else { gzip_inside(&mut limited) };
        let content = match found {
            Ok(Some(at)) => Content::Failed(format!(
                "not text, but gzip begins at byte {at}; what stood in front of it is lost: name it .gz to have the rest read"
            )),
            Ok(None) => Content::Foreign("not text"),
            Err(error) => Damage::of(&error).map_or(Content::Foreign("not text"), |damage| {
                Content::Failed(format!("not text, and damaged: {damage}"))
            }),
        };
        self.emit(place, content);
    }

    fn emit(&mut self, place: &Place, content: Content<'_>) {
        self.visitor.stream(Stream { member: place.member.as_deref(), container: &place.container, content });
    }
}

/// A stream whose beginning was lost: first the errors, then what could be read.
struct Damaged<R> {
    damages: VecDeque<io::Error>,
    rest: R,
}

impl<R: Read> Read for Damaged<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.damages.pop_front() {
            Some(damage) => Err(damage),
            None => self.rest.read(out),
        }
    }
}

/// Stops a source that gives more text than `--max-bytes`.
struct Budgeted<'b> {
    inner: &'b mut dyn Read,
    left: &'b Cell<u64>,
}

impl Read for Budgeted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other("more text than --max-bytes allows; the rest was not read")),
            };
        }
        let room = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(out.len());
        let count = self.inner.read(&mut out[..room])?;
        self.left.set(self.left.get() - count as u64);
        Ok(count)
    }
}
