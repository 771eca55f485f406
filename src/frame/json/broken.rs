//! What is broken: where the next document or element begins, searched for within a budget.

use memchr::memmem;

use super::array::Around;
use super::{Documents, Head, MAX_WASTED, emit};
use crate::decode::Damage;
use crate::event::EVENT_START;
use crate::frame::resync::{self, Next};
use crate::frame::scan::Passed;
use crate::frame::{Body, Framing};
use crate::json::{self, Skip};

/// The same budget for array elements. When it is spent, the array is abandoned.
pub(super) const MAX_WASTED_NEAR: u64 = 64 * MAX_WASTED;
/// How far to look inside one element after that many were broken.
const NEAR: usize = 256 << 10;
/// Bytes of a broken document that are looked at first. The number doubles until they suffice.
const FIRST_LOOK: usize = 4096;

impl Documents<'_, '_> {
    /// Reads a document that must end with its line: so many were broken that looking further would cost too much.
    pub(super) fn one_line(&mut self) {
        let Some(end) = self.whole_line(Framing::Json) else { return };
        let head = self.head(Framing::Json, None);
        let line = self.input.available()[..end].trim_ascii_end();
        if json::skip_strict(line, 0) == Skip::End(line.len()) {
            self.give(&head, None, line.len());
        } else {
            self.give_broken(&head, None, end);
        }
    }

    /// Gives up the document at hand, of which `looked` bytes were scanned, and finds where to continue.
    pub(super) fn broken(&mut self, head: &Head, looked: usize) {
        let mut size = FIRST_LOOK;
        let end = loop {
            let max_record = self.input.max_record;
            let (text, more) = self.input.head(size, |text| resync::bound(text).is_some());
            match resync::document(text, more) {
                Some(end) => break end,
                None if more => size *= 2,
                None if text.len() > max_record => return self.too_long(head, None),
                None => break text.len(),
            }
        };
        self.wasted += looked.max(size).saturating_sub(end) as u64;
        self.give_broken(head, None, end);
    }

    /// How far an element may extend. Each broken one may be scanned to the end of the text, so after many of them the
    /// limit is a length that nearly all elements keep.
    pub(super) fn reach(&self) -> usize {
        if self.wasted > MAX_WASTED { NEAR } else { usize::MAX }
    }

    pub(super) fn broken_element(&mut self, head: &Head, around: &mut Around, looked: usize) -> bool {
        around.begin(self.input.available());
        let (mut size, reach) = (FIRST_LOOK, self.reach());
        let next = loop {
            let max_record = self.input.max_record;
            let (text, more) = self.input.head(size, |_| false);
            let more = more && size < reach;
            match resync::element(text, &around.first, around.own_lines, more) {
                Some(next) => break next,
                None if more => size *= 2,
                None if text.len() > max_record => {
                    self.too_long(head, Some(around));
                    return true;
                }
                None => break Next::Document(text.len()),
            }
        };
        let (Next::Element(end) | Next::Document(end)) = next;
        self.wasted += looked.max(size).saturating_sub(end) as u64;
        self.give_broken(head, Some(around), end);
        if matches!(next, Next::Document(_)) {
            self.unclosed(head);
            return false;
        }
        true
    }

    /// Gives out a broken document, and reports damage if it may have swallowed others.
    pub(super) fn give_broken(&mut self, head: &Head, around: Option<&Around>, end: usize) {
        let text = self.input.available()[..end].trim_ascii_end();
        let like_it = resync::signature(text);
        let begins_anew = |start: &[u8]| memmem::find(&text[1.min(text.len())..], start).is_some();
        let swallowed = begins_anew(EVENT_START) || like_it.len() > 2 && begins_anew(like_it);
        emit(self.sink, head, around, Body::Broken(text));
        if swallowed {
            let at = self.input.offset();
            let what = format!("the broken record at byte {at} holds what may be another record");
            self.sink.damage(Damage { what, at, text_start: u64::MAX });
        }
        self.line_start = false;
        self.consume(end);
    }

    /// Skips a document that is larger than a record may be, without keeping it.
    pub(super) fn too_long(&mut self, head: &Head, around: Option<&Around>) {
        emit(self.sink, head, around, Body::TooLong);
        self.line_start = false;
        let mut passed = Passed::new(around.is_none() && resync::is_compact(self.input.available()));
        loop {
            let (count, closed) = passed.feed(self.input.available());
            if self.consume(count) || closed {
                return;
            }
            match self.input.next_text(self.sink) {
                Some(false) => {}
                reached => {
                    self.line_start = reached.is_some();
                    return;
                }
            }
        }
    }
}
