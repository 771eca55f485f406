//! JSON documents in a stream: one per line, one after another, pretty-printed, in one array, in an object around an
//! array, after prefixes, between lines of text; and how to continue after a broken one.

use memchr::memmem;

use super::cri::{self, Part, Parts};
use super::prefix::{self, MAX_PREFIX};
use super::resync::{self, Next};
use super::scan::{Passed, Scan, scan};
use super::{Body, Document, Element, Framing, Input, More, Sink};
use crate::decode::Damage;
use crate::event::{EVENT_START, SUBSCRIPTION_START};
use crate::json::{self, Skip};

/// Objects up to this size are given out whole, with everything around their arrays. Larger ones are walked.
const WHOLE: usize = 1 << 20;
/// Bytes of one stream that may be scanned again after broken documents. When they are spent, each document must end
/// with its line.
const MAX_WASTED: u64 = 256 << 20;
/// The same budget for array elements. When it is spent, the array is abandoned.
const MAX_WASTED_NEAR: u64 = 64 * MAX_WASTED;
/// How far to look inside one element after that many were broken.
const NEAR: usize = 256 << 10;
/// Keys of a CloudWatch Logs payload that say where its events come from.
const TELLING: [&[u8]; 2] = [br#""owner":"#, br#""logGroup":"#];
/// Longest line offered for skimming.
const MAX_SKIMMED: usize = 256 * 1024;
/// Bytes of a broken document that are looked at first. The number doubles until they suffice.
const FIRST_LOOK: usize = 4096;
/// Most bytes kept of the object around a walked array.
const MAX_AROUND: usize = 16 * 1024;

/// Splits any text stream that is not CSV.
pub(super) struct Documents<'r, 's> {
    input: Input<'r>,
    sink: &'s mut dyn Sink,
    record: u64,
    /// Only blanks since the last newline.
    line_start: bool,
    /// Bytes scanned in vain after broken documents.
    wasted: u64,
    /// CRI lines whose content continues.
    parts: Parts,
}

/// What all records of one line or document have in common.
#[derive(Clone)]
pub(super) struct Head {
    pub record: u64,
    pub offset: u64,
    pub framing: Framing,
    pub time: Option<String>,
    /// If the sink keeps originals: the text before the document in its line, or all lines of a CRI content.
    pub prefix: Vec<u8>,
}

/// The object or array whose elements are being walked.
#[derive(Default)]
struct Around {
    key: Option<&'static str>,
    text: Vec<u8>,
    index: usize,
    /// Whether the element at hand begins a line.
    own_lines: bool,
    /// The start of its first element that is an object or array.
    first: Vec<u8>,
}

impl Around {
    fn begin(&mut self, element: &[u8]) {
        if self.first.is_empty() && matches!(element.first(), Some(b'{' | b'[')) {
            resync::signature(element).clone_into(&mut self.first);
        }
    }
}

impl<'r, 's> Documents<'r, 's> {
    pub(super) fn new(input: Input<'r>, sink: &'s mut dyn Sink) -> Self {
        Documents { input, sink, record: 0, line_start: true, wasted: 0, parts: Parts::default() }
    }

    pub(super) fn run(mut self) {
        while self.skip_blanks() {
            if self.skim() {
                continue;
            }
            let first = self.input.available()[0];
            match first {
                b'{' | b'[' if self.wasted > MAX_WASTED && self.line_start => self.one_line(),
                b'{' => {
                    let head = self.head(Framing::Json, None);
                    self.object(&head);
                }
                b'[' if self.opens_array() => {
                    let head = self.head(Framing::Json, None);
                    self.consume(1);
                    self.elements(&head, &mut Around::default());
                }
                _ => self.text(),
            }
        }
        for part in self.parts.unfinished() {
            part.give_records(|part| emit(self.sink, &part.head, None, Body::Broken(part.content())));
        }
    }

    /// Offers the line at hand to the sink; true if the sink took it.
    fn skim(&mut self) -> bool {
        let bytes = self.input.available();
        if !self.line_start || !matches!(bytes[0], b'{' | b'0'..=b'9') || bytes.starts_with(SUBSCRIPTION_START) {
            return false;
        }
        let Some(end) = self.line_at_hand().filter(|end| self.sink.skim(&self.input.available()[..*end])) else {
            return false;
        };
        self.record += 1;
        self.line_start = false;
        self.consume(end);
        true
    }

    /// Where the line ends, if it is short and holds no zero byte: another record may follow a zero byte.
    fn line_at_hand(&mut self) -> Option<usize> {
        loop {
            let bytes = self.input.available();
            let found = memchr::memchr2(b'\n', 0, &bytes[..bytes.len().min(MAX_SKIMMED)]);
            let newline = found.filter(|at| bytes[*at] == b'\n');
            if found.is_some() || bytes.len() >= MAX_SKIMMED || self.input.grow() != More::Text {
                return newline
                    .map(|end| if end > 0 && self.input.available()[end - 1] == b'\r' { end - 1 } else { end });
            }
        }
    }

    /// Skips white space, control bytes and byte order marks; false at the end of the stream.
    fn skip_blanks(&mut self) -> bool {
        loop {
            match self.input.next_text(self.sink) {
                Some(reached) => self.line_start |= reached,
                None => return false,
            }
            let first = self.input.available()[0];
            let blank = match first {
                b'\n' => {
                    self.record += u64::from(self.line_start);
                    self.line_start = true;
                    1
                }
                b' ' | b'\t' | b'\r' | 0..32 => {
                    let bytes = self.input.available();
                    bytes.iter().position(|&b| b > 32 || b == b'\n').unwrap_or(bytes.len())
                }
                b',' if !self.line_start || self.comma_leads() => 1,
                0xEF if self.input.head(3, |_| false).0 == b"\xef\xbb\xbf" => 3,
                _ => return true,
            };
            self.consume(blank);
        }
    }

    /// Whether the comma at hand precedes an object: some tools put the comma at the start of the next line.
    fn comma_leads(&mut self) -> bool {
        let next = |text: &[u8]| text[1..].iter().find(|byte| **byte != b' ').copied();
        next(self.input.head(usize::MAX, |text| next(text).is_some()).0) == Some(b'{')
    }

    /// Whether a comma follows the byte at hand.
    fn comma_follows(&mut self) -> bool {
        let next = |text: &[u8]| text[1..].iter().find(|byte| !byte.is_ascii_whitespace()).copied();
        next(self.input.head(usize::MAX, |text| next(text).is_some()).0) == Some(b',')
    }

    /// Drops bytes; true if that reached damage.
    fn consume(&mut self, count: usize) -> bool {
        let reached = self.input.consume(count, self.sink);
        self.line_start |= reached;
        reached
    }

    fn head(&mut self, framing: Framing, time: Option<&str>) -> Head {
        self.record += 1;
        Head {
            record: self.record,
            offset: self.input.offset(),
            framing,
            time: time.map(str::to_owned),
            prefix: Vec::new(),
        }
    }

    /// Whether the `[` at hand opens an array of records, rather than a line such as `[error] …` or `["a"]: …`.
    fn opens_array(&mut self) -> bool {
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

    /// Gives out a document that is an object, or the elements of an array in it.
    fn object(&mut self, head: &Head) {
        loop {
            match scan(self.input.available(), 1) {
                Scan::Whole(end) if self.is_matched(end) => {
                    self.give(head, None, end);
                    return;
                }
                Scan::Whole(end) => {
                    self.give_broken(head, None, end);
                    return;
                }
                Scan::Array(key, at) => return self.around_array(head, key, at),
                Scan::Broken(at) => return self.broken(head, at),
                Scan::Incomplete => match self.input.grow() {
                    More::Text => {}
                    More::End => return self.broken(head, self.input.available().len()),
                    More::Limit => return self.too_long(head, None),
                },
            }
        }
    }

    /// An object with an array of records: given out whole if it is small and sound, otherwise walked. A CloudWatch
    /// Logs payload that says where its events come from is walked whatever its size, so that the sink can skim its
    /// events.
    fn around_array(&mut self, head: &Head, key: &'static str, at: usize) {
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

    /// Whether every bracket before `end` closes one of its kind: otherwise a lost bracket may have moved the end. An
    /// audit event is accepted whatever its brackets are.
    fn is_matched(&self, end: usize) -> bool {
        let text = &self.input.available()[..end];
        text.starts_with(EVENT_START) || json::is_matched(text)
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

    /// Gives out the document or element at hand, which ends at `end`; true if that reached damage.
    fn give(&mut self, head: &Head, around: Option<&Around>, end: usize) -> bool {
        let fits = end <= self.input.max_record;
        let body = if fits { Body::Json(&self.input.available()[..end]) } else { Body::TooLong };
        emit(self.sink, head, around, body);
        self.line_start = false;
        self.consume(end)
    }

    /// Gives out the elements of an array whose opening bracket was consumed; false if the array was abandoned before
    /// its end.
    fn elements(&mut self, head: &Head, around: &mut Around) -> bool {
        self.line_start = false;
        loop {
            if self.wasted > MAX_WASTED_NEAR {
                self.unclosed(head);
                return false;
            }
            match self.next_in_structure(around) {
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
                    let reached = self.give(head, Some(around), end);
                    if reached {
                        self.unclosed(head);
                    }
                    return !reached;
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
        while let Some(byte) = self.next_in_structure(&mut around) {
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
    fn next_in_structure(&mut self, around: &mut Around) -> Option<u8> {
        loop {
            let bytes = self.input.available();
            let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | 0);
            let found = bytes.iter().position(|byte| !blank(byte));
            let count = found.unwrap_or(bytes.len());
            if count > 0 {
                around.own_lines = bytes[count - 1] == b'\n';
            }
            let byte = found.map(|at| bytes[at]);
            if count > 0 && self.consume(count) {
                return None;
            }
            if byte.is_some() {
                return byte;
            }
            if self.input.grow() != More::Text {
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

    /// Reads a document that must end with its line: so many were broken that looking further would cost too much.
    fn one_line(&mut self) {
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
    fn broken(&mut self, head: &Head, looked: usize) {
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
    fn reach(&self) -> usize {
        if self.wasted > MAX_WASTED { NEAR } else { usize::MAX }
    }

    fn broken_element(&mut self, head: &Head, around: &mut Around, looked: usize) -> bool {
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
        let reached = self.give_broken(head, Some(around), end);
        if matches!(next, Next::Document(_)) {
            self.unclosed(head);
            return false;
        }
        !reached
    }

    /// Gives out a broken document, and reports damage if it may have swallowed others. True if its end reached damage.
    fn give_broken(&mut self, head: &Head, around: Option<&Around>, end: usize) -> bool {
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
        self.consume(end)
    }

    /// Skips a document that is larger than a record may be, without keeping it.
    fn too_long(&mut self, head: &Head, around: Option<&Around>) {
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

    /// Handles a line that does not start with JSON, or the text after a document in its line.
    fn text(&mut self) {
        let (line, _) = self.input.head(MAX_PREFIX, |text| text.contains(&b'\n'));
        let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
        // Where a newline was lost a line begins behind a document.
        let found = prefix::find(line).filter(|found| self.line_start || found.begins_a_line());
        if let Some(found) = found {
            let (framing, content) = (found.framing, found.content);
            let time = found.time.map(str::to_owned);
            if framing == Framing::Cri {
                return self.cri_line();
            }
            let mut head = self.head(framing, time.as_deref());
            if self.sink.keeps_originals() {
                head.prefix = self.input.available()[..content].to_vec();
            }
            self.consume(content);
            return self.object(&head);
        }
        // A single byte between two documents was a newline or a comma.
        let is_joint = !self.line_start && self.input.head(2, |_| false).0.get(1) == Some(&b'{');
        let end = if is_joint {
            1
        } else {
            let Some(end) = self.whole_line(Framing::Json) else { return };
            resync::event_in_text(&self.input.available()[..end]).unwrap_or(end)
        };
        let line = &self.input.available()[..end];
        let trailer = !self.line_start && line.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace());
        if !trailer {
            let head = self.head(Framing::Json, None);
            emit(self.sink, &head, None, Body::Text(self.input.available()[..end].trim_ascii_end()));
        }
        self.line_start = false;
        self.consume(end);
    }

    /// Handles a CRI line: keeps it while its content continues, and gives the content out when it is whole.
    fn cri_line(&mut self) {
        let Some(end) = self.whole_line(Framing::Cri) else { return };
        let line = &self.input.available()[..end];
        // If the end of a line was lost, the next line begins inside it. A line of plain text may quote one, so this is
        // checked only for lines that hold or continue an object.
        let next = cri::line_in_line(line).filter(|_| !self.parts.is_empty() || cri::holds_object(line));
        let line = line[..next.unwrap_or(end)].to_vec();
        let text = String::from_utf8_lossy(&line[..line.len().min(MAX_PREFIX)]);
        if let Some(cri) = cri::parse(&text) {
            let mut head = self.head(Framing::Cri, Some(cri.time));
            let content = line.get(cri.content..).unwrap_or_default();
            let content = content.strip_suffix(b"\r").unwrap_or(content).to_vec();
            if self.sink.keeps_originals() {
                head.prefix = line.strip_suffix(b"\r").unwrap_or(&line).to_vec();
            }
            let give = |part: &Part| emit(self.sink, &part.head, None, part.body());
            self.parts.add(&cri, Part::new(head, content), self.input.max_record, give);
        }
        self.line_start = next.is_some();
        self.consume(line.len());
    }

    /// The end of the line at hand, without its newline. Skips a line that is longer than a record may be, and returns
    /// `None`.
    fn whole_line(&mut self, framing: Framing) -> Option<usize> {
        let (end, too_long) = self.input.line();
        if !too_long {
            return Some(end);
        }
        let head = self.head(framing, None);
        emit(self.sink, &head, None, Body::TooLong);
        self.line_start = self.input.pass_line(self.sink);
        None
    }
}

fn emit(sink: &mut dyn Sink, head: &Head, around: Option<&Around>, body: Body<'_>) {
    let line;
    let original = match head.framing {
        Framing::Cri => &head.prefix,
        _ if around.is_some() || head.prefix.is_empty() => body.bytes(),
        _ => {
            line = [&head.prefix, body.bytes()].concat();
            &line
        }
    };
    sink.document(Document {
        record: head.record,
        offset: Some(head.offset),
        element: around.map(|around| Element { key: around.key, index: around.index, around: &around.text }),
        framing: head.framing,
        time: head.time.as_deref(),
        body,
        original,
    });
}
