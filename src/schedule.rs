//! Kubernetes `CronJob` schedules, read as the controller reads them: robfig/cron v3 `ParseStandard` and `Next`.
//!
//! Where robfig does something a reader may not expect, this module does the same, because its answers are compared
//! with what a cluster did: `*-5` means `*`, a field of nothing but commas never matches, `*/2` in a day field makes
//! day of month and day of week alternatives.

use jiff::civil::{DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use std::time::Duration;

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

    /// Most runs within one day, of the days it runs at all; zero if it can never fire.
    /// An interval that does not divide the day counts the fuller days: `@every 7h` is 4.
    #[must_use]
    pub fn runs_on_a_day(&self) -> f64 {
        match &self.0 {
            Kind::Every(every) => (f64::from(SECONDS_A_DAY) / every.as_secs_f64()).ceil(),
            Kind::Calendar(calendar) if calendar.never_fires() => 0.0,
            Kind::Calendar(calendar) => f64::from(calendar.times_a_day()),
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

    /// A star leaves the other field to decide; without one the two are alternatives.
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

/// robfig's `Next`: it moves on in real time, so skipped local times are never met and repeated ones are met twice.
impl Calendar {
    fn next(&self, mut cursor: Cursor<'_>) -> Option<i64> {
        let last_year = cursor.now.year().saturating_add(YEARS_AHEAD);
        while cursor.now.year() <= last_year {
            let found = self.reach_month(&mut cursor)?
                && self.reach_day(&mut cursor)?
                && self.reach_hour(&mut cursor)?
                && self.reach_minute(&mut cursor)?
                && cursor.reach_full_minute()?;
            if found {
                return Some(cursor.second);
            }
        }
        None
    }

    /// This and its siblings: `Some(false)` when a larger unit rolled over and must be checked again, `None` past the
    /// times `jiff` can hold.
    fn reach_month(&self, cursor: &mut Cursor<'_>) -> Option<bool> {
        while !self.month.has(cursor.now.month()) {
            cursor.start_at(cursor.now.date().first_of_month().to_datetime(Time::midnight()))?;
            // Go carries a day the next month lacks into the month after; jiff would cut it.
            let days = cursor.now.day() - 1;
            let first = cursor.now.first_of_month().checked_add(1.month()).ok()?;
            cursor.place(first.checked_add(days.days()).ok()?)?;
            if cursor.now.month() == 1 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn reach_day(&self, cursor: &mut Cursor<'_>) -> Option<bool> {
        while !self.matches_day(cursor.now) {
            cursor.start_at(cursor.now.date().to_datetime(Time::midnight()))?;
            cursor.place(cursor.now.checked_add(1.day()).ok()?)?;
            // Where midnight is skipped, robfig shifts by the clock to what ought to be midnight.
            let hour = i64::from(cursor.now.hour());
            let shift = if hour > 12 { 24 - hour } else { -hour };
            cursor.skip(shift * 3600)?;
            if cursor.now.day() == 1 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn reach_hour(&self, cursor: &mut Cursor<'_>) -> Option<bool> {
        while !self.hour.has(cursor.now.hour()) {
            cursor.start_at(cursor.now.with().minute(0).second(0).build().ok()?)?;
            cursor.skip(3600)?;
            if cursor.now.hour() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn reach_minute(&self, cursor: &mut Cursor<'_>) -> Option<bool> {
        while !self.minute.has(cursor.now.minute()) {
            if !cursor.moved {
                cursor.moved = true;
                cursor.skip(-cursor.second.rem_euclid(60))?;
            }
            cursor.skip(60)?;
            if cursor.now.minute() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn matches_day(&self, now: DateTime) -> bool {
        let date = self.date.has(now.day());
        let weekday = self.weekday.has(now.weekday().to_sunday_zero_offset());
        if self.date.star || self.weekday.star { date && weekday } else { date || weekday }
    }
}

/// A moment, as real and as local time.
struct Cursor<'a> {
    zone: &'a TimeZone,
    second: i64,
    now: DateTime,
    /// Whether the parts below the searched unit have been set to their start.
    moved: bool,
}

impl Cursor<'_> {
    fn at(zone: &TimeZone, second: i64) -> Option<Cursor<'_>> {
        let now = zone.to_datetime(Timestamp::from_second(second).ok()?);
        Some(Cursor { zone, second, now, moved: false })
    }

    fn skip(&mut self, seconds: i64) -> Option<()> {
        self.second = self.second.checked_add(seconds)?;
        self.now = self.zone.to_datetime(Timestamp::from_second(self.second).ok()?);
        Some(())
    }

    /// Moves to a local time as Go's `time.Date` does, which decides what happens to skipped and repeated times.
    fn place(&mut self, local: DateTime) -> Option<()> {
        let wall = Offset::UTC.to_timestamp(local).ok()?.as_second();
        let offset = |second| Some(i64::from(self.zone.to_offset(Timestamp::from_second(second).ok()?).seconds()));
        let real = match offset(wall)? {
            0 => wall,
            guess => wall - offset(wall - guess)?,
        };
        self.skip(real - self.second)
    }

    fn start_at(&mut self, local: DateTime) -> Option<()> {
        if self.moved {
            return Some(());
        }
        self.moved = true;
        self.place(local)
    }

    fn reach_full_minute(&mut self) -> Option<bool> {
        let second = i64::from(self.now.second());
        if second == 0 {
            return Some(true);
        }
        self.moved = true;
        self.skip(60 - second)?;
        Some(false)
    }
}

/// The English description; it assumes the schedule can fire.
impl Calendar {
    fn words(&self) -> String {
        let (times, daily) = self.time_words();
        let months = (!self.month.is_full(&MONTH)).then(|| spans(&self.month.values(), |month| name(&MONTHS, month)));
        let days = match self.days() {
            Days::Any => months.map(|months| format!("{}in {months}", if daily { "every day " } else { "" })),
            Days::Dates => Some(format!("on {}", self.date_words(months.as_deref()))),
            Days::Weekdays => Some(format!("on {}", self.weekday_words(months.as_deref()))),
            Days::DatesAndWeekdays => Some(format!(
                "on {} and every {}",
                self.date_words(months.as_deref()),
                self.weekday_words(months.as_deref())
            )),
        };
        match days {
            Some(days) => format!("{times} {days}"),
            None if daily => format!("{times} every day"),
            None => times,
        }
    }

    /// The times of day, and whether they need "every day" to be clear.
    fn time_words(&self) -> (String, bool) {
        let minutes = self.minute.values();
        let times: Vec<u32> =
            self.hour.values().iter().flat_map(|hour| minutes.iter().map(move |minute| hour * 60 + minute)).collect();
        let (first, last) = (times.first().copied().unwrap_or_default(), times.last().copied().unwrap_or_default());
        match common_step(&times).filter(|_| times.len() > 3) {
            Some(step) if self.times_a_day() * step == MINUTES_A_DAY => (all_day_words(step, first), false),
            Some(step) => (format!("every {} from {} to {}", interval(step), clock(first), clock(last)), true),
            None if times.len() <= MOST_LISTED_TIMES => {
                (format!("at {}", joined(&times.iter().map(|time| clock(*time)).collect::<Vec<_>>())), true)
            }
            None => (self.minutes_of_hours(), !self.hour.is_full(&HOUR)),
        }
    }

    fn minutes_of_hours(&self) -> String {
        let minutes = self.minute.values();
        let hours = if self.hour.is_full(&HOUR) { "every hour".into() } else { numbers("hour", &self.hour.values()) };
        match common_step(&minutes).filter(|step| step * self.minute.count() == 60) {
            Some(step) => format!("{} in {hours}", all_day_words(step, minutes.first().copied().unwrap_or_default())),
            None => format!("at {} of {hours}", numbers("minute", &minutes)),
        }
    }

    fn date_words(&self, months: Option<&str>) -> String {
        let dates = self.date.values();
        match (&dates[..], months) {
            ([date], Some(month)) if self.month.count() == 1 => format!("{date} {month}"),
            (_, Some(months)) => format!("{} of {months}", numbers("day", &dates)),
            (_, None) => format!("{} of the month", numbers("day", &dates)),
        }
    }

    fn weekday_words(&self, months: Option<&str>) -> String {
        // Sunday last, so that a weekend and a working week read as such.
        let mut days: Vec<u32> = self.weekday.values().iter().map(|day| (day + 6) % 7 + 1).collect();
        days.sort_unstable();
        let days = spans(&days, |day| name(&WEEKDAYS, day));
        months.map_or_else(|| days.clone(), |months| format!("{days} in {months}"))
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The name of the `number`th entry, counting from one.
fn name(names: &[&str], number: u32) -> String {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    index.and_then(|index| names.get(index)).map_or_else(|| number.to_string(), ToString::to_string)
}

fn clock(minute_of_day: u32) -> String {
    format!("{:02}:{:02}", minute_of_day / 60, minute_of_day % 60)
}

/// The difference between neighbours, if there are at least two values and it is always the same.
fn common_step(values: &[u32]) -> Option<u32> {
    let mut steps = values.windows(2).map(|pair| pair[1] - pair[0]);
    let first = steps.next()?;
    steps.all(|step| step == first).then_some(first)
}

/// Runs that go round the whole hour or day in even steps of minutes.
fn all_day_words(step: u32, first: u32) -> String {
    match (step, first) {
        (60, _) => format!("at minute {first} of every hour"),
        (1..60, 0) => format!("every {}", interval(step)),
        (1..60, _) => format!("every {} from minute {first}", interval(step)),
        _ => format!("every {} from {}", interval(step), clock(first)),
    }
}

fn interval(minutes: u32) -> String {
    duration_words(u64::from(minutes) * 60)
}

/// In one unit where that stays readable: "minute", "90 seconds", "2 hours", "25 hours 30 minutes".
fn duration_words(seconds: u64) -> String {
    const ONE_UNIT: [(&str, u64, u64); 3] = [("hour", 3600, u64::MAX), ("minute", 60, 7200), ("second", 1, 600)];
    let whole = ONE_UNIT.iter().find(|(_, unit, below)| seconds.is_multiple_of(*unit) && seconds < *below);
    match whole {
        Some((word, unit, _)) if seconds == *unit => (*word).to_string(),
        Some((word, unit, _)) => counted(seconds / unit, word),
        None => {
            let parts = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
            let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| counted(*count, word));
            parts.collect::<Vec<_>>().join(" ")
        }
    }
}

fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// "minute 5", "hours 1 to 5 and 9", "days 1 to 31 in steps of 2".
fn numbers(noun: &str, values: &[u32]) -> String {
    const SHORTEST_STEPPED: usize = 5;
    let step = common_step(values).filter(|step| *step > 1 && values.len() >= SHORTEST_STEPPED);
    match (values, step) {
        ([value], _) => format!("{noun} {value}"),
        ([first, .., last], Some(step)) => format!("{noun}s {first} to {last} in steps of {step}"),
        _ => format!("{noun}s {}", spans(values, |value| value.to_string())),
    }
}

/// The values with three or more neighbours drawn together: "1 to 5, 7 and 9".
fn spans(values: &[u32], show: impl Fn(u32) -> String) -> String {
    let runs = values.chunk_by(|before, after| before + 1 == *after);
    let shown = runs.flat_map(|run| match run {
        [first, _, .., last] => vec![format!("{} to {}", show(*first), show(*last))],
        _ => run.iter().map(|value| show(*value)).collect(),
    });
    joined(&shown.collect::<Vec<_>>())
}

fn joined(items: &[String]) -> String {
    match items {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => items.concat(),
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

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A Go duration as robfig's `Every` keeps it: whole seconds, and one second for anything shorter or negative.
fn parse_every(text: &str) -> Result<Duration, String> {
    let nanoseconds = go_nanoseconds(text);
    let nanoseconds = nanoseconds.ok_or_else(|| format!("{} is not a duration such as 1h30m or 90s", quoted(text)))?;
    Ok(Duration::from_secs((nanoseconds / 1_000_000_000).max(1)))
}

/// Go's `time.ParseDuration`, with anything negative as zero; `None` if Go refuses the text.
fn go_nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = go_duration_part(rest)?;
        total = total.checked_add(part).filter(|total| i64::try_from(*total).is_ok())?;
        rest = after;
    }
    Some(if text.starts_with('-') { 0 } else { total })
}

/// One number with its unit, in nanoseconds, and the text after it.
fn go_duration_part(text: &str) -> Option<(u64, &str)> {
    // Further digits of a fraction are worth less than a nanosecond in every unit.
    const USED_DIGITS: usize = 18;
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = rest.split_at(rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len()));
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let whole: u128 = format!("0{whole}").parse().ok()?;
    let fraction: String = fraction.chars().take(USED_DIGITS).collect();
    let tenths = fraction.chars().fold(1, |power: u128, _| power * 10);
    let part: u128 = format!("0{fraction}").parse().ok()?;
    let nanoseconds = whole.checked_mul(*scale)?.checked_add(part * scale / tenths)?;
    Some((u64::try_from(nanoseconds).ok()?, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn next(text: &str, time: &str, zone: &str) -> Option<Timestamp> {
        schedule(text).next_after(time.parse().unwrap(), &TimeZone::posix(zone).unwrap())
    }

    #[test]
    fn equal_schedules() {
        for (one, other) in [
            ("5/15 * * * *", "5,20,35,50 * * * *"),
            ("0 0/6 * * *", "0 0,6,12,18 * * *"),
            ("? ? ? ? ?", "* * * * *"),
            ("*/1 * * * *", "* * * * *"),
            ("*-5 * * * *", "* * * * *"),
            ("0 0 * JAN-mar Mon,fri", "0 0 * 1-3 1,5"),
            ("1,,2, * * * *", "1-2 * * * *"),
            (" 0\t+5 007 * *  ", "0 5 7 * *"),
            ("0 0 * * mon/2", "0 0 * * 1-6/2"),
            ("*/61 * * * *", "0 * * * *"),
            ("*/9223372036854775807 * * * *", "0 * * * *"),
            ("@yearly", "0 0 1 1 *"),
            ("@annually", "@yearly"),
            ("@monthly", "0 0 1 * *"),
            ("@weekly", "0 0 * * sun"),
            ("@daily", "0 0 * * *"),
            ("@midnight", "@daily"),
            ("@hourly", "0 * * * *"),
            ("@every 1h30m", "@every 90m"),
            ("@every 1.5h", "@every 5400s"),
            ("@every 1.9s", "@every 1s"),
            ("@every -5m", "@every 0"),
            ("@every 300ms", "@every 1s"),
            ("@every 1m.5s", "@every +60s999\u{b5}s1ns"),
        ] {
            assert_eq!(schedule(one), schedule(other), "{one} and {other}");
        }
        // The star bit is lost by a step, and by a range that happens to be full.
        assert_ne!(schedule("* * * * 0/1"), schedule("* * * * *"));
        assert!(!schedule("* * * * 0-6").any_weekday() && !schedule("* * * * */2").any_weekday());
        assert!(schedule("* * * * ?").any_weekday() && schedule("* * * * 1,*").any_weekday());
    }

    #[test]
    fn refused() {
        for (text, part) in [
            ("", "empty"),
            (" ", "expected 5 fields, found 0"),
            ("* * * *", "expected 5 fields, found 4"),
            ("0 * * * * *", "expected 5 fields, found 6"),
            ("60 * * * *", "60 is above the maximum 59 in minute field \"60\""),
            ("* 24 * * *", "above the maximum 23 in hour"),
            ("* * 0 * *", "0 is below the minimum 1 in day of month"),
            ("* * 32 * *", "above"),
            ("* * * 13 *", "above the maximum 12 in month"),
            ("* * * 0 *", "below"),
            ("* * * * 7", "7 is above the maximum 6 in day of week"),
            ("5-1 * * * *", "backwards from 5 to 1"),
            ("* * * * fri-mon", "backwards"),
            ("*/0 * * * *", "step is zero"),
            ("*/-1 * * * *", "-1 is negative"),
            ("-1 * * * *", "\"\" is not a number"),
            ("1-2-3 * * * *", "too many hyphens"),
            ("1/2/3 * * * *", "too many slashes"),
            ("*/ * * * *", "not a number"),
            ("mon * * * *", "\"mon\" is not a number"),
            ("* * * monday *", "not a number"),
            ("1_0 * * * *", "not a number"),
            ("99999999999999999999 * * * *", "not a number"),
            ("\u{1b}[31m * * * *", "\\u{1b}"),
            ("@reboot", "unknown macro \"@reboot\""),
            ("@Daily", "unknown macro"),
            ("@daily ", "unknown macro"),
            (" @daily", "expected 5 fields, found 1"),
            ("@every", "unknown macro"),
            ("@every ", "not a duration"),
            ("@every 5", "not a duration"),
            ("@every 1d", "not a duration"),
            ("@every 1h 30m", "not a duration"),
            ("@every .s", "not a duration"),
            ("@every 9999999999h", "not a duration"),
            ("TZ=UTC 0 0 * * *", "spec.timeZone"),
            ("CRON_TZ=Europe/Berlin @daily", "spec.timeZone"),
            ("TZ=", "spec.timeZone"),
        ] {
            let why = Schedule::parse(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn rates() {
        for (text, per_day, on_a_day) in [
            ("* * * * *", 1440.0, 1440.0),
            ("0/1 0/1 1/1 1/1 0/1", 1440.0, 1440.0),
            ("@every 1m", 1440.0, 1440.0),
            ("@every 7h", 24.0 / 7.0, 4.0),
            ("@every 48h", 0.5, 1.0),
            ("*/5 * * * *", 288.0, 288.0),
            ("*/5 1 * * *", 12.0, 12.0),
            ("0 2 * * *", 1.0, 1.0),
            ("0 5 * * 1", 1.0 / 7.0, 1.0),
            ("0 5 14 5 *", 4.0 / 1461.0, 1.0),
            ("0 0 29 2 *", 1.0 / 1461.0, 1.0),
            ("0 0 13 * 5", (48.0 + (1461.0 - 48.0) / 7.0) / 1461.0, 1.0),
            ("0 0 31 2 *", 0.0, 0.0),
            (", * * * *", 0.0, 0.0),
        ] {
            let read = schedule(text);
            let near = |is: f64, want: f64| assert!((is - want).abs() < 1e-9, "{text}: {is}, want {want}");
            near(read.runs_on_a_day(), on_a_day);
            near(read.runs_per_day(), per_day);
            assert_eq!(read.never_fires(), per_day == 0.0, "{text}");
        }
    }

    #[test]
    fn dates() {
        for (text, one_date, never) in [
            ("0 5 14 5 *", true, false),
            ("*/5 * 14 may ?", true, false),
            ("@yearly", true, false),
            ("0 0 29 2 *", true, false),
            ("0 5 14 5 1", false, false),
            ("0 5 14 5 0-6", false, false),
            ("0 5 14 * *", false, false),
            ("0 5 14,15 5 *", false, false),
            ("0 0 30 2 *", false, true),
            ("0 0 31 4,6,9,11 *", false, true),
            ("0 0 30 2 1", false, false),
            ("0 0 , * *", false, true),
            ("@every 1h", false, false),
        ] {
            let read = schedule(text);
            assert_eq!((read.is_one_date(), read.never_fires()), (one_date, never), "{text}");
        }
    }

    #[test]
    fn words() {
        for (text, want) in [
            ("* * * * *", "every minute"),
            ("*/5 * * * *", "every 5 minutes"),
            ("5/30 * * * *", "every 30 minutes from minute 5"),
            ("5/15 * * * *", "every 15 minutes from minute 5"),
            ("*/7 * * * *", "at minutes 0 to 56 in steps of 7 of every hour"),
            ("20 * * * *", "at minute 20 of every hour"),
            ("0,20,45 * * * *", "at minutes 0, 20 and 45 of every hour"),
            ("0 */6 * * *", "every 6 hours from 00:00"),
            ("0 */5 * * *", "every 5 hours from 00:00 to 20:00 every day"),
            ("15 2 * * *", "at 02:15 every day"),
            ("0-2 1 * * *", "at 01:00, 01:01 and 01:02 every day"),
            ("0 0,12 * * *", "at 00:00 and 12:00 every day"),
            ("*/5 1 * * *", "every 5 minutes from 01:00 to 01:55 every day"),
            ("* 9-17 * * mon-fri", "every minute from 09:00 to 17:59 on Monday to Friday"),
            ("0,20,40 1-5 * * *", "every 20 minutes from 01:00 to 05:40 every day"),
            ("0,20,45 1-5 * * 0,6", "at minutes 0, 20 and 45 of hours 1 to 5 on Saturday and Sunday"),
            ("*/10 1,5 * * *", "every 10 minutes in hours 1 and 5 every day"),
            ("1-59/2 */3 1 * *", "every 2 minutes from minute 1 in hours 0 to 21 in steps of 3 on day 1 of the month"),
            ("30 5 * * 1", "at 05:30 on Monday"),
            ("17 3 14 5 *", "at 03:17 on 14 May"),
            ("0 0 1 * *", "at 00:00 on day 1 of the month"),
            ("0 0 1,15 1,4,7 *", "at 00:00 on days 1 and 15 of January, April and July"),
            ("0 0 */2 * *", "at 00:00 on days 1 to 31 in steps of 2 of the month"),
            ("0 0 13 * 5", "at 00:00 on day 13 of the month and every Friday"),
            ("0 0 13 5 1,5", "at 00:00 on 13 May and every Monday and Friday in May"),
            ("0 0 13 * 0-6", "at 00:00 every day"),
            ("0 3 * 3 *", "at 03:00 every day in March"),
            ("*/5 * * 6-8 *", "every 5 minutes in June to August"),
            ("0 3 * 3 1", "at 03:00 on Monday in March"),
            ("0 0 30 2 *", "never"),
            ("@every 1m", "every minute"),
            ("@every 90s", "every 90 seconds"),
            ("@every 1h30m", "every 90 minutes"),
            ("@every 24h", "every 24 hours"),
            ("@every 25h30m", "every 25 hours 30 minutes"),
            ("@every 1s", "every second"),
            ("@every 1h0m1s", "every 1 hour 1 second"),
        ] {
            assert_eq!(schedule(text).words(), want, "{text}");
        }
    }

    #[test]
    fn next_runs() {
        for (text, time, want) in [
            ("* * * * *", "2024-05-01T10:00:00.5Z", "2024-05-01T10:01:00Z"),
            ("0 2 * * *", "2024-05-01T02:00:00Z", "2024-05-02T02:00:00Z"),
            ("0 2 * * *", "2024-05-01T01:59:59.999Z", "2024-05-01T02:00:00Z"),
            ("5/15 * * * *", "2024-05-01T10:50:00Z", "2024-05-01T11:05:00Z"),
            ("0 0 29 2 *", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("59 23 31 12 *", "2024-12-31T23:59:00Z", "2025-12-31T23:59:00Z"),
            ("0 0 1 * *", "2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z"),
            // The 13th or a Friday; then */2 is no star, * is.
            ("0 0 13 * 5", "2024-05-10T00:00:00Z", "2024-05-13T00:00:00Z"),
            ("0 0 13 * 5", "2024-05-13T00:00:00Z", "2024-05-17T00:00:00Z"),
            ("0 0 13 * */2", "2024-05-13T00:00:00Z", "2024-05-14T00:00:00Z"),
            ("0 0 * * 5", "2024-05-10T00:00:00Z", "2024-05-17T00:00:00Z"),
            ("@every 90s", "2024-05-01T10:00:00.75Z", "2024-05-01T10:01:30Z"),
            ("@every 1m", "1969-12-31T23:59:59.5Z", "1970-01-01T00:00:59Z"),
        ] {
            assert_eq!(next(text, time, "UTC0"), Some(want.parse().unwrap()), "{text} after {time}");
        }
        assert_eq!(next("0 0 30 2 *", "2024-01-01T00:00:00Z", "UTC0"), None);
        assert_eq!(next(", * * * *", "2024-01-01T00:00:00Z", "UTC0"), None);
        assert_eq!(next("0 0 29 2 *", "2097-01-01T00:00:00Z", "UTC0"), None, "2100 has no leap day");
        assert_eq!(next("0 0 1 1 *", "9999-06-01T00:00:00Z", "UTC0"), None);
    }

    #[test]
    fn next_runs_over_clock_changes() {
        for (zone, text, time, want) in [
            (BERLIN, "30 2 * * *", "2024-03-30T02:00:00+01", "2024-03-30T02:30:00+01"),
            (BERLIN, "30 2 * * *", "2024-03-30T02:30:00+01", "2024-04-01T02:30:00+02"),
            (BERLIN, "0 * * * *", "2024-03-31T01:00:00+01", "2024-03-31T03:00:00+02"),
            (BERLIN, "30 2 * * *", "2024-10-27T00:00:00+02", "2024-10-27T02:30:00+02"),
            (BERLIN, "30 2 * * *", "2024-10-27T02:30:00+02", "2024-10-27T02:30:00+01"),
            (BERLIN, "30 2 * * *", "2024-10-27T02:30:00+01", "2024-10-28T02:30:00+01"),
            (BERLIN, "0 5 * * 1", "2024-07-06T12:00:00Z", "2024-07-08T05:00:00+02"),
            // From robfig's own tests.
            (NEW_YORK, "0 2 * * ?", "2012-03-11T00:00:00-05", "2012-03-12T02:00:00-04"),
            (NEW_YORK, "30 1 04 Nov ?", "2012-11-04T01:45:00-04", "2012-11-04T01:30:00-05"),
            (NEW_YORK, "0 1 * * ?", "2012-11-04T01:00:00-04", "2012-11-04T01:00:00-05"),
            (NEW_YORK, "0 3 * * ?", "2012-11-04T00:00:00-04", "2012-11-04T03:00:00-05"),
            // Clocks that skip midnight: west of Greenwich the day still runs, east of it robfig passes it over.
            ("<-03>3<-02>,M11.1.0/0,M2.3.0/0", "0 12 3 * *", "2024-11-01T00:00:00-03", "2024-11-03T12:00:00-02"),
            ("EET-2EEST,M3.5.0/0,M10.5.0/0", "0 12 31 * *", "2024-03-29T00:00:00+02", "2024-05-31T12:00:00+03"),
        ] {
            assert_eq!(next(text, time, zone), Some(want.parse().unwrap()), "{text} after {time} in {zone}");
        }
    }

    /// Minute by minute over more than two years, in UTC.
    #[test]
    fn next_runs_agree_with_counting() {
        for text in ["7,9 */5 * * *", "0 3 29 2 *", "0 0 13 * 5", "10 1 31 */2 */3", "59 23 28-31 2,12 *"] {
            let read = schedule(text);
            let Kind::Calendar(fields) = &read.0 else { panic!("{text}") };
            let mut day = jiff::civil::date(2023, 12, 30);
            let mut at = Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).unwrap() - 1.second();
            while day < jiff::civil::date(2026, 3, 2) {
                for minute in 0..1440_i16 {
                    let (hour, minute) = (i8::try_from(minute / 60).unwrap(), i8::try_from(minute % 60).unwrap());
                    let now = day.at(hour, minute, 0, 0);
                    let due = fields.month.has(now.month()) && fields.matches_day(now);
                    if due && fields.hour.has(hour) && fields.minute.has(minute) {
                        at = read.next_after(at, &TimeZone::UTC).unwrap();
                        assert_eq!(at, Offset::UTC.to_timestamp(now).unwrap(), "{text}");
                    }
                }
                day = day.tomorrow().unwrap();
            }
        }
    }

    /// The share of matching days over 28 years, in which every date falls on every weekday equally often.
    #[test]
    fn rates_agree_with_the_calendar() {
        for text in ["0 0 */2 * */2", "0 0 29-31 * 0", "0 0 * 2 1-5", "0 0 13 * 5", "0 0 30 2 3"] {
            let read = schedule(text);
            let Kind::Calendar(fields) = &read.0 else { panic!("{text}") };
            let first = jiff::civil::date(2001, 1, 1);
            let days = first.series(1.day()).take_while(|day| day.year() < 2029).map(|day| day.at(0, 0, 0, 0));
            let hits = days.filter(|day| fields.month.has(day.month()) && fields.matches_day(*day)).count();
            let want = f64::from(u32::try_from(hits).unwrap()) / (28.0 * 365.25);
            assert!((read.runs_per_day() - want).abs() < 1e-9, "{text}");
        }
    }
}
