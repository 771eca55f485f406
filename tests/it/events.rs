//! `kubesweep events`: one line per event, the filters, both orders, original bytes, streams that end early.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{dumps, hits, kubesweep, root, rows, scan};

fn inputs() -> Vec<PathBuf> {
    let cases = fs::read_dir(root().join("fixtures/cases")).unwrap();
    let mut inputs: Vec<PathBuf> =
        cases.map(|case| case.unwrap().path().join("input")).filter(|i| i.exists()).collect();
    inputs.sort();
    assert!(inputs.len() > 100, "the cases are there");
    inputs
}

fn events(path: &Path, options: &[&str]) -> crate::Run {
    kubesweep(root(), &[&["events", path.to_str().unwrap()], options].concat())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn every_event_is_a_line() {
    for input in inputs() {
        let (_kept, out, scanned) = scan(std::slice::from_ref(&input), &[]);
        let count: usize =
            rows(&out.join("inputs.csv")).iter().map(|row| row["events"].parse::<usize>().unwrap()).sum();
        let run = events(&input, &[]);
        let lines = lines(&run.stdout);
        assert_eq!(lines.len(), count, "{}", input.display());
        assert_eq!(run.exit, scanned.exit, "{}", input.display());
        assert!(run.stderr.contains(&format!("printed    {count} of {count} event")), "{}", run.stderr);
        for line in &lines {
            let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(keys[keys.len() - 2..], ["origin", "evidence"], "{}", input.display());
            assert!(line["kind"] == "Event" && line["evidence"]["record"].is_u64(), "{line}");
        }
        // Whatever a hit says of its event, the event's line says too.
        for hit in hits(&out) {
            let line = lines.iter().find(|line| line["evidence"] == hit["evidence"]);
            let line = line.unwrap_or_else(|| panic!("{}: no line for {}", input.display(), hit["evidence"]));
            for (key, pointer) in [("verb", "/verb"), ("username", "/user/username"), ("audit_id", "/auditID")] {
                assert_eq!(hit[key], *line.pointer(pointer).unwrap_or(&Value::Null), "{}: {line}", input.display());
            }
        }
    }
}

#[test]
fn lines_do_not_depend_on_threads() {
    let here = tempfile::tempdir().unwrap();
    // More than a source holds before it waits for its turn.
    for (file, count) in [("a", 50), ("b", 3), ("c", 3), ("d", 50)] {
        let body = "x".repeat(700_000);
        let mut out = fs::File::create(here.path().join(file)).unwrap();
        for number in 0..count {
            let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("{file}-{number}"), "verb": "get", "requestObject": body});
            writeln!(out, "{event}").unwrap();
        }
    }
    for (path, order) in [(here.path(), "source"), (&dumps(), "source"), (&dumps(), "time")] {
        let [one, eight] = ["-j1", "-j8"].map(|threads| events(path, &[threads, "--sort", order]).stdout);
        assert!(one == eight, "{} by {order} differs", path.display());
    }
    let ids =
        |text: &str| lines(text).iter().map(|line| line["auditID"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let printed = ids(&events(here.path(), &[]).stdout);
    assert_eq!(printed.len(), 106);
    assert_eq!([&printed[0], &printed[50], &printed[53], &printed[56]], ["a-0", "b-0", "c-0", "d-0"]);
}

#[test]
fn sorting_by_time_loses_nothing() {
    let by_source = events(&dumps(), &[]).stdout;
    let by_time = events(&dumps(), &["--sort", "time"]).stdout;
    let times: Vec<String> = lines(&by_time)
        .iter()
        .filter_map(|line| line["requestReceivedTimestamp"].as_str().map(str::to_owned))
        .collect();
    let times: Vec<jiff::Timestamp> = times.iter().map(|time| time.parse().unwrap()).collect();
    assert!(times.len() > 4000 && times.is_sorted());
    let [mut left, mut right] = [&by_source, &by_time].map(|text| text.lines().collect::<Vec<_>>());
    assert_ne!(left, right);
    left.sort_unstable();
    right.sort_unstable();
    assert!(left == right, "the lines are not the same");
}

/// A filter as options, and what it means.
type Case<'c> = (&'c [&'c str], fn(&Value) -> bool);

fn text<'v>(line: &'v Value, pointer: &str) -> &'v str {
    line.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn filters_choose_what_they_say() {
    let cases: [Case<'_>; 11] = [
        (&["--user", "eve"], |line| text(line, "/user/username") == "eve"),
        (&["--user", "eve", "--verb", "create", "--verb", "delete"], |line| {
            text(line, "/user/username") == "eve" && ["create", "delete"].contains(&text(line, "/verb"))
        }),
        (&["--user", "*:argocd:*"], |line| text(line, "/user/username").contains(":argocd:")),
        (&["--namespace", "billing"], |line| text(line, "/objectRef/namespace") == "billing"),
        (&["--namespace", "kube-*", "--resource", "cronjobs"], |line| {
            text(line, "/objectRef/namespace").starts_with("kube-") && text(line, "/objectRef/resource") == "cronjobs"
        }),
        (&["--resource", "cronjobs/status"], |line| {
            text(line, "/objectRef/resource") == "cronjobs" && text(line, "/objectRef/subresource") == "status"
        }),
        (&["--name", "cart-cleanup"], |line| text(line, "/objectRef/name") == "cart-cleanup"),
        // On GKE a request without a name is read as if its name were that of the namespace.
        (&["--name", "kube-system"], |line| text(line, "/objectRef/name") == "kube-system"),
        (&["--source-ip", "198.51.100.9"], |line| {
            line["sourceIPs"].as_array().is_some_and(|ips| ips.contains(&"198.51.100.9".into()))
        }),
        (&["--source-ip", "198.51.100.0/24"], |line| {
            let inside = |ip: &Value| ip.as_str().is_some_and(|ip| ip.starts_with("198.51.100."));
            line["sourceIPs"].as_array().is_some_and(|ips| ips.iter().any(inside))
        }),
        (&["--since", "2026-11-20", "--until", "2026-11-21T12:00:00Z"], |line| {
            let time = text(line, "/requestReceivedTimestamp");
            // Of two events without this time, one has that of its envelope; the other has none, so it is kept.
            let timeless = time.is_empty() && text(line, "/evidence/path") == "self-managed/audit.log";
            timeless || ("2026-11-20".."2026-11-21T12").contains(&time)
        }),
    ];
    let all = events(&dumps(), &[]).stdout;
    for (options, means) in cases {
        let fast = events(&dumps(), options);
        let slow = events(&dumps(), &[options, &["--validate"]].concat());
        assert!(fast.stdout == slow.stdout, "{options:?}: the prefilter changes what is printed");
        assert_eq!(fast.stderr, slow.stderr, "{options:?}");
        let expected: Vec<&str> = all.lines().filter(|line| means(&serde_json::from_str(line).unwrap())).collect();
        assert!(!expected.is_empty() || options.contains(&"kube-system"), "{options:?} fits nothing");
        assert!(fast.stdout.lines().eq(expected.iter().copied()), "{options:?} prints something else");
    }
}

#[test]
fn an_impersonated_user_is_a_user() {
    let here = tempfile::tempdir().unwrap();
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "user": {"username": "admin"},
        "impersonatedUser": {"username": "alice"}});
    fs::write(here.path().join("a"), event.to_string()).unwrap();
    for (user, count) in [("admin", 1), ("alice", 1), ("a*e", 1), ("bob", 0)] {
        assert_eq!(events(here.path(), &["--user", user]).stdout.lines().count(), count, "{user}");
    }
}

#[test]
fn raw_prints_the_bytes_of_the_record() {
    let mut compared = BTreeMap::<&str, u64>::new();
    for input in inputs() {
        let all = lines(&events(&input, &[]).stdout);
        let mut by_id = BTreeMap::<&str, Vec<&Value>>::new();
        for line in all.iter().filter(|line| line["auditID"].is_string()) {
            by_id.entry(line["auditID"].as_str().unwrap()).or_default().push(&line["evidence"]);
        }
        for (id, evidence) in by_id.into_iter().filter(|(id, places)| places.len() == 1 && !id.contains('*')).take(3) {
            let raw = events(&input, &["--audit-id", id, "--raw"]).stdout;
            let raw = raw.strip_suffix('\n').unwrap_or_else(|| panic!("{}: nothing for {id}", input.display()));
            *compared.entry(compare(&input, evidence[0], raw)).or_default() += 1;
        }
    }
    assert!(compared["record"] > 150 && compared["element"] > 2 && compared["lines"] > 0, "{compared:?}");
}

/// Compares with the text that the evidence points to; returns what was found there.
fn compare(input: &Path, evidence: &Value, raw: &str) -> &'static str {
    let what = || format!("{}: {evidence}\n{raw}", input.display());
    let Some(offset) = evidence["offset"].as_u64().filter(|_| evidence["member"].is_null()) else { return "elsewhere" };
    let file = input.join(evidence["path"].as_str().unwrap());
    let Some(text) = crate::evidence::text(&fs::read(file).unwrap()) else { return "encoded" };
    let rest = &text[usize::try_from(offset).unwrap()..];
    if let Some(behind) = rest.strip_prefix(raw) {
        // Complete: what is left of its line is only what tools write after a document.
        let behind = behind.lines().next().unwrap_or_default().trim_start_matches([' ', '\t', ',']);
        assert!(
            behind.is_empty() || behind.starts_with(['{', '[', ']']) || !behind.contains('{'),
            "{}{behind}",
            what()
        );
        return "record";
    }
    if rest.contains(raw) {
        assert!(serde_json::from_str::<Value>(raw).is_ok(), "{}", what());
        return "element";
    }
    assert!(raw.lines().all(|line| rest.contains(line)), "{}", what());
    "lines"
}

#[test]
fn raw_keeps_prefixes_rows_and_parts() {
    let here = tempfile::tempdir().unwrap();
    let event =
        |id: &str| json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "verb": "get"}).to_string();
    let (one, two) = (event("one"), event("two"));
    let (left, right) = one.split_at(40);
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let docker = |text: &str| json!({"log": text, "stream": "stdout", "time": "2026-11-24T03:00:00Z"}).to_string();
    let cri = |tag: char, text: &str| format!("2026-11-24T03:00:00.1Z stdout {tag} {text}");
    let joined = format!("{}\n{}", cri('P', left), cri('F', right));
    let split = format!("{}\n{}", docker(left), docker(&format!("{right}\n")));
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&one).unwrap()).unwrap();
    let long = format!("{{\"items\":[{two}, {one}],\"x\":\"{}\"}}", "y".repeat(2 << 20));
    for (dump, expected) in [
        (format!("{two}\r\n{one}  \r\n{two}\n"), one.clone()),
        (
            format!("2026-11-24T03:00:00.101Z {one}\n2026-11-24T03:00:00.101Z {two}\n"),
            format!("2026-11-24T03:00:00.101Z {one}"),
        ),
        (format!("@timestamp,@message\r\nt,{}\r\nt,{}\r\n", quoted(&two), quoted(&one)), format!("t,{}", quoted(&one))),
        (format!("{}\n{joined}\n", cri('F', &two)), joined),
        (format!("{}\n{split}\n{}\n", docker(&format!("{two}\n")), docker(&format!("{two}\n"))), split),
        (format!("{two}\n{pretty}\n{two}\n"), pretty),
        (format!("[{two},\n {one} ,{two}]"), one.clone()),
        (long, one.clone()),
        (
            format!("{{\"message\":{}}}", Value::from(one.clone())),
            format!("{{\"message\":{}}}", Value::from(one.clone())),
        ),
    ] {
        fs::write(here.path().join("a"), &dump).unwrap();
        let run = events(here.path(), &["--audit-id", "one", "--raw"]);
        assert_eq!(run.stdout, expected + "\n", "{}\n{}", &dump[..dump.len().min(2000)], run.stderr);
    }
}

#[test]
fn raw_prints_a_record_once() {
    let here = tempfile::tempdir().unwrap();
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "x", "verb": "get"});
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event, event]});
    let dump = format!("{list}\n{list}\n");
    fs::write(here.path().join("a"), &dump).unwrap();
    for order in ["source", "time"] {
        let run = events(here.path(), &["--verb", "get", "--raw", "--sort", order]);
        assert_eq!(
            (run.stdout.as_str(), run.stderr.as_str()),
            (dump.as_str(), "printed    4 of 4 events from 1 file\n")
        );
    }
}

#[test]
fn hostile_text_stays_escaped() {
    let here = tempfile::tempdir().unwrap();
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "x", "verb": "get",
        "user": {"username": "\u{1b}[2J\n{\"forged\":1}\r\""}, "evidence": {"path": "forged"}, "origin": 1});
    fs::write(here.path().join("a"), event.to_string()).unwrap();
    for format in ["jsonl", "timesketch"] {
        let run = events(here.path(), &["--format", format]);
        assert_eq!(run.stdout.lines().count(), 1);
        assert!(run.stdout.trim_end().bytes().all(|byte| byte >= b' '), "{}", run.stdout);
        assert!(!run.stdout.contains("\"forged\""), "{}", run.stdout);
    }
    assert_eq!(lines(&events(here.path(), &[]).stdout)[0]["evidence"]["path"], "a");
}

#[test]
fn a_closed_pipe_ends_the_sweep() {
    for options in [vec!["-j1"], vec!["-j8"], vec!["--sort", "time"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kubesweep"))
            .args(["events", dumps().to_str().unwrap()])
            .args(&options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.starts_with('{'), "{first}");
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{options:?}");
    }
}

#[test]
fn damage_and_usage_are_told() {
    let cut = events(&root().join("fixtures/cases/container-gzip-cut/input"), &[]);
    assert_eq!((cut.exit, cut.stdout.lines().count()), (3, 3));
    assert!(
        cut.stderr.starts_with("printed    3 of 3 events from 1 file\npartial    audit.log.gz\n"),
        "{}",
        cut.stderr
    );
    let raw = events(&dumps(), &["--raw"]);
    assert_eq!((raw.exit, raw.stdout.as_str()), (2, ""));
    assert!(raw.stderr.contains("--raw needs a filter"), "{}", raw.stderr);
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a"), "nothing\n").unwrap();
    let nothing = events(here.path(), &[]);
    assert_eq!(nothing.exit, 0);
    assert!(nothing.stderr.contains("warning: no audit event was found"), "{}", nothing.stderr);
    assert_eq!(events(here.path(), &["-q"]).stderr, "");
}

#[test]
fn timesketch_gets_what_it_needs() {
    let here = tempfile::tempdir().unwrap();
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "create", "user": {"username": "eve"},
        "stage": "ResponseComplete", "objectRef": {"resource": "cronjobs", "namespace": "prod", "name": "x"},
        "responseStatus": {"code": 201}, "sourceIPs": ["10.0.0.1", "10.0.0.2"]});
    let mut timed = event.clone();
    timed["stageTimestamp"] = "2026-11-24T03:00:00.5Z".into();
    fs::write(here.path().join("a"), format!("{event}\n{timed}\n")).unwrap();
    let path = here.path().to_str().unwrap();
    let hits = lines(&kubesweep(root(), &["scan", path, "-o", "-", "--format", "timesketch"]).stdout);
    let told = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let wanted = |line: &Value| ["message", "datetime", "timestamp_desc"].map(|key| told(line, key));
    let title = "[eve] created CronJob [prod/x]";
    assert_eq!(wanted(&hits[0]), [title, "2026-11-24T03:00:00.5Z", "Kubernetes audit: stage reached"]);
    assert_eq!(wanted(&hits[1]), [title, "1970-01-01T00:00:00Z", "Not a time"]);
    assert_eq!(hits[0]["evidence.record"], 2);
    assert_eq!(hits[0]["source_ips"], json!(["10.0.0.1", "10.0.0.2"]));
    let printed = lines(&events(here.path(), &["--format", "timesketch", "--sort", "time"]).stdout);
    let message = "eve create cronjobs/prod/x success";
    assert_eq!(wanted(&printed[0]), [message, "2026-11-24T03:00:00.5Z", "Kubernetes audit: stage reached"]);
    assert_eq!(printed.len(), 2);
    let all = lines(&kubesweep(root(), &["scan", "fixtures/dumps", "-o", "-", "--format", "timesketch"]).stdout);
    assert_eq!(all.len(), 113);
    for line in all {
        wanted(&line)[1].parse::<jiff::Timestamp>().unwrap();
        assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "{line}");
    }
}
