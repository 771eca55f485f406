//! How deep the columns of a Parquet file nest, read from its footer: the library recurses that deep, and could
//! overflow its stack.
//!
//! The footer is a `FileMetaData` (apache/parquet-format, `parquet.thrift`) in Thrift's compact protocol
//! (apache/thrift, `doc/specs/thrift-compact-protocol.md`).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How deep skipped structures may nest. A schema element nests three deep.
const MAX_INSIDE: usize = 16;
/// Field number of the list of schema elements in the metadata, and that of the number of children in a schema element.
const SCHEMA: u64 = 2;
const NUM_CHILDREN: u64 = 5;

/// Largest footer in bytes: it is held in memory, and so is what the library makes of it.
const MAX_FOOTER: u32 = 64 << 20;
const BROKEN: &str = "its end is damaged or cut off, which says where its columns are";

/// The depth of the deepest column, or why the footer cannot be read.
pub(super) fn depth(file: &mut File) -> Result<usize, &'static str> {
    match length(file) {
        Ok(Some(length)) if length > MAX_FOOTER => {
            Err("its end says that its list of columns is larger than 64 MiB, which no export has")
        }
        Ok(Some(length)) => {
            footer(file, length).ok().and_then(|footer| Thrift(&footer).depth_of_schema()).ok_or(BROKEN)
        }
        Ok(None) | Err(_) => Err(BROKEN),
    }
}

/// The length of the footer; `None` if the file is shorter.
fn length(file: &mut File) -> io::Result<Option<u32>> {
    let mut end = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut end)?;
    let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]);
    let held = file.metadata()?.len();
    Ok(Some(length).filter(|length| u64::from(*length) + 8 <= held))
}

fn footer(file: &mut File, length: u32) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::End(-i64::from(length) - 8))?;
    let mut footer = Vec::new();
    file.take(length.into()).read_to_end(&mut footer)?;
    Ok(footer)
}

/// The bytes not yet read.
struct Thrift<'f>(&'f [u8]);

impl Thrift<'_> {
    /// The deepest of all schema fields, because the library may read any of them.
    fn depth_of_schema(&mut self) -> Option<usize> {
        let (mut field, mut deepest) = (0, None);
        loop {
            match self.field(&mut field)? {
                0 => return deepest,
                9 if field == SCHEMA => deepest = deepest.max(Some(self.depth()?)),
                kind => self.pass(kind, 0)?,
            }
        }
    }

    fn depth(&mut self) -> Option<usize> {
        let (count, _) = self.list()?;
        // How many elements are still to come on each level.
        let (mut open, mut deepest) = (Vec::new(), 0);
        for _ in 0..count {
            let children = self.children()?;
            if let Some(left) = open.last_mut() {
                *left -= 1_u64;
            }
            open.push(children);
            deepest = deepest.max(open.len());
            while open.last() == Some(&0) {
                open.pop();
            }
        }
        Some(deepest)
    }

    /// Skips a schema element and returns its number of children.
    fn children(&mut self) -> Option<u64> {
        let (mut field, mut children) = (0, 0);
        loop {
            match self.field(&mut field)? {
                0 => return Some(children),
                // Zigzag encoding doubles the number.
                5 if field == NUM_CHILDREN => children = self.number()? / 2,
                kind => self.pass(kind, 0)?,
            }
        }
    }

    /// Reads the head of the next field of a structure. Returns its type, 0 at the end, and updates `number`, which is
    /// stored as the distance from the last field.
    fn field(&mut self, number: &mut u64) -> Option<u8> {
        let head = self.byte()?;
        match (head >> 4, head & 15) {
            (_, 0) => return Some(0),
            (0, _) => *number = self.number()? / 2,
            (distance, _) => *number += u64::from(distance),
        }
        Some(head & 15)
    }

    /// The number of items in a list, and their type.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
        Some((count, head & 15))
    }

    fn pass(&mut self, kind: u8, inside: usize) -> Option<()> {
        match kind {
            1 | 2 => Some(()),
            3 => self.byte().map(|_| ()),
            4..=6 => self.number().map(|_| ()),
            7 => self.bytes(8),
            8 => {
                let length = self.number()?;
                self.bytes(length)
            }
            9 | 10 if inside < MAX_INSIDE => {
                let (count, kind) = self.list()?;
                // In a list, a boolean takes one byte.
                (0..count).try_for_each(|_| self.pass(if kind <= 2 { 3 } else { kind }, inside + 1))
            }
            11 if inside < MAX_INSIDE => {
                let count = self.number()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                let mut item = |kind: u8| self.pass(if kind <= 2 { 3 } else { kind }, inside + 1);
                (0..count).try_for_each(|_| item(kinds >> 4).and_then(|()| item(kinds & 15)))
            }
            12 if inside < MAX_INSIDE => {
                let mut field = 0;
                loop {
                    match self.field(&mut field)? {
                        0 => return Some(()),
                        kind => self.pass(kind, inside + 1)?,
                    }
                }
            }
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of `depth` elements, each but the last with one child, preceded by the distance to its field.
    fn schema(distance: u8, depth: u8) -> Vec<u8> {
        let element = |at: u8| [0x48, 1, b'a', 0x15, if at + 1 < depth { 2 } else { 0 }, 0];
        [vec![distance << 4 | 9, 0xFC, depth], (0..depth).flat_map(element).collect()].concat()
    }

    #[test]
    fn the_deepest_of_all_schemas_counts() {
        let version = vec![0x15, 2];
        // The field number follows in full, and is again that of a schema.
        let again = |depth: u8| [vec![9, 4], schema(0, depth)[1..].to_vec()].concat();
        let rows = vec![0x16, 6, 0];
        let told = |parts: &[Vec<u8>]| Thrift(&parts.concat()).depth_of_schema();
        assert_eq!(told(&[version.clone(), schema(1, 3), rows.clone()]), Some(3));
        assert_eq!(told(&[version.clone(), schema(1, 3), again(100), rows.clone()]), Some(100));
        assert_eq!(told(&[version.clone(), schema(1, 100), again(3), rows.clone()]), Some(100));
        assert_eq!(told(&[version.clone(), schema(1, 3)]), None, "cut");
        assert_eq!(told(&[version, rows]), None, "no schema");
    }
}
