//! Whole items in chunks that are compressed one by one: a merge holds one chunk of each run, and one decompressor for
//! all, where a stream per run would need buffers and a decompressor of its own.

use std::io::{self, Read, Write};

use zstd::bulk::{Compressor, Decompressor};

use super::LEVEL;

/// Bytes of items after which a chunk is full.
const FULL: usize = 32 << 10;

/// Writes items.
pub(super) struct Chunks<W> {
    out: W,
    compressor: Compressor<'static>,
    /// The items of the next chunk.
    items: Vec<u8>,
}

impl<W: Write> Chunks<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        Ok(Chunks { out, compressor: Compressor::new(LEVEL)?, items: Vec::new() })
    }

    /// Adds what `write` writes, which is one item.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        write(&mut self.items)?;
        if self.items.len() < FULL { Ok(()) } else { self.end_chunk() }
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.end_chunk()?;
        Ok(self.out)
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        if self.items.is_empty() {
            return Ok(());
        }
        let packed = self.compressor.compress(&self.items)?;
        for length in [packed.len(), self.items.len()] {
            self.out.write_all(&(length as u64).to_le_bytes())?;
        }
        self.items.clear();
        self.out.write_all(&packed)
    }
}

/// Reads chunks, of any number of inputs in turn.
#[derive(Default)]
pub(super) struct Unpacker {
    /// Made for the first chunk: most merges have none, and it takes 100 KB.
    decompressor: Option<Decompressor<'static>>,
    packed: Vec<u8>,
}

impl Unpacker {
    /// The items of the next chunk of an input.
    pub(super) fn chunk(&mut self, input: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut length = || {
            let mut length = [0; 8];
            input.read_exact(&mut length)?;
            usize::try_from(u64::from_le_bytes(length)).map_err(io::Error::other)
        };
        let (packed, items) = (length()?, length()?);
        self.packed.resize(packed, 0);
        input.read_exact(&mut self.packed)?;
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        decompressor.decompress(&self.packed, items)
    }
}
