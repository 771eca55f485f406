//! The report directory: refused if it is not empty, written file by file, marked complete at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::decode::hashed;
use crate::error::Error;

/// The file that is removed first and written last: a directory without it is incomplete.
pub const MARK: &str = "run.json";

/// Bytes written at once.
const WRITTEN: usize = 64 << 10;

/// A directory that reports are written to.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Accepts a new or empty directory; with `force`, any directory, in which only the report files are touched.
    ///
    /// # Errors
    /// It is not empty, or cannot be created or written.
    pub fn create(path: &Path, force: bool) -> Result<Self, Error> {
        let output = |source| Error::Output { path: path.to_owned(), source };
        if path.is_file() {
            return Err(output(io::ErrorKind::NotADirectory.into()));
        }
        create_private(path).map_err(output)?;
        let mut entries = fs::read_dir(path).map_err(output)?;
        if !force && entries.next().is_some() {
            return Err(Error::OutputNotEmpty(path.to_owned()));
        }
        let directory = Directory { path: path.to_owned() };
        if let Some((name, _)) =
            super::FILES.iter().chain(&super::RUNBOOK_FILES).find(|(name, _)| path.join(name).is_dir())
        {
            return Err(directory.error(name, io::ErrorKind::IsADirectory.into()));
        }
        directory.remove(MARK)?;
        directory.probe()?;
        Ok(directory)
    }

    /// Removes a report that an earlier run left.
    ///
    /// # Errors
    /// The report exists and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.path.join(name)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.error(name, source)),
            _ => Ok(()),
        }
    }

    /// Checks that files can be written here, before the long work begins.
    fn probe(&self) -> Result<(), Error> {
        let name = ".kubesweep-probe.tmp";
        let path = self.path.join(name);
        let written = create_file(&path).and_then(|_| fs::remove_file(&path));
        written.map_err(|source| Error::Output { path: self.path.clone(), source })
    }

    /// Writes one report under a temporary name, renames it, and returns its SHA-256.
    ///
    /// # Errors
    /// It cannot be written; the temporary file is removed.
    pub fn write(&self, name: &str, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<String, Error> {
        let temporary = self.path.join(format!(".{name}.tmp"));
        let written = write_file(&temporary, content).and_then(|()| fs::rename(&temporary, self.path.join(name)));
        if written.is_err() {
            // It may not even have been created; the first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        let hash = || Ok(hashed(File::open(self.path.join(name))?)?.1);
        written.and_then(|()| hash()).map_err(|source| self.error(name, source))
    }

    fn error(&self, name: &str, source: io::Error) -> Error {
        Error::Output { path: self.path.join(name), source }
    }
}

fn write_file(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(WRITTEN, create_file(path)?);
    content(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Creates a new file. Replaces what a killed run left under its name, and follows no link there.
fn create_file(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create_new(path),
    }
}

/// Reports quote what users ran, so only the user may read them.
#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn create_new(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(not(unix))]
fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
