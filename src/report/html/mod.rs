//! The HTML report: one file that needs no network, and can be read without its script, the only one it runs.
//!
//! Log text is hostile. The environment's formatter escapes every value that this module did not build itself and shows
//! control and direction characters, and no log text becomes a link. The content security policy names the style and
//! the script by their hashes, so that even a mistake here would run nothing.

mod charts;
mod model;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value as Cell, context};
use serde::Serialize;
use serde_json::{Value, json};

use crate::decode::digest;
use crate::runbook::Standing;
use crate::words::minute;
use charts::Axis;
use model::{Alert, Alerts, SEVERITIES, VERDICTS, list, string};

/// Most alerts on the page.
const ALERTS: usize = 500;
/// Most alerts on the page that are alike, as long as there are others.
const ALIKE: usize = 20;
/// Most rows of the other tables.
const ROWS: usize = 100;
/// Most clusters that the coverage shows.
const CLUSTERS: usize = 40;
/// Most characters of one text.
const TEXT: usize = 2000;

/// Colours of CronJobs without a creator, by the level of their spec, the worst last.
const GHOSTS: [(&str, &str); 5] = [("S0", "k4"), ("S?", "k3"), ("S1", "k3"), ("S2", "k1"), ("S3", "k0")];

/// Returns the runbook's pages of some alerts, as JSON, by alert id.
type Pages<'p> = dyn Fn(&BTreeSet<&str>) -> io::Result<BTreeMap<String, String>> + 'p;

/// Alerts as in report.json.
pub(super) type AlertValues<'a> = Box<dyn Iterator<Item = io::Result<Value>> + 'a>;

/// What the page shows of a runbook, apart from the pages of alerts.
#[derive(Debug)]
pub(super) struct Runbook<'r, C> {
    pub(super) settings: &'r Value,
    pub(super) controller_only: &'r [C],
    /// Suppressed matches with a grave spec.
    pub(super) grave: u64,
    /// Standings of alerts, by number.
    pub(super) standings: &'r BTreeMap<usize, Standing>,
}

/// Writes the page. `report` is an outline of report.json without its alerts; `runbook` is `None` if it did not run.
/// Only one alert and the page of one alert at a time become values, because values take many times the size of their
/// text.
///
/// # Errors
/// The page cannot be written.
pub(super) fn page<'a, C: Serialize>(
    report: &Value,
    read: &dyn Fn() -> io::Result<AlertValues<'a>>,
    runbook: Option<&Runbook<'_, C>>,
    pages: &Pages<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let alerts = Alerts::new(read()?, runbook.map(|runbook| runbook.standings))?;
    let shown = alerts.shown(ALERTS, ALIKE);
    let environment = environment().map_err(io::Error::other)?;
    let template = environment.get_template("page.html").map_err(io::Error::other)?;
    let (style, script) = (unix_lines(include_str!("page.css")), unix_lines(include_str!("page.js")));
    let axis = Axis::new(report, &alerts);
    let mut pages = pages(&shown.iter().map(|(alert, _)| &*alert.id).collect())?;
    let mut values = values_of(&shown, read()?)?;
    let rows = shown.iter().enumerate().map(|(at, &(alert, alike))| {
        let value = values.remove(&alert.number).unwrap_or_default();
        (row(at, alert, alike, value), pages.remove(&*alert.id))
    });
    let rows = rows.collect();
    let context = context! {
        style_hash => Cell::from_safe_string(hash(&style)),
        script_hash => Cell::from_safe_string(hash(&script)),
        style => Cell::from_safe_string(style),
        script => Cell::from_safe_string(script),
        chart => axis.map(|axis| chart(&axis, &alerts)),
        coverage => axis.map(|axis| coverage(&axis, report)),
        alerts => alert_cells(rows),
        d => json_cell(content(report, runbook, &alerts, &shown)),
    };
    template.render_captured_to(context, out).map(|_| ()).map_err(io::Error::other)
}

/// The values of the alerts that are shown, by number.
fn values_of(shown: &[(&Alert, u64)], all: AlertValues<'_>) -> io::Result<BTreeMap<usize, Value>> {
    let wanted: BTreeSet<usize> = shown.iter().map(|(alert, _)| alert.number).collect();
    let values = all.enumerate().filter(|(number, value)| value.is_err() || wanted.contains(number));
    values.map(|(number, value)| Ok((number, value?))).collect()
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_formatter(format);
    environment.add_filter("count", text::count);
    environment.add_filter("short", text::short);
    environment.add_filter("plural", |number: u64, noun: &str| text::plural(number, noun));
    environment.add_filter("seconds", text::seconds);
    environment.add_filter("clip", |text: &str, most: usize| text::clip(text, most));
    environment.add_filter("rows", |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>());
    environment.add_template("page.html", include_str!("page.html"))?;
    Ok(environment)
}

/// Formats everything the template prints.
fn format(out: &mut Output, _: &mut State, value: &Cell) -> Result<(), minijinja::Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    if value.is_safe() {
        return Ok(out.write_str(value.as_str().unwrap_or_default())?);
    }
    match value.as_str() {
        Some(string) => text::escape(string, out)?,
        // Print a whole number without a fraction.
        None => text::escape(value.to_string().trim_end_matches(".0"), out)?,
    }
    Ok(())
}

/// The text as browsers hash it, however the source was checked out.
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(text.as_bytes())))
}

fn json_cell(value: Value) -> Cell {
    Cell::from(Serde(value))
}

fn chart(axis: &Axis, alerts: &Alerts) -> Cell {
    let hits = charts::hits(axis, alerts);
    context! {
        svg => Cell::from_safe_string(hits.svg),
        marks => Cell::from_safe_string(hits.marks),
        unit => axis.unit(),
        labels => axis.labels(),
        scale => hits.scale,
        table => json_cell(hits.table.into()),
        undated => hits.undated,
    }
}

fn coverage(axis: &Axis, report: &Value) -> Cell {
    let clusters = charts::coverage(axis, report);
    let count = clusters.len();
    let rows: Vec<_> = (clusters.into_iter().take(CLUSTERS))
        .map(|cluster| {
            context! {
                svg => Cell::from_safe_string(cluster.svg),
                text => json_cell(cluster.text),
            }
        })
        .collect();
    context! { labels => axis.labels(), more => count - rows.len(), rows }
}

/// What the template prints besides the charts.
fn content<C: Serialize>(
    report: &Value,
    runbook: Option<&Runbook<'_, C>>,
    alerts: &Alerts,
    shown: &[(&Alert, u64)],
) -> Value {
    let actors = alerts.actors();
    let ghosts = runbook.map(|runbook| runbook.controller_only).unwrap_or_default();
    let levels = ghosts.iter().map(|ghost| string(&json!(ghost), "spec_level").to_owned());
    let ghost_level = levels.max_by_key(|level| GHOSTS.iter().rposition(|(name, _)| name == level));
    let ghost_level = ghost_level.unwrap_or_default();
    let damaged =
        list(report, "inputs").iter().filter(|input| matches!(input["status"].as_str(), Some("partial" | "failed")));
    let damaged: Vec<_> = damaged.collect();
    json!({
        "judged": runbook.is_some(),
        "incomplete": report["complete"] == false,
        "asked": report["asked"],
        "missed": report["missed"],
        "settings": runbook.map(|runbook| bounded(runbook.settings.clone())),
        "totals": report["totals"],
        "span": span(report),
        "tiles": alerts.tiles(),
        "heat": alerts.heat(),
        "classes": alerts.classes.iter().map(|class| json!({"name": class.name, "css": class.css})).collect::<Vec<_>>(),
        "severities": chips(shown, &SEVERITIES, |alert| alert.severity),
        "verdicts": chips(shown, &VERDICTS, |alert| alert.verdict),
        "clusters": shown.iter().map(|(alert, _)| &*alert.cluster).collect::<BTreeSet<_>>(),
        "shown": shown.len(),
        "alike": ALIKE,
        "most": ALERTS,
        "alert_count": alerts.all.len(),
        "actor_count": actors.len(),
        "actors": actors.into_iter().take(ROWS).map(bounded).collect::<Vec<_>>(),
        "ghosts": ghosts.iter().take(ROWS).map(|ghost| bounded(json!(ghost))).collect::<Vec<_>>(),
        "ghost_count": ghosts.len(),
        "ghost_level": ghost_level,
        "grave": runbook.map_or(0, |runbook| runbook.grave),
        "ghost_css": GHOSTS.iter().find(|(level, _)| *level == ghost_level).map_or("k3", |(_, css)| *css),
        "damaged": damaged.iter().take(ROWS).map(|input| bounded((*input).clone())).collect::<Vec<_>>(),
        "damaged_count": damaged.len(),
    })
}

/// The classes of the alerts on the page, with the number of each.
fn chips(shown: &[(&Alert, u64)], classes: &[model::Class], class: impl Fn(&Alert) -> usize) -> Vec<Value> {
    let mut counts = vec![0_u64; classes.len()];
    for (alert, _) in shown {
        counts[class(alert)] += 1;
    }
    let named = classes.iter().zip(counts).enumerate().filter(|(_, (_, count))| *count > 0);
    named.map(|(at, (class, count))| json!({"name": class.name, "css": class.css, "at": at, "count": count})).collect()
}

fn span(report: &Value) -> Value {
    let days = list(report, "coverage");
    let (first, last) = charts::covered(days).unzip();
    let clusters = days.chunk_by(|left, right| left["cluster"] == right["cluster"]).count();
    json!({"first": first.map(minute), "last": last.map(minute), "clusters": clusters})
}

/// Rows of alerts, each with its page as JSON.
type Rows = Vec<(Value, Option<String>)>;

fn alert_cells(rows: Rows) -> Cell {
    Cell::make_object_iterable(rows, |rows: &Rows| {
        Box::new(rows.iter().map(|(row, page)| {
            let page = page.as_deref().and_then(|page| serde_json::from_str(page).ok());
            context! { page => json_cell(bounded(page.unwrap_or_default())), ..json_cell(row.clone()) }
        }))
    })
}

fn row(at: usize, alert: &Alert, alike: u64, value: Value) -> Value {
    let (verdict, severity) = (&VERDICTS[alert.verdict], &SEVERITIES[alert.severity]);
    let mut row = bounded(value);
    row["at"] = (at + 1).into();
    row["verdict"] = json!({"name": verdict.name, "css": verdict.css, "note": verdict.note, "at": alert.verdict});
    row["severity"] = json!({"name": severity.name, "css": severity.css, "at": alert.severity});
    row["hits"] = alert.hits.into();
    row["alike"] = alike.into();
    row
}

/// The same with texts and lists cut to their limits.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(string) if string.len() > TEXT => text::clip(&string, TEXT).into(),
        Value::Array(items) => items.into_iter().take(ROWS).map(bounded).collect(),
        Value::Object(mut members) => {
            members.values_mut().for_each(|member| *member = bounded(member.take()));
            members.into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(report: &Value, runbook: Option<&Value>) -> String {
        let mut out = Vec::new();
        let pages = runbook.map(|runbook| list(runbook, "alerts")).unwrap_or_default();
        let page_of = |id: &&str| pages.iter().find(|page| page["alert_id"] == *id).map(Value::to_string);
        let find = |wanted: &BTreeSet<&str>| {
            Ok(wanted.iter().filter_map(|id| Some(((*id).to_owned(), page_of(id)?))).collect())
        };
        let standings = BTreeMap::new();
        let runbook = runbook.map(|runbook| Runbook {
            settings: &runbook["settings"],
            controller_only: list(runbook, "controller_only"),
            grave: 0,
            standings: &standings,
        });
        let alerts = || -> io::Result<AlertValues<'_>> { Ok(Box::new(list(report, "alerts").iter().cloned().map(Ok))) };
        page(report, &alerts, runbook.as_ref(), &find, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn alert(text: &str) -> Value {
        json!({"alert_id": "1", "rule_id": text, "severity": "high", "title": text, "cluster": text, "namespace": text,
               "username": text, "hits": 2, "first_seen": "2026-11-24T03:12:44Z", "last_seen": text, "dedup_key": text,
               "mitre": [text], "verdict": "SUSPICIOUS"})
    }

    #[test]
    fn nothing_is_needed() {
        for runbook in [None, Some(&json!({})), Some(&json!({"alerts": [{}], "controller_only": [{}]}))] {
            for report in [json!({}), json!({"alerts": [{}], "inputs": [{"status": "failed"}], "coverage": [{}]})] {
                assert!(printed(&report, runbook).contains("</html>"));
            }
        }
    }

    #[test]
    fn log_text_is_text() {
        let hostile = "</script><script>x</script>\" onload='y' {{ 7*7 }} \u{202e}\u{9b}";
        let leaf = json!({"path": hostile, "record": 1, "pointer": hostile});
        let job = json!({"namespace": hostile, "name": hostile, "schedule": hostile, "diff_note": hostile, "evidence": leaf,
            "containers": [{"name": hostile, "image": hostile, "args": [hostile], "env": [{"name": hostile, "value": hostile}]}],
            "decoded": [{"where": hostile, "text": hostile}], "diff": [{"path": hostile, "before": hostile, "after": 1}]});
        let runbook = json!({"alerts": [{"alert_id": "1", "cronjobs": [job], "next": [hostile],
            "who": {"username": hostile, "groups": [hostile], "chain": [hostile]}}], "controller_only": [{"name": hostile}]});
        let report = json!({"alerts": [alert(hostile)], "inputs": [{"path": hostile, "status": "failed", "error": hostile}],
            "coverage": [{"cluster": hostile, "day": "2026-11-24", "first_seen": "2026-11-24T03:00:00Z",
                          "last_seen": "2026-11-24T04:00:00Z", "hours_seen": 2, "gaps": []}]});
        for page in [printed(&report, Some(&runbook)), printed(&report, None)] {
            assert_eq!(page.matches("<script").count(), 1);
            assert_eq!(page.matches("</script").count(), 1);
            assert!(!page.contains("onload='") && !page.contains(['\u{202e}', '\u{9b}']));
            assert!(page.contains("{{ 7*7 }} \\u{202e}\\u{9b}"));
        }
    }

    #[test]
    fn a_cronjob_without_a_creator_has_a_tile() {
        let ghosts = json!({"controller_only": [{"spec_level": "S0"}, {"spec_level": "S3"}, {"spec_level": "S?"}]});
        let page = printed(&json!({}), Some(&ghosts));
        let (_, tile) = page.split_once("<li class=\"tile k0\"><b>3</b>").unwrap();
        assert!(tile.split_once("</li>").unwrap().0.contains("worst spec S3"), "{tile}");
        assert!(!printed(&json!({}), Some(&json!({}))).contains("worst spec"));
    }

    #[test]
    fn nothing_is_said_twice() {
        let step =
            |text: &str, class: &str| json!({"text": text, "class": class, "coverage": "dump covers 24 of 24 hours"});
        let quiet = step("no CronJob write (dump covers 24 of 24 hours)", "none");
        let busy = step("3 writes: 3 failed; probing", "probing");
        let runbook = json!({"alerts": [{"alert_id": "1", "before": quiet, "history": busy}]});
        let page = printed(&json!({"alerts": [alert("x")]}), Some(&runbook));
        let before = "<p>no CronJob write (dump covers 24 of 24 hours); <span class=\"muted\">precursors</span> -</p>";
        assert!(page.contains(before), "{page}");
        assert!(page.contains("<dd><p>3 writes: 3 failed; probing; dump covers 24 of 24 hours</p>"), "{page}");
    }

    #[test]
    fn the_policy_names_what_the_page_holds() {
        let page = printed(&json!({}), None);
        for element in ["style", "script"] {
            let (_, rest) = page.split_once(&format!("<{element}>")).unwrap();
            let (inline, _) = rest.split_once(&format!("</{element}>")).unwrap();
            assert!(page.contains(&format!("{element}-src '{}'", hash(inline))), "{element}");
        }
        assert!(!page.contains(" style=") && !page.contains("http://") && !page.contains("https://"));
        assert!(!include_str!("page.html").contains("safe"));
    }

    #[test]
    fn an_alert_without_a_verdict_stands_by_its_severity() {
        let of = |title: &str, severity: &str, verdict: Value| {
            let mut alert = alert(title);
            (alert["severity"], alert["verdict"]) = (severity.into(), verdict);
            alert
        };
        let (judged, none) = (|verdict: &str| Value::from(verdict), || Value::Null);
        let alerts = json!([
            of("fifth", "info", none()),
            of("fourth", "info", judged("EXPECTED")),
            of("third", "info", judged("REVIEW")),
            of("second", "high", none()),
            of("first", "info", judged("SUSPICIOUS")),
        ]);
        let page = printed(&json!({"alerts": alerts}), Some(&json!({"settings": {"deep": "false"}})));
        let titles = ["first", "second", "third", "fourth", "fifth"];
        let rows = page.split("<tr class=\"alert\">").skip(1);
        let place = |row: &str| titles.iter().position(|title| row.contains(&format!(">{title}</span>")));
        let places: Vec<_> = rows.map(|row| place(row).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(page.contains("not deep"));
    }

    #[test]
    fn worst_first_and_no_more_than_the_page_holds() {
        let many: Vec<_> = (0..ALERTS + 7)
            .map(|at| {
                let mut alert = alert(&format!("user-{}", at % 20));
                alert["alert_id"] = at.to_string().into();
                alert["verdict"] = if at == ALERTS + 3 { "MALICIOUS-LIKELY" } else { "EXPECTED" }.into();
                alert
            })
            .collect();
        let report = json!({"alerts": many});
        let page = printed(&report, Some(&json!({})));
        assert_eq!(page.matches("<tr class=\"alert\">").count(), ALERTS);
        assert!(page.contains("first 500 of 507 alerts"));
        assert!(page.split_once("<tbody class=\"k").unwrap().1.starts_with('0'));
        assert!(page.contains("others (8)"));
        assert_eq!(page, printed(&report, Some(&json!({}))));
        assert!(!printed(&report, None).contains("MALICIOUS-LIKELY"));
    }
}
