//! What the command line promises: exit status, messages, streams.

use std::fs;

use crate::{hits, kubesweep, root, scan};

const HIT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/prod/cronjobs","verb":"create","user":{"username":"alice"},"objectRef":{"resource":"cronjobs","namespace":"prod","name":"x"},"responseStatus":{"code":201},"requestReceivedTimestamp":"2026-11-24T03:00:00Z"}"#;

#[test]
fn usage_errors_write_nothing() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), HIT).unwrap();
    for (arguments, sentence) in [
        (vec!["scan", "missing", "-o", "out"], "cannot read missing"),
        (vec!["scan", "a.log", "-o", "out", "--group-by", "colour"], "--group-by does not know colour"),
        (vec!["scan", "a.log", "-o", "out", "--group-by", "verb, verb"], "--group-by names verb twice"),
        (vec!["scan", "a.log", "-o", "out", "--fail-on", "expected"], "a verdict is review, suspicious or"),
        (vec!["scan", "a.log", "-o", "out", "--since", "soon"], "--since soon"),
        (vec!["scan", "a.log", "-o", "out", "--since", "2026-01-02", "--until", "2026-01-01"], "is not before --until"),
        (vec!["scan", "a.log", "-o", "out", "--since", "2026-01-02T06:00[Europe/Berlin]"], "write a time"),
        (vec!["scan", "a.log", "-o", "out", "--until", "2026-01-02[Europe/Berlin]"], "write a time"),
        (vec!["scan", "a.log", "-o", "out", "--cluster", " "], "a name is empty"),
        (vec!["scan", "a.log", "-o", "out", "--format", "csv"], "add -o -"),
        (vec!["scan", "a.log", "-o", "out", "--max-record", "big"], "big"),
        (vec!["scan", "a.log", "-o", "a.log/out"], "cannot write"),
        (vec!["scan", "a.log", "./a.log", "-o", "out"], "two PATH arguments are named a.log"),
        (vec!["scan"], "PATH"),
    ] {
        let run = kubesweep(here.path(), &arguments);
        assert_eq!(run.exit, 2, "{arguments:?}");
        assert!(run.stderr.contains(sentence), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(!here.path().join("out").exists(), "{arguments:?} wrote something");
    }
}

/// The event is of 03:00.
#[test]
fn an_hour_without_minutes_is_an_hour() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), HIT).unwrap();
    for (until, found) in [("2026-11-24T02", 0), ("2026-11-24T03", 0), ("2026-11-24 04", 1), ("2026-11-24", 0)] {
        let run = kubesweep(here.path(), &["scan", "a.log", "-o", "-", "-q", "--until", until]);
        assert_eq!((run.exit, run.stdout.lines().count()), (0, found), "{until}: {}", run.stderr);
    }
}

#[test]
fn a_dash_is_standard_output_for_every_command() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), HIT).unwrap();
    for command in ["scan", "runbook"] {
        let run = kubesweep(here.path(), &[command, "a.log", "-o", "-", "-q"]);
        assert!(run.exit == 0 && !run.stdout.is_empty(), "{command}: {}", run.stderr);
        assert!(!here.path().join("-").exists(), "{command}");
    }
}

#[test]
fn a_report_directory_is_kept_unless_forced() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), HIT).unwrap();
    fs::create_dir(here.path().join("out")).unwrap();
    fs::write(here.path().join("out/notes.txt"), "mine").unwrap();
    let refused = kubesweep(here.path(), &["scan", "a.log", "-o", "out"]);
    assert_eq!(refused.exit, 2);
    assert!(refused.stderr.contains("out is not empty"), "{}", refused.stderr);
    let forced = kubesweep(here.path(), &["scan", "a.log", "-o", "out", "--force"]);
    assert_eq!(forced.exit, 0);
    assert_eq!(fs::read_to_string(here.path().join("out/notes.txt")).unwrap(), "mine");
    assert_eq!(hits(&here.path().join("out")).len(), 1);
}

#[test]
fn fail_on_sets_the_exit_status() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a.log"), HIT).unwrap();
    let run =
        |severity: &str| kubesweep(here.path(), &["scan", "a.log", "-o", "out", "--force", "--fail-on", severity]).exit;
    assert_eq!((run("info"), run("low")), (1, 0));
}

#[test]
fn standard_input_and_output_are_streams() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubesweep"))
        .args(["scan", "-", "-o", "-", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(HIT.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let hit: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(hit["evidence"]["path"], "-");
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_record_over_the_limit_is_counted_and_passed() {
    let here = tempfile::tempdir().unwrap();
    let long = HIT.replace("\"stage\"", &format!("\"x\":\"{}\",\"stage\"", "y".repeat(300_000)));
    for dump in [
        format!("{HIT}\n{long}\n{HIT}\n"),
        format!("{{\"records\":[{HIT},{long},{HIT}]}}"),
        format!("[{HIT},{long}]{HIT}"),
    ] {
        fs::write(here.path().join("a.log"), dump).unwrap();
        let (_kept, out, run) = scan(&[here.path().join("a.log")], &["--max-record", "64KiB"]);
        assert_eq!(run.exit, 3);
        assert_eq!(hits(&out)[0]["copies"], 2);
        let row = &crate::rows(&out.join("inputs.csv"))[0];
        assert_eq!((row["records"].as_str(), row["malformed"].as_str()), ("3", "1"));
        assert!(row["error"].contains("larger than --max-record"), "{row:?}");
    }
}

#[test]
fn time_windows_choose_hits_and_files() {
    let here = tempfile::tempdir().unwrap();
    for (day, id) in [("2026-09-01", "old"), ("2026-11-20", "history"), ("2026-11-24", "now")] {
        let folder = here.path().join("dump").join(day.replace('-', "/")).join("03");
        fs::create_dir_all(&folder).unwrap();
        let record = HIT.replace("2026-11-24", day).replace("\"a\"", &format!("\"{id}\""));
        fs::write(folder.join("x.json"), record).unwrap();
    }
    let window = ["--since", "24h", "--as-of", "2026-11-25T00:00:00Z"];
    let (_kept, out, run) = scan(&[here.path().join("dump")], &window);
    assert_eq!(run.exit, 0);
    assert_eq!(hits(&out).iter().map(|hit| hit["audit_id"].as_str().unwrap()).collect::<Vec<_>>(), ["now"]);
    let rows = crate::rows(&out.join("inputs.csv"));
    assert_eq!(rows.iter().map(|row| row["status"].as_str()).collect::<Vec<_>>(), ["skipped", "ok", "ok"]);
    let (_kept, out, _) = scan(&[here.path().join("dump")], &[&window[..], &["--no-prune"]].concat());
    assert_eq!(
        crate::rows(&out.join("inputs.csv")).iter().map(|row| row["outside"].as_str()).collect::<Vec<_>>(),
        ["1", "0", "0"]
    );
}

#[test]
fn inspect_says_what_is_there() {
    let run = kubesweep(root(), &["inspect", "fixtures/dumps"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    for word in [
        "FORMATS",
        "cloudwatch-subscription",
        "gke-logentry",
        "azure-diagnostic",
        "CLUSTERS",
        "prod-eu",
        "SHOP-AKS",
        "payments",
    ] {
        assert!(run.stdout.contains(word), "{word} is missing in\n{}", run.stdout);
    }
    assert!(
        run.stdout.lines().all(|line| line.chars().count() <= 80),
        "a line is wider than 80 columns\n{}",
        run.stdout
    );
    let json = kubesweep(root(), &["inspect", "fixtures/dumps", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(value["totals"]["events"].as_u64().unwrap() > 4000);
}

#[test]
fn entries_that_are_no_files_are_rows() {
    let here = tempfile::tempdir().unwrap();
    let dump = here.path().join("dump");
    fs::create_dir(&dump).unwrap();
    fs::write(dump.join("a.log"), HIT).unwrap();
    fs::write(dump.join("empty"), "").unwrap();
    std::os::unix::fs::symlink("a.log", dump.join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dump.join("socket")).unwrap();
    let (_kept, out, run) = scan(&[dump], &[]);
    assert_eq!(run.exit, 0);
    let rows = crate::rows(&out.join("inputs.csv"));
    let told: Vec<_> =
        rows.iter().map(|row| (row["path"].as_str(), row["status"].as_str(), row["error"].as_str())).collect();
    assert_eq!(
        told,
        [
            ("a.log", "ok", ""),
            ("empty", "skipped", "empty"),
            ("link", "skipped", "a symbolic link, not followed"),
            ("socket", "skipped", "not a regular file"),
        ]
    );
}
