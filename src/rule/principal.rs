//! Who a username stands for.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::event::User;

/// Classes of principals.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A person, or an identity used by one: certificates, OIDC, IAM.
    Human,
    /// A kubelet.
    Node,
    /// Requests without credentials.
    Anonymous,
    /// The API server, the scheduler, the controller manager.
    ControlPlane,
    /// A controller of the cluster itself.
    Controller,
    /// A known GitOps tool or operator.
    Gitops,
    /// Any other service account.
    WorkloadSa,
    /// A component that the cloud runs in the cluster.
    CloudAddon,
    /// A shared administrator credential.
    Shared,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Human => "human",
            Class::Node => "node",
            Class::Anonymous => "anonymous",
            Class::ControlPlane => "control_plane",
            Class::Controller => "controller",
            Class::Gitops => "gitops",
            Class::WorkloadSa => "workload_sa",
            Class::CloudAddon => "cloud_addon",
            Class::Shared => "shared",
        })
    }
}

/// How a pattern in [`NAMES`] is compared.
enum Like {
    Is,
    Starts,
}
use Like::{Is, Starts};

/// The first pattern that fits counts. Service accounts of GitOps tools are written as `namespace:name`, as their
/// charts install them.
const NAMES: [(Like, &str, Class); 49] = [
    (Is, "system:anonymous", Class::Anonymous),
    (Starts, "system:node:", Class::Node),
    (Starts, "system:bootstrap:", Class::Node),
    (Is, "nodeclient", Class::Node),
    (Is, "system:admin", Class::Shared),
    (Is, "kubernetes-admin", Class::Shared),
    (Is, "kubernetes-super-admin", Class::Shared),
    (Is, "masterclient", Class::Shared),
    (Is, "admin", Class::Shared),
    (Is, "clusterAdmin", Class::Shared),
    (Is, "system:addon-manager", Class::CloudAddon),
    (Starts, "system:gke-", Class::CloudAddon),
    (Starts, "system:gcp-", Class::CloudAddon),
    (Starts, "eks:", Class::CloudAddon),
    (Starts, "gke-", Class::CloudAddon),
    (Starts, "azure-", Class::CloudAddon),
    (Is, "aksService", Class::CloudAddon),
    (Is, "hcpService", Class::CloudAddon),
    (Is, "readinessChecker", Class::CloudAddon),
    (Starts, "system:serviceaccount:argocd:argocd-", Class::Gitops),
    (Starts, "system:serviceaccount:argo-cd:", Class::Gitops),
    (Starts, "system:serviceaccount:openshift-gitops:", Class::Gitops),
    (Starts, "system:serviceaccount:flux-system:", Class::Gitops),
    (Starts, "system:serviceaccount:flux:", Class::Gitops),
    (Starts, "system:serviceaccount:fleet-", Class::Gitops),
    (Starts, "system:serviceaccount:cattle-fleet-", Class::Gitops),
    (Starts, "system:serviceaccount:kube-system:helm-", Class::Gitops),
    (Starts, "system:serviceaccount:jx:", Class::Gitops),
    (Starts, "system:serviceaccount:crossplane-system:", Class::Gitops),
    (Starts, "system:serviceaccount:spinnaker:", Class::Gitops),
    (Starts, "system:serviceaccount:olm:", Class::Gitops),
    (Starts, "system:serviceaccount:openshift-operator-lifecycle-manager:", Class::Gitops),
    (Starts, "system:serviceaccount:jenkins:", Class::Gitops),
    (Starts, "system:serviceaccount:tekton-pipelines:", Class::Gitops),
    (Starts, "system:serviceaccount:velero:", Class::Gitops),
    (Starts, "system:serviceaccount:cert-manager:", Class::Gitops),
    (Starts, "system:serviceaccount:external-secrets:", Class::Gitops),
    (Starts, "system:serviceaccount:keda:", Class::Gitops),
    (Starts, "system:serviceaccount:rook-ceph:", Class::Gitops),
    (Starts, "system:serviceaccount:k8up-operator:", Class::Gitops),
    (Starts, "system:serviceaccount:stackgres:", Class::Gitops),
    (Starts, "system:serviceaccount:postgres-operator:", Class::Gitops),
    (Starts, "system:serviceaccount:kube-system:", Class::Controller),
    (Starts, "system:serviceaccount:gke-system:", Class::CloudAddon),
    (Starts, "system:serviceaccount:openshift-", Class::Controller),
    (Starts, "system:serviceaccount:", Class::WorkloadSa),
    (Starts, "system:", Class::ControlPlane),
    (Starts, "serviceAccount:", Class::WorkloadSa),
    (Starts, "principal://", Class::Human),
];

/// The class of a user. A user without a name is anonymous.
#[must_use]
pub fn classify(user: &User<'_>) -> Class {
    let Some(name) = user.username.as_deref() else { return Class::Anonymous };
    let fits = |like: &Like, pattern: &str| match like {
        Is => name == pattern,
        Starts => name.starts_with(pattern),
    };
    let known = NAMES.iter().find(|(like, pattern, _)| fits(like, pattern)).map(|(_, _, class)| *class);
    known.unwrap_or(if name.ends_with(".gserviceaccount.com") { Class::WorkloadSa } else { Class::Human })
}

/// Prefixes of Panther's system principals. The first is used as a prefix in Panther too, so it excludes nobody.
const SYSTEM_PREFIXES: [&str; 6] =
    [".iam.gserviceaccount.com", "system:serviceaccount:kube-system:", "eks:", "masterclient", "gke-", "azure-"];

/// Whether Panther's rules treat this user as a system principal.
#[must_use]
pub(super) fn is_system(user: &str) -> bool {
    SYSTEM_PREFIXES.iter().any(|prefix| user.starts_with(prefix))
        || user == "aksService"
        || user.starts_with("system:") && !user.contains("serviceaccount")
}
