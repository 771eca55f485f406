//! The blocks of an Avro object container file: those that are sound, and what can be recovered of the others.
//!
//! After the header come the blocks: a count, a size, that many bytes, and a marker of 16 bytes, which also ends the
//! header (Avro 1.12, "Object Container Files").

use std::io::{self, BufRead, Read};

use memchr::memmem;

use crate::decode::{Damage, Window};

const MARKER: usize = 16;
/// Longest header; it holds the schema.
const MAX_HEADER: usize = 16 << 20;

/// Reads a file as its header and then only blocks whose size and marker agree.
pub(super) struct Blocks<'r> {
    input: Window<&'r mut dyn Read>,
    max_block: usize,
    header: Vec<u8>,
    /// The bytes to give out next.
    ready: Vec<u8>,
    given: usize,
    /// Where the last block began.
    pub(super) block_start: u64,
    /// Damage found and not yet reported.
    pub(super) damages: Vec<Damage>,
}

impl<'r> Blocks<'r> {
    /// Reads the header.
    pub(super) fn open(reader: &'r mut dyn Read, max_block: usize) -> Result<Self, &'static str> {
        let mut input = Window::new(reader);
        let mut damages = Vec::new();
        let length = loop {
            match header_length(input.available()) {
                Ok(length) => break length,
                Err(Short::Broken) => return Err("its header is damaged, which holds the schema"),
                Err(Short::Incomplete) if input.available().len() > MAX_HEADER => return Err("its header has no end"),
                Err(Short::Incomplete) if !extend(&mut input, &mut damages) => return Err("it ends inside its header"),
                Err(Short::Incomplete) => {}
            }
        };
        let header = input.available()[..length].to_vec();
        input.consume(length);
        Ok(Blocks { input, max_block, header, ready: Vec::new(), given: 0, block_start: 0, damages })
    }

    /// Gives the header once more, and then the blocks not yet given.
    pub(super) fn start_over(&mut self) {
        self.ready.clone_from(&self.header);
        self.given = 0;
    }

    /// Size of the header in bytes.
    pub(super) fn header_size(&self) -> usize {
        self.header.len()
    }

    fn marker(&self) -> &[u8] {
        &self.header[self.header.len() - MARKER..]
    }

    /// Makes the next block ready; false at the end.
    fn next_block(&mut self) -> bool {
        loop {
            self.block_start = self.input.offset();
            self.given = 0;
            self.ready.clear();
            match self.sound_block() {
                Ok(None) => return false,
                Ok(Some(0)) => {}
                Ok(Some(_)) => return true,
                Err(what) => {
                    self.damages.push(Damage {
                        what: format!("avro: {what}"),
                        at: self.block_start,
                        text_start: u64::MAX,
                    });
                    if self.damaged_block() {
                        return true;
                    }
                }
            }
        }
    }

    /// Makes the next block ready if it is sound. Returns its number of records, or `None` at the end.
    fn sound_block(&mut self) -> Result<Option<u64>, &'static str> {
        loop {
            let bytes = self.input.available();
            let what = match block_frame(bytes) {
                Err(Short::Broken) => return Err("a block is damaged"),
                Ok(Frame { size, .. }) if size > self.max_block as u64 => {
                    return Err("a block is damaged, or larger than --max-record");
                }
                Ok(frame) => {
                    let (count, end) = (frame.count, frame.end());
                    match bytes.get(end..end + MARKER) {
                        Some(marker) if marker == self.marker() => {
                            self.ready.extend_from_slice(&bytes[..end + MARKER]);
                            self.input.consume(end + MARKER);
                            return Ok(Some(count));
                        }
                        Some(_) => return Err("a block does not end where it says"),
                        None => "the file ends inside a block",
                    }
                }
                Err(Short::Incomplete) => "the file ends inside a block",
            };
            if !extend(&mut self.input, &mut self.damages) {
                return if self.input.available().is_empty() { Ok(None) } else { Err(what) };
            }
        }
    }

    /// Skips to the next marker. What was skipped becomes the block it claims to be: if only its end is lost, its
    /// records are not. A sound block that ends at that marker is kept for the next call. False if nothing was
    /// recovered.
    fn damaged_block(&mut self) -> bool {
        let found = self.find_marker();
        let bytes = self.input.available();
        let end = found.unwrap_or(bytes.len());
        let frame = block_frame(bytes).ok().filter(|frame| frame.count > 0 && frame.start < end);
        let claimed = frame.as_ref().map_or(end, |frame| frame.end().min(end));
        let sound = found.and_then(|found| sound_before(bytes, claimed + MARKER, found));
        let records = |frame: Frame| Some((frame.count, bytes.get(frame.start..claimed.min(sound.unwrap_or(end)))?));
        if let Some((count, records)) = frame.and_then(records) {
            self.ready.extend(varint(count));
            self.ready.extend(varint(records.len() as u64));
            self.ready.extend_from_slice(records);
            self.ready.extend_from_slice(&self.header[self.header.len() - MARKER..]);
        }
        self.input.consume(sound.unwrap_or(if found.is_some() { end + MARKER } else { end }));
        !self.ready.is_empty()
    }

    /// The index of the next marker in the bytes at hand. Drops bytes that exceed the largest block.
    fn find_marker(&mut self) -> Option<usize> {
        let mut searched = 0;
        loop {
            let bytes = self.input.available();
            if let Some(found) = memmem::find(&bytes[searched..], self.marker()) {
                return Some(searched + found);
            }
            searched = bytes.len().saturating_sub(MARKER - 1);
            if searched > self.max_block {
                self.input.consume(searched);
                searched = 0;
            }
            if !extend(&mut self.input, &mut self.damages) {
                return None;
            }
        }
    }
}

/// Where a block begins that ends at `found`. Tries first the place where the damaged block claims to end, then every
/// other.
fn sound_before(bytes: &[u8], claimed: usize, found: usize) -> Option<usize> {
    let fits =
        |at: &usize| block_frame(&bytes[*at..found]).is_ok_and(|frame| frame.count > 0 && frame.end() == found - at);
    std::iter::once(claimed).filter(|claimed| *claimed < found).chain(1..found).find(fits)
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() && !self.next_block() {
            return Ok(0);
        }
        let count = (&self.ready[self.given..]).read(out)?;
        self.given += count;
        Ok(count)
    }
}

/// Reads on, past any damage of the stream below; false at its end. Which records of an Avro file such damage affects
/// is unknown, so it makes all of them doubtful.
fn extend(input: &mut Window<&mut dyn Read>, damages: &mut Vec<Damage>) -> bool {
    loop {
        let error = match input.extend() {
            Ok(count) => return count > 0,
            Err(error) => error,
        };
        let damage = Damage::of(&error).cloned();
        let is_end = damage.is_none();
        let at = input.offset();
        let damage = damage.unwrap_or_else(|| Damage { what: error.to_string(), at, text_start: u64::MAX });
        damages.push(Damage { text_start: if is_end { u64::MAX } else { 0 }, ..damage });
        if is_end {
            return false;
        }
    }
}

/// Why a number or a block's frame cannot be read from the bytes at hand.
enum Short {
    Incomplete,
    Broken,
}

/// What precedes the records of a block.
struct Frame {
    count: u64,
    /// Where the records begin.
    start: usize,
    size: u64,
}

impl Frame {
    fn end(&self) -> usize {
        self.start.saturating_add(usize::try_from(self.size).unwrap_or(usize::MAX))
    }
}

fn block_frame(bytes: &[u8]) -> Result<Frame, Short> {
    let mut at = 0;
    let (count, size) = (long(bytes, &mut at)?, long(bytes, &mut at)?);
    match (u64::try_from(count), u64::try_from(size)) {
        (Ok(count), Ok(size)) => Ok(Frame { count, start: at, size }),
        _ => Err(Short::Broken),
    }
}

/// The length of the header: magic, a map of strings to bytes, the marker.
fn header_length(bytes: &[u8]) -> Result<usize, Short> {
    let mut at = 4;
    loop {
        let count = long(bytes, &mut at)?;
        if count == 0 {
            let end = at + MARKER;
            return if bytes.len() < end { Err(Short::Incomplete) } else { Ok(end) };
        }
        // A negative count is followed by the size of its items.
        if count < 0 {
            long(bytes, &mut at)?;
        }
        for _ in 0..count.unsigned_abs().saturating_mul(2) {
            let length = usize::try_from(long(bytes, &mut at)?).ok().filter(|length| *length <= MAX_HEADER);
            at += length.ok_or(Short::Broken)?;
            if at > bytes.len() {
                return Err(Short::Incomplete);
            }
        }
    }
}

/// A variable-length zigzag number.
fn long(bytes: &[u8], at: &mut usize) -> Result<i64, Short> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(Short::Incomplete)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(Short::Broken)
}

fn varint(number: u64) -> impl Iterator<Item = u8> {
    let mut rest = Some(number << 1);
    std::iter::from_fn(move || {
        let value = rest?;
        rest = Some(value >> 7).filter(|rest| *rest > 0);
        Some((value & 0x7f) as u8 | if rest.is_some() { 0x80 } else { 0 })
    })
}
