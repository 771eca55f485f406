//! Rows of binary files, given out as the equivalent JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value as Json;

use super::{Body, Document, Framing, Sink};

/// Gives out a row.
pub(super) fn give(record: u64, row: &Json, max_record: usize, sink: &mut dyn Sink) {
    let text = row.to_string();
    let body = if text.len() > max_record { Body::TooLong } else { Body::Json(text.as_bytes()) };
    sink.document(Document {
        record,
        offset: None,
        element: None,
        framing: Framing::Row,
        time: None,
        body,
        original: text.as_bytes(),
    });
}

/// Bytes that are text become a string; gzip becomes base64.
pub(super) fn of_bytes(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) if bytes.starts_with(b"\x1f\x8b") => STANDARD.encode(bytes).into(),
        Err(_) => String::from_utf8_lossy(bytes).into(),
    }
}

/// Microseconds since 1970.
pub(super) fn of_micros(micros: i64) -> Json {
    Timestamp::from_microsecond(micros).map_or(Json::Null, |time| time.to_string().into())
}

/// Milliseconds since 1970.
pub(super) fn of_millis(millis: i64) -> Json {
    Timestamp::from_millisecond(millis).map_or(Json::Null, |time| time.to_string().into())
}
