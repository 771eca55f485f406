//! Items as Borsh. Repeated texts are written once and then referred to by number.
//!
//! An item consists of its length, whether earlier texts are forgotten, its fields, and a code for each of its texts.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};

use super::Spill;

/// An item written as Borsh: fields in order, without names, each text preceded by its length.
pub trait Packed: Clone + BorshSerialize + BorshDeserialize {
    /// Approximate size in memory, in bytes.
    fn weight(&self) -> usize;
    /// Texts common to many items, which Borsh must skip: each is written once, and shared by the items that are read.
    fn texts(&self) -> Vec<&dyn Shared> {
        Vec::new()
    }
    /// The same, for setting them.
    fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
        Vec::new()
    }
}

/// Lists some texts of a type, as [`Packed`] requires.
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

/// A text common to many items.
pub trait Shared {
    /// The text, if there is one.
    fn get(&self) -> Option<&Arc<str>>;
    /// Sets the text.
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

    fn read(input: &mut &[u8], heard: &mut Heard) -> io::Result<Self> {
        let length = usize::try_from(u64::deserialize(input)?).map_err(io::Error::other)?;
        let (mut item, rest) = input.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        *input = rest;
        heard.begin(&mut item)?;
        let mut read = T::deserialize(&mut item)?;
        for text in read.texts_mut() {
            if let Some(heard) = heard.hear(&mut item)? {
                text.set(heard);
            }
        }
        Ok(read)
    }
}

/// Bytes of written texts after which all are forgotten.
const REMEMBERED: usize = 64 << 10;
/// Codes of a text: absent, new (the text follows), or known (this plus its number).
const NONE: u16 = 0;
const NEW: u16 = 1;
const KNOWN: u16 = 2;

/// Recently written texts, by number.
#[derive(Default)]
pub struct Told {
    numbers: HashMap<Arc<str>, u16>,
    bytes: usize,
    /// The item being written.
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

/// Recently read texts, by number.
#[derive(Default)]
pub struct Heard {
    texts: Vec<Arc<str>>,
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

/// Times in Borsh, which has no type for them: nanoseconds since 1970.
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
