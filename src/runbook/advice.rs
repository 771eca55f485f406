//! What to do next about an alert, in commands that can be copied.

use std::collections::BTreeSet;

use super::history::repository;
use crate::aggregate::{Record, Verdict};
use crate::event::Outcome;
use crate::rule::Class;

/// Next steps for the CronJob that decided: what to look at, and what ends the attack if it is one. Names from the log stand
/// in commands only where they are names that Kubernetes allows: anything else could be shell text, or an option.
pub(super) fn next(record: &Record, verdict: Verdict, is_deleted: bool, resolved: &Record) -> Vec<String> {
    let namespace = record.namespace.as_deref().filter(is_name).unwrap_or("NAMESPACE");
    let mut next = vec![format!("kubectl -n {namespace} get cronjob,job,pod -o yaml > evidence.yaml")];
    next.extend(record.username.as_deref().and_then(events_of));
    if verdict == Verdict::Review {
        next.push("ask who answers for this user about it; what follows is for the case that nobody does".to_owned());
    }
    if verdict > Verdict::Expected {
        next.extend(containment(record, namespace, is_deleted, resolved));
    }
    next
}

fn containment(record: &Record, namespace: &str, is_deleted: bool, resolved: &Record) -> Vec<String> {
    let mut steps = Vec::new();
    let images = repositories(resolved);
    if !images.is_empty() {
        steps.push(format!("keep the images by digest: {}", images.join(", ")));
    }
    steps.push(credential(record));
    // A dry run leaves nothing that could run.
    if record.outcome == Outcome::DryRun {
        return steps;
    }
    if let Some(account) = resolved.cronjob.as_ref().and_then(|cronjob| cronjob.service_account.as_deref()) {
        steps.push(format!("rotate the tokens of the service account, and look at what it may do: {account}"));
    }
    if !is_deleted {
        let name = record.name.as_deref().filter(is_name).unwrap_or("NAME");
        steps.push(format!("kubectl -n {namespace} delete cronjob {name}  # before its pods: it makes new ones"));
    }
    steps
}

/// The command that shows what a user did. A page may print what is no plain letter as something else, so `*` stands for it.
fn events_of(user: &str) -> Option<String> {
    let pattern: String = user.chars().map(|c| if matches!(c, ' '..='~') { c } else { '*' }).collect();
    let tells = pattern.contains(|c| c != '*');
    tells.then(|| format!("kubesweep events DUMP --user='{}'", pattern.replace('\'', "'\\''")))
}

/// As RFC 1123 has subdomains: `--all` is none.
fn is_name(name: &&str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !name.is_empty() && name.bytes().all(is_inner) && !name.starts_with(['-', '.']) && !name.ends_with(['-', '.'])
}

fn credential(record: &Record) -> String {
    let user = record.username.as_deref().unwrap_or("-");
    let what = match record.principal_class {
        Class::Anonymous => return "close anonymous access to the API server".to_owned(),
        Class::Node => "the kubelet credential",
        Class::Shared => "the shared credential, and give people their own",
        Class::WorkloadSa | Class::Gitops | Class::Controller => "the token",
        _ => "the credentials and sessions",
    };
    format!("rotate {what}: {user}")
}

/// The images of a CronJob without their tags, for what to keep.
fn repositories(record: &Record) -> Vec<String> {
    let images = record.cronjob.iter().flat_map(|cronjob| &cronjob.images);
    images.map(|image| repository(image).to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}
