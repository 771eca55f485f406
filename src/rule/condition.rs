//! Match expressions in the words of Panther's simple detections, compiled.

use super::field::{Path, Step, steps};
use super::value::{Operand, Test, is_cidr};
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
    /// A test of what a path leads to. It holds where it holds for any of the values; negated where for none.
    Test {
        /// Where to look.
        path: Path,
        /// What to test.
        test: Test,
        /// Whether the negation is meant.
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
        /// Whether the negation is meant.
        negated: bool,
    },
    /// Elements of a list, of which some number satisfies all conditions inside.
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

/// How many elements satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// At least one.
    Any,
    /// All, and there is one.
    All,
    /// Exactly one.
    OnlyOne,
    /// None, also where there is no list.
    No,
}

/// Operators and what they are: test, negated, case ignored. The I stands before the operator, or before its verb.
const OPERATORS: [(&str, Test, bool, bool); 44] = [
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
    ("IsIPAddress", Test::IsIp, false, false),
    ("IsIPv4", Test::IsIpv4, false, false),
    ("IsIPv4Address", Test::IsIpv4, false, false),
    ("IsIPv6", Test::IsIpv6, false, false),
    ("IsIPv6Address", Test::IsIpv6, false, false),
    ("IsIPAddressInCIDR", Test::InCidr, false, false),
    ("IsIPAddressNotInCIDR", Test::InCidr, true, false),
    ("IPAddressInCIDR", Test::InCidr, false, false),
    ("IsIPAddressPublic", Test::IsPublic, false, false),
    ("IsIPAddressPrivate", Test::IsPrivate, false, false),
    ("IsIPv4AddressPublic", Test::IsPublic, false, false),
    ("IsIPv4AddressPrivate", Test::IsPrivate, false, false),
];

const QUANTIFIERS: [(&str, Quantifier); 4] = [
    ("AnyElement", Quantifier::Any),
    ("AllElements", Quantifier::All),
    ("OnlyOneElement", Quantifier::OnlyOne),
    ("NoElement", Quantifier::No),
];

const COMBINATORS: [&str; 4] = ["All", "Any", "OnlyOne", "None"];
const KEYS: [&str; 8] = ["Key", "DeepKey", "KeyPath", "Condition", "Value", "Values", "Expressions", "RootKey"];

/// Whether a list of expressions looks at an event or at an element of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Event,
    Element,
}

/// Compiles a list of match expressions, all of which must hold; one expression need not be a list.
pub(super) fn compile(node: &Node) -> Parsed<Condition> {
    expressions(node, Scope::Event).map(all)
}

fn all(mut conditions: Vec<Condition>) -> Condition {
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
    if let [Member { key, value, .. }] = members
        && COMBINATORS.contains(&key.as_str())
    {
        let inside = expressions(value, scope)?;
        return Ok(match key.as_str() {
            "All" => all(inside),
            "Any" => Condition::Any(inside),
            "OnlyOne" => Condition::OnlyOne(inside),
            _ => Condition::None(inside),
        });
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
    if word == "AlwaysTrue" {
        return Ok(Condition::AlwaysTrue);
    }
    if let Some((_, quantifier)) = QUANTIFIERS.iter().find(|(name, _)| *name == word) {
        return elements(node, *quantifier, scope);
    }
    let Some((_, test, negated, fold)) = OPERATORS.iter().find(|(name, ..)| *name == word) else {
        let known = OPERATORS.iter().map(|(name, ..)| *name).chain(QUANTIFIERS.iter().map(|(name, _)| *name));
        return Err(unknown(condition.line, "condition", word, known));
    };
    match path(node, scope)? {
        Some(path) => {
            let operand = operand(node, word, *test)?;
            Ok(Condition::Test { path, test: *test, negated: *negated, operand, fold: *fold })
        }
        None if scope == Scope::Element && two_keys(node).is_none() => {
            let operand = operand(node, word, *test)?;
            let path = Path { field: None, steps: Vec::new() };
            Ok(Condition::Test { path, test: *test, negated: *negated, operand, fold: *fold })
        }
        None => same(node, word, *test, *negated, scope),
    }
}

/// AnyElement and its like: a list, and what its elements must satisfy.
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
        // A field's own name may hold a dot (`request.dry_run`); inside elements a key is one step.
        [("Key", key)] if scope == Scope::Element => vec![Step::Key(key.text()?.to_owned())],
        [("Key" | "KeyPath", key)] => steps(key.line, key.text()?)?,
        [(_, keys)] => keys.list()?.iter().map(deep_step).collect::<Parsed<_>>()?,
        [_, (_, second), ..] => return Err(Problem::new(second.line, "write one of Key, DeepKey and KeyPath")),
    };
    let line = given[0].1.line;
    if scope == Scope::Element { Ok(Some(Path { field: None, steps })) } else { Path::of_event(line, &steps).map(Some) }
}

fn deep_step(node: &Node) -> Parsed<Step> {
    match node.integer() {
        Ok(index) => Ok(Step::Index(usize::try_from(index).unwrap_or(usize::MAX))),
        Err(_) => Ok(Step::Key(node.text()?.to_owned())),
    }
}

fn operand(node: &Node, word: &str, test: Test) -> Parsed<Operand> {
    let needs_none = matches!(
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
    );
    let in_list = word == "IsIn" || word == "IsNotIn";
    let operand = match (node.get("Value"), node.get("Values")) {
        (None, None) if needs_none => return Ok(Operand::None),
        (Some(value), _) if needs_none => return Err(Problem::new(value.line, format!("{word} takes no Value"))),
        (Some(value), None) if !in_list => Operand::One(value.to_json()),
        (None, Some(values)) if in_list || takes_several(test) => {
            Operand::Many(values.list()?.iter().map(Node::to_json).collect())
        }
        _ if in_list => return Err(Problem::new(node.line, format!("{word} needs Values, a list"))),
        _ => return Err(Problem::new(node.line, format!("{word} needs a Value"))),
    };
    if test == Test::InCidr && !operand.all().iter().all(|block| block.as_str().is_some_and(is_cidr)) {
        return Err(Problem::new(node.line, format!("{word} needs an address block such as 10.0.0.0/8")));
    }
    Ok(operand)
}

/// Tests that take a list of values: they hold where they hold for one of them.
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

fn same(node: &Node, word: &str, test: Test, negated: bool, scope: Scope) -> Parsed<Condition> {
    let Some((left, right)) = two_keys(node) else {
        return Err(Problem::new(node.line, "name a field with Key, DeepKey or KeyPath, or compare two with Values"));
    };
    if test != Test::Equals {
        return Err(Problem::new(node.line, format!("two fields compare with Equals or DoesNotEqual, not {word}")));
    }
    match (path(left, scope)?, path(right, scope)?) {
        (Some(left), Some(right)) => Ok(Condition::Same { left, right, negated }),
        _ => Err(Problem::new(node.line, "each of the two Values needs Key, DeepKey or KeyPath")),
    }
}

/// A condition as people read it, one line a leaf.
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
            Condition::Same { left, right, negated } => {
                writeln!(f, "{indent}{left} {} {right}", if *negated { "differs from" } else { "is the same as" })
            }
            Condition::Elements { path, quantifier, inside } => {
                let word = QUANTIFIERS.iter().find(|(_, known)| known == quantifier).map_or("", |(name, _)| name);
                group(f, &format!("{path} {word}"), inside)
            }
            Condition::Test { path, test, negated, operand, fold } => {
                let is_list = matches!(operand, Operand::Many(_)) && *test == Test::Equals;
                let fits = |name: &str, known: &Test, not: &bool, folds: &bool| {
                    known == test && not == negated && folds == fold && (name.ends_with("In") == is_list)
                };
                let word = OPERATORS
                    .iter()
                    .find(|(name, known, not, folds)| fits(name, known, not, folds))
                    .map_or("", |(name, ..)| name);
                let values: Vec<String> = operand.all().iter().map(ToString::to_string).collect();
                writeln!(f, "{indent}{path} {word} {}", values.join(", "))
            }
        }
    }
}
