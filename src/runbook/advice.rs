//! What to do next about an alert, in commands that can be copied.

use std::collections::BTreeSet;

use super::history::repository;
use crate::aggregate::Record;
use crate::rule::Class;

/// Next steps for the CronJob that decided. Names from the log stand in commands only where they are names that
/// Kubernetes allows: anything else could be shell text, or an option.
pub(super) fn next(record: &Record, is_deleted: bool, resolved: &Record) -> Vec<String> {
    let namespace = record.namespace.as_deref().filter(is_name).unwrap_or("NAMESPACE");
    let name = record.name.as_deref().filter(is_name).unwrap_or("NAME");
    let mut next = vec![format!("kubectl -n {namespace} get cronjob,job,pod -o yaml > evidence.yaml")];
    let images = repositories(resolved);
    if !images.is_empty() {
        next.push(format!("keep the images by digest: {}", images.join(", ")));
    }
    next.push(format!("rotate {}", credential(record)));
    if let Some(account) = resolved.cronjob.as_ref().and_then(|cronjob| cronjob.service_account.as_deref()) {
        next.push(format!("rotate the tokens of service account {account}, and look at what it may do"));
    }
    if !is_deleted {
        next.push(format!("kubectl -n {namespace} delete cronjob {name}    (before its pods: it makes new ones)"));
    }
    next.push(format!(
        "kubesweep events DUMP --user '{}'",
        record.username.as_deref().unwrap_or("-").replace('\'', "'\\''")
    ));
    next
}

/// As RFC 1123 has subdomains: `--all` is none.
fn is_name(name: &&str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !name.is_empty() && name.bytes().all(is_inner) && !name.starts_with(['-', '.']) && !name.ends_with(['-', '.'])
}

fn credential(record: &Record) -> String {
    let user = record.username.as_deref().unwrap_or("-");
    match record.principal_class {
        Class::Anonymous => "nothing: close anonymous access to the API server".to_owned(),
        Class::Node => format!("the kubelet credential of {user}"),
        Class::Shared => format!("the shared credential {user}, and give people their own"),
        Class::WorkloadSa | Class::Gitops | Class::Controller => format!("the token of {user}"),
        _ => format!("the credentials and sessions of {user}"),
    }
}

/// The images of a CronJob without their tags, for what to keep.
fn repositories(record: &Record) -> Vec<String> {
    let images = record.cronjob.iter().flat_map(|cronjob| &cronjob.images);
    images.map(|image| repository(image).to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}
