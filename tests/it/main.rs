//! End-to-end tests: everything here runs the binary, or reads what it wrote.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ahead;
mod case;
mod cases;
mod commands;
mod copies;
mod damage;
mod docs;
mod dump;
mod effects;
mod envelopes;
mod events;
mod evidence;
mod faults;
mod hostile;
mod interrupt;
mod laws;
mod manual;
mod oracle;
mod output;
mod readme;
mod redact;
mod rules;
mod runbook;
mod same;
mod shard;
mod stream;
mod tidy;
mod verify;
mod windows;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The result of a run of the binary.
struct Run {
    exit: i32,
    stdout: String,
    stderr: String,
}

/// Runs the binary in a directory.
fn kubesweep<S: AsRef<std::ffi::OsStr>>(directory: &Path, arguments: &[S]) -> Run {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_kubesweep"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the binary runs");
    Run {
        exit: output.status.code().expect("the binary is not killed"),
        stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
    }
}

/// Runs `scan` over some paths into a new directory, which lives as long as the first of the results.
fn scan(paths: &[PathBuf], options: &[&str]) -> (tempfile::TempDir, PathBuf, Run) {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path().join("out");
    let mut arguments: Vec<std::ffi::OsString> = vec!["scan".into()];
    arguments.extend(paths.iter().map(Into::into));
    arguments.extend(["-o".into(), out.clone().into()]);
    arguments.extend(options.iter().map(Into::into));
    let run = kubesweep(temporary.path(), &arguments);
    (temporary, out, run)
}

/// The hits that a scan wrote.
fn hits(out: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(out.join("hits.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of a CSV report as maps of its columns.
fn rows(file: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(file).unwrap().deserialize().map(Result::unwrap).collect()
}

/// All files of a report except the one that depends on the clock.
fn reports(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let named =
        files.map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(file).unwrap()));
    named.filter(|(name, _)| name != "run.json").collect()
}

/// The dump that tells a story.
fn dumps() -> PathBuf {
    root().join("fixtures/dumps")
}

/// Bytes as one gzip member.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
