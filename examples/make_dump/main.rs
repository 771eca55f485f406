//! Makes a dump of Kubernetes audit logs as three clouds store them, and says what a sweep of it must find.
//!
//! `cargo run --release --example make_dump -- --size 2GiB --seed 1 DIR` writes `DIR/logs` and `DIR/expected.json`.
//! The same arguments give the same bytes, whatever the number of threads. What is expected is counted while the
//! records are made; nothing is read back.

mod bodies;
mod expected;
mod plan;
mod random;
mod request;
mod shape;
mod template;
mod traffic;
mod values;
mod write;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rayon::prelude::*;

use expected::Expected;
use plan::Variant;
use write::Traffic;

#[derive(Parser)]
#[command(about = "Make a dump of Kubernetes audit logs, and what a sweep of it must find")]
struct Arguments {
    /// Decompressed size: a number with KB, MB, GB, KiB, MiB or GiB
    #[arg(long, value_parser = bytes)]
    size: u64,
    /// Another seed, another dump
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What it is like
    #[arg(long, value_enum, default_value_t = Variant::Mixed)]
    variant: Variant,
    /// Days that it spans
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Directory that is made; it must not hold a dump yet
    dir: PathBuf,
}

fn bytes(text: &str) -> Result<u64> {
    let units =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let size = number.parse::<u64>().context("a size is a number and a unit")?.saturating_mul(unit);
    ensure!(size > 0, "a dump of nothing");
    Ok(size)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let logs = arguments.dir.join("logs");
    ensure!(!logs.exists(), "{} exists", logs.display());
    let files = plan::files(arguments.variant, arguments.size, arguments.days);
    let requests = arguments.variant.traffic();
    let mut traffic = BTreeMap::new();
    for file in &files {
        if let Entry::Vacant(place) = traffic.entry(file.shape) {
            place.insert(Traffic::new(file.shape, &requests)?);
        }
    }
    let write =
        |file: &plan::File| write::file(&logs, file, &traffic[&file.shape], arguments.seed, arguments.variant.pools());
    let made = files.par_iter().with_max_len(1).map(write);
    let expected = made.try_reduce(Expected::default, |left, right| Ok(left.merge(right)))?;
    let json = expected.json()?;
    std::fs::write(arguments.dir.join("expected.json"), format!("{json:#}\n"))?;
    writeln!(
        io::stderr(),
        "{} files, {} bytes in {}, {}",
        expected.files,
        expected.text,
        expected.compressed,
        json["totals"]
    )?;
    Ok(())
}
