//! The charts: SVG that stretches; its labels are part of the page.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::model::{Alerts, list, string};
use super::text::{count, escaped, plural};
use crate::words::minute;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Spans longer than this, in seconds, have one bar per day.
const HOURLY: i64 = 3 * DAY;
/// Most bars of a chart. A longer span has bars of several days.
const BARS: i64 = 180;
/// Most gaps listed for one cluster.
const GAPS: usize = 20;

/// Time in equal steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    start: i64,
    step: i64,
    bars: usize,
}

impl Axis {
    /// An axis over the span of the dump and the alerts; `None` if neither has a time.
    pub(super) fn new(report: &Value, alerts: &Alerts) -> Option<Self> {
        let days = covered(list(report, "coverage")).into_iter().flat_map(<[_; 2]>::from);
        let times = days.chain(alerts.all.iter().filter_map(|alert| alert.time)).map(Timestamp::as_second);
        let (first, last) = (times.clone().min()?, times.max()?);
        let unit = if last - first <= HOURLY { HOUR } else { DAY };
        let start = first.div_euclid(unit) * unit;
        let units = (last - start) / unit + 1;
        let step = unit * units.div_euclid(BARS).max(1);
        let bars = usize::try_from((last - start) / step + 1).ok()?;
        Some(Axis { start, step, bars })
    }

    fn bar(&self, time: Timestamp) -> usize {
        let at = (time.as_second() - self.start).div_euclid(self.step);
        usize::try_from(at).unwrap_or(0).min(self.bars - 1)
    }

    fn begin(&self, bar: usize) -> i64 {
        self.start.saturating_add(i64::try_from(bar).unwrap_or(i64::MAX).saturating_mul(self.step))
    }

    /// "day", "hour" or "3 days".
    pub(super) fn unit(&self) -> String {
        match self.step {
            HOUR => "hour".to_owned(),
            DAY => "day".to_owned(),
            step => plural(u64::try_from(step / DAY).unwrap_or(0), "day"),
        }
    }

    pub(super) fn label(&self, bar: usize) -> String {
        let Ok(time) = Timestamp::from_second(self.begin(bar)) else { return String::new() };
        if self.step < DAY { minute(time) } else { time.strftime("%Y-%m-%d").to_string() }
    }

    /// Labels below a chart: beginning, middle and end.
    pub(super) fn labels(&self) -> Vec<String> {
        let mut bars = vec![0, self.bars / 2, self.bars - 1];
        bars.dedup();
        bars.into_iter().map(|bar| self.label(bar)).collect()
    }
}

fn time(value: &Value, key: &str) -> Option<Timestamp> {
    value[key].as_str()?.parse().ok()
}

/// Hits over time.
#[derive(Debug)]
pub(super) struct Hits {
    pub(super) svg: String,
    pub(super) marks: String,
    /// Top and middle of the scale.
    pub(super) scale: [String; 2],
    /// The same as text: a label, and a number for each class.
    pub(super) table: Vec<Value>,
    pub(super) undated: usize,
}

/// Draws the hits. Each is counted at the time its alert begins.
pub(super) fn hits(axis: &Axis, alerts: &Alerts) -> Hits {
    let mut bars = vec![vec![0_u64; alerts.classes.len()]; axis.bars];
    for alert in &alerts.all {
        if let Some(time) = alert.time {
            bars[axis.bar(time)][alert.class] += alert.hits;
        }
    }
    let top = round_up(bars.iter().map(|bar| bar.iter().sum()).max().unwrap_or(0));
    let (mut body, mut marks) = (String::new(), String::new());
    for (at, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.iter().any(|&hits| hits > 0)) {
        stack(&mut body, alerts, at, bar, top, &axis.label(at));
        if let Some(worst) = bar.iter().take(2).position(|&hits| hits > 0) {
            let css = alerts.classes[worst].css;
            let _ = write!(marks, r#"<rect class="{css}" x="{at}.1" y="0" width="0.8" height="1"/>"#);
        }
    }
    let table = bars.iter().enumerate().filter(|(_, bar)| bar.iter().any(|&hits| hits > 0));
    Hits {
        svg: picture(axis, &body, alerts, &bars),
        marks: format!(
            r#"<svg class="marks" viewBox="0 0 {} 1" preserveAspectRatio="none" aria-hidden="true">{marks}</svg>"#,
            axis.bars
        ),
        scale: [count(top), if top.is_multiple_of(2) { count(top / 2) } else { String::new() }],
        table: table.map(|(at, bar)| json!({"label": axis.label(at), "hits": bar})).collect(),
        undated: alerts.all.iter().filter(|alert| alert.time.is_none()).count(),
    }
}

fn picture(axis: &Axis, body: &str, alerts: &Alerts, bars: &[Vec<u64>]) -> String {
    let (width, unit) = (axis.bars, axis.unit());
    let sums = alerts.classes.iter().enumerate().map(|(at, class)| {
        let hits: u64 = bars.iter().map(|bar| bar[at]).sum();
        format!("{} {}", count(hits), class.name)
    });
    let sums: Vec<_> = sums.collect();
    let describe = format!("{} to {}: {}.", axis.label(0), axis.label(width - 1), sums.join(", "));
    let mut out = format!(
        r#"<svg class="bars" viewBox="0 0 {width} 100" preserveAspectRatio="none" role="img" aria-labelledby="hits-title hits-desc"><title id="hits-title">Hits per {unit}</title><desc id="hits-desc">{}</desc>"#,
        escaped(&describe)
    );
    for y in [0, 50, 100] {
        let _ = write!(out, r#"<line class="grid" x1="0" x2="{width}" y1="{y}" y2="{y}"/>"#);
    }
    out + body + "</svg>"
}

fn stack(out: &mut String, alerts: &Alerts, at: usize, bar: &[u64], top: u64, label: &str) {
    let named = bar.iter().zip(alerts.classes).filter(|(hits, _)| **hits > 0);
    let parts: Vec<_> = named.map(|(hits, class)| format!("{} {}", count(*hits), class.name)).collect();
    let _ = write!(out, "<g><title>{}</title>", escaped(&format!("{label}: {}", parts.join(", "))));
    let mut base = 100.0;
    for (&hits, class) in bar.iter().zip(alerts.classes).filter(|(hits, _)| **hits > 0) {
        let height = share(hits, top) * 100.0;
        base -= height;
        let css = class.css;
        let _ = write!(out, r#"<rect class="{css}" x="{at}.1" y="{base:.3}" width="0.8" height="{height:.3}"/>"#);
    }
    out.push_str("</g>");
}

#[expect(clippy::cast_precision_loss, reason = "three decimals are drawn")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The smallest of 1, 2, 4, 5, 10, 20, 40, 50 … that is at least `most`.
fn round_up(most: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        if let Some(top) = [1, 2, 4, 5].into_iter().map(|step| unit.saturating_mul(step)).find(|&top| top >= most) {
            return top;
        }
        unit = unit.saturating_mul(10);
    }
}

/// What the dump holds of one cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) svg: String,
    /// Name, span, hours and gaps.
    pub(super) text: Value,
}

/// One strip per cluster.
pub(super) fn coverage(axis: &Axis, report: &Value) -> Vec<Cluster> {
    list(report, "coverage")
        .chunk_by(|left, right| left["cluster"] == right["cluster"])
        .map(|days| Cluster { svg: strip(axis, days), text: describe(days) })
        .collect()
}

/// The first and the last time that days of the report cover; `None` if none has a time.
pub(super) fn covered(days: &[Value]) -> Option<(Timestamp, Timestamp)> {
    let times = |key| days.iter().filter_map(move |day| time(day, key));
    times("first_seen").min().zip(times("last_seen").max())
}

fn describe(days: &[Value]) -> Value {
    let span = covered(days);
    let seen: u64 = days.iter().filter_map(|day| day["hours_seen"].as_u64()).sum();
    let hour = |time: Timestamp| time.as_second().div_euclid(HOUR);
    let hours = span.map_or(0, |(first, last)| hour(last).abs_diff(hour(first)) + 1);
    let (first, last) = span.unzip();
    let mut gaps: Vec<_> = days.iter().flat_map(|day| list(day, "gaps")).filter_map(gap).collect();
    gaps.sort_by_key(|(start, end)| (start.as_second() - end.as_second(), *start));
    let listed = gaps.iter().take(GAPS).map(|&(start, end)| {
        json!({"start": minute(start), "end": minute(end), "length": length(end.as_second() - start.as_second())})
    });
    json!({"name": string(&days[0], "cluster"), "first": first.map(minute), "last": last.map(minute), "seen": seen,
           "hours": hours, "percent": format!("{:.0}", (share(seen, hours) * 100.0).floor()), "gap_count": gaps.len(),
           "gaps": listed.collect::<Vec<_>>()})
}

fn gap(value: &Value) -> Option<(Timestamp, Timestamp)> {
    Some((time(value, "start")?, time(value, "end")?))
}

fn length(seconds: i64) -> String {
    let minutes = seconds / 60;
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, hours, minutes) => format!("{hours} h {minutes:02} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Draws runs of bars with the same share of hours: the more of their hours are in the dump, the taller they are.
fn strip(axis: &Axis, days: &[Value]) -> String {
    let levels = levels(axis, days);
    let mut body = String::new();
    let mut at = 0;
    for run in levels.chunk_by(|left, right| left == right) {
        let (level, width) = (run[0], run.len());
        let y = if level == 0 { 8 } else { 8 - 2 * level };
        let _ = write!(
            body,
            r#"<rect class="c{level}" x="{at}" y="{y}" width="{width}" height="{}"/>"#,
            if level == 0 { 2 } else { 10 - y }
        );
        at += width;
    }
    format!(
        r#"<svg class="strip" viewBox="0 0 {} 10" preserveAspectRatio="none" aria-hidden="true">{body}</svg>"#,
        axis.bars
    )
}

/// For each bar, how many quarters of its hours have events; 0 for none.
fn levels(axis: &Axis, days: &[Value]) -> Vec<u64> {
    if axis.step < DAY {
        return hourly(axis, days);
    }
    let mut seen = vec![0_u64; axis.bars];
    for day in days {
        if let Ok(midnight) = format!("{}T00:00:00Z", string(day, "day")).parse() {
            seen[axis.bar(midnight)] += day["hours_seen"].as_u64().unwrap_or(0);
        }
    }
    let hours = u64::try_from(axis.step / HOUR).unwrap_or(u64::MAX);
    seen.into_iter().map(|seen| (seen * 4).div_ceil(hours).min(4)).collect()
}

fn hourly(axis: &Axis, days: &[Value]) -> Vec<u64> {
    let mut levels = vec![0; axis.bars];
    for day in days {
        if let (Some(first), Some(last)) = (time(day, "first_seen"), time(day, "last_seen")) {
            levels[axis.bar(first)..=axis.bar(last).max(axis.bar(first))].fill(4);
        }
    }
    for (start, end) in days.iter().flat_map(|day| list(day, "gaps")).filter_map(gap) {
        let (from, to) = (axis.bar(start) + 1, axis.bar(end));
        if from < to {
            levels[from..to].fill(0);
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(report: &Value) -> Alerts {
        Alerts::new(list(report, "alerts").iter().cloned().map(Ok), None).unwrap()
    }

    #[test]
    fn scales_end_on_round_numbers() {
        let tops: Vec<_> = [0, 1, 3, 6, 11, 41, 100, 999].into_iter().map(round_up).collect();
        assert_eq!(tops, [1, 1, 4, 10, 20, 50, 100, 1000]);
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_short_span_is_drawn_by_the_hour() {
        let report = json!({"coverage": [{"day": "2026-11-24", "first_seen": "2026-11-24T01:10:00Z",
            "last_seen": "2026-11-24T08:20:00Z", "hours_seen": 3, "gaps": [
            {"start": "2026-11-24T02:10:00Z", "end": "2026-11-24T08:10:00Z"}]}]});
        let axis = Axis::new(&report, &alerts(&report)).unwrap();
        assert_eq!((axis.bars, axis.unit().as_str()), (8, "hour"));
        assert_eq!(levels(&axis, list(&report, "coverage")), [4, 4, 0, 0, 0, 0, 0, 4]);
    }

    #[test]
    fn a_year_of_years_is_drawn_in_few_bars() {
        let report =
            json!({"alerts": [{"first_seen": "1970-01-01T00:00:00Z"}, {"first_seen": "9999-12-30T00:00:00Z"}]});
        let axis = Axis::new(&report, &alerts(&report)).unwrap();
        assert!(axis.bars <= 360, "{axis:?}");
    }
}
