//! CSV exports of consoles and query tools. Each row becomes an object of its columns (RFC 4180).
//!
//! Row ends are found here, so that one stray quote cannot swallow the rest of the file. The parser of the csv crate reads
//! each row.

use std::ops::Range;

use csv_core::ReadRecordResult;

use super::{Body, Document, Framing, Input, More, Sink};
use crate::json::equal_folded;
use crate::names;

/// Columns that mark an export of audit records. Other columns may be present too.
const KNOWN: [&str; 25] = [
    "@message",
    "message",
    "_raw",
    "log_s",
    "log",
    "line",
    "event",
    "data",
    "properties",
    "properties_s",
    "AdditionalFields",
    "AuditId",
    "auditID",
    "verb",
    "requestURI",
    "objectRef.resource",
    "kubernetes.audit.auditID",
    "kubernetes.audit.verb",
    "kubernetes.audit.objectRef.resource",
    "RawEvent",
    "protoPayload",
    "protoPayload.methodName",
    "protopayload_auditlog",
    "jsonPayload",
    "textPayload",
];
/// The delimiter depends on the tool and the language of the spreadsheet. The header shows which one is used.
const DELIMITERS: [u8; 5] = [b',', b';', b'\t', b'|', 1];
/// Longest header, with anything before it.
const MAX_HEADER: usize = 64 * 1024;

/// Lines of something else that may stand before the header: comments, titles, another small table.
const LEADING: usize = 4;

/// The columns of an export.
pub(super) struct Header {
    columns: Vec<String>,
    delimiter: u8,
    reader: csv_core::Reader,
    /// Number of lines before it.
    leading: u64,
}

impl Header {
    /// The columns, if this row is a header again: another file was appended to this one, perhaps with its columns in
    /// another order.
    fn columns_again(&mut self, row: &[u8]) -> Option<Vec<String>> {
        let separators = memchr::memchr_iter(self.delimiter, row).count();
        if separators + 1 < self.columns.len() {
            return None;
        }
        let start = row.strip_prefix(b"\"").unwrap_or(row);
        let begins = |column: &String| !column.is_empty() && start.starts_with(column.as_bytes());
        self.columns.iter().find(|column| begins(column))?;
        let mut columns = cells(row, &mut self.reader)?;
        for column in &mut columns {
            *column = column.trim().to_owned();
        }
        let sorted = |columns: &[String]| {
            let mut columns = columns.to_vec();
            columns.sort();
            columns
        };
        (columns.len() > 1 && sorted(&columns) == sorted(&self.columns)).then_some(columns)
    }

    /// A row as a JSON object of strings.
    fn object(&self, cells: &[String]) -> String {
        let columns = self.columns.iter().zip(cells);
        let members = columns.map(|(column, cell)| format!("{}:{}", quoted(column), quoted(cell)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// Reads the header row, after lines that are given out as text; `None` (and nothing consumed) where the stream is not
/// such an export.
pub(super) fn header(input: &mut Input<'_>, sink: &mut dyn Sink) -> Option<Header> {
    let is_json = |text: &[u8]| text.get(start(text)).is_some_and(|byte| b"{[".contains(byte));
    let begin = input.offset();
    let (bytes, _) = input.head(MAX_HEADER, |text| is_json(text) || lines(text).nth(LEADING).is_some());
    if is_json(bytes) {
        return None;
    }
    let named = |(number, line): (usize, Range<usize>)| Some((columns(&bytes[line.clone()], number)?, line));
    let (header, line) = lines(bytes).take(LEADING + 1).enumerate().find_map(named)?;
    let leading = lines(bytes).take_while(|other| other.start < line.start);
    let leading: Vec<_> = leading.map(|line| (begin + line.start as u64, bytes[line].to_vec())).collect();
    for (record, (offset, text)) in (1..).zip(&leading) {
        sink.document(Document {
            record,
            offset: Some(*offset),
            element: None,
            framing: Framing::Csv,
            time: None,
            body: Body::Text(text.trim_ascii_end()),
            original: text,
        });
    }
    input.consume(line.end + 1, sink);
    Some(Header { leading: leading.len() as u64, ..header })
}

/// The columns that a line names. A line that is not the first must name two that are known.
fn columns(line: &[u8], number: usize) -> Option<Header> {
    let line = String::from_utf8_lossy(line);
    if line.starts_with(['{', '[']) || line.contains("{\"") {
        return None;
    }
    DELIMITERS.iter().find_map(|&delimiter| {
        let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let columns: Vec<String> =
            cells(line.as_bytes(), &mut reader)?.iter().map(|column| column.trim().to_owned()).collect();
        let is_known = |column: &&String| KNOWN.iter().any(|known| equal_folded(known, column));
        let known = columns.iter().filter(is_known).count();
        // A line of a log may quote such names, as its users wrote them, but is not made of names.
        let is_event = || names::prefix(&columns.iter().map(String::as_str)).is_some();
        let enough = (known > usize::from(number > 0) || is_event())
            && columns.iter().all(|column| is_name(column))
            && (columns.len() > 1 || delimiter == b',');
        enough.then_some(Header { columns, delimiter, reader, leading: 0 })
    })
}

/// Whether this may name a column: `objectRef.resource`, `TimeGenerated [UTC]`, or nothing. Bytes that were lost are no
/// objection.
fn is_name(column: &str) -> bool {
    let is_lost = |c: char| c == char::REPLACEMENT_CHARACTER;
    let is_inner = |c: char| c.is_alphanumeric() || "_@.-[](){}/#% ".contains(c) || is_lost(c);
    let begins = |c: char| c.is_alphabetic() || "_@#%".contains(c) || is_lost(c);
    column.is_empty() || column.starts_with(begins) && column.chars().all(is_inner)
}

/// Where the first line begins that is not blank, after a byte order mark and a `sep=` line.
fn start(bytes: &[u8]) -> usize {
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let at = mark + bytes[mark..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let passed = bytes[at..].starts_with(b"sep=").then(|| memchr::memchr(b'\n', &bytes[at..])).flatten();
    passed.map_or(at, |end| at + end + 1)
}

/// The whole lines from there on.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = start(bytes);
    std::iter::from_fn(move || {
        let line = at..at + row_end(&bytes[at..], false)?;
        at = line.end + 1;
        Some(line)
    })
}

/// The rows after a header.
pub(super) struct Rows<'r, 's> {
    input: Input<'r>,
    header: Header,
    sink: &'s mut dyn Sink,
    record: u64,
}

impl<'r, 's> Rows<'r, 's> {
    pub(super) fn new(input: Input<'r>, header: Header, sink: &'s mut dyn Sink) -> Self {
        let record = header.leading;
        Rows { input, header, sink, record }
    }

    pub(super) fn run(mut self) {
        while self.input.next_text(self.sink).is_some() {
            self.record += 1;
            let (start, _) = self.input.head(2, |text| text.starts_with(b"\n"));
            if start.starts_with(b"\n") || start == b"\r\n" {
                self.input.pass_line(self.sink);
            } else {
                self.row();
            }
            if matches!(self.input.available().first(), Some(b'\n' | b'\r')) {
                self.input.consume(1, self.sink);
            }
        }
    }

    fn row(&mut self) {
        loop {
            let bytes = self.input.available();
            if let Some(end) = row_end(bytes, false) {
                return self.emit(end);
            }
            match self.input.grow() {
                More::Text => {}
                More::End => {
                    let bytes = self.input.available();
                    return self.emit(row_end(bytes, true).unwrap_or(bytes.len()));
                }
                More::Limit => {
                    self.document(Body::TooLong, b"");
                    self.input.pass_line(self.sink);
                    return;
                }
            }
        }
    }

    /// Gives out the row that ends at `end`. A row that spans lines and does not fit the header is cut at its first
    /// newline.
    fn emit(&mut self, end: usize) {
        let row = &self.input.available()[..end];
        if let Some(columns) = self.header.columns_again(row) {
            self.header.columns = columns;
            self.input.consume(end, self.sink);
            return;
        }
        // If a block was lost, the row may join the beginning of one record to the end of another.
        let closed = memchr::memchr_iter(b'"', row).count().is_multiple_of(2) && memchr::memchr(0, row).is_none();
        let fits = |cells: &Vec<String>| closed && cells.len() == self.header.columns.len();
        let object = cells(row, &mut self.header.reader).filter(fits).map(|cells| self.header.object(&cells));
        let end = if object.is_some() { end } else { memchr::memchr(b'\n', row).unwrap_or(end) };
        let row = row[..end].to_vec();
        let original = row.strip_suffix(b"\r").unwrap_or(&row);
        match object {
            _ if end > self.input.max_record => self.document(Body::TooLong, b""),
            Some(object) => self.document(Body::Json(object.as_bytes()), original),
            None => self.document(Body::Broken(&row), original),
        }
        self.input.consume(end, self.sink);
    }

    fn document(&mut self, body: Body<'_>, original: &[u8]) {
        self.sink.document(Document {
            record: self.record,
            offset: Some(self.input.offset()),
            element: None,
            framing: Framing::Csv,
            time: None,
            body,
            original,
        });
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Where the first row ends: at a newline outside quotes, or at a carriage return without a newline. The byte after a
/// carriage return decides, so one at the end of the text counts only if `is_all`.
fn row_end(bytes: &[u8], is_all: bool) -> Option<usize> {
    let mut quoted = false;
    memchr::memchr3_iter(b'"', b'\n', b'\r', bytes).find(|&at| {
        quoted ^= bytes[at] == b'"';
        let ends = match bytes[at] {
            b'\r' => bytes.get(at + 1).map_or(is_all, |next| *next != b'\n'),
            byte => byte == b'\n',
        };
        ends && !quoted
    })
}

/// The cells of a row. One reader serves all rows, since to build one takes longer than to read a row. (Its copies read
/// nothing, csv-core 0.1.13.)
fn cells(row: &[u8], reader: &mut csv_core::Reader) -> Option<Vec<String>> {
    reader.reset();
    let (mut rest, mut text, mut ends) = (row, vec![0; row.len()], vec![0; 32]);
    let (mut written, mut count) = (0, 0);
    loop {
        let (result, read, wrote, ended) = reader.read_record(rest, &mut text[written..], &mut ends[count..]);
        rest = &rest[read..];
        written += wrote;
        count += ended;
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => text.resize(text.len() * 2 + 1, 0),
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::Record => break,
            ReadRecordResult::End => return None,
        }
    }
    let starts = std::iter::once(&0).chain(&ends);
    let cells =
        starts.zip(&ends[..count]).map(|(&start, &end)| String::from_utf8_lossy(&text[start..end]).into_owned());
    Some(cells.collect())
}
