//! The next run of a schedule in a time zone.

use jiff::civil::{DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

use super::{Calendar, YEARS_AHEAD};

/// robfig's `Next`: it moves on in real time, so skipped local times are never met and repeated ones are met twice.
impl Calendar {
    pub(super) fn next(&self, mut cursor: Cursor<'_>) -> Option<i64> {
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

    /// Moves to the next allowed month; the functions below do the same for smaller units. `Some(false)` if a larger
    /// unit rolled over and must be checked again, `None` past the times `jiff` can hold.
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

    pub(super) fn matches_day(&self, now: DateTime) -> bool {
        let date = self.date.has(now.day());
        let weekday = self.weekday.has(now.weekday().to_sunday_zero_offset());
        if self.date.star || self.weekday.star { date && weekday } else { date || weekday }
    }
}

/// A moment, as real and as local time.
pub(super) struct Cursor<'a> {
    zone: &'a TimeZone,
    second: i64,
    now: DateTime,
    /// Whether the parts below the searched unit have been set to their start.
    moved: bool,
}

impl Cursor<'_> {
    pub(super) fn at(zone: &TimeZone, second: i64) -> Option<Cursor<'_>> {
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
