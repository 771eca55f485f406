//! JSON that a terminal may show: serde escapes the control characters that JSON forbids, and this module the others
//! (DEL, C1).

use std::io::{self, Write};

/// Passes JSON on and escapes such characters as `\u0080`. They occur only in strings, so every occurrence can be
/// escaped.
pub(crate) struct Plain<W> {
    inner: W,
    /// Whether the last byte was 0xC2, which begins C1 characters, and is still held back.
    held: bool,
}

const FIRST: u8 = 0xc2;

impl<W: Write> Plain<W> {
    /// Expects whole documents: what is held back at the end is lost.
    pub(crate) fn new(inner: W) -> Self {
        Plain { inner, held: false }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.held) {
                match rest[0] {
                    byte @ 0x80..=0x9f => {
                        write!(self.inner, "\\u{byte:04x}")?;
                        rest = &rest[1..];
                    }
                    _ => self.inner.write_all(&[FIRST])?,
                }
                continue;
            }
            let at = memchr::memchr2(0x7f, FIRST, rest).unwrap_or(rest.len());
            self.inner.write_all(&rest[..at])?;
            match rest.get(at) {
                Some(&FIRST) => self.held = true,
                Some(_) => self.inner.write_all(b"\\u007f")?,
                None => {}
            }
            rest = &rest[rest.len().min(at + 1)..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_escaped_however_they_arrive() {
        let text = "a\u{7f}b\u{80}\u{9f}\u{a0}Âé\u{c2}";
        for size in 1..text.len() {
            let mut plain = Plain::new(Vec::new());
            for piece in serde_json::to_vec(text).unwrap().chunks(size) {
                plain.write_all(piece).unwrap();
            }
            let json = String::from_utf8(plain.inner).unwrap();
            assert!(!json.chars().any(char::is_control), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
