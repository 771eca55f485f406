//! A stream of text → documents with their place, in bounded memory, whatever lies between them.

mod avro;
mod blocks;
mod columnar;
mod cri;
mod csv;
mod footer;
mod json;
mod prefix;
mod resync;
mod row;
mod scan;

use std::io::{self, Read};

use crate::decode::{Damage, Kind, Limits, Window};
pub(crate) use cri::cri_content;
pub(crate) use resync::{begins_as, signature};

/// One framed line, document, row or array element.
#[derive(Debug)]
pub struct Document<'a> {
    /// Number of the line or document in its stream, from 1; blank lines count.
    pub record: u64,
    /// Offset of its first byte in the decoded text; `None` for Avro and Parquet, which have none.
    pub offset: Option<u64>,
    /// The place of this element, if the document around it is walked element by element.
    pub element: Option<Element<'a>>,
    /// How documents are separated, which shows which tool wrote them.
    pub framing: Framing,
    /// Time from the line's prefix.
    pub time: Option<&'a str>,
    /// The document itself.
    pub body: Body<'a>,
    /// The bytes of the record as they stand in the text, without the line ending. Unless the sink [keeps
    /// originals](Sink::keeps_originals), any prefix is left out too, and for CRI lines it is empty.
    pub original: &'a [u8],
}

/// The place of an element inside the document around it.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    /// Key of the array; `None` where the document is the array.
    pub key: Option<&'static str>,
    /// Index in the array.
    pub index: usize,
    /// The object around the array, from its opening brace up to the array. It is cut there, but its first members can
    /// be read.
    pub around: &'a [u8],
}

/// The content of a [`Document`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// One JSON value.
    Json(&'a [u8]),
    /// Something that starts as JSON but is not valid.
    Broken(&'a [u8]),
    /// A line that is not JSON.
    Text(&'a [u8]),
    /// Longer than `--max-record`; not kept.
    TooLong,
}

impl<'a> Body<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Body::Json(text) | Body::Broken(text) | Body::Text(text) => text,
            Body::TooLong => b"",
        }
    }
}

/// How the documents of a stream are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// JSON with nothing around it.
    Json,
    /// `<time> {…}`: a CloudWatch Logs export task.
    CloudWatchExport,
    /// `<time> <stream> {…}`: `aws logs tail`.
    CloudWatchTail,
    /// `EVENTS <tab> … {…} <tab> <time>`: `aws logs filter-log-events --output text`.
    CloudWatchText,
    /// `<node> {…}`: `oc adm node-logs`.
    Node,
    /// `<time> stdout F …`: the CRI log format.
    Cri,
    /// `<time> <tab> <tag> <tab> {…}`: a Fluentd file.
    Fluentd,
    /// `<time> {<labels>} {…}`: what `logcli query` prints.
    Loki,
    /// A CSV row, as an object of its columns.
    Csv,
    /// A record of an Avro file, or a row of a Parquet file.
    Row,
}

/// Takes what [`frame`] finds.
pub trait Sink {
    /// The next document, in order.
    fn document(&mut self, document: Document<'_>);
    /// Offers a line, without its newline, before it is parsed; true if the sink took it as a record that needs no
    /// parsing.
    fn skim(&mut self, line: &[u8]) -> bool {
        let _ = line;
        false
    }
    /// Whether [`Document::original`] is wanted in full, which costs a copy of every line with a prefix.
    fn keeps_originals(&self) -> bool {
        false
    }
    /// Bytes were lost: decoding failed here, or the stream ended inside a structure.
    fn damage(&mut self, damage: Damage);
}

/// Splits a stream into documents. Reads it to its end, past any damage that can be skipped.
pub fn frame(kind: Kind, reader: &mut dyn Read, limits: Limits, sink: &mut dyn Sink) {
    match kind {
        Kind::Avro => return avro::frame(reader, limits.max_record, sink),
        Kind::Parquet => return columnar::frame(reader, limits.max_record, sink),
        _ => {}
    }
    let mut input = Input::new(reader, limits.max_record);
    if let Some(header) = csv::header(&mut input, sink) {
        csv::Rows::new(input, header, sink).run();
    } else {
        json::Documents::new(input, sink).run();
    }
}

/// Keys whose array holds records: CloudWatch (`logEvents`, `events`, `results`), Azure (`records`, `value`),
/// EventList (`items`), CloudTrail-like files and streams (`Records`), SQS (`Messages`), the REST API of Cloud Logging
/// (`entries`) and of Pub/Sub (`receivedMessages`), Elasticsearch (`responses`).
pub(crate) const ARRAYS: [&str; 11] = [
    "logEvents",
    "events",
    "results",
    "records",
    "value",
    "items",
    "Records",
    "Messages",
    "entries",
    "receivedMessages",
    "responses",
];

/// The text of a stream. What follows damage is shown only after everything before it was consumed.
struct Input<'r> {
    window: Window<&'r mut dyn Read>,
    max_record: usize,
    /// Damage ahead, and the offset up to which the text is sound.
    ahead: Option<(u64, Damage)>,
    /// Number of damages passed: what begins in one text does not continue in the next.
    text: u64,
    ended: bool,
    /// No line ends before this offset: a search from further back has shown it.
    no_newline: u64,
}

/// The result of asking for more text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Text,
    /// Nothing more belongs to the text at hand.
    End,
    /// The text at hand is longer than a record may be.
    Limit,
}

impl<'r> Input<'r> {
    fn new(reader: &'r mut dyn Read, max_record: usize) -> Self {
        Input { window: Window::new(reader), max_record, ahead: None, text: 0, ended: false, no_newline: 0 }
    }

    /// The text at hand, up to one byte more than a record may have. How much arrived beyond that is chance.
    fn available(&self) -> &[u8] {
        let bytes = self.window.available();
        &bytes[..bytes.len().min(self.max_record.saturating_add(1))]
    }

    /// The first `size` bytes of the text at hand, and whether more may follow. Fewer if the text ends, or if
    /// `is_enough` accepts what is at hand. Callers look only for what these bytes decide, so that it does not depend
    /// on how bytes arrive.
    fn head(&mut self, size: usize, is_enough: impl Fn(&[u8]) -> bool) -> (&[u8], bool) {
        while self.available().len() < size && !is_enough(self.available()) && self.grow() == More::Text {}
        let bytes = self.available();
        (&bytes[..bytes.len().min(size)], bytes.len() >= size)
    }

    fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// Drops the first bytes; true if that reached damage, which is then reported: what follows is a separate text.
    fn consume(&mut self, count: usize, sink: &mut dyn Sink) -> bool {
        io::BufRead::consume(&mut self.window, count);
        // Only reading on shows whether the last byte at hand precedes damage.
        while self.available().is_empty() && self.ahead.is_none() && !self.ended {
            self.read();
        }
        let reached = self.ahead.as_ref().is_some_and(|(barrier, _)| *barrier <= self.offset());
        reached && self.tell(sink)
    }

    fn tell(&mut self, sink: &mut dyn Sink) -> bool {
        let ahead = self.ahead.take();
        let is_there = ahead.is_some();
        if let Some((_, damage)) = ahead {
            self.text += 1;
            sink.damage(damage);
        }
        is_there
    }

    /// Moves on to text that can be consumed. True if damage precedes it, so that it is a separate text; `None` at the
    /// end.
    fn next_text(&mut self, sink: &mut dyn Sink) -> Option<bool> {
        let mut reached = false;
        while self.available().is_empty() {
            reached |= self.tell(sink);
            if self.ended {
                return None;
            }
            self.read();
        }
        Some(reached)
    }

    /// Doubles the text at hand, so that scanning again from its start at most doubles the cost.
    fn grow(&mut self) -> More {
        let had = self.available().len();
        if had > self.max_record {
            return More::Limit;
        }
        let wanted = (had * 2).clamp(1, self.max_record.saturating_add(1));
        while self.available().len() < wanted && self.ahead.is_none() && !self.ended {
            self.read();
        }
        if self.available().len() > had { More::Text } else { More::End }
    }

    /// Where the line at hand ends, without its newline, or the text at hand, and whether it is longer than a record
    /// may be.
    fn line(&mut self) -> (usize, bool) {
        loop {
            let bytes = self.available();
            let searched = usize::try_from(self.no_newline.saturating_sub(self.offset())).unwrap_or(usize::MAX);
            let searched = searched.min(bytes.len());
            let newline = memchr::memchr(b'\n', &bytes[searched..]).map(|newline| searched + newline);
            let searched = newline.unwrap_or(bytes.len());
            self.no_newline = self.offset() + searched as u64;
            if let Some(end) = newline {
                return (end, end > self.max_record);
            }
            match self.grow() {
                More::Text => {}
                More::End => return (searched, searched > self.max_record),
                More::Limit => return (searched, true),
            }
        }
    }

    /// Consumes up to the next newline; true if damage came first.
    fn pass_line(&mut self, sink: &mut dyn Sink) -> bool {
        loop {
            let bytes = self.available();
            let newline = memchr::memchr(b'\n', bytes);
            let count = newline.unwrap_or(bytes.len());
            let reached = self.consume(count, sink);
            if reached || newline.is_some() {
                return reached;
            }
            match self.next_text(sink) {
                Some(false) => {}
                reached => return reached.is_some(),
            }
        }
    }

    fn read(&mut self) {
        match self.window.extend() {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) => {
                let at = self.offset() + self.window.available().len() as u64;
                let damage = Damage::of(&error).cloned();
                self.ended = damage.is_none();
                self.ahead =
                    Some((at, damage.unwrap_or_else(|| Damage { what: error.to_string(), at, text_start: at })));
            }
        }
    }
}
