//! Match expressions in the language of Panther's simple detections, compiled.

use serde_json::Value;

use super::field::{Path, Step, steps};
use super::value::{Operand, Test};
use super::yaml::{Kind, Member, Node, Parsed, Problem, unknown};

/// A compiled predicate over one event.
#[derive(Debug, Clone)]
pub enum Condition {
    /// All of them hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// Exactly one holds.
    OnlyOne(Vec<Condition>),
    /// None holds.
    None(Vec<Condition>),
    /// A test of what a path leads to. Holds if the test holds for any of the values; negated, if it holds for none.
    Test {
        /// Where to look.
        path: Path,
        /// What to test.
        test: Test,
        /// Whether the test is negated.
        negated: bool,
        /// What to compare with.
        operand: Operand,
        /// Whether case is ignored.
        fold: bool,
    },
    /// Two paths lead to the same value (or, negated, do not).
    Same {
        /// One.
        left: Path,
        /// The other.
        right: Path,
        /// Whether the comparison is negated.
        negated: bool,
        /// Whether case is ignored.
        fold: bool,
    },
    /// A list of which some number of elements satisfies all conditions inside.
    Elements {
        /// The list.
        path: Path,
        /// How many.
        quantifier: Quantifier,
        /// What each must satisfy; paths start at the element.
        inside: Vec<Condition>,
    },
    /// Always.
    AlwaysTrue,
}

/// How many elements must satisfy the conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// At least one.
    Any,
    /// All, of at least one.
    All,
    /// Exactly one.
    OnlyOne,
    /// None; also holds if there is no list.
    No,
}

/// Operators and their meaning: test, negated, case ignored. The I for ignoring case may precede the operator or its
/// verb.
const OPERATORS: [(&str, Test, bool, bool); 32] = [
    ("Equals", Test::Equals, false, false),
    ("DoesNotEqual", Test::Equals, true, false),
    ("IEquals", Test::Equals, false, true),
    ("DoesNotIEqual", Test::Equals, true, true),
    ("IDoesNotEqual", Test::Equals, true, true),
    ("IsIn", Test::Equals, false, false),
    ("IsNotIn", Test::Equals, true, false),
    ("Contains", Test::Contains, false, false),
    ("DoesNotContain", Test::Contains, true, false),
    ("IContains", Test::Contains, false, true),
    ("DoesNotIContain", Test::Contains, true, true),
    ("IDoesNotContain", Test::Contains, true, true),
    ("StartsWith", Test::StartsWith, false, false),
    ("DoesNotStartWith", Test::StartsWith, true, false),
    ("IStartsWith", Test::StartsWith, false, true),
    ("DoesNotIStartWith", Test::StartsWith, true, true),
    ("IDoesNotStartWith", Test::StartsWith, true, true),
    ("EndsWith", Test::EndsWith, false, false),
    ("DoesNotEndWith", Test::EndsWith, true, false),
    ("IEndsWith", Test::EndsWith, false, true),
    ("DoesNotIEndWith", Test::EndsWith, true, true),
    ("IDoesNotEndWith", Test::EndsWith, true, true),
    ("IsGreaterThan", Test::Greater, false, false),
    ("IsGreaterThanOrEquals", Test::GreaterOrEquals, false, false),
    ("IsLessThan", Test::Less, false, false),
    ("IsLessThanOrEquals", Test::LessOrEquals, false, false),
    ("Exists", Test::Exists, false, false),
    ("DoesNotExist", Test::Exists, true, false),
    ("IsNull", Test::IsNull, false, false),
    ("IsNotNull", Test::IsNotNull, false, false),
    ("IsNullOrEmpty", Test::IsNullOrEmpty, false, false),
    ("IsNotNullOrEmpty", Test::IsNullOrEmpty, true, false),
];

/// Tests of an address, written after the name of its family.
const ADDRESS_TESTS: [(&str, Option<Test>, bool); 5] = [
    ("", None, false),
    ("InCIDR", Some(Test::InCidr), false),
    ("NotInCIDR", Some(Test::InCidr), true),
    ("Public", Some(Test::IsPublic), false),
    ("Private", Some(Test::IsPrivate), false),
];

/// Names of address families. A name comes before any name that is its prefix.
const FAMILIES: [(&str, Test); 6] = [
    ("IsIPAddress", Test::IsIp),
    ("IPAddress", Test::IsIp),
    ("IsIPv4Address", Test::IsIpv4),
    ("IsIPv6Address", Test::IsIpv6),
    ("IsIPv4", Test::IsIpv4),
    ("IsIPv6", Test::IsIpv6),
];

const QUANTIFIERS: [(&str, Quantifier); 4] = [
    ("AnyElement", Quantifier::Any),
    ("AllElements", Quantifier::All),
    ("OnlyOneElement", Quantifier::OnlyOne),
    ("NoElement", Quantifier::No),
];

const COMBINATORS: [&str; 4] = ["All", "Any", "OnlyOne", "None"];
const KEYS: [&str; 7] = ["Key", "DeepKey", "KeyPath", "Condition", "Value", "Values", "Expressions"];

/// Whether a list of expressions applies to an event or to an element of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Event,
    Element,
}

/// Compiles a list of match expressions, all of which must hold. A single expression need not be in a list.
pub(super) fn compile(node: &Node) -> Parsed<Condition> {
    expressions(node, Scope::Event).map(all)
}

/// Joins conditions that must all hold. Those on fields before the bodies come first: they refute most events before a
/// body is parsed.
fn all(mut conditions: Vec<Condition>) -> Condition {
    conditions.sort_by_key(|condition| !condition.is_of_head());
    match conditions.pop() {
        Some(only) if conditions.is_empty() => only,
        last => Condition::All(conditions.into_iter().chain(last).collect()),
    }
}

fn expressions(node: &Node, scope: Scope) -> Parsed<Vec<Condition>> {
    match &node.value {
        Kind::List(items) if items.is_empty() => Err(Problem::new(node.line, "the list of match expressions is empty")),
        Kind::List(items) => items.iter().map(|item| expression(item, scope)).collect(),
        _ => Ok(vec![expression(node, scope)?]),
    }
}

fn expression(node: &Node, scope: Scope) -> Parsed<Condition> {
    let members = node.map()?;
    if let Some(combined) = combined(members, scope)? {
        return Ok(combined);
    }
    if let Some(member) = members.iter().find(|member| !KEYS.contains(&member.key.as_str())) {
        return Err(unknown(member.line, "key", &member.key, KEYS.iter().chain(&COMBINATORS).copied()));
    }
    let Some(condition) = node.get("Condition") else {
        return Err(Problem::new(
            node.line,
            "a match expression needs a Condition, or to be All, Any, OnlyOne or None",
        ));
    };
    let word = condition.text()?;
    let quantifier = QUANTIFIERS.iter().find(|(name, _)| *name == word).map(|(_, quantifier)| *quantifier);
    let stray = if quantifier.is_some() { ["Value", "Values"].as_slice() } else { &["Expressions"] };
    if let Some(member) = members.iter().find(|member| stray.contains(&member.key.as_str())) {
        return Err(Problem::new(member.line, format!("{word} takes no {}", member.key)));
    }
    if word == "AlwaysTrue" {
        return Ok(Condition::AlwaysTrue);
    }
    if let Some(quantifier) = quantifier {
        return elements(node, quantifier, scope);
    }
    if let Some((family, test, negated)) = address_test(word) {
        return address(node, word, family, test, negated, scope);
    }
    let Some((_, test, negated, fold)) = OPERATORS.iter().find(|(name, ..)| *name == word) else {
        let others = QUANTIFIERS.iter().map(|(name, _)| *name).chain(FAMILIES.iter().map(|(name, _)| *name));
        let known = OPERATORS.iter().map(|(name, ..)| *name).chain(others);
        return Err(unknown(condition.line, "condition", word, known));
    };
    let path = match path(node, scope)? {
        Some(path) => path,
        None if scope == Scope::Element && two_keys(node).is_none() => Path::new(None, Vec::new()),
        None => return same(node, word, *test, (*negated, *fold), scope),
    };
    let operand = operand(node, word, *test)?;
    Ok(Condition::Test { path, test: *test, negated: *negated, operand, fold: *fold })
}

/// An expression that is All, Any, OnlyOne or None of others; `None` if it is a test.
fn combined(members: &[Member], scope: Scope) -> Parsed<Option<Condition>> {
    let is_combinator = |member: &&Member| COMBINATORS.contains(&member.key.as_str());
    let Some(Member { line, key, value }) = members.iter().find(is_combinator) else { return Ok(None) };
    if members.len() > 1 {
        return Err(Problem::new(*line, format!("{key} stands alone in its expression")));
    }
    let inside = expressions(value, scope)?;
    Ok(Some(match key.as_str() {
        "All" => all(inside),
        "Any" => Condition::Any(inside),
        "OnlyOne" => Condition::OnlyOne(inside),
        _ => Condition::None(inside),
    }))
}

/// Reads words such as `IsIPv4AddressInCIDR`: family, test, and whether the test is negated.
fn address_test(word: &str) -> Option<(Test, Option<Test>, bool)> {
    FAMILIES.iter().find_map(|(name, family)| {
        let suffix = word.strip_prefix(name)?;
        let (_, test, negated) = ADDRESS_TESTS.iter().find(|(known, ..)| *known == suffix)?;
        Some((*family, *test, *negated))
    })
}

/// The word for a test of an address: for its family, or for a further test of any family.
fn address_word(test: Test) -> Option<String> {
    let family = FAMILIES.iter().find(|(_, family)| *family == test).map(|(name, _)| (*name).to_owned());
    let further = ADDRESS_TESTS.iter().find(|(_, further, _)| *further == Some(test));
    family.or_else(|| further.map(|(suffix, ..)| format!("IsIPAddress{suffix}")))
}

/// A test of an address: that it belongs to the family, and the further test, if any.
fn address(
    node: &Node,
    word: &str,
    family: Test,
    test: Option<Test>,
    negated: bool,
    scope: Scope,
) -> Parsed<Condition> {
    let path = path(node, scope)?.unwrap_or_else(|| Path::new(None, Vec::new()));
    if path.field.is_none() && scope == Scope::Event {
        return Err(Problem::new(node.line, "name a field with Key, DeepKey or KeyPath"));
    }
    let operand = operand(node, word, test.unwrap_or(family))?;
    let of = |test, operand| Condition::Test { path: path.clone(), test, negated: false, operand, fold: false };
    let positive = all(std::iter::once(of(family, Operand::None)).chain(test.map(|test| of(test, operand))).collect());
    Ok(if negated { Condition::None(vec![positive]) } else { positive })
}

/// AnyElement and the like: a list, and what its elements must satisfy.
fn elements(node: &Node, quantifier: Quantifier, scope: Scope) -> Parsed<Condition> {
    let Some(path) = path(node, scope)? else {
        return Err(Problem::new(node.line, "name the list with Key, DeepKey or KeyPath"));
    };
    let Some(inside) = node.get("Expressions") else {
        return Err(Problem::new(node.line, "Expressions are needed: what the elements must satisfy"));
    };
    Ok(Condition::Elements { path, quantifier, inside: expressions(inside, Scope::Element)? })
}

/// The path that Key, DeepKey or KeyPath gives, if there is one.
fn path(node: &Node, scope: Scope) -> Parsed<Option<Path>> {
    let given: Vec<(&str, &Node)> =
        ["Key", "DeepKey", "KeyPath"].iter().filter_map(|key| Some((*key, node.get(key)?))).collect();
    let steps = match given.as_slice() {
        [] => return Ok(None),
        // The name of a field may itself contain a dot (`request.dry_run`); inside elements a key is one step.
        [("Key", key)] if scope == Scope::Element => vec![Step::Key(key.text()?.to_owned())],
        [("Key" | "KeyPath", key)] => steps(key.line, key.text()?)?,
        [(_, keys)] => keys.list()?.iter().map(deep_step).collect::<Parsed<_>>()?,
        [_, (_, second), ..] => return Err(Problem::new(second.line, "write one of Key, DeepKey and KeyPath")),
    };
    let line = given[0].1.line;
    if scope == Scope::Element { Ok(Some(Path::new(None, steps))) } else { Path::of_event(line, &steps).map(Some) }
}

/// The field of an event that Key, DeepKey or KeyPath names.
pub(super) fn key(node: &Node) -> Parsed<Path> {
    let names_none = || Problem::new(node.line, "name a field with Key, DeepKey or KeyPath");
    path(node, Scope::Event)?.ok_or_else(names_none)
}

fn deep_step(node: &Node) -> Parsed<Step> {
    match node.integer() {
        Ok(index) => Ok(Step::Index(usize::try_from(index).unwrap_or(usize::MAX))),
        Err(_) => Ok(Step::Key(node.text()?.to_owned())),
    }
}

fn operand(node: &Node, word: &str, test: Test) -> Parsed<Operand> {
    if takes_nothing(test) {
        let stray = ["Value", "Values"].iter().find_map(|key| Some((key, node.get(key)?.line)));
        let problem = |(key, line): (&&str, usize)| Problem::new(line, format!("{word} takes no {key}"));
        return stray.map_or(Ok(Operand::None), |stray| Err(problem(stray)));
    }
    let needs = |what: &str| Problem::new(node.line, format!("{word} needs {what}"));
    let in_list = word == "IsIn" || word == "IsNotIn";
    let operand = match (node.get("Value"), node.get("Values")) {
        (Some(_), Some(values)) => return Err(Problem::new(values.line, "write Value or Values, not both")),
        (Some(value), None) if !in_list => Operand::One(value.to_json()),
        (None, Some(values)) if in_list || takes_several(test) => {
            Operand::any_of(values.list()?.iter().map(Node::to_json).collect())
        }
        _ if in_list => return Err(needs("Values, a list")),
        _ => return Err(needs("a Value")),
    };
    let values = operand.all();
    if values.is_empty() {
        return Err(needs("at least one of Values"));
    }
    if let Some(what) = values.iter().find_map(|value| needed_instead(test, value)) {
        return Err(needs(what));
    }
    if test == Test::InCidr {
        return Operand::any_block_of(values.to_vec()).ok_or_else(|| needs("an address block such as 10.0.0.0/8"));
    }
    Ok(operand)
}

/// What a test needs instead of a value that it cannot compare with.
fn needed_instead(test: Test, value: &Value) -> Option<&'static str> {
    let (fits, what) = match test {
        Test::Greater | Test::GreaterOrEquals | Test::Less | Test::LessOrEquals => (is_number(value), "a number"),
        Test::StartsWith | Test::EndsWith => (value.is_string(), "text"),
        _ => return None,
    };
    (!fits).then_some(what)
}

fn is_number(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok_and(f64::is_finite))
}

/// Tests that compare with nothing.
fn takes_nothing(test: Test) -> bool {
    matches!(
        test,
        Test::Exists
            | Test::IsNull
            | Test::IsNotNull
            | Test::IsNullOrEmpty
            | Test::IsIp
            | Test::IsIpv4
            | Test::IsIpv6
            | Test::IsPublic
            | Test::IsPrivate
    )
}

/// Tests that accept a list of values: they hold if they hold for one of them.
fn takes_several(test: Test) -> bool {
    matches!(test, Test::InCidr | Test::Contains | Test::StartsWith | Test::EndsWith)
}

/// The two keys of a comparison, as `Values: [{Key: a}, {Key: b}]`.
fn two_keys(node: &Node) -> Option<(&Node, &Node)> {
    match &node.get("Values")?.value {
        Kind::List(items) => match items.as_slice() {
            [left, right] if left.map().is_ok() && right.map().is_ok() => Some((left, right)),
            _ => None,
        },
        _ => None,
    }
}

fn same(node: &Node, word: &str, test: Test, (negated, fold): (bool, bool), scope: Scope) -> Parsed<Condition> {
    let Some((left, right)) = two_keys(node) else {
        return Err(Problem::new(node.line, "name a field with Key, DeepKey or KeyPath, or compare two with Values"));
    };
    if test != Test::Equals {
        return Err(Problem::new(node.line, format!("two fields compare with Equals or DoesNotEqual, not {word}")));
    }
    match (path(left, scope)?, path(right, scope)?) {
        (Some(left), Some(right)) => Ok(Condition::Same { left, right, negated, fold }),
        _ => Err(Problem::new(node.line, "each of the two Values needs Key, DeepKey or KeyPath")),
    }
}

impl Condition {
    /// Whether it can hold only for requests on CronJobs.
    pub(super) fn is_on_cronjobs(&self) -> bool {
        match self {
            Condition::All(inside) => inside.iter().any(Condition::is_on_cronjobs),
            Condition::Any(inside) => !inside.is_empty() && inside.iter().all(Condition::is_on_cronjobs),
            Condition::Test { path, test: Test::Equals, negated: false, operand, .. } => {
                let of_resource = matches!(path.to_string().as_str(), "resource" | "objectRef.resource");
                of_resource && operand.all().iter().all(|value| value == "cronjobs")
            }
            _ => false,
        }
    }

    /// Whether the part of an event before its bodies decides it.
    pub(crate) fn is_of_head(&self) -> bool {
        match self {
            Condition::All(inside) | Condition::Any(inside) | Condition::OnlyOne(inside) | Condition::None(inside) => {
                inside.iter().all(Condition::is_of_head)
            }
            Condition::Test { path, .. } | Condition::Elements { path, .. } => path.of_head,
            Condition::Same { left, right, .. } => left.of_head && right.of_head,
            Condition::AlwaysTrue => true,
        }
    }
}

/// A condition in readable form, one line per test.
impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.show(f, 0)
    }
}

impl Condition {
    fn show(&self, f: &mut std::fmt::Formatter<'_>, depth: usize) -> std::fmt::Result {
        let indent = "  ".repeat(depth);
        let group = |f: &mut std::fmt::Formatter<'_>, head: &str, inside: &[Condition]| {
            writeln!(f, "{indent}{head}")?;
            inside.iter().try_for_each(|condition| condition.show(f, depth + 1))
        };
        match self {
            Condition::All(inside) => group(f, "all of", inside),
            Condition::Any(inside) => group(f, "any of", inside),
            Condition::OnlyOne(inside) => group(f, "exactly one of", inside),
            Condition::None(inside) => group(f, "none of", inside),
            Condition::AlwaysTrue => writeln!(f, "{indent}always"),
            Condition::Same { left, right, negated, .. } => {
                writeln!(f, "{indent}{left} {} {right}", if *negated { "differs from" } else { "is the same as" })
            }
            Condition::Elements { path, quantifier, inside } => {
                let word = QUANTIFIERS.iter().find(|(_, known)| known == quantifier).map_or("", |(name, _)| name);
                group(f, &format!("{path} {word}"), inside)
            }
            Condition::Test { path, test, negated, operand, fold } => {
                let is_list = matches!(operand, Operand::Many(_) | Operand::Texts(_)) && *test == Test::Equals;
                let is_it = |(name, known, not, folds): &&(&str, Test, bool, bool)| {
                    known == test && not == negated && folds == fold && name.ends_with("In") == is_list
                };
                let operator = OPERATORS.iter().find(is_it).map(|(name, ..)| (*name).to_owned());
                let word = operator.or_else(|| address_word(*test)).unwrap_or_default();
                let values: Vec<String> = operand.all().iter().map(ToString::to_string).collect();
                writeln!(f, "{indent}{path} {word} {}", values.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::documents;
    use super::*;

    #[test]
    fn tests_of_addresses_are_shown_by_their_words() {
        for (text, shown) in [
            ("{Key: trusted_ip, Condition: IsIPv6}", "trusted_ip IsIPv6Address"),
            (
                "{Key: trusted_ip, Condition: IsIPAddressPublic}",
                "all of trusted_ip IsIPAddress trusted_ip IsIPAddressPublic",
            ),
            (
                "{Key: trusted_ip, Condition: IsIPv4AddressNotInCIDR, Values: [10.0.0.0/8]}",
                "none of all of trusted_ip IsIPv4Address trusted_ip IsIPAddressInCIDR \"10.0.0.0/8\"",
            ),
        ] {
            let condition = compile(&documents(text).unwrap()[0]).unwrap().to_string();
            assert_eq!(condition.split_whitespace().collect::<Vec<_>>().join(" "), shown);
        }
    }
}
