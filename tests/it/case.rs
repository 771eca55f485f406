//! The case file: what was read once is not read again, and no run can tell the difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{kubesweep, root, rows};

/// Reports about the dump, not about the inputs of this run.
const REPORTS: [&str; 9] = [
    "summary.csv",
    "alerts.csv",
    "hits.csv",
    "hits.jsonl",
    "suppressed.csv",
    "activity.csv",
    "coverage.csv",
    "runbook.json",
    "runbook.md",
];

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy(file: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(file, to).unwrap();
}

/// A growing dump, with a case next to it.
struct Daily {
    directory: tempfile::TempDir,
}

impl Daily {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("dump")).unwrap();
        Daily { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn scan(&self, out: &str, options: &[&str]) -> crate::Run {
        let arguments = ["scan", "dump", "--force", "-o", out];
        let arguments: Vec<&str> = arguments.iter().chain(options).copied().collect();
        kubesweep(self.directory.path(), &arguments)
    }

    fn statuses(&self, out: &str) -> Vec<(String, String, String)> {
        let rows = rows(&self.path(out).join("inputs.csv"));
        rows.into_iter().map(|row| (row["path"].clone(), row["status"].clone(), row["error"].clone())).collect()
    }

    fn assert_same(&self, one: &str, other: &str) {
        for report in REPORTS {
            let read = |out: &str| fs::read_to_string(self.path(out).join(report)).unwrap();
            assert!(read(one) == read(other), "{report} differs between {one} and {other}");
        }
    }
}

/// Files by the day of their last event, as a daily job would find them.
fn by_day(daily: &Daily, dumps: &Path) -> Vec<(String, Vec<String>)> {
    kubesweep(daily.directory.path(), &["scan", dumps.to_str().unwrap(), "-q", "-o", "whole"]);
    let mut days = std::collections::BTreeMap::<String, Vec<String>>::new();
    for row in rows(&daily.path("whole/inputs.csv")).into_iter().filter(|row| row["member"].is_empty()) {
        let day = row["last_time"].get(..10).unwrap_or("2026-10-25").to_owned();
        days.entry(day).or_default().push(row["path"].clone());
    }
    days.into_iter().collect()
}

#[test]
fn thirty_daily_runs_are_one_run() {
    let daily = Daily::new();
    let dumps = root().join("fixtures/dumps");
    let days = by_day(&daily, &dumps);
    assert!(days.len() >= 28, "{} days", days.len());
    let (mut as_of, mut files) = (String::new(), 0);
    for (day, new) in &days {
        for file in new {
            copy(&dumps.join(file), &daily.path("dump").join(file));
        }
        files = new.len();
        as_of = format!("{day}T23:59:59Z");
        let run = daily.scan("daily", &["--case", "case.db", "-q", "--since", "24h", "--as-of", &as_of]);
        assert_eq!(run.exit, 0, "{}", run.stderr);
    }
    let read = daily.statuses("daily").into_iter().filter(|(_, status, _)| status == "ok").count();
    assert!(read <= files, "{read} were read on the last day, of which {files} were new");
    // Coverage is of everything in the case; a run over the last days omits what its lookback does not reach.
    assert_eq!(daily.scan("once", &["-q", "--since", "24h", "--as-of", &as_of]).exit, 0);
    for report in REPORTS.iter().filter(|name| **name != "coverage.csv") {
        let read = |out: &str| fs::read_to_string(daily.path(out).join(report)).unwrap();
        assert_eq!(read("daily"), read("once"), "{report} of the last day");
    }
    daily.scan("daily", &["-q", "--case", "case.db"]);
    daily.scan("once", &["-q"]);
    daily.assert_same("daily", "once");
    // With --until: a copy without a time must find those that have one, even outside the window.
    let window =
        ["--since", "24h", "--until", "2026-11-24T04:00:00Z", "--as-of", "2026-11-24T05:00:00Z", "-q", "--no-prune"];
    daily.scan("daily", &[&window[..], &["--case", "case.db"]].concat());
    daily.scan("once", &window);
    daily.assert_same("daily", "once");
    let without = kubesweep(daily.directory.path(), &["runbook", "--case", "case.db", "--format", "json"]);
    assert_eq!(without.exit, 0, "{}", without.stderr);
    assert_eq!(without.stdout, kubesweep(daily.directory.path(), &["runbook", "dump", "--format", "json"]).stdout);
}

/// Reads two files into a case, then changes them; returns what the next run says.
fn after(happens: impl Fn(&Daily, &[PathBuf])) -> Vec<(String, String)> {
    let daily = Daily::new();
    let files = files_below(&root().join("fixtures/dumps/self-managed"));
    copy(&files[0], &daily.path("dump/audit.log.1"));
    copy(&files[1], &daily.path("dump/audit.log.2"));
    daily.scan("out", &["--case", "case.db", "-q"]);
    happens(&daily, &files);
    let run = daily.scan("out", &["--case", "case.db", "-q"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let statuses = daily.statuses("out").into_iter().map(|(path, status, _)| (path, status)).collect();
    daily.scan("plain", &["-q"]);
    daily.assert_same("out", "plain");
    let again = daily.scan("out", &["--case", "case.db", "-q"]);
    assert_eq!(again.exit, 0, "{}", again.stderr);
    assert!(daily.statuses("out").iter().all(|(_, status, _)| status == "skipped"));
    daily.assert_same("out", "plain");
    statuses
}

#[test]
fn rotated_files_are_not_read_again() {
    let statuses = after(|daily, files| {
        fs::rename(daily.path("dump/audit.log.2"), daily.path("dump/audit.log.3")).unwrap();
        fs::rename(daily.path("dump/audit.log.1"), daily.path("dump/audit.log.2")).unwrap();
        copy(&files[2], &daily.path("dump/audit.log.1"));
    });
    let statuses: Vec<_> = statuses.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["ok", "skipped", "skipped"]);
}

#[test]
fn files_may_take_the_place_of_each_other() {
    let moved = after(|daily, _| {
        fs::rename(daily.path("dump/audit.log.1"), daily.path("dump/audit.log.2")).unwrap();
    });
    assert_eq!(moved, [("audit.log.2".to_owned(), "skipped".to_owned())]);
    let exchanged = after(|daily, _| {
        let path = |name: &str| daily.path(&format!("dump/{name}"));
        for (from, to) in [("audit.log.1", "x"), ("audit.log.2", "audit.log.1"), ("x", "audit.log.2")] {
            fs::rename(path(from), path(to)).unwrap();
        }
    });
    assert!(exchanged.iter().all(|(_, status)| status == "skipped"), "{exchanged:?}");
}

#[test]
fn a_changed_file_replaces_what_it_held() {
    let statuses = after(|daily, files| copy(&files[2], &daily.path("dump/audit.log.1")));
    let statuses: Vec<_> = statuses.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["ok", "skipped"]);
}

/// The same bytes twice are one input with a case, and copies without one: only their number differs.
#[test]
fn what_a_copy_overwrites_is_forgotten() {
    let daily = Daily::new();
    let files = files_below(&root().join("fixtures/dumps/self-managed"));
    copy(&files[0], &daily.path("dump/a"));
    copy(&files[1], &daily.path("dump/b"));
    daily.scan("out", &["--case", "case.db", "-q"]);
    copy(&files[0], &daily.path("dump/b"));
    assert_eq!(daily.scan("out", &["--case", "case.db", "-q"]).exit, 0);
    fs::remove_file(daily.path("dump/b")).unwrap();
    daily.scan("plain", &["-q"]);
    daily.assert_same("out", "plain");
}

/// Only the path names the cluster of these records, so the same bytes mean something else in another place.
#[test]
fn a_path_that_tells_more_is_read() {
    let daily = Daily::new();
    let record = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","requestURI":"/x","verb":"create","user":{"username":"eve"},"objectRef":{"resource":"cronjobs","namespace":"prod","name":"x"},"responseStatus":{"code":201},"requestReceivedTimestamp":"2026-11-24T03:00:00Z"}"#;
    fs::write(daily.path("dump/a.json"), record).unwrap();
    daily.scan("out", &["--case", "case.db", "-q"]);
    let place = "resourceId=/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/X/MANAGEDCLUSTERS/shop/PT1H.json";
    copy(&daily.path("dump/a.json"), &daily.path("dump").join(place));
    daily.scan("out", &["--case", "case.db", "-q"]);
    daily.scan("plain", &["-q"]);
    daily.assert_same("out", "plain");
    assert_eq!(crate::hits(&daily.path("out"))[0]["cluster"], "shop");
}

/// `runbook` creates a case as `scan` does, and applies tuning and window in the same way.
#[test]
fn the_runbook_begins_a_case() {
    let here = tempfile::tempdir().unwrap();
    let day = here.path().join("logs/dt=2020-01-01");
    fs::create_dir_all(&day).unwrap();
    fs::copy(crate::root().join("fixtures/cases/container-gzip/input/audit.log.gz"), day.join("audit.log.gz")).unwrap();
    fs::write(here.path().join("tune.yml"), "severity: {No.Such.Rule: high}\n").unwrap();
    let run = kubesweep(here.path(), &["runbook", "logs", "--case", "case.db", "--tune", "tune.yml"]);
    assert!(run.stdout.contains("\n## "), "{}", run.stdout);
    assert!(run.stderr.contains("no rule No.Such.Rule is evaluated"), "{}", run.stderr);
    let again = kubesweep(here.path(), &["runbook", "--case", "case.db"]);
    assert_eq!(again.stdout, run.stdout);
    let pruned = |option: &[&str]| {
        let arguments = [&["runbook", "logs", "--since", "2026-11-01", "--lookback", "1d"], option].concat();
        !kubesweep(here.path(), &arguments).stdout.contains("## REVIEW")
    };
    assert_eq!([pruned(&[]), pruned(&["--no-prune"])], [true, false]);
}

/// Without the dump, changed rules cannot be applied to what was read; and what a case has must not hide that the dump is
/// gone.
#[test]
fn changed_rules_and_an_empty_dump_are_told() {
    let daily = Daily::new();
    let tune = |text: &str| fs::write(daily.path("tune.yml"), text).unwrap();
    let ask = || kubesweep(daily.directory.path(), &["runbook", "--case", "case.db"]).stderr;
    copy(&root().join("fixtures/cases/container-gzip/input/audit.log.gz"), &daily.path("dump/audit.log.gz"));
    tune("suppress: []\n");
    assert_eq!(daily.scan("out", &["--case", "case.db", "--tune", "tune.yml", "-q"]).exit, 0);
    assert_eq!(ask(), "");
    tune("suppress: [{rule: '*', username: nobody, reason: none}]\n");
    assert!(ask().contains("the rules or the tuning have changed"), "{}", ask());
    fs::remove_file(daily.path("dump/audit.log.gz")).unwrap();
    let run = daily.scan("out", &["--case", "case.db", "--tune", "tune.yml"]);
    assert!(run.stderr.contains("warning: no file was found"), "{}", run.stderr);
}

#[test]
fn a_case_that_is_not_there_is_not_begun_by_asking() {
    let daily = Daily::new();
    let run = kubesweep(daily.directory.path(), &["runbook", "--case", "typo.db"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.starts_with("error: case file typo.db: is not there"), "{}", run.stderr);
    assert!(!daily.path("typo.db").exists());
}

#[test]
fn only_new_and_changed_inputs_are_read() {
    let daily = Daily::new();
    let log = root().join("fixtures/dumps/self-managed");
    let files = files_below(&log);
    copy(&files[0], &daily.path("dump/a.log.gz"));
    copy(&files[1], &daily.path("dump/b.log.gz"));
    let case = ["--case", "case.db", "-q"];
    daily.scan("out", &case);
    assert!(daily.statuses("out").iter().all(|(_, status, _)| status == "ok"));
    copy(&files[0], &daily.path("dump/moved.log.gz"));
    let run = daily.scan("out", &case);
    assert_eq!(run.exit, 0);
    let in_case = ("skipped".to_owned(), "in case".to_owned());
    for (path, status, error) in daily.statuses("out") {
        assert_eq!((status, error), in_case, "{path}");
    }
    // The first file with these bytes changes; the second still has them.
    copy(&files[2], &daily.path("dump/a.log.gz"));
    daily.scan("out", &case);
    assert_eq!(daily.statuses("out")[0].1, "ok");
    daily.scan("plain", &["-q"]);
    daily.assert_same("out", "plain");
    // Other rules read everything again.
    daily.scan("out", &["--case", "case.db", "-q", "-r", "builtin:all"]);
    assert!(daily.statuses("out").iter().all(|(_, status, _)| status == "ok"));
}

#[test]
fn one_run_at_a_time() {
    let daily = Daily::new();
    copy(&files_below(&root().join("fixtures/dumps/self-managed"))[0], &daily.path("dump/a.log.gz"));
    daily.scan("out", &["--case", "case.db", "-q"]);
    let other = rusqlite::Connection::open(daily.path("case.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let run = daily.scan("out", &["--case", "case.db", "-q"]);
    assert_eq!(run.exit, 2);
    assert_eq!(
        run.stderr,
        "error: case file case.db: is in use by another run or program; wait for it, or use another file\n"
    );
}

#[test]
fn files_that_are_no_case_are_refused() {
    let daily = Daily::new();
    fs::write(daily.path("text.db"), "no database, but long enough to have a header of its own, were it one").unwrap();
    rusqlite::Connection::open(daily.path("other.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    for file in ["text.db", "other.db"] {
        let run = daily.scan("out", &["--case", file, "-q"]);
        assert_eq!(
            (run.exit, run.stderr),
            (2, format!("error: case file {file}: not a case file; name another file\n"))
        );
    }
    assert!(Command::new("mkfifo").arg(daily.path("pipe")).status().unwrap().success());
    let run = daily.scan("out", &["--case", "pipe", "-q"]);
    assert_eq!((run.exit, &run.stderr[..]), (2, "error: case file pipe: is there and is not a file; name another\n"));
    daily.scan("out", &["--case", "case.db", "-q"]);
    for (version, problem) in [(1, "an earlier version"), (99, "a later version")] {
        rusqlite::Connection::open(daily.path("case.db"))
            .unwrap()
            .pragma_update(None, "user_version", version)
            .unwrap();
        let run = daily.scan("out", &["--case", "case.db", "-q"]);
        assert_eq!(run.exit, 2);
        assert!(run.stderr.contains(problem), "{}", run.stderr);
    }
}

/// A case inside the dump is not part of it.
#[test]
fn the_case_file_is_no_input() {
    let daily = Daily::new();
    copy(&files_below(&root().join("fixtures/dumps/self-managed"))[0], &daily.path("dump/a.log.gz"));
    // Nor does it hide files next to it, whichever the system lists first.
    for number in 0..20 {
        fs::write(daily.path("dump").join(format!("{number}.log")), "").unwrap();
    }
    for _ in 0..2 {
        let run = daily.scan("out", &["--case", "dump/case.db", "-q"]);
        assert_eq!(run.exit, 0, "{}", run.stderr);
        let read = daily.statuses("out").into_iter().filter(|(path, ..)| !path.starts_with("case.db"));
        assert_eq!(read.count(), 21);
    }
}

/// A link to the report directory is handled like any other link.
#[cfg(unix)]
#[test]
fn a_link_to_the_reports_hides_nothing() {
    let daily = Daily::new();
    fs::create_dir_all(daily.path("dump")).unwrap();
    for number in 0..20 {
        fs::write(daily.path("dump").join(format!("{number}.log")), "").unwrap();
    }
    fs::create_dir(daily.path("out")).unwrap();
    std::os::unix::fs::symlink(daily.path("out"), daily.path("dump/out")).unwrap();
    daily.scan("out", &["-q"]);
    assert_eq!(daily.statuses("out").len(), 21);
}

#[test]
fn a_second_pass_needs_a_dump() {
    let daily = Daily::new();
    let run = kubesweep(daily.directory.path(), &["runbook", "--case", "case.db", "--deep"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("--deep reads the dump once more: name it"), "{}", run.stderr);
}

#[test]
fn killed_runs_change_nothing() {
    let daily = Daily::new();
    let dumps = root().join("fixtures/dumps");
    for file in files_below(&dumps) {
        copy(&file, &daily.path("dump").join(file.strip_prefix(&dumps).unwrap()));
    }
    for attempt in 0..10_u64 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kubesweep"))
            .args(["scan", "dump", "--force", "-o", "killed", "--case", "case.db", "-q"])
            .current_dir(daily.directory.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(attempt * 37 % 250));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(daily.scan("killed", &["--case", "case.db", "-q"]).exit, 0);
    daily.scan("once", &["-q"]);
    daily.assert_same("killed", "once");
}

/// The content of a suppression decides, not its position in the file.
#[test]
fn a_comment_in_a_tuning_file_reads_nothing_again() {
    let daily = Daily::new();
    copy(&files_below(&root().join("fixtures/dumps/self-managed"))[0], &daily.path("dump/a.log.gz"));
    let suppression = "suppress:\n- {id: T-1, username: alice, reason: ";
    for (comment, reason, status) in [("", "known", "ok"), ("# more\n", "known", "skipped"), ("", "other", "ok")] {
        fs::write(daily.path("tune.yml"), format!("{comment}{suppression}{reason}}}\n")).unwrap();
        daily.scan("out", &["--case", "case.db", "-q", "--tune", "tune.yml"]);
        assert_eq!(daily.statuses("out")[0].1, status, "{comment}{reason}");
    }
}

/// A file that changes while it is read is read again; suppressions that change leave history.
#[test]
fn other_rules_leave_history() {
    let daily = Daily::new();
    let dumps = root().join("fixtures/dumps");
    for file in files_below(&dumps.join("s3")) {
        copy(&file, &daily.path("dump").join(file.strip_prefix(&dumps).unwrap()));
    }
    daily.scan("out", &["--case", "case.db", "-q"]);
    fs::remove_dir_all(daily.path("dump")).unwrap();
    copy(&files_below(&dumps.join("self-managed"))[0], &daily.path("dump/a.log.gz"));
    fs::write(daily.path("tune.yml"), "# nothing is suppressed\nregistries: [a/]\n").unwrap();
    daily.scan("tuned", &["--case", "case.db", "-q", "--tune", "tune.yml"]);
    let hits = |out: &str| rows(&daily.path(out).join("hits.csv")).len();
    assert!(hits("tuned") >= hits("out"), "registries do not decide what matches");
    let run = daily.scan("all", &["--case", "case.db", "-r", "builtin:all"]);
    assert!(run.stderr.contains("count as history, not for hits"), "{}", run.stderr);
    assert!(rows(&daily.path("all/activity.csv")).len() > 40, "history is there");
}

#[test]
fn one_case_holds_two_clusters() {
    let daily = Daily::new();
    for (number, cluster) in ["A", "B"].iter().enumerate() {
        copy(
            &files_below(&root().join("fixtures/dumps/self-managed"))[number],
            &daily.path(&format!("dump/{cluster}/a.log.gz")),
        );
        let place = format!("dump/{cluster}");
        let arguments = ["scan", &place, "--force", "-o", "out", "-q", "--case", "case.db", "--cluster", cluster];
        assert_eq!(kubesweep(daily.directory.path(), &arguments).exit, 0);
    }
    let clusters: std::collections::BTreeSet<String> =
        rows(&daily.path("out/coverage.csv")).into_iter().map(|row| row["cluster"].clone()).collect();
    assert_eq!(clusters.into_iter().collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn moved_files_that_other_rules_read_count_once() {
    let daily = Daily::new();
    copy(&files_below(&root().join("fixtures/dumps/self-managed"))[0], &daily.path("dump/b"));
    daily.scan("out", &["--case", "case.db", "-q"]);
    fs::rename(daily.path("dump/b"), daily.path("dump/c")).unwrap();
    let all = ["-q", "-r", "builtin:all"];
    let run = daily.scan("out", &[&all[..], &["--case", "case.db"]].concat());
    assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
    daily.scan("plain", &all);
    daily.assert_same("out", "plain");
}

/// A file whose name is not UTF-8 keeps what it held, though a copy of it was read and then changed.
#[cfg(unix)]
#[test]
fn a_file_with_a_name_of_any_bytes_is_not_gone() {
    use std::os::unix::ffi::OsStrExt;
    let daily = Daily::new();
    let files = files_below(&root().join("fixtures/dumps/self-managed"));
    let latin = daily.path("dump").join(std::ffi::OsStr::from_bytes(b"caf\xe9.log"));
    copy(&files[0], &latin);
    copy(&files[0], &daily.path("copy/b.log"));
    let scan =
        |dump| kubesweep(daily.directory.path(), &["scan", dump, "--force", "-q", "-o", "out", "--case", "case.db"]);
    for (dump, exit) in [("dump", 0), ("copy", 0)] {
        assert_eq!(scan(dump).exit, exit);
    }
    fs::write(daily.path("copy/b.log"), "").unwrap();
    assert_eq!(scan("copy").exit, 0);
    daily.scan("plain", &["-q"]);
    daily.assert_same("out", "plain");
}

/// A case in the dump is not one of its logs, and neither are the files that SQLite writes next to it.
#[cfg(unix)]
#[test]
fn a_case_with_a_name_of_any_bytes_is_no_input() {
    use std::os::unix::ffi::OsStrExt;
    let daily = Daily::new();
    let case = daily.path("dump").join(std::ffi::OsStr::from_bytes(b"caf\xe9.db"));
    for beside in [&b"caf\xe9.db"[..], b"caf\xe9.db-wal"] {
        let dump = daily.path("dump").join(std::ffi::OsStr::from_bytes(beside));
        fs::write(dump, "").unwrap();
    }
    let arguments = ["scan", "dump", "-q", "-o", "out", "--case"].map(std::ffi::OsString::from);
    let run = kubesweep(daily.directory.path(), &[&arguments[..], &[case.into_os_string()]].concat());
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let rows = daily.statuses("out");
    let own = rows.iter().filter(|(_, _, error)| error == "written by kubesweep, not a dump").count();
    assert_eq!((own, rows.len()), (2, 2), "{rows:?}");
}

/// What a case knows of an input is not guessed.
#[test]
fn a_row_that_cannot_be_read_is_damage() {
    let daily = Daily::new();
    copy(&files_below(&root().join("fixtures/dumps/self-managed"))[0], &daily.path("dump/a.log"));
    daily.scan("out", &["--case", "case.db", "-q"]);
    let case = rusqlite::Connection::open(daily.path("case.db")).unwrap();
    case.execute("UPDATE inputs SET ledger = '[{'", []).unwrap();
    drop(case);
    let run = daily.scan("out", &["--case", "case.db", "-q"]);
    assert!(run.exit == 2 && run.stderr.contains("case.db: is damaged; move it away"), "{} {}", run.exit, run.stderr);
}

/// An observation that differs from what was read is never reported.
#[test]
fn a_bit_that_flipped_in_an_observation_is_damage() {
    let daily = Daily::new();
    let dump = root().join("fixtures/dumps/self-managed/audit-2026-11-20T03-16-43.401.log.gz");
    copy(&dump, &daily.path("dump/a.log"));
    daily.scan("out", &["--case", "case.db", "-q"]);
    let packed = |case: &rusqlite::Connection| -> Vec<u8> {
        case.query_row("SELECT packed FROM kept", [], |row| row.get(0)).unwrap()
    };
    let sound = packed(&rusqlite::Connection::open(daily.path("case.db")).unwrap());
    for at in (0..sound.len()).step_by(sound.len() / 32) {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        let case = rusqlite::Connection::open(daily.path("case.db")).unwrap();
        case.execute("UPDATE kept SET packed = ?1", [flipped]).unwrap();
        drop(case);
        let run = daily.scan("out", &["--case", "case.db", "-q"]);
        assert!(run.exit == 2 && run.stderr.contains("case.db: is damaged"), "{at}: {} {}", run.exit, run.stderr);
    }
}

/// What was lost when a file was read is still missing in later runs, which do not read it again.
#[test]
fn damage_stays_told_when_the_case_has_the_input() {
    let daily = Daily::new();
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"#;
    fs::write(daily.path("dump/a.log"), event).unwrap();
    let first = daily.scan("out", &["--case", "case.db"]);
    assert_eq!(first.exit, 3, "{}", first.stderr);
    let told = rows(&daily.path("out/inputs.csv"))[0]["error"].clone();
    let second = daily.scan("out", &["--case", "case.db"]);
    let row = &rows(&daily.path("out/inputs.csv"))[0];
    assert_eq!(row["status"], "skipped");
    assert_eq!(row["error"], format!("in case; partial when it was read: {told}"));
    assert_eq!(second.exit, 0);
    let shown = format!("{}{}", second.stdout, second.stderr);
    assert!(shown.contains("in case    1 partial when read"), "{shown}");
}

/// A case file in the dump is not one of its logs.
#[test]
fn a_case_file_in_the_dump_is_skipped() {
    let daily = Daily::new();
    copy(&root().join("fixtures/dumps/self-managed/audit.log"), &daily.path("dump/audit.log"));
    assert_eq!(daily.scan("out", &["--case", "case.db", "-q"]).exit, 0);
    copy(&daily.path("case.db"), &daily.path("dump/old.case"));
    let run = daily.scan("out", &["-q"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let skipped = ("old.case".to_owned(), "skipped".to_owned(), "a case file of kubesweep, not a dump".to_owned());
    assert!(daily.statuses("out").contains(&skipped), "{:?}", daily.statuses("out"));
}
