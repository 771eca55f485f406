//! The built-in file of indicators, and user files on top of it.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::functions::Function;
use super::pattern::{Compile, Pattern};
use super::places::{self, Place};
use super::{Adjust, Catalogue, Category, Composite, Condition, Entries, Equals, Example, Indicator, Test};
use crate::decode::sha256;
use crate::rule::yaml::{self, Kind, Member, Node, Parsed, Problem, unknown};
use crate::rule::{RuleError, Severity};

const BUILTIN: &str = include_str!("../../indicators.yml");

const SECTIONS: [&str; 2] = ["indicators", "composites"];
/// Keys of an indicator.
const OF_INDICATOR: [&str; 23] = [
    "id",
    "name",
    "category",
    "severity",
    "enabled",
    "at",
    "re",
    "fn",
    "equals",
    "exists",
    "at_least",
    "at_most",
    "below",
    "names",
    "command",
    "unless",
    "unless_decoded",
    "adjust",
    "why",
    "source",
    "false_positives",
    "positive",
    "negative",
];
/// Keys of a composite.
const OF_COMPOSITE: [&str; 7] = ["id", "name", "enabled", "all", "any", "positive", "negative"];

impl Catalogue {
    /// The built-in indicators.
    #[must_use]
    pub fn builtin() -> Catalogue {
        Catalogue { entries: OnceLock::new(), files: vec![("builtin".to_owned(), sha256(BUILTIN.as_bytes()))] }
    }

    /// The built-in indicators, with those of a user's file.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Catalogue::with_file`] says.
    pub fn load(path: &Path) -> Result<Catalogue, RuleError> {
        Catalogue::builtin().with_file(&path.display().to_string(), &yaml::read(path)?)
    }

    /// Adds the indicators of a file. One with a known id changes the keys it gives and keeps the rest.
    ///
    /// # Errors
    /// The file names something unknown, lacks something, or searches where nothing can be found; with file and line.
    pub fn with_file(mut self, file: &str, text: &str) -> Result<Catalogue, RuleError> {
        let mut entries = self.entries.take().unwrap_or_else(Entries::builtin);
        let of_events: Vec<String> =
            entries.indicators.iter().filter(|known| known.needs_events()).map(|known| known.id.clone()).collect();
        let read = entries.add(text, Pattern::new).and_then(|()| entries.check_events(&of_events));
        read.map_err(|problem| problem.in_file(file))?;
        self.entries = entries.into();
        self.files.push((file.to_owned(), sha256(text.as_bytes())));
        Ok(self)
    }

    pub(super) fn entries(&self) -> &Entries {
        self.entries.get_or_init(Entries::builtin)
    }
}

impl Entries {
    fn builtin() -> Entries {
        let mut entries = Entries::default();
        // A test proves that the built-in file is read.
        let read = entries.add(BUILTIN, Pattern::own);
        debug_assert!(read.is_ok(), "{read:?}");
        entries
    }

    pub(super) fn add(&mut self, text: &str, compile: Compile) -> Parsed<()> {
        for document in yaml::documents(text)?.iter().filter(|document| !document.is_null()) {
            for section in document.map()? {
                let entries = section.value.list();
                match section.key.as_str() {
                    "indicators" => entries?.iter().try_for_each(|node| self.add_indicator(node, compile))?,
                    "composites" => entries?.iter().try_for_each(|node| self.add_composite(node))?,
                    other => return Err(unknown(section.line, "key", other, SECTIONS.into_iter())),
                }
            }
        }
        self.texts = OnceLock::new();
        self.check_ids()
    }

    fn add_indicator(&mut self, node: &Node, compile: Compile) -> Parsed<()> {
        let id = id(node)?;
        let known = self.indicators.iter_mut().find(|indicator| indicator.id == id);
        match known {
            Some(known) => *known = indicator(&merge(&known.node, node)?, compile)?,
            None => self.indicators.push(indicator(node, compile)?),
        }
        Ok(())
    }

    fn add_composite(&mut self, node: &Node) -> Parsed<()> {
        let id = id(node)?;
        let known = self.composites.iter_mut().find(|composite| composite.id == id);
        match known {
            Some(known) => *known = composite(&merge(&known.node, node)?)?,
            None => self.composites.push(composite(node)?),
        }
        Ok(())
    }

    /// Checks that only indicators the runbook knows by id read events: others would never find anything.
    fn check_events(&self, of_events: &[String]) -> Parsed<()> {
        let is_unread = |indicator: &&Indicator| indicator.needs_events() && !of_events.contains(&indicator.id);
        match self.indicators.iter().find(is_unread) {
            None => Ok(()),
            Some(Indicator { id, node, .. }) => {
                let what = "events are read by built-in indicators only; use at: command or another place of the \
                            CronJob, or write a rule";
                Err(Problem::new(node.line, format!("{id}: {what}")))
            }
        }
    }

    /// Checks that every id an entry refers to exists.
    fn check_ids(&self) -> Parsed<()> {
        let ids = || self.indicators.iter().map(|indicator| indicator.id.as_str());
        let of_composites = self.composites.iter().map(|composite| (&composite.node, ["all", "any"]));
        for (node, keys) in of_composites {
            for referred in keys.iter().filter_map(|key| node.get(key)).flat_map(|list| list.list().unwrap_or_default())
            {
                check_id(referred, ids())?;
            }
        }
        let adjusts = self.indicators.iter().filter_map(|indicator| indicator.node.get("adjust")?.list().ok());
        adjusts.flatten().filter_map(|adjust| adjust.get("with")).try_for_each(|referred| check_id(referred, ids()))
    }
}

fn check_id<'w>(node: &Node, mut known: impl Iterator<Item = &'w str> + Clone) -> Parsed<()> {
    let id = node.text()?;
    let all = known.clone();
    if known.any(|known| known == id) { Ok(()) } else { Err(unknown(node.line, "indicator", id, all)) }
}

fn id(node: &Node) -> Parsed<&str> {
    node.map()?;
    node.get("id").ok_or_else(|| Problem::new(node.line, "an entry needs an id"))?.text()
}

/// An entry with the keys of another in place of its own. A null value removes a key.
fn merge(known: &Node, changes: &Node) -> Parsed<Node> {
    let kept = known.map()?.iter().filter(|member| changes.get(&member.key).is_none());
    let new = changes.map()?.iter().filter(|member| !member.value.is_null());
    Ok(Node { line: changes.line, value: Kind::Map(kept.chain(new).cloned().collect()) })
}

fn indicator(node: &Node, compile: Compile) -> Parsed<Indicator> {
    check_keys(node, &OF_INDICATOR)?;
    let adjusts = node.get("adjust").map_or(Ok(&[][..]), Node::list)?;
    let indicator = Indicator {
        id: id(node)?.to_owned(),
        name: required(node, "name")?.text()?.to_owned(),
        category: category(required(node, "category")?)?,
        severity: severity(required(node, "severity")?)?,
        enabled: node.get("enabled").map_or(Ok(true), Node::boolean)?,
        why: text(node, "why")?,
        source: text(node, "source")?,
        false_positives: text(node, "false_positives")?,
        positive: examples(node, "positive")?,
        negative: examples(node, "negative")?,
        at: one_or_more(required(node, "at")?).iter().map(place).collect::<Parsed<_>>()?,
        test: test(node, compile)?,
        adjust: adjusts.iter().map(|node| adjust(node, compile)).collect::<Parsed<_>>()?,
        node: node.clone(),
    };
    let test = &indicator.test;
    if indicator.at.is_empty() {
        return Err(Problem::new(node.line, format!("{} needs a place: at", indicator.id)));
    }
    check_tests(node, &indicator)?;
    let is_event = !indicator.is_of_spec();
    if test.re.is_none() && test.equals.is_none() && !test.exists && test.function.is_none() && !is_event {
        return Err(Problem::new(
            node.line,
            format!("{} needs what to look for: re, equals, exists or fn", indicator.id),
        ));
    }
    Ok(indicator)
}

/// Refuses tests that could never find anything.
fn check_tests(node: &Node, indicator: &Indicator) -> Parsed<()> {
    let line = |key: &'static str| Some((key, node.get(key)?.line));
    let given: Vec<(&str, usize)> = ["re", "fn", "equals", "exists"].into_iter().filter_map(line).collect();
    let (line, what) = match given.as_slice() {
        [] | [("re" | "fn", _)] | [("re", _), ("fn", _)] => return Ok(()),
        [("exists", line)] if !indicator.test.exists => {
            (*line, "exists: false is not looked for; an indicator points to what is there".to_owned())
        }
        [(key, line)] => match indicator.at.iter().find_map(Place::of_texts) {
            Some((name, path)) => (*line, format!("{key} is not for {name}; write re, or look at {path}")),
            None => return Ok(()),
        },
        [_, (_, line), ..] => (*line, "write one of re, equals, exists and fn; only re and fn go together".to_owned()),
    };
    Err(Problem::new(line, format!("{}: {what}", indicator.id)))
}

fn composite(node: &Node) -> Parsed<Composite> {
    check_keys(node, &OF_COMPOSITE)?;
    let ids = |key: &str| node.get(key).map_or(Ok(Vec::new()), Node::texts);
    let composite = Composite {
        id: id(node)?.to_owned(),
        name: required(node, "name")?.text()?.to_owned(),
        enabled: node.get("enabled").map_or(Ok(true), Node::boolean)?,
        positive: examples(node, "positive")?,
        negative: examples(node, "negative")?,
        all: ids("all")?,
        any: ids("any")?,
        node: node.clone(),
    };
    if composite.all.is_empty() && composite.any.is_empty() {
        return Err(Problem::new(node.line, format!("{} needs ids: all, any or both", composite.id)));
    }
    Ok(composite)
}

fn test(node: &Node, compile: Compile) -> Parsed<Test> {
    let pattern = |node: &Node| pattern(node, compile);
    let optional = |key: &str| node.get(key).map(pattern).transpose();
    let number = |key: &str| node.get(key).map(number).transpose();
    Ok(Test {
        re: optional("re")?,
        equals: node.get("equals").map(equals).transpose()?,
        exists: node.get("exists").map_or(Ok(false), Node::boolean)?,
        function: node.get("fn").map(function).transpose()?,
        unless: node
            .get("unless")
            .map(|node| one_or_more(node).iter().map(pattern).collect())
            .transpose()?
            .unwrap_or_default(),
        unless_decoded: optional("unless_decoded")?,
        command: optional("command")?,
        at_least: number("at_least")?,
        at_most: number("at_most")?,
        below: number("below")?,
        names: node.get("names").map_or(Ok(Vec::new()), Node::texts)?,
    })
}

fn adjust(node: &Node, compile: Compile) -> Parsed<Adjust> {
    let pattern = |node: &Node| pattern(node, compile);
    let known = ["severity", "when", "unless", "with"];
    check_keys(node, &known)?;
    let conditions = [
        node.get("when").map(|node| pattern(node).map(Condition::When)),
        node.get("unless").map(|node| pattern(node).map(Condition::Unless)),
        node.get("with").map(|node| node.text().map(|id| Condition::With(id.to_owned()))),
    ];
    let mut given = conditions.into_iter().flatten();
    let (Some(on), None) = (given.next(), given.next()) else {
        return Err(Problem::new(node.line, "an adjustment needs one of when, unless and with"));
    };
    Ok(Adjust { severity: severity(required(node, "severity")?)?, on: on? })
}

fn check_keys(node: &Node, known: &[&str]) -> Parsed<()> {
    let mut keys = node.map()?.iter();
    match keys.find(|member| !known.contains(&member.key.as_str())) {
        Some(member) => Err(unknown(member.line, "key", &member.key, known.iter().copied())),
        None => Ok(()),
    }
}

fn required<'n>(node: &'n Node, key: &str) -> Parsed<&'n Node> {
    let id = node.get("id").and_then(|id| id.text().ok()).unwrap_or("an entry");
    node.get(key).ok_or_else(|| Problem::new(node.line, format!("{id} needs a {key}")))
}

fn text(node: &Node, key: &str) -> Parsed<String> {
    node.get(key).map_or(Ok(String::new()), |node| node.text().map(str::to_owned))
}

fn one_or_more(node: &Node) -> &[Node] {
    node.list().unwrap_or(std::slice::from_ref(node))
}

fn category(node: &Node) -> Parsed<Category> {
    let name = node.text()?;
    let known = super::CATEGORIES.iter();
    let category = known.clone().find(|(known, _)| *known == name).map(|(_, category)| *category);
    category.ok_or_else(|| unknown(node.line, "category", name, known.map(|(known, _)| *known)))
}

fn severity(node: &Node) -> Parsed<Severity> {
    node.text()?.parse().map_err(|problem: String| Problem::new(node.line, problem))
}

fn place(node: &Node) -> Parsed<Place> {
    let name = node.text()?;
    if let Some(path) = places::astray(name) {
        return Err(Problem::new(node.line, format!("{name} is no part of a CronJob; write {path}")));
    }
    Place::parse(name).ok_or_else(|| unknown(node.line, "place", name, Place::names()))
}

fn function(node: &Node) -> Parsed<Function> {
    let name = node.text()?;
    Function::parse(name).ok_or_else(|| unknown(node.line, "function", name, Function::names()))
}

fn pattern(node: &Node, compile: Compile) -> Parsed<Pattern> {
    compile(node.text()?).map_err(|problem| Problem::new(node.line, problem))
}

fn number(node: &Node) -> Parsed<f64> {
    let value = match &node.value {
        Kind::Scalar(value) => value.as_f64(),
        _ => None,
    };
    value.ok_or_else(|| Problem::new(node.line, "a number is expected here"))
}

fn equals(node: &Node) -> Parsed<Equals> {
    let Kind::Map(members) = &node.value else { return Ok(Equals::Value(node.to_json())) };
    let member = |member: &Member| {
        let steps = format!(".{}", member.key);
        if !places::are_steps(&steps) {
            return Err(Problem::new(member.line, format!("{} is not a path", member.key)));
        }
        Ok((steps, member.value.to_json()))
    };
    members.iter().map(member).collect::<Parsed<_>>().map(Equals::AnyMember)
}

fn examples(node: &Node, key: &str) -> Parsed<Vec<Example>> {
    let examples = node.get(key).map_or(Ok(&[][..]), Node::list)?;
    examples.iter().map(example).collect()
}

fn example(node: &Node) -> Parsed<Example> {
    match node.to_json() {
        Value::Array(events) if events.iter().all(Value::is_object) && !events.is_empty() => {
            Ok(Example::Events(events))
        }
        Value::Object(members) => {
            let known = super::examples::KEYS;
            match members.keys().find(|key| !known.contains(&key.as_str())) {
                Some(key) => Err(unknown(node.line, "key", key, known.into_iter())),
                None => Ok(Example::Spec(Value::Object(members))),
            }
        }
        Value::String(text) => Ok(Example::Text(text)),
        _ => Err(Problem::new(node.line, "an example is text, a part of a CronJob, or a list of requests")),
    }
}
