//! Rules of any text, over events of any text: what a rule matches in a record that is not packed, its prefilter passes.

use std::sync::LazyLock;

use kubesweep::evaluate::evaluate;
use kubesweep::event::Origin;
use kubesweep::normalize::Normalized;
use kubesweep::rule::{Pack, Rule, Tuning, View, load};
use serde_json::{Value, json};

use crate::reading::events;

/// The events that the built-in rules are tested with.
static LOGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let rules = load(&["builtin:all".to_owned()]).expect("built-in rules");
    rules.iter().flat_map(|rule| &rule.tests).map(|test| test.log.clone()).collect()
});

/// A rule file of either form.
pub fn rule(data: &[u8]) {
    compile(data);
}

/// The detection and the fields of a Sigma rule.
pub fn sigma(data: &[u8]) {
    let mut text =
        b"title: t\nid: 6a6b0a8e-0000-4000-8000-000000000000\nlogsource:\n  product: kubernetes\n  service: audit\n"
            .to_vec();
    text.extend(data);
    compile(&text);
}

fn compile(text: &[u8]) {
    let path = crate::file("rule.yml", text).display().to_string();
    let Ok(rules) = load(&[path]) else { return };
    let logs: Vec<&str> = rules
        .iter()
        .flat_map(|rule| &rule.tests)
        .map(|test| test.log.as_str())
        .chain(LOGS.iter().map(String::as_str))
        .collect();
    for log in logs {
        check(rules.clone(), log.as_bytes());
    }
}

fn check(rules: Vec<Rule>, raw: &[u8]) {
    let pack = Pack::new(rules, Tuning::default(), Vec::new());
    let mut matched = None;
    events(raw, &mut |normalized, leaf| {
        if let Normalized::Event(event) = normalized {
            let origin = Origin::default();
            // What was packed in base64 is unpacked before the prefilter is asked: its id does not stand in the record.
            let id = event.identity.id.as_deref().filter(|id| !id.is_empty());
            if id.is_none_or(|id| !raw.windows(id.len()).any(|bytes| bytes == id.as_bytes())) {
                return;
            }
            let view = View::new(event, &origin, leaf.native_members());
            matched = matched.take().or_else(|| evaluate(&pack, &view).into_iter().next());
        }
    });
    let passes = pack.prefilter.as_ref().is_none_or(|prefilter| prefilter.may_match(raw));
    assert!(passes || matched.is_none(), "{matched:?} is not passed: {}", String::from_utf8_lossy(raw));
}

/// Paths, conditions and values that the events of the corpus often hold.
const KEYS: [&str; 16] = [
    "resource",
    "verb",
    "username",
    "name",
    "namespace",
    "requestURI",
    "stage",
    "change",
    "outcome",
    "response_code",
    "requestObject.kind",
    "requestObject.spec.schedule",
    "requestObject.spec[*]",
    "images",
    "user_agent",
    "annotations",
];
const TESTS: [&str; 8] =
    ["Equals", "DoesNotEqual", "IEquals", "Contains", "DoesNotContain", "StartsWith", "EndsWith", "Exists"];
const VALUES: [&str; 12] =
    ["cronjobs", "create", "CronJob", "created", "failed", "403", "201", "jobs", "kube-system", "system:", "/", "a-b"];

/// Bytes up to a newline make a condition; behind it is a record.
pub fn prefilter(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (recipe, raw) = (&data[..end], &data[end + 1..]);
    let mut recipe = recipe.iter().copied();
    let Some(condition) = condition(&mut recipe, 0, raw) else { return };
    let rule = json!({"RuleID": "X", "Severity": "Low", "Detection": [condition]}).to_string();
    let path = crate::file("condition.yml", rule.as_bytes()).display().to_string();
    let Ok(rules) = load(&[path]) else { return };
    check(rules, raw);
}

fn condition(recipe: &mut dyn Iterator<Item = u8>, depth: usize, raw: &[u8]) -> Option<Value> {
    let kind = recipe.next()?;
    if kind % 3 == 0 && depth < 3 {
        let combinator = ["All", "Any", "OnlyOne", "None"][usize::from(kind / 3 % 4)];
        let count = 1 + usize::from(kind / 64);
        let inside: Vec<_> = (0..count).map_while(|_| condition(recipe, depth + 1, raw)).collect();
        return Some(json!({combinator: inside})).filter(|_| !inside.is_empty());
    }
    let key = KEYS[usize::from(recipe.next()?) % KEYS.len()];
    let test = TESTS[usize::from(recipe.next()?) % TESTS.len()];
    let value = value(recipe, raw)?;
    Some(match test {
        "Exists" => json!({"KeyPath": key, "Condition": test}),
        _ if kind % 3 == 1 => json!({"KeyPath": key, "Condition": "IsIn", "Values": [value, "get"]}),
        _ => json!({"KeyPath": key, "Condition": test, "Value": value}),
    })
}

/// A known value, or a piece of the record, so that it may well stand there.
fn value(recipe: &mut dyn Iterator<Item = u8>, raw: &[u8]) -> Option<Value> {
    let choice = recipe.next()?;
    if choice < 128 {
        let text = VALUES[usize::from(choice) % VALUES.len()];
        return Some(text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number)));
    }
    let start = usize::from(choice - 128) * 8 + usize::from(recipe.next()? % 8);
    let length = usize::from(recipe.next()? % 24);
    raw.get(start..start + length).map(|piece| json!(String::from_utf8_lossy(piece)))
}
