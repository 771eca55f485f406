//! Signals: the first ends a sweep and keeps what was read, the second ends the program, and a kill leaves no complete
//! report.
//!
//! The sweep reads a pipe that the test holds open, so that only the signal can end it.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::{hits, rows};

/// More than pipe and queue hold: once all are written, the first records have been processed.
const RECORDS: usize = 3000;
/// Most records that pipe and queue hold.
const UNSEEN: usize = 1000;

fn events() -> String {
    let event = |number: usize| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"id-{number}","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/n/cronjobs","verb":"create","user":{{"username":"u"}},"objectRef":{{"resource":"cronjobs","namespace":"n","name":"x"}},"responseStatus":{{"code":201}},"requestReceivedTimestamp":"2026-11-24T03:00:00Z","annotations":{{"a":"{}"}}}}{}"#,
            "y".repeat(number * 37 % 300 + 100),
            "\n"
        )
    };
    (0..RECORDS).map(event).collect()
}

/// The binary, reading from a pipe.
struct Reading(Child);

impl Reading {
    fn start(directory: &Path, arguments: &[&str], input: &[u8]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubesweep"));
        command.args(arguments).current_dir(directory).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(input).unwrap();
        Reading(child)
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the exit status; the pipe stays open until then.
    fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(120) {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.0.kill().unwrap();
        panic!("it goes on");
    }

    /// The start of standard error, before it ends.
    fn first_told(&mut self) -> String {
        let mut stderr = self.0.stderr.take().unwrap();
        let (sender, told) = channel();
        std::thread::spawn(move || {
            let mut text = [0; 12];
            sender.send(stderr.read_exact(&mut text).map(|()| String::from_utf8_lossy(&text).into_owned()))
        });
        told.recv_timeout(Duration::from_secs(120)).expect("it says nothing").unwrap()
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

fn json(file: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Checks that the hits are those of the first records, each whole; returns their number.
fn first_records(out: &Path) -> usize {
    let hits = hits(out);
    for (number, hit) in hits.iter().enumerate() {
        assert!(hit["audit_id"] == format!("id-{number}") && hit["truncated"] == false && hit["damaged"] == false);
    }
    hits.len()
}

#[test]
fn a_signal_ends_a_sweep_with_what_was_read() {
    for signal in ["INT", "TERM"] {
        let here = tempfile::tempdir().unwrap();
        fs::create_dir(here.path().join("later")).unwrap();
        fs::write(here.path().join("later/audit.log"), "").unwrap();
        let arguments = ["scan", "-", "later", "-o", "out", "-j1", "--fail-on", "info"];
        let mut reading = Reading::start(here.path(), &arguments, events().as_bytes());
        reading.signal(signal);
        assert_eq!(reading.end(), Some(130), "130 outranks 1 and 3");
        let out = here.path().join("out");
        let inputs = rows(&out.join("inputs.csv"));
        let told = |at: usize| ["path", "status", "error", "sha256"].map(|column| inputs[at][column].clone());
        assert_eq!(told(0), ["'-", "partial", "interrupted", ""]);
        assert_eq!(told(1), ["later/audit.log", "skipped", "interrupted", ""]);
        let found = first_records(&out);
        assert!((RECORDS - UNSEEN..=RECORDS).contains(&found), "{found}");
        // What the stop cut off is the beginning of a record, and is not counted.
        assert_eq!([&inputs[0]["records"], &inputs[0]["malformed"]], [&found.to_string(), "0"]);
        assert_eq!(json(&out.join("report.json"))["complete"], false);
        let run = json(&out.join("run.json"));
        assert_eq!((&run["complete"], &run["exit_status"]), (&false.into(), &130.into()));
        assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("INCOMPLETE"));
        assert!(fs::read_to_string(out.join("runbook.md")).unwrap().contains("interrupted"));
        let told = reading.stderr();
        assert!(told.contains("interrupted") && told.contains("INCOMPLETE"), "{told}");
    }
}

#[test]
fn an_end_that_a_signal_makes_is_no_damage() {
    let text = events();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, part) in [("a.log", text.split_inclusive('\n').next().unwrap()), ("b.log", &text)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, part.as_bytes()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 4096].to_vec();
    let expected: [&[[&str; 3]]; 2] = [
        &[["'-", "partial", "interrupted"]],
        &[["'-", "partial", "interrupted"], ["a.log", "ok", ""], ["b.log", "partial", "interrupted"]],
    ];
    for (bytes, expected) in [cut(&gzip), cut(&tar)].iter().zip(expected) {
        let here = tempfile::tempdir().unwrap();
        let mut reading = Reading::start(here.path(), &["scan", "-", "-o", "out", "-q"], bytes);
        reading.signal("INT");
        assert_eq!(reading.end(), Some(130));
        let inputs = rows(&here.path().join("out/inputs.csv"));
        let told: Vec<_> =
            inputs.iter().map(|row| ["path", "status", "error"].map(|column| row[column].as_str())).collect();
        assert_eq!(told, expected);
        assert!(first_records(&here.path().join("out")) > RECORDS - 2 * UNSEEN);
    }
}

/// Half a share would be taken for a whole one.
#[test]
fn an_interrupted_share_leaves_no_partial() {
    let here = tempfile::tempdir().unwrap();
    let mut reading = Reading::start(here.path(), &["scan", "-", "--partial", "p"], events().as_bytes());
    reading.signal("TERM");
    assert_eq!(reading.end(), Some(130));
    assert!(reading.stderr().contains("no partial is written"));
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let here = tempfile::tempdir().unwrap();
    // Nobody reads its output, so it cannot end on its own.
    let mut reading = Reading::start(here.path(), &["scan", "-", "-o", "-"], events().as_bytes());
    reading.signal("INT");
    assert_eq!(reading.first_told(), "interrupted:");
    reading.signal("INT");
    assert_eq!(reading.end(), Some(130));
}

#[test]
fn events_end_with_whole_lines() {
    let here = tempfile::tempdir().unwrap();
    let mut reading = Reading::start(here.path(), &["events", "-"], b"");
    let mut out = reading.0.stdout.take().unwrap();
    let printed = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    reading.0.stdin.as_mut().unwrap().write_all(events().as_bytes()).unwrap();
    reading.signal("TERM");
    assert_eq!(reading.end(), Some(130));
    let printed = printed.join().unwrap();
    assert!(printed.ends_with("}\n") && printed.lines().count() > 100);
    printed.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap()));
    assert!(reading.stderr().contains("INCOMPLETE"));
}

#[test]
fn a_case_keeps_no_input_that_was_interrupted() {
    let here = tempfile::tempdir().unwrap();
    let arguments = ["scan", "-", "-o", "out", "-q", "--case", "a.case"];
    let mut reading = Reading::start(here.path(), &arguments, events().as_bytes());
    reading.signal("INT");
    assert_eq!(reading.end(), Some(130));
    assert!(first_records(&here.path().join("out")) > 0);
    let case = rusqlite::Connection::open(here.path().join("a.case")).unwrap();
    let kept: i64 = case.query_row("SELECT count(*) FROM inputs", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}

#[test]
fn a_kill_leaves_a_directory_that_is_known_to_be_incomplete() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), events()).unwrap();
    assert_eq!(crate::kubesweep(here.path(), &["scan", "a.log", "-o", "out", "-q"]).exit, 0);
    let mut reading = Reading::start(here.path(), &["scan", "-", "-o", "out", "--force"], events().as_bytes());
    reading.signal("KILL");
    assert_eq!(reading.end(), None);
    assert!(here.path().join("out/hits.csv").exists() && !here.path().join("out/run.json").exists());
}
