//! `verify` names everything that has changed since the sweep, and nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Run, kubesweep, scan};

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/n/cronjobs","verb":"create","user":{"username":"u"},"objectRef":{"resource":"cronjobs","namespace":"n","name":"x"},"responseStatus":{"code":201},"requestReceivedTimestamp":"2026-11-24T03:00:00Z"}"#;

/// A dump with names that CSV and terminals escape, and its report inside it.
fn swept(here: &Path) {
    for (name, text) in
        [("dump/a.log", EVENT), ("dump/=b.log", EVENT), ("dump/c/d.log", EVENT), ("dump/\u{1b}[31m", EVENT)]
    {
        fs::create_dir_all(here.join(name).parent().unwrap()).unwrap();
        fs::write(here.join(name), text).unwrap();
    }
    assert_eq!(kubesweep(here, &["scan", "dump", "-o", "dump/out", "-q"]).exit, 0);
}

fn verify(here: &Path, more: &[&str]) -> Run {
    kubesweep(here, &[&["verify", "dump/out"], more].concat())
}

#[test]
fn what_is_as_written_is_said_to_be() {
    let here = tempfile::tempdir().unwrap();
    swept(here.path());
    let run = verify(here.path(), &[]);
    assert_eq!((run.exit, &run.stdout[..]), (0, "verified   12 reports: all as written\n"), "{}", run.stderr);
    let run = verify(here.path(), &["--dump", "dump"]);
    let told = "verified   12 reports, 4 inputs (0 more have no hash): all as written\n";
    assert_eq!((run.exit, &run.stdout[..]), (0, told));
}

#[cfg(unix)]
#[test]
fn names_are_compared_as_they_are_printed() {
    use std::os::unix::ffi::OsStrExt;
    let here = tempfile::tempdir().unwrap();
    swept(here.path());
    let latin = here.path().join("other").join(std::ffi::OsStr::from_bytes(b"caf\xe9.log"));
    fs::create_dir(here.path().join("other")).unwrap();
    fs::write(latin, EVENT).unwrap();
    fs::remove_dir_all(here.path().join("dump/out")).unwrap();
    assert_eq!(kubesweep(here.path(), &["scan", "dump", "other", "-o", "dump/out", "-q"]).exit, 0);
    assert_eq!(verify(here.path(), &["--dump", "dump", "--dump", "other"]).exit, 0);
    assert_eq!(verify(here.path(), &["--dump", "dump"]).exit, 1, "one PATH has other names than two");
}

#[test]
fn every_difference_is_named() {
    let here = tempfile::tempdir().unwrap();
    swept(here.path());
    let out = here.path().join("dump/out");
    let changed = fs::read_to_string(out.join("hits.csv")).unwrap().replacen("2026", "2025", 1);
    fs::write(out.join("hits.csv"), changed).unwrap();
    fs::remove_file(out.join("runbook.md")).unwrap();
    fs::remove_file(out.join("alerts.csv")).unwrap();
    fs::create_dir(out.join("alerts.csv")).unwrap();
    fs::write(out.join("notes.txt"), "").unwrap();
    fs::write(here.path().join("dump/=b.log"), EVENT.replace("\"u\"", "\"v\"")).unwrap();
    fs::remove_file(here.path().join("dump/c/d.log")).unwrap();
    fs::write(here.path().join("dump/\u{1b}[32m"), "").unwrap();
    let run = verify(here.path(), &["--dump", "dump"]);
    let expected = "\
changed    report  hits.csv
missing    report  runbook.md
new        report  notes.txt
unreadable report  alerts.csv: not a regular file
changed    input   =b.log
missing    input   c/d.log
new        input   \\u{1b}[32m
new        input   out/notes.txt
verified   12 reports, 3 inputs (0 more have no hash): 2 changed, 2 missing, 3 new, 1 unreadable
";
    assert_eq!((run.exit, &run.stdout[..]), (1, expected));
}

#[test]
fn a_directory_without_a_manifest_cannot_be_verified() {
    let here = tempfile::tempdir().unwrap();
    swept(here.path());
    let manifest = here.path().join("dump/out/run.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let with = |text: &str| {
        fs::write(&manifest, text).unwrap();
        verify(here.path(), &[])
    };
    let run = with(&text.replace(r#""complete": true"#, r#""complete": false"#));
    let incomplete = "incomplete report  run.json: not all of the dump was read: ";
    assert_eq!((run.exit, run.stdout.starts_with(incomplete)), (1, true), "{}", run.stdout);
    for (text, sentence) in [
        ("{}", "run.json is not one that a scan wrote"),
        (&text.replace("\"hits.csv\"", "\"../../a.log\"")[..], "lists ../../a.log, which is not a report"),
    ] {
        let run = with(text);
        assert_eq!((run.exit, &run.stdout[..]), (2, ""));
        assert!(run.stderr.contains(sentence), "{}", run.stderr);
    }
    fs::remove_file(&manifest).unwrap();
    let run = verify(here.path(), &[]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("dump/out: it has no run.json"), "{}", run.stderr);
    assert_eq!(kubesweep(here.path(), &["verify", "missing"]).exit, 2);
}

#[test]
fn the_manifest_names_what_decided() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), EVENT).unwrap();
    fs::write(here.path().join("tune.yml"), "registries: [a/]\n").unwrap();
    fs::write(here.path().join("more.yml"), "indicators: []\n").unwrap();
    let file = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    let (tune, more) = (file("tune.yml"), file("more.yml"));
    let (_kept, out, run) = scan(&[here.path().join("a.log")], &["--tune", &tune, "--indicators", &more]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let run: serde_json::Value = serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["kubesweep"], env!("CARGO_PKG_VERSION"));
    assert!(run["build"]["target"].is_string());
    assert_eq!(run["tuning"]["file"], tune);
    assert_eq!(run["indicators"][0]["file"], "builtin");
    assert_eq!(run["indicators"][1]["file"], more);
    let hashes =
        ["/tuning/sha256", "/indicators/0/sha256", "/indicators/1/sha256", "/rules/0/sha256", "/reports/0/sha256"];
    for hash in hashes {
        assert_eq!(run.pointer(hash).and_then(|hash| hash.as_str()).map(str::len), Some(64), "{hash}");
    }
    assert!(run["arguments"].as_array().unwrap().iter().any(|argument| argument == "--tune"));
}

/// A pipe in place of a report is reported, not waited for.
#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused() {
    for (name, exit, told) in [
        ("run.json", 2, "dump/out: its run.json: not a regular file"),
        ("inputs.csv", 2, "dump/out: its inputs.csv: not a regular file"),
        ("hits.csv", 1, "unreadable report  hits.csv: not a regular file"),
    ] {
        let here = tempfile::tempdir().unwrap();
        swept(here.path());
        let file = here.path().join("dump/out").join(name);
        fs::remove_file(&file).unwrap();
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        // Releases a reader that waits, so that the test ends.
        let opened = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_secs(10));
            drop(fs::OpenOptions::new().read(true).write(true).open(&file));
        });
        let run = verify(here.path(), &["--dump", "dump"]);
        assert_eq!(run.exit, exit, "{}{}", run.stdout, run.stderr);
        assert!(format!("{}{}", run.stdout, run.stderr).contains(told), "{}{}", run.stdout, run.stderr);
        drop(opened);
    }
}
