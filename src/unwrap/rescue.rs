//! Cut or damaged responses of query tools. A document read whole is one text, so a bracket lost in one record must not
//! lose the others.

use memchr::memmem;

use super::{Envelope, Fields, Leaf, Raw, Walk, siem};
use crate::frame;
use crate::json::{self, Skip};

/// Most bytes before the records: they are copied for each damaged record.
const MAX_AROUND: usize = 64 * 1024;
/// Elements tried after a damaged one before the rest is given up.
const MAX_TRIES: usize = 256;

impl Walk<'_, '_> {
    /// Opens the whole records of a damaged response, then the broken ones, and reports the loss. False if it is not
    /// such a response.
    pub(super) fn rescue(&mut self, text: Raw<'_>, envelope: &Envelope<'_>) -> bool {
        let answer = Fields::read(text).filter(|fields| !envelope.closed && !siem::is_kubernetes_object(fields));
        let start = answer.and_then(|fields| first_record(text, array(&fields)?));
        let Some(start) = start.filter(|start| *start <= MAX_AROUND) else { return false };
        let Some(missing) = json::unclosed(&text[..start]) else { return false };
        let (whole, damaged) = records(text, start);
        let around = &text[..start];
        if !whole.is_empty() {
            let closing: Vec<u8> = missing.into_iter().rev().collect();
            let records = whole.join(&b","[..]);
            self.value(&[around, &records, &closing].concat(), envelope);
        }
        for record in damaged {
            self.cut(&[around, record].concat(), envelope);
        }
        self.leaf(Leaf::Broken(text), envelope);
        true
    }
}

/// The key of the innermost array of records in a response of Elasticsearch, Loki or Log Analytics.
fn array(fields: &Fields<'_>) -> Option<&'static str> {
    let holds = |key: &str, inner: &str| fields.object(key).is_some_and(|fields| fields.get(inner).is_some());
    if holds("hits", "hits") {
        Some("hits")
    } else if holds("data", "result") {
        Some("values")
    } else {
        fields.get("tables").map(|_| "rows")
    }
}

/// Where the first record of the array with this key begins.
fn first_record(text: &[u8], key: &str) -> Option<usize> {
    let quoted = format!("\"{key}\"");
    let behind = |at: usize, byte: u8| {
        let at = blanks(text, at);
        (text.get(at) == Some(&byte)).then_some(at + 1)
    };
    memmem::find_iter(text, &quoted).find_map(|at| {
        let at = blanks(text, behind(behind(at + quoted.len(), b':')?, b'[')?);
        is_opening(text, at).then_some(at)
    })
}

/// The whole records, and the broken ones.
fn records(text: &[u8], mut at: usize) -> (Vec<&[u8]>, Vec<&[u8]>) {
    let signature = signature(&text[at..]);
    let (mut whole, mut damaged, mut tries) = (Vec::new(), Vec::new(), MAX_TRIES);
    while at < text.len() {
        let end = if let Some(end) = record(text, at) {
            whole.push(&text[at..end]);
            end
        } else {
            let mut is_next = |next: &usize| {
                let is_whole = tries > 0 && record(text, *next).is_some();
                tries -= usize::from(tries > 0 && !is_whole);
                is_whole
            };
            let next = memmem::find_iter(&text[at + 1..], signature).map(|next| at + 1 + next).find(&mut is_next);
            let next = next.unwrap_or(text.len());
            if is_opening(text, at) {
                damaged.push(&text[at..next]);
            }
            next
        };
        at = end + text[end..].iter().take_while(|byte| **byte == b',' || byte.is_ascii_whitespace()).count();
    }
    (whole, damaged)
}

/// How records begin: an object up to the end of its first key, a row up to its first text.
fn signature(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b'[') => &text[..memchr::memchr(b'"', text).map_or(1, |quote| quote + 1)],
        _ => frame::signature(text),
    }
}

/// Where the record at `at` ends, if a whole one begins there and is followed as an element is.
fn record(text: &[u8], at: usize) -> Option<usize> {
    let Skip::End(end) = json::skip_strict(text, at) else { return None };
    let is_followed = matches!(text.get(blanks(text, end)), None | Some(b',' | b']'));
    (is_opening(text, at) && is_followed && json::is_matched(&text[at..end])).then_some(end)
}

fn is_opening(text: &[u8], at: usize) -> bool {
    matches!(text.get(at), Some(b'{' | b'['))
}

fn blanks(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}
