//! JSON documents in a stream: one per line, one after another, pretty-printed, in one array, in an object around an
//! array, after prefixes, between lines of text; and how to continue after a broken one.

mod array;
mod broken;

use self::array::Around;
use super::cri::{self, Part, Parts};
use super::prefix::{self, MAX_PREFIX};
use super::resync;
use super::scan::{Scan, scan};
use super::{Body, Document, Element, Framing, Input, More, Sink};
use crate::decode::Damage;
use crate::event::{EVENT_START, SUBSCRIPTION_START};
use crate::json;

/// Bytes of one stream that may be scanned again after broken documents. When they are spent, each document must end
/// with its line.
const MAX_WASTED: u64 = 256 << 20;
/// Zero bytes in a row that no writer puts behind its last record: the least that a disk or a download leaves unwritten.
const HOLE: u64 = 512;
/// Bytes of a tar without files, which are all zero.
const EMPTY_TARS: [u64; 2] = [1024, 10_240];
/// Longest line offered for skimming.
const MAX_SKIMMED: usize = 256 * 1024;

/// Splits any text stream that is not CSV.
pub(super) struct Documents<'r, 's> {
    input: Input<'r>,
    sink: &'s mut dyn Sink,
    record: u64,
    /// Only blanks since the last newline.
    line_start: bool,
    /// Zero bytes at hand since the last byte that is not one.
    zeros: u64,
    /// Bytes scanned in vain after broken documents.
    wasted: u64,
    /// How the last line with a prefix was framed.
    prefixed: Option<Framing>,
    /// CRI lines whose content continues.
    parts: Parts,
}

/// What all records of one line or document have in common.
#[derive(Clone)]
pub(super) struct Head {
    pub record: u64,
    pub offset: u64,
    /// The number of damages before it.
    pub text: u64,
    pub framing: Framing,
    pub time: Option<String>,
    /// If the sink keeps originals: the text before the document in its line, or all lines of a CRI content.
    pub prefix: Vec<u8>,
}

impl<'r, 's> Documents<'r, 's> {
    pub(super) fn new(input: Input<'r>, sink: &'s mut dyn Sink) -> Self {
        Documents {
            input,
            sink,
            record: 0,
            line_start: true,
            zeros: 0,
            wasted: 0,
            prefixed: None,
            parts: Parts::default(),
        }
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
        self.hole();
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

    /// Tells that the stream ends with bytes that were never written. In front of text they are what a log has that was
    /// truncated while its writer went on.
    fn hole(&mut self) {
        let end = self.input.offset();
        let is_tar = self.zeros == end && EMPTY_TARS.contains(&end);
        if self.zeros >= HOLE && !is_tar {
            let what = format!("the text ends with {} zero bytes: what belongs there was not written", self.zeros);
            self.sink.damage(Damage { what, at: end - self.zeros, text_start: end });
        }
    }

    /// Skips white space, control bytes and byte order marks; false at the end of the stream.
    fn skip_blanks(&mut self) -> bool {
        self.zeros = 0;
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
            let bytes = &self.input.available()[..blank];
            let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
            self.zeros = if zeros == blank { self.zeros } else { 0 } + zeros as u64;
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
            text: self.input.text,
            framing,
            time: time.map(str::to_owned),
            prefix: Vec::new(),
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

    /// Whether every bracket before `end` closes one of its kind: otherwise a lost bracket may have moved the end. An
    /// audit event is accepted whatever its brackets are.
    fn is_matched(&self, end: usize) -> bool {
        let text = &self.input.available()[..end];
        text.starts_with(EVENT_START) || json::is_matched(text)
    }

    /// Gives out the document or element at hand, which ends at `end`.
    fn give(&mut self, head: &Head, around: Option<&Around>, end: usize) {
        let text = &self.input.available()[..end];
        let body = match text {
            _ if end > self.input.max_record => Body::TooLong,
            // It is given out whatever its brackets are.
            _ if text.starts_with(EVENT_START) && !json::is_matched(text) => Body::Broken(text),
            _ => Body::Json(text),
        };
        emit(self.sink, head, around, body);
        self.line_start = false;
        self.consume(end);
    }

    /// Handles a line that does not start with JSON, or the text after a document in its line.
    fn text(&mut self) {
        let (line, _) = self.input.head(MAX_PREFIX, |text| text.contains(&b'\n'));
        let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
        // Where a newline was lost, a line of the same log begins behind a document.
        let begins = |found: &prefix::Prefix<'_>| {
            self.line_start || found.begins_a_line() && self.prefixed == Some(found.framing)
        };
        let found = prefix::find(line).filter(begins);
        if let Some(found) = found {
            let (framing, content) = (found.framing, found.content);
            let time = found.time.map(str::to_owned);
            self.prefixed = Some(framing);
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
