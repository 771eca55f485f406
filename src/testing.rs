//! Runs the tests in rules, through the same stages as a sweep.

use crate::decode::Limits;
use crate::evaluate::evaluate;
use crate::frame::{Body, Document, Framing};
use crate::normalize::{Normalized, normalize};
use crate::rule::{Pack, Rule, RuleMatch, Test, Tuning, View};
use crate::unwrap::{Envelope, Unwrapper};

/// The result of a test.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Verdict {
    /// The rule's id.
    pub rule_id: String,
    /// The test's name.
    pub test: String,
    /// Whether the rule did what the test expects.
    pub passed: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Title of the match, suppressed or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its dedup key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<String>,
    /// The exclusion that suppressed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_by: Option<String>,
}

/// Runs all tests of a rule.
#[must_use]
pub fn run(rule: &Rule) -> Vec<Verdict> {
    let pack = Pack::new(vec![rule.clone()], Tuning::default(), Vec::new());
    rule.tests.iter().map(|test| verdict(rule, test, matches(&pack, &test.log).as_deref())).collect()
}

fn verdict(rule: &Rule, test: &Test, found: Option<&[RuleMatch]>) -> Verdict {
    let is_event = found.is_some();
    let found = found.unwrap_or_default();
    let hit = found.iter().find(|found| found.suppressed.is_none());
    let shown = hit.or(found.first());
    let title = shown.map(|found| found.title.clone());
    let dedup_key = shown.map(|found| found.dedup_key.clone());
    let suppressed_by = shown.and_then(|found| found.suppressed.as_ref()).map(|suppression| suppression.by.clone());
    let differs = |what: &str, expected: &Option<String>, is: &Option<String>| {
        let wrong = expected.is_some() && expected != is;
        wrong.then(|| format!("{what} is {}, not {}", quoted(is.as_ref()), quoted(expected.as_ref())))
    };
    let problem = match (test.expected, hit.is_some()) {
        _ if !is_event => Some("the log holds no audit event".to_owned()),
        (true, false) => Some("the rule does not match".to_owned()),
        (false, true) => Some("the rule matches".to_owned()),
        _ => differs("the title", &test.title, &title)
            .or_else(|| differs("the dedup key", &test.dedup_key, &dedup_key))
            .or_else(|| differs("what suppresses it", &test.suppressed_by, &suppressed_by)),
    };
    Verdict {
        rule_id: rule.id.clone(),
        test: test.name.clone(),
        passed: problem.is_none(),
        problem,
        title,
        dedup_key,
        suppressed_by,
    }
}

fn quoted(text: Option<&String>) -> String {
    text.map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"))
}

/// The matches of the records in a test's log; `None` if none of them is an audit event.
fn matches(pack: &Pack, log: &str) -> Option<Vec<RuleMatch>> {
    let limits = Limits { max_record: usize::MAX, max_bytes: None };
    let body = Body::Json(log.as_bytes());
    let document = Document {
        record: 1,
        offset: Some(0),
        element: None,
        framing: Framing::Json,
        time: None,
        body,
        original: log.as_bytes(),
    };
    let mut found: Option<Vec<RuleMatch>> = None;
    let mut unwrapper = Unwrapper::new(limits);
    let mut on_leaf = |leaf: crate::unwrap::Leaf<'_>, envelope: &Envelope<'_>, _: crate::unwrap::Place<'_>| {
        normalize(&leaf, |normalized| {
            if let Normalized::Event(event) = normalized {
                found.get_or_insert_default().extend(evaluate(
                    pack,
                    &View::new(&event, &envelope.origin, leaf.native_members()).tuned(&pack.tuning),
                ));
            }
        });
    };
    unwrapper.open(&document, &Envelope::default(), &mut on_leaf);
    unwrapper.finish(&mut on_leaf);
    found
}
