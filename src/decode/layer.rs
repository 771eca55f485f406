//! One layer of compression.

use std::io::{self, BufRead, Read};

use super::{Kind, Window, gzip};

/// Most memory that an xz stream may ask for; the largest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// The text of a compressed stream.
pub(super) enum Layer<R: Read> {
    Gzip(gzip::Members<Window<R>>),
    Zstd(zstd::Decoder<'static, Window<R>>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Window<R>>),
    Xz(liblzma::bufread::XzDecoder<Window<R>>),
}

/// What is no compressed stream comes back as it is.
pub(super) enum Opened<R: Read> {
    Layer(io::Result<Layer<R>>),
    Other(Window<R>),
}

impl<R: Read> Layer<R> {
    pub(super) fn open(kind: Kind, input: Window<R>) -> Opened<R> {
        Opened::Layer(match kind {
            Kind::Gzip => Ok(Layer::Gzip(gzip::Members::new(input))),
            Kind::Zstd => zstd::Decoder::with_buffer(input).map(Layer::Zstd),
            Kind::Bzip2 => Ok(Layer::Bzip2(bzip2::bufread::MultiBzDecoder::new(input))),
            Kind::Xz => xz(input).map(Layer::Xz),
            _ => return Opened::Other(input),
        })
    }
}

impl<R: Read> Read for Layer<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Layer::Gzip(reader) => reader.read(out),
            Layer::Zstd(reader) => reader.read(out),
            Layer::Bzip2(reader) => reader.read(out),
            Layer::Xz(reader) => reader.read(out),
        }
    }
}

fn xz<R: BufRead>(input: R) -> io::Result<liblzma::bufread::XzDecoder<R>> {
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(input, stream))
}
