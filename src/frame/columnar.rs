//! Parquet files, as Security Lake, BigQuery, Firehose and Spark write them. Each row becomes a JSON object.
//!
//! The directory of the file is at its end, so the whole file is copied to a temporary file first.

use std::fs::File;
use std::io::{self, Read, Seek};

use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value as Json};

use super::{Sink, footer, row};
use crate::decode::Damage;

/// No export nests columns deeper. A reader of deeper ones could run out of stack.
const MAX_DEPTH: usize = 64;

/// Gives out every row of the file. After a damaged row group, continues with the next.
pub(super) fn frame(reader: &mut dyn Read, max_record: usize, sink: &mut dyn Sink) {
    let file = match copied(reader) {
        Ok(file) => file,
        Err(error) => {
            return sink.damage(Damage::of(&error).cloned().unwrap_or_else(|| damage(&error.to_string())));
        }
    };
    let file = match open(file) {
        Ok(file) => file,
        Err(problem) => return sink.damage(damage(&problem)),
    };
    let mut before = 0;
    for number in 0..file.num_row_groups() {
        if let Err(error) = rows(&file, number, before, max_record, sink) {
            sink.damage(damage(&format!("row group {number}: {error}")));
        }
        before += u64::try_from(file.metadata().row_group(number).num_rows()).unwrap_or(0);
    }
    if i64::try_from(before) != Ok(file.metadata().file_metadata().num_rows()) {
        sink.damage(damage("its row groups have not as many rows as it says"));
    }
}

fn copied(reader: &mut dyn Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(reader, &mut file)?;
    file.rewind()?;
    Ok(file)
}

fn open(mut file: File) -> Result<SerializedFileReader<File>, String> {
    if footer::depth(&mut file)? > MAX_DEPTH {
        return Err(format!("its columns nest deeper than {MAX_DEPTH}"));
    }
    SerializedFileReader::new(file).map_err(|error| error.to_string())
}

/// Gives out the rows of a row group. `before` is the number of rows in the groups before it.
fn rows(
    file: &SerializedFileReader<File>,
    number: usize,
    before: u64,
    max_record: usize,
    sink: &mut dyn Sink,
) -> Result<(), ParquetError> {
    let group = file.get_row_group(number)?;
    // The library does not check these, because no writer gets them wrong.
    let is_placed = |column: &ColumnChunkMetaData| {
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        start >= 0 && column.compressed_size() >= 0
    };
    if !group.metadata().columns().iter().all(is_placed) {
        return Err(ParquetError::General("a column lies nowhere".to_owned()));
    }
    for (record, row) in (before + 1..).zip(group.get_row_iter(None)?) {
        row::give(record, &object(&row?), max_record, sink);
    }
    Ok(())
}

fn damage(problem: &str) -> Damage {
    let problem = problem.trim_start_matches("Parquet error: ");
    Damage { what: format!("parquet: {problem}"), at: 0, text_start: u64::MAX }
}

fn object(row: &Row) -> Json {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>().into()
}

fn value(field: &Field) -> Json {
    match field {
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(bytes) => row::of_bytes(bytes.data()),
        Field::TimestampMillis(millis) => row::of_millis(*millis),
        Field::TimestampMicros(micros) => row::of_micros(*micros),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let key = |key: &Field| value(key).as_str().map_or_else(|| key.to_string(), str::to_owned);
            map.entries().iter().map(|(name, field)| (key(name), value(field))).collect::<Map<_, _>>().into()
        }
        other => other.to_json_value(),
    }
}
