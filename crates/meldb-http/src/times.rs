//! The one way in which times are read: from queries, bodies and the command line.

use meldb::Expiry;
use time::{Date, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Iso8601};

/// Times of expiry from here on are not taken for seconds: in milliseconds it is a day of 1973, in
/// seconds one of the year 5138.
pub(crate) const EXPIRY_MS_MIN: u64 = 100_000_000_000;

/// A text or a number is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimeError(String);

impl TimeError {
    pub(crate) fn of(message: String) -> Self {
        Self(message)
    }
}

/// Reads a time: epoch milliseconds, which may be negative, or a date or time of RFC 3339 or ISO 8601,
/// in UTC unless it says otherwise. Returns epoch milliseconds.
///
/// The `+` of an offset may have become a space, as it does in a query that was not encoded.
///
/// ```
/// use meldb_http::parse_time;
///
/// for text in ["1769860800000", "2026-01-31T12:00:00Z", "2026-01-31T14:00:00 02:00"] {
///     assert_eq!(parse_time(text), Ok(1_769_860_800_000));
/// }
/// assert!(parse_time("tomorrow").is_err());
/// ```
///
/// # Errors
/// [`TimeError`] shows what a time looks like.
pub fn parse_time(text: &str) -> Result<i64, TimeError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| no_time(text));
    }
    let text = &*match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains('T') => format!("{time}+{offset}"),
        _ => text.to_owned(),
    };
    let parsed = OffsetDateTime::parse(text, &Iso8601::DEFAULT)
        .or_else(|_| {
            PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).map(|time| time.assume_utc())
        })
        .or_else(|_| Date::parse(text, &Iso8601::DEFAULT).map(|date| date.midnight().assume_utc()));
    let parsed = parsed.map_err(|_| no_time(text))?;
    i64::try_from(parsed.unix_timestamp_nanos() / 1_000_000).map_err(|_| no_time(text))
}

fn no_time(text: &str) -> TimeError {
    let text: String = text.chars().take(100).collect();
    TimeError(format!(
        "{text:?} is not a time; write epoch milliseconds, such as 1769860800000, or \
         2026-01-31T12:00:00Z"
    ))
}

/// Reads when a document expires: a time as [`parse_time`] reads it, or `never`.
///
/// # Errors
/// [`TimeError`], also for a time that looks like seconds.
pub fn parse_expiry(text: &str) -> Result<Expiry, TimeError> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    let time = parse_time(text)
        .map_err(|TimeError(message)| TimeError(format!("{message}, or `never`")))?;
    expiry_ms(u64::try_from(time).unwrap_or(0)).map(Expiry::At)
}

/// Checks a time of expiry in epoch milliseconds.
///
/// # Errors
/// [`TimeError`] for a time that looks like seconds.
pub fn expiry_ms(time_ms: u64) -> Result<u64, TimeError> {
    match time_ms {
        EXPIRY_MS_MIN.. => Ok(time_ms),
        _ => Err(TimeError(format!(
            "{time_ms} looks like seconds, and would be long past in milliseconds; write {}",
            time_ms.saturating_mul(1000)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: i64 = 1_769_860_800_000;

    #[test]
    fn a_time_is_epoch_milliseconds_or_iso_8601() {
        for (text, expected) in [
            ("1769860800000", NOON_MS),
            ("0", 0),
            ("1000", 1000),
            ("-1", -1),
            ("20260131", 20_260_131),
            ("-9223372036854775808", i64::MIN),
            ("2026-01-31T12:00:00Z", NOON_MS),
            ("2026-01-31T12:00:00.25Z", NOON_MS + 250),
            ("2026-01-31T13:00:00+01:00", NOON_MS),
            ("2026-01-31T13:00:00 01:00", NOON_MS),
            ("2026-01-31T11:00:00-01:00", NOON_MS),
            ("2026-01-31T12:00:00", NOON_MS),
            ("2026-01-31T12:00Z", NOON_MS),
            ("2026-01-31", NOON_MS - 43_200_000),
            ("20260131T120000Z", NOON_MS),
        ] {
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
        for text in
            ["", "-", "x", "--1", "+1", "2026-13-01", "yesterday", "1e12", "1.0", " 1", "1 "]
        {
            let error = parse_time(text).expect_err(text).to_string();
            assert!(error.contains("2026-01-31T12:00:00Z"), "{error}");
        }
        assert!(parse_time("9223372036854775808").is_err());
    }

    #[test]
    fn seconds_are_not_taken_for_milliseconds() {
        assert_eq!(parse_expiry("never"), Ok(Expiry::Never));
        assert_eq!(parse_expiry("100000000000"), Ok(Expiry::At(100_000_000_000)));
        assert_eq!(parse_expiry("2026-01-31T12:00:00Z"), Ok(Expiry::At(1_769_860_800_000)));
        let seconds = parse_expiry("1769860800").expect_err("seconds").to_string();
        assert!(seconds.contains("looks like seconds"), "{seconds}");
        assert!(seconds.ends_with("write 1769860800000"), "{seconds}");
        for text in ["0", "-5", "99999999999", "soon", "Never", ""] {
            assert!(parse_expiry(text).is_err(), "{text}");
        }
    }
}
