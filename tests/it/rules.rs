//! Rules as users write, test and tune them.

use std::fs;

use serde_json::json;

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
    let rule =
        rule("verb", "Equals", "get").replace("Tests: []", TESTS) + "\n    Mocks: [{objectName: f, returnValue: x}]\n";
    fs::write(here.path().join("a.yml"), rule).unwrap();
    let run = kubesweep(here.path(), &["rules", "test", "a.yml"]);
    assert_eq!(run.exit, 1);
    for line in [
        "  [PASS] a read",
        "  [FAIL] a write",
        "         the rule does not match",
        "1 passed, 1 failed",
        "warning: the Mocks of X, test a write, are not used\n",
    ] {
        assert!(run.stdout.contains(line), "{line} is missing in\n{}", run.stdout);
    }
    let json: serde_json::Value =
        serde_json::from_str(&kubesweep(here.path(), &["rules", "test", "a.yml", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["tests"][1]["passed"], false);
}

#[test]
fn examples_of_own_indicators_are_tried() {
    let here = tempfile::tempdir().unwrap();
    let own = "indicators:\n- {id: ACME-1, name: a, category: command, severity: low, at: command, re: acme, \
               positive: [acme], negative: [an acme]}\n";
    fs::write(here.path().join("own.yml"), own).unwrap();
    let run = kubesweep(here.path(), &["rules", "test", "builtin:cronjob", "--indicators", "own.yml"]);
    assert_eq!(run.exit, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("\n  [FAIL] ACME-1 finds \"an acme\"\n"), "{}", run.stdout);
    assert!(run.stdout.ends_with(" passed, 1 failed\n"), "{}", run.stdout);
    let run = kubesweep(here.path(), &["rules", "test", "--indicators", "own.yml", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["examples"]["broken"].as_array().unwrap().len(), 1);
}

#[test]
fn files_that_are_not_there_have_no_line() {
    let here = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (
            ["rules", "list", "cronjob"],
            "cronjob: there is no such file or directory; the built-in sets are builtin:cronjob",
        ),
        (["rules", "list", "gone.yml"], "gone.yml: cannot be read: "),
        (["rules", "test", "--indicators=gone.yml"], "gone.yml: cannot be read: "),
    ] {
        let run = kubesweep(here.path(), &arguments);
        assert!(run.exit == 2 && run.stderr.starts_with(&format!("error: {expected}")), "{}", run.stderr);
    }
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
        (rule("verb", "Exists", "x"), "a.yml:6: Exists takes no Value\n"),
        (rule("verb", "Exists", "x").replace("Value: x", "Values: [x]"), "a.yml:6: Exists takes no Values\n"),
        (rule("verb", "IsIPAddress", "x").replace("Value: x", "Values: [x]"), "a.yml:6: IsIPAddress takes no Values\n"),
        (rule("verb", "IsGreaterThan", "nan"), "a.yml:4: IsGreaterThan needs a number"),
        (rule("verb", "IsLessThan", "-inf"), "a.yml:4: IsLessThan needs a number"),
        (rule("verb", "IsIn", "x").replace("Value: x", "Values: []"), "a.yml:4: IsIn needs at least one of Values"),
        (rule("verb", "Contains", "x").replace("Value: x", "Values: []"), "a.yml:4: Contains needs at least one of"),
        (good.clone() + "Threshold: 0\n", "a.yml:8: Threshold is at least 1"),
        (good.clone() + "DedupPeriodMinutes: 0\n", "a.yml:8: DedupPeriodMinutes is at least 1"),
        (good.clone() + "CreateAlert: false\n", "a.yml:8: every hit belongs to an alert here; take CreateAlert away"),
        (good.clone() + "AnalysisType: scheduled_rule\n", "a.yml:8: only AnalysisType rule looks at events;"),
        (good.clone() + "AnalysisType: 1\n", "a.yml:8: only AnalysisType rule looks at events;"),
        (good.clone() + "GroupBy: [verb,\n  vreb]\n", "a.yml:9: unknown field vreb; did you mean verb?"),
        (good.clone() + "GroupBy: [{DeepKey: [usr, uid]}]\n", "a.yml:8: unknown field usr.uid; did you mean user.uid?"),
        (good.clone() + "GroupBy: [{Name: verb}]\n", "a.yml:8: name a field with Key, DeepKey or KeyPath"),
        (good.replace("RuleID: X\n", ""), "the rule has no RuleID"),
        ("a: [".to_owned(), "not YAML"),
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

/// A cut record has no time: the time of the copy it joins decides whether a suppression had ended, and a request
/// without a time is shown.
#[test]
fn an_ended_suppression_hides_no_request_of_which_a_copy_lost_its_time() {
    let here = tempfile::tempdir().unwrap();
    let event = |name: &str, stage: &str, rest: &str| {
        let uri = format!("/apis/batch/v1/namespaces/backup/cronjobs/{name}");
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"{name}","stage":"{stage}","requestURI":"{uri}","verb":"create","user":{{"username":"eve"}},"objectRef":{{"resource":"cronjobs","namespace":"backup","name":"{name}","apiGroup":"batch","apiVersion":"v1"}}{rest}}}"#
        )
    };
    let body = r#","responseStatus":{"code":201},"requestObject":{"spec":{"schedule":"* * * * *"}}"#;
    let times = r#","requestReceivedTimestamp":"2026-11-24T03:00:00Z","stageTimestamp":"2026-11-24T03:00:00Z""#;
    let lines = [
        event("a", "RequestReceived", times),
        event("a", "ResponseComplete", body),
        event("b", "ResponseComplete", body),
    ];
    fs::write(here.path().join("audit.log"), lines.join("\n") + "\n").unwrap();
    let tune = here.path().join("tune.yml");
    for (end, shown) in [("2026-11-24", &["a", "b"][..]), ("2026-11-25", &["b"])] {
        fs::write(&tune, format!("suppress:\n  - {{namespace: backup, reason: r, expires: {end}}}\n")).unwrap();
        let arguments = ["--tune", tune.to_str().unwrap(), "--as-of", "2026-11-24"];
        let (_kept, out, _) = scan(&[here.path().join("audit.log")], &arguments);
        let mut names: Vec<_> = hits(&out).iter().map(|hit| hit["name"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(names, shown, "{end}");
    }
}

/// Dedup keys consist of the fields that GroupBy names, in whatever form; names may contain anything.
#[test]
fn group_by_makes_the_dedup_key() {
    let here = tempfile::tempdir().unwrap();
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "A", "stage": "ResponseComplete", "verb": "get",
        "user": {"username": "eve"}, "objectRef": {"resource": "pods", "namespace": "n"}, "annotations": {"a.b/c": "v"}});
    fs::write(here.path().join("dump"), event.to_string()).unwrap();
    for (keys, expected) in [
        ("", "X{} eve n"),
        ("GroupBy: [verb, user.username]\n", "X{} get eve"),
        ("GroupBy: [{Key: verb}, {KeyPath: objectRef.namespace}]\n", "X{} get n"),
        ("GroupBy: [{DeepKey: [user, username]}, {DeepKey: [annotations, a.b/c]}]\n", "X{} eve v"),
        ("GroupBy: [verb]\nCreateAlert: true\nAnalysisType: rule\nDedupKey: 'of {verb}'\n", "of get"),
    ] {
        let text = rule("verb", "Equals", "get").replace("RuleID: X", "RuleID: X{}") + keys;
        fs::write(here.path().join("r.yml"), text).unwrap();
        let run = kubesweep(here.path(), &["scan", "dump", "-r", "r.yml", "-o", "-"]);
        let hit: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!([&hit["dedup_key"], &hit["title"]], [expected, "X{}"], "{keys}");
    }
}

/// A group of a rule counts all requests that the rule matches, even if other rules match them too.
#[test]
fn groups_of_rules_count_all_their_requests() {
    let here = tempfile::tempdir().unwrap();
    for (file, id) in [("a.yml", "RuleID: A"), ("b.yml", "RuleID: B")] {
        let text = rule("resource", "Equals", "cronjobs").replace("RuleID: X", id);
        fs::write(here.path().join(file), text).unwrap();
    }
    let dump = crate::root().join("fixtures/cases/container-gzip/input");
    let dump = dump.to_str().unwrap();
    let options = ["-q", "--force", "-o", "out", "--group-by", "rule_id"];
    let summary = |rules: &[&str]| {
        let arguments: Vec<&str> = ["scan", dump].into_iter().chain(options).chain(rules.iter().copied()).collect();
        assert_eq!(kubesweep(here.path(), &arguments).exit, 0);
        crate::rows(&here.path().join("out/summary.csv"))
    };
    let both = summary(&["-r", "a.yml", "-r", "b.yml"]);
    let alone = [summary(&["-r", "a.yml"]).remove(0), summary(&["-r", "b.yml"]).remove(0)];
    assert!(alone[0]["created"] != "0", "{alone:?}");
    for row in alone {
        assert!(both.contains(&row), "{row:?} is not in {both:?}");
    }
}

/// An exclusion by class uses the class that reports print, even for records refuted by their head alone.
#[test]
fn rules_see_the_class_that_tuning_gives() {
    let here = tempfile::tempdir().unwrap();
    let event = |id: &str, user: &str| {
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "stage": "ResponseComplete", "verb": "create",
            "user": {"username": user}, "objectRef": {"resource": "cronjobs", "namespace": "n"}, "responseStatus": {"code": 201},
            "requestObject": {"spec": {}}, "requestReceivedTimestamp": "2026-11-24T03:00:00Z"})
    };
    let argocd = "system:serviceaccount:argocd:argocd-application-controller";
    let dump: Vec<String> = [event("A", "deploybot"), event("B", argocd)].iter().map(ToString::to_string).collect();
    fs::write(here.path().join("dump"), dump.join("\n")).unwrap();
    let tune = "gitops:\n  add: [deploybot]\n  remove: ['system:serviceaccount:argocd:*']\n";
    fs::write(here.path().join("tune.yml"), tune).unwrap();
    let excluding = rule("resource", "Equals", "cronjobs")
        + "Exclusions:\n  gitops: {Key: principal_class, Condition: Equals, Value: gitops}\n";
    for (text, hit, suppressed) in [
        (excluding, "B workload_sa", "A gitops"),
        (rule("principal_class", "Equals", "gitops"), "A gitops", ""),
        (rule("principal_class", "Equals", "workload_sa"), "B workload_sa", ""),
    ] {
        fs::write(here.path().join("r.yml"), &text).unwrap();
        let [rules, tune] = ["r.yml", "tune.yml"].map(|name| here.path().join(name).to_str().unwrap().to_owned());
        let (_kept, out, _) = scan(&[here.path().join("dump")], &["-r", &rules, "--tune", &tune]);
        let told = |file: &str| {
            let rows = rows(&out.join(file));
            rows.iter()
                .map(|row| format!("{} {}", row["audit_id"], row["principal_class"]))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!((told("hits.csv"), told("suppressed.csv")), (hit.to_owned(), suppressed.to_owned()), "{text}");
    }
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
fn a_match_below_its_threshold_hides_no_request() {
    let counted = |rules: &str| {
        let (_kept, out, _) = scan(&[root().join("fixtures/dumps")], &["-r", rules]);
        let summary = rows(&out.join("summary.csv"));
        ["created", "modified", "deleted", "denied", "dry_run"]
            .map(|column| summary.iter().map(|row| row[column].parse::<u64>().unwrap()).sum::<u64>())
    };
    assert_eq!(counted("builtin:all"), counted("builtin:cronjob"));
}

#[test]
fn every_field_has_a_meaning() {
    let run = kubesweep(root(), &["rules", "fields"]);
    assert!(run.stdout.lines().count() > 40);
    assert!(
        run.stdout.lines().all(|line| line.split_once("  ").is_some_and(|(_, meaning)| !meaning.trim().is_empty()))
    );
}

/// Whether a rule with one match expression matches an event, according to `rules test`.
fn matches(expressions: &[(&str, bool)], event: &str) -> Vec<String> {
    let here = tempfile::tempdir().unwrap();
    for (number, (expression, _)) in expressions.iter().enumerate() {
        let rule = format!(
            "RuleID: R{number:03}\nSeverity: Low\nDetection:\n  - {expression}\nTests:\n  - Name: it\n    ExpectedResult: true\n    Log: {event}\n"
        );
        fs::write(here.path().join(format!("{number:03}.yml")), rule).unwrap();
    }
    let run = kubesweep(here.path(), &["rules", "test", "."]);
    assert_ne!(run.exit, 2, "{}", run.stderr);
    let verdicts = run.stdout.lines().filter(|line| line.starts_with("  ["));
    let wrong = verdicts.zip(expressions).filter(|(line, (_, expected))| line.contains("PASS") != *expected);
    wrong.map(|(line, (expression, _))| format!("{line} {expression}")).collect()
}

#[test]
fn match_expressions_mean_what_they_say() {
    let event = r#"{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "create", "stage": "ResponseComplete", "user": {"username": "Alice", "groups": ["dev", "ops"], "extra": {"arn": ["arn:aws:x"]}}, "sourceIPs": ["203.0.113.9", "10.0.0.1"], "objectRef": {"resource": "pods", "namespace": "prod", "name": "prod", "uid": "u-1"}, "responseStatus": {"code": 201}, "requestObject": {"n": null, "e": "", "num": 5, "text": "5", "list": [1, 2], "spec": {"containers": [{"name": "a", "privileged": true, "ports": [{"p": 80}]}, {"name": "b", "privileged": false}]}}}"#;
    let wrong = matches(
        &[
            ("{Key: verb, Condition: Equals, Value: create}", true),
            ("{Key: verb, Condition: DoesNotEqual, Value: create}", false),
            ("{Key: username, Condition: Equals, Value: alice}", false),
            ("{Key: username, Condition: IEquals, Value: alice}", true),
            ("{Key: username, Condition: DoesNotIEqual, Value: alice}", false),
            ("{Key: subresource, Condition: Equals, Value: status}", false),
            ("{Key: subresource, Condition: DoesNotEqual, Value: status}", true),
            ("{Key: verb, Condition: IsIn, Values: [get, create]}", true),
            ("{Key: verb, Condition: IsNotIn, Values: [get, create]}", false),
            ("{Key: subresource, Condition: IsNotIn, Values: [status]}", true),
            ("{Key: username, Condition: Contains, Value: lic}", true),
            ("{Key: username, Condition: IContains, Value: LIC}", true),
            ("{Key: username, Condition: DoesNotContain, Value: lic}", false),
            ("{Key: groups, Condition: Contains, Value: ops}", true),
            ("{Key: groups, Condition: Contains, Value: op}", false),
            ("{Key: username, Condition: StartsWith, Values: [Bo, Al]}", true),
            ("{Key: username, Condition: DoesNotStartWith, Value: Al}", false),
            ("{Key: username, Condition: IStartsWith, Value: al}", true),
            ("{Key: username, Condition: EndsWith, Value: ice}", true),
            ("{Key: username, Condition: DoesNotEndWith, Value: ice}", false),
            ("{Key: subresource, Condition: DoesNotEndWith, Value: ice}", true),
            ("{Key: response_code, Condition: IsGreaterThan, Value: 200}", true),
            ("{Key: response_code, Condition: IsGreaterThanOrEquals, Value: 201}", true),
            ("{Key: response_code, Condition: IsLessThan, Value: 201}", false),
            ("{Key: response_code, Condition: IsLessThanOrEquals, Value: '201'}", true),
            ("{Key: subresource, Condition: IsLessThan, Value: 1}", false),
            ("{Key: subresource, Condition: Exists}", false),
            ("{Key: subresource, Condition: DoesNotExist}", true),
            ("{KeyPath: requestObject.n, Condition: Exists}", true),
            ("{KeyPath: requestObject.n, Condition: IsNull}", true),
            ("{KeyPath: requestObject.nothing, Condition: IsNull}", false),
            ("{KeyPath: requestObject.n, Condition: IsNotNull}", false),
            ("{KeyPath: requestObject.num, Condition: IsNotNull}", true),
            ("{KeyPath: requestObject.e, Condition: IsNullOrEmpty}", true),
            ("{KeyPath: requestObject.nothing, Condition: IsNullOrEmpty}", true),
            ("{KeyPath: requestObject.num, Condition: IsNotNullOrEmpty}", true),
            ("{KeyPath: requestObject.num, Condition: Equals, Value: '5'}", true),
            ("{KeyPath: requestObject.text, Condition: Equals, Value: 5}", true),
            ("{KeyPath: requestObject.list, Condition: Equals, Value: [1, 2]}", true),
            ("{KeyPath: requestObject.list, Condition: Equals, Value: 1}", false),
            ("{KeyPath: 'requestObject.list[1]', Condition: Equals, Value: 2}", true),
            ("{KeyPath: 'requestObject.list[7]', Condition: Equals, Value: 2}", false),
            ("{KeyPath: 'requestObject.spec.containers[*].name', Condition: Equals, Value: b}", true),
            ("{KeyPath: 'requestObject.spec.containers[*].name', Condition: DoesNotEqual, Value: b}", false),
            ("{KeyPath: 'requestObject.spec.containers[*].ports[*].p', Condition: Equals, Value: 80}", true),
            ("{DeepKey: [requestObject, spec, containers, 0, name], Condition: Equals, Value: a}", true),
            ("{DeepKey: [user, extra, arn], Condition: Contains, Value: 'arn:aws:x'}", true),
            ("{KeyPath: objectRef.uid, Condition: Equals, Value: u-1}", true),
            ("{KeyPath: responseStatus, Condition: Exists}", true),
            ("{KeyPath: 'sourceIPs[0]', Condition: IsIPAddress}", true),
            ("{KeyPath: 'sourceIPs[0]', Condition: IsIPv4}", true),
            ("{KeyPath: 'sourceIPs[0]', Condition: IsIPv6}", false),
            ("{KeyPath: 'sourceIPs[0]', Condition: IsIPAddressPublic}", true),
            ("{Key: trusted_ip, Condition: IsIPAddressPrivate}", true),
            ("{Key: trusted_ip, Condition: IsIPAddressInCIDR, Value: 10.0.0.0/8}", true),
            ("{Key: trusted_ip, Condition: IsIPAddressNotInCIDR, Value: 10.0.0.0/8}", false),
            ("{Key: verb, Condition: IsIPAddress}", false),
            ("{Condition: Equals, Values: [{Key: namespace}, {Key: name}]}", true),
            ("{Condition: DoesNotEqual, Values: [{Key: namespace}, {Key: name}]}", false),
            ("{Condition: Equals, Values: [{Key: subresource}, {Key: subresource}]}", false),
            ("{Condition: AlwaysTrue}", true),
            ("{All: [{Key: verb, Condition: Exists}, {Key: subresource, Condition: Exists}]}", false),
            ("{Any: [{Key: verb, Condition: Exists}, {Key: subresource, Condition: Exists}]}", true),
            ("{OnlyOne: [{Key: verb, Condition: Exists}, {Key: subresource, Condition: Exists}]}", true),
            ("{OnlyOne: [{Key: verb, Condition: Exists}, {Key: name, Condition: Exists}]}", false),
            ("{None: [{Key: verb, Condition: Exists}]}", false),
            ("{None: [{Key: subresource, Condition: Exists}, {Any: [{Key: uid, Condition: Exists}]}]}", true),
            (
                "{KeyPath: requestObject.spec.containers, Condition: AnyElement, Expressions: [{Key: privileged, Condition: Equals, Value: true}, {Key: name, Condition: Equals, Value: a}]}",
                true,
            ),
            (
                "{KeyPath: requestObject.spec.containers, Condition: AnyElement, Expressions: [{Key: privileged, Condition: Equals, Value: true}, {Key: name, Condition: Equals, Value: b}]}",
                false,
            ),
            (
                "{KeyPath: requestObject.spec.containers, Condition: AllElements, Expressions: [{Key: name, Condition: Exists}]}",
                true,
            ),
            (
                "{KeyPath: requestObject.spec.containers, Condition: NoElement, Expressions: [{Key: privileged, Condition: Equals, Value: true}]}",
                false,
            ),
            (
                "{KeyPath: requestObject.nothing, Condition: AllElements, Expressions: [{Key: name, Condition: Exists}]}",
                false,
            ),
            (
                "{KeyPath: requestObject.nothing, Condition: NoElement, Expressions: [{Key: name, Condition: Exists}]}",
                true,
            ),
            ("{Key: groups, Condition: AnyElement, Expressions: [{Condition: StartsWith, Value: op}]}", true),
        ],
        event,
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_rule_sees_the_same_on_every_platform() {
    let rule = "Key: namespace, Condition: Equals, Value: prod";
    let native = r#"{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "create", "user": {"username": "a"}, "objectRef": {"resource": "pods", "namespace": "prod", "name": "x"}, "responseStatus": {"code": 201}, "sourceIPs": ["10.0.0.1"], "userAgent": "k", "requestObject": {"spec": {"containers": [{"image": "i"}]}}}"#;
    let log = serde_json::to_string(&native).unwrap();
    let gke = r#"{"insertId": "1", "protoPayload": {"serviceName": "k8s.io", "methodName": "io.k8s.core.v1.pods.create", "resourceName": "core/v1/namespaces/prod/pods/x", "authenticationInfo": {"principalEmail": "a"}, "status": {}, "requestMetadata": {"callerIp": "10.0.0.1", "callerSuppliedUserAgent": "k"}, "request": {"spec": {"containers": [{"image": "i"}]}}}}"#;
    let records =
        [native.to_owned(), format!(r#"{{"category": "kube-audit", "properties": {{"log": {log}}}}}"#), gke.to_owned()];
    for key in [
        "Key: verb, Condition: Equals, Value: create",
        "Key: resource, Condition: Equals, Value: pods",
        rule,
        "Key: name, Condition: Equals, Value: x",
        "Key: username, Condition: Equals, Value: a",
        "Key: outcome, Condition: Equals, Value: success",
        "Key: trusted_ip, Condition: Equals, Value: 10.0.0.1",
        "Key: userAgent, Condition: Equals, Value: k",
        "Key: images, Condition: Contains, Value: i",
        "Key: principal_class, Condition: Equals, Value: human",
        "KeyPath: objectRef.resource, Condition: Equals, Value: pods",
    ] {
        for record in &records {
            let expression = format!("{{{key}}}");
            assert!(matches(&[(&expression, true)], record).is_empty(), "{key} on {record}");
        }
    }
}

/// Only its engine knows what a Sigma rule looks at; its matches show whether these are requests on CronJobs.
#[test]
fn hits_of_sigma_rules_on_cronjobs_are_summed() {
    let here = tempfile::tempdir().unwrap();
    let event = |resource: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{resource}","verb":"create","user":{{"username":"u"}},"objectRef":{{"resource":"{resource}","namespace":"n"}},"responseStatus":{{"code":201}}}}"#
        )
    };
    fs::write(here.path().join("dump.jsonl"), [event("cronjobs"), event("jobs")].join("\n")).unwrap();
    let rule = "title: T\nid: 5b1a0c38-54a8-4c0e-9a0f-0d8f8a1f1aff\nlogsource:\n  product: kubernetes\n  service: audit\ndetection:\n  s:\n    verb: create\n  condition: s\n";
    fs::write(here.path().join("rule.yml"), rule).unwrap();
    let rule = here.path().join("rule.yml");
    let (_kept, out, _) = scan(&[here.path().join("dump.jsonl")], &["-r", rule.to_str().unwrap()]);
    let row = &crate::rows(&out.join("summary.csv"))[0];
    assert_eq!([&*row["hits"], &*row["created"]], ["1", "1"]);
}

/// Which of some events a Sigma rule with this selection finds, by audit ID.
fn found_by_sigma(selection: &str, events: &[serde_json::Value]) -> String {
    found_by_detection(&format!("s:\n    {selection}\n  condition: s\n"), events)
}

fn found_by_detection(detection: &str, events: &[serde_json::Value]) -> String {
    let here = tempfile::tempdir().unwrap();
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    fs::write(here.path().join("dump.jsonl"), lines.join("\n")).unwrap();
    let rule = format!(
        "title: T\nid: 5b1a0c38-54a8-4c0e-9a0f-0d8f8a1f1aff\nlogsource:\n  product: kubernetes\n  service: audit\ndetection:\n  {detection}"
    );
    let file = here.path().join("rule.yml");
    fs::write(&file, rule).unwrap();
    let (_kept, out, run) = scan(&[here.path().join("dump.jsonl")], &["-r", file.to_str().unwrap()]);
    assert_eq!(run.exit, 0, "{detection}\n{}", run.stderr);
    hits(&out).iter().map(|hit| hit["audit_id"].as_str().unwrap()).collect()
}

/// Where the crate differs from the Sigma specification, so that an update that changes answers is noticed.
#[test]
fn sigma_differs_where_the_docs_say() {
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "create", "auditID": "A",
        "requestObject": {"none": null, "hundred": 100, "answer": "yes", "list": [{"x": null, "y": 2}, {"x": 1}]}});
    for (selection, found) in [
        ("requestObject.none|exists: true", ""),
        ("requestObject.hundred: 1e2", "A"),
        ("requestObject.answer: yes", "A"),
        ("requestObject.none: null", "A"),
        ("requestObject.list.x: null", ""),
        ("requestObject.list.x: 1", "A"),
        ("requestObject.list.x: 1\n    requestObject.list.y: 2", "A"),
        ("requestObject.list.x: 1\n    requestObject.list.y: 3", ""),
    ] {
        assert_eq!(found_by_sigma(selection, std::slice::from_ref(&event)), found, "{selection}");
    }
}

/// A wildcard stands for any text, including line breaks, and the modifier says which end is open.
#[test]
fn sigma_wildcards_mean_what_the_specification_says() {
    let event = |id: &str, name: &str| {
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "auditID": id, "user": {"username": name},
            "requestObject": {"text": "a\nb", "code": 201}})
    };
    let events = [event("A", "arn:aws:iam::1:user/eve"), event("B", "eve"), event("C", "arn")];
    for (selection, found) in [
        ("user.username|startswith: 'ar?'", "AC"),
        ("user.username|startswith: 'a*n:'", "A"),
        ("user.username|startswith: '?rn'", "AC"),
        ("user.username|startswith: ['ar?:aws', zzz, null]", "A"),
        ("user.username|endswith: 'us*EVE'", "A"),
        ("user.username|endswith: '/e?e'", "A"),
        ("user.username|endswith: '?ve'", "AB"),
        ("user.username|endswith|cased: '?VE'", ""),
        ("user.username|endswith|all: ['?ve', 'r/eve']", "A"),
        ("user.username|contains: 'r?:'", "A"),
        ("user.username: 'a*'", "AC"),
        ("user.username|neq: ['a*', 'x']", "B"),
        ("user.username: 'a.n*'", ""),
        ("user.username: ['e*', null]", "B"),
        ("requestObject.code|startswith: ['2*', x]", "ABC"),
        ("requestObject.text: 'a*b'", "ABC"),
        ("requestObject.text: 'a?b'", "ABC"),
        ("requestObject.text|startswith: 'a'", "ABC"),
    ] {
        assert_eq!(found_by_sigma(selection, &events), found, "{selection}");
    }
}

/// Where the engine differs from the specification and pySigma 2.0.1, and rewriting mends it.
#[test]
fn sigma_modifiers_mean_what_the_specification_says() {
    let base = |id: &str| json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "auditID": id});
    let event = |id: &str, rest: serde_json::Value| {
        let mut event = base(id);
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        event
    };
    let decision = |word: &str| json!({"authorization.k8s.io/decision": word});
    let events = [
        // The arguments hold /bin/sh in base64, behind none, one and two other bytes.
        event("A", json!({"userAgent": "L2Jpbi9zaA==", "user": {"username": "eve", "groups": ["ops", "eve"]}})),
        event(
            "B",
            json!({"userAgent": "eC9iaW4vc2ggLWM=", "responseStatus": {"code": 201}, "user": {"username": "201"}}),
        ),
        event("C", json!({"userAgent": "eHkvYmluL3NoIC1j", "objectRef": {"resource": "pods", "subresource": ""}})),
        event("D", json!({"userAgent": "kubectl -n x", "objectRef": {"subresource": "status"}})),
        event(
            "E",
            json!({"userAgent": "kubectl /n x", "annotations": decision("forbid"), "requestObject": {"on": true}}),
        ),
        event(
            "F",
            json!({"userAgent": "a \u{2014}n", "annotations": decision("allow"), "requestObject": {"on": "yes"}}),
        ),
    ];
    for (selection, found) in [
        ("userAgent|base64offset|contains: /bin/sh", "ABC"),
        ("'|base64offset': /bin/sh", "ABC"),
        ("userAgent|base64offset|contains|all: [/bin, n/sh]", "ABC"),
        ("userAgent|base64: /bin/sh", "A"),
        ("objectRef.subresource: null", "ABEF"),
        ("objectRef.subresource: [null, status]", "ABDEF"),
        ("objectRef.subresource: ['', null]", "ABCEF"),
        ("objectRef.subresource|neq: [null, status]", "C"),
        ("objectRef.resource|neq: pods", "ABDEF"),
        ("objectRef.subresource|neq: 'st*'", "ABCEF"),
        ("'|neq': pods", "ABDEF"),
        ("responseStatus.code: allow", "F"),
        ("responseStatus.code: ['ALLOW', 201]", "BF"),
        ("responseStatus.code|neq: forbid", "ABCDF"),
        ("responseStatus.code|re: '.*'", "B"),
        ("responseStatus.code|startswith: ''", "B"),
        ("responseStatus.code: 'a*'", ""),
        ("userAgent|windash|contains: ' -n'", "DEF"),
        ("userAgent|windash|contains: ' /n'", "DEF"),
        ("userAgent|contains|windash: 'kube*-n'", "DE"),
        ("userAgent|windash: '* -n'", "F"),
        ("'|windash': ' -n'", "DEF"),
        ("user.username|fieldref: user.groups", "A"),
        ("user.groups|fieldref: user.username", "A"),
        ("responseStatus.code|fieldref: user.username", "B"),
        ("user.username|fieldref|neq: user.groups", "BCDEF"),
        ("user.username|fieldref|startswith: responseStatus.code", "B"),
        ("verb|fieldref|cased: verb", "ABCDEF"),
        ("requestObject.on: true", "E"),
        ("requestObject.on: [true, no]", "E"),
    ] {
        assert_eq!(found_by_sigma(selection, &events), found, "{selection}");
    }
}

/// A selector leaves out names that begin with an underscore, unless its own pattern does.
#[test]
fn sigma_selectors_leave_out_hidden_detections() {
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "auditID": "A"});
    let found = |condition: &str| {
        let named = "s: {verb: list}\n  _h: {verb: get}\n  x_h: {verb: get}\n";
        found_by_detection(&format!("{named}  condition: {condition}\n"), std::slice::from_ref(&event))
    };
    for (condition, matches) in [
        ("1 of _*", true),
        ("1 of *_h", true),
        ("all of *_h", true),
        ("2 of *", false),
        ("1 of s*", false),
        ("1 of them", true),
        ("s or _h", true),
        ("not 1 of s* and x_h", true),
    ] {
        assert_eq!(!found(condition).is_empty(), matches, "{condition}");
    }
}

/// Keywords are text anywhere in an event; several may be in different places, and numbers count as text.
#[test]
fn sigma_keywords_are_looked_for_in_the_whole_event() {
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "auditID": "A", "userAgent": "curl/8 base64 -d",
        "user": {"username": "eve"}, "responseStatus": {"code": 201}, "requestObject": {"text": "one\ntwo"}});
    for (selection, found) in [
        ("'|all': [curl, base64]", "A"),
        ("'|all': [curl, eve]", "A"),
        ("'|all': [curl, mallory]", ""),
        ("'|all': [curl]", "A"),
        ("'|contains|all': [CURL, eve]", "A"),
        ("'|all': ['*curl*', '*eve*']", "A"),
        ("'|all': [curl, 201]", "A"),
        ("'|cased': CURL", ""),
        ("'|re': '^eve$'", "A"),
        ("- 201", "A"),
        ("- 202", ""),
        ("- EVE\n    - mallory", "A"),
        ("- 'one*two'", "A"),
        ("- curl\n    - verb: list", "A"),
    ] {
        assert_eq!(found_by_sigma(selection, std::slice::from_ref(&event)), found, "{selection}");
    }
}

/// Mistakes in Sigma files name the document, in one sentence; whatever can only be a mistake is refused.
#[test]
fn mistakes_in_sigma_rules_are_named() {
    let here = tempfile::tempdir().unwrap();
    let rule = |detection: &str| {
        format!(
            "title: T\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n  {detection}\n  condition: s\n"
        )
    };
    let good = rule("s: {verb: create}");
    let correlation = "title: C\ncorrelation:\n  type: event_count\n  rules: [T]\n";
    for (text, sentence) in [
        (
            correlation.to_owned(),
            "a.yml:1: a Sigma correlation is not run; take it out, and count with Threshold in a rule of Panther's form\n",
        ),
        (format!("{good}---\n{correlation}"), "a.yml:7: a Sigma correlation is not run;"),
        (
            format!("{good}---\ntitle: F\nlogsource: {{product: kubernetes}}\nfilter:\n  rules: [T]\n"),
            "a.yml:7: a Sigma filter is not run;",
        ),
        (format!("{good}---\n{}", rule("s: {verb|foo: x}")), "a.yml:7: not a Sigma rule: Unknown modifier 'foo'\n"),
        (
            format!("{good}--- # third\n# second\n---\n{}", rule("s: {verb|foo: x}")),
            "a.yml:9: not a Sigma rule: Unknown modifier 'foo'\n",
        ),
        (rule("s: {verb|re: '['}"), "a.yml:1: T: invalid regex pattern: regex parse error: unclosed character class\n"),
        (
            good.replace("condition: s", "condition: s and ("),
            "a.yml:1: not a Sigma rule: Condition parse error at 1:8: expected expr\n",
        ),
        (rule("s: {verb|exists: maybe}"), "a.yml:1: T: verb|exists is true or false\n"),
        (
            rule("s: {verb|expand: '%verbs%'}"),
            "verb|expand needs a list of values that is not here; write the values out\n",
        ),
        (rule("s: {verb: []}"), "verb has no value; take it out, or write null for a field that is missing\n"),
        (
            rule("s: {objectRef: {resource: pods}}"),
            "a.yml:4: objectRef is compared with text, numbers, or a list of these; name a member as objectRef.member\n",
        ),
        (rule("s:\n  - verb: x\n  - verb: [{a: b}]"), "a.yml:6: verb is compared with"),
        (rule("timeframe: 5m\n  s: {verb: x}"), "a.yml:4: a Sigma timeframe is not evaluated;"),
        (
            rule("s: {verb|contains|base64: x}"),
            "T: a modifier of verb stands in the wrong place; write windash first, contains, startswith or endswith last\n",
        ),
        (rule("s: {verb|base64: 5}"), "T: a modifier of verb encodes text, which one of its values is not\n"),
        (
            good.replace("condition: s", "condition: s or t"),
            "T: its condition names t, and none of its detections has that name\n",
        ),
        (
            rule("_s: {verb: x}").replace("condition: s", "condition: 1 of *"),
            "T: its condition says 1 of *, and 0 of its detections fit that\n",
        ),
        (
            good.replace("condition: s", "condition: 1 of x*"),
            "a.yml:1: T: its condition says 1 of x*, and 0 of its detections fit that\n",
        ),
        (
            good.replace("condition: s", "condition: s and not (2 of s*)"),
            "its condition says 2 of s*, and 1 of its detections fit that\n",
        ),
        (format!("{good}---\nRuleID: R\n"), "a.yml:7: Sigma rules and other rules need files of their own\n"),
    ] {
        fs::write(here.path().join("a.yml"), &text).unwrap();
        let run = kubesweep(here.path(), &["rules", "test", "a.yml"]);
        assert_eq!(run.exit, 2, "{text}");
        assert!(
            run.stderr.ends_with(sentence) || !sentence.ends_with('\n') && run.stderr.contains(sentence),
            "{sentence}\n{}",
            run.stderr
        );
    }
    let global = "action: global\nlogsource: {product: kubernetes, service: audit}\n---\ntitle: G\ndetection:\n  s: {foo: x, bar: y}\n  t: {foo: z}\n  condition: s or t\n---\n";
    fs::write(here.path().join("a.yml"), global).unwrap();
    fs::write(here.path().join("dump"), "").unwrap();
    let run = kubesweep(here.path(), &["scan", "dump", "-r", "a.yml", "-o", "-"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert!(run.stderr.contains("warning: a.yml:4: G names bar, foo, which no audit event has\n"), "{}", run.stderr);
}

/// Pages name indicators by their ids, which the same command explains.
#[test]
fn indicators_are_explained() {
    let here = tempfile::tempdir().unwrap();
    let shown = |id: &str| kubesweep(here.path(), &["rules", "show", id]);
    let text = shown("CJ-BEH-13").stdout;
    assert!(text.starts_with("CJ-BEH-13\nworkload service account writes CronJobs (high, behaviour)\n"), "{text}");
    assert!(text.contains("\nWhy\n  ") && text.contains("\nHarmless\n  "), "{text}");
    assert!(shown("CJ-X-05").stdout.contains("\nAll of\n  CJ-CMD-03\n"));
    assert!(shown("CJ-NO-01").stderr.contains("no rule or indicator CJ-NO-01"));
}
