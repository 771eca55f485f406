//! Sigma 2 rules, run by the rsigma crates over the native audit.k8s.io/v1 view of any platform.
//!
//! Three names that rules use stand in no audit event; they mean what they say here: `apiGroup` is
//! objectRef.apiGroup, `hostPath` and `capabilities` are those of the pod template of any workload.

use std::sync::Arc;

use jiff::SignedDuration;
use rsigma_eval::event::JsonEvent;
use rsigma_eval::{CompiledRule, compile_rule, evaluate_rule};
use rsigma_parser::{SigmaRule, parse_sigma_yaml};
use serde_json::{Value as Json, json};

use super::template::Template;
use super::value::Value;
use super::view::{View, native};
use super::yaml::{Parsed, Problem};
use super::{FIELDS, Logic, Rule, Severity};

/// A compiled Sigma rule.
#[derive(Debug, Clone)]
pub struct Sigma {
    compiled: Arc<CompiledRule>,
    /// Fields named that are none of audit.k8s.io, and what they are taken for.
    pub aliases: Vec<&'static str>,
}

/// Fields that no audit event has at its top, with the field of ours that they mean.
const ALIASES: [(&str, &str); 3] =
    [("apiGroup", "apiGroup"), ("hostPath", "host_paths"), ("capabilities", "capabilities")];

impl Sigma {
    /// Whether the rule matches an event.
    #[must_use]
    pub fn holds(&self, view: &View<'_>) -> bool {
        let mut event = native(view);
        for alias in &self.aliases {
            let field = ALIASES.iter().find(|(name, _)| name == alias).map_or("", |(_, field)| field);
            if let Some(value) =
                FIELDS.iter().find(|known| known.name == field).map(|known| to_json((known.read)(view)))
            {
                event[alias] = value;
            }
        }
        prune(&mut event);
        evaluate_rule(&self.compiled, &JsonEvent::borrow(&event)).is_some()
    }
}

fn to_json(value: Value<'_>) -> Json {
    match value {
        Value::Missing | Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Number(number) => number.into(),
        Value::Text(text) => text.into_owned().into(),
        Value::List(items) => items.into_iter().map(to_json).collect(),
        Value::Json(json) => json.clone(),
    }
}

fn prune(event: &mut Json) {
    if let Json::Object(members) = event {
        members.retain(|_, member| !member.is_null());
    }
}

/// Compiles the rules of a file.
pub(super) fn compile(line: usize, text: &str) -> Parsed<Vec<Rule>> {
    let collection = parse_sigma_yaml(text).map_err(|error| Problem::new(line, format!("no Sigma rule: {error}")))?;
    if let Some(error) = collection.errors.first() {
        return Err(Problem::new(line, format!("no Sigma rule: {error}")));
    }
    collection.rules.iter().map(|rule| compile_one(line, rule, text)).collect()
}

fn compile_one(line: usize, rule: &SigmaRule, text: &str) -> Parsed<Rule> {
    let compiled = compile_rule(rule).map_err(|error| Problem::new(line, format!("{}: {error}", rule.title)))?;
    let fits =
        |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(is));
    let source = &rule.logsource;
    if !fits(&source.product, "kubernetes") || !fits(&source.service, "audit") {
        return Err(Problem::new(
            line,
            format!("{}: its logsource is not product kubernetes, service audit", rule.title),
        ));
    }
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
        stages: None,
        logic: Logic::Sigma(Box::new(Sigma { compiled: Arc::new(compiled), aliases: aliases(text) })),
        exclusions: Vec::new(),
        tests: Vec::new(),
        file: String::new(),
        sha256: String::new(),
        id,
    })
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

/// The aliases that a rule's detection names as fields.
fn aliases(text: &str) -> Vec<&'static str> {
    let names = |line: &str, alias: &str| {
        let key = line.trim_start().trim_start_matches("- ");
        key.strip_prefix(alias).is_some_and(|rest| rest.starts_with([':', '|']))
    };
    ALIASES.iter().map(|(alias, _)| *alias).filter(|alias| text.lines().any(|line| names(line, alias))).collect()
}
