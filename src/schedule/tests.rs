//! Schedules as robfig/cron reads them, and as people do.

use jiff::ToSpan;
use jiff::tz::Offset;

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
    for (text, per_day) in [
        ("* * * * *", 1440.0),
        ("0/1 0/1 1/1 1/1 0/1", 1440.0),
        ("@every 1m", 1440.0),
        ("@every 7h", 24.0 / 7.0),
        ("@every 48h", 0.5),
        ("*/5 * * * *", 288.0),
        ("*/5 1 * * *", 12.0),
        ("0 2 * * *", 1.0),
        ("0 5 * * 1", 1.0 / 7.0),
        ("0 5 14 5 *", 4.0 / 1461.0),
        ("0 0 29 2 *", 1.0 / 1461.0),
        ("0 0 13 * 5", (48.0 + (1461.0 - 48.0) / 7.0) / 1461.0),
        ("0 0 31 2 *", 0.0),
        (", * * * *", 0.0),
    ] {
        let read = schedule(text);
        let near = |is: f64, want: f64| assert!((is - want).abs() < 1e-9, "{text}: {is}, want {want}");
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
