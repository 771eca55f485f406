//! Partials: any file is read or refused, and what was written is read back.

use std::io::Write;

use kubesweep::aggregate::{Plan, finish};
use kubesweep::decode::Hashing;
use kubesweep::partial::{load, open};
use kubesweep::rule::{Pack, Tuning};
use kubesweep::spill::pack;

/// Bytes as the whole file, or, where the first is even, as the lines of one that is sound.
pub fn partial(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    let content = if kind % 2 == 0 { sealed(data) } else { data.to_vec() };
    let path = crate::file("share.partial", &content);
    let Ok(partials) = open(&[path]) else { return };
    let Ok(tally) = load(&partials) else { return };
    assert!(kind % 2 == 0 || content.ends_with(b"\n"), "a file without a hash is taken");
    let pack = Pack::new(Vec::new(), Tuning::default(), Vec::new());
    let _ = finish(tally, &pack, &Plan::default());
}

fn sealed(lines: &[u8]) -> Vec<u8> {
    let mut content = b"kubesweep partial 1\n".to_vec();
    let mut out = pack(&mut content).expect("memory");
    out.write_all(lines).expect("memory");
    let encoder = out.into_inner().map_err(std::io::IntoInnerError::into_error).expect("memory");
    encoder.finish().expect("memory");
    let mut hashing = Hashing::new(content.as_slice());
    hashing.drain().expect("memory");
    let hash = hashing.finish().1;
    content.extend(format!("{hash}\n").bytes());
    content
}
