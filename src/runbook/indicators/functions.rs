//! What indicators find that regular expressions cannot: numbers, lists, relations between members.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::Range;

use serde_json::Value;

use super::pattern::cut_to;
use super::places::{self, Place, Trail, member, secrets};
use super::subject::{Container, JOB, POD, Subject, Text};
use super::{Finding, Indicator};
use crate::rule::{glob, is_public};
use crate::runbook::spec::print;

/// A function by its name in the data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    RunsPerDay,
    OneDate,
    NeverFires,
    RegistryNotAllowed,
    GenericImageAndInlineShell,
    SystemImageForeignRegistry,
    UrlHostIsPublicIp,
    TargetsControlPlane,
    SecretsManyOrCloud,
    BigCompute,
    ImitatesSystemName,
    NoHistory,
    /// About the request or its history: behaviour.rs decides, by the indicator's id.
    History,
}

const NAMES: [(&str, Function); 12] = [
    ("runs_per_day", Function::RunsPerDay),
    ("one_date", Function::OneDate),
    ("never_fires", Function::NeverFires),
    ("registry_not_allowed", Function::RegistryNotAllowed),
    ("generic_image_and_inline_shell", Function::GenericImageAndInlineShell),
    ("system_image_foreign_registry", Function::SystemImageForeignRegistry),
    ("url_host_is_public_ip", Function::UrlHostIsPublicIp),
    ("targets_control_plane", Function::TargetsControlPlane),
    ("secrets_many_or_cloud", Function::SecretsManyOrCloud),
    ("big_compute", Function::BigCompute),
    ("imitates_system_name", Function::ImitatesSystemName),
    ("no_history", Function::NoHistory),
];

const HISTORY: [&str; 14] = [
    "impersonates",
    "human_in_system_ns",
    "suspend_toggle",
    "short_lived",
    "hijacked",
    "new_public_ip",
    "workload_sa",
    "precursor_sequence",
    "first_seen",
    "denied_then_ok",
    "sprayed",
    "label_mismatch",
    "off_hours",
    "after_graver",
];

/// Bytes of one command that are searched for a host.
const LONGEST_COMMAND: usize = 1 << 16;
/// Runs per day of a schedule that fires every minute.
const EVERY_MINUTE: f64 = 1440.0;

impl Function {
    pub(super) fn parse(text: &str) -> Option<Function> {
        let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, function)| *function);
        named.or_else(|| HISTORY.contains(&text).then_some(Function::History))
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name).chain(HISTORY)
    }

    /// Whether nothing is found unless the expression matches.
    pub(super) fn needs_match(self) -> bool {
        matches!(
            self,
            Function::UrlHostIsPublicIp | Function::GenericImageAndInlineShell | Function::SystemImageForeignRegistry
        )
    }

    pub(super) fn findings(self, indicator: &Indicator, subject: &Subject<'_>) -> Vec<Finding> {
        match self {
            Function::RunsPerDay | Function::OneDate | Function::NeverFires => {
                self.of_schedule(indicator, subject).into_iter().collect()
            }
            Function::RegistryNotAllowed
            | Function::GenericImageAndInlineShell
            | Function::SystemImageForeignRegistry => self.of_images(indicator, subject),
            Function::UrlHostIsPublicIp => indicator.in_commands(subject, &names_public_ip),
            Function::TargetsControlPlane => control_plane(indicator, subject),
            Function::SecretsManyOrCloud => many_secrets(indicator, subject),
            Function::BigCompute => big_compute(indicator, subject),
            Function::ImitatesSystemName => imitates(indicator, subject),
            Function::NoHistory => no_history(indicator, subject),
            Function::History => Vec::new(),
        }
    }

    fn of_schedule(self, indicator: &Indicator, subject: &Subject<'_>) -> Option<Finding> {
        let schedule = subject.schedule()?;
        let context = subject.context;
        let fits = || indicator.find(&schedule).is_some();
        let holds = match self {
            Function::RunsPerDay => context.runs_per_day.map_or_else(fits, |runs| {
                indicator.test.at_least.is_none_or(|least| runs >= least)
                    && indicator.test.below.is_none_or(|below| runs < below)
            }),
            Function::OneDate => context.any_weekday && (context.one_date || (!context.never_fires && fits())),
            _ => context.any_weekday && (context.never_fires || fits()),
        };
        holds.then(|| indicator.finding("spec.schedule".to_owned(), schedule.trim(), &schedule))
    }

    fn of_images(self, indicator: &Indicator, subject: &Subject<'_>) -> Vec<Finding> {
        let allowed = subject.context.registries;
        let in_container = |container: &Container<'_>| {
            let image = container.image()?;
            let holds = match self {
                Function::RegistryNotAllowed => !allowed.is_empty() && !is_allowed(&image, allowed),
                Function::SystemImageForeignRegistry => {
                    indicator.find(&image).is_some() && !is_allowed(&image, allowed)
                }
                _ => {
                    let command = indicator.test.command.as_ref();
                    let inline = |text: &Text| command.is_none_or(|command| command.is_match(&text.whole));
                    indicator.find(&image).is_some() && container.texts.iter().any(inline)
                }
            };
            holds.then(|| indicator.finding(member(&container.place, "image"), image.trim(), &image))
        };
        subject.containers.iter().filter_map(in_container).collect()
    }
}

/// Whether an image comes from an allowed registry, or path in one.
fn is_allowed(image: &str, allowed: &[String]) -> bool {
    let name = full_name(image);
    let is_below = |pattern: &String| {
        let pattern = pattern.trim_end_matches('/').trim_start_matches("index.");
        glob(pattern, &name) || glob(&format!("{pattern}/*"), &name)
    };
    allowed.iter().any(is_below)
}

/// An image with its registry, without tag or digest: `alpine:3` is `docker.io/library/alpine`.
fn full_name(image: &str) -> String {
    let name = image.trim().split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let name = name[last..].find(':').map_or(name, |colon| &name[..last + colon]);
    let name =
        name.strip_prefix("index.docker.io/").map_or_else(|| name.to_owned(), |rest| format!("docker.io/{rest}"));
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some(("docker.io", rest)) if !rest.contains('/') => format!("docker.io/library/{rest}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name,
        Some(_) => format!("docker.io/{name}"),
    }
}

/// Whether the command that starts with a match names a public address as a host.
fn names_public_ip(text: &str, found: &Range<usize>) -> bool {
    let command = cut_to(&text[found.start..], LONGEST_COMMAND);
    let command = &command[..command.find(['|', ';', '&', '\n']).unwrap_or(command.len())];
    let hosts = command.split(|char: char| char.is_whitespace() || matches!(char, '"' | '\'' | '=' | '(' | ')' | ','));
    hosts.filter_map(host).any(|address| is_public(address.into()))
}

/// The IPv4 address that is the host of a URL, with or without its scheme.
fn host(word: &str) -> Option<Ipv4Addr> {
    let rest = word.split_once("://").map_or(word, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let octets: Vec<u8> = host.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)
}

fn control_plane(indicator: &Indicator, subject: &Subject<'_>) -> Vec<Finding> {
    let Some(pod) = subject.pod else { return Vec::new() };
    let found = |(place, text): (String, &str)| indicator.finding(place, text, text);
    let aims = |key: &str| indicator.find(key).is_some();
    let all = [tolerated(pod, &aims), selected(pod, &aims), preferred(pod, &aims), named(pod)];
    all.into_iter().flatten().map(found).collect()
}

fn below<'a>(pod: &'a Value, steps: &str) -> Vec<(String, &'a Value)> {
    places::walk(POD, pod, steps)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn tolerated<'a>(pod: &'a Value, aims: &dyn Fn(&str) -> bool) -> Vec<(String, &'a str)> {
    let tolerations = below(pod, ".tolerations[*]").into_iter();
    let aimed = tolerations.filter_map(|(place, toleration)| match text(toleration, "key") {
        "" if text(toleration, "operator") == "Exists" => Some((place, "operator: Exists")),
        key if aims(key) => Some((member(&place, "key"), key)),
        _ => None,
    });
    aimed.collect()
}

fn selected<'a>(pod: &'a Value, aims: &dyn Fn(&str) -> bool) -> Vec<(String, &'a str)> {
    let selectors = below(pod, ".nodeSelector").into_iter();
    let keys = selectors.flat_map(|(place, selector)| {
        let keys = selector.as_object().into_iter().flat_map(serde_json::Map::keys);
        keys.map(move |key| (member(&place, key), key.as_str()))
    });
    keys.filter(|(_, key)| aims(key)).collect()
}

/// Where node affinities are.
const AFFINITIES: [&str; 2] = [
    ".affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[*].matchExpressions[*]",
    ".affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[*].preference.matchExpressions[*]",
];

/// Keys of node affinities that attract a pod, with their places.
fn preferred<'a>(pod: &'a Value, aims: &dyn Fn(&str) -> bool) -> Vec<(String, &'a str)> {
    let expressions = AFFINITIES.iter().flat_map(|path| below(pod, path));
    let drawn = expressions.filter(|(_, expression)| !matches!(text(expression, "operator"), "DoesNotExist" | "NotIn"));
    let keys = drawn.map(|(place, expression)| (member(&place, "key"), text(expression, "key")));
    keys.filter(|(_, key)| aims(key)).collect()
}

fn named(pod: &Value) -> Vec<(String, &str)> {
    let is_control_plane = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["master", "control-plane", "controlplane"].iter().any(|word| name.contains(word))
    };
    let names = below(pod, ".nodeName").into_iter().filter_map(|(place, name)| Some((place, name.as_str()?)));
    names.filter(|(_, name)| is_control_plane(name)).collect()
}

fn many_secrets(indicator: &Indicator, subject: &Subject<'_>) -> Vec<Finding> {
    let mut known = BTreeSet::new();
    let all = secrets(subject).into_iter().filter_map(|(place, name)| Some((place, name.as_str()?)));
    let names: Vec<_> = all.filter(|(_, name)| known.insert(*name)).collect();
    let telling = names.iter().filter(|(_, name)| indicator.find(name).is_some());
    let mut findings: Vec<Finding> =
        telling.map(|(place, name)| indicator.finding(place.clone(), name, name)).collect();
    let count = u32::try_from(names.len()).map_or(f64::MAX, f64::from);
    if indicator.test.at_least.is_some_and(|least| count >= least) {
        let list: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        let text = format!("{} secrets: {}", names.len(), list.join(", "));
        findings.push(indicator.finding(POD.to_owned(), &text, &text));
    }
    findings
}

fn big_compute(indicator: &Indicator, subject: &Subject<'_>) -> Vec<Finding> {
    let every_minute = subject.context.runs_per_day.is_some_and(|runs| runs >= EVERY_MINUTE);
    let in_container = |container: &Container<'_>| {
        let place = member(&container.place, "resources");
        let of = |kind: &str| container.value.get("resources").and_then(|resources| resources.get(kind)?.as_object());
        for kind in ["limits", "requests"] {
            for (name, amount) in of(kind).into_iter().flatten() {
                let quantity = quantity(amount).unwrap_or_default();
                let is_big = name == "cpu" && indicator.test.at_least.is_some_and(|least| quantity >= least);
                if is_big || (quantity > 0.0 && indicator.find(name).is_some()) {
                    let text = format!("{name}: {}", print(amount));
                    return Some(indicator.finding(member(&member(&place, kind), name), &text, &text));
                }
            }
        }
        let is_limited = of("limits").is_some_and(|limits| limits.contains_key("cpu"));
        (every_minute && subject.context.whole && !is_limited)
            .then(|| indicator.finding(place, "no CPU limit", "no CPU limit"))
    };
    subject.containers.iter().filter_map(in_container).collect()
}

/// A quantity as Kubernetes writes it, as far as CPUs and devices need it: `2`, `"500m"`, `"1k"`.
fn quantity(value: &Value) -> Option<f64> {
    let text = places::text(value)?;
    let text = text.trim();
    let (number, factor) = match text.as_bytes().last()? {
        b'm' => (&text[..text.len() - 1], 0.001),
        b'k' => (&text[..text.len() - 1], 1000.0),
        _ => (text, 1.0),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

fn imitates(indicator: &Indicator, subject: &Subject<'_>) -> Vec<Finding> {
    if subject.context.actor_is_system {
        return Vec::new();
    }
    let paths = indicator.at.iter().filter_map(|place| match place {
        Place::Paths(paths) => Some(paths),
        _ => None,
    });
    let imitates =
        |name: &str| indicator.find(name).is_some() || indicator.test.names.iter().any(|known| is_near(name, known));
    let mut findings = Vec::new();
    let mut visit = |trail: &Trail<'_>, value: &Value| {
        if let Some(name) = value.as_str().filter(|name| imitates(name)) {
            findings.push(indicator.finding(trail.place(), name, name));
        }
    };
    paths.flatten().for_each(|path| path.visit(subject, &mut visit));
    findings
}

/// Whether names are almost alike: one edit if the known one has at most seven letters, otherwise two.
fn is_near(name: &str, known: &str) -> bool {
    let most = if known.len() < 8 { 1 } else { 2 };
    name.len().abs_diff(known.len()) <= most && strsim::levenshtein(name, known) <= most
}

fn no_history(indicator: &Indicator, subject: &Subject<'_>) -> Vec<Finding> {
    let number = |value: Option<&Value>| places::text(value?)?.trim().parse::<f64>().ok();
    let spec = subject.object.get("spec");
    let limits = ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    let zero = limits.into_iter().filter(|key| number(spec.and_then(|spec| spec.get(key))) == Some(0.0));
    let texts: Vec<String> = zero.clone().map(|key| format!("{key}: 0")).collect();
    let places: Vec<String> = zero.map(|key| member("spec", key)).collect();
    let mut findings = Vec::new();
    if !texts.is_empty() {
        let text = texts.join(", ");
        findings.push(indicator.finding(places.join(", "), &text, &text));
    }
    let ttl = "ttlSecondsAfterFinished";
    let seconds = number(subject.job.and_then(|job| job.get(ttl)));
    if let Some(seconds) = seconds.filter(|seconds| indicator.test.at_most.is_none_or(|most| *seconds <= most)) {
        let text = format!("{ttl}: {seconds}");
        findings.push(indicator.finding(member(JOB, ttl), &text, &text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_full_names() {
        for (image, expected) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3@sha256:00", "docker.io/library/alpine"),
            ("docker.io/alpine", "docker.io/library/alpine"),
            ("a/b:1", "docker.io/a/b"),
            ("index.docker.io/a/b", "docker.io/a/b"),
            ("reg.local:5000/a/b:1", "reg.local:5000/a/b"),
            ("localhost/a", "localhost/a"),
            ("", "docker.io/library/"),
        ] {
            assert_eq!(full_name(image), expected, "{image}");
        }
    }

    #[test]
    fn hosts_are_not_paths() {
        let public = |text: &str| names_public_ip(text, &(0..text.len()));
        assert!(public("curl 'http://u:p@203.0.113.7:80/x'"));
        assert!(public("wget --url=203.0.113.7"));
        assert!(!public("curl https://example.com/203.0.113.7/x"));
        assert!(!public("curl http://10.0.0.1/x; echo 203.0.113.7"));
    }
}
