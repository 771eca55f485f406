//! Sigma 2 rules, run by the rsigma crates over the native audit.k8s.io/v1 view of any platform.
//!
//! Three names that rules use are in no audit event and are defined here: `apiGroup` is objectRef.apiGroup; `hostPath`
//! and `capabilities` are those of the pod template of any workload.

mod encoded;
mod faults;
mod reference;
mod told;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use rsigma_eval::event::{Event, EventValue, JsonEvent};
use rsigma_eval::{CompiledRule, compile_rule, evaluate_rule};
use rsigma_parser::{Detection, DetectionItem, SigmaCollection, SigmaRule, parse_sigma_yaml};
use serde_json::{Value as Json, json};

use self::told::told;
use super::template::Template;
use super::value::Value;
use super::view::View;
use super::yaml::{Node, Parsed, Problem};
use super::{FIELDS, Logic, Rule, Severity};
use crate::event::STAGES;

/// A compiled Sigma rule.
#[derive(Debug, Clone)]
pub struct Sigma {
    compiled: Arc<CompiledRule>,
    /// Fields it names that are not in audit.k8s.io, and what they are taken to mean.
    pub aliases: Vec<&'static str>,
    /// Fields it names that are not in audit.k8s.io and have no meaning here.
    pub unknown: Vec<String>,
}

/// Names that no audit event has at its top level, with our field that each means.
const ALIASES: [(&str, &str); 3] =
    [("apiGroup", "apiGroup"), ("hostPath", "host_paths"), ("capabilities", "capabilities")];
const CODE: &str = "responseStatus.code";
const DECISION: &str = "authorization.k8s.io/decision";

impl Sigma {
    /// Whether the rule matches an event.
    #[must_use]
    pub fn holds(&self, view: &View<'_>) -> bool {
        let json = view.native();
        let event = Audit { plain: JsonEvent::borrow(json), json, view };
        evaluate_rule(&self.compiled, &event).is_some()
    }
}

/// An event as the Sigma engine sees it. In addition to what the crate finds, keys that contain dots are found below
/// the root (`annotations.authorization.k8s.io/decision`).
struct Audit<'v> {
    plain: JsonEvent<'v>,
    json: &'v Json,
    view: &'v View<'v>,
}

impl Audit<'_> {
    fn alias(&self, path: &str) -> Option<EventValue<'_>> {
        let (_, field) = ALIASES.iter().find(|(name, _)| *name == path && self.json.get(name).is_none())?;
        let field = FIELDS.iter().find(|known| known.name == *field)?;
        event_value((field.read)(self.view))
    }
}

impl Event for Audit<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let compared = reference::holds(path, self).map(EventValue::Bool);
        compared.or_else(|| self.alias(path)).or_else(|| self.plain.get_field(path)).or_else(|| {
            let mut found = Vec::new();
            collect(self.json, path, &mut found);
            if found.len() > 1 { Some(EventValue::Array(found)) } else { found.pop() }
        })
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        any_text(self.json, pred)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.plain.all_string_values()
    }

    fn to_json(&self) -> Json {
        self.json.clone()
    }
}

/// Whether the predicate holds for any text of an event; numbers and booleans count as written.
fn any_text(value: &Json, pred: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(_) | Json::Number(_) => pred(&value.to_string()),
        Json::String(text) => pred(text),
        Json::Array(items) => items.iter().any(|item| any_text(item, pred)),
        Json::Object(members) => members.values().any(|member| any_text(member, pred)),
    }
}

/// All values that a path leads to, whichever of its dots belong to a key.
fn collect<'j>(at: &'j Json, path: &str, found: &mut Vec<EventValue<'j>>) {
    match at {
        Json::Array(items) => items.iter().for_each(|item| collect(item, path, found)),
        Json::Object(members) => {
            found.extend(members.get(path).map(EventValue::from));
            for (dot, _) in path.match_indices('.') {
                if let Some(inner) = members.get(&path[..dot]) {
                    collect(inner, &path[dot + 1..], found);
                }
            }
        }
        _ => {}
    }
}

fn event_value(value: Value<'_>) -> Option<EventValue<'_>> {
    Some(match value {
        Value::Missing => return None,
        Value::Null => EventValue::Null,
        Value::Bool(value) => EventValue::Bool(value),
        Value::Number(number) => EventValue::Float(number),
        Value::Text(text) => EventValue::Str(text),
        Value::List(items) => EventValue::Array(items.into_iter().filter_map(event_value).collect()),
        Value::Json(json) => EventValue::from(json),
    })
}

/// Kinds of documents that are not supported, by the key that identifies them, and what to do instead.
const NOT_RUN: [(&str, &str); 2] = [
    (
        "correlation",
        "a Sigma correlation is not run; take it out, and count with Threshold in a rule of Panther's form",
    ),
    (
        "filter",
        "a Sigma filter is not run; take it out, and put its opposite into the conditions of the rules it is for",
    ),
];
/// The parser's error for empty documents.
const EMPTY: &str = "Document is not a YAML mapping";

/// Whether a document is one of Sigma's, whatever its kind.
pub(super) fn is_one(document: &Node) -> bool {
    let keys = ["detection", "correlation", "filter", "logsource", "action"];
    keys.iter().any(|key| document.get(key).is_some())
}

/// Compiles the rules of a file.
pub(super) fn compile(documents: &[Node], text: &str) -> Parsed<Vec<Rule>> {
    if let Some(problem) = documents.iter().find_map(faults::of_document) {
        return Err(problem);
    }
    for (key, sentence) in NOT_RUN {
        if let Some(document) = documents.iter().find(|document| document.get(key).is_some()) {
            return Err(Problem::new(document.line, sentence));
        }
    }
    let collection =
        parsed(text).map_err(|what| Problem::new(faulty(documents, text), format!("not a Sigma rule: {what}")))?;
    let is_template = |document: &&Node| {
        document.get("action").is_some_and(|action| action.text().is_ok_and(|action| action != "repeat"))
    };
    let lines = documents.iter().filter(|document| !is_template(document)).map(|document| document.line);
    collection.rules.iter().zip(lines).map(|(rule, line)| compile_one(line, rule)).collect()
}

/// The rules of a file, or the parser's first error.
fn parsed(text: &str) -> Result<SigmaCollection, String> {
    let collection = parse_sigma_yaml(text).map_err(|error| sentence(&error))?;
    match collection.errors.iter().find(|error| *error != EMPTY) {
        Some(error) => Err(sentence(error)),
        None => Ok(collection),
    }
}

/// The line of the first document with which the file no longer parses: the parser does not say which document is
/// wrong.
fn faulty(documents: &[Node], text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    // A document ends where the line before the next one starts with dashes.
    let border = |line: usize| (0..line.min(lines.len())).rev().find(|at| lines[*at].starts_with("---")).unwrap_or(0);
    let ends = documents.iter().skip(1).map(|next| border(next.line)).chain([lines.len()]);
    let mut documents = documents.iter().zip(ends);
    let first = documents.find(|(_, end)| parsed(&lines[..*end].join("\n")).is_err());
    first.map_or(1, |(document, _)| document.line)
}

/// An error of the crates as one line: they draw its position between what is wrong and why.
fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    let what = text.lines().next().unwrap_or_default().split("  -->").next().unwrap_or_default();
    match text.trim_end().lines().skip(1).last() {
        Some(why) => {
            format!("{}: {}", what.trim_end_matches(':'), why.trim_start_matches("error: ").trim_start_matches("  = "))
        }
        None => text,
    }
}

fn compile_one(line: usize, rule: &SigmaRule) -> Parsed<Rule> {
    let problem = |what: String| Problem::new(line, format!("{}: {what}", rule.title));
    if let Some(what) = faults::first(rule) {
        return Err(problem(what));
    }
    let compiled = compile_rule(&told(rule).map_err(problem)?).map_err(|error| problem(sentence(&error)))?;
    if !is_on_audit_logs(rule) {
        return Err(problem("its logsource is not product kubernetes, service audit".to_owned()));
    }
    let items = items(rule);
    let names = |name: &str| items.iter().any(|item| item.field.name.as_deref() == Some(name));
    let sigma = Sigma {
        compiled: Arc::new(compiled),
        aliases: ALIASES.iter().map(|(alias, _)| *alias).filter(|alias| names(alias)).collect(),
        unknown: unknown(&items),
    };
    let id = rule.id.clone().unwrap_or_else(|| rule.title.clone());
    Ok(Rule {
        name: rule.title.clone(),
        enabled: true,
        severity: severity(rule),
        description: rule.description.clone().unwrap_or_default().trim().to_owned(),
        runbook: String::new(),
        reference: rule.references.first().cloned().unwrap_or_default(),
        false_positives: rule.falsepositives.clone(),
        mitre: rule.tags.iter().filter_map(|tag| technique(tag)).collect(),
        dedup_period: SignedDuration::from_mins(60),
        threshold: 1,
        distinct: None,
        title: Template::compile(line, &rule.title.replace(['{', '}'], ""))?,
        dedup_key: Template::compile(line, &format!("{} {{username}} {{namespace}}", id.replace(['{', '}'], "")))?,
        // A rule that names the stage sees all stages.
        stages: names("stage").then(|| STAGES.map(str::to_owned).to_vec()),
        logic: Logic::Sigma(Box::new(sigma)),
        exclusions: Vec::new(),
        tests: Vec::new(),
        file: String::new(),
        line,
        sha256: String::new(),
        id,
    })
}

fn is_on_audit_logs(rule: &SigmaRule) -> bool {
    let is = |text: &String, wanted: &str| text.eq_ignore_ascii_case(wanted);
    let source = &rule.logsource;
    source.product.as_ref().is_some_and(|product| is(product, "kubernetes"))
        && source.service.as_ref().is_none_or(|service| is(service, "audit"))
}

fn severity(rule: &SigmaRule) -> Severity {
    let level = rule.level.as_ref().map(|level| json!(level)).unwrap_or_default();
    match level.as_str() {
        Some("low") => Severity::Low,
        Some("medium") => Severity::Medium,
        Some("high") => Severity::High,
        Some("critical") => Severity::Critical,
        _ => Severity::Info,
    }
}

/// `attack.t1053.003` → `T1053.003`.
fn technique(tag: &str) -> Option<String> {
    let technique = tag.strip_prefix("attack.")?;
    technique
        .starts_with('t')
        .then(|| technique.to_ascii_uppercase())
        .filter(|text| text[1..].starts_with(|c: char| c.is_ascii_digit()))
}

/// All items of a rule's detections.
fn items(rule: &SigmaRule) -> Vec<&DetectionItem> {
    fn visit<'d>(detection: &'d Detection, items: &mut Vec<&'d DetectionItem>) {
        match detection {
            Detection::AllOf(all) => items.extend(all),
            Detection::AnyOf(inner) | Detection::And(inner) => {
                for detection in inner {
                    visit(detection, items);
                }
            }
            _ => {}
        }
    }
    let mut items = Vec::new();
    let mut names: Vec<_> = rule.detection.named.keys().collect();
    names.sort();
    for name in names {
        visit(&rule.detection.named[name], &mut items);
    }
    items
}

/// Names of fields that no audit event has, each once.
fn unknown(items: &[&DetectionItem]) -> Vec<String> {
    let names: BTreeSet<&String> = items.iter().filter_map(|item| item.field.name.as_ref()).collect();
    names.into_iter().filter(|name| !is_known(name)).cloned().collect()
}

/// Members of an audit event (audit.k8s.io/v1), and for those with a fixed set of members, these.
const MEMBERS: [(&str, &[&str]); 20] = [
    ("kind", &[]),
    ("apiVersion", &[]),
    ("metadata", &[]),
    ("level", &[]),
    ("auditID", &[]),
    ("stage", &[]),
    ("requestURI", &[]),
    ("verb", &[]),
    ("user", &["username", "uid", "groups", "extra"]),
    ("impersonatedUser", &["username", "uid", "groups", "extra"]),
    ("authenticationMetadata", &[]),
    ("sourceIPs", &[]),
    ("userAgent", &[]),
    (
        "objectRef",
        &["resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource"],
    ),
    ("responseStatus", &["metadata", "status", "message", "reason", "details", "code"]),
    ("requestObject", &[]),
    ("responseObject", &[]),
    ("requestReceivedTimestamp", &[]),
    ("stageTimestamp", &[]),
    ("annotations", &[]),
];

fn is_known(name: &str) -> bool {
    let mut steps = name.split(['.', '[']);
    let first = steps.next().unwrap_or_default();
    let alias = ALIASES.iter().any(|(alias, _)| *alias == first);
    let member = MEMBERS.iter().find(|(member, _)| *member == first);
    alias || member.is_some_and(|(_, below)| below.is_empty() || steps.next().is_none_or(|step| below.contains(&step)))
}
