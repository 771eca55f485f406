//! What to do next about an alert, as commands that can be copied.

use std::collections::BTreeSet;

use super::history::repository;
use super::judged::place;
use super::page::What;
use super::since::Since;
use crate::aggregate::{Gap, Record, Verdict};
use crate::rule::Class;
use crate::words::minute;

/// What the next steps depend on.
pub(super) struct Case<'a> {
    pub alert_id: &'a str,
    /// The request that decided the verdict, with its CronJob as far as it could be recovered.
    pub resolved: &'a Record,
    /// The CronJob that decided the verdict.
    pub decided: Subject<'a>,
    /// The other CronJobs, the gravest first.
    pub others: Vec<Subject<'a>>,
    /// The service account of the CronJob that decided the verdict.
    pub account: Option<String>,
    /// The gaps of the dump in the context window.
    pub gaps: Vec<Gap>,
    /// Whether a CronJob mounts ConfigMaps.
    pub has_scripts: bool,
    /// Whether a second pass looked for these.
    pub is_deep: bool,
}

/// Other CronJobs for which steps are given.
const OTHERS: usize = 5;

/// A CronJob of an alert.
pub(super) struct Subject<'a> {
    /// The gravest request on it.
    record: &'a Record,
    verdict: Verdict,
    since: &'a Since,
    /// Whether the page shows what the request changed.
    has_diff: bool,
    /// Whether the spec that the request found is graver than the one it left.
    is_mended: bool,
}

impl<'a> Subject<'a> {
    pub(super) fn new(record: &'a Record, verdict: Verdict, since: &'a Since, what: &What, is_mended: bool) -> Self {
        Subject { record, verdict, since, has_diff: !what.diff.is_empty(), is_mended }
    }
}

/// Next steps for the CronJob that decided the verdict: what to look at, and what ends the attack if it is one. Names
/// from the log appear in commands only if Kubernetes allows them as names: anything else could be shell text, or an
/// option.
pub(super) fn next(case: &Case<'_>) -> Vec<String> {
    let Subject { record, verdict, .. } = case.decided;
    let mut next = Vec::new();
    next.extend(record.cluster.as_deref().map(|cluster| format!("use the kubectl context of the cluster: {cluster}")));
    let kinds = if case.has_scripts { "cronjob,job,pod,configmap" } else { "cronjob,job,pod" };
    let file = format!("evidence-{}.yaml", case.alert_id);
    next.push(format!("kubectl -n {} get {kinds} -o yaml > {file}", namespace(record)));
    next.extend(record.audit_id.as_deref().and_then(|id| events_of("audit-id", id)).map(|command| command + " --raw"));
    next.extend(record.username.as_deref().and_then(|user| events_of("user", user)));
    next.extend(unseen(case));
    if verdict == Verdict::Review {
        next.push("ask who answers for this user about it; what follows is for the case that nobody does".to_owned());
    }
    if verdict > Verdict::Expected {
        next.extend(containment(case));
    }
    let graver = case.others.iter().filter(|other| other.verdict > Verdict::Expected);
    let others: Vec<_> = graver.map(|other| (place(other.record), ending(other))).collect();
    let others: Vec<_> = others.into_iter().filter(|(_, steps)| !steps.is_empty()).collect();
    for (place, steps) in others.iter().take(OTHERS) {
        next.push(format!("and of the other CronJobs of this alert: {place}"));
        next.extend(steps.iter().cloned());
    }
    let more = others.len().saturating_sub(OTHERS);
    if more > 0 {
        next.push(format!("end the other CronJobs of this alert too: {more} more"));
    }
    next
}

/// What this sweep did not see, and how to see it.
fn unseen(case: &Case<'_>) -> Vec<String> {
    let mut steps = Vec::new();
    let longest = case.gaps.iter().max_by_key(|gap| (gap.end.duration_since(gap.start), gap.end));
    if let Some(gap) = longest.filter(|_| case.decided.verdict >= Verdict::Suspicious) {
        let which = if case.gaps.len() > 1 { format!("longest of {} gaps", case.gaps.len()) } else { "gap".to_owned() };
        let span = format!("{} to {}", minute(gap.start), minute(gap.end));
        steps.push(format!("get the logs of the {which} before this alert, of which this dump holds nothing: {span}"));
    }
    if case.has_scripts && !case.is_deep {
        steps.push("read the scripts in its ConfigMaps too, at which only --deep looks".to_owned());
        steps.push("kubesweep scan DUMP --deep".to_owned());
    }
    steps
}

fn containment(case: &Case<'_>) -> Vec<String> {
    let mut steps = Vec::new();
    let images = repositories(case.resolved);
    if !images.is_empty() {
        steps.push(format!("keep the images by digest: {}", images.join(", ")));
    }
    let decided = &case.decided;
    steps.push(credential(decided.record));
    // Requests without effect left nothing that could run.
    if !decided.since.took_effect {
        return steps;
    }
    if let Some(account) = &case.account {
        let namespace = decided.record.namespace.as_deref().unwrap_or("-");
        steps.push(format!(
            "rotate the tokens of the service account, and look at what it may do: {namespace}/{account}"
        ));
    }
    steps.extend(ending(decided));
    steps
}

/// How to end the runs of an existing CronJob. One that others rely on is suspended and restored, never deleted.
fn ending(subject: &Subject<'_>) -> Vec<String> {
    let (record, since) = (subject.record, subject.since);
    if since.is_gone || !since.took_effect {
        return Vec::new();
    }
    let (namespace, name) = (namespace(record), record.name.as_deref().filter(is_name).unwrap_or("NAME"));
    let suspend = format!("kubectl -n {namespace} patch cronjob {name} -p '{{\"spec\":{{\"suspend\":true}}}}'");
    let look = format!("kubectl -n {namespace} get cronjob {name} -o yaml");
    if let Some(by) = &since.remade {
        return vec![format!("it was deleted and made again, so look at what is there: made {by}"), look];
    }
    let is_own = since.is_own;
    if since.changed.is_some() && !(is_own && since.changed_by == record.username) {
        let by = since.changed_by.as_deref().unwrap_or("-");
        return vec![format!("it was changed again since, so look at it before you stop it; changed by: {by}"), look];
    }
    // Whoever repairs a CronJob must not be told to put back what was there.
    if subject.is_mended {
        let which =
            "what it replaced looks worse than what it left, so decide which is right before you put anything back";
        return vec![which.to_owned(), look];
    }
    if is_own {
        let delete = format!("kubectl -n {namespace} delete cronjob {name}");
        return vec!["delete the CronJob before its pods, since it makes new ones".to_owned(), delete];
    }
    let back = if subject.has_diff {
        "then put back what was right before this change; the diff says what it was"
    } else {
        "then put back what was right, from where its owner keeps it, since this dump does not tell it"
    };
    vec!["it was there before this change, so stop it rather than delete it".to_owned(), suspend, back.to_owned()]
}

fn namespace(record: &Record) -> &str {
    record.namespace.as_deref().filter(is_name).unwrap_or("NAMESPACE")
}

/// The command that shows the events with this value.
fn events_of(option: &str, value: &str) -> Option<String> {
    filter(option, value).map(|filter| format!("kubesweep events DUMP{filter}"))
}

/// An option of that command; `None` if no character of the value can be kept. `*` stands for each character that is
/// not printable ASCII, because a page may print it as something else.
pub(super) fn filter(option: &str, value: &str) -> Option<String> {
    let pattern: String = value.chars().map(|c| if matches!(c, ' '..='~') { c } else { '*' }).collect();
    let tells = pattern.contains(|c| c != '*');
    tells.then(|| format!(" --{option}='{}'", pattern.replace('\'', "'\\''")))
}

/// Whether this is a subdomain as RFC 1123 defines it; `--all` is not.
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

/// The images of a CronJob without their tags, to decide what to keep.
fn repositories(record: &Record) -> Vec<String> {
    let images = record.cronjob.iter().flat_map(|cronjob| &cronjob.images);
    images.map(|image| repository(image).to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}
