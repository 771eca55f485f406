//! `kubesweep events`: every event of every form once, in order, by filter, or as its original bytes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{kubesweep, root, rows, scan};

fn events(paths: &[&Path], options: &[&str]) -> (Vec<Value>, crate::Run) {
    let mut arguments: Vec<&str> = vec!["events"];
    arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
    arguments.extend(options);
    let run = kubesweep(root(), &arguments);
    let lines =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    (lines.collect(), run)
}

/// Over all cases of `scan`: as many lines as the ledger has events, the same for any number of threads.
#[test]
fn every_event_is_printed_once() {
    let mut told = 0;
    for entry in fs::read_dir(root().join("fixtures/cases")).unwrap() {
        let input = entry.unwrap().path().join("input");
        if !input.exists() {
            continue;
        }
        let (_temporary, out, _) = scan(std::slice::from_ref(&input), &["-q"]);
        let counted: u64 = rows(&out.join("inputs.csv")).iter().map(|row| row["events"].parse::<u64>().unwrap()).sum();
        let (lines, run) = events(&[&input], &["-q", "-j1"]);
        assert_eq!(lines.len() as u64, counted, "{}", input.display());
        assert_eq!(events(&[&input], &["-q", "-j8"]).1.stdout, run.stdout, "{}", input.display());
        for line in &lines {
            assert!(line["kind"] == "Event" && line["evidence"]["record"].is_u64(), "{line}");
        }
        told += counted;
    }
    assert!(told > 200, "the cases hold events");
}

#[test]
fn filters_choose_and_the_prefilter_hides_nothing() {
    let dump = root().join("fixtures/dumps");
    let count = |options: &[&str]| events(&[&dump], options).0.len();
    for (options, least) in [
        (vec!["--user", "eve"], 10),
        (vec!["--user", "system:serviceaccount:argocd:*", "--verb", "patch"], 50),
        (vec!["--namespace", "security", "--resource", "cronjobs"], 1),
        (vec!["--resource", "secrets", "--verb", "list"], 1),
        (vec!["--source-ip", "198.51.100.0/24"], 5),
        (vec!["--name", "kube-proxy-health", "--user", "eve", "--user", "nobody"], 1),
        (vec!["--since", "2026-11-24T03:00:00Z", "--user", "eve"], 5),
    ] {
        let found = count(&options);
        assert!(found >= least, "{options:?} gives {found}");
        assert_eq!(found, count(&[&options[..], &["--validate"]].concat()), "{options:?}");
    }
    assert_eq!(count(&["--user", "eve", "--user", "nobody"]), count(&["--user", "eve"]));
    assert_eq!(count(&["--user", "eve", "--verb", "patch"]), 0);
    assert!(events(&[&dump], &["--user", "eve"]).0.iter().all(|event| event["user"]["username"] == "eve"));
}

#[test]
fn sorting_by_time_keeps_every_line() {
    let dump = root().join("fixtures/dumps");
    let (by_place, plain) = events(&[&dump], &["-q"]);
    let (by_time, _) = events(&[&dump], &["-q", "--sort", "time", "-j8"]);
    let time =
        |event: &Value| event["requestReceivedTimestamp"].as_str().map(|time| time.parse::<jiff::Timestamp>().unwrap());
    let times: Vec<_> = by_time.iter().filter_map(time).collect();
    assert!(times.is_sorted() && times.len() > 4000);
    let set = |events: &[Value]| events.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(set(&by_place), set(&by_time));
    assert_eq!(plain.stdout, events(&[&dump], &["-q", "-j8"]).1.stdout);
}

#[test]
fn raw_gives_the_bytes_that_the_evidence_names() {
    let file = root().join("fixtures/dumps/self-managed/audit-2026-11-02T11-08-20.118.log.gz");
    let (lines, _) = events(&[&file], &[]);
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&file).unwrap()).read_to_end(&mut text).unwrap();
    let event = &lines[lines.len() / 2];
    let id = event["auditID"].as_str().unwrap();
    let (_, run) = (0, kubesweep(root(), &["events", file.to_str().unwrap(), "--audit-id", id, "--raw", "-q"]));
    let stages: Vec<&Value> = lines.iter().filter(|line| line["auditID"] == id).collect();
    let mut expected = Vec::new();
    for stage in stages {
        let offset = usize::try_from(stage["evidence"]["offset"].as_u64().unwrap()).unwrap();
        let line = text[offset..].split(|byte| *byte == b'\n').next().unwrap();
        expected.extend([line, b"\n"].concat());
    }
    assert_eq!(run.stdout.into_bytes(), expected);
    let refused = kubesweep(root(), &["events", file.to_str().unwrap(), "--raw"]);
    assert_eq!(refused.exit, 2);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubesweep"))
        .args(["events", "-q"])
        .arg(root().join("fixtures/dumps"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn timesketch_lines_have_its_three_members() {
    let dump = root().join("fixtures/dumps");
    let run = kubesweep(root(), &["scan", dump.to_str().unwrap(), "-o", "-", "--format", "timesketch", "-q"]);
    assert_eq!(run.stdout.lines().count(), 113);
    let of_events =
        kubesweep(root(), &["events", dump.to_str().unwrap(), "--user", "eve", "--format", "timesketch", "-q"]);
    for line in run.stdout.lines().chain(of_events.stdout.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        for key in ["message", "datetime", "timestamp_desc"] {
            assert!(line[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {line}");
        }
    }
}
