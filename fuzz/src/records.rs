//! One record: the same event in every envelope; bodies that indicators look at.

use std::sync::LazyLock;

use kubesweep::normalize::Normalized;
use kubesweep::runbook::Catalogue;
use kubesweep::runbook::indicators::Context;
use serde_json::{Value, json};

use crate::reading::events;

/// JSON as an audit event, a LogEntry, a row or an OCSF activity, and the same inside of envelopes.
pub fn normalize(data: &[u8]) {
    // Envelopes hold text, so that what is in them is UTF-8.
    let Ok(text) = std::str::from_utf8(data) else { return events(data, &mut |_, _| {}) };
    let plain = list(text.as_bytes());
    if serde_json::from_str::<Value>(text).is_ok_and(|value| is_native(&value)) {
        for wrapped in envelopes(text) {
            assert_eq!(plain, list(wrapped.as_bytes()), "{wrapped}");
        }
    }
}

fn list(text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    events(text, &mut |normalized, _| {
        if let Normalized::Event(event) = normalized {
            found.push(format!("{event:?}"));
        }
    });
    found
}

/// What every envelope takes for an event.
fn is_native(value: &Value) -> bool {
    let is = |key: &str, expected: &str| value.get(key).and_then(Value::as_str) == Some(expected);
    is("kind", "Event")
        && is("apiVersion", "audit.k8s.io/v1")
        && value["auditID"].is_string()
        && value["verb"].is_string()
}

fn envelopes(event: &str) -> Vec<String> {
    let quoted = json!(event);
    vec![
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{event}]}}"#),
        format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/p/cluster","logEvents":[{{"id":"1","timestamp":1,"message":{quoted}}}]}}"#
        ),
        format!(r#"{{"category":"kube-audit","properties":{{"log":{quoted},"pod":"p"}}}}"#),
        format!(r#"{{"log":{quoted},"stream":"stdout","time":"2026-11-24T03:00:00Z"}}"#),
        format!(r#"{{"preview":false,"result":{{"_raw":{quoted}}}}}"#),
        format!(r#"{{"hits":{{"hits":[{{"_source":{{"kubernetes":{{"audit":{event}}}}}}}]}}}}"#),
        format!(r#"{{"data":{{"result":[{{"stream":{{}},"values":[["1795490175101000000",{quoted}]]}}]}}}}"#),
    ]
}

static BUILTIN: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

/// A CronJob, and, behind a NUL, a file of indicators.
pub fn indicators(data: &[u8]) {
    let (object, file) = data.split_at(data.iter().position(|byte| *byte == 0).unwrap_or(data.len()));
    let object = serde_json::from_slice(object).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(object);
        json!({"kind": "CronJob", "spec": {"schedule": text, "jobTemplate": {"spec": {"template": {"spec": {
            "containers": [{"name": "c", "image": text, "command": ["sh", "-c", text], "env": [{"name": "N", "value": text}]}]}}}}}})
    });
    let extended = std::str::from_utf8(file)
        .ok()
        .filter(|file| file.len() > 1)
        .and_then(|file| BUILTIN.clone().with_file("i.yml", &file[1..]).ok());
    let catalogue = extended.as_ref().unwrap_or(&BUILTIN);
    let context = Context::default();
    let findings = catalogue.examine(&object, &context);
    let again = catalogue.examine(&object, &context);
    assert_eq!(json!(findings), json!(again));
    let _ = catalogue.level(&findings);
}
