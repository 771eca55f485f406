//! Which records are one request and which of them is kept; which hits are one alert.

use std::fs;

use serde_json::{Value, json};

use crate::{Run, hits, rows, scan};

/// An event with what matters here.
fn event(id: &str, stage: &str, code: Option<u16>, received: Option<&str>) -> Value {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "stage": stage, "verb": "create",
        "requestURI": "/apis/batch/v1/namespaces/prod/cronjobs", "user": {"username": "alice"},
        "objectRef": {"resource": "cronjobs", "namespace": "prod", "name": "x"},
    });
    if let Some(code) = code {
        event["responseStatus"] = json!({"code": code});
    }
    if let Some(received) = received {
        event["requestReceivedTimestamp"] = received.into();
    }
    event
}

/// Sweeps some records, each in a file of its own.
fn sweep(records: &[String]) -> (tempfile::TempDir, std::path::PathBuf, Run) {
    let here = tempfile::tempdir().unwrap();
    let dump = here.path().join("dump");
    fs::create_dir(&dump).unwrap();
    for (number, record) in records.iter().enumerate() {
        fs::write(dump.join(format!("{number:03}")), record).unwrap();
    }
    let (kept, out, run) = scan(&[dump], &[]);
    drop(here);
    (kept, out, run)
}

fn copies(records: &[Value]) -> Vec<u64> {
    let (_kept, out, _) = sweep(&records.iter().map(Value::to_string).collect::<Vec<_>>());
    hits(&out).iter().map(|hit| hit["copies"].as_u64().unwrap()).collect()
}

const AT: Option<&str> = Some("2026-11-24T03:00:00Z");
const LATER: Option<&str> = Some("2026-11-24T03:00:01Z");

#[test]
fn stages_of_a_request_are_copies_and_the_last_decides() {
    let received = event("a", "RequestReceived", None, AT);
    assert_eq!(copies(&[received.clone(), event("a", "ResponseComplete", Some(201), AT)]), [2]);
    assert!(copies(&[received.clone(), event("a", "ResponseComplete", Some(403), AT)]).is_empty());
    assert!(copies(&[received.clone(), event("a", "Panic", Some(500), AT)]).is_empty());
    let (_kept, out, _) = sweep(&[received.to_string()]);
    assert_eq!(hits(&out)[0]["outcome"], "unknown");
}

#[test]
fn a_client_may_send_the_same_audit_id_twice() {
    let complete = |received| event("a", "ResponseComplete", Some(201), received);
    assert_eq!(copies(&[complete(AT), complete(LATER)]), [1, 1]);
    let mut other = complete(AT);
    other["requestURI"] = "/apis/batch/v1/namespaces/other/cronjobs".into();
    assert_eq!(copies(&[complete(AT), other]), [1, 1]);
}

#[test]
fn a_copy_without_its_time_joins_where_only_one_fits() {
    let complete = |received| event("a", "ResponseComplete", Some(201), received);
    assert_eq!(copies(&[complete(AT), complete(None)]), [2]);
    assert_eq!(copies(&[complete(AT), complete(LATER), complete(None)]), [1, 1, 1]);
    let mut unequal = complete(None);
    unequal["userAgent"] = "kubectl".into();
    assert_eq!(copies(&[complete(None), unequal.clone()]), [1, 1]);
    assert_eq!(copies(&[unequal.clone(), unequal]), [2]);
}

#[test]
fn a_cut_record_outranks_the_beginning_of_its_request_and_keeps_its_time() {
    let received = event("a", "RequestReceived", None, AT);
    let mut complete = event("a", "ResponseComplete", Some(201), AT);
    complete["requestObject"] = json!({"spec": "x".repeat(50)});
    let text = complete.to_string();
    // The API server writes the body before the time.
    let cut = text.replace(r#","requestReceivedTimestamp":"2026-11-24T03:00:00Z""#, "");
    let cut = &cut[..cut.len() - 20];
    let (_kept, out, _) = sweep(&[received.to_string(), cut.to_owned()]);
    let hit = &hits(&out)[0];
    assert_eq!((&hit["truncated"], &hit["copies"], &hit["outcome"]), (&json!(true), &json!(2), &json!("success")));
    assert_eq!(hit["time"], AT.unwrap());
}

/// As where a log is rotated while it is copied: one file ends inside a record that another has whole.
#[test]
fn a_copy_without_its_time_takes_none_from_the_others() {
    let [whole, other] = [AT, None].map(|received| event("a", "ResponseComplete", Some(201), received).to_string());
    for records in [[whole.clone(), other.clone()], [other, whole]] {
        let (_kept, out, _) = sweep(&records);
        assert_eq!(hits(&out).iter().map(|hit| hit["time"].as_str()).collect::<Vec<_>>(), [AT], "{records:?}");
    }
}

#[test]
fn records_without_an_audit_id_are_copies_only_if_equal() {
    let mut plain = event("a", "ResponseComplete", Some(201), AT);
    plain.as_object_mut().unwrap().remove("auditID");
    let mut other = plain.clone();
    other["userAgent"] = "kubectl".into();
    assert_eq!(copies(&[plain.clone(), plain.clone()]), [2]);
    assert_eq!(copies(&[plain, other]), [1, 1]);
}

#[test]
fn an_alert_is_open_for_its_period_and_no_longer() {
    let at = |id: &str, time| event(id, "ResponseComplete", Some(201), Some(time)).to_string();
    let untimed = |id: &str| event(id, "ResponseComplete", Some(201), None).to_string();
    let times = ["2026-11-24T03:00:00Z", "2026-11-24T03:59:59.999Z", "2026-11-24T04:00:00Z"];
    let records = [at("a", times[0]), at("b", times[1]), at("c", times[2]), untimed("d"), untimed("e")];
    let (_kept, out, _) = sweep(&records);
    let alerts = rows(&out.join("alerts.csv"));
    let told: Vec<_> = alerts.iter().map(|alert| (alert["first_seen"].as_str(), alert["hits"].as_str())).collect();
    assert_eq!(told, [(times[0], "2"), (times[2], "1"), ("", "2")]);
}

#[test]
fn a_leaked_category_suppresses_only_where_no_copy_is_in_its_place() {
    let record = |category: &str| {
        let log = event("a", "ResponseComplete", Some(201), AT).to_string();
        json!({"category": category, "properties": {"log": log}, "resourceId": "/SUBSCRIPTIONS/S/MANAGEDCLUSTERS/C"})
            .to_string()
    };
    let (_kept, out, _) = sweep(&[record("kube-apiserver")]);
    assert!(hits(&out).is_empty());
    assert_eq!(rows(&out.join("suppressed.csv"))[0]["suppressed_by"], "category");
    let (_kept, out, _) = sweep(&[record("kube-apiserver"), record("kube-audit")]);
    assert_eq!(hits(&out)[0]["copies"], 2);
}
