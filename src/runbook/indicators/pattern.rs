//! Regular expressions over hostile text: ASCII classes, which run in linear time without a fallback; bounded input.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of one text that are looked at.
const MOST: usize = 1 << 20;

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Classes and word boundaries are ASCII, unless the expression cannot be read that way.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let build = |unicode| RegexBuilder::new(text).unicode(unicode).build();
        let regex = build(false).or_else(|_| build(true)).map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            format!("no regular expression: {}", last.trim_start_matches("error: "))
        })?;
        Ok(Pattern(regex))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    pub(super) fn find(&self, text: &str) -> Option<Range<usize>> {
        self.find_iter(text).next()
    }

    pub(super) fn find_iter(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        // A match of bytes may end inside a character.
        self.0.find_iter(text.as_bytes()).map(|found| {
            let start = (0..=found.start()).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            let end = (found.end()..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
            start..end
        })
    }
}

/// The part of a text that is looked at.
pub(super) fn cut(text: &str) -> &str {
    cut_to(text, MOST)
}

/// The start of a text, whole characters of it.
pub(super) fn cut_to(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}
