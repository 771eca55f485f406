//! What unwrapping gives out: a record of some shape, what the envelopes around it tell, and where it stands.

use std::fmt;

use crate::decode;
use crate::event::{Origin, Platform, Text};
use crate::json::{Fields, Raw};

/// What the envelopes around a record say of it.
#[derive(Debug, Clone, Default)]
pub struct Envelope<'a> {
    /// Platform, account, cluster, region.
    pub origin: Origin<'a>,
    /// The name of the outermost recognised format, for `inputs.csv`.
    pub format: Option<&'static str>,
    /// The time that the envelope gives the record, as raw JSON.
    pub time: Option<Raw<'a>>,
    /// The time in the prefix of the line, as written.
    pub line_time: Option<&'a str>,
    /// Azure's log category.
    pub category: Option<Text<'a>>,
    /// Whether the records come from the log group of an EKS control plane.
    pub control_plane: bool,
    /// The content must itself be an event. It is never opened as an envelope, so it cannot smuggle in a forged event.
    pub closed: bool,
    /// Whether some of the text around the record was lost.
    pub cut: bool,
    /// Panther's `p_source_label`: a cluster name, used if nothing better is known.
    pub source_label: Option<Text<'a>>,
}

impl Envelope<'_> {
    /// This envelope with a format, unless an outer envelope has set one, and a platform, unless one is known.
    pub(super) fn named(&self, format: &'static str, platform: Option<Platform>) -> Self {
        let mut named = self.clone();
        named.format = named.format.or(Some(format));
        named.origin.platform = named.origin.platform.or(platform);
        named
    }
}

/// One record, classified by its shape.
#[derive(Debug)]
pub enum Leaf<'a> {
    /// An event of audit.k8s.io.
    Event(&'a Fields<'a>),
    /// A GCP LogEntry of service k8s.io, and the audit log in it.
    LogEntry(&'a Fields<'a>, &'a Fields<'a>),
    /// A row of Azure's AKSAudit tables, or of Sentinel's AWSEKSLogs.
    Row(&'a Fields<'a>),
    /// An OCSF API Activity of EKS.
    Ocsf(&'a Fields<'a>),
    /// A line of the API server's `legacy` log format.
    Legacy(&'a str),
    /// A record of something else.
    Other,
    /// A record of unknown form that contains the keys of an audit event.
    Unopened,
    /// Text that should be a record but is not whole JSON.
    Broken(&'a [u8]),
    /// A record larger than `--max-record`.
    TooLong,
}

impl Leaf<'_> {
    /// The format of a record that no envelope has named.
    #[must_use]
    pub fn format(&self) -> Option<&'static str> {
        match self {
            Leaf::Event(_) => Some("audit-log"),
            Leaf::LogEntry(..) => Some("gke-logentry"),
            Leaf::Row(_) => Some("aks-audit"),
            Leaf::Ocsf(_) => Some("ocsf"),
            Leaf::Legacy(_) => Some("legacy"),
            Leaf::Other | Leaf::Unopened | Leaf::Broken(_) | Leaf::TooLong => None,
        }
    }

    /// The members of an event of audit.k8s.io in its original form.
    #[must_use]
    pub fn native_members(&self) -> Option<&Fields<'_>> {
        match self {
            Leaf::Event(fields) => Some(fields),
            _ => None,
        }
    }

    /// A digest in hexadecimal that is equal for records with equal members.
    #[must_use]
    pub fn digest(&self) -> String {
        match self {
            Leaf::Event(fields) | Leaf::LogEntry(fields, _) | Leaf::Row(fields) | Leaf::Ocsf(fields) => {
                let members = fields.iter().flat_map(|(key, raw)| [key.as_bytes(), b"\0", raw, b"\0"]);
                decode::sha256_of_parts(members)
            }
            Leaf::Legacy(line) => decode::sha256(line.as_bytes()),
            Leaf::Other | Leaf::Unopened | Leaf::Broken(_) | Leaf::TooLong => String::new(),
        }
    }
}

/// The path from a framed document to a record inside it: a JSON Pointer (RFC 6901) that also steps into strings that
/// hold JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer(pub(super) Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(&'static str),
    Name(String),
    Index(usize),
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, "/{key}"),
            Step::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => write!(f, "/{index}"),
        })
    }
}

/// Where a record is in its stream.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// Number of the line or document, from 1.
    pub record: u64,
    /// Number of its last line; differs from `record` if it was joined from several lines.
    pub last: u64,
    /// Offset of the line or document in the decoded text.
    pub offset: Option<u64>,
    /// The path from there to the record; empty if the document is the record.
    pub pointer: &'p Pointer,
}

/// Takes the records that [`Unwrapper`](super::Unwrapper) finds.
pub type OnLeaf<'s> = dyn FnMut(Leaf<'_>, &Envelope<'_>, Place<'_>) + 's;
