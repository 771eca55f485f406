//! The SQL statements of a case file.

use std::borrow::Cow;
use std::io::{self, Read};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{DAMAGED, Stamp, conversion};
use crate::aggregate::{Coverage, Interner, Observation, Tally};
use crate::discover::Source;
use crate::paths::is_there;
use crate::spill::{Heard, Spill, Told, pack, unpack};
use crate::threads::{self, each};

/// How many observations one row of `kept` holds.
const IN_A_ROW: usize = 256;
/// Rows that a thread takes at once.
const AT_A_TIME: usize = 16;

/// Some bytes, and what else decides what is observed in them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'b> {
    pub size: i64,
    /// `None` before they are hashed.
    pub sha256: Option<&'b str>,
    pub rules: &'b str,
    pub origin: &'b str,
}

/// Bytes that were read before.
#[derive(Debug)]
pub(super) struct Known {
    pub input: i64,
    pub sha256: String,
    /// Its ledger rows when it was read, as JSON.
    pub ledger: String,
    /// Whether the file is already linked to it, under its present name.
    pub in_place: bool,
}

/// Whether another file has this name.
pub(super) fn is_taken(connection: &Connection, name: &str, source: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM files WHERE name = ?1 AND source <> ?2)";
    connection.prepare_cached(sql)?.query_row([name, source], |row| row.get(0))
}

/// What an unchanged file contained.
pub(super) fn unchanged(
    connection: &Connection,
    source: &Source,
    stamp: &Stamp,
    bytes: &Bytes<'_>,
) -> rusqlite::Result<Option<Known>> {
    let sql = "SELECT i.id, i.sha256, i.ledger, f.name = ?6 FROM files f JOIN inputs i ON i.id = f.input
         WHERE f.source = ?1 AND f.size = ?2 AND f.mtime = ?3 AND i.rules = ?4 AND i.origin = ?5";
    let values = params![stamp.source, stamp.size, stamp.mtime, bytes.rules, bytes.origin, &*source.name];
    let known = |row: &rusqlite::Row<'_>| known(row, row.get(3)?);
    connection.prepare_cached(sql)?.query_row(values, known).optional()
}

/// Whether anything of this size was read before.
pub(super) fn has_size(connection: &Connection, bytes: &Bytes<'_>) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM inputs WHERE size = ?1 AND rules = ?2 AND origin = ?3)";
    connection.prepare_cached(sql)?.query_row(params![bytes.size, bytes.rules, bytes.origin], |row| row.get(0))
}

/// Finds bytes that were read before, in any file.
pub(super) fn find(connection: &Connection, bytes: &Bytes<'_>) -> rusqlite::Result<Option<Known>> {
    let sql = "SELECT id, sha256, ledger FROM inputs WHERE size = ?1 AND sha256 = ?2 AND rules = ?3 AND origin = ?4";
    let values = params![bytes.size, bytes.sha256, bytes.rules, bytes.origin];
    let known = |row: &rusqlite::Row<'_>| known(row, false);
    connection.prepare_cached(sql)?.query_row(values, known).optional()
}

fn known(row: &rusqlite::Row<'_>, in_place: bool) -> rusqlite::Result<Known> {
    Ok(Known { input: row.get(0)?, sha256: row.get(1)?, ledger: row.get(2)?, in_place })
}

/// Links a file to an input.
pub(super) fn point(connection: &Connection, source: &Source, stamp: &Stamp, input: i64) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO files (source, name, size, mtime, input) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![stamp.source, &*source.name, stamp.size, stamp.mtime, input];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

/// Removes the links of other files that no longer exist: the input was moved.
pub(super) fn forget_gone(connection: &Connection, source: &str, input: i64) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT source FROM files WHERE input = ?1 AND source <> ?2 AND source NOT LIKE '-:%'")?;
    let others = statement.query_map(params![input, source], |row| row.get(0))?;
    for other in others.collect::<rusqlite::Result<Vec<String>>>()? {
        if !is_there(&other) {
            connection.prepare_cached("DELETE FROM files WHERE source = ?1")?.execute([other])?;
        }
    }
    Ok(())
}

/// Drops the inputs that no file is linked to: the content of their files has changed.
pub(super) fn drop_unheld(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM inputs WHERE NOT EXISTS (SELECT 1 FROM files WHERE input = id)";
    connection.execute(sql, []).map(|_| ())
}

/// Stores what was read of a file. Replaces what the file contained before, and what other rules observed in the same
/// bytes.
pub(super) fn keep(
    connection: &mut Connection,
    source: &Source,
    stamp: &Stamp,
    bytes: &Bytes<'_>,
    tally: &Tally,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let input = match find(&transaction, bytes)? {
        Some(known) => known.input,
        None => add(&transaction, bytes, tally)?,
    };
    let before = held(&transaction, stamp)?;
    point(&transaction, source, stamp, input)?;
    drop_if_unheld(&transaction, before)?;
    supersede(&transaction, bytes, input)?;
    forget_gone(&transaction, &stamp.source, input)?;
    transaction.commit()
}

/// Removes what a file contained.
pub(super) fn forget(connection: &mut Connection, stamp: &Stamp) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let before = held(&transaction, stamp)?;
    transaction.execute("DELETE FROM files WHERE source = ?1", [&stamp.source])?;
    drop_if_unheld(&transaction, before)?;
    transaction.commit()
}

fn held(transaction: &Transaction<'_>, stamp: &Stamp) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT input FROM files WHERE source = ?1";
    transaction.prepare_cached(sql)?.query_row([&stamp.source], |row| row.get(0)).optional()
}

fn drop_if_unheld(transaction: &Transaction<'_>, input: Option<i64>) -> rusqlite::Result<()> {
    let sql = "DELETE FROM inputs WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE input = ?1)";
    transaction.prepare_cached(sql)?.execute([input]).map(|_| ())
}

/// Links to this input all files with the same bytes that were read with other rules, including files not in this run.
fn supersede(transaction: &Transaction<'_>, bytes: &Bytes<'_>, input: i64) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM inputs WHERE size = ?1 AND sha256 = ?2 AND origin = ?3 AND id <> ?4";
    let mut statement = transaction.prepare_cached(sql)?;
    let others = statement.query_map(params![bytes.size, bytes.sha256, bytes.origin, input], |row| row.get(0))?;
    for other in others.collect::<rusqlite::Result<Vec<i64>>>()? {
        transaction.prepare_cached("UPDATE files SET input = ?1 WHERE input = ?2")?.execute([input, other])?;
        drop_if_unheld(transaction, Some(other))?;
    }
    Ok(())
}

fn add(transaction: &Transaction<'_>, bytes: &Bytes<'_>, tally: &Tally) -> rusqlite::Result<i64> {
    let ledger = serde_json::to_string(&tally.inputs).map_err(conversion)?;
    let sql = "INSERT INTO inputs (sha256, size, origin, rules, ledger) VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.execute(sql, params![bytes.sha256, bytes.size, bytes.origin, bytes.rules, ledger])?;
    let input = transaction.last_insert_rowid();
    let mut some = Vec::new();
    for observation in tally.observations.read().map_err(conversion)? {
        let observation = observation.map_err(conversion)?;
        add_observation(transaction, input, &observation)?;
        some.push(observation);
        if some.len() == IN_A_ROW {
            keep_packed(transaction, input, &std::mem::take(&mut some))?;
        }
    }
    if !some.is_empty() {
        keep_packed(transaction, input, &some)?;
    }
    for (cluster, first, last) in tally.coverage.cells() {
        let sql = "INSERT INTO coverage VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(sql)?.execute(params![input, cluster, first.to_string(), last.to_string()])?;
    }
    Ok(input)
}

fn add_observation(transaction: &Transaction<'_>, input: i64, observation: &Observation) -> rusqlite::Result<()> {
    let (record, evidence) = (&observation.record, observation.evidence());
    let sql = "INSERT INTO observations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
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
        evidence.member,
        i64::try_from(evidence.record).unwrap_or(i64::MAX),
        evidence.pointer,
    ])?;
    Ok(())
}

fn keep_packed(
    transaction: &Transaction<'_>,
    input: i64,
    observations: &[Cow<'_, Observation>],
) -> rusqlite::Result<()> {
    let packed = packed(observations).map_err(conversion)?;
    let sql = "INSERT INTO kept VALUES (?1, ?2)";
    transaction.prepare_cached(sql)?.execute(params![input, packed]).map(|_| ())
}

fn packed(observations: &[Cow<'_, Observation>]) -> io::Result<Vec<u8>> {
    let (mut out, mut told) = (pack(Vec::new())?, Told::default());
    observations.iter().try_for_each(|observation| observation.write(&mut out, &mut told))?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()
}

/// Everything that was read. What was read with other rules is history without hits. Evidence uses the first of the
/// names that the bytes have now.
pub(super) fn load(connection: &Connection, rules: &str) -> rusqlite::Result<Tally> {
    let sql = "WITH named AS (SELECT i.id, i.rules = ?1 AS known, min(f.name) AS name
             FROM inputs i JOIN files f ON f.input = i.id GROUP BY i.id)
         SELECT k.packed, n.name, n.known FROM kept k JOIN named n ON n.id = k.input ORDER BY k.rowid";
    let mut statement = connection.prepare(sql)?;
    let rows =
        statement.query_map([rules], |row| Ok(Kept { packed: row.get(0)?, name: row.get(1)?, known: row.get(2)? }))?;
    let mut tally = observed(rows)?;
    load_coverage(connection, &mut tally.coverage)?;
    Ok(tally)
}

/// What the rows hold, read on all threads.
fn observed(mut rows: impl Iterator<Item = rusqlite::Result<Kept>>) -> rusqlite::Result<Tally> {
    let count = threads::count();
    let mut readers: Vec<_> = (0..count).map(|_| (Tally::one_of(count), Interner::default())).collect();
    loop {
        let some = (0..count).map(|_| rows.by_ref().take(AT_A_TIME).collect());
        let some = some.collect::<rusqlite::Result<Vec<Vec<Kept>>>>()?;
        if some.iter().all(Vec::is_empty) {
            break;
        }
        let read = |((tally, texts), rows): (&mut (Tally, Interner), Vec<Kept>)| {
            rows.into_iter().try_for_each(|row| row.read(tally, texts))
        };
        each((&mut readers, some), read).into_iter().collect::<io::Result<()>>().map_err(|_| conversion(DAMAGED))?;
    }
    let settled = each(readers, |(tally, _)| Tally { observations: tally.observations.settled(), ..tally });
    Ok(settled.into_iter().fold(Tally::default(), Tally::merge))
}

/// A row of `kept`.
struct Kept {
    packed: Vec<u8>,
    name: Arc<str>,
    /// Whether it was read with the rules of the run.
    known: bool,
}

impl Kept {
    /// Adds its observations. They share texts, or else each would have its own, and more of them would be spilled.
    fn read(self, tally: &mut Tally, texts: &mut Interner) -> io::Result<()> {
        let mut items = Vec::new();
        unpack(&*self.packed)?.read_to_end(&mut items)?;
        let (mut items, mut heard) = (&items[..], Heard::default());
        while !items.is_empty() {
            let mut observation = Observation::read(&mut items, &mut heard)?;
            if !self.known {
                observation.forget_matches();
            }
            if observation.evidence().path != self.name {
                Arc::make_mut(&mut observation.record).evidence.path = Arc::clone(&self.name);
            }
            observation.share(texts);
            tally.observations.push(observation);
        }
        Ok(())
    }
}

fn load_coverage(connection: &Connection, coverage: &mut Coverage) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT cluster, first, last FROM coverage")?;
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
