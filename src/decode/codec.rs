//! Compressions: how a unit of each begins, and how one unit is read.
//!
//! A unit can be read without anything before it: a gzip member (RFC 1952, 2.2), a zstd frame (RFC 8878, 3.1), a bzip2
//! or xz stream. A file holds any number of them, one after another.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};
use memchr::memmem;

use super::{Kind, Window};

/// Most memory an xz stream may ask for. The largest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Codec {
    /// The compression of a kind of stream; `None` if it is not compressed.
    pub(super) fn of(kind: Kind) -> Option<Codec> {
        match kind {
            Kind::Gzip => Some(Codec::Gzip),
            Kind::Zstd => Some(Codec::Zstd),
            Kind::Bzip2 => Some(Codec::Bzip2),
            Kind::Xz => Some(Codec::Xz),
            _ => None,
        }
    }

    /// The name that reports use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
            Codec::Bzip2 => "bzip2",
            Codec::Xz => "xz",
        }
    }

    /// What its format calls a unit.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Codec::Gzip => "gzip member",
            Codec::Zstd => "zstd frame",
            Codec::Bzip2 => "bzip2 stream",
            Codec::Xz => "xz stream",
        }
    }

    /// How many bytes past a cut unit its decoder may read before it fails: a block and some more.
    pub(super) fn look_back(self) -> usize {
        match self {
            Codec::Gzip => 64 << 10,
            Codec::Zstd | Codec::Xz => 256 << 10,
            Codec::Bzip2 => 1 << 20,
        }
    }

    /// Bytes that identify the header of a unit.
    pub(super) fn header(self) -> usize {
        match self {
            Codec::Gzip | Codec::Zstd => 4,
            Codec::Bzip2 => 10,
            Codec::Xz => 6,
        }
    }

    /// Whether a unit begins here.
    pub(super) fn begins(self, head: &[u8]) -> bool {
        match self {
            // No flag that RFC 1952 reserves is set.
            Codec::Gzip => matches!(head, [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0),
            // Skippable frames count too; pzstd writes them.
            Codec::Zstd => matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]),
            // The first block, or the end marker, follows at once.
            Codec::Bzip2 => matches!(
                head,
                [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..]
                    | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..]
            ),
            Codec::Xz => head.starts_with(b"\xfd7zXZ\0"),
        }
    }

    /// Where the next unit begins. Skippable frames hold no data and are not searched for.
    pub(super) fn find(self, bytes: &[u8]) -> Option<usize> {
        let magic: &[u8] = match self {
            Codec::Gzip => b"\x1f\x8b\x08",
            Codec::Zstd => b"\x28\xb5\x2f\xfd",
            Codec::Bzip2 => b"BZh",
            Codec::Xz => b"\xfd7zXZ\0",
        };
        memmem::find_iter(bytes, magic).find(|&at| self.begins(&bytes[at..]))
    }
}

/// If a compressed stream begins at `line`: its codec, and how many of its bytes framing has already skipped (gzip's
/// first byte is a control byte).
pub(crate) fn packed(line: &[u8]) -> Option<(&'static str, u64)> {
    if matches!(line, [0x8b, 8, flags, ..] if flags & 0xe0 == 0) {
        return Some((Codec::Gzip.name(), 1));
    }
    let codec = [Codec::Zstd, Codec::Bzip2, Codec::Xz].into_iter().find(|codec| codec.begins(line))?;
    Some((codec.name(), 0))
}

/// Reads the text of one unit, and no byte after it.
pub(super) enum Decoder<R: BufRead> {
    Gzip(Box<Gzip<R>>, Option<io::Error>),
    Zstd(Box<zstd::Decoder<'static, R>>),
    Bzip2(Box<bzip2::bufread::BzDecoder<R>>, Option<io::Error>),
    Xz(Box<liblzma::bufread::XzDecoder<R>>, Option<io::Error>),
}

impl<R: Read> Decoder<Window<R>> {
    /// Starts at a header. Fails only if the decoder cannot be created.
    pub(super) fn new(codec: Codec, input: Window<R>) -> Result<Self, (Window<R>, io::Error)> {
        Ok(match codec {
            Codec::Gzip => Decoder::Gzip(Box::new(Gzip::new(input)), None),
            Codec::Zstd => Decoder::Zstd(Box::new(zstd::Decoder::try_with_buffer(input)?.single_frame())),
            Codec::Bzip2 => Decoder::Bzip2(Box::new(bzip2::bufread::BzDecoder::new(input)), None),
            Codec::Xz => match liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0) {
                Ok(stream) => Decoder::Xz(Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream)), None),
                Err(error) => return Err((input, error.into())),
            },
        })
    }

    /// The input that was not read.
    pub(super) fn into_inner(self) -> Window<R> {
        match self {
            Decoder::Gzip(decoder, _) => decoder.inner,
            Decoder::Zstd(decoder) => decoder.finish(),
            Decoder::Bzip2(decoder, _) => decoder.into_inner(),
            Decoder::Xz(decoder, _) => decoder.into_inner(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Decoder::Zstd(decoder) => decoder.read(out),
            Decoder::Gzip(_, stopped) | Decoder::Bzip2(_, stopped) | Decoder::Xz(_, stopped) if stopped.is_some() => {
                stopped.take().map_or(Ok(0), Err)
            }
            Decoder::Gzip(decoder, stopped) => {
                let before = decoder.state.total_out();
                let read = decoder.read(out);
                text_first(read, decoder.state.total_out() - before, stopped)
            }
            Decoder::Bzip2(decoder, stopped) => {
                let before = decoder.total_out();
                let read = decoder.read(out);
                text_first(read, decoder.total_out() - before, stopped)
            }
            Decoder::Xz(decoder, stopped) => {
                let before = decoder.total_out();
                let read = decoder.read(out);
                text_first(read, decoder.total_out() - before, stopped)
            }
        }
    }
}

/// These decoders can fail after writing text into the buffer. Returns that text first and leaves the error to the next
/// read.
fn text_first(read: io::Result<usize>, count: u64, stopped: &mut Option<io::Error>) -> io::Result<usize> {
    match read {
        Err(error) if count > 0 => {
            *stopped = Some(error);
            Ok(usize::try_from(count).unwrap_or(0))
        }
        read => read,
    }
}

/// Reads one gzip member. flate2's own reader does not say how much text it had written when it failed.
pub(super) struct Gzip<R> {
    inner: R,
    state: Decompress,
    ended: bool,
}

impl<R: BufRead> Gzip<R> {
    /// The largest possible window, in bits.
    const WINDOW: u8 = 15;

    fn new(inner: R) -> Self {
        Gzip { inner, state: Decompress::new_gzip(Self::WINDOW), ended: false }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            let input = self.inner.fill_buf()?;
            let is_end = input.is_empty();
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, out, FlushDecompress::None);
            let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(0);
            self.inner.consume(count(self.state.total_in(), before_in));
            let read = count(self.state.total_out(), before_out);
            self.ended = status.map_err(|error| told(error.message()))? == Status::StreamEnd;
            match read {
                0 if is_end && !self.ended => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => {}
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

/// The library's message in clearer words.
fn told(message: Option<&str>) -> io::Error {
    io::Error::other(match message {
        Some("incorrect data check" | "incorrect length check") => "wrong gzip checksum or length",
        Some("incorrect header check" | "unknown header flags set" | "header crc mismatch") => "invalid gzip header",
        _ => "corrupt deflate stream",
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// However the stream is cut into reads, all text before the damage is read.
    #[test]
    fn damaged_gzip_gives_the_same_text_in_any_pieces() {
        let text: Vec<u8> = (0..20_000_u32)
            .flat_map(|number| (number.wrapping_mul(2_654_435_761) % 9973).to_string().into_bytes())
            .collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&text).unwrap();
        let whole = encoder.finish().unwrap();
        for at in (12..whole.len()).step_by(997) {
            let mut bytes = whole.clone();
            bytes[at..].iter_mut().take(40).for_each(|byte| *byte = 0xff);
            let read = |capacity: usize, out: usize| {
                let mut window = io::BufReader::with_capacity(capacity, bytes.as_slice());
                let mut decoder = Decoder::Gzip(Box::new(Gzip::new(&mut window)), None);
                let (mut all, mut chunk) = (Vec::new(), vec![0; out]);
                loop {
                    match decoder.read(&mut chunk) {
                        Ok(0) => return (all, None),
                        Ok(count) => all.extend_from_slice(&chunk[..count]),
                        Err(error) => return (all, Some(error.to_string())),
                    }
                }
            };
            assert_eq!(read(1 << 20, 1 << 20), read(1, 100), "damaged at {at}");
        }
    }
}
