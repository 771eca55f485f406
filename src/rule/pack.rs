//! Loading rules: the built-in ones, files, directories.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::yaml::{self, RuleError};
use super::{Interest, Logic, Prefilter, Rule, Tuning, Warning, panther, sigma};
use crate::decode::sha256;

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Rules of `builtin:cronjob`: the main rule, and its companion for the identities it excludes.
const CRONJOB: [&str; 2] =
    ["kubernetes_cronjob_created_or_modified.yml", "kubernetes_cronjob_by_excluded_identity.yml"];

const BUILTIN_SETS: &str = "the built-in sets are builtin:cronjob and builtin:all";

/// Rules that are evaluated together.
#[derive(Debug)]
pub struct Pack {
    /// The rules in the order requested, each id once.
    pub rules: Vec<Rule>,
    /// What the user changed about them.
    pub tuning: Tuning,
    /// What is kept in addition to their matches.
    pub interests: Vec<Interest>,
    /// What a record must contain for any of these; `None` if one of them may match any record.
    pub prefilter: Option<Prefilter>,
}

impl Pack {
    /// Joins rules, tuning and interests, and applies the severities of the tuning.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>, tuning: Tuning, interests: Vec<Interest>) -> Self {
        for rule in &mut rules {
            rule.severity = tuning.severity(&rule.id).unwrap_or(rule.severity);
        }
        let prefilter = Prefilter::new(&rules, &interests);
        Pack { rules, tuning, interests, prefilter }
    }

    /// Warnings about rules and tuning entries that have no effect at `now`.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self.rules.iter().filter_map(unknown_fields).collect();
        warnings.extend(self.tuning.warnings(&self.rules, now));
        warnings
    }

    /// The rule of this id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }
}

/// A warning about fields that a Sigma rule names and no audit event has.
fn unknown_fields(rule: &Rule) -> Option<Warning> {
    let Logic::Sigma(sigma) = &rule.logic else { return None };
    let names = sigma.unknown.join(", ");
    let place = format!("{}:{}", rule.file, rule.line);
    (!names.is_empty()).then(|| Warning(format!("{place}: {} names {names}, which no audit event has", rule.id)))
}

/// Loads what `--rules` requests; an empty list means `builtin:cronjob`. Disabled rules are left out, unless requested
/// by file name.
///
/// # Errors
/// The first thing wrong in any file: file, line, what, and what would be right.
pub fn load(specs: &[String]) -> Result<Vec<Rule>, RuleError> {
    let default = ["builtin:cronjob".to_owned()];
    let mut rules: Vec<Rule> = Vec::new();
    for spec in if specs.is_empty() { &default } else { specs } {
        let loaded = load_one(spec)?;
        if loaded.is_empty() {
            return Err(whole(spec, "no enabled rule is in it; rule files end in .yml or .yaml"));
        }
        for rule in loaded {
            match rules.iter().find(|known| known.id == rule.id) {
                Some(known) if known.sha256 == rule.sha256 && known.line == rule.line => {}
                Some(known) => {
                    let what = format!("the rule {} is in {} too", rule.id, known.file);
                    return Err(RuleError { file: rule.file, line: Some(rule.line), what });
                }
                None => rules.push(rule),
            }
        }
    }
    Ok(rules)
}

fn load_one(spec: &str) -> Result<Vec<Rule>, RuleError> {
    if let Some(set) = spec.strip_prefix("builtin:") {
        let wanted = |name: &str| set == "all" || set == "cronjob" && CRONJOB.contains(&name);
        let files: Vec<_> = BUILTIN.iter().filter(|(name, _)| wanted(name)).collect();
        if files.is_empty() {
            return Err(whole(spec, BUILTIN_SETS));
        }
        return files
            .into_iter()
            .map(|(name, text)| compile(name, text))
            .collect::<Result<Vec<_>, _>>()
            .map(|all| all.concat());
    }
    let path = Path::new(spec);
    if path.extension().is_none() && !path.exists() {
        return Err(whole(spec, &format!("there is no such file or directory; {BUILTIN_SETS}")));
    }
    let is_directory = path.is_dir();
    let mut rules = Vec::new();
    for file in if is_directory { files_below(path)? } else { vec![path.to_owned()] } {
        let name = file.display().to_string();
        let text = yaml::read(&file)?;
        rules.extend(compile(&name, &text)?.into_iter().filter(|rule| !is_directory || rule.enabled));
    }
    Ok(rules)
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>, RuleError> {
    let mut files = Vec::new();
    let problem = |error: std::io::Error| yaml::cannot_read(directory, &error);
    for entry in std::fs::read_dir(directory).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| ["yml", "yaml"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Compiles the rules of one file: Sigma if all its documents look like Sigma, Panther's form if none does. A mix is an
/// error.
pub(crate) fn compile(file: &str, text: &str) -> Result<Vec<Rule>, RuleError> {
    let documents = yaml::documents(text).map_err(|problem| problem.in_file(file))?;
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.is_null()).collect();
    let compiled = match documents.iter().position(|document| !sigma::is_one(document)) {
        None if documents.is_empty() => Ok(Vec::new()),
        None => sigma::compile(&documents, text),
        Some(_) if !documents.iter().any(sigma::is_one) => documents.iter().map(panther::compile).collect(),
        Some(other) => {
            let what = "Sigma rules and other rules need files of their own";
            Err(yaml::Problem::new(documents[other].line, what))
        }
    };
    let mut rules = compiled.map_err(|problem| problem.in_file(file))?;
    let hash = sha256(text.as_bytes());
    for rule in &mut rules {
        file.clone_into(&mut rule.file);
        rule.sha256.clone_from(&hash);
    }
    Ok(rules)
}

/// An error about a file, a directory or a built-in set as a whole.
fn whole(file: &str, what: &str) -> RuleError {
    RuleError { file: file.to_owned(), line: None, what: what.to_owned() }
}
