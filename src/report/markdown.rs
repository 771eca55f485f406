//! The runbook as a page for people: Markdown that also reads as plain text. What logs say is hostile, so it stands
//! in code spans that it cannot close, or bare where it holds nothing that Markdown, HTML or a terminal would act on.

use std::io::{self, Write};

use serde_json::Value;

use super::hidden::is_hidden;

/// Characters of a value that are shown.
const LIMIT: usize = 300;
/// Items of a list that are shown.
const LISTED: usize = 40;
/// Columns to which a table's cells are padded at most.
const PADDED: usize = 40;

/// Beside letters and digits of ASCII, what Markdown leaves alone inside a line.
const BARE: &str = " ,.;:()/-?+='\"%";
/// Where a link would begin that is made of bare text.
const LINKS: [&str; 2] = ["//", "www."];

/// Names of platforms as people write them.
const PLATFORMS: [(&str, &str); 4] = [("eks", "EKS"), ("aks", "AKS"), ("gke", "GKE"), ("kubernetes", "Kubernetes")];
/// What the lists of a pod hold.
const KINDS: [(&str, &str); 3] =
    [("containers", "container"), ("initContainers", "init container"), ("ephemeralContainers", "ephemeral container")];
/// What a verdict means, by verdict and level of the spec.
const MEANINGS: [(&str, &str, &str); 2] = [
    ("EXPECTED", "S1", "consistent with established activity; what matched in the spec is low or medium"),
    ("EXPECTED", "", "consistent with established activity; nothing in the spec matched"),
];
/// Beginnings of what is to be copied into a shell.
const COMMANDS: [&str; 2] = ["kubectl ", "kubesweep "];

/// How a value is shown.
type Show = fn(&str) -> String;
/// What is said of an object where it has this bool.
type Mark = (&'static str, bool, &'static str);
/// Words before, a key, how its value is shown, words after, and marks in brackets.
type Field = (&'static str, &'static str, Show, &'static str, &'static [Mark]);
/// A line behind a label, and the items below it.
type Part = (String, Vec<String>);
/// A label, the setting that names it better, and what is said of an alert there.
type Row = (&'static str, &'static str, fn(&Value) -> Vec<Part>);
/// A heading, the key of a list, and its lines.
type Section = (&'static str, &'static str, fn(&[Value]) -> Vec<String>);

const NO_MARKS: &[Mark] = &[];
const PLACE: [Field; 2] = [("", "namespace", code, "", &[]), ("", "name", code, "", &[])];
const VERDICT: [Field; 5] = [
    ("verdict rule: ", "verdict_rule", prose, "", &[]),
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
const WHAT: [Field; 5] = [
    ("", "change", name, "", &[]),
    ("", "time", when, "", &[]),
    ("outcome ", "outcome", name, "", &[]),
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
/// Columns of the table of users.
const USER: [(&str, &str, Show); 6] = [
    ("user", "username", code),
    ("cluster", "cluster", code),
    ("worst", "worst", name),
    ("alerts", "alerts", prose),
    ("hits", "hits", prose),
    ("namespaces", "namespaces", code),
];

/// The page of an alert.
const PAGE: [Row; 9] = [
    ("why", "", why),
    ("who", "", |alert| vec![(told(&alert["who"], &WHO).join("; "), Vec::new())]),
    ("what", "", cronjobs),
    ("24 h", "context", |alert| vec![before(&alert["before"])]),
    ("30 d", "lookback", |alert| vec![history(&alert["history"])]),
    ("since", "", |alert| vec![(told(&alert["since"], &TEXT).concat(), Vec::new())]),
    ("also", "", |alert| vec![(told(alert, &ALSO).join("; "), Vec::new())]),
    ("next", "", |alert| vec![(String::new(), items(alert, "next", |step| command(&raw(step))))]),
    ("would change it", "", |alert| vec![(String::new(), items(alert, "would_change", |text| prose(&raw(text))))]),
];

/// What follows the alerts.
const SECTIONS: [Section; 3] = [
    ("Who", "users", users),
    ("CronJobs seen only through their controllers", "controller_only", |all| all.iter().flat_map(seen).collect()),
    ("Suppressed", "suppressed", |all| all.iter().map(suppressed).collect()),
];

/// Writes runbook.md.
pub(super) fn runbook(runbook: &Value, out: &mut dyn Write) -> io::Result<()> {
    let mut print = |lines: &[String]| lines.iter().try_for_each(|line| writeln!(out, "{}", line.trim_end()));
    print(&head(runbook))?;
    for alert in list(runbook, "alerts") {
        print(&[String::new(), heading(alert), String::new()])?;
        print(&page(alert, &runbook["settings"]))?;
    }
    for (heading, key, lines) in SECTIONS {
        print(&[String::new(), format!("## {heading}"), String::new()])?;
        let lines = lines(list(runbook, key));
        print(&if lines.is_empty() { vec!["None.".to_owned()] } else { lines })?;
    }
    Ok(())
}

fn head(runbook: &Value) -> Vec<String> {
    let counts = runbook["verdicts"].as_object().into_iter().flatten();
    let counts: Vec<String> =
        counts.map(|(verdict, count)| format!("{} {}", prose(&raw(count)), name(verdict))).collect();
    let coverage = raw(&runbook["coverage_note"]);
    let covered = if coverage.is_empty() { "what the dump covers is not known".to_owned() } else { prose(&coverage) };
    let mut lines = vec!["# Runbook".to_owned(), String::new()];
    if !counts.is_empty() {
        lines.push(format!("Alerts by verdict: {}.", counts.join(", ")));
    }
    if list(runbook, "alerts").is_empty() {
        lines.push(format!("There is no alert; {covered}."));
    } else {
        lines.push(format!("Coverage: {covered}."));
    }
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
    let change = told(decisive, &[("CronJob ", "change", name, "", &[])]).concat();
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

/// `24 h` of `24h`.
fn span(setting: &str) -> String {
    let digits = setting.trim_end_matches(|c: char| !c.is_ascii_digit());
    prose(&format!("{digits} {}", &setting[digits.len()..]))
}

fn why(alert: &Value) -> Vec<Part> {
    let mut text = told(alert, &VERDICT);
    let (verdict, level) = (raw(&alert["verdict"]), raw(&alert["spec_level"]));
    let meaning = MEANINGS.iter().find(|(of, at, _)| *of == verdict && (at.is_empty() || *at == level));
    if let Some((.., meaning)) = meaning {
        text.insert(text.len().min(1), (*meaning).to_owned());
    }
    vec![(text.join("; "), items(alert, "reasons", reason))]
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
    if let Some(more) = more(all.len()) {
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
    below.extend(more(list(cronjob, "containers").len()));
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
    let ids: Vec<String> = list(cronjob, "indicators").iter().map(|finding| name(&raw(&finding["id"]))).collect();
    below.push(if ids.is_empty() { String::new() } else { format!("matched {}", ids.join(", ")) });
    below.push(with_evidence("request", cronjob));
    below.retain(|item| !item.is_empty() && item != "request");
    (text, below)
}

fn schedule(cronjob: &Value) -> String {
    let mut said = told(cronjob, &SCHEDULE);
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
        let more = more(list(container, key).len());
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
    let mut text = summary(before, &[("", "class"), ("coverage ", "coverage")]);
    text.extend(told(before, &PRECURSORS));
    let mut below = items(before, "precursor_list", |act| format!("precursor: {}", act_text(act)));
    below.extend(items(before, "events", |act| format!("request: {}", act_text(act))));
    (text.join("; "), below)
}

fn history(history: &Value) -> Part {
    let mut text = summary(history, &[("", "class"), ("new here: ", "novel"), ("coverage: ", "coverage")]);
    if history["same_object"] == true {
        text.push("this user has written this CronJob before".to_owned());
    }
    text.extend(told(history, &HISTORY));
    (text.join("; "), Vec::new())
}

/// The text of a step, and what that does not say already.
fn summary(of: &Value, extras: &[(&str, &str)]) -> Vec<String> {
    let text = raw(&of["text"]);
    let unsaid = extras.iter().map(|(before, key)| (before, raw(&of[*key])));
    let unsaid = unsaid.filter(|(_, said)| !said.is_empty() && !text.contains(said.as_str()));
    let unsaid: Vec<String> = unsaid.map(|(before, said)| format!("{before}{}", prose(&said))).collect();
    told(of, &TEXT).into_iter().chain(unsaid).collect()
}

fn act_text(act: &Value) -> String {
    let parts = told(act, &[("", "time", when, "", NO_MARKS), ("", "what", code, "", &[])]);
    with_evidence(&parts.join("  "), act)
}

fn command(text: &str) -> String {
    if COMMANDS.iter().any(|command| text.starts_with(command)) { code(text) } else { prose(text) }
}

/// A table, padded for those who read it as text.
fn users(all: &[Value]) -> Vec<String> {
    let titles = std::iter::once("#").chain(USER.iter().map(|(title, ..)| *title)).map(str::to_owned).collect();
    let rows = all.iter().enumerate().map(|(at, user)| {
        let cells = USER
            .iter()
            .map(|(_, key, show)| shown(&user[*key], *show).map_or_else(|| "-".to_owned(), |text| cell(&text)));
        std::iter::once((at + 1).to_string()).chain(cells).collect()
    });
    let mut rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    if rows.len() == 1 {
        return Vec::new();
    }
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

fn suppressed(row: &Value) -> String {
    let count = raw(&row["count"]);
    let (namespace, user) = (code(&raw(&row["namespace"])), code(&raw(&row["username"])));
    format!("- {} by {user} in {namespace}: {}", prose(&count), prose(&raw(&row["reason"])))
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

/// What fields say, those without a value left out.
fn told(of: &Value, fields: &[Field]) -> Vec<String> {
    let one = |&(before, key, show, after, marks): &Field| {
        let text = shown(&of[key], show)?;
        let marks = marks.iter().filter(|(key, wanted, _)| of[*key] == *wanted).map(|(.., words)| *words);
        let marks: Vec<&str> = marks.collect();
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        Some(format!("{before}{text}{after}{marks}"))
    };
    fields.iter().filter_map(one).collect()
}

/// A value, or the items of a list; nothing where there is none.
fn shown(value: &Value, show: Show) -> Option<String> {
    let Value::Array(all) = value else {
        return Some(raw(value)).filter(|text| !text.is_empty()).map(|text| show(&text));
    };
    let items: Vec<String> = all.iter().take(LISTED).map(|item| show(&raw(item))).chain(more(all.len())).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

fn items(of: &Value, key: &str, item: impl Fn(&Value) -> String) -> Vec<String> {
    let all = list(of, key);
    all.iter().take(LISTED).map(item).chain(more(all.len())).collect()
}

fn more(all: usize) -> Option<String> {
    (all > LISTED).then(|| format!("and {} more in runbook.json", all - LISTED))
}

fn list<'v>(of: &'v Value, key: &str) -> &'v [Value] {
    of[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text of a value, as hostile as the log.
fn raw(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(raw).collect::<Vec<_>>().join(", "),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// `2026-11-24 03:12:44Z` of a time; what is none as it is.
fn when(text: &str) -> String {
    let is_time = text.len() > 18 && text.is_ascii() && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    if is_time && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte)) {
        format!("{} {}Z", &text[..10], &text[11..19])
    } else {
        prose(text)
    }
}

/// Bare where it is a word that Markdown leaves alone, else code.
fn name(text: &str) -> String {
    if text.contains(' ') { code(text) } else { prose(text) }
}

/// Bare where nothing in it could be Markdown, HTML or a link, else code.
fn prose(text: &str) -> String {
    let text = text.trim_matches(' ');
    let is_bare = |c: char| c.is_ascii_alphanumeric() || BARE.contains(c);
    // A dot before a letter may be a domain, which some renderers make a link of.
    let is_domain = text.as_bytes().windows(2).any(|pair| pair[0] == b'.' && pair[1].is_ascii_alphabetic());
    let is_link = is_domain || LINKS.iter().any(|link| text.to_ascii_lowercase().contains(link));
    let is_list = !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '(')
        || text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['.', ')'])
            && text.starts_with(|c: char| c.is_ascii_digit());
    let is_plain = text.len() <= LIMIT && text.chars().all(is_bare) && !is_link && !is_list;
    if is_plain { text.to_owned() } else { code(text) }
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
    // A renderer takes one space from each end where both have one.
    let pad = if touches('`') || touches(' ') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A cell of a table. A pipe ends a cell even in code, unless one backslash stands before it.
fn cell(text: &str) -> String {
    text.replace("\\|", "\\u{5c}|").replace('|', "\\|")
}

/// Text that cannot control a terminal, break a line or hide, cut where it is long.
fn clean(text: &str) -> String {
    let (mut out, mut length) = (String::new(), 0);
    for c in text.chars() {
        let shown = visible(c);
        length += shown.chars().count();
        if length > LIMIT {
            out.push('…');
            break;
        }
        out.push_str(&shown);
    }
    out
}

fn visible(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        c if is_hidden(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    }
}
