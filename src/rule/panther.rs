//! Rules in Panther's YAML: its metadata keys, its simple detections, and a few keys of our own.

use jiff::SignedDuration;

use super::condition::{self, Condition};
use super::field::{Path, steps};
use super::template::Template;
use super::yaml::{Kind, Node, Parsed, Problem, unknown};
use super::{Logic, Rule, Severity, Test};
use crate::event::STAGES;

/// Panther's keys, and ours: Exclusions, DedupKey, Stages, ThresholdDistinct, FalsePositives.
const KEYS: [&str; 28] = [
    "AnalysisType",
    "RuleID",
    "DisplayName",
    "Enabled",
    "Status",
    "Filename",
    "LogTypes",
    "Tags",
    "Severity",
    "Description",
    "Runbook",
    "Reference",
    "Reports",
    "DedupPeriodMinutes",
    "Threshold",
    "GroupBy",
    "SummaryAttributes",
    "AlertTitle",
    "AlertContext",
    "Tests",
    "Detection",
    "Exclusions",
    "DedupKey",
    "Stages",
    "ThresholdDistinct",
    "FalsePositives",
    "CreateAlert",
    "InlineFilters",
];
/// Minutes in a (leap) year.
const MAX_MINUTES: i64 = 366 * 24 * 60;

/// Compiles one document.
pub(super) fn compile(node: &Node) -> Parsed<Rule> {
    if let Some(member) = node.map()?.iter().find(|member| !KEYS.contains(&member.key.as_str())) {
        return Err(unknown(member.line, "key", &member.key, KEYS.into_iter()));
    }
    let needed = |key: &str| node.get(key).ok_or_else(|| Problem::new(node.line, format!("the rule has no {key}")));
    let id = needed("RuleID")?.text()?.to_owned();
    if id.is_empty() {
        return Err(Problem::new(needed("RuleID")?.line, "a RuleID needs a name"));
    }
    let text =
        |key: &str| node.get(key).map(Node::text).transpose().map(|text| text.unwrap_or_default().trim().to_owned());
    runs_here(node)?;
    let name = Some(text("DisplayName")?).filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone());
    let template = |key: &str| node.get(key).map(|node| Template::compile(node.line, node.text()?)).transpose();
    let dedup_period = dedup_period(node)?;
    Ok(Rule {
        severity: severity(needed("Severity")?)?,
        enabled: node.get("Enabled").map(Node::boolean).transpose()?.unwrap_or(true),
        description: text("Description")?,
        reference: text("Reference")?,
        runbook: text("Runbook")?,
        false_positives: node.get("FalsePositives").map(Node::texts).transpose()?.unwrap_or_default(),
        mitre: node.get("Reports").map(mitre).transpose()?.unwrap_or_default(),
        dedup_period,
        threshold: count(node, "Threshold")?.unwrap_or(1),
        distinct: node.get("ThresholdDistinct").map(path).transpose()?,
        title: template("AlertTitle")?.unwrap_or_else(|| Template::of_text(&name)),
        dedup_key: template("DedupKey")?.map_or_else(|| group_by(node, &id), Ok)?,
        stages: node.get("Stages").map(stages).transpose()?,
        logic: Logic::Panther { detection: condition::compile(needed("Detection")?)? },
        exclusions: exclusions(node)?,
        tests: node.get("Tests").map(tests).transpose()?.unwrap_or_default(),
        id,
        name,
        file: String::new(),
        line: node.line,
        sha256: String::new(),
    })
}

fn dedup_period(node: &Node) -> Parsed<SignedDuration> {
    let minutes = count(node, "DedupPeriodMinutes")?.unwrap_or(60);
    let minutes = i64::try_from(minutes).ok().filter(|minutes| *minutes <= MAX_MINUTES);
    minutes.map(SignedDuration::from_mins).ok_or_else(|| {
        let line = node.get("DedupPeriodMinutes").map_or(node.line, |node| node.line);
        Problem::new(line, format!("DedupPeriodMinutes is at most {MAX_MINUTES}, a year"))
    })
}

/// Keys, the value each must have, and why. Rules that Panther runs in another way are refused: here, a hit is an event
/// that a rule matches, and belongs to an alert.
const RUN: [(&str, &str, &str); 2] = [
    ("AnalysisType", "rule", "only AnalysisType rule looks at events; keep what is of another type out of here"),
    (
        "CreateAlert",
        "true",
        "every hit belongs to an alert here; take CreateAlert away, or suppress the hits with Exclusions",
    ),
];

fn runs_here(node: &Node) -> Parsed<()> {
    for (key, expected, sentence) in RUN {
        if let Some(value) = node.get(key)
            && value.to_json().to_string().trim_matches('"') != expected
        {
            return Err(Problem::new(value.line, sentence));
        }
    }
    Ok(())
}

/// A count of at least 1; `None` if the key is absent.
fn count(node: &Node, key: &str) -> Parsed<Option<u64>> {
    let Some(value) = node.get(key) else { return Ok(None) };
    match value.integer()? {
        0 => Err(Problem::new(value.line, format!("{key} is at least 1"))),
        count => Ok(Some(count)),
    }
}

/// The dedup key of a rule that has none of its own: values of fields, given by name or as in match expressions.
fn group_by(node: &Node, id: &str) -> Parsed<Template> {
    let field = |item: &Node| match item.value {
        Kind::Map(_) => condition::key(item),
        _ => path(item),
    };
    let of_names = || ["username", "namespace"].iter().map(|name| Path::of_event(node.line, &steps(node.line, name)?));
    let fields: Parsed<Vec<Path>> = match node.get("GroupBy") {
        Some(group_by) => group_by.list()?.iter().map(field).collect(),
        None => of_names().collect(),
    };
    Ok(Template::of_fields(id, fields?))
}

fn path(node: &Node) -> Parsed<Path> {
    Path::of_event(node.line, &steps(node.line, node.text()?)?)
}

fn severity(node: &Node) -> Parsed<Severity> {
    node.text()?.parse().map_err(|problem: String| Problem::new(node.line, problem))
}

/// Reads `MITRE ATT&CK: [TA0003:T1053.003]`: the technique is the part after the tactic.
fn mitre(node: &Node) -> Parsed<Vec<String>> {
    let mut techniques = Vec::new();
    for report in node.map()? {
        if report.key == "MITRE ATT&CK" {
            let all = report.value.texts()?;
            techniques.extend(all.iter().map(|text| text.rsplit(':').next().unwrap_or_default().trim().to_owned()));
        }
    }
    Ok(techniques)
}

fn stages(node: &Node) -> Parsed<Vec<String>> {
    let stages = node.texts()?;
    match stages.iter().find(|stage| !STAGES.contains(&stage.as_str())) {
        Some(stage) => Err(unknown(node.line, "stage", stage, STAGES.into_iter())),
        None => Ok(stages),
    }
}

/// Reads a mapping of names to match expressions. Panther's InlineFilters (what must hold) become exclusions of the
/// opposite.
fn exclusions(node: &Node) -> Parsed<Vec<(String, Condition)>> {
    let mut exclusions = Vec::new();
    for exclusion in node.get("Exclusions").map(Node::map).transpose()?.unwrap_or_default() {
        exclusions.push((exclusion.key.clone(), condition::compile(&exclusion.value)?));
    }
    if let Some(filters) = node.get("InlineFilters") {
        exclusions.push(("InlineFilters".to_owned(), Condition::None(vec![condition::compile(filters)?])));
    }
    Ok(exclusions)
}

fn tests(node: &Node) -> Parsed<Vec<Test>> {
    node.list()?.iter().map(test).collect()
}

fn test(node: &Node) -> Parsed<Test> {
    let known = ["Name", "ExpectedResult", "Log", "Mocks", "ExpectedTitle", "ExpectedDedupKey", "ExpectedSuppressedBy"];
    if let Some(member) = node.map()?.iter().find(|member| !known.contains(&member.key.as_str())) {
        return Err(unknown(member.line, "key", &member.key, known.into_iter()));
    }
    let needed = |key: &str| node.get(key).ok_or_else(|| Problem::new(node.line, format!("the test has no {key}")));
    let text = |key: &str| node.get(key).map(|node| node.text().map(str::to_owned)).transpose();
    Ok(Test {
        name: needed("Name")?.text()?.to_owned(),
        expected: needed("ExpectedResult")?.boolean()?,
        log: match &needed("Log")?.value {
            Kind::Scalar(serde_json::Value::String(json)) => json.clone(),
            _ => needed("Log")?.to_json().to_string(),
        },
        title: text("ExpectedTitle")?,
        dedup_key: text("ExpectedDedupKey")?,
        suppressed_by: text("ExpectedSuppressedBy")?,
        has_mocks: node.get("Mocks").is_some(),
    })
}
