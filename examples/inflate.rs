//! The lower bound for every scan: decompresses all gzip files below a directory and discards the text.
//!
//! `cargo run --release --example inflate -- [-j N] DIR`

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use walkdir::WalkDir;

const CHUNK: usize = 128 << 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (threads, directory) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [directory] => (0, directory),
        ["-j", threads, directory] => (threads.parse().context("-j takes a number")?, directory),
        _ => bail!("usage: inflate [-j N] DIR"),
    };
    let files = largest_first(directory)?;
    let read: u64 = files.iter().map(|(bytes, _)| bytes).sum();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let texts =
        pool.install(|| files.par_iter().with_max_len(1).map(|(_, path)| inflate(path)).collect::<Result<Vec<_>>>())?;
    writeln!(io::stdout(), "{read} bytes in, {} bytes out", texts.iter().sum::<u64>())?;
    Ok(())
}

/// Files in the order in which a scan takes them.
fn largest_first(directory: &str) -> Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(directory).follow_root_links(true) {
        let entry = entry?;
        if entry.file_type().is_file() && is_gzip(entry.path())? {
            files.push((entry.metadata()?.len(), entry.into_path()));
        }
    }
    files.sort_by(|left, right| right.cmp(left));
    Ok(files)
}

/// Whether a file is gzip, by its content: Firehose objects have no extension.
fn is_gzip(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut magic)?;
    Ok(magic == b"\x1f\x8b")
}

/// Decompresses a file; returns the number of bytes of text.
fn inflate(path: &Path) -> Result<u64> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut text = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, file));
    let (mut chunk, mut bytes) = (vec![0; CHUNK], 0);
    loop {
        match text.read(&mut chunk).with_context(|| path.display().to_string())? {
            0 => return Ok(bytes),
            count => bytes += count as u64,
        }
    }
}
