//! Any bytes → streams, documents, records and events: the same, in whatever pieces the bytes arrive.

use std::io::{self, Read};

use kubesweep::decode::{self, Content, Damage, Limits, Stream, Visitor};
use kubesweep::frame::{self, Body, Document, Sink};
use kubesweep::normalize::{Normalized, normalize};
use kubesweep::unwrap::{Envelope, Leaf, Unwrapper};

pub(crate) const LIMITS: Limits = Limits { max_record: 1 << 16, max_bytes: Some(1 << 22) };

/// The first byte says how many bytes arrive at a time: of the source, and again of every text that is decoded from it.
pub fn bytes(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    let whole = read(data, usize::MAX);
    let pieces = read(data, usize::from(size).max(1));
    crate::agree(&whole, &pieces, "it depends on how the bytes arrive");
}

fn read(mut data: &[u8], size: usize) -> Vec<String> {
    let mut reading = Reading { unwrapper: Unwrapper::new(LIMITS), size, seen: Vec::new() };
    decode::walk(&mut Pieces { inner: &mut data, size }, None, LIMITS, &mut reading);
    let Reading { unwrapper, seen, .. } = &mut reading;
    unwrapper.finish(&mut |leaf, envelope, place| see(seen, &leaf, envelope, &format!("{place:?}")));
    reading.seen
}

fn see(seen: &mut Vec<String>, leaf: &Leaf<'_>, envelope: &Envelope<'_>, place: &str) {
    normalize(leaf, |normalized| seen.push(format!("{place} {envelope:?} {normalized:?}")));
}

/// All that was found, in order, as text.
struct Reading {
    unwrapper: Unwrapper,
    size: usize,
    seen: Vec<String>,
}

impl Visitor for Reading {
    fn stream(&mut self, stream: Stream<'_, '_>) {
        self.seen.push(format!("{:?} {:?} {:?}", stream.member, stream.container, stream.content));
        if let Content::Data(kind, inner) = stream.content {
            frame::frame(kind, &mut Pieces { inner, size: self.size }, LIMITS, self);
        }
    }

    fn hashed(&mut self, member: &str, bytes: u64, sha256: String) {
        self.seen.push(format!("{member} {bytes} {sha256}"));
    }

    fn distrust(&mut self, member: &str, damage: &Damage) {
        self.seen.push(format!("{member} {damage:?}"));
    }
}

impl Sink for Reading {
    fn document(&mut self, document: Document<'_>) {
        if let Body::Json(text) = document.body {
            assert!(text.len() <= LIMITS.max_record, "a record over the limit");
        }
        let Reading { unwrapper, seen, .. } = self;
        seen.push(format!("{document:?}"));
        unwrapper.open(&document, &Envelope::default(), &mut |leaf, envelope, place| {
            see(seen, &leaf, envelope, &format!("{place:?}"));
        });
    }

    fn keeps_originals(&self) -> bool {
        true
    }

    fn damage(&mut self, damage: Damage) {
        self.seen.push(format!("{damage:?}"));
    }
}

/// So many bytes at a time.
struct Pieces<'r> {
    inner: &'r mut dyn Read,
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.size.min(out.len());
        self.inner.read(&mut out[..size])
    }
}

/// Hands every event of a text to `then`, with its leaf. What framing hands on begins and ends with its value.
pub(crate) fn events(text: &[u8], then: &mut dyn FnMut(&Normalized<'_>, &Leaf<'_>)) {
    let mut unwrapper = Unwrapper::new(LIMITS);
    let framing = frame::Framing::Json;
    let body = Body::Json(text.trim_ascii());
    let document = Document { record: 1, offset: None, element: None, framing, time: None, body, original: b"" };
    unwrapper.open(&document, &Envelope::default(), &mut |leaf, _, _| {
        normalize(&leaf, |normalized| then(&normalized, &leaf))
    });
}
