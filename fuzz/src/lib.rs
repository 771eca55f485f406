//! What the fuzz targets do with their bytes: call the library as the program does, and hold it to its laws.
//!
//! Any panic is a finding; the assertions here say what else is one.

mod dump;
mod files;
mod reading;
mod records;
mod rules;
mod texts;

pub use dump::{escaping, sweep};
pub use files::partial;
pub use reading::bytes;
pub use records::{indicators, normalize};
pub use rules::{prefilter, rule, sigma};
pub use texts::redact;

use std::path::PathBuf;
use std::sync::LazyLock;

/// A directory of this process; `tests/e2e/fuzz.sh` removes it.
static SCRATCH: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// Writes a file that the library is to read.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = SCRATCH.path().join(name);
    std::fs::write(&path, content).expect("a temporary file");
    path
}

/// Both are the same; else the first difference is told.
fn agree(left: &[String], right: &[String], law: &str) {
    let differs = left.iter().zip(right).find(|(left, right)| left != right);
    assert!(
        differs.is_none() && left.len() == right.len(),
        "{law}: {} and {} things: {differs:#?}",
        left.len(),
        right.len()
    );
}
