//! Moments, as people write them on the command line.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-03-01`, `2026-03-01 14:05`, `2026-03-01T14:05:09Z` (all UTC), or so
/// long ago: `90s`, `15min`, `12h`, `2d`, `1w`. In ms since the epoch.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    parse_at(text, u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn parse_at(text: &str, now_ms: u64) -> Result<u64, String> {
    let text = text.trim();
    age_ms(text).map(|age| now_ms.saturating_sub(age)).or_else(|| moment_ms(text)).ok_or_else(|| {
        format!("'{text}' is no time: 2026-03-01, '2026-03-01 14:05' (UTC) and, for so long ago, 12h and 2d are")
    })
}

/// `12h` in seconds.
pub(crate) fn span_s(text: &str) -> Option<u64> {
    age_ms(text.trim()).map(|ms| ms / 1_000)
}

/// `12h` in ms.
fn age_ms(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds * 1_000)
}

/// A date, with or without a time of the day, in ms since the epoch.
fn moment_ms(text: &str) -> Option<u64> {
    let text = text.trim_end_matches('Z');
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let (hour, minute, second) = match numbers(time, ':')?[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_of_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => 31,
    };
    let is_one = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_one.then(|| (((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Numbers of at most four digits between separators.
fn numbers(text: &str, separator: char) -> Option<Vec<u64>> {
    let is_number = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split(separator).map(|part| is_number(part).then(|| part.parse().ok()).flatten()).collect()
}

/// Days since the epoch of a date from 1970 on (Hinnant, "chrono-compatible
/// low-level date algorithms", `days_from_civil`).
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units;

    #[test]
    fn a_moment_reads_as_it_is_written() {
        for moment in ["1970-01-01 00:00:00", "2000-02-29 00:00:00", "2026-03-01 14:05:09", "2026-12-31 23:59:59"] {
            assert_eq!(units::time(parse_at(moment, 0).unwrap()), moment);
        }
        for same in ["2026-03-01", "2026-03-01 00:00", "2026-03-01T00:00:00Z"] {
            assert_eq!(parse_at(same, 0), parse_at("2026-03-01T00:00:00", 0), "{same}");
        }
        for bad in ["", "x", "2026", "2026-13-01", "2026-02-29", "2026-04-31", "2026-03-01 24:00", "1969-12-31", "5y"] {
            assert!(parse_at(bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_age_is_counted_back_from_now() {
        let now = 10 * 86_400_000;
        for (age, ms) in [("90s", 90_000), ("15min", 900_000), ("12h", 43_200_000), ("2d", 172_800_000)] {
            assert_eq!(parse_at(age, now), Ok(now - ms), "{age}");
        }
        assert_eq!(parse_at("99w", now), Ok(0));
        assert!(parse_at("99999999999999999999w", now).is_err());
    }
}
