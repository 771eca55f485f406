//! What a page says of a window matches the requests in it, however the window moved there; and the cost of saying it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::kubesweep;

const START: &str = "2026-05-01T00:00:00Z";

/// A write of a CronJob.
struct Request {
    time: Timestamp,
    user: &'static str,
    verb: &'static str,
    code: i64,
    namespace: String,
    name: String,
    tool: &'static str,
    address: String,
}

impl Request {
    fn event(&self, number: usize) -> Value {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": number.to_string(),
            "stage": "ResponseComplete", "requestURI": "/b", "verb": self.verb, "user": {"username": self.user},
            "sourceIPs": [self.address], "userAgent": format!("{}/v1", self.tool),
            "objectRef": {"resource": "cronjobs", "namespace": self.namespace, "name": self.name},
            "responseStatus": {"code": self.code}, "requestReceivedTimestamp": self.time,
        })
    }

    fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn did(&self, verb: &str) -> bool {
        self.verb == verb && self.code < 400
    }
}

/// Writes of two users within three days, in bursts and with pauses, generated from a seed.
fn writes(seed: u64) -> Vec<Request> {
    let mut state = seed;
    let mut any = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut time: Timestamp = START.parse().unwrap();
    let mut writes = Vec::new();
    for _ in 0..300 {
        let pause = [2, 30, 600, 3600][usize::try_from(any(4)).unwrap()];
        time = time.checked_add(SignedDuration::from_secs(i64::try_from(any(pause)).unwrap())).unwrap();
        writes.push(Request {
            time,
            user: ["eve", "bob"][usize::from(any(10) == 0)],
            verb: ["create", "update", "delete"][usize::try_from(any(3)).unwrap()],
            code: [200, 200, 200, 403, 409][usize::try_from(any(5)).unwrap()],
            namespace: format!("n{:02}", any(30)),
            name: format!("c{}", any(2)),
            tool: ["kubectl", "helm"][usize::from(any(40) == 0)],
            address: format!("10.0.0.{}", any(25)),
        });
    }
    writes
}

fn runbook(events: impl Iterator<Item = Value>) -> Value {
    serde_json::from_str(&printed(events, &["--format", "json"])).unwrap()
}

fn printed(events: impl Iterator<Item = Value>, options: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let lines = events.fold(String::new(), |mut lines, event| {
        writeln!(lines, "{event}").unwrap();
        lines
    });
    std::fs::write(directory.path().join("audit.log"), lines).unwrap();
    let run = kubesweep(directory.path(), &[&["runbook", "audit.log", "-q"], options].concat());
    assert_eq!(run.exit, 0, "{}", run.stderr);
    run.stdout
}

/// What `before` must contain for the writes of its window, found by looking at all writes.
fn expected(writes: &[Request], user: &str, time: Timestamp) -> Value {
    let start = time.checked_sub(SignedDuration::from_hours(24)).unwrap();
    let inside = writes.iter().filter(|write| write.user == user && start <= write.time && write.time < time);
    let inside: Vec<&Request> = inside.collect();
    let count = |test: &dyn Fn(&Request) -> bool| inside.iter().filter(|write| test(write)).count();
    let places =
        |verb| inside.iter().filter(|write| write.did(verb)).map(|write| write.place()).collect::<BTreeSet<_>>();
    let churn = places("create").intersection(&places("delete")).cloned().collect();
    let all = |read: &dyn Fn(&Request) -> String| inside.iter().map(|write| read(write)).collect::<BTreeSet<_>>();
    let mut gaps: Vec<i64> =
        inside.windows(2).map(|pair| pair[1].time.duration_since(pair[0].time).as_secs()).collect();
    gaps.sort_unstable();
    let mut told = json!({
        "succeeded": count(&|write| write.code < 400), "failed": count(&|write| write.code >= 400),
        "denied": count(&|write| write.code == 403), "dry_run": 0, "created": count(&|write| write.did("create")),
        "modified": count(&|write| write.did("update")), "deleted": count(&|write| write.did("delete")),
        "cronjobs": all(&Request::place).len(),
    });
    let mut more = BTreeMap::new();
    let lists: [(&str, BTreeSet<String>); 4] = [
        ("namespaces", all(&|write| write.namespace.clone())),
        ("tools", all(&|write| write.tool.to_owned())),
        ("source_ips", all(&|write| write.address.clone())),
        ("churn", churn),
    ];
    for (name, values) in lists {
        if values.len() > 20 {
            more.insert(name, values.len() - 20);
        }
        told[name] = values.into_iter().take(20).collect();
    }
    if let Some((first, last)) = inside.first().zip(inside.last()) {
        told["first_seen"] = json!(first.time);
        told["last_seen"] = json!(last.time);
    }
    if !gaps.is_empty() {
        told["median_gap_seconds"] = json!(i64::midpoint(gaps[(gaps.len() - 1) / 2], gaps[gaps.len() / 2]));
    }
    if !more.is_empty() {
        told["more"] = json!(more);
    }
    told
}

#[test]
fn windows_tell_what_a_look_at_all_requests_tells() {
    let mut cut = 0;
    for seed in 0..3 {
        let writes = writes(seed);
        let book = runbook(writes.iter().enumerate().map(|(number, write)| write.event(number)));
        for page in book["alerts"].as_array().unwrap() {
            let (user, time) = (page["username"].as_str().unwrap(), page["first_seen"].as_str().unwrap());
            let expected = expected(&writes, user, time.parse().unwrap());
            cut += usize::from(expected["more"].is_object());
            let mut before = page["before"].clone();
            let other = ["class", "text", "precursors", "precursor_list", "coverage", "gap", "events", "left_out"];
            before.as_object_mut().unwrap().retain(|key, _| !other.contains(&key.as_str()));
            assert_eq!(before, expected, "seed {seed}, {}", page["alert_id"]);
        }
    }
    assert!(cut > 10, "{cut}");
}

/// One page per namespace: a page must not grow with the number of earlier ones.
#[test]
fn a_page_stays_as_long_as_it_is_however_many_there_are() {
    let size = |count: usize| {
        let start: Timestamp = START.parse().unwrap();
        let events = (0..count).map(|number| {
            let after = SignedDuration::from_secs(i64::try_from(number).unwrap());
            let (namespace, name) = (format!("n{number:04}"), "c".to_owned());
            let (time, address) =
                (start.checked_add(after).unwrap(), format!("10.0.{}.{}", number / 250, number % 250));
            Request { time, user: "eve", verb: "create", code: 201, namespace, name, tool: "kubectl", address }
                .event(number)
        });
        let book = runbook(events);
        let pages = book["alerts"].as_array().unwrap();
        assert_eq!(pages.len(), count);
        pages.iter().map(|page| page.to_string().len()).max().unwrap()
    };
    let (few, many) = (size(50), size(1000));
    assert!(many < few + 200, "{few}, then {many} bytes");
}

/// Short requests on a long CronJob: hits and pages do not repeat all of it.
#[test]
fn a_page_holds_no_more_of_a_spec_than_a_hundred_of_a_kind() {
    let container = |number: usize| {
        let env: Vec<Value> =
            (0..if number == 0 { 120 } else { 0 }).map(|at| json!({"name": format!("V{at}"), "value": "1"})).collect();
        json!({"name": format!("c{number}"), "image": format!("i{number}"), "env": env})
    };
    let containers: Vec<Value> = (0..150).map(container).collect();
    let spec =
        json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}});
    let event = |minute: i64, verb: &str, body: Value| {
        let start: Timestamp = START.parse().unwrap();
        let time = start.checked_add(SignedDuration::from_mins(minute)).unwrap();
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": minute.to_string(),
            "stage": "ResponseComplete", "verb": verb, "user": {"username": "eve"}, "requestObject": body,
            "objectRef": {"resource": "cronjobs", "namespace": "n", "name": "c"},
            "responseStatus": {"code": 200}, "requestReceivedTimestamp": time,
        })
    };
    let body = json!({"kind": "CronJob", "metadata": {"name": "c", "namespace": "n"}, "spec": spec});
    let patch = json!({"spec": {"suspend": true}});
    let events = [event(0, "create", body), event(90, "patch", patch)];
    let pages = printed(events.iter().cloned(), &[]);
    for told in ["and 110 more, 60 of them in runbook.json", "and 80 more, 60 of them in runbook.json"] {
        assert_eq!(pages.matches(told).count(), 2, "{told}");
    }
    let book = runbook(events.into_iter());
    let alerts = book["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 2);
    for what in alerts.iter().map(|alert| &alert["cronjobs"][0]) {
        let listed = what["containers"].as_array().unwrap();
        assert_eq!((listed.len(), &what["more"]), (100, &json!({"containers": 50})));
        assert_eq!((listed[0]["env"].as_array().unwrap().len(), &listed[0]["more"]), (100, &json!({"env": 20})));
    }
}
