//! Text with slots: `<name>` is filled per record, the rest is copied.
//!
//! Go's JSON never contains a raw `<`, so the mark is unambiguous. The value of a slot contains no quote, backslash or
//! slash, so it is the same text in JSON, in JSON inside a JSON string, and with Azure's `\/`.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::values::{SLOTS, Values};

/// How an event is written into a JSON string.
#[derive(Clone, Copy)]
pub(crate) enum Quoting {
    /// The usual way.
    Quoted,
    /// With every slash escaped.
    Azure,
}

impl Quoting {
    pub(crate) fn quote(self, text: &str) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        match self {
            Quoting::Quoted => quoted(text),
            Quoting::Azure => quoted(text).replace('/', "\\/"),
        }
    }
}

enum Piece {
    Text(String),
    Slot(usize),
    /// Eight hexadecimal digits, different at each place.
    Word,
}

/// Text with slots, cut at them.
pub(crate) struct Template(Vec<Piece>);

impl Template {
    /// # Errors
    /// A slot is unknown.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let mut parts = text.split('<');
        let mut pieces = vec![Piece::Text(parts.next().unwrap_or_default().to_owned())];
        for part in parts {
            let (name, rest) = part.split_once('>').with_context(|| format!("a slot without an end: {part}"))?;
            pieces.push(match SLOTS.iter().position(|slot| *slot == name) {
                Some(slot) => Piece::Slot(slot),
                None if name == "word" => Piece::Word,
                None => anyhow::bail!("no slot is named {name}"),
            });
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Template(pieces))
    }

    /// Appends the text with its slots filled.
    pub(crate) fn fill(&self, values: &mut Values, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Slot(slot) => out.push_str(&values.texts[*slot]),
                Piece::Word => {
                    let _ = write!(out, "{:08x}", values.random.number() >> 32);
                }
            }
        }
    }

    /// The text with its slots filled.
    pub(crate) fn text(&self, values: &mut Values) -> String {
        let mut text = String::new();
        self.fill(values, &mut text);
        text
    }
}
