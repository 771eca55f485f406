//! Tar and zip: every regular member becomes an input of its own.

use std::fmt::Write;
use std::io::{self, Cursor, Read, Seek};

use crate::paths::printable;

use super::{Content, Hashing, Place, Walker, Window};

impl Walker<'_> {
    pub(super) fn tar<'r>(&mut self, input: Window<Box<dyn Read + 'r>>, place: &Place) {
        let mut archive = tar::Archive::new(input);
        // Archives that were put one behind the other have end marks between them.
        archive.set_ignore_zeros(true);
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
            if self.spreads(place) {
                let (kind, size) = (entry.header().entry_type(), entry.size());
                *members += u64::from(self.source(&name, kind, size, &mut entry)?);
                continue;
            }
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                    *members += 1;
                    let inner = self.inner(place, &name);
                    self.member(&mut entry, &inner)?;
                }
                tar::EntryType::Directory => {}
                _ => {
                    let inner = self.inner(place, &name);
                    self.emit(&inner, Content::Foreign("a link or device in the archive"));
                }
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
                let problem = format!(
                    "a zip that is not a file of its own may have {limit} bytes (--max-record); unpack it first"
                );
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
            let inner = self.inner(place, &name.unwrap_or_else(|_| format!("#{index}")));
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

    /// The place of a member; a second one of the same name is told apart by its number.
    fn inner(&mut self, place: &Place, name: &str) -> Place {
        let mut inner = place.member(name);
        inner.member = inner.member.map(|member| self.told_apart(member));
        inner
    }

    pub(super) fn told_apart(&mut self, mut name: String) -> String {
        let seen = self.seen.entry(name.clone()).or_insert(0_u32);
        *seen += 1;
        if *seen > 1 {
            let _ = write!(name, "#{seen}");
        }
        name
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
