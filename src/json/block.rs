//! 64 bytes of text at once: a question about every byte is answered in one word of bits, the first byte in the lowest
//! bit.

use wide::u8x64;

/// Bytes of a block.
pub(super) const SIZE: usize = 64;

/// Part of a text as vectors.
#[derive(Clone, Copy)]
pub(super) struct Block(u8x64);

impl Block {
    /// The text from `at` on, padded with blanks after its end.
    #[inline]
    pub(super) fn at(text: &[u8], at: usize) -> Self {
        let rest = text.get(at..).unwrap_or_default();
        if let Some(bytes) = rest.first_chunk::<SIZE>() {
            return Block(u8x64::new(*bytes));
        }
        let mut bytes = [b' '; SIZE];
        bytes[..rest.len()].copy_from_slice(rest);
        Block(u8x64::new(bytes))
    }

    /// Which bytes are this one.
    #[inline]
    pub(super) fn equal(self, byte: u8) -> u64 {
        self.0.simd_eq(byte).to_bitmask()
    }

    /// Which bytes are this one when their bit 0x20 is set: `[` becomes `{`, and `]` becomes `}`.
    #[inline]
    pub(super) fn equal_with_0x20(self, byte: u8) -> u64 {
        (self.0 | u8x64::splat(0x20)).simd_eq(byte).to_bitmask()
    }

    /// Which bytes are control bytes.
    #[inline]
    pub(super) fn controls(self) -> u64 {
        self.0.min(u8x64::splat(0x1F)).simd_eq(self.0).to_bitmask()
    }

    /// Which bytes are digits.
    #[inline]
    pub(super) fn digits(self) -> u64 {
        let within = self.0.max(u8x64::splat(b'0')).min(u8x64::splat(b'9'));
        within.simd_eq(self.0).to_bitmask()
    }

    /// Which bytes are blanks or control bytes.
    #[inline]
    pub(super) fn blanks(self) -> u64 {
        self.0.min(u8x64::splat(b' ')).simd_eq(self.0).to_bitmask()
    }

    /// Which bytes do not stand for themselves in a string: control bytes, backslashes, and non-ASCII bytes.
    #[inline]
    pub(super) fn not_plain(self) -> u64 {
        // As signed numbers, bytes beyond ASCII are negative.
        let outside = self.0.cast_signed().simd_lt(0x20).cast_unsigned();
        (outside | self.0.simd_eq(b'\\')).to_bitmask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stand_for_bytes() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let texts = (0..=all.len()).flat_map(|start| [(&all[..], start), (&all[start..], 0)]);
        for (text, start) in texts {
            let block = Block::at(text, start);
            let bytes: Vec<u8> = text[start..].iter().chain(&[b' '; SIZE]).take(SIZE).copied().collect();
            let bits =
                |test: &dyn Fn(u8) -> bool| bytes.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(test(byte)));
            assert_eq!(block.controls(), bits(&|byte| byte < b' '), "{start}");
            assert_eq!(block.digits(), bits(&|byte| byte.is_ascii_digit()), "{start}");
            assert_eq!(block.blanks(), bits(&|byte| byte <= b' '), "{start}");
            assert_eq!(block.not_plain(), bits(&|byte| byte < b' ' || byte == b'\\' || !byte.is_ascii()), "{start}");
            for byte in [b'"', b'\\', b'{', b'}', b',', b':', b'\n', 0x7F, 0xFF] {
                assert_eq!(block.equal(byte), bits(&|other| other == byte), "{start} {byte}");
                assert_eq!(block.equal_with_0x20(byte), bits(&|other| other | 0x20 == byte), "{start} {byte}");
            }
        }
    }
}
