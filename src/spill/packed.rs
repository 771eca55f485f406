//! Items as Borsh, with the texts that many of them have beside it: written once, and then by number.
//!
//! An item is its length, whether the texts before it are forgotten, its fields, and what stands for each of its texts.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};

use super::Spill;

/// An item that is written as Borsh: fields in their order, without names, each text behind its length.
pub trait Packed: Clone + BorshSerialize + BorshDeserialize {
    /// Roughly the bytes that it holds in memory.
    fn weight(&self) -> usize;
    /// Texts that many items have, which Borsh is to skip: each is written once, and shared by those that are read.
    fn texts(&self) -> Vec<&dyn Shared> {
        Vec::new()
    }
    /// The same, to be set.
    fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
        Vec::new()
    }
}

/// Lists some texts of a type, as [`Packed`] asks for them.
macro_rules! shared {
    ($($($field:ident).+),*) => {
        pub(super) fn texts(&self) -> Vec<&dyn Shared> {
            vec![$(&self.$($field).+),*]
        }

        pub(super) fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
            vec![$(&mut self.$($field).+),*]
        }
    };
}
pub(crate) use shared;

/// A text that many items have.
pub trait Shared {
    /// The text, if there is one.
    fn get(&self) -> Option<&Arc<str>>;
    /// Puts one in its place.
    fn set(&mut self, text: Arc<str>);
}

impl Shared for Arc<str> {
    fn get(&self) -> Option<&Arc<str>> {
        Some(self)
    }

    fn set(&mut self, text: Arc<str>) {
        *self = text;
    }
}

impl Shared for Option<Arc<str>> {
    fn get(&self) -> Option<&Arc<str>> {
        self.as_ref()
    }

    fn set(&mut self, text: Arc<str>) {
        *self = Some(text);
    }
}

impl<T: Packed> Spill for T {
    fn weight(&self) -> usize {
        Packed::weight(self)
    }

    fn write(&self, out: &mut dyn Write, told: &mut Told) -> io::Result<()> {
        told.begin();
        self.serialize(&mut told.item)?;
        self.texts().into_iter().for_each(|text| told.tell(text.get()));
        out.write_all(&(told.item.len() as u64).to_le_bytes())?;
        out.write_all(&told.item)
    }

    fn read(input: &mut dyn BufRead, heard: &mut Heard) -> io::Result<Option<Self>> {
        let Some(bytes) = next_item(input, std::mem::take(&mut heard.item))? else { return Ok(None) };
        let mut rest = &bytes[..];
        heard.begin(&mut rest)?;
        let mut item = T::deserialize(&mut rest)?;
        for text in item.texts_mut() {
            if let Some(heard) = heard.hear(&mut rest)? {
                text.set(heard);
            }
        }
        heard.item = bytes;
        Ok(Some(item))
    }
}

/// The bytes behind the next length; `None` at the end.
fn next_item(input: &mut dyn BufRead, mut room: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    room.clear();
    let found = input.take(length).read_to_end(&mut room)?;
    if found as u64 == length { Ok(Some(room)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Bytes of texts that are remembered of what was written before they are all forgotten.
const REMEMBERED: usize = 512 << 10;
/// What stands for a text: none, one that follows, or this and its number.
const NONE: u16 = 0;
const NEW: u16 = 1;
const KNOWN: u16 = 2;

/// Texts written lately, by number.
#[derive(Default)]
pub struct Told {
    numbers: HashMap<Arc<str>, u16>,
    bytes: usize,
    /// The item that is being written.
    item: Vec<u8>,
}

impl Told {
    fn begin(&mut self) {
        // An item has some twenty texts.
        if self.bytes > REMEMBERED || self.numbers.len() > usize::from(u16::MAX / 2) {
            self.numbers.clear();
            self.bytes = 0;
        }
        self.item.clear();
        self.item.push(self.numbers.is_empty().into());
    }

    fn tell(&mut self, text: Option<&Arc<str>>) {
        let known = text.map(|text| self.numbers.get(text).copied());
        let code = known.map_or(NONE, |number| number.map_or(NEW, |number| KNOWN + number));
        self.item.extend(code.to_le_bytes());
        if let Some(text) = text.filter(|_| code == NEW) {
            self.item.extend((text.len() as u64).to_le_bytes());
            self.item.extend(text.as_bytes());
            self.bytes += text.len();
            let number = u16::try_from(self.numbers.len()).unwrap_or(u16::MAX);
            self.numbers.insert(Arc::clone(text), number);
        }
    }
}

/// Texts read lately, by number.
#[derive(Default)]
pub struct Heard {
    texts: Vec<Arc<str>>,
    /// Room for the next item.
    item: Vec<u8>,
}

impl Heard {
    fn begin(&mut self, item: &mut &[u8]) -> io::Result<()> {
        if bool::deserialize(item)? {
            self.texts.clear();
        }
        Ok(())
    }

    fn hear(&mut self, item: &mut &[u8]) -> io::Result<Option<Arc<str>>> {
        match u16::deserialize(item)? {
            NONE => Ok(None),
            NEW => {
                let length = usize::try_from(u64::deserialize(item)?).map_err(io::Error::other)?;
                let (text, rest) = item.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
                *item = rest;
                let text: Arc<str> = std::str::from_utf8(text).map_err(io::Error::other)?.into();
                self.texts.push(Arc::clone(&text));
                Ok(Some(text))
            }
            code => {
                let known = self.texts.get(usize::from(code - KNOWN)).ok_or(io::ErrorKind::InvalidData)?;
                Ok(Some(Arc::clone(known)))
            }
        }
    }
}

/// Times as Borsh, which does not know them: nanoseconds since 1970.
pub mod time {
    use std::io::{self, Read, Write};

    use borsh::{BorshDeserialize, BorshSerialize};
    use jiff::Timestamp;

    /// Writes a time.
    pub fn write<W: Write>(time: &Option<Timestamp>, out: &mut W) -> io::Result<()> {
        time.map(Timestamp::as_nanosecond).serialize(out)
    }

    /// Reads a time.
    pub fn read<R: Read>(input: &mut R) -> io::Result<Option<Timestamp>> {
        let nanoseconds = Option::<i128>::deserialize_reader(input)?;
        nanoseconds.map(Timestamp::from_nanosecond).transpose().map_err(io::Error::other)
    }
}
