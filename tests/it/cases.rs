//! One directory per case below `fixtures/cases`: `cmd` is the command line (`out` stands for a new directory), `input`
//! what it reads, `expected` what it must leave: report files by name, `exit`, `stdout`, `stderr`.
//!
//! `UPDATE_EXPECT=1` rewrites the files in `expected`, or creates them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Run, kubesweep, root, rows};

/// The files of a new case.
const DEFAULT: [&str; 4] = ["exit", "stderr", "hits.jsonl", "inputs.csv"];

#[test]
fn cases_leave_what_they_expect() {
    let mut failures = Vec::new();
    for case in all() {
        let (_temporary, out, run) = perform(&case, &[]);
        ledger_adds_up(&case, &out);
        columns_are_the_keys(&case, &out);
        for name in expected_files(&case) {
            let actual = content(&out, &run, &name);
            let file = case.join("expected").join(&name);
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, actual).unwrap();
            } else if fs::read_to_string(&file).unwrap_or_default() != actual {
                failures.push(format!("{}: {}", file.display(), first_difference(&file, &actual)));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ; UPDATE_EXPECT=1 rewrites them\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn reports_do_not_depend_on_threads() {
    for case in all() {
        let (_first, one, _) = perform(&case, &["-j1"]);
        let (_second, eight, _) = perform(&case, &["-j8"]);
        equal(&one, &eight, &case.display().to_string());
    }
}

#[test]
fn the_fast_path_gives_what_its_slow_twin_gives() {
    let dump = root().join("fixtures/dumps");
    let (_fast, fast, _) = crate::scan(std::slice::from_ref(&dump), &["-j1"]);
    let (_slow, slow, _) = crate::scan(&[dump], &["-j8", "--validate"]);
    equal(&fast, &slow, "fixtures/dumps");
    for case in all() {
        let (_fast, fast, _) = perform(&case, &[]);
        let (_slow, slow, _) = perform(&case, &["--validate"]);
        equal(&fast, &slow, &case.display().to_string());
    }
}

/// Envelopes change from record to record, some are broken inside, and some run into the next.
#[test]
fn the_fast_path_tells_neighbours_apart() {
    let event = |hour: usize| {
        let time = format!("2026-11-24T{hour:02}:00:00.000000Z");
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{hour}","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{{"username":"u"}},"responseStatus":{{"code":200}},"requestReceivedTimestamp":"{time}"}}"#
        )
    };
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let log_event = |message: &str| format!(r#"{{"id":"1","timestamp":2,"message":{message}}}"#);
    let payload = |cluster: &str, events: &[&str]| {
        let front = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/"#;
        format!(r#"{front}{cluster}/cluster","logStream":"s","logEvents":[{}]}}"#, events.join(","))
    };
    let azure = |cluster: &str, log: &str| {
        let id = format!(
            "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/az-{cluster}"
        );
        format!(r#"{{"category":"kube-audit","properties":{{"log":{log},"stream":"stdout"}},"resourceId":"{id}"}}"#)
    };
    let mut lines = Vec::new();
    for (number, cluster) in ["a", "b", "a", "c"].into_iter().enumerate() {
        let event = event(number);
        let cut = &event[..100 + number];
        let glued = format!("{cut}{event}");
        lines.extend([&event, &glued].map(|log| azure(cluster, &quoted(&format!("{log}\n")))));
        lines.push(format!("{event}\n{glued}\n2026-11-24T03:00:00.000Z {glued}"));
        let whole = log_event(&quoted(&event));
        let broken = whole.replace("ResponseComplete", "Response\nComplete");
        let glued = log_event(&quoted(&glued));
        lines.push(payload(cluster, &[&whole, &broken, &whole, &glued, &whole]) + &payload(cluster, &[&whole]));
    }
    let here = tempfile::tempdir().unwrap();
    let dump = here.path().join("dump.log");
    fs::write(&dump, lines.join("\n")).unwrap();
    let (_fast, fast, _) = crate::scan(std::slice::from_ref(&dump), &[]);
    let (_slow, slow, _) = crate::scan(&[dump], &["--validate"]);
    equal(&fast, &slow, "neighbours");
    let clusters: Vec<_> = rows(&fast.join("coverage.csv")).iter().map(|row| row["cluster"].clone()).collect();
    assert_eq!(clusters, ["", "a", "az-a", "az-b", "az-c", "b", "c"].map(str::to_owned));
}

/// The fields before the bodies refute only their own record: with a lost newline, and with members and quotes that an
/// API server does not write.
#[test]
fn a_head_refutes_no_more_than_its_record() {
    let dumps: Vec<_> =
        fs::read_dir(root().join("fixtures/glued")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(dumps.len(), 4);
    for dump in dumps {
        let (_fast, fast, _) = crate::scan(std::slice::from_ref(&dump), &[]);
        let (_slow, slow, _) = crate::scan(std::slice::from_ref(&dump), &["--validate"]);
        equal(&fast, &slow, &dump.display().to_string());
        let told = ["hits.csv", "activity.csv"].map(|report| rows(&fast.join(report)).len());
        assert_eq!(told.iter().sum::<usize>(), 1, "{}", dump.display());
    }
}

/// A time that is none covers nothing, and takes no other with it.
#[test]
fn a_time_that_is_none_hides_no_other_of_its_hour() {
    let entry = |time: &str| {
        let labels = r#""labels":{"cluster_name":"c","project_id":"p"},"type":"k8s_cluster""#;
        format!(
            r#"{{"insertId":"i","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","protoPayload":{{"methodName":"io.k8s.core.v1.nodes.get","serviceName":"k8s.io"}},"resource":{{{labels}}},"timestamp":"{time}"}}"#
        )
    };
    let event = |time: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/nodes","verb":"get","user":{{"username":"n"}},"requestReceivedTimestamp":"{time}","stageTimestamp":"{time}"}}"#
        )
    };
    let forms: [&dyn Fn(&str) -> String; 2] = [&entry, &event];
    for form in forms {
        for odd in ["60:00.000000", "10:60.000000", "1x:00.000000", "10-00.000000", "10:00.00000x"] {
            let lines = ["10:00.000000", odd].map(|minute| form(&format!("2026-11-24T03:{minute}Z"))).join("\n");
            let here = tempfile::tempdir().unwrap();
            let dump = here.path().join("dump.log");
            fs::write(&dump, lines).unwrap();
            let (_fast, fast, _) = crate::scan(std::slice::from_ref(&dump), &[]);
            let (_slow, slow, _) = crate::scan(&[dump], &["--validate"]);
            equal(&fast, &slow, odd);
            assert!(rows(&fast.join("coverage.csv"))[0]["first_seen"].starts_with("2026-11-24T03:10"), "{odd}");
        }
    }
}

fn equal(one: &Path, other: &Path, what: &str) {
    let names = reports(one);
    assert!(names.len() >= 9, "{what} left {names:?}");
    for report in names {
        let read = |out: &Path| fs::read(out.join(&report)).unwrap();
        assert!(read(one) == read(other), "{what}: {report} differs");
    }
}

/// Every record ends in one counter, in every row and in the sum.
fn ledger_adds_up(case: &Path, out: &Path) {
    if !out.join("inputs.csv").exists() {
        return;
    }
    let number = |row: &std::collections::BTreeMap<String, String>, column: &str| row[column].parse::<u64>().unwrap();
    let mut hits = 0;
    for row in rows(&out.join("inputs.csv")) {
        let parts = number(&row, "events") + number(&row, "not_audit") + number(&row, "malformed");
        assert_eq!(number(&row, "records"), parts, "{}: {row:?}", case.display());
        hits += number(&row, "hits");
    }
    assert_eq!(hits, rows(&out.join("hits.csv")).len() as u64, "{}: hits without an input", case.display());
}

/// hits.csv has the content of hits.jsonl: a column for every key, with its value.
fn columns_are_the_keys(case: &Path, out: &Path) {
    if !out.join("hits.csv").exists() {
        return;
    }
    let rows = rows(&out.join("hits.csv"));
    for (row, hit) in rows.iter().zip(crate::hits(out)) {
        let mut leaves = Vec::new();
        flatten("", &hit, &mut leaves);
        for (key, value) in leaves {
            let cell = row.get(&key).unwrap_or_else(|| panic!("{}: no column {key}", case.display()));
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let plain = cell.strip_prefix('\'').unwrap_or(cell);
            assert!(value.is_array() || *plain == text, "{}: {key} is {cell}, not {text}", case.display());
        }
    }
}

fn flatten(path: &str, value: &serde_json::Value, leaves: &mut Vec<(String, serde_json::Value)>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, member) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, member, leaves);
            }
        }
        leaf => leaves.push((path.to_owned(), leaf.clone())),
    }
}

fn all() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("fixtures/cases")).unwrap();
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.join("cmd").exists()).collect();
    cases.sort();
    assert!(cases.len() > 100, "the cases are there");
    cases
}

fn perform(case: &Path, more: &[&str]) -> (tempfile::TempDir, PathBuf, Run) {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path().join("out");
    let cmd = fs::read_to_string(case.join("cmd")).unwrap();
    let place = out.to_str().unwrap();
    let words = cmd.split_whitespace().map(|word| if word == "out" { place } else { word });
    let arguments: Vec<&str> = words.chain(more.iter().copied()).collect();
    let mut run = kubesweep(case, &arguments);
    run.stderr = run.stderr.replace(place, "out");
    (temporary, out, run)
}

fn expected_files(case: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(case.join("expected")) else {
        return DEFAULT.map(str::to_owned).to_vec();
    };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn content(out: &Path, run: &Run, name: &str) -> String {
    match name {
        "exit" => format!("{}\n", run.exit),
        "stdout" => run.stdout.clone(),
        "stderr" => run.stderr.clone(),
        file => fs::read_to_string(out.join(file)).unwrap_or_else(|error| format!("{file}: {error}\n")),
    }
}

/// All files of a report except the one that depends on the clock.
fn reports(out: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(out) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| name != "run.json").collect()
}

fn first_difference(file: &Path, actual: &str) -> String {
    let expected = fs::read_to_string(file).unwrap_or_default();
    let pair = expected.lines().zip(actual.lines()).enumerate().find(|(_, (left, right))| left != right);
    match pair {
        Some((line, (left, right))) => format!("line {}\n  expected {left}\n  actual   {right}", line + 1),
        None => format!("{} lines expected, {} actual", expected.lines().count(), actual.lines().count()),
    }
}
