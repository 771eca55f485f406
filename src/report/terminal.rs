//! What is printed on a terminal, in 80 columns. Log text is escaped, so that it cannot move the cursor.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Report;
use super::hidden::is_hidden;
use crate::aggregate::{Day, Extent, Finished, Input, Status, Totals, Verdict, covered};
use crate::rule::Severity;
use crate::runbook::{Alike, Runbook, Seen};
use crate::words::{minute, plural, size};

/// Columns of the narrowest terminal that is supported.
const WIDTH: usize = 80;
/// How many groups and inputs the closing block names.
const SHOWN: usize = 5;
/// How many alerts it names.
const ALERTS: usize = 5;
/// How many CronJobs without a creator it names.
const GRAVE: usize = 3;

/// Text that cannot control a terminal or change its reading direction: such characters are printed as `\u{…}`.
#[must_use]
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

/// The block printed at the end of a scan. `directory` is where the reports are, unless they went to standard output.
///
/// # Errors
/// A temporary file cannot be read.
pub fn closing(report: &Report<'_>, directory: Option<&str>) -> io::Result<String> {
    let has_files = directory.is_some();
    let (group_by, runbook, report) = (report.group_by, report.runbook, report.finished);
    let mut out = String::new();
    incomplete(&mut out, report);
    line(&mut out, "hits", &severities(|severity| report.counts.get(&severity).map(|(_, hits)| *hits)));
    line(&mut out, "alerts", &severities(|severity| report.counts.get(&severity).map(|(alerts, _)| *alerts)));
    if let Some(runbook) = runbook {
        judged(&mut out, runbook, has_files)?;
    }
    top_groups(&mut out, report, group_by);
    refused(&mut out, report, has_files);
    ledger(&mut out, &report.totals);
    let (Totals { truncated, duplicates, outside, .. }, suppressed) = (&report.totals, report.suppressed.len());
    let of_which =
        format!("{truncated} truncated, {duplicates} duplicates, {outside} outside, {suppressed} suppressed");
    line(&mut out, "of which", &of_which);
    line(&mut out, "time span", &span(&report.coverage, " over an hour"));
    out.extend(longest_gap(&report.coverage).map(|gap| format!("{:<11}{}\n", "", fit(&gap, WIDTH - 11))));
    if let Some(asked) = report.asked.words() {
        line(&mut out, "alerts are", &format!("those {asked}; the rest is history"));
    }
    let all_damage = if has_files { "see inputs.csv" } else { "`kubesweep inspect` names them" };
    damage(&mut out, &report.inputs, all_damage);
    damage_in_case(&mut out, &report.inputs);
    line(&mut out, "reports", directory.unwrap_or("standard output"));
    Ok(out)
}

/// What the runbook says of the alerts, of CronJobs without one, and of what was suppressed.
fn judged(out: &mut String, runbook: &Runbook, has_files: bool) -> io::Result<()> {
    line(out, "verdicts", &verdicts(runbook));
    let without = &runbook.about.without_verdict;
    if !without.is_empty() {
        let without = severities(|severity| without.get(&severity.to_string()).copied());
        line(out, "", &format!("without one: {without}"));
    }
    let more = if has_files { "; see report.html" } else { "" };
    gravest(out, runbook, more)?;
    unwritten(out, runbook, more);
    hidden(out, runbook, if has_files { "; see runbook.md" } else { "" });
    Ok(())
}

/// The groups with most hits, and how many more there are.
fn top_groups(out: &mut String, report: &Finished, group_by: &[String]) {
    for (at, group) in report.summary.iter().filter(|group| group.hits > 0).take(SHOWN).enumerate() {
        let keys: Vec<_> = group.keys.iter().map(|key| escape(key.as_deref().unwrap_or("-"))).collect();
        let label = if at == 0 { "top groups" } else { "" };
        line(out, label, &format!("{:>6}  {}", group.hits, keys.join("  ")));
    }
    let groups = report.summary.iter().filter(|group| group.hits > 0).count();
    if groups > SHOWN {
        line(out, "", &format!("        and {} more by {}", groups - SHOWN, group_by.join(", ")));
    }
}

/// Requests that were refused, of users without a hit.
fn refused(out: &mut String, report: &Finished, has_files: bool) {
    let refused = report.summary.iter().filter(|group| group.hits == 0 && group.denied > 0);
    let denied: u64 = refused.clone().map(|group| group.denied).sum();
    if denied > 0 {
        let groups = plural(refused.count() as u64, "group");
        let where_more = if has_files { "; see summary.csv" } else { "" };
        line(out, "refused", &format!("{} of {groups} without a hit{where_more}", plural(denied, "request")));
    }
}

fn ledger(out: &mut String, totals: &Totals) {
    let Totals { ok, skipped, partial, failed, records, events, not_audit, malformed, .. } = totals;
    let (bytes, files) = (size(totals.bytes), plural(totals.files, "file"));
    line(out, "read", &format!("{files}, {bytes}: {ok} ok, {skipped} skipped, {partial} partial, {failed} failed"));
    line(out, "records", &format!("{records} = {events} events + {not_audit} not audit + {malformed} malformed"));
}

/// The lines printed at the end of one machine's share of a scan.
#[must_use]
pub fn closing_partial(totals: &Totals, inputs: &[Input], kept: u64, share: Option<&str>, file: &str) -> String {
    let mut out = String::new();
    line(&mut out, "share", share.unwrap_or("all that it was given"));
    ledger(&mut out, totals);
    line(&mut out, "observed", &format!("{kept} of them; nothing is decided before `kubesweep merge`"));
    damage(&mut out, inputs, "the merge lists them in inputs.csv");
    line(&mut out, "partial", file);
    out
}

/// The lines printed after the output of events.
#[must_use]
pub fn closing_events(printed: u64, is_filtered: bool, report: &Finished) -> String {
    let mut out = String::new();
    incomplete(&mut out, report);
    let totals = &report.totals;
    let (events, files) = (plural(totals.events, "event"), plural(totals.files, "file"));
    line(&mut out, "printed", &format!("{printed} of {events} from {files}"));
    if is_filtered && printed == 0 && totals.events > 0 {
        line(&mut out, "", "values are compared whole, as logs write them; * stands for any text");
    }
    damage(&mut out, &report.inputs, "`kubesweep inspect` names them");
    out
}

/// Says if anything was left out.
fn incomplete(out: &mut String, report: &Finished) {
    match report.extent {
        Extent::Whole => {}
        Extent::SharesMissing => line(out, "INCOMPLETE", "partials are missing; nobody read their shares"),
        Extent::Interrupted => line(out, "INCOMPLETE", "interrupted; inputs that were not read to their end say so"),
    }
}

/// The first inputs with damage, and how many more there are.
fn damage(out: &mut String, inputs: &[Input], where_more: &str) {
    for input in damaged(inputs).take(SHOWN) {
        let [place, reason] = problem(input, WIDTH - 11);
        line(out, if input.status == Status::Failed { "failed" } else { "partial" }, &place);
        line(out, "", &reason);
    }
    let damaged = damaged(inputs).count();
    if damaged > SHOWN {
        line(out, "", &format!("and {} more; {where_more}", damaged - SHOWN));
    }
}

/// The number of inputs that were not read again, but were damaged when they were read.
fn damage_in_case(out: &mut String, inputs: &[Input]) {
    let count = |status| inputs.iter().filter(|input| input.in_case == Some(status)).count();
    match (count(Status::Partial), count(Status::Failed)) {
        (0, 0) => {}
        (partial, 0) => line(out, "in case", &format!("{partial} partial when read")),
        (partial, failed) => line(out, "in case", &format!("{partial} partial, {failed} failed when read")),
    }
}

fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "{label:<11}{}", fit(text, WIDTH - 11));
}

/// Text cut to `width` columns, with a mark if it was cut.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut taken = 1;
    let kept = text.chars().take_while(|c| {
        taken += c.width().unwrap_or(0);
        taken <= width
    });
    kept.chain(['…']).collect()
}

/// The end of a path, which says more than its beginning.
fn fit_path(path: &str, width: usize) -> String {
    if path.width() <= width {
        return path.to_owned();
    }
    let reversed: String = path.chars().rev().collect();
    fit(&reversed, width).chars().rev().collect()
}

/// Prints the number of suppressed requests with grave specs: no alert shows them.
fn hidden(out: &mut String, runbook: &Runbook, more: &str) {
    let graves = || runbook.about.graves();
    let count: u64 = graves().map(|grave| grave.count).sum();
    if let Some(worst) = graves().map(|grave| &grave.spec_level).max() {
        let matches = if count == 1 { "match" } else { "matches" };
        line(out, "suppressed", &format!("{count} {matches} with a grave spec, up to {worst}{more}"));
    }
}

/// Verdicts that occur, with their counts, gravest first.
fn verdicts(runbook: &Runbook) -> String {
    let given = runbook.about.verdicts.iter().filter(|(_, count)| count.as_u64() != Some(0));
    let parts: Vec<String> = given.map(|(verdict, count)| format!("{count} {verdict}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// The alerts with the gravest verdicts; of those that are alike, one.
fn gravest(out: &mut String, runbook: &Runbook, more: &str) -> io::Result<()> {
    let mut shown: Vec<(Value, Alike, u64)> = Vec::new();
    let mut others = 0_u64;
    for page in runbook.alerts.read()? {
        let page = page?;
        if page.verdict() < Some(Verdict::Suspicious) {
            break;
        }
        match shown.iter().position(|(_, alike, _)| *alike == page.standing.alike) {
            Some(at) => shown[at].2 += 1,
            None if shown.len() < ALERTS => shown.push((serde_json::from_str(&page.text)?, page.standing.alike, 1)),
            None => others += 1,
        }
    }
    for (at, (page, _, count)) in shown.iter().enumerate() {
        alert(out, if at == 0 { "gravest" } else { "" }, page, *count);
    }
    if others > 0 {
        line(out, "", &format!("and {others} more{more}"));
    }
    Ok(())
}

/// Prints an alert in a few lines, given its page. The request that decided the verdict gets a line if it is not the
/// first hit, or if the title is too long.
fn alert(out: &mut String, label: &str, page: &Value, count: u64) {
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let minute = |value: &Value| value.as_str().and_then(|time| time.parse().ok()).map(minute);
    let named = |value: &Value| value.as_str().map(escape);
    let parts = [named(&page["verdict"]), minute(&page["first_seen"]), named(&page["cluster"])];
    let parts: Vec<String> =
        parts.into_iter().flatten().chain([format!("alert {}", text(&page["alert_id"]))]).collect();
    line(out, label, &parts.join("  "));
    let (title, decisive) = (format!("  {}", text(&page["title"])), &page["cronjobs"][0]);
    line(out, "", &title);
    if decisive["time"] != page["first_seen"] || title.width() > WIDTH - 11 {
        let session = named(&decisive["session"]).map(|session| format!("session {session}"));
        let (time, first) = (minute(&decisive["time"]), minute(&page["first_seen"]));
        // The day is already printed above.
        let day = first.as_deref().and_then(|first| first.get(..11));
        let time = time.map(|time| day.and_then(|day| time.strip_prefix(day)).unwrap_or(&time).to_owned());
        let parts = [Some(format!("  decided by {}", text(&page["decided_by"]))), time, session];
        line(out, "", &parts.into_iter().flatten().collect::<Vec<_>>().join("  "));
    }
    if count > 1 {
        line(out, "", &format!("  {count} alike: same user, same findings in the spec, same red flags"));
    }
}

/// CronJobs that only their controller shows and whose specs are grave: no alert mentions them.
fn unwritten(out: &mut String, runbook: &Runbook, more: &str) {
    let is_grave = |seen: &&Seen| matches!(&*seen.spec_level, "S2" | "S3");
    let grave = || runbook.about.controller_only.iter().filter(is_grave);
    for (at, seen) in grave().take(GRAVE).enumerate() {
        let place = [&seen.namespace, &seen.name].map(|part| escape(part.as_deref().unwrap_or("-"))).join("/");
        let cluster = seen.cluster.as_deref().map_or_else(String::new, |cluster| format!(" in {}", escape(cluster)));
        let runs = if seen.jobs > 0 { plural(seen.jobs as u64, "Job") } else { plural(seen.pods as u64, "Pod") };
        line(out, if at == 0 { "no creator" } else { "" }, &format!("{place}{cluster}"));
        line(out, "", &format!("  runs ({runs}, spec {}), nobody created it in this dump", seen.spec_level));
    }
    if grave().count() > GRAVE {
        line(out, "", &format!("and {} more{more}", grave().count() - GRAVE));
    }
}

/// Counts by severity, gravest first.
fn severities(count: impl Fn(Severity) -> Option<u64>) -> String {
    let counts = Severity::ALL.into_iter().rev().filter_map(|severity| Some((severity, count(severity)?)));
    let parts: Vec<String> = counts.map(|(severity, count)| format!("{count} {severity}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn damaged(inputs: &[Input]) -> impl Iterator<Item = &Input> {
    inputs.iter().filter(|input| matches!(input.status, Status::Partial | Status::Failed))
}

/// Where something is wrong, and what, one line each.
fn problem(input: &Input, width: usize) -> [String; 2] {
    let member = input.member.as_ref().map(|member| format!(" ({member})")).unwrap_or_default();
    let place = escape(&format!("{}{member}", input.path));
    let reason = escape(input.error.as_deref().unwrap_or_default());
    [fit_path(&place, width), fit(&reason, width)]
}

/// `2026-05-01 03:12Z to 2026-05-02 04:17Z, 2 gaps`, and what is to be said of gaps.
fn span(days: &[Day], of_gaps: &str) -> String {
    let Some((first, last)) = covered(days) else { return "no event with a time".to_owned() };
    let gaps: usize = days.iter().map(|day| day.gaps.len()).sum();
    format!("{} to {}, {}{of_gaps}", minute(first), minute(last), plural(gaps as u64, "gap"))
}

/// The longest gap, with the cluster that has it.
fn longest_gap(days: &[Day]) -> Option<String> {
    let gaps = days.iter().flat_map(|day| day.gaps.iter().map(move |gap| (gap, day.cluster.as_deref())));
    let (gap, cluster) =
        gaps.max_by_key(|(gap, _)| (gap.end.duration_since(gap.start), std::cmp::Reverse(gap.start)))?;
    let cluster = cluster.map_or_else(String::new, |cluster| format!(", {}", escape(cluster)));
    Some(format!("longest gap {} to {}{cluster}", minute(gap.start), minute(gap.end)))
}

/// The text output of `inspect`.
#[must_use]
pub fn inspection(report: &Finished) -> String {
    let mut out = String::new();
    incomplete(&mut out, report);
    formats(&mut out, &report.inputs);
    clusters(&mut out, &report.coverage);
    records(&mut out, &report.totals);
    let _ = writeln!(out, "\nDAMAGE");
    for input in damaged(&report.inputs) {
        let [place, reason] = problem(input, WIDTH - 4);
        let _ = writeln!(out, "  {place}\n    {reason}");
    }
    if damaged(&report.inputs).next().is_none() {
        let _ = writeln!(out, "  none");
    }
    out
}

fn formats(out: &mut String, inputs: &[Input]) {
    let _ = writeln!(out, "FORMATS");
    for (format, (inputs, events)) in by_format(inputs) {
        let (inputs, events) = (plural(inputs, "input"), plural(events, "event"));
        let _ = writeln!(out, "  {:<44} {inputs:>12} {events:>16}", fit(&format, 44));
    }
}

fn clusters(out: &mut String, days: &[Day]) {
    let _ = writeln!(out, "\nCLUSTERS (a gap is more than an hour without an event)");
    for days in days.chunk_by(|left, right| left.cluster == right.cluster) {
        let cluster = days[0].cluster.as_deref().map_or_else(|| "(not named by the dump)".to_owned(), escape);
        let _ = writeln!(out, "  {:<28} {}", fit(&cluster, 28), span(days, ""));
        let mut gaps: Vec<_> = days.iter().flat_map(|day| &day.gaps).collect();
        gaps.sort_by_key(|gap| std::cmp::Reverse(gap.end.duration_since(gap.start)));
        for gap in gaps.iter().take(SHOWN) {
            let _ = writeln!(out, "    nothing from {} to {}", minute(gap.start), minute(gap.end));
        }
        if gaps.len() > SHOWN {
            let _ = writeln!(out, "    and {} shorter gaps", gaps.len() - SHOWN);
        }
    }
}

fn records(out: &mut String, totals: &Totals) {
    let Totals { records, files, bytes, events, not_audit, malformed, truncated, .. } = *totals;
    let (records, files) = (plural(records, "record"), plural(files, "file"));
    let _ = writeln!(out, "\nRECORDS\n  {records} in {files}, {}", size(bytes));
    let _ = writeln!(out, "  {events} events, {not_audit} not audit, {malformed} malformed; {truncated} truncated");
}

/// How many inputs and events each format has.
fn by_format(inputs: &[Input]) -> BTreeMap<String, (u64, u64)> {
    let mut formats = BTreeMap::<String, (u64, u64)>::new();
    for input in inputs.iter().filter(|input| input.records > 0 || input.status == Status::Failed) {
        let names: Vec<&str> = input.format.iter().map(AsRef::as_ref).collect();
        let name = if names.is_empty() { "(no audit records)".to_owned() } else { names.join(" + ") };
        let counts = formats.entry(name).or_default();
        counts.0 += 1;
        counts.1 += input.events;
    }
    formats
}
