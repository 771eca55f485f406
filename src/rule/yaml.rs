//! YAML with the line number of every node, for error messages.

use std::io;
use std::path::Path;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::Value;

/// An error in a rule, tuning or indicator file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct RuleError {
    /// The file, or the name of a built-in rule.
    pub file: String,
    /// Line, from 1; `None` if the file as a whole cannot be used.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A value with its line.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub line: usize,
    pub value: Kind,
}

/// The value of a [`Node`].
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A member of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub line: usize,
    pub key: String,
    pub value: Node,
}

/// An error on a line. The caller that knows the file adds it.
#[derive(Debug)]
pub(crate) struct Problem {
    pub line: usize,
    pub what: String,
}

impl Problem {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        Problem { line, what: what.into() }
    }

    pub(crate) fn in_file(self, file: &str) -> RuleError {
        RuleError { file: file.to_owned(), line: Some(self.line), what: self.what }
    }
}

pub(crate) type Parsed<T> = Result<T, Problem>;

/// The text of a file given by the user.
pub(crate) fn read(path: &Path) -> Result<String, RuleError> {
    std::fs::read_to_string(path).map_err(|error| cannot_read(path, &error))
}

/// The error for a file or directory that cannot be read.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> RuleError {
    RuleError { file: path.display().to_string(), line: None, what: format!("cannot be read: {error}") }
}

/// Reads the documents of YAML text.
pub(crate) fn documents(text: &str) -> Parsed<Vec<Node>> {
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| Problem::new(error.marker().line(), format!("not YAML: {}", error.info())))?;
    documents.into_iter().map(node).collect()
}

fn node(yaml: MarkedYaml<'_>) -> Parsed<Node> {
    let line = yaml.span.start.line();
    let value = match yaml.data {
        YamlData::Value(scalar) => Kind::Scalar(scalar_value(scalar)),
        YamlData::Sequence(items) => Kind::List(items.into_iter().map(node).collect::<Parsed<_>>()?),
        YamlData::Mapping(members) => Kind::Map(members.into_iter().map(member).collect::<Parsed<_>>()?),
        YamlData::Tagged(_, inner) => return node(*inner),
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            return Err(Problem::new(line, "this YAML feature is not read here; write the value out"));
        }
    };
    Ok(Node { line, value })
}

fn member((key, value): (MarkedYaml<'_>, MarkedYaml<'_>)) -> Parsed<Member> {
    let line = key.span.start.line();
    let YamlData::Value(scalar) = key.data else { return Err(Problem::new(line, "a key must be a word")) };
    let key = match scalar_value(scalar) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(Member { line, key, value: node(value)? })
}

fn scalar_value(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => value.into(),
        Scalar::Integer(value) => value.into(),
        Scalar::FloatingPoint(value) => value.into_inner().into(),
        Scalar::String(text) => text.into_owned().into(),
    }
}

impl Node {
    pub(crate) fn text(&self) -> Parsed<&str> {
        match &self.value {
            Kind::Scalar(Value::String(text)) => Ok(text),
            _ => Err(Problem::new(self.line, "text is expected here")),
        }
    }

    pub(crate) fn integer(&self) -> Parsed<u64> {
        match &self.value {
            Kind::Scalar(value) if value.is_u64() => Ok(value.as_u64().unwrap_or_default()),
            _ => Err(Problem::new(self.line, "a whole number is expected here")),
        }
    }

    pub(crate) fn boolean(&self) -> Parsed<bool> {
        match self.value {
            Kind::Scalar(Value::Bool(value)) => Ok(value),
            _ => Err(Problem::new(self.line, "true or false is expected here")),
        }
    }

    pub(crate) fn list(&self) -> Parsed<&[Node]> {
        match &self.value {
            Kind::List(items) => Ok(items),
            _ => Err(Problem::new(self.line, "a list is expected here")),
        }
    }

    pub(crate) fn map(&self) -> Parsed<&[Member]> {
        match &self.value {
            Kind::Map(members) => Ok(members),
            _ => Err(Problem::new(self.line, "a mapping of keys to values is expected here")),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Kind::Scalar(Value::Null))
    }

    pub(crate) fn texts(&self) -> Parsed<Vec<String>> {
        self.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// The member of this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Kind::Map(members) = &self.value else { return None };
        members.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The same value without lines.
    pub(crate) fn to_json(&self) -> Value {
        match &self.value {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(members) => {
                Value::Object(members.iter().map(|member| (member.key.clone(), member.value.to_json())).collect())
            }
        }
    }
}

/// `unknown what word; nearest is …`, with the most similar known word.
pub(crate) fn unknown<'w>(line: usize, what: &str, word: &str, known: impl Iterator<Item = &'w str>) -> Problem {
    let folded = word.to_lowercase();
    let nearest = known.map(|known| (strsim::jaro_winkler(&folded, &known.to_lowercase()), known));
    let nearest = nearest.max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((likeness, nearest)) if likeness > 0.7 => {
            Problem::new(line, format!("unknown {what} {word}; did you mean {nearest}?"))
        }
        _ => Problem::new(line, format!("unknown {what} {word}")),
    }
}
