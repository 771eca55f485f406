//! Records that a log pipeline cut into several: joined again, or given up as truncated.

use super::{Envelope, Leaf, OnLeaf, Place, Pointer, Walk};
use crate::event::{Origin, Text};
use crate::frame;
use crate::json::{self, Fields, Raw, Skip};

/// Shortest line that a known limit may have cut: containerd and AKS cut at 16 KiB (Azure/AKS issue 4635), Log
/// Analytics at 32,766 bytes (issue 3316). A shorter cut line is damage of another kind.
const LEAST_LIMIT: usize = 4096;
/// Longest joined record: the API server accepts requests of some 3 MiB, and may log both bodies.
const MAX_JOINED: usize = 8 << 20;
/// Most sources that may have an open record at once.
const MAX_OPEN: usize = 64;

/// Most parts of one record that are remembered as possible records of their own.
const MAX_RESTARTS: usize = 16;

/// Text of one log line, perhaps incomplete.
pub(super) struct Fragment<'f> {
    /// Distinguishes lines of different writers.
    pub source: &'f str,
    pub text: &'f str,
    /// Whether the writer says that the line ends here; `None` if it does not say.
    pub ends_line: Option<bool>,
}

/// Lines waiting for their rest, oldest first.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "they are moved in and out one by one, and are large")]
pub(super) struct Fragments(Vec<Box<Pending>>);

/// A line whose end has not arrived.
#[derive(Debug)]
pub(super) struct Pending {
    source: String,
    text: String,
    envelope: Envelope<'static>,
    time: Option<Vec<u8>>,
    record: u64,
    last: u64,
    offset: Option<u64>,
    pointer: Pointer,
    /// Where each part begins that may be a record of its own, with that record but without its text.
    restarts: Vec<(usize, Pending)>,
}

impl Fragments {
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Box<Pending>> {
        std::mem::take(&mut self.0).into_iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, source: &str) -> Option<Box<Pending>> {
        let at = self.0.iter().position(|pending| pending.source == source)?;
        Some(self.0.remove(at))
    }
}

impl Pending {
    fn new(fragment: &Fragment<'_>, envelope: &Envelope<'_>, walk: &Walk<'_, '_>) -> Box<Self> {
        Box::new(Pending {
            source: fragment.source.to_owned(),
            text: fragment.text.to_owned(),
            envelope: owned(envelope),
            time: envelope.time.map(<[u8]>::to_vec),
            record: walk.record,
            last: walk.last,
            offset: walk.offset,
            pointer: walk.pointer.clone(),
            restarts: Vec::new(),
        })
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope { time: self.time.as_deref(), ..self.envelope.clone() }
    }

    /// Gives out what has arrived of the record, and of later records that it has swallowed because its end was lost.
    pub(super) fn give_up(mut self, on_leaf: &mut OnLeaf<'_>) {
        let mut later = Vec::new();
        while let Some((at, own)) = self.restarts.pop() {
            if frame::begins_as(self.text.trim_start().as_bytes(), &self.text.as_bytes()[at..]) {
                later.push(self.split(at, own));
            }
        }
        self.give(on_leaf);
        later.iter().rev().for_each(|pending| pending.give(on_leaf));
    }

    /// Splits off what was added from `at` on.
    fn split(&mut self, at: usize, own: Pending) -> Pending {
        let last = std::mem::replace(&mut self.last, self.record.max(own.record.saturating_sub(1)));
        Pending { text: self.text.split_off(at), last, ..own }
    }

    fn give(&self, on_leaf: &mut OnLeaf<'_>) {
        let place = Place { record: self.record, last: self.last, offset: self.offset, pointer: &self.pointer };
        let text = self.text.trim().as_bytes();
        let fields = Fields::read(text);
        let shape = fields.as_ref().filter(|_| text.len() >= LEAST_LIMIT).and_then(super::native);
        let leaf = match (&fields, &shape) {
            (Some(fields), Some(shape)) => shape.leaf(fields),
            (Some(_), None) => Leaf::Broken(text),
            (None, _) => Leaf::Other,
        };
        on_leaf(leaf, &self.envelope(), place);
    }
}

impl Walk<'_, '_> {
    /// The object that a line is on its own, if no other line is waiting: then the line cannot be a fragment.
    pub(super) fn undivided<'t>(&self, line: &'t str) -> Option<(Raw<'t>, Fields<'t>)> {
        let text = line.trim_ascii().as_bytes();
        let fields = || Fields::read_sound(text);
        self.unwrapper.fragments.is_empty().then(fields)?.map(|fields| (text, fields))
    }

    /// Opens a line that may be the beginning, middle or end of a record.
    pub(super) fn fragment(&mut self, fragment: &Fragment<'_>, envelope: &Envelope<'_>) {
        if let Some(pending) = self.unwrapper.fragments.take(fragment.source) {
            match self.join(pending, fragment, envelope) {
                Ok(()) => return,
                Err(pending) => pending.give_up(self.on_leaf),
            }
        }
        if is_open(fragment.text, fragment.ends_line) && self.unwrapper.fragments.0.len() < MAX_OPEN {
            let pending = Pending::new(fragment, envelope, self);
            self.unwrapper.fragments.0.push(pending);
        } else if fragment.ends_line.is_none()
            && fragment.text.trim_start().starts_with('{')
            && !is_one_value(fragment.text)
        {
            self.leaf(Leaf::Broken(fragment.text.as_bytes()), envelope);
        } else {
            self.text(fragment.text, envelope);
        }
    }

    /// Appends a line to the one waiting for it. Returns the waiting one unchanged if this is not its continuation.
    fn join(
        &mut self,
        mut pending: Box<Pending>,
        fragment: &Fragment<'_>,
        envelope: &Envelope<'_>,
    ) -> Result<(), Box<Pending>> {
        let length = pending.text.len();
        // A writer that marks line ends is believed. One that does not either cut at a limit or did not cut.
        let may_go_on =
            fragment.ends_line.is_some() || length >= LEAST_LIMIT && !fragment.text.trim_start().starts_with('{');
        if !may_go_on || length + fragment.text.len() > MAX_JOINED {
            return Err(pending);
        }
        if fragment.text.trim_start().starts_with("{\"") {
            if pending.restarts.len() >= MAX_RESTARTS {
                pending.restarts.remove(0);
            }
            let part = Fragment { text: "", ..*fragment };
            pending.restarts.push((length, *Pending::new(&part, envelope, self)));
        }
        pending.text.push_str(fragment.text);
        let open = is_open(&pending.text, fragment.ends_line);
        let fits = fragment.ends_line.is_some()
            || if open { fragment.text.len() >= LEAST_LIMIT } else { is_one_value(&pending.text) };
        if !fits {
            pending.text.truncate(length);
            pending.restarts.retain(|(at, _)| *at < length);
            return Err(pending);
        }
        pending.last = self.last;
        if open {
            self.unwrapper.fragments.0.push(pending);
        } else {
            self.whole(pending);
        }
        Ok(())
    }

    /// Opens a record whose last part has arrived. If it is broken, the end of an earlier record was lost: the last
    /// part that begins an object is then a record of its own, if the text from there on is sound.
    fn whole(&mut self, mut pending: Box<Pending>) {
        let tail = |at: usize| &pending.text[at..];
        let last = pending.restarts.iter().rposition(|(at, _)| is_one_value(tail(*at)));
        pending.restarts.truncate(last.map_or(0, |last| last + 1));
        match pending.restarts.pop().filter(|_| !is_one_value(&pending.text)) {
            Some((at, own)) => {
                let own = pending.split(at, own);
                pending.give_up(self.on_leaf);
                self.joined(&own);
            }
            None => self.joined(&pending),
        }
    }

    /// Opens a joined record at the place of its first part.
    fn joined(&mut self, pending: &Pending) {
        let here = (self.record, self.offset, std::mem::replace(&mut self.pointer, pending.pointer.clone()));
        (self.record, self.offset) = (pending.record, pending.offset);
        self.text(&pending.text, &pending.envelope());
        (self.record, self.offset, self.pointer) = here;
    }
}

fn is_open(text: &str, ends_line: Option<bool>) -> bool {
    let text = text.trim_start().as_bytes();
    match ends_line {
        Some(ends) => !ends,
        None => text.starts_with(b"{") && json::skip_strict(text, 0) == Skip::Incomplete,
    }
}

/// Whether text is one JSON value and nothing else.
pub(super) fn is_one_value(text: &str) -> bool {
    let text = text.trim().as_bytes();
    json::skip_strict(text, 0) == Skip::End(text.len())
}

fn owned(envelope: &Envelope<'_>) -> Envelope<'static> {
    let own = |text: &Option<Text<'_>>| text.as_ref().map(|text| Text::Owned(text.clone().into_owned()));
    let origin = &envelope.origin;
    Envelope {
        origin: Origin {
            platform: origin.platform,
            account: own(&origin.account),
            cluster: own(&origin.cluster),
            region: own(&origin.region),
        },
        format: envelope.format,
        time: None,
        line_time: None,
        control_plane: envelope.control_plane,
        closed: envelope.closed,
        cut: envelope.cut,
        category: own(&envelope.category),
        source_label: own(&envelope.source_label),
    }
}
