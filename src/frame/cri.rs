//! The CRI log format (kubernetes/design-proposals-archive, node/kubelet-cri-logging.md): lines of `<time> <stream>
//! <tags> <content>`. A long content is split; its other parts are in the next lines of the same stream.

use memchr::memmem;

use super::json::Head;
use super::{Body, resync};
use crate::event::EVENT_START;
use crate::json::{self, Skip};
use crate::time;

/// Lines of one content that are remembered as possible beginnings of records.
const MAX_RESTARTS: usize = 64;
/// Longer than the time of a CRI line with its zone, and longer than its stream and tag.
const MAX_TIME: usize = 40;

/// The fields of a line before its content.
pub(super) struct Cri<'a> {
    pub time: &'a str,
    pub stream: &'a str,
    /// Whether the content goes on in the next line of this stream.
    pub partial: bool,
    /// Where the content starts.
    pub content: usize,
}

/// Reads the start of a line.
pub(super) fn parse(line: &str) -> Option<Cri<'_>> {
    let mut tokens = line.splitn(4, ' ');
    let (time, stream, tags) = (tokens.next()?, tokens.next()?, tokens.next()?);
    let known = matches!(stream, "stdout" | "stderr") && time::parse(time).is_some();
    let tag = tags.split([':', '\n', '\r']).next()?;
    let partial = tag == "P";
    (known && (partial || tag == "F")).then(|| {
        let content = (time.len() + stream.len() + tags.len() + 3).min(line.len());
        Cri { time, stream, partial, content }
    })
}

/// The content of a line, if the line holds all of it.
pub(crate) fn cri_content(line: &str) -> Option<&str> {
    let cri = parse(line).filter(|cri| !cri.partial)?;
    line.get(cri.content..)
}

/// Whether the content of a line starts an object.
pub(super) fn holds_object(line: &[u8]) -> bool {
    line.splitn(4, |byte| *byte == b' ').nth(3).is_some_and(|content| content.starts_with(b"{"))
}

/// Where a second line begins inside this one, whose end is missing. Its content must start with an object and its
/// first key: no string can hold these unescaped.
pub(super) fn line_in_line(line: &[u8]) -> Option<usize> {
    let begins = |at: usize| {
        // The cut line may end in digits, and the time begins with digits. The fixed length of the date before the `T`
        // shows where the time begins.
        let time = at.saturating_sub(MAX_TIME);
        let start = memchr::memrchr(b'T', &line[time..at]).and_then(|t| (time + t).checked_sub("2026-11-24".len()))?;
        let head = &line[start..line.len().min(at + MAX_TIME)];
        let text = String::from_utf8_lossy(head);
        let content = line.get(start + parse(&text)?.content..)?;
        let key = content.strip_prefix(b"{\"").and_then(<[u8]>::first)?;
        (start > 0 && (key.is_ascii_alphanumeric() || b"@_".contains(key))).then_some(start)
    };
    memmem::find_iter(line, " std").find_map(begins)
}

/// Contents that are not yet complete, by the output stream they belong to.
#[derive(Default)]
pub(super) struct Parts(Vec<(String, Part)>);

/// The content of one or more joined lines.
pub(super) struct Part {
    pub head: Head,
    content: Vec<u8>,
    restarts: Vec<Restart>,
}

/// A line that was added and may begin a record: its place in the content and in [`Head::prefix`].
struct Restart {
    content: usize,
    prefix: usize,
    head: Head,
}

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a line to those waiting in its stream. If the content continues and is no longer than a record may be, it
    /// waits; otherwise its records are given out.
    pub(super) fn add(&mut self, cri: &Cri<'_>, part: Part, max_record: usize, give: impl FnMut(&Part)) {
        let slot = self.0.iter().position(|(open, _)| open == cri.stream);
        let part = match slot.map(|slot| self.0.swap_remove(slot).1) {
            Some(mut waiting) => {
                waiting.add(part);
                waiting
            }
            None => part,
        };
        if cri.partial && part.content.len() <= max_record {
            self.0.push((cri.stream.to_owned(), part));
        } else {
            part.give_records(give);
        }
    }

    /// Contents whose rest never came.
    pub(super) fn unfinished(self) -> impl Iterator<Item = Part> {
        self.0.into_iter().map(|(_, part)| part)
    }
}

impl Part {
    pub(super) fn new(head: Head, content: Vec<u8>) -> Self {
        Part { head, content, restarts: Vec::new() }
    }

    /// The content joined so far.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// The content as the body of a document.
    pub(super) fn body(&self) -> Body<'_> {
        let content = self.content.trim_ascii();
        match content.first() {
            Some(b'{') if is_sound(content) => Body::Json(content),
            Some(b'{') if !content.starts_with(EVENT_START) => Body::Broken(content),
            // Another event may follow.
            _ => Body::Text(content),
        }
    }

    /// Adds the next line of the stream.
    fn add(&mut self, next: Part) {
        if !self.head.prefix.is_empty() {
            self.head.prefix.push(b'\n');
        }
        let (content, prefix) = (self.content.len(), self.head.prefix.len());
        self.head.prefix.extend_from_slice(&next.head.prefix);
        self.content.extend_from_slice(&next.content);
        if next.content.starts_with(b"{\"") && self.restarts.len() < MAX_RESTARTS {
            self.restarts.push(Restart { content, prefix, head: Head { prefix: Vec::new(), ..next.head } });
        }
    }

    /// Gives out a content. If it is broken, the end of a record was lost: each line that begins as a record does is
    /// then given out as one of its own.
    pub(super) fn give_records(mut self, mut give: impl FnMut(&Part)) {
        let content = self.content.trim_ascii();
        let is_broken = content.first() == Some(&b'{') && !is_sound(content);
        let mut later = Vec::new();
        while let Some(restart) = self.restarts.pop().filter(|_| is_broken) {
            if resync::begins_as(self.content.trim_ascii_start(), &self.content[restart.content..]) {
                later.push(self.split(restart));
            }
        }
        give(&self);
        later.iter().rev().for_each(give);
    }

    /// Splits off what was added from `restart` on.
    fn split(&mut self, restart: Restart) -> Part {
        let prefix = self.head.prefix.split_off(restart.prefix);
        self.head.prefix.pop();
        Part::new(Head { prefix, ..restart.head }, self.content.split_off(restart.content))
    }
}

fn is_sound(text: &[u8]) -> bool {
    json::skip_strict(text, 0) == Skip::End(text.len())
}
