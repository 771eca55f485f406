//! Zip. Its directory stands at its end; where that is lost, members are found by the headers in front of them.

use std::io::{self, BufRead, Cursor, Read, Seek};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use memchr::memmem;
use zip::CompressionMethod;
use zip::read::{ZipFile, read_zipfile_from_stream};
use zip::result::ZipResult;

use super::archive::Part;
use super::{Content, Damage, Place, Walker, Window};
use crate::paths::printable;

/// The start of a header in front of a member.
const LOCAL: &[u8] = b"PK\x03\x04";

impl Walker<'_> {
    pub(super) fn zip<'r>(&mut self, mut input: Window<Box<dyn Read + 'r>>, place: &Place) {
        let outermost = place.layers == 1;
        if let Some(file) = self.file.take().filter(|_| outermost) {
            return self.zip_entries(file, place, None);
        }
        let limit = self.limits.max_record;
        let (mut bytes, mut problem) = (Vec::new(), None);
        loop {
            let room = (limit + 1).saturating_sub(bytes.len()) as u64;
            match input.by_ref().take(room).read_to_end(&mut bytes) {
                // Its members have checksums of their own, and what is lost of them shows.
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
        let mut archive = match zip::ZipArchive::new(&mut input) {
            Ok(archive) => archive,
            Err(error) => {
                let problem = format!("zip archive: {error}");
                return match input.rewind() {
                    Ok(()) => self.zip_stream(Window::new(input), place, problem),
                    Err(_) => self.emit(place, Content::Failed(problem)),
                };
            }
        };
        let mut members = 0;
        for index in 0..archive.len() {
            let name = archive.by_index_raw(index).map(|file| printable(file.name_raw()));
            let inner = self.inner(place, &name.unwrap_or_else(|_| format!("#{index}")));
            if let Some(mut file) = archive.by_index_raw(index).ok().and_then(Inflating::of) {
                members += 1;
                self.member(&mut Part::checked(&mut file), &inner);
            } else {
                members += self.other_member(archive.by_index(index), &inner);
            }
            if let Some(spent) = self.spent() {
                problem = Some(spent);
                break;
            }
        }
        self.emit(place, Content::Archive(members, problem));
    }

    /// A member of a rarer kind; gives how many it is, for a directory is none.
    fn other_member(&mut self, file: ZipResult<ZipFile<'_, impl Read>>, inner: &Place) -> u64 {
        match file {
            Ok(file) if file.is_dir() => return 0,
            Ok(mut file) => self.member(&mut Part::checked(&mut file), inner),
            Err(error) => self.emit(inner, Content::Failed(format!("zip member: {error}"))),
        }
        1
    }

    /// Members in the order in which they stand. Those that do not say how long they are cannot be read so.
    fn zip_stream(&mut self, mut input: Window<impl Read>, place: &Place, problem: String) {
        let mut members = 0;
        while find_local(&mut input) && self.spent().is_none() {
            members += 1;
            match read_zipfile_from_stream(&mut input) {
                Ok(Some(mut file)) => {
                    let inner = self.inner(place, &printable(file.name_raw()));
                    if !file.is_dir() {
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
}

/// A member as nearly all are, to the end of its text: the zip crate ends one where it grows beyond the length that it
/// declares, which may be what is damaged, and takes one that is shorter for whole.
struct Inflating<'f> {
    text: Box<dyn Read + 'f>,
    crc: Crc,
    read: u64,
    /// What the directory says of it.
    declared: (u32, u64),
}

impl<'f> Inflating<'f> {
    fn of<R: Read + 'f>(file: ZipFile<'f, R>) -> Option<Self> {
        if file.is_dir() || file.encrypted() {
            return None;
        }
        let declared = (file.crc32(), file.size());
        let text: Box<dyn Read + 'f> = match file.compression() {
            CompressionMethod::Stored => Box::new(file),
            CompressionMethod::Deflated => Box::new(DeflateDecoder::new(file)),
            _ => return None,
        };
        Some(Inflating { text, crc: Crc::new(), read: 0, declared })
    }
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

/// Goes to the next header of a member.
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
