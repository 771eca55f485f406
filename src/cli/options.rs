//! Arguments as meant: times, spans and sizes.

use jiff::{
    SignedDuration, Span, SpanRelativeTo, Timestamp,
    civil::{self, Date},
    tz::TimeZone,
};

use super::args::{Input, Scan};
use crate::aggregate::{Plan, is_group_field};
use crate::decode::Limits;
use crate::discover::Window;
use crate::error::Error;
use crate::rule::{self, Pack, Tuning};
use crate::runbook::{self, Scope};
use crate::sweep::Job;

/// Reads a size: bytes, or with KiB, MiB, GiB.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..].to_ascii_lowercase()[..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        unit => return Err(format!("{unit} is no unit; use KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is no size; write 64MiB, for instance"))?;
    number.checked_mul(factor).filter(|size| *size > 0).ok_or_else(|| format!("{text} is no possible size"))
}

/// The limits that the arguments set.
pub(super) fn limits(input: &Input) -> Limits {
    Limits { max_record: usize::try_from(input.max_record).unwrap_or(usize::MAX), max_bytes: input.max_bytes }
}

/// The rules that a scan evaluates, as tuned.
pub(super) fn pack(scan: &Scan) -> Result<Pack, Error> {
    let rules = rule::load(&scan.rules)?;
    let tuning = scan.tune.as_deref().map(Tuning::load).transpose()?.unwrap_or_default();
    Ok(Pack::new(rules, tuning, runbook::interests(Scope::Runbook)?))
}

/// What a sweep is to do, before any window.
pub(super) fn job(input: &Input, pack: Pack) -> Job {
    Job {
        pack,
        limits: limits(input),
        window: Window::default(),
        validate: input.validate,
        cluster: input.cluster.clone(),
        platform: input.platform,
    }
}

/// The window of the hits, and the wider one of the events that are kept for their history.
pub(super) struct Times {
    pub now: Timestamp,
    pub since: Option<Timestamp>,
    pub kept: Window,
}

/// Reads the time arguments of a scan.
pub(super) fn times(scan: &Scan) -> Result<Times, Error> {
    let (now, Window { start: since, end: until }) = window(&scan.since, &scan.until, &scan.as_of)?;
    let history = span(&scan.lookback, "--lookback")?.max(span(&scan.context, "--context")?);
    let start = since.map(|since| since.checked_sub(history).unwrap_or(Timestamp::MIN));
    Ok(Times { now, since, kept: Window { start, end: until } })
}

/// Reads `--since`, `--until` and `--as-of`: the "now" of spans, and the window.
pub(super) fn window(
    since: &Option<String>,
    until: &Option<String>,
    as_of: &Option<String>,
) -> Result<(Timestamp, Window), Error> {
    let now = as_of.as_ref().map_or_else(|| Ok(Timestamp::now()), |text| moment(text, "--as-of", None))?;
    let read = |text: &Option<String>, option| text.as_ref().map(|text| moment(text, option, Some(now))).transpose();
    let (start, end) = (read(since, "--since")?, read(until, "--until")?);
    if let (Some(since), Some(until)) = (start, end)
        && since >= until
    {
        return Err(Error::Usage(format!("--since {since} is not before --until {until}")));
    }
    Ok((now, Window { start, end }))
}

/// What is counted, for the summary keys that were asked for.
pub(super) fn plan(scan: &Scan, times: &Times) -> Result<Plan, Error> {
    if let Some(unknown) = scan.group_by.iter().find(|name| !is_group_field(name)) {
        let known: Vec<_> = crate::aggregate::GROUP_FIELDS.iter().map(|(name, _)| *name).collect();
        return Err(Error::Usage(format!("--group-by does not know {unknown}; it takes {}", known.join(", "))));
    }
    Ok(Plan { window: times.kept, since: times.since, group_by: scan.group_by.clone() })
}

/// A time, a date (its midnight, UTC), or a span back from `now`.
fn moment(text: &str, option: &str, now: Option<Timestamp>) -> Result<Timestamp, Error> {
    // Without a zone it is UTC, as everything here.
    let civil =
        || text.parse::<civil::DateTime>().ok().filter(|_| text.contains(':'))?.to_zoned_datetime(TimeZone::UTC).ok();
    let date = || text.parse::<Date>().ok()?.to_zoned_datetime(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let back = || now?.checked_sub(span(text, option).ok()?).ok();
    let forms = if now.is_some() {
        "a time (2026-11-24T03:00:00Z), a date (2026-11-24) or a span (30d, 24h)"
    } else {
        "a time (2026-11-24T03:00:00Z) or a date (2026-11-24)"
    };
    let civil = || civil().map(|zoned| zoned.timestamp());
    text.parse()
        .ok()
        .or_else(civil)
        .or_else(date)
        .or_else(back)
        .ok_or_else(|| Error::Usage(format!("{option} {text}: write {forms}")))
}

/// A span of days and smaller units; a day has 24 hours.
fn span(text: &str, option: &str) -> Result<SignedDuration, Error> {
    let duration =
        text.parse::<Span>().ok().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    duration
        .filter(|duration| !duration.is_negative())
        .ok_or_else(|| Error::Usage(format!("{option} {text}: write a span such as 30d or 24h")))
}
