//! Rules as users write, test and tune them.

use std::fs;

use crate::{hits, kubesweep, root, rows, scan};

#[test]
fn the_built_in_pack_passes_its_tests() {
    let run = kubesweep(root(), &["rules", "test"]);
    assert_eq!(run.exit, 0, "{}", run.stdout);
    assert!(!run.stdout.contains("warning:"), "every rule has a positive and a negative test\n{}", run.stdout);
    assert!(run.stdout.ends_with(" passed, 0 failed\n"));
    for id in kubesweep(root(), &["rules", "list"]).stdout.lines().filter_map(|line| line.split_whitespace().next()) {
        let shown = kubesweep(root(), &["rules", "show", id]).stdout;
        assert!(shown.contains("Matches\n") && shown.contains("Prefilter\n"), "{shown}");
    }
}

#[test]
fn a_failing_test_is_exit_1() {
    let here = tempfile::tempdir().unwrap();
    let rule = rule("verb", "Equals", "get").replace("Tests: []", TESTS);
    fs::write(here.path().join("a.yml"), rule).unwrap();
    let run = kubesweep(here.path(), &["rules", "test", "a.yml"]);
    assert_eq!(run.exit, 1);
    for line in ["  [PASS] a read", "  [FAIL] a write", "         the rule does not match", "1 passed, 1 failed"] {
        assert!(run.stdout.contains(line), "{line} is missing in\n{}", run.stdout);
    }
    let json: serde_json::Value =
        serde_json::from_str(&kubesweep(here.path(), &["rules", "test", "a.yml", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["tests"][1]["passed"], false);
}

const TESTS: &str = r#"Tests:
  - Name: a read
    ExpectedResult: true
    Log: {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get"}
  - Name: a write
    ExpectedResult: true
    Log: {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "create"}"#;

fn rule(key: &str, condition: &str, value: &str) -> String {
    format!(
        "RuleID: X\nSeverity: High\nDetection:\n  - Key: {key}\n    Condition: {condition}\n    Value: {value}\nTests: []\n"
    )
}

#[test]
fn mistakes_name_file_line_and_the_nearest_word() {
    let here = tempfile::tempdir().unwrap();
    let good = rule("verb", "Equals", "get");
    for (text, sentence) in [
        (rule("resorce", "Equals", "x"), "a.yml:4: unknown field resorce; did you mean resource?"),
        (rule("verb", "Equal", "x"), "a.yml:5: unknown condition Equal; did you mean Equals?"),
        (good.replace("Severity", "Severty"), "a.yml:2: unknown key Severty; did you mean Severity?"),
        (good.replace("High", "Huge"), "a.yml:2: a severity is info, low, medium, high or critical"),
        (good.replace("    Value: get\n", ""), "a.yml:4: Equals needs a Value"),
        (good.replace("Value: get", "Vlaue: get"), "a.yml:6: unknown key Vlaue; did you mean Value?"),
        (rule("sourceIPs[x]", "Equals", "x"), "a.yml:4: in the path sourceIPs[x] write [2] or [*]"),
        (rule("verb", "IsIPAddressInCIDR", "10.0.0.1"), "a.yml:4: IsIPAddressInCIDR needs an address block"),
        (good.replace("RuleID: X\n", ""), "the rule has no RuleID"),
        ("a: [".to_owned(), "no YAML"),
    ] {
        fs::write(here.path().join("a.yml"), &text).unwrap();
        let run = kubesweep(here.path(), &["rules", "test", "a.yml"]);
        assert_eq!(run.exit, 2, "{text}");
        assert!(run.stderr.contains(sentence), "{sentence}\n{}", run.stderr);
    }
}

#[test]
fn tuning_suppresses_and_regrades() {
    let here = tempfile::tempdir().unwrap();
    let tune = here.path().join("tune.yml");
    fs::write(
        &tune,
        "suppress:\n  - id: argocd\n    username: system:serviceaccount:argocd:*\n    reason: our GitOps\n    expires: 2026-11-20\n  \
         - rule: No.Such.Rule\n    reason: none\nseverity:\n  Kubernetes.CronJob.CreatedOrModified: high\n",
    )
    .unwrap();
    let dumps = root().join("fixtures/dumps");
    let (_all, all, _) = scan(std::slice::from_ref(&dumps), &[]);
    let (_tuned, tuned, run) = scan(&[dumps], &["--tune", tune.to_str().unwrap(), "--as-of", "2026-11-24"]);
    assert!(run.stderr.contains("tune.yml:2: the suppression argocd ended at 2026-11-20T00:00:00Z"), "{}", run.stderr);
    assert!(run.stderr.contains("tune.yml:6: no rule No.Such.Rule is evaluated"), "{}", run.stderr);
    let argocd = |hit: &serde_json::Value| hit["username"].as_str().unwrap_or_default().contains("argocd");
    let kept: Vec<_> = hits(&tuned).into_iter().filter(argocd).collect();
    assert!(!kept.is_empty() && kept.iter().all(|hit| hit["time"].as_str() >= Some("2026-11-20")));
    let suppressed = rows(&tuned.join("suppressed.csv")).iter().filter(|row| row["suppressed_by"] == "argocd").count();
    assert_eq!(suppressed + kept.len(), hits(&all).into_iter().filter(argocd).count());
    assert!(kept.iter().all(|hit| hit["severity"] == "high"));
}

#[test]
fn thresholds_count_within_the_window() {
    let here = tempfile::tempdir().unwrap();
    let event = |minute: u32, user: &str, resource: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{minute}{user}","stage":"ResponseComplete","verb":"get","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}"}},"requestReceivedTimestamp":"2026-11-24T03:{minute:02}:00Z"}}"#
        )
    };
    let dump = here.path().join("dump");
    fs::create_dir(&dump).unwrap();
    // Two files, so that the count is over all of them.
    fs::write(dump.join("a"), [event(0, "a", "pods"), event(1, "b", "pods"), event(20, "c", "pods")].join("\n"))
        .unwrap();
    fs::write(dump.join("b"), [event(5, "a", "pods"), event(40, "b", "pods"), event(21, "c", "nodes")].join("\n"))
        .unwrap();
    let alerted = |extra: &str| {
        let rule =
            rule("verb", "Equals", "get") + "DedupPeriodMinutes: 30\nThreshold: 2\nDedupKey: '{username}'\n" + extra;
        fs::write(here.path().join("r.yml"), rule).unwrap();
        let (_kept, out, _) = scan(std::slice::from_ref(&dump), &["-r", here.path().join("r.yml").to_str().unwrap()]);
        rows(&out.join("alerts.csv")).iter().map(|row| row["username"].clone() + &row["hits"]).collect::<Vec<_>>()
    };
    assert_eq!(alerted(""), ["a2", "c2"]);
    assert_eq!(alerted("ThresholdDistinct: resource\n"), ["c2"]);
}

#[test]
fn every_field_has_a_meaning() {
    let run = kubesweep(root(), &["rules", "fields"]);
    assert!(run.stdout.lines().count() > 40);
    assert!(
        run.stdout.lines().all(|line| line.split_once("  ").is_some_and(|(_, meaning)| !meaning.trim().is_empty()))
    );
}
