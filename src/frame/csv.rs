//! CSV exports of consoles and query tools: rows become objects of their columns (RFC 4180).
//!
//! Rows are found here, so that one stray quote cannot take the rest of the file; the csv crate reads each row.

use super::{Body, Document, Framing, Input, More, Sink};
use crate::json::equal_folded;

/// Columns that tell an export of audit records; others may stand beside them.
const KNOWN: [&str; 17] = [
    "@message",
    "message",
    "_raw",
    "log_s",
    "log",
    "line",
    "properties",
    "properties_s",
    "AdditionalFields",
    "AuditId",
    "auditID",
    "verb",
    "requestURI",
    "objectRef.resource",
    "RawEvent",
    "protoPayload.methodName",
    "protopayload_auditlog",
];

/// Reads the header row; `None` (and nothing consumed) where the stream is not such an export.
pub(super) fn header(input: &mut Input<'_>, sink: &mut dyn Sink) -> Option<Vec<String>> {
    while !input.available().contains(&b'\n') && input.available().len() < 64 * 1024 {
        if input.grow(sink) != More::Text {
            break;
        }
    }
    let bytes = input.available();
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let end = memchr::memchr(b'\n', bytes)?;
    let line = std::str::from_utf8(&bytes[mark..end])
        .ok()
        .filter(|line| !line.starts_with(['{', '[']) && !line.contains("{\""))?;
    let columns = cells(line.as_bytes())?;
    let known = |column: &String| KNOWN.iter().any(|known| equal_folded(known, column));
    columns.iter().any(known).then(|| {
        input.consume(end + 1);
        columns
    })
}

/// The rows behind a header.
pub(super) struct Rows<'r, 's> {
    input: Input<'r>,
    header: Vec<String>,
    sink: &'s mut dyn Sink,
    record: u64,
}

impl<'r, 's> Rows<'r, 's> {
    pub(super) fn new(input: Input<'r>, header: Vec<String>, sink: &'s mut dyn Sink) -> Self {
        Rows { input, header, sink, record: 0 }
    }

    pub(super) fn run(mut self) {
        while !self.input.is_done(self.sink) {
            let first = self.input.available()[0];
            if matches!(first, b'\n' | b'\r') {
                self.input.consume(1);
                continue;
            }
            self.record += 1;
            self.row();
        }
    }

    fn row(&mut self) {
        loop {
            let bytes = self.input.available();
            if let Some(end) = row_end(bytes) {
                return self.emit(end);
            }
            match self.input.grow(self.sink) {
                More::Text => {}
                More::End => return self.emit(self.input.available().len()),
                More::Limit => {
                    self.document(Body::TooLong);
                    return self.pass_line();
                }
            }
        }
    }

    /// Gives out the row that ends at `end`; one that spans lines and does not fit the header is cut at its line.
    fn emit(&mut self, end: usize) {
        let row = &self.input.available()[..end];
        let closed = memchr::memchr_iter(b'"', row).count().is_multiple_of(2);
        let object =
            cells(row).filter(|cells| closed && cells.len() == self.header.len()).map(|cells| self.object(&cells));
        if let Some(object) = object {
            self.document(Body::Json(object.as_bytes()));
            self.input.consume(end);
            return;
        }
        let row = row[..memchr::memchr(b'\n', row).unwrap_or(end)].to_vec();
        self.document(Body::Broken(&row));
        self.input.consume(row.len());
    }

    /// A row as a JSON object of strings.
    fn object(&self, cells: &[String]) -> String {
        let members =
            self.header.iter().zip(cells).map(|(column, cell)| format!("{}:{}", quoted(column), quoted(cell)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    fn document(&mut self, body: Body<'_>) {
        self.sink.document(Document {
            record: self.record,
            offset: Some(self.input.offset()),
            element: None,
            framing: Framing::Csv,
            time: None,
            body,
        });
    }

    fn pass_line(&mut self) {
        loop {
            let newline = memchr::memchr(b'\n', self.input.available());
            let count = newline.map_or(self.input.available().len(), |at| at + 1);
            self.input.consume(count);
            if newline.is_some() || self.input.is_done(self.sink) {
                return;
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Where the first row ends: at a newline outside quotes.
fn row_end(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    memchr::memchr2_iter(b'"', b'\n', bytes).find(|&at| {
        quoted ^= bytes[at] == b'"';
        bytes[at] == b'\n' && !quoted
    })
}

fn cells(row: &[u8]) -> Option<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(row);
    let mut record = ::csv::ByteRecord::new();
    reader.read_byte_record(&mut record).ok().filter(|read| *read)?;
    Some(record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
}
