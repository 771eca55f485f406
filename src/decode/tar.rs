//! Tar. After a damaged header or lost text, reading continues at the next header. What comes before that header is an
//! input too, because it may be the text of a member.

use std::io::{self, BufRead, Read};

use memchr::memmem;
use tar::{EntryType, Header};

use super::archive::Part;
use super::{Content, Damage, Place, Walker, Window, sniff};
use crate::paths::printable;

/// Size of a header. All text is padded to a multiple of it.
const BLOCK: usize = 512;
/// Where a header holds its magic bytes.
const MAGIC_AT: usize = 257;
/// Longest name, and longest list of attributes, of a member.
const MAX_ATTRIBUTES: u64 = 1 << 20;

/// An archive being read.
struct Archive<'r> {
    input: Window<Box<dyn Read + 'r>>,
    members: u64,
    problem: Option<String>,
    /// Where each member read so far ends, with its name.
    ends: Vec<(u64, String)>,
    /// Attributes given in advance for the next member.
    ahead: Attributes,
    /// Whether the last header is followed by the zero bytes that end an archive.
    has_end: bool,
}

/// What extended headers say of the member after them.
#[derive(Default)]
struct Attributes {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// What is found where a header is expected.
enum Next {
    Header(Box<Header>),
    Zeros(usize),
    Damage(&'static str),
    Lost(io::Error),
    End,
}

impl Archive<'_> {
    fn next(&mut self) -> Next {
        let head = match self.input.peek(BLOCK) {
            Ok(head) => &head[..head.len().min(BLOCK)],
            Err(error) => return Next::Lost(error),
        };
        match head.len() {
            0 => Next::End,
            // Concatenated archives have end marks between them.
            count if head.iter().all(|&byte| byte == 0) => Next::Zeros(count),
            BLOCK if sniff::is_tar_header(head) => Next::Header(Box::new(Header::from_byte_slice(head).clone())),
            BLOCK => Next::Damage("no header stands where one should"),
            _ => Next::Damage("the archive ends inside a header"),
        }
    }

    fn note(&mut self, problem: &str) {
        self.problem.get_or_insert_with(|| format!("tar archive: {problem}"));
    }

    /// Notes a missing end mark: nothing else shows a cut between two members.
    fn note_missing_end(&mut self) {
        if !self.has_end {
            let at = self.input.offset();
            self.note(&format!(
                "it stops at byte {at} of its text without the zero block that ends a tar: members behind may be lost, so \
                 fetch it again"
            ));
        }
    }

    /// The content of an extended header, which describes the next member.
    fn attributes(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_ATTRIBUTES {
            return Err(io::Error::other(format!("a header of {size} bytes, which no name has")));
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(size).read_to_end(&mut bytes)?;
        self.pass_padding(size);
        Ok(bytes)
    }

    fn pass_padding(&mut self, size: u64) {
        let padding = (BLOCK - usize::try_from(size % BLOCK as u64).unwrap_or(0)) % BLOCK;
        // Unreadable bytes are reported when the next header is looked for.
        let there = self.input.peek(padding).map_or(0, |bytes| bytes.len().min(padding));
        self.input.consume(there);
    }

    /// Skips the further headers of a sparse file. Its holes are left out: zero bytes hold no record.
    fn pass_sparse_headers(&mut self, header: &Header) {
        let mut more = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while more {
            let block = self.input.peek(BLOCK).unwrap_or_default();
            more = block.get(504).is_some_and(|&more| more == 1);
            let count = block.len().min(BLOCK);
            self.input.consume(count);
        }
    }
}

impl Walker<'_> {
    pub(super) fn tar<'r>(&mut self, input: Window<Box<dyn Read + 'r>>, place: &Place) {
        let (ends, ahead) = (Vec::new(), Attributes::default());
        let mut archive = Archive { input, members: 0, problem: None, ends, ahead, has_end: false };
        loop {
            match archive.next() {
                Next::End => {
                    archive.note_missing_end();
                    break;
                }
                Next::Zeros(count) => {
                    archive.has_end = count == BLOCK;
                    archive.input.consume(count);
                }
                Next::Header(header) => self.tar_entry(&mut archive, &header, place),
                Next::Damage(what) => self.tar_fragment(&mut archive, what, place),
                Next::Lost(error) => {
                    archive.note(&error.to_string());
                    match Damage::of(&error) {
                        Some(damage) => self.distrust(&archive, damage),
                        None => break,
                    }
                }
            }
            if let Some(spent) = self.spent() {
                archive.note(&spent);
                break;
            }
        }
        self.emit(place, Content::Archive(archive.members, archive.problem));
    }

    fn tar_entry(&mut self, archive: &mut Archive<'_>, header: &Header, place: &Place) {
        archive.input.consume(BLOCK);
        archive.has_end = false;
        let size = match header.entry_size() {
            Ok(size) => archive.ahead.size.unwrap_or(size),
            Err(error) => return archive.note(&error.to_string()),
        };
        let kind = header.entry_type();
        if matches!(
            kind,
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
        ) {
            match (header.entry_size().and_then(|size| archive.attributes(size)), kind) {
                (Err(error), _) => archive.note(&error.to_string()),
                (Ok(name), EntryType::GNULongName) => archive.ahead.name = Some(name),
                (Ok(records), EntryType::XHeader) => archive.ahead.read_pax(&records),
                _ => {}
            }
            return;
        }
        let told = std::mem::take(&mut archive.ahead).name.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = told.split(|&byte| byte == 0).next().unwrap_or_default();
        archive.pass_sparse_headers(header);
        if self.spreads(place) {
            return self.tar_source(archive, kind, size, &printable(name));
        }
        match kind {
            EntryType::Directory => {}
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let inner = self.inner(place, &printable(name));
                self.tar_member(archive, size, inner);
            }
            _ => {
                let inner = self.inner(place, &printable(name));
                self.emit(&inner, Content::Foreign("a link or device in the archive"));
            }
        }
    }

    fn tar_member(&mut self, archive: &mut Archive<'_>, size: u64, inner: Place) {
        archive.members += 1;
        let start = archive.input.offset();
        let mut part = Part::of_stream(&mut archive.input, Some(size), start);
        self.member(&mut part, &inner);
        let lost = part.lost.take();
        archive.ends.push((archive.input.offset(), inner.member.unwrap_or_default()));
        self.settle(archive, size, lost);
    }

    /// Skips the padding after a member of `size` bytes, or notes what was lost of it.
    fn settle(&mut self, archive: &mut Archive<'_>, size: u64, lost: Option<Damage>) {
        match lost {
            None => archive.pass_padding(size),
            Some(damage) => {
                archive.note(&damage.to_string());
                self.distrust(archive, &damage);
            }
        }
    }

    /// Visits a member that is a source of its own.
    fn tar_source(&mut self, archive: &mut Archive<'_>, kind: EntryType, size: u64, name: &str) {
        if kind == EntryType::Directory {
            return;
        }
        archive.members += 1;
        let start = archive.input.offset();
        let mut part = Part::of_stream(&mut archive.input, Some(size), start);
        let name = self.source(name, kind, size, &mut part);
        let lost = part.lost.take();
        archive.ends.push((archive.input.offset(), name));
        self.settle(archive, size, lost);
    }

    /// Visits the bytes up to the next header as a member named by its offset.
    fn tar_fragment(&mut self, archive: &mut Archive<'_>, what: &str, place: &Place) {
        let at = archive.input.offset();
        archive.note(&format!("{what}, at byte {at} of its text"));
        // A header with a flipped bit is not text, and would be taken for a nested archive.
        let is_header = archive.input.peek(BLOCK).is_ok_and(|head| head.get(MAGIC_AT..MAGIC_AT + 5) == Some(b"ustar"));
        archive.input.consume(if is_header { BLOCK } else { 0 });
        archive.ahead = Attributes::default();
        archive.members += 1;
        let inner = self.inner(place, &format!("(no header at byte {at})"));
        let mut fragment = Fragment { input: &mut archive.input, searched: 0 };
        let damage = Damage { what: format!("{what}; read without its name"), at, text_start: u64::MAX };
        let mut part = Part::of_stream(&mut fragment, None, at).behind(damage);
        self.member(&mut part, &inner);
        let lost = part.lost.take();
        archive.ends.push((archive.input.offset(), inner.member.unwrap_or_default()));
        if let Some(damage) = lost {
            self.distrust(archive, &damage);
        }
    }

    /// Reports the members that lie in doubtful text.
    fn distrust(&mut self, archive: &Archive<'_>, damage: &Damage) {
        for (_, member) in archive.ends.iter().filter(|(end, _)| *end > damage.text_start) {
            self.visitor.distrust(member, damage);
        }
    }
}

impl Attributes {
    /// Reads `length key=value` lines (POSIX.1-2017, pax, "pax Extended Header").
    fn read_pax(&mut self, mut records: &[u8]) {
        while let Some(space) = memchr::memchr(b' ', records) {
            let length = std::str::from_utf8(&records[..space]).ok().and_then(|length| length.parse::<usize>().ok());
            let Some(record) = length.and_then(|length| records.get(space + 1..length)) else { return };
            records = &records[space + 1 + record.len()..];
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            if let Some(path) = record.strip_prefix(b"path=") {
                self.name = Some(path.to_vec());
            } else if let Some(size) = record.strip_prefix(b"size=") {
                self.size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok());
            }
        }
    }
}

/// Text up to the next header, at any byte offset: after lost text, headers are no longer aligned.
struct Fragment<'w, 'r> {
    input: &'w mut Window<Box<dyn Read + 'r>>,
    /// No header begins before this offset.
    searched: u64,
}

impl Read for Fragment<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let (offset, bytes) = (self.input.offset(), self.input.available());
            let known = usize::try_from(self.searched.saturating_sub(offset)).unwrap_or(0).min(bytes.len());
            let (count, found) = match find_header(bytes, known) {
                Some(at) => (at, true),
                None => (bytes.len().saturating_sub(BLOCK - 1).max(known), false),
            };
            self.searched = offset + count as u64;
            if count > 0 || found {
                let count = (&bytes[..count]).read(out)?;
                self.input.consume(count);
                return Ok(count);
            }
            if self.input.extend()? == 0 {
                // What is left is too short for a header.
                self.searched = offset + self.input.available().len() as u64;
                if self.input.available().is_empty() {
                    return Ok(0);
                }
            }
        }
    }
}

/// Where a header begins, at `from` or later. The oldest form has no magic bytes and is not found.
fn find_header(bytes: &[u8], from: usize) -> Option<usize> {
    let magic = memmem::find_iter(bytes.get(from + MAGIC_AT..)?, b"ustar");
    magic.map(|at| from + at).find(|&at| bytes.get(at..at + BLOCK).is_some_and(sniff::is_tar_header))
}
