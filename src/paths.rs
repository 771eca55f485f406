//! What the names of files and cloud resources say.

use std::fmt::Write;

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
