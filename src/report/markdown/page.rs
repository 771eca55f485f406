//! The page of an alert.

use std::cmp::Reverse;

use serde_json::Value;

use super::fields::{Field, LISTED, NO_MARKS, Show, items, list, more, shown, told, with_evidence};
use super::text::{code, name, prose, raw, when};
use crate::rule::Severity;

/// Names of platforms as people write them.
const PLATFORMS: [(&str, &str); 4] = [("eks", "EKS"), ("aks", "AKS"), ("gke", "GKE"), ("kubernetes", "Kubernetes")];
/// What the lists of a pod contain.
const KINDS: [(&str, &str); 3] =
    [("containers", "container"), ("initContainers", "init container"), ("ephemeralContainers", "ephemeral container")];
/// How commands to copy into a shell begin.
const COMMANDS: [&str; 2] = ["kubectl ", "kubesweep "];
/// A line after a label, and the items below it.
type Part = (String, Vec<String>);
/// A label, the setting that replaces it if present, and what to print of an alert there.
type Row = (&'static str, &'static str, fn(&Value) -> Vec<Part>);
pub(super) const PLACE: [Field; 2] = [("", "namespace", code, "", &[]), ("", "name", code, "", &[])];
const VERDICT: [Field; 6] = [
    ("verdict rule: ", "verdict_rule", prose, "", &[]),
    ("", "meaning", prose, "", &[]),
    ("decided by ", "decided_by", code, "", &[]),
    ("spec ", "spec_level", prose, "", &[]),
    ("history ", "history_level", prose, "", &[]),
    ("red flags ", "red_flags", name, "", &[]),
];
const FINDING: [Field; 2] = [("in ", "where", code, "", &[]), ("", "match", code, "", &[])];
pub(super) const WHO: [Field; 11] = [
    ("", "username", code, "", &[("shared", true, "shared by several")]),
    ("not ASCII in the name ", "username_not_ascii", code, "", &[]),
    ("class ", "principal_class", name, "", &[]),
    ("groups ", "groups", code, "", &[]),
    ("impersonating ", "impersonated_user", code, "", &[]),
    ("impersonating groups ", "impersonated_groups", code, "", &[]),
    ("session ", "session", code, "", &[]),
    ("arn ", "arn", code, "", &[]),
    ("from ", "source_ip", code, "", &[("source_public", true, "public"), ("source_new", true, "new")]),
    ("chain ", "chain", code, "", &[]),
    ("agent ", "user_agent", code, "", &[("user_agent_new", true, "new")]),
];
const WHAT: [Field; 6] = [
    ("", "change", name, "", &[]),
    ("", "time", when, "", &[]),
    ("outcome ", "outcome", name, "", &[]),
    ("session ", "session", code, "", &[]),
    ("spec ", "spec_level", prose, "", &[]),
    ("read from ", "spec_source", prose, "", &[]),
];
const SCHEDULE: [Field; 3] = [
    ("", "schedule_text", prose, "", &[]),
    ("", "runs_per_day", prose, " runs a day", &[]),
    ("time zone ", "time_zone", prose, "", &[]),
];
const POD: [Field; 3] = [
    ("service account ", "service_account", code, "", &[]),
    ("pod: ", "pod_security", code, "", &[]),
    ("volumes ", "volumes", code, "", &[]),
];
const CONTAINER: [Field; 2] = [
    (
        "image ",
        "image",
        code,
        "",
        &[("pinned", true, "by digest"), ("pinned", false, "no digest"), ("image_new", true, "first seen")],
    ),
    ("", "security_context", code, "", &[]),
];
pub(super) const TEXT: [Field; 1] = [("", "text", prose, "", &[])];
const PRECURSORS: [Field; 1] = [("precursors: ", "precursors", prose, "", &[])];
const HISTORY: [Field; 2] = [
    ("this CronJob is also written by ", "same_object_by_others", code, "", &[]),
    ("CronJobs in this namespace are also written by ", "others", code, "", &[]),
];
const ALSO: [Field; 5] = [
    ("upstream: ", "upstream", prose, "", &[]),
    ("alert ", "alert_id", name, "", &[]),
    ("rule ", "rule_id", code, "", &[]),
    ("hits ", "hits", prose, "", &[]),
    ("title ", "title", code, "", &[]),
];
const WRITE: [Field; 6] = [
    ("", "time", when, "", &[]),
    ("", "change", name, "", &[]),
    ("outcome ", "outcome", name, "", &[]),
    ("session ", "session", code, "", &[]),
    ("spec ", "spec_level", prose, "", &[]),
    ("red flags ", "red_flags", name, "", &[]),
];
/// The rows of an alert's page.
const PAGE: [Row; 9] = [
    ("why", "", why),
    ("who", "", |alert| vec![(told(&alert["who"], &WHO).join("; "), Vec::new())]),
    ("what", "", cronjobs),
    ("24 h", "context", |alert| vec![before(&alert["before"])]),
    ("30 d", "lookback", |alert| vec![history(&alert["history"])]),
    ("since", "", |alert| vec![(since(&alert["since"]), Vec::new())]),
    ("also", "", |alert| vec![(told(alert, &ALSO).join("; "), Vec::new())]),
    ("next", "", |alert| vec![(String::new(), items(alert, "next", |text| step(&raw(text))))]),
    ("would change it", "", |alert| vec![(String::new(), items(alert, "would_change", |text| prose(&raw(text))))]),
];

/// `## MALICIOUS-LIKELY  kube-system/x  CronJob created  2026-05-01 03:12:44Z  cluster prod-eu (EKS)`.
pub(super) fn heading(alert: &Value) -> String {
    let decisive = list(alert, "cronjobs").first().unwrap_or(&Value::Null);
    let verdict = name(&raw(&alert["verdict"]));
    let place = match raw(&alert["decided_by"]) {
        text if text.is_empty() => told(decisive, &PLACE).join("/"),
        text => name(&text),
    };
    let is_dry_run = decisive["outcome"] == "dry_run";
    let dry_run = if is_dry_run { " (dry run)" } else { "" };
    let change = told(decisive, &[("CronJob ", "change", name, dry_run, &[])]).concat();
    let time = [&decisive["time"], &alert["first_seen"]].map(raw).into_iter().find(|time| !time.is_empty());
    let platform = raw(&alert["platform"]);
    let platform = told_platform(&platform);
    let cluster = told(alert, &[("cluster ", "cluster", name, "", &[])]).concat();
    let cluster = [cluster, platform].join(" ").trim().to_owned();
    let parts = [verdict, place, change, time.map_or_else(String::new, |time| when(&time)), cluster];
    format!("## {}", parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  "))
}

fn told_platform(platform: &str) -> String {
    let known = PLATFORMS.iter().find(|(key, _)| *key == platform).map(|(_, name)| (*name).to_owned());
    if platform.is_empty() { String::new() } else { format!("({})", known.unwrap_or_else(|| name(platform))) }
}

pub(super) fn page(alert: &Value, settings: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (label, setting, parts) in PAGE {
        let label = settings[setting].as_str().map_or_else(|| label.to_owned(), span);
        for (text, items) in parts(alert).into_iter().filter(|(text, items)| !text.is_empty() || !items.is_empty()) {
            lines.push(format!("- **{label}** {text}"));
            lines.extend(items.into_iter().map(|item| format!("  - {item}")));
        }
    }
    lines
}

/// A duration in words: `24h` becomes `24 h`.
fn span(setting: &str) -> String {
    let digits = setting.trim_end_matches(|c: char| !c.is_ascii_digit());
    prose(&format!("{digits} {}", &setting[digits.len()..]))
}

fn why(alert: &Value) -> Vec<Part> {
    vec![(told(alert, &VERDICT).join("; "), items(alert, "reasons", reason))]
}

/// `CJ-CMD-11 critical  mining command or pool in … -> evidence`.
pub(super) fn reason(reason: &Value) -> String {
    let titles =
        [("", "id", name as Show, "", NO_MARKS), ("", "severity", name, "", &[]), ("", "name", prose, "", &[])];
    let mut parts = told(reason, &titles);
    parts.extend(told(reason, &FINDING));
    with_evidence(&parts.join("  "), reason)
}

fn cronjobs(alert: &Value) -> Vec<Part> {
    let all = list(alert, "cronjobs");
    let mut parts: Vec<Part> = all.iter().take(LISTED).enumerate().map(|(nth, of)| cronjob(of, nth == 0)).collect();
    if let Some(more) = more(alert, "cronjobs") {
        parts.push((more, Vec::new()));
    }
    parts
}

/// What is found in a CronJob: the gravest in full if it is grave at all, unless the reasons of the alert are about this
/// one.
fn matched(cronjob: &Value, decides: bool) -> Vec<String> {
    let findings = list(cronjob, "indicators");
    let severity = |of: &&Value| of["severity"].as_str().and_then(|severity| severity.parse::<Severity>().ok());
    let grave = findings.iter().filter(|of| severity(of) > Some(Severity::Info));
    let gravest = grave.min_by_key(|of| Reverse(severity(of))).filter(|_| !decides);
    let ids: Vec<String> = findings.iter().map(|finding| name(&raw(&finding["id"]))).collect();
    let ids = (!ids.is_empty()).then(|| format!("matched {}", ids.join(", ")));
    ids.into_iter().chain(gravest.map(|finding| format!("gravest: {}", reason(finding)))).collect()
}

fn cronjob(cronjob: &Value, decides: bool) -> Part {
    let place = told(cronjob, &PLACE).join("/");
    let text = std::iter::once(place).chain(told(cronjob, &WHAT)).filter(|part| !part.is_empty());
    let text = text.collect::<Vec<_>>().join("; ");
    let mut below = vec![schedule(cronjob), told(cronjob, &POD).join("; ")];
    below.extend(list(cronjob, "containers").iter().take(LISTED).flat_map(container));
    below.extend(more(cronjob, "containers"));
    below.extend(items(cronjob, "decoded", |decoded| {
        format!(
            "decoded{}: {}",
            told(decoded, &[(" from ", "where", code, "", &[])]).concat(),
            code(&raw(&decoded["text"]))
        )
    }));
    below.extend(items(cronjob, "scripts", |script| format!("script: {}", prose(&raw(script)))));
    below.extend(told(cronjob, &[("diff: ", "diff_note", prose, "", &[])]));
    below.extend(items(cronjob, "diff", difference));
    below.extend(items(cronjob, "writes", write));
    below.extend(told(cronjob, &[("", "origin", prose, "", &[])]));
    below.extend(shown(cronjob, "since", sentences).map(|since| format!("since: {since}")));
    below.extend(matched(cronjob, decides));
    below.push(with_evidence("request", cronjob));
    below.retain(|item| !item.is_empty() && item != "request");
    (text, below)
}

/// Another request of the alert on the same CronJob. Below it stands what it shows that the decisive one does not, and what
/// it changed.
fn write(write: &Value) -> String {
    let said = told(write, &WRITE).into_iter().chain(told(write, &[("", "diff_note", prose, "", &[])]));
    let line = format!("other request: {}", said.collect::<Vec<_>>().join("; "));
    let findings = items(write, "indicators", |finding| format!("only there: {}", reason(finding)));
    let changes = items(write, "diff", difference);
    [with_evidence(&line, write)].into_iter().chain(findings).chain(changes).collect::<Vec<_>>().join("\n    - ")
}

fn schedule(cronjob: &Value) -> String {
    let mut said = told(cronjob, &SCHEDULE);
    said.iter_mut().filter(|said| *said == "1 runs a day").for_each(|said| "1 run a day".clone_into(said));
    if cronjob["suspend"] == true {
        said.push("suspended".to_owned());
    }
    let marks = if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) };
    let schedule = told(cronjob, &[("schedule ", "schedule", code, "", &[])]);
    let next = told(cronjob, &[("next runs ", "next_runs", when, "", &[])]);
    if schedule.is_empty() {
        String::new()
    } else {
        [schedule.concat() + &marks].into_iter().chain(next).collect::<Vec<_>>().join("; ")
    }
}

fn container(container: &Value) -> Vec<String> {
    let kind = raw(&container["kind"]);
    let kind = KINDS.iter().find(|(key, _)| *key == kind).map_or("container", |(_, kind)| kind);
    let said = told(container, &CONTAINER).join("; ");
    let mut lines = vec![format!("{kind} {}: {said}", code(&raw(&container["name"])))];
    for key in ["command", "args"] {
        let words: Vec<String> = list(container, key).iter().take(LISTED).map(|word| code(&raw(word))).collect();
        let more = more(container, key);
        lines.extend(
            (!words.is_empty())
                .then(|| format!("{key} {}", words.into_iter().chain(more).collect::<Vec<_>>().join(" "))),
        );
    }
    let variables =
        items(container, "env", |variable| code(&format!("{}={}", raw(&variable["name"]), raw(&variable["value"]))));
    lines.extend((!variables.is_empty()).then(|| format!("env {}", variables.join(", "))));
    lines
}

fn difference(difference: &Value) -> String {
    let side = |key: &str| match &difference[key] {
        Value::Null => "absent".to_owned(),
        value => code(&raw(value)),
    };
    format!("changed {}: {} -> {}", code(&raw(&difference["path"])), side("before"), side("after"))
}

fn before(before: &Value) -> Part {
    let mut text = summary(before, &[("", "class"), ("", "coverage")]);
    text.extend(told(before, &[("", "gap", prose, "", NO_MARKS)]));
    text.extend(told(before, &PRECURSORS));
    let mut below = items(before, "precursor_list", |act| format!("precursor: {}", act_text(act)));
    if before["left_out"].is_object() {
        let (count, command) = (raw(&before["left_out"]["count"]), raw(&before["left_out"]["command"]));
        below.push(format!("{} earlier not listed here; all: {}", prose(&count), code(&command)));
    }
    below.extend(items(before, "events", |act| format!("request: {}", act_text(act))));
    (text.join("; "), below)
}

fn history(history: &Value) -> Part {
    let mut text = summary(history, &[("", "class"), ("new here: ", "novel"), ("", "coverage")]);
    if history["same_object"] == true {
        text.push("this user has written this CronJob before".to_owned());
    }
    text.extend(told(history, &HISTORY));
    (text.join("; "), Vec::new())
}

/// What became of a CronJob, sentence by sentence, so that one that quotes a user does not turn the others into code.
fn since(since: &Value) -> String {
    sentences(&raw(&since["text"]))
}

fn sentences(text: &str) -> String {
    text.split("; ").filter(|part| !part.is_empty()).map(prose).collect::<Vec<_>>().join("; ")
}

/// The text of a step, and what it does not already say.
fn summary(of: &Value, extras: &[(&str, &str)]) -> Vec<String> {
    let text = raw(&of["text"]);
    let unsaid = extras.iter().map(|(before, key)| (before, raw(&of[*key])));
    // The text itself says if there was none.
    let unsaid = unsaid.filter(|(_, said)| !said.is_empty() && said != "none" && !text.contains(&**said));
    let unsaid: Vec<String> = unsaid.map(|(before, said)| format!("{before}{}", prose(&said))).collect();
    told(of, &TEXT).into_iter().chain(unsaid).collect()
}

fn act_text(act: &Value) -> String {
    let parts = told(act, &[("", "time", when, "", NO_MARKS), ("", "what", code, "", &[])]);
    with_evidence(&parts.join("  "), act)
}

/// A next step: a command, a sentence, or an instruction, a colon, and its object.
fn step(text: &str) -> String {
    match text.split_once(": ") {
        _ if COMMANDS.iter().any(|command| text.starts_with(command)) => code(text),
        Some((what, whom)) => format!("{}: {}", prose(what), name(whom)),
        None => prose(text),
    }
}
