//! Regular expressions over hostile text: ASCII classes, so that they run in linear time without a fallback, and
//! bounded input.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Bytes of one text that are searched.
const MOST: usize = 1 << 20;

/// A regular expression, compiled when first used: most are for places that few CronJobs have.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

/// Makes a pattern from a text.
pub(super) type Compile = fn(&str) -> Result<Pattern, String>;

impl Pattern {
    /// A built-in pattern; tests check that it compiles. One that does not would match nothing.
    #[expect(clippy::unnecessary_wraps, reason = "one of two ways to `Compile`")]
    pub(super) fn own(text: &str) -> Result<Self, String> {
        Ok(Pattern { text: text.to_owned(), compiled: OnceLock::new() })
    }

    /// A pattern that is compiled now, to report its error.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let regex = compile(text).map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            format!("not a regular expression: {}", last.trim_start_matches("error: "))
        })?;
        Ok(Pattern { text: text.to_owned(), compiled: Some(regex).into() })
    }

    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref()
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text.as_bytes()))
    }

    pub(super) fn find(&self, text: &str) -> Option<Range<usize>> {
        self.find_iter(text).next()
    }

    pub(super) fn find_iter(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        // A match of bytes may end inside a character.
        self.regex().into_iter().flat_map(|regex| regex.find_iter(text.as_bytes())).map(|found| {
            let start = (0..=found.start()).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            let end = (found.end()..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
            start..end
        })
    }
}

/// Classes and word boundaries are ASCII, unless the expression cannot be read that way.
fn compile(text: &str) -> Result<Regex, regex::Error> {
    let build = |unicode| RegexBuilder::new(text).unicode(unicode).build();
    build(false).or_else(|_| build(true))
}

/// Several patterns as one, which finds those that match; `None` if one can only be read as Unicode.
pub(super) fn together(patterns: &[&Pattern]) -> Option<RegexSet> {
    RegexSetBuilder::new(patterns.iter().map(|pattern| &pattern.text)).unicode(false).build().ok()
}

/// The part of a text that is searched.
pub(super) fn cut(text: &str) -> &str {
    cut_to(text, MOST)
}

/// The start of a text: at most `most` bytes, whole characters.
pub(super) fn cut_to(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}
