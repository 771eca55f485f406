//! Zip. The directory is at the end of the file. If it is lost, members are found by their local headers.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use memchr::memmem;
use zip::read::{Config, ZipFileEntry, read_zipfile_from_stream};
use zip::result::ZipResult;
use zip::unstable::read::ZipIterable;
use zip::{CompressionMethod, ZipReadOptions};

use super::archive::Part;
use super::{Content, Damage, Place, Walker, Window};
use crate::paths::printable;

/// The start of a local header, which precedes each member.
const LOCAL: &[u8] = b"PK\x03\x04";
/// Size of a local header, without name and extra field (APPNOTE 4.3.7).
const LOCAL_SIZE: usize = 30;

impl Walker<'_> {
    pub(super) fn zip<'r>(&mut self, mut input: Window<Box<dyn Read + 'r>>, place: &Place) {
        let outermost = place.layers == 1;
        if let Some(file) = self.file.take().filter(|_| outermost) {
            return self.zip_entries(file, place, None);
        }
        let limit = self.limits.max_record;
        let (mut bytes, mut problem) = (Vec::new(), None);
        loop {
            let room = limit.saturating_add(1).saturating_sub(bytes.len()) as u64;
            match input.by_ref().take(room).read_to_end(&mut bytes) {
                // Each member has its own checksum, so lost parts show.
                Err(error) if Damage::of(&error).is_some() => problem = problem.or(Some(error.to_string())),
                Err(error) => return self.emit(place, Content::Failed(error.to_string())),
                Ok(_) if bytes.len() > limit => {
                    let problem = format!(
                        "a zip that is not a file of its own may have {limit} bytes (--max-record); unpack it first"
                    );
                    return self.emit(place, Content::Failed(problem));
                }
                Ok(_) => return self.zip_entries(Cursor::new(bytes), place, problem),
            }
        }
    }

    fn zip_entries(&mut self, mut input: impl Read + Seek, place: &Place, mut problem: Option<String>) {
        let entries = match entries(&mut input) {
            Ok(entries) => entries,
            Err(error) => {
                let problem = format!("zip archive: {error}");
                return match input.rewind() {
                    Ok(()) => self.zip_stream(Window::new(input), place, problem),
                    Err(_) => self.emit(place, Content::Failed(problem)),
                };
            }
        };
        let (mut members, mut taken, mut starts) = (0, Vec::new(), BTreeSet::new());
        for entry in entries {
            let inner = self.inner(place, &printable(entry.name_raw()));
            let start = data_start(&mut input, &entry);
            taken.extend(start.map(|start| entry.header_start()..start.saturating_add(entry.compressed_size())));
            // Otherwise a directory could name the same few bytes as any number of members.
            if starts.insert(entry.header_start()) {
                members += self.zip_entry(&mut input, entry, start, &inner);
            } else {
                members += 1;
                self.emit(&inner, Content::Failed("zip member: lies where another one does".to_owned()));
            }
            if self.spent().is_some() {
                break;
            }
        }
        // Members not reached are not gaps.
        let gaps = if self.spent().is_some() { Vec::new() } else { gaps(taken) };
        for gap in gaps {
            members += self.zip_gap(&mut input, gap, place, &mut problem);
        }
        self.emit(place, Content::Archive(members, self.spent().or(problem)));
    }

    /// Reads members that the directory does not name: those of another archive in the file, or of lost entries.
    fn zip_gap(
        &mut self,
        input: &mut (impl Read + Seek),
        gap: Range<u64>,
        place: &Place,
        problem: &mut Option<String>,
    ) -> u64 {
        if let Err(error) = input.seek(SeekFrom::Start(gap.start)) {
            problem.get_or_insert_with(|| format!("zip archive: {error}"));
            return 0;
        }
        let members = self.zip_members(&mut Window::new(input.take(gap.end - gap.start)), place);
        if members > 0 {
            problem.get_or_insert_with(|| {
                format!(
                    "zip archive: its directory does not name all members; those from byte {} on were read by the \
                     headers in front of them",
                    gap.start
                )
            });
        }
        members
    }

    /// Visits what an entry of the directory names. Returns the number of members: 0 for a directory, otherwise 1.
    fn zip_entry(
        &mut self,
        input: &mut (impl Read + Seek),
        entry: ZipFileEntry<'_>,
        start: Option<u64>,
        inner: &Place,
    ) -> u64 {
        if let Some(mut file) = start.and_then(|start| Inflating::of(input, &entry, start)) {
            self.member(&mut Part::checked(&mut file), inner);
            return 1;
        }
        match entry.with_reader(input, ZipReadOptions::new()) {
            Ok(file) if is_directory(&file.entry()) => return 0,
            Ok(mut file) => self.member(&mut Part::checked(&mut file), inner),
            Err(error) => self.emit(inner, Content::Failed(format!("zip member: {error}"))),
        }
        1
    }

    /// Reads members in stream order, because the directory is lost.
    fn zip_stream(&mut self, mut input: Window<impl Read>, place: &Place, problem: String) {
        let members = self.zip_members(&mut input, place);
        let content = if members == 0 {
            Content::Failed(problem)
        } else {
            let end = input.offset();
            Content::Archive(
                members,
                Some(format!("{problem}; members were found without its directory, up to byte {end}")),
            )
        };
        self.emit(place, content);
    }

    /// Reads members by their local headers; returns their number. Members whose local header lacks the length cannot
    /// be read this way.
    fn zip_members(&mut self, input: &mut Window<impl Read>, place: &Place) -> u64 {
        let mut members = 0;
        while find_local(input) && self.spent().is_none() {
            members += 1;
            match read_zipfile_from_stream(input) {
                Ok(Some(mut file)) => {
                    let inner = self.inner(place, &printable(file.name_raw()));
                    if !is_directory(&file.entry()) {
                        self.member(&mut Part::checked(&mut file), &inner);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    let inner = self.inner(place, &format!("#{members}"));
                    self.emit(&inner, Content::Failed(format!("zip member: {error}")));
                }
            }
        }
        members
    }
}

/// All entries of the directory, including several of one name: `ZipArchive` keeps only the last of these.
fn entries(input: &mut (impl Read + Seek)) -> ZipResult<Vec<ZipFileEntry<'static>>> {
    ZipIterable::try_new(input, Config::default())?.files()?.collect()
}

/// The ranges before, between and after these, the last of which holds the directory.
fn gaps(mut taken: Vec<Range<u64>>) -> Vec<Range<u64>> {
    taken.push(u64::MAX..u64::MAX);
    taken.sort_unstable_by_key(|range| range.start);
    let mut last = 0;
    let gap = |range: Range<u64>| {
        let gap = last..range.start;
        last = last.max(range.end);
        gap
    };
    taken.into_iter().map(gap).filter(|gap| !gap.is_empty()).collect()
}

/// Whether an entry is a directory. The last character of its name says so but may be damaged, so it must also have no
/// content.
fn is_directory(entry: &ZipFileEntry<'_>) -> bool {
    entry.is_dir() && entry.size() == 0
}

/// A stored or deflated member, read to the end of its text. The zip crate stops at the declared length, which may
/// itself be damaged, and accepts a member that is shorter.
struct Inflating<'f> {
    text: Box<dyn Read + 'f>,
    crc: Crc,
    read: u64,
    /// CRC and size according to the directory.
    declared: (u32, u64),
}

impl<'f> Inflating<'f> {
    /// The member whose bytes begin at `start`; `None` for rarer kinds.
    fn of(input: &'f mut (impl Read + Seek), entry: &ZipFileEntry<'_>, start: u64) -> Option<Self> {
        if is_directory(entry) || entry.encrypted() {
            return None;
        }
        let is_stored = match entry.compression() {
            CompressionMethod::Stored => true,
            CompressionMethod::Deflated => false,
            _ => return None,
        };
        input.seek(SeekFrom::Start(start)).ok()?;
        let packed = input.take(entry.compressed_size());
        let text: Box<dyn Read + 'f> = if is_stored { Box::new(packed) } else { Box::new(DeflateDecoder::new(packed)) };
        Some(Inflating { text, crc: Crc::new(), read: 0, declared: (entry.crc32(), entry.size()) })
    }
}

/// Where the bytes of a member begin, after its local header; `None` if there is no such header.
fn data_start(input: &mut (impl Read + Seek), entry: &ZipFileEntry<'_>) -> Option<u64> {
    let mut header = [0; LOCAL_SIZE];
    input.seek(SeekFrom::Start(entry.header_start())).ok()?;
    input.read_exact(&mut header).ok().filter(|()| header.starts_with(LOCAL))?;
    let length = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    entry.header_start().checked_add(LOCAL_SIZE as u64 + length(26) + length(28))
}

impl Read for Inflating<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(out)?;
        self.crc.update(&out[..count]);
        self.read += count as u64;
        let (crc, size) = self.declared;
        match count {
            0 if !out.is_empty() && self.crc.sum() != crc => Err(io::Error::other("wrong checksum")),
            0 if !out.is_empty() && self.read != size => {
                Err(io::Error::other(format!("wrong length: it has {} bytes and declares {size}", self.read)))
            }
            count => Ok(count),
        }
    }
}

/// Moves to the next local header; false if there is none.
fn find_local(input: &mut Window<impl Read>) -> bool {
    loop {
        let bytes = input.available();
        let found = memmem::find(bytes, LOCAL);
        let skip = found.unwrap_or(bytes.len().saturating_sub(LOCAL.len() - 1));
        input.consume(skip);
        if found.is_some() {
            return true;
        }
        if !matches!(input.extend(), Ok(1..)) {
            return false;
        }
    }
}
