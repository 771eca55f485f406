//! Whole sweeps: a file → every report, and the laws that hold over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use jiff::SignedDuration;
use kubesweep::aggregate::{Finished, Plan, Tally, finish};
use kubesweep::discover::{Window, discover};
use kubesweep::redact::Redactor;
use kubesweep::report::{self, FILES, Format, RUNBOOK_FILES, Report};
use kubesweep::rule::{Pack, Tuning, load};
use kubesweep::runbook::{self, Catalogue, Only, Runbook, Scope, Settings};
use kubesweep::sweep::{Job, Observer, Stop, sweep as run};
use serde_json::{Value, json};

use crate::reading::LIMITS;

struct Blind;

impl Observer for Blind {
    fn opened(&self, _: &str) {}
    fn read(&self, _: u64) {}
    fn closed(&self, _: u64, _: u64) {}
}

fn job(validate: bool) -> Job {
    let rules = load(&["builtin:all".to_owned()]).expect("built-in rules");
    let pack = Pack::new(rules, Tuning::default(), runbook::interests(Scope::Runbook).expect("built-in interests"));
    let window = Window::default();
    Job { pack, limits: LIMITS, window, validate, cluster: None, platform: None, stop: Stop::default() }
}

static SKIMMING: LazyLock<Job> = LazyLock::new(|| job(false));
static VALIDATING: LazyLock<Job> = LazyLock::new(|| job(true));
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);
static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new().expect("built-in forms"));

/// Any bytes as a dump: what is skimmed and what is parsed gives the same, and the ledger adds up. Errors of records that
/// no rule looks for are found by parsing alone; where it finds two documents in a broken line, it counts on from there.
pub fn sweep(data: &[u8]) {
    let path = crate::file("dump.log", data);
    crate::agree(&observed(&path, &SKIMMING), &observed(&path, &VALIDATING), "the prefilter changed what was found");
}

fn tally(path: &Path, job: &Job) -> Tally {
    let found = discover(&[path.to_owned()], &[]).expect("one file");
    let tally = run(&found, job, &Blind);
    for input in &tally.inputs {
        let sum = input.events + input.not_audit + input.malformed;
        assert_eq!(input.records, sum, "records are lost: {input:?}");
        let error = input.error.as_deref().unwrap_or_default();
        assert!(!error.contains("bug") && !error.contains("panic"), "{error}");
    }
    tally
}

/// Hits, suppressed, activity and alerts, as they would be printed, but for the numbers of their records.
fn observed(path: &Path, job: &Job) -> Vec<String> {
    let finished = finished(tally(path, job), job);
    let mut out = Vec::new();
    for sorted in [&finished.hits, &finished.suppressed, &finished.activity] {
        for hit in sorted.read().expect("memory") {
            let mut hit = json!(hit.expect("memory"));
            hit["evidence"]["record"] = Value::Null;
            out.push(hit.to_string());
        }
    }
    out.extend(finished.alerts.read().expect("memory").map(|alert| json!(alert.expect("memory")).to_string()));
    out
}

fn finished(tally: Tally, job: &Job) -> Finished {
    let plan = Plan { group_by: vec!["cluster".to_owned(), "username".to_owned()], ..Plan::default() };
    finish(tally, &job.pack, &plan).expect("memory")
}

fn paged(finished: Finished) -> (Finished, Runbook) {
    let settings = Settings {
        lookback: SignedDuration::from_hours(720),
        context: SignedDuration::from_hours(24),
        deep: false,
        registries: Vec::new(),
        limits: Tuning::default().thresholds,
        only: Only::default(),
    };
    runbook::compute(finished, &CATALOGUE, &settings).expect("memory")
}

/// Marks that stand before log text in every field; HTML with it as an element would show it as such.
const MARK: &str = "<kS ";

/// Any text in every field that a user controls: no report lets it be more than text, and CSV and JSON give it back.
pub fn escaping(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('|');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let (user, name, namespace, agent, command) = (next(), next(), next(), next(), next());
    let fields = [&user, &name, &namespace, &agent, &command].map(|text| format!("{text}{MARK}{text}"));
    let path = crate::file("events.log", event(&fields).to_string().as_bytes());
    let finished = finished(tally(&path, &SKIMMING), &SKIMMING);
    let (finished, runbook) = paged(finished);
    let written = reports(&finished, &runbook);
    hold(&written, Some(&fields));
    let (finished, runbook) = REDACTOR.results(finished, Some(runbook)).expect("memory");
    hold(&reports(&finished, &runbook.expect("it was given")), None);
}

fn event(fields: &[String; 5]) -> Value {
    let [user, name, namespace, agent, command] = fields;
    let container =
        json!({"name": name, "image": agent, "command": [command, user], "env": [{"name": name, "value": agent}]});
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a",
        "stage": "ResponseComplete", "requestURI": format!("/apis/batch/v1/namespaces/n/cronjobs?x={command}"), "verb": "create",
        "user": {"username": user, "groups": [name, "g"]}, "sourceIPs": [agent], "userAgent": agent,
        "objectRef": {"resource": "cronjobs", "namespace": namespace, "name": name, "apiGroup": "batch"},
        "responseStatus": {"code": 201, "reason": command, "message": user},
        "annotations": {"authorization.k8s.io/reason": command},
        "requestObject": {"kind": "CronJob", "metadata": {"name": name, "annotations": {user: command}},
            "spec": {"schedule": command, "jobTemplate": {"spec": {"template": {"spec": {
                "serviceAccountName": user, "containers": [container], "volumes": [{"hostPath": {"path": name}}]}}}}}},
        "requestReceivedTimestamp": "2026-11-24T03:00:00Z",
    })
}

/// All that is written and printed, by name.
fn reports(finished: &Finished, runbook: &Runbook) -> BTreeMap<&'static str, String> {
    let group_by = ["cluster".to_owned(), "username".to_owned()];
    let report = Report { finished, runbook: Some(runbook), group_by: &group_by };
    let mut written = BTreeMap::new();
    for (name, write) in FILES.iter().chain(&RUNBOOK_FILES) {
        let mut out = Vec::new();
        write(&report, &mut out).expect("memory");
        written.insert(*name, String::from_utf8(out).expect("reports are UTF-8"));
    }
    let mut out = Vec::new();
    Format::Timesketch.write(finished, &mut out).expect("memory");
    written.insert("timesketch.jsonl", String::from_utf8(out).expect("reports are UTF-8"));
    written.insert("closing", report::closing(&report, Some("out")).unwrap_or_default());
    written.insert("inspection", report::inspection(finished));
    written
}

fn hold(written: &BTreeMap<&'static str, String>, fields: Option<&[String; 5]>) {
    for (name, text) in written {
        let is_csv = name.ends_with(".csv");
        assert!(
            is_csv || !text.chars().any(|c| c.is_control() && c != '\n'),
            "a control character in {name}: {text:?}"
        );
        if is_csv {
            for row in csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).records() {
                for cell in &row.expect("CSV, each row of as many cells") {
                    assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "a formula in {name}: {cell:?}");
                }
            }
        } else if name.ends_with(".jsonl") {
            for line in text.lines() {
                serde_json::from_str::<Value>(line).expect("JSON on every line");
            }
        } else if name.ends_with(".json") {
            serde_json::from_str::<Value>(text).expect("JSON");
        }
    }
    assert!(!written["report.html"].contains(MARK), "an element in report.html");
    if let Some(fields) = fields {
        comes_back(written, fields);
    }
}

/// The values of the one hit, out of JSON and CSV.
fn comes_back(written: &BTreeMap<&'static str, String>, [user, name, namespace, agent, _]: &[String; 5]) {
    let hit: Value = serde_json::from_str(written["hits.jsonl"].lines().next().expect("a hit")).expect("JSON");
    let mut rows = csv::Reader::from_reader(written["hits.csv"].as_bytes());
    let row: BTreeMap<String, String> = rows.deserialize().next().expect("a row").expect("CSV");
    let columns = [("username", user), ("name", name), ("namespace", namespace), ("user_agent", agent)];
    for (column, value) in columns {
        assert_eq!(hit[column], **value, "{column} of hits.jsonl");
        let cell = &row[column];
        assert_eq!(cell.strip_prefix('\'').unwrap_or(cell), value, "{column} of hits.csv");
    }
}
