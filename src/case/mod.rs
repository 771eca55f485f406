//! The case file: what earlier runs observed, in SQLite, so that each input is read only once.
//!
//! Each input is stored in one transaction, once it was read to its end: a run that is killed loses only the input it
//! was reading. A run holds the file exclusively while it has it open.
//!
//! Files and their content are separate: before anything is read, every file is linked to the bytes that it has now,
//! all in one transaction, so that files that were renamed, rotated or copied keep what is known of their bytes.

mod schema;
mod store;

use std::cmp::Ordering;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction};
use serde::{Deserialize, Serialize};

use crate::aggregate::{Input, Status, Tally};
use crate::decode::hashed;
use crate::discover::{Found, Source, origin_of_path};
use crate::error::Error;
use crate::paths::printable;
use store::{Bytes, Known};

const DAMAGED: &str = "is damaged; move it away and read the inputs again into a new one";
/// How long a run waits for another one to release the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open case file.
#[derive(Debug)]
pub struct Case {
    path: PathBuf,
    /// Hash of everything that decides what is observed.
    rules: String,
    /// What the options say of the cluster.
    origin: String,
    connection: Mutex<Connection>,
    /// The first error while inputs were stored.
    problem: Mutex<Option<rusqlite::Error>>,
}

/// The rules requested by a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// As given to `--rules`.
    pub rules: Vec<String>,
    /// As given to `--tune`.
    pub tune: Option<PathBuf>,
    /// Hash of what the rules and their suppressions were then.
    #[serde(default)]
    pub texts: Option<String>,
}

impl Asked {
    /// Makes paths absolute, so that they are found from any directory.
    #[must_use]
    pub fn from_here(rules: &[String], tune: Option<&Path>) -> Self {
        let absolute = |rule: &String| {
            let path = Path::new(rule).canonicalize().ok().filter(|_| !rule.starts_with("builtin:"));
            path.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| rule.clone())
        };
        let tune = tune.map(|tune| tune.canonicalize().unwrap_or_else(|_| tune.to_owned()));
        Asked { rules: rules.iter().map(absolute).collect(), tune, texts: None }
    }
}

/// The state of a file when it was found.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    source: String,
    size: i64,
    mtime: i64,
}

impl Stamp {
    fn of(source: &Source) -> Option<Self> {
        let path = source.path.as_ref()?;
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let mtime = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Stamp {
            source: absolute(path)?,
            size: i64::try_from(metadata.len()).ok()?,
            mtime: i64::try_from(mtime.as_nanos()).ok()?,
        })
    }
}

fn absolute(path: &Path) -> Option<String> {
    Some(printable(path.canonicalize().ok()?.as_os_str().as_encoded_bytes()))
}

/// What a case knows of a file.
#[derive(Debug)]
pub struct Look {
    /// Before it was read; `None` for a stream.
    stamp: Option<Stamp>,
    /// What its bytes contained, if they were read before.
    known: Option<Known>,
}

impl Case {
    /// Opens or creates a case file, for inputs read with the rules of this hash.
    ///
    /// # Errors
    /// It is not a case file, has a later version, is in use by another run, or cannot be written.
    pub fn open(path: &Path, rules: String, origin: String) -> Result<Self, Error> {
        let problem = |problem: String| Error::Case { path: path.to_owned(), problem };
        // Opening a pipe could block forever.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(problem("is there and is not a file; name another".to_owned()));
        }
        create(path).map_err(|error| problem(format!("cannot be written: {error}")))?;
        let connection = connect(path).map_err(|error| problem(explain(&error)))?;
        let (connection, nothing) = (Mutex::new(connection), Mutex::new(None));
        Ok(Case { path: path.to_owned(), rules, origin, connection, problem: nothing })
    }

    /// Names inputs by their absolute paths if the case uses their names for other files, so that evidence stays
    /// unambiguous.
    pub fn name_apart(&self, found: &mut Found) -> Result<(), Error> {
        self.ask(|connection| {
            for source in &mut found.sources {
                let Some(path) = source.path.as_deref().and_then(absolute) else { continue };
                if store::is_taken(connection, &source.name, &path)? {
                    source.name = path.into();
                }
            }
            Ok(())
        })
    }

    /// Looks a file up. Hashes it only if it has changed and something of its size was read before.
    #[must_use]
    pub fn look(&self, source: &Source) -> Look {
        let stamp = Stamp::of(source);
        let known = stamp.as_ref().and_then(|stamp| self.known(source, stamp));
        Look { stamp, known }
    }

    fn known(&self, source: &Source, stamp: &Stamp) -> Option<Known> {
        let origin = self.origin(source);
        let mut bytes = Bytes { size: stamp.size, sha256: None, rules: &self.rules, origin: &origin };
        let same = self.note(|connection| store::unchanged(connection, source, stamp, &bytes))?;
        if same.is_some() || !self.note(|connection| store::has_size(connection, &bytes))? {
            return same;
        }
        let (size, sha256) = hashed(fs::File::open(source.path.as_ref()?).ok()?).ok()?;
        bytes.size = i64::try_from(size).ok()?;
        bytes.sha256 = Some(&sha256);
        self.note(|connection| store::find(connection, &bytes))?
    }

    /// Links all files to the bytes that they have now. Returns the rows of those that need not be read.
    ///
    /// # Errors
    /// The case cannot be written, or holds a row that cannot be read.
    pub fn settle(&self, sources: &[Source], looks: &[Look]) -> Result<Vec<Option<Input>>, Error> {
        self.ask(|connection| {
            let transaction = connection.transaction()?;
            for (source, look) in sources.iter().zip(looks) {
                let (Some(stamp), Some(known)) = (&look.stamp, &look.known) else { continue };
                if !known.in_place {
                    store::point(&transaction, source, stamp, known.input)?;
                }
                store::forget_gone(&transaction, &stamp.source, known.input)?;
            }
            // Not earlier: files may have exchanged their content.
            store::drop_unheld(&transaction)?;
            transaction.commit()
        })?;
        let row =
            |(source, look): (&Source, &Look)| look.known.as_ref().map(|known| in_case(source, known)).transpose();
        sources.iter().zip(looks).map(row).collect::<rusqlite::Result<_>>().map_err(|error| self.error(&error))
    }

    /// Stores what was read and returns only its ledger rows; observations come back through [`Case::load`]. If the
    /// file failed, changed meanwhile or could not be spilled, stores nothing and returns the whole tally.
    #[must_use]
    pub fn keep(&self, source: &Source, look: &Look, tally: Tally) -> Tally {
        let own = tally.inputs.iter().find(|input| input.member.is_none());
        let Some((own, sha256)) = own.and_then(|own| Some((own, own.sha256.clone()?))) else { return tally };
        let is_whole = own.status != Status::Failed && !tally.observations.has_failed();
        if !is_whole || Stamp::of(source) != look.stamp {
            if let Some(stamp) = &look.stamp {
                self.note(|connection| store::forget(connection, stamp));
            }
            return tally;
        }
        // A member of a tar stream replaces the one that had its name before.
        let named = if &*source.name == "-" { &sha256 } else { &format!("/{}", source.name) };
        let stream = Stamp { source: format!("-:{named}"), size: 0, mtime: 0 };
        let origin = self.origin(source);
        let size = i64::try_from(own.bytes).unwrap_or(i64::MAX);
        let bytes = Bytes { size, sha256: Some(&sha256), rules: &self.rules, origin: &origin };
        let stamp = look.stamp.as_ref().unwrap_or(&stream);
        self.note(|connection| store::keep(connection, source, stamp, &bytes, &tally));
        Tally { inputs: tally.inputs, ..Tally::default() }
    }

    /// What options and path say of the cluster: the same bytes elsewhere may belong to another cluster.
    fn origin(&self, source: &Source) -> String {
        format!("{} {:?}", self.origin, origin_of_path(&source.name))
    }

    /// All observations and all coverage, and how many inputs were read with other rules: their matches are unknown, so
    /// their observations are history without hits.
    ///
    /// # Errors
    /// The file cannot be read, or something could not be stored before.
    pub fn load(&self) -> Result<(Tally, u64), Error> {
        if let Some(error) = self.problem.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(self.error(&error));
        }
        self.ask(|connection| {
            let tally = store::load(connection, &self.rules)?;
            let others = "SELECT count(*) FROM inputs WHERE rules <> ?1";
            let others: i64 = connection.query_row(others, [&self.rules], |row| row.get(0))?;
            Ok((tally, others.unsigned_abs()))
        })
    }

    /// Remembers the rules requested by a run, for a runbook without a dump.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember(&self, asked: &Asked) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO meta VALUES ('rules', ?1), ('asked', ?2)";
        self.ask(|connection| {
            let asked = serde_json::to_string(asked).map_err(conversion)?;
            connection.execute(sql, [&self.rules, &asked]).map(|_| ())
        })
    }

    /// Opens a case file with what the last run requested.
    ///
    /// # Errors
    /// As for [`Case::open`]; or no run has been remembered.
    pub fn reopen(path: &Path) -> Result<(Self, Asked), Error> {
        let problem = match path.try_exists() {
            Ok(true) => None,
            Ok(false) => Some("is not there; name a dump to begin one".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem {
            return Err(Error::Case { path: path.to_owned(), problem });
        }
        let mut case = Case::open(path, String::new(), String::new())?;
        let sql = "SELECT (SELECT value FROM meta WHERE key = 'rules'), value FROM meta WHERE key = 'asked'";
        let found = case.ask(|connection| {
            connection.query_row(sql, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).optional()
        })?;
        let nothing =
            || Error::Case { path: path.to_owned(), problem: "holds no run yet; name a dump to read".to_owned() };
        let (rules, asked) = found.ok_or_else(nothing)?;
        case.rules = rules;
        let asked = serde_json::from_str(&asked).map_err(|error| case.error(&conversion(error)))?;
        Ok((case, asked))
    }

    fn ask<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        work(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|error| self.error(&error))
    }

    /// The same when no error can be returned: the first error ends the run later, in [`Case::load`].
    fn note<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Option<T> {
        let done = work(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner));
        done.map_err(|error| {
            self.problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error).to_string()
        })
        .ok()
    }

    fn error(&self, error: &rusqlite::Error) -> Error {
        Error::Case { path: self.path.clone(), problem: explain(error) }
    }
}

/// A case contains what users ran, so only its owner may read it.
#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(|_| ())
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path).map(|_| ())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    let id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let is_new: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0))?;
    if id != schema::APPLICATION_ID && !is_new {
        return Err(conversion("not a case file; name another file"));
    }
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Committed data survives a killed run. Only a power failure may lose the last inputs.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    prepare(&transaction, is_new)?;
    transaction.commit()?;
    Ok(connection)
}

fn prepare(transaction: &Transaction<'_>, is_new: bool) -> rusqlite::Result<()> {
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version.cmp(&schema::VERSION) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(conversion("was written by a later version of kubesweep; use that one")),
        Ordering::Less if is_new => {
            transaction.execute_batch(schema::TABLES)?;
            transaction.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", schema::VERSION)
        }
        Ordering::Less => Err(conversion(
            "was written by an earlier version of kubesweep; move it away and read the inputs again into a new one",
        )),
    }
}

fn conversion(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// What is wrong, and what to do.
fn explain(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::ToSqlConversionFailure(problem) => problem.to_string(),
        error => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "is in use by another run or program; wait for it, or use another file".to_owned()
            }
            Some(ErrorCode::NotADatabase) => "not a case file; name another file".to_owned(),
            Some(ErrorCode::DatabaseCorrupt) => DAMAGED.to_owned(),
            _ => error.to_string(),
        },
    }
}

/// The row of an input that need not be read.
fn in_case(source: &Source, known: &Known) -> rusqlite::Result<Input> {
    let mut input = Input::new(Arc::clone(&source.name), None);
    input.bytes = source.bytes;
    input.sha256 = Some(known.sha256.clone());
    let damaged = damaged(&known.ledger)?;
    input.in_case = damaged.as_ref().map(|row| row.status);
    input.problem(Status::Skipped, damaged.map_or_else(|| "in case".to_owned(), |row| was_damaged(&row)));
    Ok(input)
}

/// The gravest row of an input that was damaged when it was read: what was lost then is still missing.
fn damaged(ledger: &str) -> rusqlite::Result<Option<Input>> {
    let rows: Vec<Input> = serde_json::from_str(ledger).map_err(|_| conversion(DAMAGED))?;
    // Of equal rows the first; `max_by_key` takes the last.
    Ok(rows.into_iter().rev().filter(|row| row.status >= Status::Partial).max_by_key(|row| row.status))
}

fn was_damaged(row: &Input) -> String {
    let status = if row.status == Status::Failed { "failed" } else { "partial" };
    let member = row.member.as_ref().map(|member| format!("{member}: ")).unwrap_or_default();
    format!("in case; {status} when it was read: {member}{}", row.error.as_deref().unwrap_or_default())
}
