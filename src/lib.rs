//! kubesweep: forensic sweeps over historical Kubernetes audit logs.
//!
//! # The map
//!
//! Data flows one way, and the modules come in this order:
//!
//! ```text
//! discover → decode → frame → unwrap → normalize → evaluate → aggregate → runbook → report
//!  sources    bytes   documents leaves  AuditEvent  matches    Tally → Finished       files
//! └──────────── I/O, may fail ─────────┘└─────────── pure, cannot fail ───────────┘└ I/O ┘
//!                  sweep runs the first six over all sources, in parallel
//! ```
//!
//! - [`discover`] finds the files; it opens none.
//! - [`decode`] turns bytes into text, through compression and archives; it knows no JSON.
//! - [`frame`] turns text into documents and says where each one is; it knows no envelope.
//! - [`unwrap`] turns documents into records, through the envelopes of clouds and forwarders; it reads no field
//!   of an audit event.
//! - [`normalize`] turns records of any platform into an [`event::AuditEvent`], cut ones included.
//! - [`rule`] and [`evaluate`] say what matches; they see one event at a time. [`testing`] runs the tests in rules.
//! - [`aggregate`] keeps observations; only its `finish` counts.
//! - [`case`] stores observations between runs, [`partial`] carries them between machines.
//! - [`runbook`] says what they mean: the three steps, the indicators, the verdict.
//! - [`redact`] masks secrets in finished results.
//! - [`report`] prints; it computes no new facts.
//! - [`events`] prints events as they are read, instead of counting hits.
//! - [`verify`] compares reports and dump with what the reports say of them.
//! - [`sweep`] is the loop over sources and threads, [`cli`] the command line, [`progress`] the display.
//! - [`stats`] times the stages, on request.
//! - [`error`] says why a command failed. `paths` reads what names of files and cloud resources say, `names`
//!   those of columns; `words` prints counts, sizes and times for people.
//! - [`json`] and [`time`] read what logs write, leniently; [`schedule`] reads schedules as Kubernetes does; [`spill`]
//!   sorts more than memory holds; [`threads`] does work on all threads.
//!
//! # Invariants
//!
//! 1. Nothing is lost silently: every record ends in exactly one counter, `records = events + not_audit + malformed`.
//! 2. Reports are a function of input bytes and options: not of threads, shares, walk order, hash seed, clock or locale.
//! 3. Memory is bounded by threads × largest record, a fixed buffer for sorting, groups, inputs, hours covered, a few
//!    hundred bytes per alert, and what the runbook remembers of one cluster at a time: its CronJobs, the writes on them,
//!    and when their Jobs and Pods were made. Beyond these, neither the size of the input nor the number of hits counts.
//! 4. One bad source cannot end the run, hide another, or turn the exit status to success.
//! 5. `normalize`, `evaluate`, `aggregate` and `runbook` cannot fail and touch nothing outside, except temporary files
//!    of a sort.
//! 6. Text from the log is hostile: it is escaped by the format that prints it, and only there.
//! 7. No network, and no `unsafe` in this crate.

pub mod error;
pub mod json;
mod names;
mod paths;
pub mod schedule;
pub mod spill;
pub mod stats;
pub mod threads;
pub mod time;
mod words;

pub mod discover;

pub mod decode;

pub mod frame;

pub mod unwrap;

pub mod event;
pub mod normalize;

pub mod rule;

pub mod evaluate;
pub mod testing;

pub mod aggregate;

pub mod case;

pub mod partial;

pub mod runbook;

pub mod redact;

pub mod report;

pub mod sweep;

pub mod events;

pub mod verify;

pub mod progress;

pub mod cli;
