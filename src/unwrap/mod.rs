//! A document → the audit records in it, through the envelopes that clouds and forwarders put around them.
//!
//! Only the keys of known envelopes are opened, never any string that looks like an event: a CronJob may carry a forged
//! one in its spec. The content of such a key may be JSON, JSON in a string, or base64 of gzip; each step inwards is
//! added to the pointer.

mod aws;
mod azure;
mod fragments;
mod gcp;
mod leaf;
mod payload;
mod rescue;
mod shape;
mod siem;
mod signs;
mod table;

use std::borrow::Cow;

use memchr::memmem;

use crate::decode::Limits;
use crate::event::{EVENT_START, Platform, Text};
use crate::frame::{self, Body, Document, Framing};
use crate::json::{self, Fields, Raw, Skip};
use fragments::Fragments;
pub(crate) use gcp::{audit_log as gcp_audit_log, label as gcp_label};
use leaf::Step;
pub use leaf::{Envelope, Leaf, OnLeaf, Place, Pointer};
use shape::{is_legacy, is_legacy_without_time, is_row, is_tail, leaf_tells, native, panther};
use signs::holds_event;

/// Most payloads inside payloads (base64 and gzip inside JSON).
const MAX_PAYLOADS: usize = 4;
/// Most envelopes inside envelopes.
const MAX_DEPTH: usize = 16;

/// Opens the documents of one stream, in order, and joins records that a log pipeline has split.
#[derive(Debug)]
pub struct Unwrapper {
    /// With the bytes that payloads may still give.
    limits: Limits,
    fragments: Fragments,
}

impl Unwrapper {
    /// Starts a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Unwrapper { limits, fragments: Fragments::default() }
    }

    /// Finds the records of one document.
    pub fn open(&mut self, document: &Document<'_>, base: &Envelope<'_>, on_leaf: &mut OnLeaf<'_>) {
        let mut envelope = base.clone();
        envelope.line_time = document.time;
        (envelope.format, envelope.origin.platform) = framing_tells(document, envelope.origin.platform);
        let mut walk = Walk::new(self, document.record, document.offset, on_leaf);
        walk.of_cells = matches!(document.framing, Framing::Csv | Framing::Row);
        walk.enter(document, &envelope);
    }

    /// Whether a record is waiting for its continuation.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// The limits, less what payloads gave.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Gives out the records still waiting for their continuation.
    pub fn finish(&mut self, on_leaf: &mut OnLeaf<'_>) {
        for pending in self.fragments.drain() {
            pending.give_up(on_leaf);
        }
    }
}

/// The format and platform that the text between documents shows.
fn framing_tells(document: &Document<'_>, known: Option<Platform>) -> (Option<&'static str>, Option<Platform>) {
    let (format, platform) = match document.framing {
        Framing::Json | Framing::Csv | Framing::Row => (None, None),
        // An export task writes milliseconds and `Z`. Container runtimes, which also write a time, write nanoseconds.
        Framing::CloudWatchExport if document.time.is_some_and(|time| time.len() == 24) => {
            (Some("cloudwatch-export"), Some(Platform::Eks))
        }
        Framing::CloudWatchExport => (Some("timed-lines"), None),
        Framing::CloudWatchTail => (Some("cloudwatch-tail"), Some(Platform::Eks)),
        Framing::CloudWatchText => (Some("cloudwatch-events"), Some(Platform::Eks)),
        Framing::Node => (Some("node-logs"), None),
        Framing::Cri => (Some("cri"), None),
        Framing::Fluentd => (Some("fluentd"), None),
        Framing::Loki => (Some("loki"), None),
    };
    (format, known.or(platform))
}

/// What the object around a walked array says of its elements.
fn around_tells<'a>(key: Option<&str>, around: &Fields<'a>, outer: &Envelope<'a>) -> Envelope<'a> {
    match key {
        Some("logEvents") => aws::subscription(around, outer),
        Some("items") => Envelope { closed: !siem::is_event_list(around), ..outer.named("event-list", None) },
        Some("records") => outer.named("azure-records", None),
        _ => outer.clone(),
    }
}

/// One document being opened.
struct Walk<'w, 's> {
    unwrapper: &'w mut Unwrapper,
    on_leaf: &'w mut OnLeaf<'s>,
    record: u64,
    last: u64,
    offset: Option<u64>,
    pointer: Pointer,
    depth: usize,
    payloads: usize,
    leaves: u64,
    /// How many of the leaves are records of something else.
    others: u64,
    /// Documents known not to be audit events: by their own kind, or because their envelope names another log.
    decided: u64,
    /// Whether the text being opened is broken. If so, a record of unknown shape counts as malformed, not as another
    /// kind of log.
    broken: bool,
    /// Columns of the positional row being opened: the step into one of them is its index.
    columns: Vec<String>,
    /// Whether the document is a table row, whose cells hold objects as text even if the log does not.
    of_cells: bool,
}

/// Tries one family of envelopes on an object; true if it opened one.
type Family = for<'a> fn(&Fields<'a>, &Envelope<'a>, &mut Walk<'_, '_>) -> bool;

/// Families in the order they are tried: those recognised by more keys come first. Cloud families (`true`) recognise
/// their other log kinds; the rest count as recognised only if an event was found inside.
const FAMILIES: [(Family, bool); 6] = [
    (aws::open, true),
    (azure::open, true),
    (gcp::open, true),
    (table::open, false),
    (arrays, false),
    (siem::open, false),
];

impl<'w, 's> Walk<'w, 's> {
    fn new(unwrapper: &'w mut Unwrapper, record: u64, offset: Option<u64>, on_leaf: &'w mut OnLeaf<'s>) -> Self {
        Walk {
            unwrapper,
            on_leaf,
            record,
            last: record,
            offset,
            pointer: Pointer::default(),
            depth: 0,
            payloads: 0,
            leaves: 0,
            others: 0,
            decided: 0,
            broken: false,
            columns: Vec::new(),
            of_cells: false,
        }
    }

    fn leaf(&mut self, leaf: Leaf<'_>, envelope: &Envelope<'_>) {
        self.leaves += 1;
        let leaf = if self.broken && matches!(leaf, Leaf::Other) { Leaf::Broken(b"") } else { leaf };
        self.others += u64::from(matches!(leaf, Leaf::Other));
        let place = Place { record: self.record, last: self.last, offset: self.offset, pointer: &self.pointer };
        if self.broken {
            return (self.on_leaf)(leaf, &Envelope { cut: true, ..envelope.clone() }, place);
        }
        (self.on_leaf)(leaf, envelope, place);
    }

    /// Opens a framed document, or an element of one.
    fn enter(&mut self, document: &Document<'_>, envelope: &Envelope<'_>) {
        let Some(element) = document.element else { return self.body(document.body, envelope) };
        let around = Fields::read(element.around).unwrap_or_else(|| Fields::from_entries(Vec::new()));
        let told = around_tells(element.key, &around, envelope);
        let key = element.key.map(Step::Key);
        let outer = self.pointer.0.len();
        self.pointer.0.extend(key.into_iter().chain([Step::Index(element.index)]));
        self.body(document.body, &told);
        self.pointer.0.truncate(outer);
    }

    fn body(&mut self, body: Body<'_>, envelope: &Envelope<'_>) {
        match body {
            Body::Json(text) => self.value(text, envelope),
            Body::Text(text) => self.text(&String::from_utf8_lossy(text), envelope),
            Body::Broken(text) => self.broken(text, envelope),
            Body::TooLong => self.leaf(Leaf::TooLong, envelope),
        }
    }

    /// Opens a value in a place where a record may be.
    fn value<'a>(&mut self, raw: Raw<'a>, envelope: &Envelope<'a>) {
        if self.depth >= MAX_DEPTH {
            return self.leaf(Leaf::Broken(raw), envelope);
        }
        self.depth += 1;
        match raw.first() {
            Some(b'{') => match Fields::read(raw) {
                Some(fields) => self.object(raw, &fields, envelope),
                None => self.leaf(Leaf::Broken(raw), envelope),
            },
            Some(b'[') => self.array(raw, envelope),
            Some(b'"') => match json::string(raw) {
                Some(text) => self.text(&text, envelope),
                None => self.broken(json::cut_string(raw).trim_ascii().as_bytes(), envelope),
            },
            _ => self.leaf(Leaf::Other, envelope),
        }
        self.depth -= 1;
    }

    /// Opens an object that is already parsed.
    fn read<'a>(&mut self, raw: Raw<'a>, fields: &Fields<'a>, envelope: &Envelope<'a>) {
        if self.depth >= MAX_DEPTH {
            return self.leaf(Leaf::Broken(raw), envelope);
        }
        self.depth += 1;
        self.object(raw, fields, envelope);
        self.depth -= 1;
    }

    fn array<'a>(&mut self, raw: Raw<'a>, envelope: &Envelope<'a>) {
        if let Some(row) = table::insights_row(raw) {
            return table::open_insights(&row, envelope, self);
        }
        self.each(raw, envelope, Self::value);
    }

    /// Calls `open` for every element of an array.
    fn each<'a>(
        &mut self,
        raw: Raw<'a>,
        envelope: &Envelope<'a>,
        mut open: impl FnMut(&mut Self, Raw<'a>, &Envelope<'a>),
    ) {
        for (index, element) in json::elements(raw).enumerate() {
            self.pointer.0.push(Step::Index(index));
            open(self, element, envelope);
            self.pointer.0.pop();
        }
    }

    fn object<'a>(&mut self, raw: Raw<'_>, fields: &Fields<'a>, envelope: &Envelope<'a>) {
        // Panther's rule reads keys and types as they are in its record.
        let is_exact = fields.get("p_log_type").is_some() && !self.of_cells && self.columns.is_empty();
        let Some(nested) = table::nest(fields).filter(|_| !is_exact) else {
            return self.members(raw, fields, envelope);
        };
        let told = table::told(fields, envelope);
        match Fields::read(nested.as_bytes()) {
            _ if table::is_undecidable(fields) => self.leaf(Leaf::Broken(raw), &told),
            Some(nested) => self.members(raw, &nested, &told),
            None => self.leaf(Leaf::Broken(raw), envelope),
        }
    }

    fn members<'a>(&mut self, raw: Raw<'_>, fields: &Fields<'a>, envelope: &Envelope<'a>) {
        let told = panther(fields, envelope);
        let envelope = told.as_ref().unwrap_or(envelope);
        if let Some(shape) = native(fields) {
            let leaf = shape.leaf(fields);
            let told = leaf_tells(&leaf, envelope);
            return self.leaf(leaf, told.as_ref().unwrap_or(envelope));
        }
        let (leaves, others, decided) = (self.leaves, self.others, self.decided);
        let may_open = !envelope.closed && !siem::is_kubernetes_object(fields);
        let opened = FAMILIES.iter().find(|(open, _)| may_open && open(fields, envelope, self));
        let found = [self.leaves - leaves, self.others - others];
        let is_sealed = match opened {
            Some((_, knows)) => !knows && found[0] > 0 && found[0] == found[1] && self.decided == decided,
            None => may_open,
        };
        self.decided += u64::from(!may_open || opened.is_some_and(|(_, knows)| *knows));
        if !fields.is_whole() {
            // Whatever a cut envelope still held was given out. If that was nothing, the cut took the record.
            if found[0] == 0 {
                self.leaf(Leaf::Broken(raw), envelope);
            }
        } else if is_sealed && holds_event(raw) && !siem::holds_kubernetes_object(fields) {
            self.leaf(Leaf::Unopened, envelope);
        } else if opened.is_none() {
            self.leaf(Leaf::Other, envelope);
        }
    }

    /// Opens an object whose members come from a positional row.
    fn row<'a>(&mut self, fields: &Fields<'a>, envelope: &Envelope<'a>) {
        self.columns = fields.iter().map(|(column, _)| column.to_owned()).collect();
        self.object(table::as_object(fields).as_bytes(), fields, envelope);
        self.columns.clear();
    }

    /// Opens the member of this key, adding it to the pointer.
    fn member<'a>(&mut self, key: &'static str, raw: Raw<'a>, envelope: &Envelope<'a>) {
        self.inside(Step::Key(key), |walk| walk.value(raw, envelope));
    }

    fn inside(&mut self, step: Step, open: impl FnOnce(&mut Self)) {
        let columns = std::mem::take(&mut self.columns);
        let position = |key: &str| columns.iter().position(|column| json::equal_folded(column, key));
        let step = match step {
            Step::Key(key) => position(key).map_or(step, Step::Index),
            Step::Name(ref name) => position(name).map_or(step, Step::Index),
            Step::Index(_) => step,
        };
        self.pointer.0.push(step);
        open(self);
        self.pointer.0.pop();
        self.columns = columns;
    }

    /// Opens text in a place where a record may be: JSON, several JSON values, or a line of something else.
    fn text(&mut self, text: &str, envelope: &Envelope<'_>) {
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
        let bytes = trimmed.as_bytes();
        if let Some(fields) = Fields::read_sound(bytes) {
            return self.read(bytes, &fields, envelope);
        }
        match bytes.first() {
            Some(b'{' | b'[') => match json::skip_strict(bytes, 0) {
                Skip::End(end) if end == bytes.len() && json::is_matched(bytes) => self.value(bytes, envelope),
                Skip::End(end) if end == bytes.len() => self.broken(bytes, envelope),
                Skip::End(_) => self.payload(bytes, envelope),
                _ if bytes[0] == b'[' && !is_tail(trimmed) => self.leaf(Leaf::Other, envelope),
                // Framing finds the event behind one that lost its end.
                _ if bytes.starts_with(EVENT_START) && memmem::find(&bytes[1..], EVENT_START).is_some() => {
                    self.payload(bytes, envelope);
                }
                _ => self.broken(bytes, envelope),
            },
            Some(b'"') if json::skip_strict(bytes, 0) == Skip::End(bytes.len()) => self.value(bytes, envelope),
            _ if frame::cri_content(trimmed).is_some() => {
                self.text(frame::cri_content(trimmed).unwrap_or_default(), envelope);
            }
            _ if is_legacy(trimmed) && !trimmed.contains('\0') => self.legacy(trimmed, envelope),
            _ if is_tail(trimmed) || is_row(trimmed) || is_legacy_without_time(trimmed) || holds_event(bytes) => {
                self.leaf(Leaf::Broken(bytes), envelope);
            }
            _ => self.leaf(Leaf::Other, envelope),
        }
    }

    /// Opens a line of the legacy format, and those that follow it where newlines were lost.
    fn legacy(&mut self, line: &str, envelope: &Envelope<'_>) {
        let told = envelope.named("legacy", None);
        let starts: Vec<usize> = shape::legacy_starts(line).collect();
        for (number, start) in starts.iter().enumerate() {
            let end = starts.get(number + 1).copied().unwrap_or(line.len());
            let open = |walk: &mut Self| walk.leaf(Leaf::Legacy(line[*start..end].trim_end()), &told);
            if number == 0 {
                open(self);
            } else {
                self.inside(Step::Index(number), open);
            }
        }
    }

    /// Opens JSON that is cut or broken. The envelopes around the records may still be whole enough to open.
    fn broken(&mut self, text: &[u8], envelope: &Envelope<'_>) {
        if !self.rescue(text, envelope) {
            self.cut(text, envelope);
        }
    }

    /// Opens broken JSON by those of its members that are left.
    fn cut(&mut self, text: &[u8], envelope: &Envelope<'_>) {
        let around = std::mem::replace(&mut self.broken, true);
        // After a lost block comes the end of this record or of a later one, so it must not complete this one.
        let lost = memchr::memchr(0, text);
        let left = &text[..lost.unwrap_or(text.len())];
        match Fields::read(left).map(Fields::of_broken) {
            Some(fields) => {
                self.read(left, &fields, envelope);
                if let Some(lost) = lost {
                    self.leaf(Leaf::Broken(&text[lost..]), envelope);
                }
            }
            None => self.leaf(Leaf::Broken(text), envelope),
        }
        self.broken = around;
    }
}

/// Opens an object around an array of records that framing does not walk: inside another envelope, or small.
fn arrays<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>, walk: &mut Walk<'_, '_>) -> bool {
    let held = |raw: Raw<'a>| {
        raw.first() == Some(&b'[') || json::string(raw).is_some_and(|text| text.trim_start().starts_with('['))
    };
    let mut opened = false;
    for key in frame::ARRAYS {
        if let Some(raw) = fields.get(key).filter(|raw| held(raw)) {
            let told = around_tells(Some(key), fields, envelope);
            walk.member(key, raw, &told);
            opened = true;
        }
    }
    opened
}

/// The step to a member, under the name it has here.
fn step(fields: &Fields<'_>, key: &'static str) -> Step {
    match fields.spelling(key) {
        Some(spelling) if spelling != key => Step::Name(spelling.to_owned()),
        _ => Step::Key(key),
    }
}

/// The text of the member with exactly this key, if it is not empty.
fn filled<'a>(fields: &Fields<'a>, key: &str) -> Option<Text<'a>> {
    fields.text(key).filter(|text| !text.is_empty())
}

/// Part of a text, borrowed if the text is.
fn part<'a>(text: Text<'a>, choose: impl for<'t> Fn(&'t str) -> Option<&'t str>) -> Option<Text<'a>> {
    match text {
        Cow::Borrowed(text) => choose(text).map(Cow::Borrowed),
        Cow::Owned(text) => choose(&text).map(|part| Cow::Owned(part.to_owned())),
    }
}
