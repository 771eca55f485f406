//! A stream of text → documents with their place, in bounded memory, whatever lies between them.

mod avro;
mod csv;
mod json;
mod prefix;

use std::io::{self, Read};

use crate::decode::{Damage, Kind, Limits, Window};

/// One framed line, document, row or array element.
#[derive(Debug)]
pub struct Document<'a> {
    /// Number of the line or document in its stream, from 1; blank lines count.
    pub record: u64,
    /// Offset of its first byte in the decoded text; `None` for Avro, whose blocks have none.
    pub offset: Option<u64>,
    /// The element of a document that is walked element by element.
    pub element: Option<Element<'a>>,
    /// What stood between the documents tells the tool that wrote them.
    pub framing: Framing,
    /// Time from the line's prefix.
    pub time: Option<&'a str>,
    /// The document itself.
    pub body: Body<'a>,
}

/// The place of an element inside the document around it.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    /// Key of the array; `None` where the document is the array.
    pub key: Option<&'static str>,
    /// Index in the array.
    pub index: usize,
    /// The object around the array, from its brace up to the array: a cut object whose first members can be read.
    pub around: &'a [u8],
}

/// The inside of a [`Document`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// One JSON value.
    Json(&'a [u8]),
    /// Something that starts as JSON and is none.
    Broken(&'a [u8]),
    /// A line that is no JSON.
    Text(&'a [u8]),
    /// More than `--max-record` bytes; not kept.
    TooLong,
}

/// How the documents of a stream are told apart.
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
    /// A CSV row, as an object of its columns.
    Csv,
    /// An Avro record.
    Avro,
}

/// Takes what [`frame`] finds.
pub trait Sink {
    /// The next document, in order.
    fn document(&mut self, document: Document<'_>);
    /// Bytes were lost: decoding failed here, or the stream ended inside a structure.
    fn damage(&mut self, damage: Damage);
}

/// Splits a stream into documents. Reads it to its end, beyond any damage that can be passed.
pub fn frame(kind: Kind, reader: &mut dyn Read, limits: Limits, sink: &mut dyn Sink) {
    if kind == Kind::Avro {
        return avro::frame(reader, sink);
    }
    let mut input = Input::new(reader, limits.max_record);
    if let Some(header) = csv::header(&mut input, sink) {
        csv::Rows::new(input, header, sink).run();
    } else {
        json::Documents::new(input, sink).run();
    }
}

/// The text of a stream; what lies behind damage is shown only when all before it was consumed.
struct Input<'r> {
    window: Window<&'r mut dyn Read>,
    max_record: usize,
    /// Offset up to which text is sound, while there is damage ahead.
    barrier: Option<u64>,
    ended: bool,
}

/// What asking for more text brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Text,
    /// Nothing more belongs to the text at hand.
    End,
    /// The text at hand is as long as a record may be.
    Limit,
}

impl<'r> Input<'r> {
    fn new(reader: &'r mut dyn Read, max_record: usize) -> Self {
        Input { window: Window::new(reader), max_record, barrier: None, ended: false }
    }

    fn available(&self) -> &[u8] {
        self.window.available()
    }

    fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// Drops the first bytes; true where that reached damage, and what follows is another text.
    fn consume(&mut self, count: usize) -> bool {
        io::BufRead::consume(&mut self.window, count);
        let crossed = self.barrier.is_some_and(|barrier| barrier <= self.offset());
        if crossed {
            self.barrier = None;
        }
        crossed
    }

    /// Whether there is any more text to consume.
    fn is_done(&mut self, sink: &mut dyn Sink) -> bool {
        while self.available().is_empty() {
            // A barrier with nothing before it separates nothing.
            self.barrier = None;
            if self.ended {
                return true;
            }
            self.read(sink);
        }
        false
    }

    /// Doubles the text at hand, so that scanning again from its start costs no more than twice in all.
    fn grow(&mut self, sink: &mut dyn Sink) -> More {
        let had = self.available().len();
        if had > self.max_record {
            return More::Limit;
        }
        while self.available().len() < (had * 2).max(1) {
            if self.barrier.is_some() || self.ended {
                break;
            }
            self.read(sink);
        }
        if self.available().len() > had { More::Text } else { More::End }
    }

    fn read(&mut self, sink: &mut dyn Sink) {
        match self.window.extend() {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) => {
                self.barrier = Some(self.offset() + self.available().len() as u64);
                let damage = error.get_ref().and_then(|inner| inner.downcast_ref::<Damage>()).cloned();
                self.ended = damage.is_none();
                let at = self.barrier.unwrap_or_default();
                sink.damage(damage.unwrap_or_else(|| Damage { what: error.to_string(), at, text_start: at }));
            }
        }
    }
}
