//! Where reports go: what happens if they cannot be written, and who may read them.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::{kubesweep, root, rows, scan};

/// Runs the binary over a fixture into `out`, preceded by some shell commands.
fn behind(words: &str, directory: &Path, options: &str) -> Output {
    let dump = root().join("fixtures/cases/container-gzip/input");
    let binary = env!("CARGO_BIN_EXE_kubesweep");
    let line = format!("{words}; exec '{binary}' scan '{}' -o out -q {options}", dump.display());
    Command::new("sh").args(["-c", &line]).current_dir(directory).output().unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_is_told_and_leaves_no_part_of_a_report() {
    let here = tempfile::tempdir().unwrap();
    let limited = "trap '' XFSZ; ulimit -f";
    let run = behind(&format!("{limited} 1"), here.path(), "");
    assert_eq!(run.status.code(), Some(2));
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.starts_with("error: cannot write out/") && told.lines().count() == 1, "{told}");
    let left = names(&here.path().join("out"));
    assert!(left.iter().all(|name| !name.contains("tmp") && name != "run.json"), "{left:?}");
    // A complete report is not removed by one that cannot be written; but it is no longer part of a complete set.
    assert!(behind(":", here.path(), "--force").status.success());
    let page = fs::read(here.path().join("out/report.html")).unwrap();
    assert_eq!(behind(&format!("{limited} 1"), here.path(), "--force").status.code(), Some(2));
    assert!(fs::read(here.path().join("out/report.html")).unwrap() == page);
    assert!(!here.path().join("out/run.json").exists());
}

#[test]
fn a_directory_that_vanishes_is_told() {
    let here = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubesweep"))
        .args(["scan", "-", "-o", "out", "-q"])
        .current_dir(here.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !here.path().join("out").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // The run may still be checking whether the directory can be written.
    while fs::remove_dir(here.path().join("out")).is_err() {}
    drop(child.stdin.take());
    let run = child.wait_with_output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.starts_with("error: cannot write out/") || told.starts_with("error: cannot write out:"), "{told}");
    assert!(!here.path().join("out").exists());
}

#[test]
fn a_place_that_takes_no_file_is_told_before_anything_is_read() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), "").unwrap();
    let run = kubesweep(here.path(), &["scan", "a.log", "-o", "/proc/kubesweep"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.starts_with("error: cannot write /proc/kubesweep: "), "{}", run.stderr);
}

/// A report is not read as a dump, neither the directory nor a single file; other files next to one are. A dump that
/// contains a report is accepted silently.
#[test]
fn a_report_is_not_read_as_a_dump() {
    let here = tempfile::tempdir().unwrap();
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a", "verb": "get"}).to_string();
    fs::create_dir(here.path().join("dump")).unwrap();
    fs::write(here.path().join("dump/a.log"), &event).unwrap();
    assert_eq!(kubesweep(here.path(), &["scan", "dump", "-o", "dump/out"]).exit, 0);
    fs::write(here.path().join("dump/out/own.log"), &event).unwrap();
    for (command, path) in [
        ("scan", "dump/out"),
        ("scan", "dump/out/"),
        ("scan", "dump/out/hits.jsonl"),
        ("scan", "dump/out/run.json"),
        ("inspect", "dump/out"),
        ("events", "dump/out/inputs.csv"),
    ] {
        let run = kubesweep(here.path(), &[command, path]);
        let expected = "dump/out is a report of kubesweep, not a dump; name the dump\n";
        assert_eq!(run.exit, 2, "{command} {path}: {}", run.stderr);
        assert_eq!(run.stderr.replace("out/ is", "out is"), format!("error: {expected}"), "{command} {path}");
    }
    assert_eq!(kubesweep(here.path(), &["inspect", "dump/out/own.log"]).exit, 0);
    assert_eq!(kubesweep(here.path(), &["inspect", "dump"]).exit, 0);
    let bucket = kubesweep(here.path(), &["scan", "s3://bucket/logs"]);
    assert!(bucket.exit == 2 && bucket.stderr.contains("deploy/stream_prefix.py"), "{}", bucket.stderr);
}

/// Names are no proof: whoever can write into a dump could hide logs behind them, and a user may write a report beside
/// the logs.
#[test]
fn logs_beside_a_report_are_read() {
    let here = tempfile::tempdir().unwrap();
    let logs = here.path().join("dump/logs");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("a.log"), r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","verb":"get"}"#)
        .unwrap();
    for name in ["hits.jsonl", "inputs.csv", "summary.csv"] {
        fs::write(logs.join(name), "").unwrap();
    }
    let read = |out: &str| {
        let run = kubesweep(here.path(), &["scan", "dump", "-o", out, "--force"]);
        assert_eq!(run.exit, 0, "{}", run.stderr);
        let rows = rows(&here.path().join(out).join("inputs.csv"));
        rows.iter().map(|row| (row["path"].clone(), row["status"].clone())).collect::<Vec<_>>()
    };
    let skipped = |name: &str| (format!("logs/{name}"), "skipped".to_owned());
    let log = ("logs/a.log".to_owned(), "ok".to_owned());
    assert_eq!(read("out"), [log.clone(), skipped("hits.jsonl"), skipped("inputs.csv"), skipped("summary.csv")]);
    assert_eq!(read("dump/logs")[0], log);
    assert_eq!(read("dump/logs").iter().filter(|row| **row == log).count(), 1);
    symlink("dump", here.path().join("link")).unwrap();
    let run = kubesweep(here.path(), &["scan", "link", "-o", "linked"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert_eq!(rows(&here.path().join("linked/inputs.csv"))[1]["path"], "logs/activity.csv");
}

#[test]
fn reports_and_cases_are_the_users_own() {
    let here = tempfile::tempdir().unwrap();
    assert!(behind("umask 0", here.path(), "--case a.case").status.success());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let out = here.path().join("out");
    assert_eq!(mode(&out), 0o700);
    let files = names(&out);
    assert!(files.len() > 10);
    for file in files {
        assert_eq!(mode(&out.join(&file)), 0o600, "{file}");
    }
    assert_eq!(mode(&here.path().join("a.case")), 0o600);
}

#[test]
fn a_link_under_a_temporary_name_is_not_followed() {
    let here = tempfile::tempdir().unwrap();
    fs::create_dir(here.path().join("out")).unwrap();
    fs::write(here.path().join("precious"), "mine").unwrap();
    for name in [".kubesweep-probe.tmp", ".hits.csv.tmp"] {
        symlink(here.path().join("precious"), here.path().join("out").join(name)).unwrap();
    }
    assert!(behind(":", here.path(), "--force").status.success());
    assert_eq!(fs::read_to_string(here.path().join("precious")).unwrap(), "mine");
    assert!(fs::symlink_metadata(here.path().join("out/hits.csv")).unwrap().is_file());
}

#[test]
fn the_time_asked_for_is_said_and_that_it_holds_nothing() {
    let dump = root().join("fixtures/dumps/s3");
    let (_temporary, out, run) = scan(std::slice::from_ref(&dump), &["--since", "2026-12-01", "--no-prune"]);
    let warning = "warning: no event lies in the time asked for, from 2026-12-01 00:00Z; the last one is of 2026-11-24";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
    let text = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    for (name, said) in [
        ("report.html", "No event lies in the time asked for, from 2026-12-01 00:00Z"),
        ("runbook.md", "no event lies in the time asked for"),
        ("report.json", r#""since": "2026-12-01T00:00:00Z""#),
        ("run.json", r#""since": "2026-12-01T00:00:00Z""#),
    ] {
        assert!(text(name).contains(said), "{name}");
    }
    let (_temporary, out, run) = scan(&[dump], &["--since", "2026-11-20"]);
    assert!(run.stderr.contains("alerts are those from 2026-11-20 00:00Z; the rest is history"), "{}", run.stderr);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    assert!(!std::fs::read_to_string(out.join("report.html")).unwrap().contains("role=\"alert\""));
}

#[test]
fn the_console_names_what_no_alert_does() {
    let event = |user: &str, resource: &str, code: u16, body: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{user}{resource}","stage":"ResponseComplete","requestURI":"/x","verb":"create","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}","namespace":"web","name":"ghost-29626565"}},"responseStatus":{{"code":{code}}},"requestObject":{body},"requestReceivedTimestamp":"2026-05-01T00:05:00Z"}}"#
        )
    };
    let job = r#"{"metadata":{"ownerReferences":[{"kind":"CronJob","name":"ghost"}]},"spec":{"template":{"spec":{"containers":[{"name":"c","image":"docker.io/x/xmrig"}]}}}}"#;
    let lines = [
        event("system:serviceaccount:kube-system:cronjob-controller", "jobs", 201, job),
        event("eve", "cronjobs", 403, "null"),
    ];
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("audit.log"), lines.join("\n")).unwrap();
    let (_temporary, out, run) = scan(&[here.path().to_owned()], &[]);
    let ghost = "no creator web/ghost\n             runs (1 Job, spec S3), nobody created it in this dump\n";
    assert!(run.stderr.contains(ghost), "{}", run.stderr);
    assert!(run.stderr.contains("refused    1 request of 1 group without a hit"), "{}", run.stderr);
    assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains("CJ-IMG-05"));
}
