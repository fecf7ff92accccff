//! Event time as sources write it.

use chrono::{DateTime, NaiveDateTime};
use nhiwatch_detectors::kernel::time::Timestamp;

use super::reject::{Reason, Reject};

/// Epoch units: the smallest number read as the unit, and how many of it make a microsecond
/// (negative: how many microseconds it makes). A number below a unit's floor would lie before 1973
/// and so is never that unit.
const UNITS: [(f64, i64); 4] = [(1e17, 1000), (1e14, 1), (1e11, -1000), (0.0, -1_000_000)];

/// The instant an RFC 3339 string names.
///
/// # Errors
/// `timestamp` where it is not RFC 3339 with a zone, or outside [`Timestamp::MIN`]..=[`Timestamp::MAX`].
pub fn text(text: &str) -> Result<Timestamp, Reject> {
    let at = DateTime::parse_from_rfc3339(text.trim()).map_err(|error| {
        fault(format_args!(
            "`{text}` is not an RFC 3339 time such as 2026-11-22T02:13:07Z ({error})"
        ))
    })?;
    in_range(at.timestamp_micros(), text)
}

/// The instant an epoch number names; seconds, milliseconds, microseconds and nanoseconds are told
/// apart by magnitude.
///
/// # Errors
/// `timestamp` where it is outside the range of event time in every unit, or ambiguous.
pub fn integer(number: i64) -> Result<Timestamp, Reject> {
    let micros = match unit(number as f64) {
        per @ 1.. => number.div_euclid(per),
        made => number.saturating_mul(-made),
    };
    in_range(micros, number)
}

/// The instant a fractional epoch number names, rounded to the microsecond; units as in
/// [`integer`].
///
/// # Errors
/// As [`integer`]; also where it is not a number.
pub fn float(number: f64) -> Result<Timestamp, Reject> {
    let micros = match unit(number) {
        per @ 1.. => number / per as f64,
        made => number * -made as f64,
    };
    if !micros.is_finite() || micros < 1.0 {
        return Err(fault(format_args!("`{number}` is not a time")));
    }
    in_range(micros.round() as i64, number)
}

/// The instant a raw log's string names: RFC 3339, an epoch number in decimal digits, or a date and
/// time without zone, which is UTC, as exports of audit stores write it.
///
/// # Errors
/// As [`text`], [`integer`] and [`float`].
pub fn lenient(written: &str) -> Result<Timestamp, Reject> {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    if written.is_empty() || !written.chars().all(digits) {
        return text(written).or_else(|reject| without_zone(written).unwrap_or(Err(reject)));
    }
    match (written.parse::<i64>(), written.parse::<f64>()) {
        (Ok(number), _) => integer(number),
        (_, Ok(number)) => float(number),
        _ => text(written),
    }
}

fn without_zone(written: &str) -> Option<Result<Timestamp, Reject>> {
    let at = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(written.trim(), format).ok())?;
    Some(in_range(at.and_utc().timestamp_micros(), written))
}

fn unit(number: f64) -> i64 {
    UNITS
        .iter()
        .find(|(floor, _)| number >= *floor)
        .map_or(1, |(_, scale)| *scale)
}

fn in_range(micros: i64, written: impl std::fmt::Display) -> Result<Timestamp, Reject> {
    let at = Timestamp::from_micros(micros);
    if (Timestamp::MIN..=Timestamp::MAX).contains(&at) {
        return Ok(at);
    }
    Err(fault(format_args!(
        "`{written}` is not between {} and {} in any unit",
        Timestamp::MIN,
        Timestamp::MAX
    )))
}

fn fault(detail: std::fmt::Arguments<'_>) -> Reject {
    Reject::new(Reason::Timestamp, format_args!("ts: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: i64 = 1_790_000_000_123_456;

    #[test]
    fn units_are_told_apart_by_magnitude() {
        let second = 1_790_000_000;
        for (number, micros) in [
            (second, second * 1_000_000),
            (second * 1000 + 123, second * 1_000_000 + 123_000),
            (MICROS, MICROS),
            (MICROS * 1000 + 789, MICROS),
            (1, 1_000_000),
        ] {
            assert_eq!(
                integer(number).map(Timestamp::micros),
                Ok(micros),
                "{number}"
            );
        }
        assert_eq!(
            float(1_790_000_000.123_456).map(Timestamp::micros),
            Ok(MICROS)
        );
        assert_eq!(
            float(1_790_000_000_123.456).map(Timestamp::micros),
            Ok(MICROS)
        );
        assert_eq!(
            lenient("1790000000123456").map(Timestamp::micros),
            Ok(MICROS)
        );
    }

    #[test]
    fn offsets_and_fractions_of_a_second_are_read() {
        let expected = text("2026-11-22T02:13:07.123456Z");
        assert!(expected.is_ok());
        assert_eq!(text("2026-11-21T21:13:07.123456789-05:00"), expected);
    }

    #[test]
    fn a_raw_log_without_a_zone_is_read_as_utc_but_an_event_is_refused() {
        let expected = text("2026-11-22T02:13:07.5Z");
        assert_eq!(lenient("2026-11-22 02:13:07.500000000"), expected);
        assert_eq!(lenient("2026-11-22T02:13:07.5"), expected);
        assert_eq!(
            text("2026-11-22T02:13:07.5").map_err(|e| e.reason),
            Err(Reason::Timestamp)
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for number in [0, -1, 20_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(
                integer(number).map_err(|e| e.reason),
                Err(Reason::Timestamp),
                "{number}"
            );
        }
        for number in [f64::NAN, f64::INFINITY, -1.5, 1e300, 0.0] {
            assert_eq!(
                float(number).map_err(|e| e.reason),
                Err(Reason::Timestamp),
                "{number}"
            );
        }
        for written in [
            "",
            "yesterday",
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "1969-01-01T00:00:00Z",
        ] {
            assert_eq!(
                lenient(written).map_err(|e| e.reason),
                Err(Reason::Timestamp),
                "{written}"
            );
        }
    }
}
