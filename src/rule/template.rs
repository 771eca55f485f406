//! Titles and dedup keys: text with `{field|fallback}` in it.

use super::field::{Path, steps};
use super::yaml::{Parsed, Problem};

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template(pub(crate) Vec<Piece>);

/// Literal text, or a field with its fallback for when it is missing.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String),
    Field(Path, String),
}

impl Template {
    /// Reads a template.
    pub(super) fn compile(line: usize, text: &str) -> Parsed<Template> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((field, after)) = after.split_once('}') else {
                return Err(Problem::new(line, format!("a {{ in {text} is not closed")));
            };
            let (path, fallback) = field.split_once('|').unwrap_or((field, ""));
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Field(Path::of_event(line, &steps(line, path)?)?, fallback.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template(pieces))
    }

    /// Text without fields.
    pub(super) fn of_text(text: &str) -> Template {
        Template(vec![Piece::Text(text.to_owned())])
    }

    /// Text and fields, separated by spaces.
    pub(super) fn of_fields(text: &str, fields: Vec<Path>) -> Template {
        let fields = fields.into_iter().map(|field| Piece::Field(field, String::new()));
        let between = |field| [Piece::Text(" ".to_owned()), field];
        Template([Piece::Text(text.to_owned())].into_iter().chain(fields.flat_map(between)).collect())
    }
}
