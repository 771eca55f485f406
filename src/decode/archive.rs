//! Tar and zip: every regular member becomes an input of its own.

use std::fmt::Write;
use std::io::{self, Cursor, Read, Seek};

use super::{Content, Hashing, Place, Walker, Window};

impl Walker<'_> {
    pub(super) fn tar<'r>(&mut self, input: Window<Box<dyn Read + 'r>>, place: &Place) {
        let mut archive = tar::Archive::new(input);
        let mut members = 0;
        let problem = match archive.entries() {
            Ok(entries) => self.tar_entries(entries, place, &mut members),
            Err(error) => Err(error),
        };
        let problem = problem.err().map(|error| format!("tar archive: {error}"));
        self.emit(place, Content::Archive(members, problem));
    }

    fn tar_entries<R: Read>(
        &mut self,
        entries: tar::Entries<'_, R>,
        place: &Place,
        members: &mut u64,
    ) -> io::Result<()> {
        for entry in entries {
            let mut entry = entry?;
            let name = printable(&entry.path_bytes());
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                    *members += 1;
                    self.member(&mut entry, &place.member(&name))?;
                }
                tar::EntryType::Directory => {}
                _ => self.emit(&place.member(&name), Content::Foreign("a link or device in the archive")),
            }
        }
        Ok(())
    }

    pub(super) fn zip<'r>(&mut self, mut input: Window<Box<dyn Read + 'r>>, place: &Place) {
        let outermost = place.layers == 1;
        if let Some(file) = self.file.take().filter(|_| outermost) {
            return self.zip_entries(file, place);
        }
        let limit = self.limits.max_record;
        let mut bytes = Vec::new();
        match input.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() > limit => {
                let problem =
                    format!("a zip inside a container may have {limit} bytes (--max-record); unpack it first");
                self.emit(place, Content::Failed(problem));
            }
            Ok(_) => self.zip_entries(Cursor::new(bytes), place),
            Err(error) => self.emit(place, Content::Failed(error.to_string())),
        }
    }

    fn zip_entries(&mut self, input: impl Read + Seek, place: &Place) {
        let mut archive = match zip::ZipArchive::new(input) {
            Ok(archive) => archive,
            Err(error) => return self.emit(place, Content::Failed(format!("zip archive: {error}"))),
        };
        let mut members = 0;
        for index in 0..archive.len() {
            let name = archive.by_index_raw(index).map(|file| printable(file.name_raw()));
            let inner = place.member(&name.unwrap_or_else(|_| format!("#{index}")));
            match archive.by_index(index) {
                Ok(file) if file.is_dir() => {}
                Ok(mut file) => {
                    members += 1;
                    // A member that stops early has said so where its text was read.
                    let _ = self.member(&mut file, &inner);
                }
                Err(error) => {
                    members += 1;
                    self.emit(&inner, Content::Failed(format!("zip member: {error}")));
                }
            }
        }
        self.emit(place, Content::Archive(members, None));
    }

    /// Visits one member and reports its hash, reading it to its end whatever the visitor read.
    fn member(&mut self, reader: &mut dyn Read, place: &Place) -> io::Result<()> {
        let mut hashed = Hashing::new(reader);
        self.descend(Window::new(Box::new(&mut hashed)), place);
        let drained = hashed.drain();
        let (bytes, sha256) = hashed.finish();
        if let Some(member) = &place.member {
            self.visitor.hashed(member, bytes, sha256);
        }
        drained
    }
}

/// A name for people: bytes that are not UTF-8 as `\xNN`.
pub(crate) fn printable(name: &[u8]) -> String {
    name.utf8_chunks().fold(String::new(), |mut out, chunk| {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02X}");
        }
        out
    })
}
