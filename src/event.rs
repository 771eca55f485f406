//! An audit event with the fields of audit.k8s.io/v1, whatever cloud wrote it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::Raw;

/// Text, borrowed from the record unless it had to be unescaped.
pub type Text<'a> = Cow<'a, str>;

/// The service that ran the cluster.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Amazon EKS.
    Eks,
    /// Azure AKS.
    Aks,
    /// Google GKE.
    Gke,
    /// Any other cluster, and any record that does not say.
    Kubernetes,
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Platform::Eks, Platform::Aks, Platform::Gke, Platform::Kubernetes];
        let named = all.into_iter().find(|platform| platform.to_string() == text.to_ascii_lowercase());
        named.ok_or_else(|| "a platform is eks, aks, gke or kubernetes".to_owned())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Platform::Eks => "eks",
            Platform::Aks => "aks",
            Platform::Gke => "gke",
            Platform::Kubernetes => "kubernetes",
        })
    }
}

/// Where an event comes from, as far as envelope, path or options say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// `None` if unknown.
    pub platform: Option<Platform>,
    /// AWS account, Azure subscription or GCP project.
    pub account: Option<Text<'a>>,
    /// Cluster name.
    pub cluster: Option<Text<'a>>,
    /// AWS region, or GCP location.
    pub region: Option<Text<'a>>,
}

impl Origin<'_> {
    /// The same, owning its texts.
    #[must_use]
    pub fn into_owned(self) -> Origin<'static> {
        let owned = |text: Option<Text<'_>>| text.map(|text| text.into_owned().into());
        Origin {
            platform: self.platform,
            account: owned(self.account),
            cluster: owned(self.cluster),
            region: owned(self.region),
        }
    }
}

/// The user who made a request, or who was impersonated.
#[derive(Debug, Clone, Default)]
pub struct User<'a> {
    /// `user.username`.
    pub username: Option<Text<'a>>,
    /// `user.uid`.
    pub uid: Option<Text<'a>>,
    /// `user.groups`.
    pub groups: Vec<Text<'a>>,
    /// `user.extra`, raw.
    pub extra: Option<Raw<'a>>,
}

/// The object of a request.
#[derive(Debug, Clone, Default)]
pub struct ObjectRef<'a> {
    /// Plural resource, `cronjobs`.
    pub resource: Option<Text<'a>>,
    /// Namespace.
    pub namespace: Option<Text<'a>>,
    /// Name.
    pub name: Option<Text<'a>>,
    /// API group, `batch`.
    pub api_group: Option<Text<'a>>,
    /// API version, `v1`.
    pub api_version: Option<Text<'a>>,
    /// Subresource, `status`.
    pub subresource: Option<Text<'a>>,
    /// Whether the name repeats the namespace: a GKE path without a name, read as Panther reads it.
    pub name_is_namespace: bool,
}

/// The API server's response.
#[derive(Debug, Clone, Default)]
pub struct ResponseStatus<'a> {
    /// Whether a response without a code means OK, as on GKE.
    pub silent_is_ok: bool,
    /// HTTP code, or google.rpc code on GKE (1 to 16; OK is absent).
    pub code: Option<i64>,
    /// `Success` or `Failure`.
    pub status: Option<Text<'a>>,
    /// Machine-readable reason.
    pub reason: Option<Text<'a>>,
    /// Message for people.
    pub message: Option<Text<'a>>,
}

/// One audit record.
#[derive(Debug, Clone, Default)]
pub struct AuditEvent<'a> {
    /// `auditID`; on GKE operation.id, or else insertId.
    pub audit_id: Option<Text<'a>>,
    /// `stage`.
    pub stage: Option<Text<'a>>,
    /// `level`.
    pub level: Option<Text<'a>>,
    /// `verb`.
    pub verb: Option<Text<'a>>,
    /// `requestURI`; absent on GKE.
    pub request_uri: Option<Text<'a>>,
    /// `user`: the authenticated user.
    pub user: User<'a>,
    /// `impersonatedUser`.
    pub impersonated_user: Option<User<'a>>,
    /// `sourceIPs`, in order.
    pub source_ips: Vec<Text<'a>>,
    /// `userAgent`.
    pub user_agent: Option<Text<'a>>,
    /// `objectRef`.
    pub object_ref: ObjectRef<'a>,
    /// `responseStatus`.
    pub response_status: ResponseStatus<'a>,
    /// `requestObject`, JSON text.
    pub request_object: Option<Cow<'a, [u8]>>,
    /// `responseObject`, JSON text.
    pub response_object: Option<Cow<'a, [u8]>>,
    /// `annotations`, raw JSON; on GKE the entry's labels, which hold them.
    pub annotations: Option<Raw<'a>>,
    /// `requestReceivedTimestamp`; on GKE the entry's timestamp.
    pub request_received: Option<Timestamp>,
    /// `stageTimestamp`.
    pub stage_timestamp: Option<Timestamp>,
    /// Whether the request asked to change nothing.
    pub dry_run: bool,
    /// Whether part of the record is lost: cut by a log pipeline, or bodies dropped because of their size.
    pub truncated: bool,
    /// Whether the record itself is cut, and was decided from the fields that are left.
    pub salvaged: bool,
    /// Fields of a type that audit.k8s.io/v1 does not allow there, or with bytes that are not text.
    pub malformed_fields: Vec<&'static str>,
    /// What distinguishes copies of this request from other requests.
    pub identity: Identity<'a>,
}

impl AuditEvent<'_> {
    /// Whether its id and the time it was received identify its copies.
    #[must_use]
    pub fn is_identified(&self) -> bool {
        self.identity.id.is_some() && self.request_received.is_some()
    }

    /// Whether a controller updates the status of an object, as the cronjob-controller does at every scheduled run:
    /// these are most of all records on CronJobs.
    #[must_use]
    pub fn is_status_of_controller(&self) -> bool {
        is_status_of_controller(self.object_ref.subresource.as_deref(), self.user.username.as_deref())
    }

    /// A malformed field without which most rules cannot know what the request was. Fields that show its outcome do not
    /// count: the outcome is then unknown, and rules can decide on that.
    #[must_use]
    pub fn undecided_by(&self) -> Option<&'static str> {
        let is_lost =
            |text: &Option<Text<'_>>| text.as_deref().is_none_or(|text| text.contains(char::REPLACEMENT_CHARACTER));
        let decide = [
            ("verb", is_lost(&self.verb)),
            ("objectRef.resource", is_lost(&self.object_ref.resource)),
            ("user.username", is_lost(&self.user.username)),
            ("stage", is_lost(&self.stage)),
        ];
        let is_one = |field: &&&str| decide.iter().any(|(name, is_lost)| *is_lost && name.starts_with(**field));
        self.malformed_fields.iter().find(is_one).copied()
    }
}

/// The same from the fields of a record.
pub(crate) fn is_status_of_controller(subresource: Option<&str>, username: Option<&str>) -> bool {
    let writers = ["system:serviceaccount:kube-system:cronjob-controller", "system:kube-controller-manager"];
    subresource == Some("status") && username.is_some_and(|user| writers.contains(&user))
}

/// Stages of audit.k8s.io/v1.
pub(crate) const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

/// The start of an audit event as every API server writes it. Its quotes are unescaped, so it cannot occur in a string
/// that a program logged.
pub(crate) const EVENT_START: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;

/// The start of a subscription payload of CloudWatch Logs, which holds many events.
pub(crate) const SUBSCRIPTION_START: &[u8] = br#"{"messageType":"DATA_MESSAGE""#;

/// The annotation that holds a whole object as `kubectl apply` sent it.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What Panther's rule prints if an entry of GKE names no user. No record contains it.
pub(crate) const UNKNOWN_USER: &str = "<UNKNOWN ACTOR USER>";

/// What all copies of one request share, besides the time it was received.
#[derive(Debug, Clone, Default)]
pub struct Identity<'a> {
    /// `auditID`; on GKE split.uid, operation.id or insertId.
    pub id: Option<Text<'a>>,
    /// `verb`, or methodName.
    pub action: Option<Text<'a>>,
    /// `requestURI`, or resourceName.
    pub target: Option<Text<'a>>,
    /// Number of the part, of a split GKE entry, from 0.
    pub part: u64,
}

/// How a request ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded.
    Success,
    /// It was refused, or failed.
    Failed,
    /// It succeeded, but changed nothing because it asked for `dryRun`.
    DryRun,
    /// The record does not say: only the start of the request was logged, or the response is cut off.
    Unknown,
}

impl Outcome {
    /// Reads it from an event.
    #[must_use]
    pub fn of(event: &AuditEvent<'_>) -> Self {
        let status = &event.response_status;
        match (status.code, status.status.as_deref()) {
            (Some(code), _) if is_failure(code) => Outcome::Failed,
            (None, Some("Failure")) => Outcome::Failed,
            (None, None) if !status.silent_is_ok => Outcome::Unknown,
            _ if event.dry_run => Outcome::DryRun,
            _ => Outcome::Success,
        }
    }

    /// As reports and rules write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failed => "failed",
            Outcome::DryRun => "dry_run",
            Outcome::Unknown => "unknown",
        }
    }
}

/// Whether this is an HTTP code from 400, or a google.rpc code other than OK.
#[must_use]
pub fn is_failure(code: i64) -> bool {
    code >= 400 || (1..=16).contains(&code)
}

/// What a write does to its object.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    Created,
    Modified,
    Deleted,
}

impl Change {
    /// Reads it from an event; `None` if it changes nothing. A server-side apply that creates is a patch answered with
    /// 201.
    #[must_use]
    pub fn of(event: &AuditEvent<'_>) -> Option<Self> {
        match event.verb.as_deref().filter(|_| event.object_ref.subresource.is_none())? {
            "create" => Some(Change::Created),
            "update" | "patch" if event.response_status.code == Some(201) => Some(Change::Created),
            "update" | "patch" => Some(Change::Modified),
            "delete" | "deletecollection" => Some(Change::Deleted),
            _ => None,
        }
    }

    /// As reports and rules write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Modified => "modified",
            Change::Deleted => "deleted",
        }
    }
}
