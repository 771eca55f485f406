//! Avro object container files, as Event Hub Capture and BigQuery write them; a record becomes a JSON object.

use std::io::Read;

use apache_avro::Schema;
use apache_avro::schema::Name;
use apache_avro::types::Value;
use serde_json::{Map, Value as Json};

use super::blocks::Blocks;
use super::{Sink, row};
use crate::decode::Damage;

/// Gives out every record of the file. A file of only a header is whole, and usual. Behind damage it goes on with the
/// next block.
pub(super) fn frame(reader: &mut dyn Read, max_block: usize, sink: &mut dyn Sink) {
    let mut blocks = match Blocks::open(reader, max_block) {
        Ok(blocks) => blocks,
        Err(problem) => return tell(sink, problem, 0),
    };
    let mut record = 0;
    loop {
        blocks.start_over();
        let ended = records(&mut blocks, &mut record, sink);
        for damage in blocks.damages.drain(..) {
            sink.damage(damage);
        }
        match ended {
            Ok(()) => return,
            Err(Stopped::InBlock(problem)) => tell(sink, &problem, blocks.block_start),
            Err(Stopped::ForGood(problem)) => return tell(sink, &problem, 0),
        }
    }
}

/// Why no further record can be read.
enum Stopped {
    InBlock(String),
    ForGood(String),
}

/// Records up to the end, or up to a block that cannot be decoded.
fn records(blocks: &mut Blocks<'_>, record: &mut u64, sink: &mut dyn Sink) -> Result<(), Stopped> {
    let records = apache_avro::Reader::new(blocks).map_err(|error| Stopped::ForGood(error.to_string()))?;
    // A type inside itself lets a few bytes nest deeper than a stack is.
    if is_recursive(records.writer_schema(), &mut Vec::new()) {
        let problem = "its schema names a type inside itself, which no export does";
        return Err(Stopped::ForGood(problem.to_owned()));
    }
    for value in records {
        let value = to_json(value.map_err(|error| Stopped::InBlock(error.to_string()))?);
        *record += 1;
        row::give(*record, &value, usize::MAX, sink);
    }
    Ok(())
}

fn tell(sink: &mut dyn Sink, problem: &str, at: u64) {
    sink.damage(Damage { what: format!("avro: {problem}"), at, text_start: u64::MAX });
}

fn is_recursive<'s>(schema: &'s Schema, around: &mut Vec<&'s Name>) -> bool {
    match schema {
        Schema::Ref { name } => around.contains(&name),
        Schema::Record(record) => {
            around.push(&record.name);
            let found = record.fields.iter().any(|field| is_recursive(&field.schema, around));
            around.pop();
            found
        }
        Schema::Union(union) => union.variants().iter().any(|variant| is_recursive(variant, around)),
        Schema::Array(array) => is_recursive(&array.items, around),
        Schema::Map(map) => is_recursive(&map.types, around),
        _ => false,
    }
}

fn to_json(value: Value) -> Json {
    match value {
        Value::Union(_, inner) => to_json(*inner),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => row::of_bytes(&bytes),
        Value::Array(items) => items.into_iter().map(to_json).collect(),
        Value::Record(members) => members.into_iter().map(|(key, value)| (key, to_json(value))).collect(),
        Value::Map(members) => {
            let mut sorted: Vec<_> = members.into_iter().collect();
            sorted.sort_by(|left, right| left.0.cmp(&right.0));
            Json::Object(sorted.into_iter().map(|(key, value)| (key, to_json(value))).collect::<Map<_, _>>())
        }
        Value::TimestampMicros(micros) => row::of_micros(micros),
        Value::TimestampMillis(millis) => row::of_millis(millis),
        other => Json::try_from(other).unwrap_or(Json::Null),
    }
}
