//! Kubernetes `CronJob` schedules, read as the controller reads them: robfig/cron v3 `ParseStandard` and `Next`.
//!
//! Where robfig does something a reader may not expect, this module does the same, because its answers are compared
//! with what a cluster did: `*-5` means `*`, a field of nothing but commas never matches, `*/2` in a day field makes
//! day of month and day of week alternatives.

mod every;
mod next;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use every::parse_every;
use next::Cursor;
use words::duration_words;

/// A parsed schedule: five calendar fields, or a fixed interval (`@every`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A whole number of seconds, at least one.
    Every(Duration),
    Calendar(Calendar),
}

/// The values a field allows, one bit each, and whether it holds an unstepped `*` or `?` (robfig's star bit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Field {
    bits: u64,
    star: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Calendar {
    minute: Field,
    hour: Field,
    date: Field,
    month: Field,
    weekday: Field,
}

/// Which days of an allowed month match, once fields that restrict nothing are set aside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Days {
    Any,
    Dates,
    Weekdays,
    DatesAndWeekdays,
}

struct Bounds {
    field: &'static str,
    min: u64,
    max: u64,
    /// Names of `min`, `min + 1` and so on.
    names: &'static [&'static str],
}

const fn bounds(field: &'static str, min: u64, max: u64, names: &'static [&'static str]) -> Bounds {
    Bounds { field, min, max, names }
}

const MINUTE: Bounds = bounds("minute", 0, 59, &[]);
const HOUR: Bounds = bounds("hour", 0, 23, &[]);
const DATE: Bounds = bounds("day of month", 1, 31, &[]);
const MONTH: Bounds =
    bounds("month", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]);
const WEEKDAY: Bounds = bounds("day of week", 0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Longest day count of each month; 29 February is weighed separately.
const MONTH_DAYS: [(i8, i8); 12] =
    [(1, 31), (2, 29), (3, 31), (4, 30), (5, 31), (6, 30), (7, 31), (8, 31), (9, 30), (10, 31), (11, 30), (12, 31)];
const DAYS_IN_FOUR_YEARS: u32 = 1461;
const MINUTES_A_DAY: u32 = 24 * 60;
const SECONDS_A_DAY: u32 = MINUTES_A_DAY * 60;
/// How many years after the year of the start robfig still looks for a run.
const YEARS_AHEAD: i16 = 5;
/// Times of day written out one by one; more are described by their fields.
const MOST_LISTED_TIMES: usize = 6;

impl Schedule {
    /// Reads what `spec.schedule` of a `CronJob` may hold: five fields, a macro such as `@daily`, or
    /// `@every <Go duration>` (rounded down to whole seconds, at least one).
    ///
    /// # Errors
    /// A sentence fragment saying what is wrong, e.g. `expected 5 fields, found 6`. A time zone in the schedule is an
    /// error, as in Kubernetes validation. Text quoted from the input is escaped and cut to a few words.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        if text.is_empty() {
            return Err("the schedule is empty".into());
        }
        // Kubernetes looks for these two letters anywhere in the text.
        if text.contains("TZ") {
            return Err("Kubernetes does not allow TZ or CRON_TZ in a schedule (spec.timeZone is the place)".into());
        }
        if let Some(duration) = text.strip_prefix("@every ") {
            return parse_every(duration).map(|every| Schedule(Kind::Every(every)));
        }
        if !text.starts_with('@') {
            return Calendar::parse(text).map(|calendar| Schedule(Kind::Calendar(calendar)));
        }
        let known = MACROS.iter().find(|(name, _)| *name == text);
        let (_, fields) = known.ok_or_else(|| format!("unknown macro {}", quoted(text)))?;
        Calendar::parse(fields).map(|calendar| Schedule(Kind::Calendar(calendar)))
    }

    /// Average runs per day over the four-year leap cycle, every date falling equally often on every weekday.
    /// Zero if the schedule can never fire. Clock changes are left out of account.
    #[must_use]
    pub fn runs_per_day(&self) -> f64 {
        match &self.0 {
            Kind::Every(every) => f64::from(SECONDS_A_DAY) / every.as_secs_f64(),
            Kind::Calendar(calendar) => {
                f64::from(calendar.times_a_day() * calendar.day_sevenths()) / f64::from(DAYS_IN_FOUR_YEARS * 7)
            }
        }
    }

    /// The schedule in plain English, e.g. `at 05:30 on Monday` or `every 5 minutes`; `never` if it can never fire.
    /// Where day of month and day of week are alternatives, "day 13 of the month and every Friday" names both.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.0 {
            Kind::Every(every) => format!("every {}", duration_words(every.as_secs())),
            Kind::Calendar(calendar) if calendar.never_fires() => "never".into(),
            Kind::Calendar(calendar) => calendar.words(),
        }
    }

    /// The first run after `time` in `zone`; `None` if there is none up to the end of the fifth year after `time`
    /// (robfig's limit), or beyond the times `jiff` can hold.
    ///
    /// `@every` adds the interval to `time` and drops the fraction of a second; the zone plays no part.
    ///
    /// Clock changes are robfig's: a local time that is skipped does not run that day, one that exists twice runs
    /// twice, and in zones that change at midnight the days next to the change may run as robfig happens to.
    #[must_use]
    pub fn next_after(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let second = i64::try_from(time.as_nanosecond().div_euclid(1_000_000_000)).ok()?;
        let next = match &self.0 {
            Kind::Every(every) => second.checked_add(i64::try_from(every.as_secs()).ok()?)?,
            // The search ends only for schedules that have a value in every field.
            Kind::Calendar(calendar) if calendar.never_fires() => return None,
            Kind::Calendar(calendar) => calendar.next(Cursor::at(zone, second.checked_add(1)?)?)?,
        };
        Timestamp::from_second(next).ok()
    }

    /// Whether it can never fire, such as on 30 February. 29 February fires.
    #[must_use]
    pub fn never_fires(&self) -> bool {
        matches!(&self.0, Kind::Calendar(calendar) if calendar.never_fires())
    }

    /// Whether day of week is unrestricted: an unstepped `*` or `?`, which `@every` and all macros but `@weekly`
    /// imply. `0-6` allows every day too but is a restriction to robfig, and so counts as one.
    #[must_use]
    pub fn any_weekday(&self) -> bool {
        match &self.0 {
            Kind::Every(_) => true,
            Kind::Calendar(calendar) => calendar.weekday.star,
        }
    }

    /// Whether it runs on one fixed date a year: one day of month, one month, any weekday, at whatever times.
    /// 29 February counts; a date that does not exist does not.
    #[must_use]
    pub fn is_one_date(&self) -> bool {
        match &self.0 {
            Kind::Every(_) => false,
            Kind::Calendar(calendar) => {
                let single = calendar.date.count() == 1 && calendar.month.count() == 1;
                single && calendar.days() == Days::Dates && !calendar.never_fires()
            }
        }
    }
}

impl Field {
    fn parse(text: &str, bounds: &Bounds) -> Result<Field, String> {
        let mut field = Field::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let range = Field::parse_range(part, bounds)
                .map_err(|why| format!("{why} in {} field {}", bounds.field, quoted(text)))?;
            field.bits |= range.bits;
            field.star |= range.star;
        }
        Ok(field)
    }

    fn parse_range(part: &str, bounds: &Bounds) -> Result<Field, String> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        if step.is_some_and(|step| step.contains('/')) {
            return Err("too many slashes".into());
        }
        let mut ends = range.split('-');
        let low = ends.next().unwrap_or_default();
        let star = matches!(low, "*" | "?");
        let (start, end) = match (ends.next(), ends.next()) {
            // robfig ignores whatever follows `*-`.
            _ if star => (bounds.min, bounds.max),
            (None, _) if step.is_some() => (bounds.value(low)?, bounds.max),
            (None, _) => (bounds.value(low)?, bounds.value(low)?),
            (Some(high), None) => (bounds.value(low)?, bounds.value(high)?),
            (Some(_), Some(_)) => return Err("too many hyphens".into()),
        };
        let step = step.map_or(Ok(1), number)?;
        bounds.check(start, end, step)?;
        Ok(Field { bits: stepped_bits(start, end, step), star: star && step == 1 })
    }

    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|bit| self.bits >> bit & 1 == 1)
    }

    fn count(self) -> u32 {
        self.bits.count_ones()
    }

    fn is_full(self, bounds: &Bounds) -> bool {
        self.bits == stepped_bits(bounds.min, bounds.max, 1)
    }

    fn values(self) -> Vec<u32> {
        (0..u64::BITS).filter(|bit| self.bits >> bit & 1 == 1).collect()
    }
}

impl Bounds {
    fn value(&self, text: &str) -> Result<u64, String> {
        let lower = text.to_lowercase();
        let named = (self.min..=self.max).zip(self.names).find(|(_, name)| **name == lower);
        named.map_or_else(|| number(text), |(value, _)| Ok(value))
    }

    fn check(&self, start: u64, end: u64, step: u64) -> Result<(), String> {
        match self {
            Bounds { min, .. } if start < *min => Err(format!("{start} is below the minimum {min}")),
            Bounds { max, .. } if end > *max => Err(format!("{end} is above the maximum {max}")),
            _ if start > end => Err(format!("the range runs backwards from {start} to {end}")),
            _ if step == 0 => Err("the step is zero".into()),
            _ => Ok(()),
        }
    }
}

impl Calendar {
    fn parse(text: &str) -> Result<Calendar, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, date, month, weekday] = fields[..] else {
            return Err(format!("expected 5 fields, found {}", fields.len()));
        };
        Ok(Calendar {
            minute: Field::parse(minute, &MINUTE)?,
            hour: Field::parse(hour, &HOUR)?,
            date: Field::parse(date, &DATE)?,
            month: Field::parse(month, &MONTH)?,
            weekday: Field::parse(weekday, &WEEKDAY)?,
        })
    }

    fn times_a_day(&self) -> u32 {
        self.minute.count() * self.hour.count()
    }

    /// If either field is a star, the other decides; without a star, they are alternatives.
    fn days(&self) -> Days {
        let all_dates = self.date.is_full(&DATE);
        let all_weekdays = self.weekday.is_full(&WEEKDAY);
        match (self.date.star || self.weekday.star, all_dates, all_weekdays) {
            (_, true, true) | (false, true, _) | (false, _, true) => Days::Any,
            (true, false, _) => Days::Dates,
            (true, true, false) => Days::Weekdays,
            (false, false, false) if self.weekday.count() == 0 => Days::Dates,
            (false, false, false) if self.date.count() == 0 => Days::Weekdays,
            (false, false, false) => Days::DatesAndWeekdays,
        }
    }

    /// Matching days in four years, in sevenths: a date falls on each weekday equally often.
    fn day_sevenths(&self) -> u32 {
        let days = self.days();
        let share = |day: i8| match days {
            Days::Any => 7,
            Days::Dates | Days::DatesAndWeekdays if self.date.has(day) => 7,
            Days::Dates => 0,
            Days::Weekdays | Days::DatesAndWeekdays => self.weekday.count(),
        };
        let times_in_four_years = |month, day| if (month, day) == (2, 29) { 1 } else { 4 };
        let allowed = MONTH_DAYS.iter().filter(|(month, _)| self.month.has(*month));
        allowed.flat_map(|&(month, last)| (1..=last).map(move |day| times_in_four_years(month, day) * share(day))).sum()
    }

    fn never_fires(&self) -> bool {
        self.times_a_day() * self.day_sevenths() == 0
    }
}

/// A whole number as Go's `strconv.Atoi` takes it, but not negative.
fn number(text: &str) -> Result<u64, String> {
    let value: i64 = text.parse().map_err(|_| format!("{} is not a number", quoted(text)))?;
    u64::try_from(value).map_err(|_| format!("{value} is negative"))
}

/// The bits `start`, `start + step` and so on up to `end`, which is below 64.
fn stepped_bits(start: u64, end: u64, step: u64) -> u64 {
    let next = |value: &u64| value.checked_add(step);
    std::iter::successors(Some(start), next).take_while(|value| *value <= end).fold(0, |bits, value| bits | 1 << value)
}

/// Quotes input for a message: schedules come from logs and may hold anything at any length.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    let cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() { format!("{cut:?}...") } else { format!("{cut:?}") }
}
