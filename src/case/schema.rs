//! The tables of a case file. They are meant to be read by people too, except for `kept`.

/// `KSWP`: distinguishes a case file from other SQLite files.
pub(super) const APPLICATION_ID: i32 = 0x4B53_5750;

/// `PRAGMA user_version`: increased with every change of these tables, or of how an observation is written.
pub(super) const VERSION: i64 = 5;

pub(super) const TABLES: &str = "
CREATE TABLE inputs (             -- what was read: the same bytes once, whatever files have them
    id     INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    size   INTEGER NOT NULL,
    origin TEXT NOT NULL,         -- what options and path told of its cluster
    rules  TEXT NOT NULL,         -- hash of the rules and options that it was read with
    ledger TEXT NOT NULL,         -- its rows of inputs.csv when it was read, JSON
    UNIQUE (size, sha256, rules, origin)
);
CREATE TABLE files (              -- where it was found
    source TEXT PRIMARY KEY,      -- absolute path; of a stream '-:' and its SHA-256, of a member of one '-:/' and its name
    name   TEXT NOT NULL,         -- as evidence names it
    size   INTEGER NOT NULL,
    mtime  INTEGER NOT NULL,      -- nanoseconds since 1970
    input  INTEGER NOT NULL REFERENCES inputs (id)
);
CREATE INDEX files_by_name ON files (name);
CREATE INDEX files_by_input ON files (input, name);
CREATE TABLE kept (               -- what a run loads: some of the observations of an input, all of each
    input  INTEGER NOT NULL REFERENCES inputs (id) ON DELETE CASCADE,
    packed BLOB NOT NULL          -- Borsh, compressed by zstd
);
CREATE INDEX kept_by_input ON kept (input);
CREATE TABLE observations (       -- what they are: requests on CronJobs, rule matches, what controllers made of CronJobs
    input     INTEGER NOT NULL REFERENCES inputs (id) ON DELETE CASCADE,
    time      TEXT,
    cluster   TEXT,
    namespace TEXT,
    name      TEXT,
    username  TEXT,
    verb      TEXT,
    resource  TEXT,
    outcome   TEXT NOT NULL,
    matches   TEXT NOT NULL,      -- ids of the rules that match, joined by commas; exclusions not yet applied
    member    TEXT,               -- where its bytes are: member of an archive, number of the record, JSON Pointer from there
    record    INTEGER NOT NULL,
    pointer   TEXT NOT NULL
);
CREATE INDEX observations_by_input ON observations (input);
CREATE INDEX observations_by_time ON observations (time);
CREATE INDEX observations_by_user ON observations (username);
CREATE TABLE coverage (           -- when each cluster was seen, by the hour
    input   INTEGER NOT NULL REFERENCES inputs (id) ON DELETE CASCADE,
    cluster TEXT,
    first   TEXT NOT NULL,
    last    TEXT NOT NULL
);
CREATE INDEX coverage_by_input ON coverage (input);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIEW matches AS
    SELECT o.time, o.cluster, o.namespace, o.name, o.username, o.verb, o.outcome, o.matches,
           (SELECT min(f.name) FROM files f WHERE f.input = o.input) AS path,
           o.record
    FROM observations o WHERE o.matches <> '' ORDER BY o.time;
CREATE VIEW cronjob_requests AS
    SELECT o.time, o.cluster, o.namespace, o.name, o.username, o.verb, o.outcome,
           (SELECT min(f.name) FROM files f WHERE f.input = o.input) AS path
    FROM observations o WHERE o.resource = 'cronjobs' ORDER BY o.time;
";
