//! The file of a partial: a header line, packed lines of JSON, and the SHA-256 of everything before it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::Header;
use crate::aggregate::{Input, Observation, Tally};
use crate::decode::{Hashing, hashed};
use crate::error::Error;
use crate::spill::{pack, read_json, unpack, write_json};

/// The first bytes of every partial.
const MAGIC: &[u8] = b"kubesweep partial ";
/// The format version, increased when the lines change or a record gives another observation.
const VERSION: &[u8] = b"7\n";
/// Size of the trailer: hexadecimal digits and a newline.
const TRAILER: u64 = 65;
const DAMAGED: &str = "is damaged; make it again, or copy it again from where it was made";

/// A line after the header.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<'l> {
    Input(Cow<'l, Input>),
    /// A cluster, and when it was first and last seen within an hour.
    Cell(Option<Cow<'l, str>>, Timestamp, Timestamp),
    Observation(Cow<'l, Observation>),
}

/// A partial being written, under a temporary name.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: NamedTempFile,
}

impl Writer {
    /// Creates one, before the long work that fills it. A retry may replace what an earlier attempt left.
    ///
    /// # Errors
    /// It cannot be written there, or another file exists there.
    pub fn create(path: &Path) -> Result<Self, Error> {
        // A device or pipe must not be opened for inspection, and replacing an empty file loses nothing.
        let is_other =
            |found: std::fs::Metadata| !found.is_file() || (found.len() > 0 && !is_partial(path).unwrap_or(false));
        if std::fs::metadata(path).is_ok_and(is_other) {
            let problem = "is there and is not a partial; name another file".to_owned();
            return Err(Error::Partial { path: path.to_owned(), problem });
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::with_prefix_in(".kubesweep-partial-", directory);
        let file = file.map_err(|source| Error::Output { path: path.to_owned(), source })?;
        Ok(Writer { path: path.to_owned(), file })
    }

    /// Writes it and gives it its name. The same inputs give the same bytes, however they were read.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(self, header: &Header, tally: Tally) -> Result<(), Error> {
        let Writer { path, file } = self;
        let written = fill(file.as_file(), header, tally).and_then(|()| Ok(file.persist(&path)?));
        written.map(|_| ()).map_err(|source| Error::Output { path, source })
    }
}

/// Whether a file begins as a partial does, whatever follows.
pub(super) fn is_partial(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}

/// Whether a file may be a partial, or what is left of one: it begins as one does, or is cut before that shows, or ends as
/// one does.
pub(super) fn may_be_partial(path: &Path) -> io::Result<bool> {
    let (mut file, mut start, mut end) = (File::open(path)?, Vec::new(), Vec::new());
    (&file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(TRAILER)))?;
    file.read_to_end(&mut end)?;
    let is_hash = |text: &[u8]| text.len() + 1 == end.len() && text.iter().all(u8::is_ascii_hexdigit);
    Ok(MAGIC.starts_with(&start) || end.len() as u64 == TRAILER && end.strip_suffix(b"\n").is_some_and(is_hash))
}

fn fill(mut file: &File, header: &Header, mut tally: Tally) -> io::Result<()> {
    file.write_all(MAGIC)?;
    file.write_all(VERSION)?;
    let mut out = pack(file)?;
    write_json(header, &mut out)?;
    tally.inputs.sort_by(|left, right| (&left.path, &left.member).cmp(&(&right.path, &right.member)));
    for input in &tally.inputs {
        write_json(&Line::Input(Cow::Borrowed(input)), &mut out)?;
    }
    for (cluster, first, last) in tally.coverage.cells() {
        write_json(&Line::Cell(cluster.map(Cow::Borrowed), first, last), &mut out)?;
    }
    for observation in tally.observations.finish()?.into_values()? {
        write_json(&Line::Observation(Cow::Owned(observation?)), &mut out)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    file.seek(SeekFrom::Start(0))?;
    let (_, sha256) = hashed(file)?;
    writeln!(file, "{sha256}")?;
    file.sync_all()
}

/// A partial whose header was read.
#[derive(Debug)]
pub struct Partial {
    /// Its path.
    pub path: PathBuf,
    /// What it says of itself.
    pub header: Header,
}

impl Partial {
    /// Opens one.
    ///
    /// # Errors
    /// It cannot be read, or is not a partial of this version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let error = |problem: String| Error::Partial { path: path.to_owned(), problem };
        let foreign = || error("is not a partial; name files that scan --partial wrote".to_owned());
        let (mut body, _) = body(path).map_err(|problem| match problem.kind() {
            io::ErrorKind::UnexpectedEof if !is_partial(path).unwrap_or(false) => foreign(),
            _ => error(explain(&problem)),
        })?;
        let mut start = [0; MAGIC.len() + VERSION.len()];
        let is_short = body.read_exact(&mut start).is_err();
        if is_short || !start.starts_with(MAGIC) {
            return Err(foreign());
        }
        if !start.ends_with(VERSION) {
            return Err(error("was written by another version of kubesweep; use that one for merge too".to_owned()));
        }
        let header = unpack(&mut body).and_then(|mut lines| read_json(&mut lines));
        let header = header.ok().flatten().ok_or_else(|| error(DAMAGED.to_owned()))?;
        Ok(Partial { path: path.to_owned(), header })
    }

    /// Adds its content to a tally.
    ///
    /// # Errors
    /// It cannot be read, or differs from what was written.
    pub(super) fn load(&self, tally: &mut Tally) -> Result<(), Error> {
        let (body, trailer) = body(&self.path).map_err(|problem| self.error(&explain(&problem)))?;
        let mut hashing = Hashing::new(body);
        let read = lines(&mut hashing, tally).and_then(|()| hashing.drain());
        read.map_err(|problem| self.error(&explain(&problem)))?;
        let sound = format!("{}\n", hashing.finish().1).as_bytes() == trailer;
        if sound { Ok(()) } else { Err(self.error(DAMAGED)) }
    }

    pub(super) fn error(&self, problem: &str) -> Error {
        Error::Partial { path: self.path.clone(), problem: problem.to_owned() }
    }
}

/// The part of a file that the hash at its end covers, and that hash.
fn body(path: &Path) -> io::Result<(io::Take<File>, Vec<u8>)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len().checked_sub(TRAILER).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut trailer = Vec::new();
    file.seek(SeekFrom::Start(length))?;
    file.read_to_end(&mut trailer)?;
    file.seek(SeekFrom::Start(0))?;
    Ok((file.take(length), trailer))
}

/// A parse error means the file is damaged.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => {
            format!("cannot be read: {error}")
        }
        _ => DAMAGED.to_owned(),
    }
}

fn lines(body: &mut impl Read, tally: &mut Tally) -> io::Result<()> {
    body.read_exact(&mut [0; MAGIC.len() + VERSION.len()])?;
    let mut lines = unpack(body)?;
    read_json::<Header>(&mut lines)?;
    while let Some(line) = read_json(&mut lines)? {
        match line {
            Line::Input(input) => tally.inputs.push(input.into_owned()),
            Line::Cell(cluster, first, last) => {
                tally.coverage.add(cluster.as_deref(), first);
                tally.coverage.add(cluster.as_deref(), last);
            }
            Line::Observation(observation) => tally.observations.push(observation.into_owned()),
        }
    }
    Ok(())
}
