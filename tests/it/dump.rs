//! Generated dumps (`examples/make_dump`): a sweep finds what was counted while they were made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{root, rows, scan};

/// Counters of expected.json that the totals of a report also have.
const TOTALS: [&str; 7] = ["files", "records", "events", "not_audit", "malformed", "duplicates", "suppressed"];

/// Cargo builds the examples with the tests, but not for `cargo test --test it`: one older than its sources would be
/// tested silently.
fn make_dump() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples/make_dump");
    let example = example.with_extension(std::env::consts::EXE_EXTENSION);
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let sources = fs::read_dir(root().join("examples/make_dump")).unwrap();
    let newest = sources.filter_map(|source| changed(&source.unwrap().path())).max();
    assert!(changed(&example) >= newest, "{} is out of date: cargo build --example make_dump", example.display());
    example
}

fn make(variant: &str, seed: &str, directory: &Path) {
    make_of("4MiB", variant, seed, directory);
}

fn make_of(size: &str, variant: &str, seed: &str, directory: &Path) {
    let arguments = ["--size", size, "--days", "5", "--variant", variant, "--seed", seed];
    let output = Command::new(make_dump()).args(arguments).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a dump, sweeps it, and compares; returns what was expected.
fn check(variant: &str) -> Value {
    let temporary = tempfile::tempdir().unwrap();
    make(variant, "7", temporary.path());
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let expected = read(&temporary.path().join("expected.json"));
    let (_kept, out, run) = scan(&[temporary.path().join("logs")], &[]);
    assert_eq!(run.exit, 0, "{variant}: {}", run.stderr);
    let totals = &read(&out.join("report.json"))["totals"];
    for name in TOTALS {
        assert_eq!(totals[name], expected["totals"][name], "{variant}: {name}");
    }
    assert_eq!(totals["ok"], expected["totals"]["files"], "{variant}");
    let severities = totals["hits"].as_object().unwrap().values();
    assert_eq!(severities.filter_map(Value::as_u64).sum::<u64>(), expected["totals"]["hits"], "{variant}: hits");
    compare_rows(variant, &expected["summary"], &out);
    expected
}

/// The summary, cell by cell.
fn compare_rows(variant: &str, expected: &Value, out: &Path) {
    let key = |row: &BTreeMap<String, String>| (row["namespace"].clone(), row["username"].clone());
    let found: BTreeMap<_, _> = rows(&out.join("summary.csv")).into_iter().map(|row| (key(&row), row)).collect();
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{variant}: rows");
    for row in expected {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let found = &found[&(text("namespace"), text("username"))];
        for (column, value) in row.as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(found[column], value, "{variant}: {column} of {row}");
        }
    }
}

fn sum(expected: &Value, column: &str) -> u64 {
    expected["summary"].as_array().unwrap().iter().filter_map(|row| row[column].as_u64()).sum()
}

#[test]
fn a_sweep_finds_what_a_dump_was_made_with() {
    let expected = check("mixed");
    for column in ["hits", "created", "modified", "deleted", "denied", "dry_run", "suppressed"] {
        assert!(sum(&expected, column) > 0, "the dump has something {column}");
    }
    assert!(expected["totals"]["not_audit"].as_u64() > Some(0));
}

#[test]
fn so_it_does_in_dumps_of_extremes() {
    for variant in ["candidates", "giant", "tiny", "long", "aks"] {
        let expected = check(variant);
        assert!(sum(&expected, "hits") > 0, "{variant}");
    }
}

#[test]
fn every_record_may_be_a_hit() {
    let expected = check("hits");
    assert_eq!(expected["totals"]["hits"], expected["totals"]["events"]);
    assert!(expected["summary"].as_array().unwrap().len() > 300, "hits of hundreds of users and namespaces");
}

/// So many hits that they go to temporary files; reading them back gives the same on any number of threads.
#[test]
fn hits_beyond_memory_are_the_same_hits() {
    let temporary = tempfile::tempdir().unwrap();
    make_of("40MiB", "hits", "3", temporary.path());
    let expected: Value = serde_json::from_slice(&fs::read(temporary.path().join("expected.json")).unwrap()).unwrap();
    let logs = [temporary.path().join("logs")];
    let (_one, out, run) = scan(&logs, &["--no-runbook", "-j1"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    compare_rows("hits", &expected["summary"], &out);
    let (_two, other, _) = scan(&logs, &["--no-runbook", "-j2"]);
    let without_clock = |out: &Path| {
        let mut files = bytes(out);
        files.remove(Path::new("run.json"));
        files
    };
    assert!(without_clock(&out) == without_clock(&other), "reports differ by threads");
}

/// If they cannot be written there, the run says so, and a case keeps nothing of what was lost.
#[test]
fn hits_that_find_no_room_are_no_success() {
    let temporary = tempfile::tempdir().unwrap();
    make_of("40MiB", "hits", "3", temporary.path());
    // One input with more hits than a source may hold: gzip files one after another are one gzip file.
    let logs = temporary.path().join("logs");
    let joined: Vec<u8> = bytes(&logs).into_values().flatten().collect();
    fs::remove_dir_all(&logs).unwrap();
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("all.gz"), joined).unwrap();
    let run = |room: &Path| {
        Command::new(env!("CARGO_BIN_EXE_kubesweep"))
            .args(["scan", "logs", "-o", "out", "--force", "--case", "case.db", "--no-runbook", "-q"])
            .current_dir(temporary.path())
            .env("TMPDIR", room)
            .output()
            .unwrap()
    };
    let failed = run(Path::new("/nowhere"));
    let told = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(2), "{told}");
    assert!(told.contains("/nowhere") || told.contains("temporary"), "{told}");
    assert!(!temporary.path().join("out/run.json").exists());
    assert_eq!(run(&std::env::temp_dir()).status.code(), Some(0));
    let expected: Value = serde_json::from_slice(&fs::read(temporary.path().join("expected.json")).unwrap()).unwrap();
    compare_rows("hits", &expected["summary"], &temporary.path().join("out"));
}

#[test]
fn a_seed_is_a_dump() {
    let (one, same, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (seed, directory) in [("1", &one), ("1", &same), ("2", &other)] {
        make("mixed", seed, directory.path());
    }
    assert_eq!(bytes(one.path()), bytes(same.path()));
    assert_ne!(bytes(one.path()), bytes(other.path()));
}

/// All files below a directory, by path.
fn bytes(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            all.extend(bytes(&path).into_iter().map(|(inner, bytes)| (name.join(inner), bytes)));
        } else {
            all.insert(name, fs::read(&path).unwrap());
        }
    }
    all
}
