//! A schedule in plain words.

use super::{Calendar, Days, HOUR, MINUTES_A_DAY, MONTH, MOST_LISTED_TIMES};
use crate::words::plural;

/// The English description; it assumes the schedule can fire.
impl Calendar {
    pub(super) fn words(&self) -> String {
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
pub(super) fn duration_words(seconds: u64) -> String {
    const ONE_UNIT: [(&str, u64, u64); 3] = [("hour", 3600, u64::MAX), ("minute", 60, 7200), ("second", 1, 600)];
    let whole = ONE_UNIT.iter().find(|(_, unit, below)| seconds.is_multiple_of(*unit) && seconds < *below);
    match whole {
        Some((word, unit, _)) if seconds == *unit => (*word).to_string(),
        Some((word, unit, _)) => plural(seconds / unit, word),
        None => {
            let parts = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
            let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| plural(*count, word));
            parts.collect::<Vec<_>>().join(" ")
        }
    }
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
