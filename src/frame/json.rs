//! JSON documents in a stream: one a line, one after another, pretty-printed, in one array, in an object around
//! one, behind prefixes, between lines of text; and what to do where one is broken.

use memchr::memmem;

use super::prefix::{self, EVENT_START, MAX_PREFIX};
use super::{Body, Document, Element, Framing, Input, More, Sink};
use crate::decode::Damage;
use crate::json::{self, Skip};

/// Keys whose array holds records: CloudWatch (`logEvents`, `events`, `results`), Azure (`records`, `value`),
/// EventList (`items`), CloudTrail-like files (`Records`).
const ARRAYS: [&str; 7] = ["logEvents", "events", "results", "records", "value", "items", "Records"];

/// Splits a stream that is not CSV.
pub(super) struct Documents<'r, 's> {
    input: Input<'r>,
    sink: &'s mut dyn Sink,
    record: u64,
    /// Only blanks since the last newline.
    line_start: bool,
    /// CRI lines that go on, with the output stream each belongs to.
    parts: Vec<(String, Part)>,
}

/// The beginning of a content that was written in several lines.
struct Part {
    record: u64,
    offset: u64,
    time: String,
    bytes: Vec<u8>,
}

/// What is common to all that comes out of one line or document.
#[derive(Clone)]
struct Head {
    record: u64,
    offset: u64,
    framing: Framing,
    time: Option<String>,
}

/// The object or array whose elements are being walked.
struct Around {
    key: Option<&'static str>,
    text: Vec<u8>,
    index: usize,
}

/// How far an object was understood.
enum Scan {
    Whole(usize),
    /// The array of a known key starts at this index.
    Array(&'static str, usize),
    Incomplete,
    Broken(usize),
}

impl<'r, 's> Documents<'r, 's> {
    pub(super) fn new(input: Input<'r>, sink: &'s mut dyn Sink) -> Self {
        Documents { input, sink, record: 0, line_start: true, parts: Vec::new() }
    }

    pub(super) fn run(mut self) {
        while self.skip_blanks() {
            let first = self.input.available()[0];
            match first {
                b'{' => {
                    let head = self.head(Framing::Json, None);
                    self.object(&head);
                }
                b'[' if self.opens_array() => {
                    let head = self.head(Framing::Json, None);
                    self.consume(1);
                    self.elements(&head, &mut Around { key: None, text: Vec::new(), index: 0 });
                }
                _ => self.text(),
            }
        }
        for (_, part) in std::mem::take(&mut self.parts) {
            let head = Head { record: part.record, offset: part.offset, framing: Framing::Cri, time: Some(part.time) };
            emit(self.sink, &head, None, Body::Broken(&part.bytes));
        }
    }

    /// Passes white space, zero bytes and byte order marks; false at the end of the stream.
    fn skip_blanks(&mut self) -> bool {
        loop {
            if self.input.is_done(self.sink) {
                return false;
            }
            let bytes = self.input.available();
            let blank = match bytes[0] {
                b'\n' => {
                    self.record += u64::from(self.line_start);
                    self.line_start = true;
                    1
                }
                b' ' | b'\t' | b'\r' | 0 => {
                    bytes.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r' | 0)).unwrap_or(bytes.len())
                }
                b',' if !self.line_start => 1,
                0xEF if bytes.starts_with(b"\xef\xbb\xbf") => 3,
                _ => return true,
            };
            self.consume(blank);
        }
    }

    fn consume(&mut self, count: usize) {
        if self.input.consume(count) {
            self.line_start = true;
        }
    }

    fn head(&mut self, framing: Framing, time: Option<&str>) -> Head {
        self.record += 1;
        Head { record: self.record, offset: self.input.offset(), framing, time: time.map(str::to_owned) }
    }

    /// Whether the `[` at hand opens an array of objects or arrays, not a line such as `[error] …`.
    fn opens_array(&mut self) -> bool {
        loop {
            if let Some(next) = self.input.available()[1..].iter().find(|byte| !byte.is_ascii_whitespace()) {
                return matches!(next, b'{' | b'[' | b']');
            }
            if self.input.grow(self.sink) != More::Text {
                return false;
            }
        }
    }

    /// One document that is an object, or the elements of the array in it.
    fn object(&mut self, head: &Head) {
        loop {
            match scan(self.input.available()) {
                Scan::Whole(end) => {
                    emit(self.sink, head, None, Body::Json(&self.input.available()[..end]));
                    self.line_start = false;
                    return self.consume(end);
                }
                Scan::Array(key, at) => {
                    let text = self.input.available()[..at].to_vec();
                    self.consume(at + 1);
                    let mut around = Around { key: Some(key), text, index: 0 };
                    if self.elements(head, &mut around) {
                        self.rest_of_object(head, around);
                    }
                    return;
                }
                Scan::Broken(at) => return self.broken(head, None, at),
                Scan::Incomplete => match self.input.grow(self.sink) {
                    More::Text => {}
                    More::End => return self.broken(head, None, self.input.available().len()),
                    More::Limit => return self.too_long(head, None),
                },
            }
        }
    }

    /// The elements of an array whose bracket was consumed; false where the stream ended or broke inside.
    fn elements(&mut self, head: &Head, around: &mut Around) -> bool {
        self.line_start = false;
        loop {
            match self.next_in_structure() {
                Some(b']') => {
                    self.consume(1);
                    return true;
                }
                Some(_) => self.element(head, around),
                None => {
                    self.unclosed(head);
                    return false;
                }
            }
            around.index += 1;
        }
    }

    fn element(&mut self, head: &Head, around: &Around) {
        loop {
            match json::skip_strict(self.input.available(), 0) {
                Skip::End(end) => {
                    emit(self.sink, head, Some(around), Body::Json(&self.input.available()[..end]));
                    return self.consume(end);
                }
                Skip::Broken(at) => return self.broken(head, Some(around), at),
                Skip::Incomplete => match self.input.grow(self.sink) {
                    More::Text => {}
                    More::End => return self.broken(head, Some(around), self.input.available().len()),
                    More::Limit => return self.too_long(head, Some(around)),
                },
            }
        }
    }

    /// The members behind the array of an object, which may hold another one.
    fn rest_of_object(&mut self, head: &Head, mut around: Around) {
        while let Some(byte) = self.next_in_structure() {
            if byte == b'}' {
                return self.consume(1);
            }
            // A member is `"key":value`; the opening brace makes it one that `scan` can read.
            let member = [b"{", self.input.available()].concat();
            match scan(&member) {
                Scan::Array(key, at) if at > 0 => {
                    self.consume(at);
                    around.key = Some(key);
                    around.index = 0;
                    if !self.elements(head, &mut around) {
                        return;
                    }
                }
                Scan::Whole(end) => return self.consume(end - 1),
                Scan::Incomplete if self.input.grow(self.sink) == More::Text => {}
                _ => return self.unclosed(head),
            }
        }
        self.unclosed(head);
    }

    /// The next byte that is neither blank nor a comma, inside a structure.
    fn next_in_structure(&mut self) -> Option<u8> {
        loop {
            let bytes = self.input.available();
            let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | 0);
            if let Some(at) = bytes.iter().position(|byte| !blank(byte)) {
                let byte = bytes[at];
                // Consuming blanks up to the damage ends the structure; what follows is another text.
                let crossed = at > 0 && self.input.consume(at);
                return (!crossed).then_some(byte);
            }
            let all = bytes.len();
            if all > 0 && self.input.consume(all) || self.input.grow(self.sink) != More::Text {
                return None;
            }
        }
    }

    fn unclosed(&mut self, head: &Head) {
        let at = self.input.offset();
        self.line_start = true;
        self.sink.damage(Damage {
            what: format!("the document that starts at byte {} is not closed", head.offset),
            at,
            text_start: at,
        });
    }

    /// Gives up the document at hand at `at`, where it breaks, and finds where to go on.
    fn broken(&mut self, head: &Head, around: Option<&Around>, at: usize) {
        let end = loop {
            let bytes = self.input.available();
            match resume(bytes, at, around.is_some(), head.framing) {
                Some(end) => break end,
                None => match self.input.grow(self.sink) {
                    More::Text => {}
                    More::End => break self.input.available().len(),
                    More::Limit => return self.too_long(head, around),
                },
            }
        };
        emit(self.sink, head, around, Body::Broken(self.input.available()[..end].trim_ascii_end()));
        self.line_start = false;
        self.consume(end);
    }

    /// Passes a document that is larger than a record may be, without keeping it.
    fn too_long(&mut self, head: &Head, around: Option<&Around>) {
        emit(self.sink, head, around, Body::TooLong);
        self.line_start = false;
        let mut passed = Passed::default();
        loop {
            let (count, closed) = passed.feed(self.input.available());
            self.consume(count);
            if closed || self.input.is_done(self.sink) {
                return;
            }
        }
    }

    /// A line that does not start with JSON, or what stands behind a document in its line.
    fn text(&mut self) {
        while self.input.available().len() < MAX_PREFIX && !self.input.available().contains(&b'\n') {
            if self.input.grow(self.sink) != More::Text {
                break;
            }
        }
        if self.line_start
            && let Some(found) = prefix::find(self.input.available())
        {
            let (framing, content) = (found.framing, found.content);
            let time = found.time.map(str::to_owned);
            if framing == Framing::Cri {
                return self.cri_line();
            }
            let head = self.head(framing, time.as_deref());
            self.consume(content);
            return self.object(&head);
        }
        let Some(end) = self.line_end(true) else { return };
        let line = &self.input.available()[..end];
        let trailer = !self.line_start && line.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace());
        if !trailer {
            let head = self.head(Framing::Json, None);
            emit(self.sink, &head, None, Body::Text(self.input.available()[..end].trim_ascii_end()));
        }
        self.line_start = false;
        self.consume(end);
    }

    /// Where the line at hand ends, or an audit event starts in it; `None` after passing a line that is too long.
    fn line_end(&mut self, stop_at_event: bool) -> Option<usize> {
        loop {
            let bytes = self.input.available();
            let newline = memchr::memchr(b'\n', bytes);
            let line = &bytes[..newline.unwrap_or(bytes.len())];
            let event = memmem::find(line, EVENT_START).filter(|&at| stop_at_event && at > 0);
            if let Some(end) = event.or(newline) {
                return Some(end);
            }
            match self.input.grow(self.sink) {
                More::Text => {}
                More::End => return Some(self.input.available().len()),
                More::Limit => {
                    let head = self.head(Framing::Json, None);
                    emit(self.sink, &head, None, Body::TooLong);
                    self.pass_line();
                    return None;
                }
            }
        }
    }

    fn pass_line(&mut self) {
        self.line_start = false;
        loop {
            let bytes = self.input.available();
            let newline = memchr::memchr(b'\n', bytes);
            let count = newline.unwrap_or(bytes.len());
            self.consume(count);
            if newline.is_some() || self.input.is_done(self.sink) {
                return;
            }
        }
    }

    /// A CRI line: kept while its content goes on, given out when it is whole.
    fn cri_line(&mut self) {
        let Some(end) = self.line_end(false) else { return };
        let line = self.input.available()[..end].to_vec();
        let text = String::from_utf8_lossy(&line[..line.len().min(MAX_PREFIX)]);
        if let Some(cri) = prefix::cri(&text) {
            let head = self.head(Framing::Cri, Some(cri.time));
            let content = line.get(cri.content..).unwrap_or_default();
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            let slot = self.parts.iter().position(|(stream, _)| stream == cri.stream);
            let mut part = slot.map_or_else(
                || Part { record: head.record, offset: head.offset, time: cri.time.to_owned(), bytes: Vec::new() },
                |slot| self.parts.swap_remove(slot).1,
            );
            part.bytes.extend_from_slice(content);
            if cri.partial && part.bytes.len() <= self.input.max_record {
                self.parts.push((cri.stream.to_owned(), part));
            } else {
                self.cri_content(&part);
            }
        }
        self.line_start = false;
        self.consume(end);
    }

    fn cri_content(&mut self, part: &Part) {
        let head =
            Head { record: part.record, offset: part.offset, framing: Framing::Cri, time: Some(part.time.clone()) };
        let content = part.bytes.trim_ascii();
        let body = match json::skip_strict(content, 0) {
            _ if content.first() != Some(&b'{') => Body::Text(content),
            Skip::End(end) if end == content.len() => Body::Json(content),
            _ => Body::Broken(content),
        };
        emit(self.sink, &head, None, body);
    }
}

fn emit(sink: &mut dyn Sink, head: &Head, around: Option<&Around>, body: Body<'_>) {
    sink.document(Document {
        record: head.record,
        offset: Some(head.offset),
        element: around.map(|around| Element { key: around.key, index: around.index, around: &around.text }),
        framing: head.framing,
        time: head.time.as_deref(),
        body,
    });
}

/// Reads the members of the object at the start of `text` until it ends or the array of a known key begins.
fn scan(text: &[u8]) -> Scan {
    let mut at = 1;
    loop {
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
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
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match text.get(at) {
            Some(b':') => at += 1,
            Some(_) => return Scan::Broken(at),
            None => return Scan::Incomplete,
        }
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
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
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match text.get(at) {
            Some(b',') if !matches!(text.get(at + 1), Some(b'}')) => at += 1,
            Some(b'}') => {}
            Some(_) => return Scan::Broken(at),
            None => return Scan::Incomplete,
        }
    }
}

/// Where to go on behind a document that breaks at `at`; `None` where the text at hand does not tell.
///
/// A compact document ends with its line. In an array, or with no newline, the next one is found by how this
/// one begins: a nested object would have to begin like an audit event, with nothing quoted.
fn resume(text: &[u8], at: usize, in_array: bool, framing: Framing) -> Option<usize> {
    let compact = text.get(1).is_some_and(|byte| !byte.is_ascii_whitespace()) || framing != Framing::Json;
    if compact
        && !in_array
        && let Some(newline) = memchr::memchr(b'\n', text)
    {
        return Some(torn(&text[..newline]).unwrap_or(newline));
    }
    let signature = signature(text);
    let from = if in_array || !compact { 1 } else { at.max(1) };
    memmem::find(text.get(from..)?, signature).map(|found| from + found)
}

/// Where a whole audit event stands at the end of a broken line: two writes that ran into each other.
///
/// An event that somebody hid inside a body does not end its line.
fn torn(line: &[u8]) -> Option<usize> {
    let at = memmem::rfind(line, EVENT_START).filter(|&at| at > 0)?;
    match json::skip_strict(line, at) {
        Skip::End(end) => line[end..].trim_ascii().is_empty().then_some(at),
        _ => None,
    }
}

/// The start of a document through its first key; of an audit event through its API group.
fn signature(text: &[u8]) -> &[u8] {
    if text.starts_with(EVENT_START) {
        return EVENT_START;
    }
    let key = text.iter().position(|&byte| byte == b'"').unwrap_or(0);
    let end = text.iter().skip(key + 1).position(|&byte| byte == b'"').map_or(1, |end| key + end + 2);
    &text[..end.min(text.len())]
}

/// Follows a document that is not kept, over any number of chunks, to its end.
#[derive(Default)]
struct Passed {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Passed {
    /// Bytes of this chunk that belong to the document, and whether it ended with them.
    fn feed(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (at, byte) in chunk.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'\n' if self.in_string => return (at, true),
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
