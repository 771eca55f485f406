//! Forms in which databases and forwarders return events, besides those covered by the laws.

use std::fs;

use serde_json::{Value, json};

use crate::{hits, rows, scan};

/// An event that creates a CronJob.
fn event() -> Value {
    json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "a", "stage": "ResponseComplete",
        "requestURI": "/apis/batch/v1/namespaces/n/cronjobs", "verb": "create",
        "user": {"username": "u", "groups": ["g"]}, "sourceIPs": ["203.0.113.9"], "userAgent": "kubectl/v1.31.0",
        "objectRef": {"resource": "cronjobs", "namespace": "n", "name": "x", "apiGroup": "batch", "apiVersion": "v1"},
        "responseStatus": {"code": 201}, "requestReceivedTimestamp": "2026-11-24T03:00:00.000000Z",
        "stageTimestamp": "2026-11-24T03:00:01.000000Z"})
}

/// Sweeps one file of this name; returns its hits, its row and the exit status.
fn sweep(name: &str, bytes: &[u8]) -> (Vec<Value>, std::collections::BTreeMap<String, String>, i32) {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join(name);
    fs::write(&file, bytes).unwrap();
    let (_kept, out, run) = scan(&[file], &[]);
    (hits(&out), rows(&out.join("inputs.csv")).remove(0), run.exit)
}

/// What each of these forms keeps of the event.
fn assert_event(hit: &Value, form: &str) {
    for (key, value) in [
        ("audit_id", "a"),
        ("verb", "create"),
        ("username", "u"),
        ("resource", "cronjobs"),
        ("namespace", "n"),
        ("name", "x"),
        ("time", "2026-11-24T03:00:00Z"),
    ] {
        assert_eq!(hit[key], value, "{form}: {key}");
    }
}

/// The same with the keys that Hive and Athena write.
fn lowered(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key.to_lowercase(), lowered(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

#[test]
fn databases_write_keys_in_their_own_way() {
    let mut flat = serde_json::Map::new();
    for (key, value) in event().as_object().unwrap() {
        match value {
            Value::Object(members) => {
                flat.extend(members.iter().map(|(inner, value)| (format!("{key}_{inner}"), value.clone())));
            }
            value => {
                flat.insert(key.clone(), value.clone());
            }
        }
    }
    for (form, record) in [("lowered", lowered(event())), ("flat", Value::Object(flat))] {
        let (hits, row, exit) = sweep("dump", format!("{record}\n").as_bytes());
        assert_eq!((hits.len(), &*row["events"], exit), (1, "1", 0), "{form}: {row:?}");
        assert_event(&hits[0], form);
    }
}

fn csv(columns: &[&str], capital: bool) -> String {
    let event = event();
    let cell = |column: &&str| match &event[*column] {
        Value::String(text) => text.clone(),
        value => format!("\"{}\"", value.to_string().replace('"', "\"\"")),
    };
    let names: Vec<String> =
        columns.iter().map(|name| if capital { (*name).to_owned() } else { name.to_lowercase() }).collect();
    format!("{}\n{}\n", names.join(","), columns.iter().map(cell).collect::<Vec<_>>().join(","))
}

const COLUMNS: [&str; 10] = [
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestReceivedTimestamp",
];

#[test]
fn cells_hold_objects_as_text() {
    for capital in [true, false] {
        let (hits, row, exit) = sweep("rows.csv", csv(&COLUMNS, capital).as_bytes());
        assert_eq!((hits.len(), exit), (1, 0), "{row:?}");
        assert_event(&hits[0], "csv");
    }
}

/// `cat a.csv b.csv`, from tools that order their columns differently.
#[test]
fn a_second_header_orders_what_follows() {
    let backwards: Vec<&str> = COLUMNS.into_iter().rev().collect();
    let text = csv(&COLUMNS, true) + &csv(&backwards, true) + &csv(&COLUMNS, true);
    let (hits, row, exit) = sweep("rows.csv", text.as_bytes());
    assert_eq!((&*row["records"], &*row["events"], exit), ("3", "3", 0));
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0]["copies"], 3);
}

#[test]
fn numbers_of_classes_may_be_text() {
    let input = crate::root().join("fixtures/cases/format-ocsf-json/input");
    let input = fs::read_dir(input).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(input).unwrap();
    let (as_number, ..) = sweep("dump", text.as_bytes());
    let written = text.replace("\"class_uid\":6003,", "\"class_uid\":\"6003\",");
    assert_ne!(written, text);
    assert_eq!(sweep("dump", written.as_bytes()).0.len(), as_number.len());
    assert!(!as_number.is_empty());
}

/// Go and .NET write the year 1 for a missing time.
#[test]
fn the_year_1_is_no_time() {
    let mut event = event();
    event["requestReceivedTimestamp"] = json!("0001-01-01T00:00:00Z");
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("dump");
    fs::write(&file, event.to_string()).unwrap();
    let (_kept, out, _) = scan(&[file], &["--since", "2026-11-24"]);
    assert_eq!(hits(&out)[0]["time"], "2026-11-24T03:00:01Z");
}

#[test]
fn pointers_name_keys_as_they_are_written() {
    let record = json!({"Type": "Notification", "Message": event().to_string()});
    let (hits, ..) = sweep("dump", record.to_string().as_bytes());
    assert_eq!(hits[0]["evidence"]["pointer"], "/Message");
}

/// Only their names show what these contain.
#[test]
fn compressions_that_are_not_read_are_named() {
    let noise: Vec<u8> = (0..5000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for name in ["a.snappy", "a.hsnappy", "a.log.lz4", "a.br", "a.Z", "a.lzma", "a.zz"] {
        let (_, row, exit) = sweep(name, &noise);
        assert_eq!((&*row["status"], exit), ("failed", 3), "{name}");
    }
}

#[test]
fn yaml_is_known_by_its_keys() {
    for text in [
        "- Annotations: '{}'\n  AuditId: a\n  Verb: create\n",
        "- httpRequest: {}\n  insertId: a\n  protoPayload:\n    serviceName: k8s.io\n",
        "annotations: {}\nauditID: a\nkind: Event\n",
    ] {
        let (_, row, exit) = sweep("dump", text.as_bytes());
        assert_eq!((&*row["status"], exit), ("failed", 3), "{text}");
        assert!(row["error"].starts_with("yaml is not read"), "{row:?}");
    }
}

/// The text that Logstash keeps next to the parsed event may be a line of another tool, with the record elsewhere.
#[test]
fn text_beside_a_record_does_not_hide_it() {
    for beside in [json!({"event": {"original": "<14>Nov 24 a line"}}), json!({"topic": "t", "payload": "a line"})] {
        let mut record = beside.clone();
        record["message"] = event().to_string().into();
        let (hits, row, exit) = sweep("dump", record.to_string().as_bytes());
        assert_eq!((hits.len(), &*row["records"], exit), (1, "1", 0), "{beside}");
    }
}

/// Azure's columns for the properties of a record: workspaces have several, and fill one.
#[test]
fn empty_columns_do_not_hide_the_one_that_is_filled() {
    let log = event().to_string();
    let properties = json!({"log": log}).to_string();
    for record in [
        json!({"log_s": "", "AdditionalFields": properties}),
        json!({"log_s": null, "properties": {"log": log}}),
        json!({"properties_s": "", "AdditionalFields": properties}),
        json!({"properties_s": null, "AdditionalFields": properties}),
        json!({"properties_s": "{}", "AdditionalFields": properties}),
        json!({"properties": {}, "properties_s": properties}),
        json!({"properties": {"log": ""}, "properties_s": properties}),
        json!({"properties": {"stream": "stderr"}, "properties_s": properties}),
        json!({"properties": null, "log": log}),
        json!({"RawEvent": null, "properties": {"log": log}}),
        json!({"RawEvent": "", "properties": {"log": log}}),
    ] {
        let mut record = record;
        record["category"] = "kube-audit".into();
        let (hits, row, exit) = sweep("dump", record.to_string().as_bytes());
        assert_eq!((hits.len(), &*row["records"], exit), (1, "1", 0), "{record}: {row:?}");
        assert_event(&hits[0], &record.to_string());
    }
}

#[test]
fn each_row_may_fill_another_column() {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let log = |id: &str| event().to_string().replace(r#""auditID":"a""#, &format!(r#""auditID":"{id}""#));
    let properties = |id: &str| quoted(&json!({"log": log(id)}).to_string());
    let text = format!(
        "Category,log_s,AdditionalFields,properties_s\nkube-audit,{},,\nkube-audit,,{},\nkube-audit,,,{}\n",
        quoted(&log("a")),
        properties("b"),
        properties("c"),
    );
    let (hits, row, exit) = sweep("rows.csv", text.as_bytes());
    assert_eq!((hits.len(), &*row["events"], exit), (3, "3", 0), "{row:?}");
}

/// A row of AWSEKSLogs without the original event is read by its other columns.
#[test]
fn an_empty_raw_event_leaves_the_row() {
    for empty in [json!(""), Value::Null] {
        let record = json!({"Verb": "create", "ObjectRef": {"resource": "cronjobs"}, "RawEvent": empty, "AuditId": "x",
            "User": {"username": "a"}, "ResponseStatus": {"code": 201}});
        let (hits, row, exit) = sweep("dump", record.to_string().as_bytes());
        assert_eq!((hits.len(), &*row["events"], exit), (1, "1", 0), "{row:?}");
    }
}

#[test]
fn the_name_of_the_service_may_be_escaped() {
    let record = r#"{"protoPayload":{"serviceName":"k8\u0073.io","methodName":"io.k8s.batch.v1.cronjobs.create","resourceName":"batch/v1/namespaces/d/cronjobs/b"}}"#;
    // As sinks write it, which the fast path knows.
    let of_sink = r#"{"insertId":"i","labels":{},"protoPayload":{"serviceName":"k8\u0073.io","methodName":"io.k8s.batch.v1.cronjobs.create","resourceName":"batch/v1/namespaces/d/cronjobs/b"},"resource":{"labels":{"cluster_name":"c"},"type":"k8s_cluster"},"timestamp":"2026-11-24T03:00:00.000000Z"}"#;
    for record in [record, of_sink, &of_sink.replace("cronjobs", "pods")] {
        let (hits, row, exit) = sweep("dump", format!("{record}\n").as_bytes());
        let expected = usize::from(record.contains("cronjobs"));
        assert_eq!((hits.len(), &*row["events"], exit), (expected, "1", 0), "{record}: {row:?}");
    }
}

/// A member under its event name counts, not a column that looks like it.
#[test]
fn names_of_an_event_outdo_those_of_tables() {
    for beside in [
        json!({"objectref": {"resource": "pods"}}),
        json!({"objectRef.resource": "pods"}),
        json!({"objectRef_resource": "pods"}),
        json!({"kubernetes.audit.objectRef.resource": "pods"}),
        json!({"kubernetes.audit.verb": "get", "user.username": {"a": "b"}}),
    ] {
        for objects in [json!({"user": {"username": "x"}}), json!({"user": r#"{"username": "x"}"#})] {
            let mut record = json!({"verb": "patch", "objectRef": {"resource": "cronjobs"}});
            record.as_object_mut().unwrap().extend(objects.as_object().unwrap().clone());
            record.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
            let (hits, ..) = sweep("dump", record.to_string().as_bytes());
            assert_eq!(hits.len(), 1, "{record}");
            assert!(hits[0]["title"].as_str().unwrap().starts_with("[x] "), "{record}: {}", hits[0]["title"]);
        }
    }
}

/// Panther's rule reads its rows by exact keys; but in a table of such rows all objects are text.
#[test]
fn rows_of_panther_are_read_as_they_stand() {
    let object = r#"{"resource": "cronjobs"}"#;
    for record in [
        json!({"verb": "create", "objectref": {"resource": "cronjobs"}}),
        json!({"Verb": "create", "AuditId": "x", "ObjectRef": {"resource": "cronjobs"}}),
        json!({"verb": "create", "objectRef": object}),
        json!({"verb": "create", "objectRef.resource": "cronjobs"}),
    ] {
        let count = |record: &Value| sweep("dump", record.to_string().as_bytes()).0.len();
        let mut of_panther = record.clone();
        of_panther["p_log_type"] = "Amazon.EKS.Audit".into();
        assert_eq!((count(&record), count(&of_panther)), (1, 0), "{record}");
    }
    let table = "verb,objectRef,p_log_type\ncreate,\"{\"\"resource\"\":\"\"cronjobs\"\"}\",Amazon.EKS.Audit\n";
    assert_eq!(sweep("rows.csv", table.as_bytes()).0.len(), 1);
}

/// A row of AKSAudit with these cells replaced; `first` decides the order of its columns.
fn aksaudit(first: usize, cells: &[(&str, &str)]) -> Vec<u8> {
    let event = event();
    let mut columns: Vec<(&str, Value)> =
        [("AuditId", "auditID"), ("Stage", "stage"), ("Level", "level"), ("Verb", "verb")]
            .into_iter()
            .chain([("RequestUri", "requestURI"), ("UserAgent", "userAgent")])
            .chain([("RequestReceivedTime", "requestReceivedTimestamp"), ("StageReceivedTime", "stageTimestamp")])
            .map(|(column, field)| (column, event[field].clone()))
            .collect();
    for (column, field) in
        [("User", "user"), ("SourceIps", "sourceIPs"), ("ObjectRef", "objectRef"), ("ResponseStatus", "responseStatus")]
    {
        columns.push((column, event[field].to_string().into()));
    }
    columns.push(("RequestObject", r#"{"spec":{"schedule":"* * * * *","suspend":false}}"#.into()));
    columns.push(("Annotations", r#"{"authorization.k8s.io/decision":"allow"}"#.into()));
    for (column, cell) in &mut columns {
        if let Some((_, hostile)) = cells.iter().find(|(name, _)| name == column) {
            *cell = (*hostile).into();
        }
    }
    columns.rotate_left(first);
    let members: Vec<String> = columns.iter().map(|(column, cell)| format!("{}:{cell}", json!(column))).collect();
    format!("{{\"Category\":\"kube-audit\",{}}}\n", members.join(",")).into_bytes()
}

/// What users write into a cell stays its content, and affects no other cell.
#[test]
fn cells_of_rows_stand_for_themselves() {
    let forged = r#"{},"verb":"get","user":{"username":"system:admin"},"objectRef":{}"#;
    for agent in ["{", "[", "{}", "[{\"", "\"", forged, &forged[..40]] {
        for first in 0..14 {
            let (hits, row, exit) = sweep("row.json", &aksaudit(first, &[("UserAgent", agent)]));
            assert_eq!((hits.len(), exit), (1, 0), "{agent} {first}: {row:?}");
            assert_event(&hits[0], agent);
            assert_eq!(hits[0]["user_agent"], agent);
            assert_eq!(hits[0]["truncated"], false, "{agent} {first}");
        }
    }
    let empty = String::from_utf8(aksaudit(0, &[])).unwrap();
    let empty = empty.replace(r#""{\"authorization.k8s.io/decision\":\"allow\"}""#, "null");
    assert!(empty.contains("\"Annotations\":null"), "{empty}");
    let (hits, row, _) = sweep("row.json", empty.as_bytes());
    assert_eq!((hits[0]["truncated"].clone(), row["truncated"].as_str()), (json!(false), "0"));
    // No API server writes such a body, and no part of it counts as another field.
    for first in 0..14 {
        let (hits, ..) = sweep("row.json", &aksaudit(first, &[("RequestObject", forged)]));
        assert_event(&hits[0], forged);
        assert_eq!(hits[0]["malformed_fields"], json!(["requestObject"]));
    }
}

/// Log Analytics cuts long cells: the request is decided from the other cells, and marked.
#[test]
fn a_cut_cell_takes_no_other_with_it() {
    let body = r#"{"spec":{"schedule":"* * * * *","susp"#;
    for first in 0..14 {
        for cut in [1, 8, 20, body.len()] {
            let cells = [("RequestObject", &body[..cut]), ("Annotations", r#"{"authorization.k8s.io/dec"#)];
            let (hits, row, exit) = sweep("row.json", &aksaudit(first, &cells));
            assert_eq!((hits.len(), exit), (1, 0), "{first} {cut}: {row:?}");
            assert_event(&hits[0], "cut");
            assert_eq!(hits[0]["truncated"], true, "{first} {cut}");
        }
        let (hits, row, exit) = sweep("row.json", &aksaudit(first, &[("ObjectRef", r#"{"resource":"cronj"#)]));
        assert_eq!((hits.len(), exit, row["malformed"].as_str()), (0, 3, "1"), "{first}");
    }
}

/// An event in which this spells the names of its fields, and of those inside of objects.
fn respelled(value: &Value, spell: &dyn Fn(&str) -> String) -> Value {
    let inner = |value: &Value| match value {
        Value::Object(members) => members.iter().map(|(key, value)| (spell(key), value.clone())).collect(),
        other => other.clone(),
    };
    value.as_object().unwrap().iter().map(|(key, value)| (spell(key), inner(value))).collect()
}

/// `objectRef.resource` and so on.
fn dotted(event: &Value) -> serde_json::Map<String, Value> {
    let mut flat = serde_json::Map::new();
    for (key, value) in event.as_object().unwrap() {
        match value {
            Value::Object(members) => {
                flat.extend(members.iter().map(|(inner, value)| (format!("{key}.{inner}"), value.clone())));
            }
            Value::Array(items) => flat.extend([(format!("{key}.0"), items[0].clone())]),
            value => flat.extend([(key.clone(), value.clone())]),
        }
    }
    flat
}

fn table(flat: &serde_json::Map<String, Value>, delimiter: &str, spell: &dyn Fn(&str) -> String) -> String {
    let names: Vec<String> = flat.keys().map(|key| spell(key)).collect();
    let cells: Vec<String> =
        flat.values().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect();
    format!("{}\n{}\n", names.join(delimiter), cells.join(delimiter))
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, c) in name.char_indices() {
        let begins = c.is_uppercase() && !name[..at].ends_with(|before: char| before.is_uppercase());
        snake.extend((begins && at > 0).then_some('_').into_iter().chain(c.to_lowercase()));
    }
    snake
}

/// Snowflake writes capitals, Fivetran underscores, and most databases lower case.
#[test]
fn events_are_read_in_any_spelling() {
    let spellings: [&dyn Fn(&str) -> String; 4] =
        [&str::to_uppercase, &str::to_lowercase, &snake, &|name| snake(name).to_uppercase()];
    for spell in spellings {
        let flat = dotted(&event());
        let rows = [
            ("dump", respelled(&event(), spell).to_string()),
            ("rows.csv", table(&flat, ",", spell)),
            ("rows.csv", table(&flat, ",", &|name| spell(name).replace('.', "_"))),
        ];
        for (name, text) in rows {
            let (hits, row, exit) = sweep(name, text.as_bytes());
            assert_eq!((hits.len(), &*row["events"], exit), (1, "1", 0), "{text}: {row:?}");
            assert_event(&hits[0], &text);
        }
    }
}

/// Consoles put the path to the event, or a mark of its fields, in front of every column.
#[test]
fn what_all_columns_begin_with_is_no_part_of_their_names() {
    for prefix in ["json.", "audit.", "attributes.", "log_processed.", "kubernetes.audit.", "k8s.audit.", "@", "json_"]
    {
        for delimiter in [",", "|", "\t", "\u{1}"] {
            // More control characters than this would be no text.
            let mut flat = dotted(&event());
            flat.insert("note".to_owned(), "x".repeat(400).into());
            let text = table(&flat, delimiter, &|name| format!("{prefix}{name}"));
            let (hits, row, exit) = sweep("rows.csv", text.as_bytes());
            assert_eq!((hits.len(), &*row["events"], exit), (1, "1", 0), "{text}: {row:?}");
            assert_event(&hits[0], &text);
        }
    }
    // Users write the bodies.
    let text = "requestObject.verb,requestObject.objectRef.resource\ncreate,cronjobs\n";
    assert_eq!(sweep("rows.csv", text.as_bytes()).0.len(), 0);
}

/// The time and place that a row has besides its event.
#[test]
fn columns_of_consoles_tell_time_and_cluster() {
    let mut flat = dotted(&event());
    flat.retain(|key, _| !key.ends_with("Timestamp"));
    for (column, cell) in [
        ("@timestamp", "2026-11-24 03:00:00.000"),
        ("_time", "2026-11-24T03:00:00.000+00:00"),
        ("Time", "1795489200000"),
        ("Date", "2026-11-24T03:00:00Z"),
        ("TimeGenerated [UTC]", "11/24/2026 3:00:00.000 AM"),
        ("ts", "2026-11-24T03:00:00Z"),
    ] {
        let mut flat = flat.clone();
        flat.insert(column.to_owned(), cell.into());
        flat.insert("@log".to_owned(), "111122223333:/aws/eks/prod-eu/cluster".into());
        let json = Value::Object(flat.clone()).to_string();
        for (name, text) in [("rows.csv", table(&flat, ",", &str::to_owned)), ("dump", json)] {
            let (hits, ..) = sweep(name, text.as_bytes());
            assert_event(&hits[0], &text);
            assert_eq!(
                (&hits[0]["cluster"], &hits[0]["account"]),
                (&json!("prod-eu"), &json!("111122223333")),
                "{text}"
            );
        }
    }
    let message = json!({"@message": event().to_string(), "@log": "111122223333:/aws/eks/prod-eu/cluster"});
    assert_eq!(sweep("dump", message.to_string().as_bytes()).0[0]["cluster"], "prod-eu");
    let elastic = json!({"kubernetes": {"audit": event()}, "orchestrator": {"cluster": {"name": "es"}}});
    assert_eq!(sweep("dump", elastic.to_string().as_bytes()).0[0]["cluster"], "es");
}

/// Some databases and forwarders keep bodies as text.
#[test]
fn bodies_may_be_text() {
    let body = json!({"kind": "CronJob", "spec": {"schedule": "*/5 * * * *"}});
    let sweep_of = |body: Value| {
        let mut event = event();
        event["requestObject"] = body;
        sweep("dump", event.to_string().as_bytes()).0.remove(0)
    };
    assert_eq!(sweep_of(body.to_string().into())["cronjob"], sweep_of(body.clone())["cronjob"]);
    let cut = &body.to_string()[..20];
    assert_eq!(sweep_of(cut.into())["malformed_fields"], json!(["requestObject"]));
}

/// `gcloud logging read --format 'json(…)'` and CSV files of Logs Explorer leave out what was not asked for.
#[test]
fn queries_may_leave_out_the_service() {
    let payload = json!({"methodName": "io.k8s.batch.v1.cronjobs.create", "resourceName": "batch/v1/namespaces/n/cronjobs/x",
        "authenticationInfo": {"principalEmail": "u"}});
    let entry = json!({"protoPayload": payload, "timestamp": "2026-11-24T03:00:00Z"});
    let csv = "timestamp,protoPayload.authenticationInfo.principalEmail,protoPayload.methodName,protoPayload.resourceName\n\
        2026-11-24T03:00:00Z,u,io.k8s.batch.v1.cronjobs.create,batch/v1/namespaces/n/cronjobs/x\n";
    for (name, text) in [("dump", entry.to_string()), ("rows.csv", csv.to_owned())] {
        let (hits, row, exit) = sweep(name, text.as_bytes());
        assert_eq!((hits.len(), &*row["events"], exit), (1, "1", 0), "{row:?}");
        for (key, value) in [("verb", "create"), ("username", "u"), ("namespace", "n"), ("name", "x")] {
            assert_eq!(hits[0][key], value, "{text}");
        }
    }
    // What a container writes is no entry.
    let logged = json!({"insertId": "i", "jsonPayload": entry, "resource": {"type": "k8s_container"}, "logName": "l"});
    let (hits, row, exit) = sweep("dump", logged.to_string().as_bytes());
    assert_eq!((hits.len(), &*row["not_audit"], exit), (0, "1", 0));
}

/// A record in which an event shows, but in no form that is read, is told.
#[test]
fn events_in_unknown_forms_are_told() {
    let quoted = |quote: &str| event().to_string().replace('"', quote);
    let method = "io.k8s.batch.v1.cronjobs.create";
    let path = "batch/v1/namespaces/n/cronjobs/x";
    let kvlist = json!([{"key": "auditID", "value": {"stringValue": "a"}}, {"key": "objectRef", "value": {}}]);
    let agent = json!({"logName": "l", "jsonPayload": event(), "resource": {"type": "gce_instance"}});
    for text in [
        format!("<e>{}</e>", quoted("&quot;")),
        format!("<e>{}</e>", quoted("&#34;")),
        quoted("%22"),
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"kvlistValue": {"values": kvlist}}}]}]}]})
            .to_string(),
        json!({"unknown": {"AUDIT_ID": "a", "OBJECT_REF": {"resource": "cronjobs"}}}).to_string(),
        json!({"requestreceivedtimestamp": "t", "verb": "create", "resource": "cronjobs", "auditid": "a"}).to_string(),
        json!([[{"field": "verb", "value": "create"}, {"field": "auditid", "value": "a"},
            {"field": "requestreceivedtimestamp", "value": "t"}]])
        .to_string(),
        json!({"auditID": "a", "requestURI": "/k8s/clusters/c/apis", "method": "POST", "responseCode": 201})
            .to_string(),
        json!({"auditID": "a", "verb": "create", "user": {"username": "u"}}).to_string(),
        "871386fe-76cf-525e-ba81-c1d7352111b7  Metadata  /apis/batch/v1/namespaces/n/cronjobs  ResponseComplete  create"
            .to_owned(),
        format!("2026-11-24T03:00:00Z\tu\t{method}\t{path}"),
        format!("timestamp,principal_email,method_name,resource_name\n2026-11-24T03:00:00Z,u,{method},{path}"),
        format!("{{\"a\":1}}\n{}", table(&dotted(&event()), ",", &str::to_owned)),
        json!({"gcp": {"audit": {"method_name": method, "resource_name": path}}}).to_string(),
        agent.to_string(),
    ] {
        let (hits, row, exit) = sweep("dump", text.as_bytes());
        assert_eq!((hits.len(), &*row["events"], exit), (0, "0", 3), "{text}: {row:?}");
        assert_ne!(row["malformed"], "0", "{text}: {row:?}");
    }
}

/// Logs that name requests, as those of API servers do, hold no events.
#[test]
fn logs_that_name_requests_are_no_events() {
    for text in [
        r#"I1124 03:00:00.1 1 httplog.go:132] "HTTP" verb="POST" URI="/apis/audit.k8s.io/v1" audit-ID="a" resp=201"#,
        r#"{"caller":"httplog.go:132","msg":"HTTP","verb":"POST","URI":"/apis/batch/v1/namespaces/n/cronjobs","audit-ID":"a"}"#,
        r#"{"request_uri":"/apis/batch/v1/namespaces/n/cronjobs","request_time":0.1,"verb":"POST","status":201}"#,
        "E1124 1 x.go:1] unknown field in io.k8s.api.batch.v1.CronJobSpec: POST /apis/batch/v1/namespaces/n/cronjobs",
        r#"{"level":"info","controller":"cronjob","objectRef":{"name":"x"},"msg":"reconciled"}"#,
    ] {
        let (hits, row, exit) = sweep("dump", text.as_bytes());
        assert_eq!((hits.len(), &*row["not_audit"], exit), (0, "1", 0), "{text}: {row:?}");
    }
}

/// Values of labels may hold what stands between labels.
#[test]
fn labels_of_logcli_hold_anything() {
    let text = format!("2026-11-24T03:00:00Z {{app=\"audit\", cluster=\"c, }} {{\\\"d\"}} {}\n", event());
    let (hits, row, exit) = sweep("dump", text.as_bytes());
    assert_eq!((hits.len(), &*row["records"], exit), (1, "1", 0), "{row:?}");
}

#[test]
fn streams_of_loki_and_messages_of_kafka_are_opened() {
    let values = json!([["1795489200000000000", event().to_string()]]);
    for record in [
        json!({"streams": [{"stream": {"app": "audit"}, "values": values}]}),
        json!({"topic": "audit", "partition": 0, "offset": 1, "key": null, "value": event().to_string()}),
    ] {
        let (hits, row, exit) = sweep("dump", record.to_string().as_bytes());
        assert_eq!((hits.len(), &*row["records"], exit), (1, "1", 0), "{record}: {row:?}");
    }
}
