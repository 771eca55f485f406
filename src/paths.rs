//! What the names of files and cloud resources say.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A printable name: bytes that are not UTF-8 become `\xNN`.
pub(crate) fn printable(name: &[u8]) -> String {
    name.utf8_chunks().fold(String::new(), |mut out, chunk| {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02X}");
        }
        out
    })
}

/// Whether a file exists whose path [`printable`] gives like this.
pub(crate) fn is_there(printed: &str) -> bool {
    Path::new(printed).exists() || original(printed).exists()
}

/// The path with `\xNN` as the byte that it stands for.
#[cfg(unix)]
fn original(printed: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut parts = printed.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend(["\\x", part].concat().into_bytes()),
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn original(printed: &str) -> PathBuf {
    printed.into()
}

/// The cluster in the name of a log group of EKS: `/aws/eks/<cluster>/cluster` (AWS docs, EKS control plane logging).
pub(crate) fn eks_cluster(group: &str) -> Option<&str> {
    group.strip_prefix("/aws/eks/")?.split('/').next().filter(|cluster| !cluster.is_empty())
}

/// The cluster in an Azure resource id: the segment after `managedClusters`, or after `connectedClusters` of Arc.
pub(crate) fn azure_cluster(id: &str) -> Option<&str> {
    behind(id, "managedclusters").or_else(|| behind(id, "connectedclusters"))
}

/// The subscription in an Azure resource id.
pub(crate) fn azure_subscription(id: &str) -> Option<&str> {
    behind(id, "subscriptions")
}

fn behind<'t>(id: &'t str, name: &str) -> Option<&'t str> {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case(name))?;
    segments.next().filter(|segment| !segment.is_empty())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_printed_path_leads_back() {
        for name in [&b"/plain"[..], b"/caf\xe9-\xff.log", br"C:\xyz\x"] {
            assert_eq!(original(&printable(name)).as_os_str().as_bytes(), name);
        }
    }
}
