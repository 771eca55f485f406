//! Rules applied to one event, without state. An event that no rule matches costs no allocation, except for lists that
//! conditions read.

use crate::event::STAGES;
use crate::rule::{
    Condition, Interest, Logic, Pack, Path, Piece, Quantifier, Rule, RuleMatch, Step, Suppression, Template, Value,
    View, same,
};

/// The matches of an event, in rule order.
#[must_use]
pub fn evaluate(pack: &Pack, view: &View<'_>) -> Vec<RuleMatch> {
    pack.rules.iter().filter_map(|rule| matches(rule, pack, view)).collect()
}

/// The interests that an event meets.
#[must_use]
pub fn interests<'p>(pack: &'p Pack, view: &View<'_>) -> Vec<&'p Interest> {
    pack.interests.iter().filter(|interest| holds(&interest.condition, Scope::Event(view))).collect()
}

/// Whether a rule may match an event, or an interest want it, when only the part before its bodies is known.
#[must_use]
pub fn may_match(pack: &Pack, view: &View<'_>) -> bool {
    let by_logic = |logic: &Logic| match logic {
        Logic::Panther { detection } => may_hold(detection, view),
        Logic::Sigma(_) => true,
    };
    // The options of a delete are in its body, and decide whether it is a dry run.
    view.event.verb.as_deref().is_none_or(|verb| verb.starts_with("delete"))
        || pack.rules.iter().any(|rule| looks_at(rule, view.event.stage.as_deref()) && by_logic(&rule.logic))
        || pack.interests.iter().any(|interest| may_hold(&interest.condition, view))
}

fn may_hold(condition: &Condition, view: &View<'_>) -> bool {
    match condition {
        Condition::All(inside) => inside.iter().all(|condition| may_hold(condition, view)),
        Condition::Any(inside) => inside.iter().any(|condition| may_hold(condition, view)),
        other => !other.is_of_head() || holds(other, Scope::Event(view)),
    }
}

fn matches(rule: &Rule, pack: &Pack, view: &View<'_>) -> Option<RuleMatch> {
    if !looks_at(rule, view.event.stage.as_deref()) || !logic_holds(&rule.logic, view) {
        return None;
    }
    let excluded = rule.exclusions.iter().find(|(_, condition)| holds(condition, Scope::Event(view)));
    let suppressed = excluded
        .map(|(name, _)| Suppression { by: name.clone(), reason: format!("an exclusion of the rule {}", rule.id) });
    Some(RuleMatch {
        rule_id: rule.id.clone(),
        title: limited(fill(&rule.title, view)),
        dedup_key: limited(fill(&rule.dedup_key, view)),
        distinct: rule.distinct.as_ref().and_then(|path| value(path, view).print()),
        tuned: if suppressed.is_some() { Vec::new() } else { pack.tuning.fitting(&rule.id, view) },
        suppressed,
    })
}

/// Whether a rule looks at a stage. RequestReceived has neither status nor body, so only rules that name it see it. An
/// unknown stage is seen by all.
fn looks_at(rule: &Rule, stage: Option<&str>) -> bool {
    match (&rule.stages, stage) {
        (Some(stages), Some(stage)) => stages.iter().any(|known| known == stage) || !STAGES.contains(&stage),
        (None, Some(stage)) => stage != "RequestReceived",
        (_, None) => true,
    }
}

fn logic_holds(logic: &Logic, view: &View<'_>) -> bool {
    match logic {
        Logic::Panther { detection } => holds(detection, Scope::Event(view)),
        Logic::Sigma(sigma) => sigma.holds(view),
    }
}

/// What the paths of a condition start from.
#[derive(Clone, Copy)]
enum Scope<'s, 'v> {
    Event(&'v View<'v>),
    Element(&'s Value<'v>),
}

fn holds(condition: &Condition, scope: Scope<'_, '_>) -> bool {
    let count = |inside: &[Condition], most: usize| {
        inside.iter().filter(|condition| holds(condition, scope)).take(most).count()
    };
    match condition {
        Condition::All(inside) => inside.iter().all(|condition| holds(condition, scope)),
        Condition::Any(inside) => count(inside, 1) == 1,
        Condition::OnlyOne(inside) => count(inside, 2) == 1,
        Condition::None(inside) => count(inside, 1) == 0,
        Condition::AlwaysTrue => true,
        Condition::Test { path, test, negated, operand, fold } => {
            let found = any(path, scope, &mut |value| test.holds(value, operand, *fold));
            found != *negated
        }
        Condition::Same { left, right, negated, fold } => {
            let found = any(left, scope, &mut |left| any(right, scope, &mut |right| same(left, right, *fold)));
            found != *negated
        }
        Condition::Elements { path, quantifier, inside } => elements(path, *quantifier, inside, scope),
    }
}

fn elements(path: &Path, quantifier: Quantifier, inside: &[Condition], scope: Scope<'_, '_>) -> bool {
    let (mut all, mut fitting) = (0_usize, 0_usize);
    any(path, scope, &mut |list| {
        for element in list.elements().unwrap_or_default() {
            all += 1;
            let fits = inside.iter().all(|condition| holds(condition, Scope::Element(&element)));
            fitting += usize::from(fits);
        }
        false
    });
    match quantifier {
        Quantifier::Any => fitting > 0,
        Quantifier::All => all > 0 && fitting == all,
        Quantifier::OnlyOne => fitting == 1,
        Quantifier::No => fitting == 0,
    }
}

/// Whether `test` holds for any value that the path leads to. A path that leads nowhere gives one missing value.
fn any<'v>(path: &Path, scope: Scope<'_, 'v>, test: &mut dyn FnMut(&Value<'v>) -> bool) -> bool {
    match (scope, path.field) {
        (Scope::Event(view), Some(field)) => walk(&(field.read)(view), &path.steps, test),
        (Scope::Element(element), _) => walk(element, &path.steps, test),
        (Scope::Event(_), None) => test(&Value::Missing),
    }
}

fn walk<'v>(value: &Value<'v>, steps: &[Step], test: &mut dyn FnMut(&Value<'v>) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return test(value) };
    match step {
        Step::Key(key) => walk(&value.member(key), rest, test),
        Step::Index(index) => {
            let element = value.elements().and_then(|items| items.into_iter().nth(*index));
            walk(&element.unwrap_or(Value::Missing), rest, test)
        }
        Step::Each => match value.elements().filter(|items| !items.is_empty()) {
            Some(items) => items.iter().any(|item| walk(item, rest, test)),
            None => test(&Value::Missing),
        },
    }
}

fn value<'v>(path: &Path, view: &'v View<'v>) -> Value<'v> {
    let mut found = Value::Missing;
    any(path, Scope::Event(view), &mut |value| {
        found = value.clone();
        true
    });
    found
}

fn fill(template: &Template, view: &View<'_>) -> String {
    let fill = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Field(path, fallback) => value(path, view).print().unwrap_or_else(|| fallback.clone()),
    };
    template.0.iter().map(fill).collect()
}

/// Cuts titles and dedup keys as Panther does: beyond 1,000 characters, to 985 and a mark.
fn limited(text: String) -> String {
    if text.chars().nth(1000).is_none() {
        return text;
    }
    let kept: String = text.chars().take(985).collect();
    kept + "... (truncated)"
}
