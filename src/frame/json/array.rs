//! An array of records, element by element, and the object around it.

use memchr::memmem;

use super::broken::MAX_WASTED_NEAR;
use super::{Documents, Head};
use crate::decode::Damage;
use crate::event::SUBSCRIPTION_START;
use crate::frame::More;
use crate::frame::resync;
use crate::frame::scan::{Scan, scan};
use crate::json::{self, Skip};

/// Objects up to this size are given out whole, with everything around their arrays. Larger ones are walked.
const WHOLE: usize = 1 << 20;
/// Keys of a CloudWatch Logs payload that say where its events come from.
const TELLING: [&[u8]; 2] = [br#""owner":"#, br#""logGroup":"#];
/// Most bytes kept of the object around a walked array.
const MAX_AROUND: usize = 16 * 1024;

/// The object or array whose elements are being walked.
#[derive(Default)]
pub(super) struct Around {
    pub(super) key: Option<&'static str>,
    pub(super) text: Vec<u8>,
    pub(super) index: usize,
    /// Whether the element at hand begins a line.
    pub(super) own_lines: bool,
    /// The start of its first element that is an object or array.
    pub(super) first: Vec<u8>,
}

impl Around {
    pub(super) fn begin(&mut self, element: &[u8]) {
        if self.first.is_empty() && matches!(element.first(), Some(b'{' | b'[')) {
            resync::signature(element).clone_into(&mut self.first);
        }
    }
}

impl Documents<'_, '_> {
    /// Whether the `[` at hand opens an array of records, rather than a line such as `[error] …` or `["a"]: …`.
    pub(super) fn opens_array(&mut self) -> bool {
        loop {
            let bytes = self.input.available();
            let first = bytes[1..].iter().position(|byte| !byte.is_ascii_whitespace()).map(|at| at + 1);
            match first.map(|at| (at, bytes[at])) {
                Some((_, b'{' | b'[' | b']')) => return true,
                Some((at, b'"')) => match json::skip_strict(bytes, at) {
                    Skip::End(end) => {
                        let next = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace());
                        if let Some(next) = next {
                            return matches!(next, b',' | b']');
                        }
                    }
                    Skip::Broken(_) => return false,
                    Skip::Incomplete => {}
                },
                Some(_) => return false,
                None => {}
            }
            if self.input.grow() != More::Text {
                return false;
            }
        }
    }

    /// An object with an array of records: given out whole if it is small and sound, otherwise walked. A CloudWatch
    /// Logs payload that says where its events come from is walked whatever its size, so that the sink can skim its
    /// events.
    pub(super) fn around_array(&mut self, head: &Head, key: &'static str, at: usize) {
        // Only what precedes a walked array can describe its elements; what follows comes too late.
        let front = &self.input.available()[..at];
        let is_told = || TELLING.iter().all(|key| memmem::find(front, key).is_some());
        let is_payload = front.starts_with(SUBSCRIPTION_START) && is_told() && !self.sink.keeps_originals();
        if !is_payload && let Some(end) = self.small_object() {
            self.give(head, None, end);
            return;
        }
        let text = self.input.available()[..at.min(MAX_AROUND)].to_vec();
        self.consume(at + 1);
        let mut around = Around { key: Some(key), text, ..Around::default() };
        if self.elements(head, &mut around) {
            self.rest_of_object(head, around);
        }
    }

    /// Where the object at hand ends, if it is small and sound.
    fn small_object(&mut self) -> Option<usize> {
        loop {
            match json::skip_strict(self.input.available(), 0) {
                Skip::End(end) if end <= WHOLE && end <= self.input.max_record => {
                    return Some(end).filter(|end| self.is_matched(*end));
                }
                Skip::Incomplete if self.input.available().len() <= WHOLE && self.input.grow() == More::Text => {}
                _ => return None,
            }
        }
    }

    /// The same for an element. For the events of a CloudWatch Logs payload, which hold only text, the first and last
    /// byte suffice.
    fn is_whole_element(&self, around: &Around, end: usize) -> bool {
        let text = &self.input.available()[..end];
        let is_closed = match text.first() {
            Some(opening @ (b'{' | b'[')) => text.last() == Some(&(opening + 2)),
            _ => true,
        };
        is_closed && (around.text.starts_with(SUBSCRIPTION_START) || self.is_matched(end))
    }

    /// Gives out the elements of an array whose opening bracket was consumed; false if the array was abandoned before
    /// its end.
    pub(super) fn elements(&mut self, head: &Head, around: &mut Around) -> bool {
        self.line_start = false;
        loop {
            if self.wasted > MAX_WASTED_NEAR {
                self.unclosed(head);
                return false;
            }
            match self.next_in_structure(head, around) {
                Some(b']') => {
                    self.consume(1);
                    return true;
                }
                Some(byte @ (b'}' | b':')) if around.first.is_empty() || byte == b'}' && !self.comma_follows() => {
                    self.unclosed(head);
                    return false;
                }
                None => {
                    self.unclosed(head);
                    return false;
                }
                // A lost bracket has made the element before this byte end early.
                Some(b'}' | b':') => {
                    if !self.broken_element(head, around, 0) {
                        return false;
                    }
                }
                Some(_) => {
                    if !self.element(head, around) {
                        return false;
                    }
                }
            }
            around.index += 1;
        }
    }

    /// Gives out one element; false if the array ends with it.
    fn element(&mut self, head: &Head, around: &mut Around) -> bool {
        let reach = self.reach();
        loop {
            let text = self.input.available();
            match json::skip_strict(&text[..text.len().min(reach)], 0) {
                Skip::End(end) if !self.is_whole_element(around, end) => {
                    return self.broken_element(head, around, end);
                }
                Skip::End(end) => {
                    around.begin(&self.input.available()[..end]);
                    self.give(head, Some(around), end);
                    return true;
                }
                Skip::Broken(at) => return self.broken_element(head, around, at),
                Skip::Incomplete if text.len() >= reach => return self.broken_element(head, around, reach),
                Skip::Incomplete => match self.input.grow() {
                    More::Text => {}
                    More::End => return self.broken_element(head, around, self.input.available().len()),
                    More::Limit => {
                        self.too_long(head, Some(around));
                        return true;
                    }
                },
            }
        }
    }

    /// Reads the members after the array of an object, which may hold another array.
    fn rest_of_object(&mut self, head: &Head, mut around: Around) {
        while let Some(byte) = self.next_in_structure(head, &mut around) {
            if byte == b'}' {
                self.consume(1);
                return;
            }
            match scan(self.input.available(), 0) {
                Scan::Array(key, at) => {
                    self.consume(at + 1);
                    around.key = Some(key);
                    around.index = 0;
                    around.first.clear();
                    if !self.elements(head, &mut around) {
                        return;
                    }
                }
                Scan::Whole(end) => {
                    self.consume(end);
                    return;
                }
                Scan::Incomplete if self.input.grow() == More::Text => {}
                _ => break,
            }
        }
        self.unclosed(head);
    }

    /// The next byte of a structure that is neither blank nor a comma; `None` if the text ends or damage comes first.
    fn next_in_structure(&mut self, head: &Head, around: &mut Around) -> Option<u8> {
        while self.input.text == head.text {
            let bytes = self.input.available();
            let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | 0);
            let found = bytes.iter().position(|byte| !blank(byte));
            let count = found.unwrap_or(bytes.len());
            if count > 0 {
                around.own_lines = bytes[count - 1] == b'\n';
            }
            let byte = found.map(|at| bytes[at]);
            self.consume(count);
            if byte.is_some() || self.input.available().is_empty() {
                return byte;
            }
        }
        None
    }

    pub(super) fn unclosed(&mut self, head: &Head) {
        let at = self.input.offset();
        self.line_start = true;
        self.sink.damage(Damage {
            what: format!("the document that starts at byte {} is not closed", head.offset),
            at,
            text_start: at,
        });
    }
}
