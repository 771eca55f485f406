//! Which files a dump has: their forms, sizes and hours. None of this depends on their content.

use clap::ValueEnum;

use crate::random::pick;
use crate::request::Request;
use crate::shape::Shape;
use crate::traffic;
use crate::values::Pools;

/// Kinds of dumps.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// What a cluster logs in a day, from three clouds.
    Mixed,
    /// Every record mentions CronJobs.
    Candidates,
    /// One file of one gzip member.
    Giant,
    /// Files of 20 KB of text.
    Tiny,
    /// Records of 256 KiB to 2 MiB.
    Long,
    /// AKS alone.
    Aks,
    /// Every record is a hit.
    Hits,
}

/// The first moment of every dump, in seconds: 2026-10-25T00:00:00Z.
const START: i64 = 1_792_886_400;
/// Sizes of files, in tenths of the mean.
const UNEVEN: [u64; 6] = [8, 30, 1, 15, 2, 4];
const CLUSTERS: u64 = 3;
const CLOUDS: [Shape; 4] = [Shape::Export, Shape::Firehose, Shape::Azure, Shape::Gcs];

impl Variant {
    pub(crate) fn traffic(self) -> Vec<Request> {
        match self {
            Variant::Candidates => traffic::candidates(),
            Variant::Hits => traffic::hits(),
            Variant::Long => traffic::long(),
            Variant::Mixed | Variant::Giant | Variant::Tiny | Variant::Aks => traffic::mixed(),
        }
    }

    pub(crate) fn pools(self) -> Pools {
        match self {
            Variant::Hits => Pools { users: 400, namespaces: 300, workloads: 4_000, cronjobs: 4_000 },
            _ => Pools { users: 30, namespaces: 14, workloads: 60, cronjobs: 5 },
        }
    }

    fn shapes(self) -> &'static [Shape] {
        match self {
            Variant::Giant => &[Shape::Export],
            Variant::Aks => &[Shape::Azure],
            // AKS cuts at 16 KiB.
            Variant::Long => &[Shape::Export, Shape::Firehose, Shape::Gcs],
            _ => &CLOUDS,
        }
    }

    /// Mean size of files.
    fn mean(self, size: u64) -> u64 {
        match self {
            Variant::Giant => size,
            Variant::Tiny => 20 << 10,
            Variant::Long => (size / 60).clamp(2 << 20, 64 << 20),
            _ => (size / 200).clamp(20 << 10, 16 << 20),
        }
    }
}

/// One file.
pub(crate) struct File {
    pub number: u64,
    pub shape: Shape,
    pub cluster: u64,
    /// Decompressed size.
    pub size: u64,
    /// The first second of its records, and how many seconds they span.
    pub start: i64,
    pub span: i64,
}

/// The files of a dump of about this size.
pub(crate) fn files(variant: Variant, size: u64, days: u32) -> Vec<File> {
    let (shapes, mean) = (variant.shapes(), variant.mean(size));
    let mut sizes = Vec::new();
    let mut rest = size;
    while rest > 0 {
        let round = sizes.len() / shapes.len();
        let even = matches!(variant, Variant::Giant | Variant::Tiny);
        let tenths = if even { 10 } else { UNEVEN[round % UNEVEN.len()] };
        sizes.push((mean * tenths / 10).min(rest));
        rest -= sizes[sizes.len() - 1];
    }
    let hours = u64::from(days) * 24;
    let of_shape = (sizes.len() as u64).div_ceil(shapes.len() as u64);
    // As many clusters as files share an hour, so that no two files have the same path.
    let clusters = of_shape.div_ceil(hours).max(CLUSTERS);
    let file = |(number, size): (u64, u64)| {
        let nth = number / shapes.len() as u64;
        let hour = i64::try_from(nth * hours / of_shape).unwrap_or_default();
        let span = if variant == Variant::Giant { i64::from(days) * 24 } else { 1 };
        File {
            number,
            shape: shape(pick(shapes, number), nth),
            cluster: nth % clusters,
            size,
            start: START + hour * 3600,
            span: span * 3600,
        }
    };
    (0..).zip(sizes).map(file).collect()
}

/// Firehose has two forms, used in turn.
fn shape(shape: Shape, nth: u64) -> Shape {
    if shape == Shape::Firehose && nth % 2 == 1 { Shape::FirehoseWhole } else { shape }
}
