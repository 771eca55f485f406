//! Laws that hold for any input: framing does not depend on how bytes arrive; a broken record never loses a whole one
//! silently; an envelope does not change an event; tallies merge in any order and grouping; the prefilter passes
//! everything that matches; and the fields before the bodies never refute a match.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use kubesweep::aggregate::{Plan, Tally, finish};
use kubesweep::decode::{self, Content, Damage, Kind, Limits, Stream, Visitor};
use kubesweep::discover::{Window, discover};
use kubesweep::evaluate::evaluate;
use kubesweep::event::{AuditEvent, Origin};
use kubesweep::frame::{self, Body, Document, Sink};
use kubesweep::normalize::{Normalized, normalize};
use kubesweep::rule::{Pack, Rule, Tuning, View, load};
use kubesweep::runbook::{Scope, interests};
use kubesweep::sweep::{Job, Observer, Stop, sweep};
use kubesweep::unwrap::{Envelope, Unwrapper};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::gzip;

const LIMITS: Limits = Limits { max_record: 1 << 20, max_bytes: None };

/// Audit ids and clusters of the events found, in order, and their whole content; and whether any loss was reported.
#[derive(Debug, Default, PartialEq)]
struct Found {
    events: Vec<(String, Option<String>)>,
    texts: Vec<String>,
    trouble: bool,
}

/// Reads a dump as a sweep does.
struct Reading {
    unwrapper: Unwrapper,
    limits: Limits,
    sizes: Vec<usize>,
    found: Found,
    documents: Vec<(u64, Option<u64>, String)>,
    damages: Vec<String>,
}

impl Reading {
    fn new(sizes: Vec<usize>, limits: Limits) -> Self {
        let (found, documents, damages) = (Found::default(), Vec::new(), Vec::new());
        Reading { unwrapper: Unwrapper::new(limits), limits, sizes, found, documents, damages }
    }
}

fn read(reader: &mut dyn Read) -> Reading {
    read_in(&[usize::MAX], LIMITS, reader)
}

/// Reads it in pieces of these sizes: the bytes of the source, and again all text decoded from them.
fn read_in(sizes: &[usize], limits: Limits, reader: &mut dyn Read) -> Reading {
    let mut reading = Reading::new(sizes.to_vec(), limits);
    let mut reader = Chunks { inner: reader, sizes: reading.sizes.clone(), turn: 0 };
    decode::walk(&mut reader, None, limits, &mut reading);
    let Reading { unwrapper, found, .. } = &mut reading;
    unwrapper.finish(&mut |leaf, envelope, _| found.leaf(&leaf, envelope));
    reading
}

impl Found {
    fn leaf(&mut self, leaf: &kubesweep::unwrap::Leaf<'_>, envelope: &Envelope<'_>) {
        normalize(leaf, |normalized| match normalized {
            Normalized::Event(event) => {
                let id = event.audit_id.as_deref().unwrap_or_default().to_owned();
                self.trouble |= event.salvaged;
                self.events.push((id, envelope.origin.cluster.as_deref().map(str::to_owned)));
                self.texts.push(text_of(&event));
            }
            Normalized::NotAudit => {}
            Normalized::Malformed(_) => self.trouble = true,
        });
    }
}

/// The whole content of an event, except white space inside its bodies.
fn text_of(event: &AuditEvent<'_>) -> String {
    let body = |body: &Option<Cow<'_, [u8]>>| body.as_deref().map(|body| serde_json::from_slice::<Value>(body).ok());
    let bodies = [body(&event.request_object), body(&event.response_object)];
    let event = AuditEvent { request_object: None, response_object: None, ..event.clone() };
    format!("{event:?} {bodies:?}")
}

impl Visitor for Reading {
    fn stream(&mut self, stream: Stream<'_, '_>) {
        match stream.content {
            Content::Data(kind, inner) => {
                let mut reader = Chunks { inner, sizes: self.sizes.clone(), turn: 0 };
                frame::frame(kind, &mut reader, self.limits, self);
            }
            Content::Failed(_) => self.found.trouble = true,
            _ => {}
        }
    }

    fn hashed(&mut self, _: &str, _: u64, _: String) {}
}

impl Sink for Reading {
    fn document(&mut self, document: Document<'_>) {
        let text = match document.body {
            Body::Json(text) | Body::Broken(text) | Body::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Body::TooLong => "too long".to_owned(),
        };
        self.documents.push((document.record, document.offset, text));
        let found = &mut self.found;
        self.unwrapper.open(&document, &Envelope::default(), &mut |leaf, envelope, _| found.leaf(&leaf, envelope));
    }

    fn damage(&mut self, damage: Damage) {
        self.damages.push(damage.to_string());
        self.found.trouble = true;
    }
}

/// A reader that gives limited numbers of bytes at a time.
struct Chunks<'r> {
    inner: &'r mut dyn Read,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].min(out.len());
        self.turn += 1;
        self.inner.read(&mut out[..size])
    }
}

/// Text with everything that may trip up JSON and its readers.
fn text() -> impl Strategy<Value = String> {
    let pieces =
        select(vec!["a", "{", "}", "[", "]", "\"", "\\", ":", ",", "\n", "é", "{\"", "\u{1F600}", "kind", " "]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

/// An event on CronJobs, with a body that may contain what looks like another event.
fn event(number: usize) -> impl Strategy<Value = Value> {
    (text(), text(), select(vec!["create", "patch", "get", "delete"]), any::<bool>(), 0..3_usize).prop_map(
        move |(user, name, verb, forge, depth)| {
            let mut body = json!({"kind": "CronJob", "spec": {"schedule": name, "n": [1, {"a": user}]}});
            for _ in 0..depth {
                body = json!({"spec": [body, "x"]});
            }
            if forge {
                body["forged"] = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "create", "auditID": "forged"});
            }
            json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": format!("id-{number}"),
                "stage": "ResponseComplete", "requestURI": "/apis/batch/v1/namespaces/n/cronjobs", "verb": verb,
                "user": {"username": user}, "objectRef": {"resource": "cronjobs", "namespace": "n", "name": name},
                "responseStatus": {"code": 201}, "requestObject": body,
                "requestReceivedTimestamp": "2026-11-24T03:00:00Z",
            })
        },
    )
}

/// A match expression that often holds for [`event`]s.
fn condition() -> impl Strategy<Value = Value> {
    let leaf = (
        select(vec![
            "resource",
            "verb",
            "username",
            "name",
            "namespace",
            "requestObject.kind",
            "requestObject.spec.schedule",
            "requestObject.spec[*]",
            "requestURI",
            "stage",
        ]),
        select(vec![
            "Equals",
            "DoesNotEqual",
            "IEquals",
            "Contains",
            "DoesNotContain",
            "StartsWith",
            "EndsWith",
            "IContains",
        ]),
        select(vec![
            "cronjobs", "cron", "jobs", "create", "patch", "CronJob", "kind", "aaa", "Created", "n", "Response",
        ]),
    );
    let leaf = leaf.prop_map(|(key, condition, value)| json!({"KeyPath": key, "Condition": condition, "Value": value}));
    let leaf = prop_oneof![
        leaf,
        select(vec!["requestObject.spec.schedule", "requestObject.forged.kind", "requestObject.nothing"])
            .prop_map(|key| json!({"KeyPath": key, "Condition": "Exists"})),
        select(vec![
            ("change", json!(["created"])),
            ("change", json!(["modified", "deleted"])),
            ("outcome", json!(["failed"])),
            ("outcome", json!(["success", "failed"])),
            ("response_code", json!([201])),
            ("response_code", json!([403, 7, "16"])),
            ("is_system_namespace", json!([true])),
        ])
        .prop_map(|(key, values)| json!({"Key": key, "Condition": "IsIn", "Values": values})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        (select(vec!["All", "Any", "OnlyOne", "None"]), prop::collection::vec(inner, 1..4))
            .prop_map(|(combinator, inside)| json!({combinator: inside}))
    })
}

fn events() -> impl Strategy<Value = Vec<Value>> {
    (event(0), event(1), event(2), event(3), event(4)).prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
}

fn ids(found: &Found) -> BTreeSet<&str> {
    found.events.iter().map(|(id, _)| id.as_str()).collect()
}

/// This many bytes are lost somewhere, and replaced by other text.
fn damage() -> impl Strategy<Value = (prop::sample::Index, usize, &'static str)> {
    let texts = vec![
        "",
        "",
        "\"",
        "{",
        "}",
        "]",
        "}]",
        "[{",
        ",",
        "\n",
        "\n\n",
        "\r\n",
        " ",
        "\n,",
        "\n, ",
        "{\"kind\":",
        "x {\"",
        "\nnode {\"",
        "\n[",
        "\u{feff}",
        "\0",
    ];
    (any::<prop::sample::Index>(), prop_oneof![3 => 0..3_usize, 1 => 0..400_usize], select(texts))
}

/// Checks that pieces of these sizes give the same result.
fn check_chunks(dump: &[u8], limits: Limits, sizes: &[usize]) -> Result<(), TestCaseError> {
    let whole = read_in(&[usize::MAX], limits, &mut &dump[..]);
    let chunked = read_in(sizes, limits, &mut &dump[..]);
    prop_assert_eq!(&whole.documents, &chunked.documents, "{}", String::from_utf8_lossy(dump));
    prop_assert_eq!(&whole.damages, &chunked.damages, "{}", String::from_utf8_lossy(dump));
    prop_assert_eq!(&whole.found, &chunked.found, "{}", String::from_utf8_lossy(dump));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn framing_does_not_depend_on_chunks(
        events in events(),
        separator in select(vec!["", "\n", "\r\n", " ", "\n\n", ",\n", "text\n", "\u{0}"]),
        cut in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(1..200_usize, 1..8),
    ) {
        let mut dump = events.iter().map(Value::to_string).collect::<Vec<_>>().join(separator).into_bytes();
        dump.remove(cut.index(dump.len()));
        check_chunks(&dump, LIMITS, &sizes)?;
    }

    #[test]
    fn framing_of_damaged_structures_does_not_depend_on_chunks(
        events in events(), form in 0..FORMS.len(), damages in prop::collection::vec(damage(), 1..5),
        max_record in select(vec![300, 1000, 4096, 1 << 20]),
        sizes in prop_oneof![Just(vec![1]), prop::collection::vec(1..200_usize, 1..8)],
    ) {
        let mut dump = FORMS[form](&events);
        for (at, remove, insert) in damages {
            let at = at.index(dump.len());
            dump.splice(at..(at + remove).min(dump.len()), insert.bytes());
        }
        check_chunks(&dump, Limits { max_record, ..LIMITS }, &sizes)?;
    }

    #[test]
    fn a_cut_record_takes_no_other_with_it(
        events in events(),
        separator in select(vec!["", "\n", "\r\n", "\n\n"]),
        broken in 0..5_usize,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut texts: Vec<Vec<u8>> = events.iter().map(|event| event.to_string().into_bytes()).collect();
        let keep = 1 + cut.index(texts[broken].len() - 1);
        texts[broken].truncate(keep);
        let dump = texts.join(separator.as_bytes());
        let found = read(&mut dump.as_slice()).found;
        prop_assert!(!ids(&found).contains("forged"), "a nested event was taken for one");
        for number in (0..5).filter(|&number| number != broken) {
            let id = format!("id-{number}");
            let present = ids(&found).contains(id.as_str());
            // Without a separator, a record that is cut where a value may stand swallows the next one, and this is
            // reported.
            prop_assert!(present || separator.is_empty() && found.trouble, "{} is lost: {:?}", id, found);
        }
        prop_assert!(found.trouble, "the cut is not told");
    }

    #[test]
    fn an_envelope_changes_nothing(events in events(), envelope in 0..ENVELOPES.len()) {
        let (name, wrap) = ENVELOPES[envelope];
        let plain = read(&mut wrap_lines(&events).as_slice()).found;
        let wrapped = read(&mut wrap(&events).as_slice()).found;
        prop_assert_eq!(plain.texts, wrapped.texts, "{}", name);
        prop_assert!(!wrapped.trouble, "{}", name);
    }

    #[test]
    fn tallies_merge_in_any_order_and_grouping(
        events in events(), again in events(), order in Just([0, 1, 2]).prop_shuffle(), right_first in any::<bool>(),
        minutes in prop::collection::vec(0..240, 10),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (mut events, mut again) = (events, again);
        for (event, minute) in events.iter_mut().chain(&mut again).zip(minutes) {
            event["requestReceivedTimestamp"] = json!(format!("2026-11-24T{:02}:{:02}:00Z", minute / 60, minute % 60));
        }
        // The same ids with other content: copies that must be kept apart, and one that is equal.
        let shares = [&events[..3], &again[1..4], &events[2..]];
        for (number, events) in shares.iter().enumerate() {
            std::fs::write(directory.path().join(format!("{number}.log")), wrap_lines(events)).unwrap();
        }
        let tally = |number: usize| tally_of(&directory.path().join(format!("{number}.log")));
        let [first, second, third] = order.map(tally);
        let merged =
            if right_first { first.merge(second.merge(third)) } else { first.merge(second).merge(third) };
        let expected = tally(0).merge(tally(1)).merge(tally(2));
        prop_assert_eq!(finished(merged), finished(expected));
    }

    #[test]
    fn the_prefilter_passes_what_matches(
        event in event(0), code in code(), gke in any::<bool>(), escape in escapes(), depth in 0..3_usize,
        condition in condition(),
    ) {
        let rule = json!({"RuleID": "X", "Severity": "Low", "Detection": [condition]});
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rule.yml").to_str().unwrap().to_owned();
        std::fs::write(&file, rule.to_string()).unwrap();
        let event = if gke { log_entry(&event) } else { event };
        let raw = nested(escaped(&event.to_string().replace("\"code\":201", &code), escape), depth);
        check_prefilter(load(&[file]).unwrap(), &raw)?;
    }

    #[test]
    fn the_prefilter_passes_what_built_in_rules_match(
        chosen in any::<prop::sample::Index>(), escape in escapes(), depth in 0..3_usize, code in 0..4_usize,
    ) {
        let rules = load(&["builtin:all".to_owned()]).unwrap();
        let logs: Vec<String> = rules.iter().flat_map(|rule| rule.tests.iter().map(|test| test.log.clone())).collect();
        let log: &String = chosen.get(&logs);
        let log = codes_as(log, code);
        let raw = nested(escaped(&log, escape), depth);
        for rule in rules {
            check_prefilter(vec![rule], &raw)?;
        }
    }
}

/// Keys of an event in the order in which the API server writes them, except those after the bodies.
const ORDER: [&str; 15] = [
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
];

/// Ways in which clouds store an event of the API server, exactly as they write it.
const STORED: [fn(&str) -> String; 4] = [
    |event| format!("{event}\n"),
    |event| format!("2026-11-24T03:00:00.000Z {event}\n"),
    |event| {
        let log = json!(format!("{event}\n"));
        let id = "/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/C";
        format!(r#"{{"category":"kube-audit","properties":{{"log":{log}}},"resourceId":"{id}"}}"#) + "\n"
    },
    |event| {
        let front = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/c/cluster","logStream":"s""#;
        let message = json!(event);
        format!(r#"{front},"logEvents":[{{"id":"1","timestamp":1,"message":{message}}}]}}"#)
    },
];

/// An event as the API server writes it, with the members `again` after its bodies.
fn as_written(event: &Value, again: &[(&str, Value)]) -> String {
    let behind = [
        ("requestReceivedTimestamp", json!("2026-11-24T03:00:00.000000Z")),
        ("stageTimestamp", json!("2026-11-24T03:00:01.000000Z")),
    ];
    let front = ORDER.iter().filter_map(|&key| Some((key, event.get(key)?.clone())));
    let members = front.chain(again.iter().cloned()).chain(behind);
    let members: Vec<_> = members.map(|(key, value)| format!("{}:{value}", json!(key))).collect();
    format!("{{{}}}", members.join(","))
}

/// The built-in rules, each with the events of its tests.
static RULES: LazyLock<Vec<(Rule, Vec<Value>)>> = LazyLock::new(|| {
    let constant = [("kind", "Event"), ("apiVersion", "audit.k8s.io/v1"), ("level", "Metadata"), ("auditID", "id")];
    let event = |log: &str| {
        let mut event: Value = serde_json::from_str(log).unwrap();
        for (key, value) in constant {
            event[key] = json!(value);
        }
        event.get("verb").is_some().then_some(event)
    };
    let rules = load(&["builtin:all".to_owned()]).unwrap().into_iter();
    let rules = rules.map(|rule| {
        let events = rule.tests.iter().filter_map(|test| event(&test.log)).collect();
        (rule, events)
    });
    rules.filter(|(_, events): &(Rule, Vec<Value>)| !events.is_empty()).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A sweep that parses every record finds the same, whatever is repeated after the bodies.
    #[test]
    fn what_stands_in_front_of_the_bodies_refutes_no_match(
        rule in select(RULES.as_slice()), other in select(RULES.as_slice()), at in any::<prop::sample::Index>(),
        form in 0..STORED.len(), again in prop_oneof![
            2 => Just(vec![]), 1 => Just(ORDER[4..].to_vec()), 1 => prop::collection::vec(select(ORDER[2..].to_vec()), 1..4),
        ],
        escape in prop_oneof![9 => Just(0), 1 => any::<u64>()],
    ) {
        let (rule, own) = rule;
        let (event, behind) = if again.is_empty() { (at.get(own.as_slice()), at.get(own.as_slice())) } else { (at.get(other.1.as_slice()), at.get(own.as_slice())) };
        let again: Vec<_> = again.into_iter().map(|key| (key, behind.get(key).cloned().unwrap_or_default())).collect();
        let dull = as_written(&json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get"}), &[]);
        let dump = [&dull, &escaped(&as_written(event, &again), escape), &dull].map(|event| STORED[form](event)).concat();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &dump).unwrap();
        let found = discover(&[file.path().to_owned()], &[]).unwrap();
        let [fast, slow] = [false, true].map(|validate| {
            let pack = Pack::new(vec![rule.clone()], Tuning::default(), Vec::new());
            sweep(&found, &job(pack, validate), &Blind)
        });
        prop_assert_eq!(slow.inputs[0].events, 3, "{}", dump);
        prop_assert_eq!(finished(fast), finished(slow), "{}", dump);
    }
}

/// Inputs kept by the fuzz target `bytes`: the first byte says how many bytes arrive at a time.
#[test]
fn what_fuzzing_kept_does_not_depend_on_chunks() {
    let kept = crate::root().join("fuzz/corpus/bytes");
    let files: Vec<_> = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 10);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let Some((&size, dump)) = bytes.split_first() else { continue };
        let whole = read(&mut &dump[..]);
        let chunked = read_in(&[usize::from(size).max(1)], LIMITS, &mut &dump[..]);
        assert_eq!(whole.damages, chunked.damages, "{}", file.display());
        assert!(whole.documents == chunked.documents && whole.found == chunked.found, "{}", file.display());
    }
}

/// The text between documents may be longer than what arrives at once.
#[test]
fn what_stands_between_documents_does_not_depend_on_chunks() {
    for dump in [
        "{\"a\":1}\n\u{feff}{\"b\":1}\n",
        "{\"a\":1}\n, {\"b\":1}\n,  x\n,\n",
        "text\n {\"a\":1}\nnode\n\t{\"b\":1}\n",
        "sep=;\n@timestamp;@message\n1;\"{}\"\n\r\n2;\"{}\"\r\n",
        "\r\n@timestamp,@message\n1,{}\n",
        "\u{feff}@timestamp,@message\r\n1,{}",
        "{\"items\":[\n{\"a\" 1}\n,\n{\"a\":1}\n]}\n",
        "[\"a\"]: {\"b\":1}\n[ \"a\" , {\"b\":1}]\n",
    ] {
        for size in 1..8 {
            check_chunks(dump.as_bytes(), LIMITS, &[size]).unwrap();
        }
    }
}

/// Damage may begin behind any byte. What follows it is a text of its own, whether or not the damage is known when the
/// last byte before it is read.
#[test]
fn where_damage_begins_does_not_depend_on_chunks() {
    let event = |id: &str| json!({"kind": "Event", "auditID": id, "user": {"groups": ["a", "b"]}});
    let events = ["0", "1", "2", "3"].map(event);
    for form in FORMS {
        let dump = form(&events);
        // Compressed forms are damaged elsewhere.
        let Ok(text) = std::str::from_utf8(&dump) else { continue };
        for cut in 0..=text.len() {
            let [whole, bytes] = [usize::MAX, 1].map(|size| read_around_damage(text, cut, size));
            let context = &text[..cut];
            assert_eq!(whole.damages, bytes.damages, "damage after {context}");
            assert_eq!(whole.documents, bytes.documents, "damage after {context}");
            assert_eq!(whole.found, bytes.found, "damage after {context}");
        }
    }
}

/// Reads a text whose decoding fails at `cut` and then continues, in pieces of this size.
fn read_around_damage(text: &str, cut: usize, size: usize) -> Reading {
    let (before, after) = text.as_bytes().split_at(cut);
    let at = cut as u64;
    let damage = Damage { what: "lost".to_owned(), at, text_start: at };
    let mut inner = before.chain(Once(Some(damage))).chain(after);
    let mut reading = Reading::new(vec![size], LIMITS);
    let mut reader = Chunks { inner: &mut inner, sizes: vec![size], turn: 0 };
    frame::frame(Kind::Text, &mut reader, LIMITS, &mut reading);
    reading
}

/// A reader that fails once and holds nothing.
struct Once(Option<Damage>);

impl Read for Once {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), |damage| Err(damage.into()))
    }
}

/// The head of a stream shows what it is, however much more arrives with it.
#[test]
fn what_a_stream_is_does_not_depend_on_chunks() {
    let dump = [b"text\n".repeat(900), vec![1; 5000]].concat();
    let whole = read(&mut dump.as_slice());
    assert_eq!(whole.documents.len(), 900);
    let chunked = read_in(&[7], LIMITS, &mut dump.as_slice());
    assert_eq!((whole.documents, whole.found), (chunked.documents, chunked.found));
}

/// What a sweep of one file finds.
fn tally_of(path: &Path) -> Tally {
    let found = discover(&[path.to_owned()], &[]).unwrap();
    sweep(&found, &JOB, &Blind)
}

static JOB: LazyLock<Job> = LazyLock::new(|| {
    let rules = load(&["builtin:all".to_owned()]).unwrap();
    job(Pack::new(rules, Tuning::default(), interests(Scope::Runbook).unwrap()), false)
});

fn job(pack: Pack, validate: bool) -> Job {
    let (window, stop) = (Window::default(), Stop::default());
    Job { pack, limits: LIMITS, window, validate, cluster: None, platform: None, stop }
}

struct Blind;

impl Observer for Blind {
    fn opened(&self, _: &str) {}
    fn read(&self, _: u64) {}
    fn closed(&self, _: u64, _: u64) {}
}

/// Everything that reports are made from.
fn finished(tally: Tally) -> Vec<String> {
    let plan = Plan { group_by: vec!["username".to_owned()], ..Plan::default() };
    let finished = finish(tally, &JOB.pack, &plan).unwrap();
    let hits = [&finished.hits, &finished.suppressed, &finished.activity];
    let mut texts: Vec<_> =
        hits.iter().flat_map(|hits| hits.read().unwrap()).map(|hit| json!(hit.unwrap()).to_string()).collect();
    texts.extend(finished.timeline.read().unwrap().map(|observation| json!(observation.unwrap()).to_string()));
    texts.extend(finished.alerts.read().unwrap().map(|alert| json!(alert.unwrap()).to_string()));
    texts.push(format!("{:?} {:?} {:?}", finished.summary, finished.coverage, finished.totals));
    texts.extend(finished.inputs.iter().map(|input| format!("{input:?}")));
    texts
}

/// Checks that the prefilter of these rules passes a record if they match it.
fn check_prefilter(rules: Vec<Rule>, raw: &str) -> Result<(), TestCaseError> {
    let pack = Pack::new(rules, Tuning::default(), Vec::new());
    // Without literals, every record is parsed.
    let Some(prefilter) = &pack.prefilter else { return Ok(()) };
    let mut matches = 0;
    let mut unwrapper = Unwrapper::new(LIMITS);
    let body = Body::Json(raw.as_bytes());
    let framing = frame::Framing::Json;
    let document = Document { record: 1, offset: None, element: None, framing, time: None, body, original: b"" };
    unwrapper.open(&document, &Envelope::default(), &mut |leaf, _, _| {
        normalize(&leaf, |normalized| {
            if let Normalized::Event(event) = normalized {
                matches += evaluate(&pack, &View::new(&event, &Origin::default(), leaf.native_members())).len();
            }
        });
    });
    prop_assert!(matches == 0 || prefilter.may_match(raw.as_bytes()), "{}: {}", pack.rules[0].id, raw);
    Ok(())
}

/// Which letters become escapes; mostly none, because with one a record passes whatever else it contains.
fn escapes() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 1 => any::<u64>()]
}

/// JSON nested in this many JSON strings, as forwarders write it.
fn nested(raw: String, depth: usize) -> String {
    (0..depth).fold(raw, |raw, _| json!({"log": raw}).to_string())
}

/// A member with a response code, in its possible forms.
fn code() -> impl Strategy<Value = String> {
    let values =
        vec!["201", "\"201\"", "201.0", "2.01e2", "\" 403\"", "403", "7", "\"+7\"", "\"\\t16\"", "0", "null", "{}"];
    (select(vec!["code", "Code", "CODE"]), select(vec![":", " : "]), select(values))
        .prop_map(|(key, colon, value)| format!("\"{key}\"{colon}{value}"))
}

/// The same record, with its codes written in one of four ways.
fn codes_as(log: &str, way: usize) -> String {
    let log: Value = serde_json::from_str(log).unwrap();
    let mut log = log.to_string();
    for code in [201, 401, 403, 404, 409, 500, 7, 16] {
        for end in [',', '}'] {
            let written = [format!("{code}"), format!("\"{code}\""), format!("{code}.0"), format!("\"\\n{code} \"")];
            log = log.replace(&format!("\"code\":{code}{end}"), &format!("\"code\":{}{end}", written[way]));
        }
    }
    log
}

/// An event as GKE logs it.
fn log_entry(event: &Value) -> Value {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    json!({
        "insertId": "i", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
            "authenticationInfo": {"principalEmail": text("/user/username")},
            "methodName": format!("io.k8s.batch.v1.cronjobs.{}", text("/verb")),
            "resourceName": format!("batch/v1/namespaces/n/cronjobs/{}", text("/objectRef/name")),
            "request": event["requestObject"], "status": {"code": 201},
        },
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "c"}}, "timestamp": "2026-11-24T03:00:00Z",
    })
}

/// The same JSON, with letters of its strings written as `\u00XX` where a bit is set.
fn escaped(text: &str, bits: u64) -> String {
    let mut out = String::new();
    let (mut in_string, mut after_slash) = (false, false);
    for (at, c) in text.char_indices() {
        if in_string && !after_slash && (c.is_ascii_alphanumeric() || c == '-') && bits >> (at % 64) & 1 == 1 {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
        if c == '"' && !after_slash {
            in_string = !in_string;
        }
        after_slash = c == '\\' && !after_slash;
    }
    out
}

type Wrap = fn(&[Value]) -> Vec<u8>;

/// How records are arranged in dumps.
const FORMS: [Wrap; 12] = [
    wrap_lines,
    |events| json!(events).to_string().into_bytes(),
    |events| serde_json::to_vec_pretty(&json!(events)).unwrap(),
    |events| [&b"[\n"[..], &joined(events, ",\n"), b"\n]\n"].concat(),
    |events| json!({"kind": "EventList", "items": events, "metadata": {}}).to_string().into_bytes(),
    |events| serde_json::to_vec_pretty(&json!({"items": events})).unwrap(),
    |events| subscription(events).to_string().into_bytes(),
    |events| joined(events, ""),
    |events| events.iter().flat_map(|event| gzip(format!("2026-11-24T03:16:43.101Z {event}").as_bytes())).collect(),
    |events| {
        let halves = [json!(events[..2]).to_string(), json!({"items": events[2..]}).to_string()];
        halves.iter().flat_map(|half| gzip(half.as_bytes())).collect()
    },
    |events| [&b"node "[..], &joined(events, "\nmaster-0.example.com "), b"\ntext\n "].concat(),
    |events| {
        let cells = events.iter().map(|event| event.to_string().replace('"', "\"\"")).collect::<Vec<_>>();
        format!("sep=,\r\n@timestamp,@message\r\n1,\"{}\"\r\n", cells.join("\"\r\n\r\n2,\"")).into_bytes()
    },
];

fn joined(events: &[Value], separator: &str) -> Vec<u8> {
    events.iter().map(Value::to_string).collect::<Vec<_>>().join(separator).into_bytes()
}

/// How clouds and forwarders store events.
const ENVELOPES: [(&str, Wrap); 22] = [
    ("lines", wrap_lines),
    ("array", |events| json!(events).to_string().into_bytes()),
    ("pretty array", |events| serde_json::to_vec_pretty(&json!(events)).unwrap()),
    ("event list", |events| {
        json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events}).to_string().into_bytes()
    }),
    ("subscription", |events| subscription(events).to_string().into_bytes()),
    ("lambda", |events| {
        let payload = encoded(&gzip(subscription(events).to_string().as_bytes()));
        json!({"awslogs": {"data": payload}}).to_string().into_bytes()
    }),
    ("azure", |events| {
        lines(
            events,
            |event| json!({"category": "kube-audit", "properties": {"log": format!("{event}\n"), "pod": "p"}, "resourceId": "/SUBSCRIPTIONS/S/MANAGEDCLUSTERS/C"}),
        )
    }),
    ("azure records", |events| {
        let records: Vec<_> = events
            .iter()
            .map(|event| json!({"category": "kube-audit", "properties": {"log": event.to_string()}}))
            .collect();
        json!({"records": records}).to_string().into_bytes()
    }),
    ("docker", |events| {
        lines(events, |event| json!({"log": format!("{event}\n"), "stream": "stdout", "time": "2026-11-24T03:00:00Z"}))
    }),
    ("splunk", |events| lines(events, |event| json!({"preview": false, "result": {"_raw": event.to_string()}}))),
    ("elastic", |events| {
        let hits: Vec<_> = events.iter().map(|event| json!({"_source": {"kubernetes": {"audit": event}}})).collect();
        json!({"hits": {"hits": hits}}).to_string().into_bytes()
    }),
    ("loki", |events| {
        let values: Vec<_> = events.iter().map(|event| json!(["1795490175101000000", event.to_string()])).collect();
        json!({"data": {"result": [{"stream": {}, "values": values}]}}).to_string().into_bytes()
    }),
    ("kinesis", |events| {
        let record = json!({"kinesis": {"partitionKey": "p", "data": encoded(&gzip(subscription(events).to_string().as_bytes()))}});
        json!({"Records": [record]}).to_string().into_bytes()
    }),
    ("firehose endpoint", |events| {
        let records: Vec<_> =
            events.iter().map(|event| json!({"data": encoded(event.to_string().as_bytes())})).collect();
        json!({"requestId": "r", "timestamp": 1, "records": records}).to_string().into_bytes()
    }),
    ("queue", |events| {
        let messages: Vec<_> =
            events.iter().map(|event| json!({"MessageId": "m", "Body": event.to_string()})).collect();
        json!({"Messages": messages}).to_string().into_bytes()
    }),
    ("kafka", |events| lines(events, |event| json!({"topic": "t", "offset": 1, "payload": event.to_string()}))),
    ("logstash", |events| {
        lines(
            events,
            |event| json!({"message": "a line of text", "event": {"kind": "event", "original": event.to_string()}}),
        )
    }),
    ("multi-search", |events| {
        let hits: Vec<_> = events.iter().map(|event| json!({"_source": {"message": event.to_string()}})).collect();
        json!({"took": 1, "responses": [{"hits": {"hits": hits}}]}).to_string().into_bytes()
    }),
    ("kusto", |events| {
        let rows: Vec<_> = events.iter().map(|event| json!(["2026-11-24T03:00:00Z", event.to_string()])).collect();
        let columns = json!([{"ColumnName": "TimeGenerated"}, {"ColumnName": "log_s"}]);
        json!({"Tables": [{"TableName": "t", "Columns": columns, "Rows": rows}]}).to_string().into_bytes()
    }),
    ("logcli", |events| {
        let line = |event| format!("2026-11-24T03:00:00Z {{app=\"audit\", node=\"a\"}} {event}\n").into_bytes();
        events.iter().flat_map(line).collect()
    }),
    ("cri", |events| {
        events.iter().flat_map(|event| format!("2026-11-24T03:00:00.1Z stdout F {event}\n").into_bytes()).collect()
    }),
    ("gzip of gzips", |events| {
        let members: Vec<u8> = events.iter().flat_map(|event| gzip(format!("{event}\n").as_bytes())).collect();
        gzip(&members)
    }),
];

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn lines(events: &[Value], wrap: impl Fn(&Value) -> Value) -> Vec<u8> {
    events.iter().flat_map(|event| format!("{}\n", wrap(event)).into_bytes()).collect()
}

fn wrap_lines(events: &[Value]) -> Vec<u8> {
    lines(events, Value::clone)
}

fn subscription(events: &[Value]) -> Value {
    let events: Vec<_> =
        events.iter().map(|event| json!({"id": "1", "timestamp": 1, "message": event.to_string()})).collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/aws/eks/prod/cluster", "logEvents": events})
}
