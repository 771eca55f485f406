//! Payloads inside JSON: base64, perhaps compressed, perhaps several documents. They pass through decode and frame
//! again.

use base64::Engine;

use super::{Envelope, Leaf, MAX_PAYLOADS, Step, Walk};
use crate::decode::{self, Content, Damage, Limits, Stream, Visitor};
use crate::frame::{self, Document, Sink};
use crate::json::{self, Raw};

impl Walk<'_, '_> {
    /// Opens bytes that were base64 inside JSON: perhaps compressed, perhaps several documents.
    pub(super) fn payload(&mut self, bytes: &[u8], envelope: &Envelope<'_>) {
        if self.payloads >= MAX_PAYLOADS {
            return self.leaf(Leaf::Broken(bytes), envelope);
        }
        let limits = self.unwrapper.limits;
        let mut inner = Payload { walk: self, envelope, limits };
        let spent = decode::walk(&mut &*bytes, None, limits, &mut inner);
        // Payloads inside this one have spent their part already.
        let left = &mut self.unwrapper.limits.max_bytes;
        *left = left.map(|left| left.saturating_sub(spent));
    }

    /// Opens a string that holds base64, or the JSON into which some tools decode it.
    pub(super) fn base64<'a>(&mut self, key: Step, raw: Raw<'a>, envelope: &Envelope<'a>) {
        let text = json::string(raw).filter(|text| !text.trim_start().starts_with('{'));
        self.inside(key, |walk| match text.map(|text| decode_base64(&text)) {
            Some(Some(bytes)) => walk.payload(&bytes, envelope),
            Some(None) => walk.leaf(Leaf::Broken(raw), envelope),
            None => walk.value(raw, envelope),
        });
    }
}

/// Decodes base64 in either alphabet, with or without padding, on one line or many.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let plain = plain.replace('-', "+").replace('_', "/");
    GeneralPurpose::new(&STANDARD, config).decode(plain).ok()
}

/// Runs decode and frame over a payload and opens what they find. Documents after the first add their number to the
/// pointer.
struct Payload<'p, 'w, 's, 'e> {
    walk: &'p mut Walk<'w, 's>,
    envelope: &'p Envelope<'e>,
    limits: Limits,
}

impl Visitor for Payload<'_, '_, '_, '_> {
    fn stream(&mut self, stream: Stream<'_, '_>) {
        match stream.content {
            Content::Data(kind, reader) => frame::frame(kind, reader, self.limits, self),
            Content::Empty | Content::Archive(_, None) => {}
            Content::Foreign(_) | Content::Unsupported(_) | Content::Failed(_) | Content::Archive(..) => {
                self.walk.leaf(Leaf::Broken(b""), self.envelope);
            }
        }
    }

    fn hashed(&mut self, _: &str, _: u64, _: String) {}
}

impl Sink for Payload<'_, '_, '_, '_> {
    fn document(&mut self, document: Document<'_>) {
        let outer = self.walk.pointer.0.len();
        if document.record > 1 {
            let number = usize::try_from(document.record - 1).unwrap_or(usize::MAX);
            self.walk.pointer.0.push(Step::Index(number));
        }
        self.walk.payloads += 1;
        self.walk.enter(&document, self.envelope);
        self.walk.payloads -= 1;
        self.walk.pointer.0.truncate(outer);
    }

    fn damage(&mut self, _: Damage) {
        self.walk.leaf(Leaf::Broken(b""), self.envelope);
    }
}
