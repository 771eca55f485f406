//! The case file: what earlier runs observed, in SQLite, so that an input is read once.
//!
//! One transaction an input, when it was read to its end; a run that is killed loses the input it was at and no more.
//! The file is held exclusively while a run has it open.

mod schema;

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::aggregate::{Coverage, Input, Observation, Status, Tally};
use crate::decode::Hashing;
use crate::discover::{Found, Source, origin_of_path};
use crate::error::Error;
use crate::paths::printable;

const DAMAGED: &str = "is damaged; move it away and read the inputs again into a new one";
/// How long a run waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open case file.
#[derive(Debug)]
pub struct Case {
    path: PathBuf,
    /// Hash of everything that decides what an observation is.
    rules: String,
    /// What the options tell of the cluster.
    origin: String,
    /// Number of this run.
    run: i64,
    connection: Mutex<Connection>,
    /// The first thing that went wrong while inputs were kept.
    problem: Mutex<Option<rusqlite::Error>>,
}

/// The rules that a run asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// As `--rules` has them.
    pub rules: Vec<String>,
    /// As `--tune` has it.
    pub tune: Option<PathBuf>,
}

impl Asked {
    /// Paths as they are found from anywhere.
    #[must_use]
    pub fn from_here(rules: &[String], tune: Option<&Path>) -> Self {
        let absolute = |rule: &String| {
            let path = Path::new(rule).canonicalize().ok().filter(|_| !rule.starts_with("builtin:"));
            path.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| rule.clone())
        };
        let tune = tune.map(|tune| tune.canonicalize().unwrap_or_else(|_| tune.to_owned()));
        Asked { rules: rules.iter().map(absolute).collect(), tune }
    }
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    source: String,
    size: i64,
    mtime: i64,
    /// What options and path tell of the cluster: the same bytes elsewhere may be another cluster's.
    origin: String,
}

impl Stamp {
    fn of(source: &Source, origin: &str) -> Option<Self> {
        let path = source.path.as_ref()?;
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let mtime = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Stamp {
            source: printable(path.canonicalize().ok()?.as_os_str().as_encoded_bytes()),
            size: i64::try_from(metadata.len()).ok()?,
            mtime: i64::try_from(mtime.as_nanos()).ok()?,
            origin: format!("{origin} {:?}", origin_of_path(&source.name)),
        })
    }
}

impl Case {
    /// Opens a case file, or begins one, for inputs that are read with the rules of this hash.
    ///
    /// # Errors
    /// It is no case file, is of a later version, is in use by another run, or cannot be written.
    pub fn open(path: &Path, rules: String, origin: String) -> Result<Self, Error> {
        let problem = |problem: String| Error::Case { path: path.to_owned(), problem };
        create(path).map_err(|error| problem(format!("cannot be written: {error}")))?;
        let connection = connect(path).map_err(|error| problem(explain(&error)))?;
        let run = "SELECT coalesce(max(run), 0) + 1 FROM inputs";
        let run = connection.query_row(run, [], |row| row.get(0)).map_err(|error| problem(explain(&error)))?;
        let (connection, nothing) = (Mutex::new(connection), Mutex::new(None));
        Ok(Case { path: path.to_owned(), rules, origin, run, connection, problem: nothing })
    }

    /// Gives inputs whose names the case has for other files their absolute paths as names, so that evidence stays
    /// unambiguous.
    pub fn name_apart(&self, found: &mut Found) -> Result<(), Error> {
        for source in &mut found.sources {
            let Some(stamp) = self.stamp(source) else { continue };
            let sql = "SELECT source FROM inputs WHERE name = ?1 AND source <> ?2 LIMIT 1";
            let other: Option<String> = self.ask(|connection| {
                connection.query_row(sql, params![&*source.name, stamp.source], |row| row.get(0)).optional()
            })?;
            if other.is_some() {
                source.name = stamp.source.into();
            }
        }
        Ok(())
    }

    /// A file as it is now; `None` where it is none.
    #[must_use]
    pub fn stamp(&self, source: &Source) -> Option<Stamp> {
        Stamp::of(source, &self.origin)
    }

    /// The row of an input that need not be read: unchanged, or the same bytes under another name.
    #[must_use]
    pub fn recall(&self, source: &Source, stamp: &Stamp) -> Option<Input> {
        let sha256 = self.unchanged(stamp).or_else(|| self.same_bytes(stamp, source))?;
        let mut input = Input::new(Arc::clone(&source.name), None);
        input.bytes = source.bytes;
        input.sha256 = Some(sha256);
        input.problem(Status::Skipped, "in case");
        Some(input)
    }

    fn unchanged(&self, stamp: &Stamp) -> Option<String> {
        let sql =
            "SELECT sha256 FROM inputs WHERE source = ?1 AND size = ?2 AND mtime = ?3 AND rules = ?4 AND origin = ?5
             UNION SELECT i.sha256 FROM aliases a JOIN inputs i ON i.id = a.input
             WHERE a.source = ?1 AND a.size = ?2 AND a.mtime = ?3 AND i.rules = ?4 AND i.origin = ?5";
        let values = params![stamp.source, stamp.size, stamp.mtime, self.rules, stamp.origin];
        self.note(|connection| connection.query_row(sql, values, |row| row.get(0)).optional())?
    }

    /// Hashes a file only if an earlier run read one of its size. Two that are new in one run are both read, so that no
    /// row depends on which thread was faster.
    fn same_bytes(&self, stamp: &Stamp, source: &Source) -> Option<String> {
        let sql = "SELECT 1 FROM inputs WHERE size = ?1 AND rules = ?2 AND run < ?3 LIMIT 1";
        let values = params![stamp.size, self.rules, self.run];
        self.note(|connection| connection.query_row(sql, values, |_| Ok(())).optional())??;
        let mut hashing = Hashing::new(std::fs::File::open(source.path.as_ref()?).ok()?);
        hashing.drain().ok()?;
        let (_, sha256) = hashing.finish();
        let bytes = Bytes { sha256: &sha256, rules: &self.rules, before: self.run };
        self.note(|connection| alias(connection, stamp, source, bytes))?.then_some(sha256)
    }

    /// Keeps what was read of an input, in place of what the case had of it, and gives back its rows alone: the
    /// observations come again with [`Case::load`]. An input that failed, or that changed while it was read, is not
    /// kept, so that it is read again: what there is of it comes back whole.
    #[must_use]
    pub fn keep(&self, source: &Source, before: Option<Stamp>, tally: Tally) -> Tally {
        let own = tally.inputs.iter().find(|input| input.member.is_none());
        let Some(sha256) = own.and_then(|input| input.sha256.clone()) else { return tally };
        let failed = own.is_some_and(|input| input.status == Status::Failed);
        if failed || self.stamp(source) != before {
            if let Some(stamp) = before {
                self.note(|connection| forget(connection, &stamp));
            }
            return tally;
        }
        let unnamed = || Stamp { source: format!("-:{sha256}"), size: 0, mtime: 0, origin: self.origin.clone() };
        let stamp = before.unwrap_or_else(unnamed);
        let bytes = Bytes { sha256: &sha256, rules: &self.rules, before: i64::MAX };
        self.note(|connection| store(connection, &stamp, source, bytes, self.run, &tally));
        Tally { inputs: tally.inputs, ..Tally::default() }
    }

    /// All observations and all coverage, and how many inputs were read with other rules: what these matched is not known,
    /// so their observations are history without hits.
    ///
    /// # Errors
    /// The file cannot be read, or something could not be kept before.
    pub fn load(&self) -> Result<(Tally, u64), Error> {
        if let Some(error) = self.problem.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(self.error(&error));
        }
        self.ask(|connection| {
            let mut tally = Tally::default();
            // Evidence takes the first name that the bytes have now, whichever was read.
            let sql = "WITH named AS (SELECT id, min(name, coalesce(
                     (SELECT min(a.name) FROM aliases a WHERE a.input = i.id), name)) AS name FROM inputs i)
                 SELECT o.json, n.name, i.rules = ?1 FROM observations o JOIN named n ON n.id = o.input
                 JOIN inputs i ON i.id = o.input ORDER BY o.id";
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([&self.rules])?;
            while let Some(row) = rows.next()? {
                let (text, name, known): (String, String, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let mut observation: Observation = serde_json::from_str(&text).map_err(|_| conversion(DAMAGED))?;
                if !known {
                    observation.forget_matches();
                }
                if *observation.record.evidence.path != *name {
                    Arc::make_mut(&mut observation.record).evidence.path = name.into();
                }
                tally.observations.push(observation);
            }
            load_coverage(connection, &mut tally.coverage)?;
            let others = "SELECT count(*) FROM inputs WHERE rules <> ?1";
            let others: i64 = connection.query_row(others, [&self.rules], |row| row.get(0))?;
            Ok((tally, others.unsigned_abs()))
        })
    }

    /// Remembers which rules a run asked for, for a runbook without a dump.
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

    /// Opens a case file for what the last run asked for.
    ///
    /// # Errors
    /// As for [`Case::open`]; or no run has been remembered.
    pub fn reopen(path: &Path) -> Result<(Self, Asked), Error> {
        if !path.exists() {
            return Err(Error::Case {
                path: path.to_owned(),
                problem: "is not there; name a dump to begin one".to_owned(),
            });
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

    /// The same where nobody can be told now: the first error ends the run at its end.
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

/// A case holds what users ran, so it is its owner's alone.
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
    // What was committed survives a killed run; only a machine that loses power may lose the last inputs.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    migrate(&transaction)?;
    transaction.commit()?;
    Ok(connection)
}

fn migrate(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or_default();
    let later = || conversion("was written by a later version of kubesweep; use that one");
    for step in schema::MIGRATIONS.get(done..).ok_or_else(later)? {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(schema::MIGRATIONS.len()).unwrap_or_default())
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
                "is in use by another run; wait for it, or use another file".to_owned()
            }
            Some(ErrorCode::NotADatabase) => "not a case file; name another file".to_owned(),
            Some(ErrorCode::DatabaseCorrupt) => DAMAGED.to_owned(),
            _ => error.to_string(),
        },
    }
}

/// What an input held, read with which rules, in a run before which.
#[derive(Clone, Copy)]
struct Bytes<'b> {
    sha256: &'b str,
    rules: &'b str,
    before: i64,
}

/// Notes that a file has the bytes of an input, which moves there if its own file is gone; false where none has them.
fn alias(connection: &Connection, stamp: &Stamp, source: &Source, bytes: Bytes<'_>) -> rusqlite::Result<bool> {
    let sql = "SELECT id, source FROM inputs WHERE size = ?1 AND sha256 = ?2 AND rules = ?3 AND run < ?4
         AND origin = ?6 ORDER BY source <> ?5, id";
    let values = params![stamp.size, bytes.sha256, bytes.rules, bytes.before, stamp.source, stamp.origin];
    let known = connection.query_row(sql, values, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
    let Some((input, bearer)) = known.optional()? else { return Ok(false) };
    let values = params![stamp.source, &*source.name, stamp.size, stamp.mtime, input];
    if bearer == stamp.source || !Path::new(&bearer).exists() {
        let sql = "UPDATE inputs SET source = ?1, name = ?2, size = ?3, mtime = ?4 WHERE id = ?5";
        connection.execute(sql, values)?;
    } else {
        connection.execute("INSERT OR REPLACE INTO aliases VALUES (?1, ?2, ?3, ?4, ?5)", values)?;
    }
    Ok(true)
}

/// Puts an input in place of what its source held before. The same bytes under another name count once.
fn store(
    connection: &mut Connection,
    stamp: &Stamp,
    source: &Source,
    bytes: Bytes<'_>,
    run: i64,
    tally: &Tally,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    release(&transaction, &stamp.source)?;
    if alias(&transaction, stamp, source, bytes)? {
        return transaction.commit();
    }
    let ledger = serde_json::to_string(&tally.inputs).map_err(conversion)?;
    let sql = "INSERT INTO inputs (source, name, size, mtime, sha256, rules, run, ledger, origin)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![
        stamp.source,
        &*source.name,
        stamp.size,
        stamp.mtime,
        bytes.sha256,
        bytes.rules,
        run,
        ledger,
        stamp.origin
    ];
    transaction.execute(sql, values)?;
    let input = transaction.last_insert_rowid();
    for observation in &tally.observations {
        store_observation(&transaction, input, observation)?;
    }
    for (cluster, first, last) in tally.coverage.cells() {
        let sql = "INSERT INTO coverage VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(sql)?.execute(params![input, cluster, first.to_string(), last.to_string()])?;
    }
    transaction.commit()
}

/// Takes back what a source held.
fn forget(connection: &mut Connection, stamp: &Stamp) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    release(&transaction, &stamp.source)?;
    transaction.commit()
}

/// Takes an input's source from it; where other names have its bytes it goes on under one of these.
fn release(transaction: &Transaction<'_>, source: &str) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM aliases WHERE source = ?1", [source])?;
    let sql = "SELECT a.source FROM aliases a JOIN inputs i ON i.id = a.input WHERE i.source = ?1 ORDER BY 1 LIMIT 1";
    let heir: Option<String> = transaction.query_row(sql, [source], |row| row.get(0)).optional()?;
    match heir {
        Some(heir) => {
            let sql = "UPDATE inputs SET (source, name, size, mtime) =
                 (SELECT source, name, size, mtime FROM aliases WHERE source = ?2) WHERE source = ?1";
            transaction.execute(sql, [source, &heir])?;
            transaction.execute("DELETE FROM aliases WHERE source = ?1", [&heir])?;
        }
        None => {
            transaction.execute("DELETE FROM inputs WHERE source = ?1", [source])?;
        }
    }
    Ok(())
}

fn store_observation(transaction: &Transaction<'_>, input: i64, observation: &Observation) -> rusqlite::Result<()> {
    let record = &observation.record;
    let json = serde_json::to_string(observation).map_err(conversion)?;
    let sql = "INSERT INTO observations (input, time, cluster, namespace, name, username, verb, resource, outcome, matches, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    transaction.prepare_cached(sql)?.execute(params![
        input,
        record.time.map(|time| time.to_string()),
        record.cluster,
        record.namespace,
        record.name,
        record.username,
        record.verb,
        record.resource,
        record.outcome.name(),
        observation.rule_ids().join(","),
        json
    ])?;
    Ok(())
}

fn load_coverage(connection: &Connection, coverage: &mut Coverage) -> rusqlite::Result<()> {
    let sql = "SELECT cluster, first, last FROM coverage";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cluster: Option<String> = row.get(0)?;
        for column in [1, 2] {
            let text: String = row.get(column)?;
            coverage.add(cluster.as_deref(), text.parse().map_err(|error: jiff::Error| conversion(error))?);
        }
    }
    Ok(())
}
