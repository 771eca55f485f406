//! The main rule compared with the answers of Panther's; see `fixtures/oracle/README.md`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};

use serde_json::Value;

use crate::{hits, root, scan};

#[test]
fn the_rule_answers_as_the_real_one() {
    let cases = load();
    let temporary = tempfile::tempdir().unwrap();
    let dump = temporary.path().join("dump.jsonl");
    let mut file = std::fs::File::create(&dump).unwrap();
    for case in &cases {
        writeln!(file, "{}", case["log"]).unwrap();
    }
    let (_kept, out, _) = scan(&[dump], &[]);
    let found: BTreeMap<u64, Value> = hits(&out)
        .into_iter()
        .filter(|hit| hit["rule_id"] == "Kubernetes.CronJob.CreatedOrModified")
        .map(|hit| (hit["evidence"]["record"].as_u64().unwrap(), hit))
        .collect();
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (record, case) in (1..).zip(&cases).filter(|(_, case)| is_comparable(case)) {
        compared += 1;
        if !agrees(case, found.get(&record)) {
            wrong.push(format!(
                "{}: expected {} {}, found {:?}",
                case["id"],
                case["expected"],
                case["title"],
                found.get(&record)
            ));
        }
    }
    assert!(compared > 6_500, "only {compared} cases were compared");
    assert!(wrong.is_empty(), "{} of {compared} differ\n{}", wrong.len(), wrong.join("\n"));
}

fn load() -> Vec<Value> {
    let file = std::fs::File::open(root().join("fixtures/oracle/cases.jsonl.gz")).unwrap();
    let lines = BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn has_tag(case: &Value, tag: &str) -> bool {
    case["tags"].as_array().unwrap().iter().any(|other| other == tag)
}

/// Whether the answer of Panther's rule depends only on the event.
fn is_comparable(case: &Value) -> bool {
    let log = &case["log"];
    let odd_code = code(log).is_some_and(|code| code.is_string() || code.is_f64() || code.is_boolean());
    let object_log = log.pointer("/properties/log").is_some_and(Value::is_object);
    !has_tag(case, "unportable") && case["error"].is_null() && !odd_code && !object_log
}

fn code(log: &Value) -> Option<Value> {
    if let Some(text) = log.pointer("/properties/log").and_then(Value::as_str) {
        // Python's JSON reads NaN and Infinity as floats; such a code is one of the exceptions.
        let event = text.replace(":NaN", ":0.5").replace(":-Infinity", ":0.5").replace(":Infinity", ":0.5");
        let event: Value = serde_json::from_str(&event).ok()?;
        return event.pointer("/responseStatus/code").cloned();
    }
    log.pointer("/protoPayload/status/code").or_else(|| log.pointer("/responseStatus/code")).cloned()
}

fn agrees(case: &Value, hit: Option<&Value>) -> bool {
    let Some(hit) = hit else { return case["expected"] == false };
    let same_words = hit["title"] == case["title"] && hit["dedup_key"] == case["dedup"];
    case["expected"] == true && (same_words || has_tag(case, "py-repr"))
}
