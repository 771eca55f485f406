//! `kubesweep rules`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::OutputFormat;
use super::{ExitStatus, help, print};
use crate::error::Error;
use crate::report::escape;
use crate::rule::{self, FIELDS, Logic, Rule};
use crate::runbook::{Catalogue, Tried};
use crate::testing::{self, Verdict};

#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(subcommand)]
    pub action: RulesAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum RulesAction {
    /// List rules: id, severity, name
    #[command(after_help = help::below(help::RULES_LIST, help::TESTED))]
    List {
        /// Files, directories, builtin:cronjob or builtin:all
        #[arg(value_name = "R", default_value = "builtin:all")]
        rules: Vec<String>,
    },
    /// Show one rule: what it says, when it matches, what the prefilter uses;
    /// or one indicator of the runbook: why it matters, what is harmless
    #[command(after_help = help::below(help::RULES_SHOW, help::TESTED))]
    Show {
        /// Id of a rule, or of an indicator such as CJ-BEH-13
        id: String,
        /// Files, directories, builtin:cronjob or builtin:all
        #[arg(value_name = "R", default_value = "builtin:all")]
        rules: Vec<String>,
    },
    /// Run the tests that rules carry
    #[command(after_help = help::below(help::RULES_TEST, help::TESTED))]
    Test {
        /// Files, directories, builtin:cronjob or builtin:all
        #[arg(value_name = "PATH", default_value = "builtin:all")]
        rules: Vec<String>,
        /// Indicators whose examples are tried as well, on top of the built-in
        /// ones
        #[arg(long, value_name = "FILE")]
        indicators: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Print every field that rules may name, with its meaning
    #[command(after_help = help::below(help::RULES_FIELDS, help::TESTED))]
    Fields,
}

/// Lists, shows or tests rules.
pub(super) fn run(action: &RulesAction) -> Result<ExitStatus, Error> {
    let (text, status) = match action {
        RulesAction::List { rules } => (list(&rule::load(rules)?), ExitStatus::Swept),
        RulesAction::Show { id, rules } => match Catalogue::builtin().describe(id) {
            Some(indicator) => (indicator, ExitStatus::Swept),
            None => (show(id, &rule::load(rules)?)?, ExitStatus::Swept),
        },
        RulesAction::Test { rules, indicators, format } => {
            let tried = indicators.as_deref().map(Catalogue::load).transpose()?.map(|own| own.try_examples());
            test(&rule::load(rules)?, tried.as_ref(), *format)
        }
        RulesAction::Fields => (fields(), ExitStatus::Swept),
    };
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(status)
}

fn list(rules: &[Rule]) -> String {
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for rule in rules {
        let _ = writeln!(out, "{:<width$}  {:<8}  {}", escape(&rule.id), rule.severity, escape(&rule.name));
    }
    out
}

fn show(id: &str, rules: &[Rule]) -> Result<String, Error> {
    let Some(rule) = rules.iter().find(|rule| rule.id == id) else {
        return Err(Error::Usage(format!("no rule or indicator {id}; `kubesweep rules list` names the rules")));
    };
    let mut out = String::new();
    let _ =
        writeln!(out, "{}\n{} ({}, {})\n", escape(&rule.id), escape(&rule.name), rule.severity, rule.mitre.join(", "));
    for text in [&rule.description, &rule.runbook, &rule.reference].into_iter().filter(|text| !text.is_empty()) {
        let _ = writeln!(out, "{}\n", text.lines().map(escape).collect::<Vec<_>>().join("\n"));
    }
    match &rule.logic {
        Logic::Panther { detection } => {
            let _ = writeln!(out, "Matches\n{}", indented(&detection.to_string()));
        }
        Logic::Sigma(sigma) => {
            let _ = writeln!(out, "Matches\n  as its Sigma detection says");
            for alias in &sigma.aliases {
                let _ = writeln!(out, "  {alias} is not a field of an audit event; it is read as documented");
            }
            let _ = writeln!(out);
        }
    }
    for (name, condition) in &rule.exclusions {
        let _ = writeln!(out, "Suppressed as {name}\n{}", indented(&condition.to_string()));
    }
    let _ = writeln!(out, "{}", prefilter(rule));
    Ok(out)
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "  {line}");
        out
    })
}

fn prefilter(rule: &Rule) -> String {
    match rule::literals_of(rule) {
        Some(literals) => {
            let literals: Vec<_> = literals.iter().map(String::as_str).collect();
            format!("Prefilter\n  a record that holds none of these is not looked at: {}", literals.join(", "))
        }
        None => "Prefilter\n  none: no text must stand in every record that matches, so all records are looked at"
            .to_owned(),
    }
}

fn test(rules: &[Rule], tried: Option<&Tried>, format: OutputFormat) -> (String, ExitStatus) {
    let verdicts: Vec<Verdict> = rules.iter().flat_map(testing::run).collect();
    let broken = tried.map_or(0, |tried| tried.broken.len());
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count() + broken;
    let text = match format {
        OutputFormat::Json => {
            let mut all = serde_json::json!({"tests": verdicts, "warnings": warnings(rules)});
            if let Some(tried) = tried {
                all["examples"] = serde_json::json!(tried);
            }
            all.to_string() + "\n"
        }
        OutputFormat::Text => {
            let all = verdicts.len() + tried.map_or(0, |tried| tried.count);
            let examples = tried.map(examples_text).unwrap_or_default();
            test_text(rules, &verdicts) + &examples + &format!("{} passed, {failed} failed\n", all - failed)
        }
    };
    (text, if failed > 0 { ExitStatus::Alerted } else { ExitStatus::Swept })
}

fn examples_text(tried: &Tried) -> String {
    let mut out = format!("examples of indicators: {}\n", tried.count);
    for broken in &tried.broken {
        let _ = writeln!(out, "  [FAIL] {}", escape(broken));
    }
    out
}

fn test_text(rules: &[Rule], verdicts: &[Verdict]) -> String {
    let mut out = String::new();
    for rule in rules {
        let _ = writeln!(out, "{}", escape(&rule.id));
        for verdict in verdicts.iter().filter(|verdict| verdict.rule_id == rule.id) {
            let word = if verdict.passed { "PASS" } else { "FAIL" };
            let _ = writeln!(out, "  [{word}] {}", escape(&verdict.test));
            let details = [
                ("", &verdict.problem),
                ("title ", &verdict.title),
                ("dedup ", &verdict.dedup_key),
                ("suppressed by ", &verdict.suppressed_by),
            ];
            for (label, detail) in details {
                if let Some(detail) = detail {
                    let _ = writeln!(out, "         {label}{}", escape(detail));
                }
            }
        }
    }
    for warning in warnings(rules) {
        let _ = writeln!(out, "warning: {}", escape(&warning));
    }
    out
}

/// Warns of rules whose tests cannot show that they work or ask for more than is done, and of Sigma rules that name fields no audit event has.
fn warnings(rules: &[Rule]) -> Vec<String> {
    let mut warnings = Vec::new();
    for rule in rules {
        for (expected, what) in [(true, "positive"), (false, "negative")] {
            if !rule.tests.iter().any(|test| test.expected == expected) {
                warnings.push(format!("{} has no {what} test", rule.id));
            }
        }
        let mocked = rule.tests.iter().filter(|test| test.has_mocks);
        warnings.extend(mocked.map(|test| format!("the Mocks of {}, test {}, are not used", rule.id, test.name)));
        if let Logic::Sigma(sigma) = &rule.logic {
            warnings
                .extend(sigma.unknown.iter().map(|name| format!("{} names {name}, which no audit event has", rule.id)));
            warnings.extend(
                sigma.aliases.iter().map(|alias| {
                    format!("{} names {alias}, which no audit event has; it is read as documented", rule.id)
                }),
            );
        }
    }
    warnings
}

fn fields() -> String {
    let width = FIELDS.iter().map(|field| field.name.len()).max().unwrap_or(0);
    FIELDS.iter().fold(String::new(), |mut out, field| {
        let _ = writeln!(out, "{:<width$}  {}", field.name, field.meaning);
        out
    })
}
