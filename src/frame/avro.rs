//! Avro object container files, as Event Hub Capture and BigQuery write them. Each record becomes a JSON object.

use std::collections::HashMap;
use std::io::Read;

use apache_avro::Schema;
use apache_avro::error::Details;
use apache_avro::schema::Name;
use apache_avro::types::Value;
use serde_json::{Map, Value as Json};

use super::blocks::Blocks;
use super::{Sink, row};
use crate::decode::Damage;

/// Most header bytes read in one file: the header is read again for each damaged block.
const MAX_REREAD: usize = 64 << 20;
/// How deep types may nest. BigQuery nests records 15 levels deep, each perhaps in a list.
const DEEPEST: usize = 40;
const NO_BYTES: &str = "its schema has a type that takes no bytes, which no export has";

/// Gives out every record of the file. A file with only a header is whole, and common. After damage, continues with the
/// next block.
pub(super) fn frame(reader: &mut dyn Read, max_block: usize, sink: &mut dyn Sink) {
    // The library inflates blocks, up to a limit that it has once for the whole process; so is `--max-record`.
    apache_avro::util::max_allocation_bytes(max_block);
    let mut blocks = match Blocks::open(reader, max_block) {
        Ok(blocks) => blocks,
        Err(problem) => return tell(sink, problem, 0),
    };
    let (mut record, mut reread) = (0, 0);
    loop {
        if reread > MAX_REREAD {
            let problem = "so many of its blocks are damaged that those behind are not read";
            return tell(sink, problem, blocks.block_start);
        }
        reread += blocks.header_size();
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

/// Why reading stopped: one block cannot be decoded, or the whole file cannot be read further.
enum Stopped {
    InBlock(String),
    ForGood(String),
}

/// Gives out records up to the end, or up to a block that cannot be decoded.
fn records(blocks: &mut Blocks<'_>, record: &mut u64, sink: &mut dyn Sink) -> Result<(), Stopped> {
    let records = apache_avro::Reader::new(blocks).map_err(|error| Stopped::ForGood(error.to_string()))?;
    depth(records.writer_schema(), &mut HashMap::new()).map_err(|problem| Stopped::ForGood(problem.to_owned()))?;
    for value in records {
        let value = to_json(value.map_err(|error| Stopped::InBlock(explain(&error)))?);
        *record += 1;
        row::give(*record, &value, usize::MAX, sink);
    }
    Ok(())
}

fn explain(error: &apache_avro::Error) -> String {
    match error.details() {
        Details::MemoryAllocation { .. } => "a block inflates to more than --max-record; raise it".to_owned(),
        _ => error.to_string(),
    }
}

fn tell(sink: &mut dyn Sink, problem: &str, at: u64) {
    sink.damage(Damage { what: format!("avro: {problem}"), at, text_start: u64::MAX });
}

/// How deep types nest. Refuses schemas by which a few bytes could exhaust memory or stack: a type inside itself nests
/// as deep as the data says, and a type without bytes occurs as often as a count, or a repeated name, says.
fn depth<'s>(schema: &'s Schema, named: &mut HashMap<&'s Name, Option<usize>>) -> Result<usize, &'static str> {
    let below = match schema {
        Schema::Null => return Err(NO_BYTES),
        Schema::Fixed(fixed) if fixed.size == 0 => return Err(NO_BYTES),
        Schema::Ref { name } => {
            let known = named.get(name).copied().unwrap_or(Some(0));
            return known.ok_or("its schema names a type inside itself, which no export does");
        }
        Schema::Record(record) => {
            if record.fields.is_empty() {
                return Err(NO_BYTES);
            }
            named.insert(&record.name, None);
            let mut deepest = 0;
            for field in &record.fields {
                deepest = deepest.max(depth(&field.schema, named)?);
            }
            named.insert(&record.name, Some(deepest + 1));
            deepest
        }
        Schema::Union(union) => {
            let mut deepest = 0;
            for variant in union.variants().iter().filter(|variant| **variant != Schema::Null) {
                deepest = deepest.max(depth(variant, named)?);
            }
            return Ok(deepest);
        }
        Schema::Array(array) => depth(&array.items, named)?,
        Schema::Map(map) => depth(&map.types, named)?,
        _ => 0,
    };
    if below < DEEPEST {
        Ok(below + 1)
    } else {
        Err("the types of its schema lie deeper in each other than any export has them")
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
