//! How far an object extends: to its end, to an array of records in it, or, if it is too large to keep, past it.

use super::ARRAYS;
use crate::json::{self, Skip};

/// How far an object could be read.
pub(super) enum Scan {
    Whole(usize),
    /// The array of a known key starts at this index.
    Array(&'static str, usize),
    Incomplete,
    /// The text cannot be an object at this index.
    Broken(usize),
}

/// Reads members from `at` until their object ends or the array of a known key begins.
pub(super) fn scan(text: &[u8], mut at: usize) -> Scan {
    let blanks = |at: usize| text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    loop {
        at += blanks(at);
        match text.get(at) {
            Some(b'}') => return Scan::Whole(at + 1),
            Some(b'"') => {}
            Some(_) => return Scan::Broken(at),
            None => return Scan::Incomplete,
        }
        let key_start = at;
        match json::skip_strict(text, at) {
            Skip::End(end) => at = end,
            Skip::Incomplete => return Scan::Incomplete,
            Skip::Broken(at) => return Scan::Broken(at),
        }
        let key = &text[key_start + 1..at - 1];
        at += blanks(at);
        match text.get(at) {
            Some(b':') => at += 1,
            Some(_) => return Scan::Broken(at),
            None => return Scan::Incomplete,
        }
        at += blanks(at);
        if text.get(at) == Some(&b'[')
            && let Some(known) = ARRAYS.iter().find(|known| known.as_bytes() == key)
        {
            return Scan::Array(known, at);
        }
        match json::skip_strict(text, at) {
            Skip::End(end) => at = end,
            Skip::Incomplete => return Scan::Incomplete,
            Skip::Broken(at) => return Scan::Broken(at),
        }
        at += blanks(at);
        match text.get(at) {
            Some(b',') if !matches!(text.get(at + 1), Some(b'}')) => at += 1,
            Some(b'}') => {}
            Some(_) => return Scan::Broken(at),
            None => return Scan::Incomplete,
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "the state of a scanner")]
/// Follows a document that is not kept to its end, over any number of chunks.
pub(super) struct Passed {
    compact: bool,
    depth: usize,
    in_string: bool,
    escaped: bool,
    line_start: bool,
}

impl Passed {
    pub(super) fn new(compact: bool) -> Self {
        Passed { compact, depth: 0, in_string: false, escaped: false, line_start: false }
    }

    /// How many bytes of this chunk belong to the document, and whether it ended with them. A cut document ends at the
    /// end of its line, or before a brace in the first column.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (at, byte) in chunk.iter().enumerate() {
            let line_start = std::mem::replace(&mut self.line_start, *byte == b'\n');
            match byte {
                b'\n' if self.in_string || self.compact => return (at, true),
                b'{' if line_start => return (at, true),
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth <= 1 => return (at + 1, true),
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        (chunk.len(), false)
    }
}
