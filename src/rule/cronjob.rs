//! Panther's *Kubernetes CronJob Created or Modified*, exactly, with what it excludes kept as suppressed matches.

use jiff::SignedDuration;

use super::{Rule, RuleMatch, Severity, Suppression, limited};
use crate::event::AuditEvent;

const ID: &str = "Kubernetes.CronJob.CreatedOrModified";

pub(super) const RULE: Rule = Rule {
    id: ID,
    name: "Kubernetes CronJob Created or Modified",
    severity: Severity::Info,
    // Panther names the first; the second is the technique for Kubernetes.
    mitre: &["T1053.003", "T1053.007"],
    dedup_period: SignedDuration::from_mins(60),
    matches,
};

const VERBS: [&str; 3] = ["create", "update", "patch"];
const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "gke-system", "kube-node-lease", "kube-public"];
/// `.iam.gserviceaccount.com` is a prefix upstream too, so it excludes nobody.
const SYSTEM_PREFIXES: [&str; 6] =
    [".iam.gserviceaccount.com", "system:serviceaccount:kube-system:", "eks:", "masterclient", "gke-", "azure-"];
const AKS_SERVICE: &str = "aksService";

fn matches(event: &AuditEvent<'_>) -> Option<RuleMatch> {
    let verb = event.verb.as_deref().filter(|verb| VERBS.contains(verb))?;
    let object = &event.object_ref;
    let on_cronjob = object.resource.as_deref() == Some("cronjobs") && object.subresource.as_deref() != Some("status");
    if !on_cronjob || event.response_status.code.is_some_and(is_failure) {
        return None;
    }
    let (user, namespace) = (event.user.username.as_deref(), object.namespace.as_deref());
    let excluded = user.is_some_and(is_system_principal) && namespace.is_some_and(|ns| SYSTEM_NAMESPACES.contains(&ns));
    let action = if verb == "create" { "created" } else { "modified" };
    let (user, namespace) = (user.unwrap_or("<UNKNOWN_USER>"), namespace.unwrap_or("<UNKNOWN_NAMESPACE>"));
    let name = object.name.as_deref().unwrap_or("<UNKNOWN>");
    Some(RuleMatch {
        rule_id: ID.to_owned(),
        title: limited(format!("[{user}] {action} CronJob [{namespace}/{name}]")),
        dedup_key: limited(format!("k8s_cronjob_{user}_{namespace}")),
        suppressed: excluded.then(|| Suppression {
            by: "system_principal_in_system_namespace".to_owned(),
            reason: "the rule leaves out system principals in system namespaces".to_owned(),
        }),
    })
}

/// HTTP codes from 400, and google.rpc codes but OK.
pub(crate) fn is_failure(code: i64) -> bool {
    code >= 400 || (1..=16).contains(&code)
}

fn is_system_principal(user: &str) -> bool {
    SYSTEM_PREFIXES.iter().any(|prefix| user.starts_with(prefix))
        || user == AKS_SERVICE
        || user.starts_with("system:") && !user.contains("serviceaccount")
}
