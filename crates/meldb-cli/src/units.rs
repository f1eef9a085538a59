//! The one way in which sizes, lengths of time, times and addresses are read from the command line, the
//! environment and the settings file.

use std::{
    num::NonZeroUsize,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytesize::ByteSize;
use meldb::{Expiry, History};
use meldb_http::{Moment, TimeError, parse_expiry, parse_time};

/// A type that amounts are kept in.
pub(crate) trait Amount: Sized {
    /// Returns the amount, or `None` if the type does not hold it.
    fn of(amount: u64) -> Option<Self>;
}

impl Amount for u64 {
    fn of(amount: u64) -> Option<Self> {
        Some(amount)
    }
}

impl Amount for usize {
    fn of(amount: u64) -> Option<Self> {
        amount.try_into().ok()
    }
}

impl Amount for NonZeroUsize {
    fn of(amount: u64) -> Option<Self> {
        usize::of(amount).and_then(Self::new)
    }
}

/// Reads a size: bytes, or a number with a unit, such as `64MB` (of 1,000) or `64MiB` (of 1,024).
pub(crate) fn size<A: Amount>(text: &str) -> Result<A, String> {
    let wrong = || "write bytes, or a number and a unit, such as 64MB or 64MiB".to_owned();
    let size: ByteSize = text.trim().parse().map_err(|_| wrong())?;
    A::of(size.as_u64()).ok_or_else(wrong)
}

/// Reads a length of time in milliseconds, or with a unit, such as `30s` or `1h`.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    match text.trim().parse() {
        Ok(milliseconds) => Ok(milliseconds),
        Err(_) => duration(text).map(millis).map_err(|_| {
            "write milliseconds, or a number and a unit, such as 500ms, 30s or 1h".to_owned()
        }),
    }
}

/// Reads a length of time with a unit, such as `90d`, `1y` or `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|_| "write a number and a unit, such as 30s, 15m, 12h, 90d or 1y".to_owned())
}

/// Reads how long history is kept: days, a length of time, `forever` or `off`.
pub(crate) fn history(text: &str) -> Result<History, String> {
    match text.trim() {
        "forever" => Ok(History::forever()),
        "off" => Ok(History::off()),
        text => match (text.parse(), duration(text)) {
            (Ok(days), _) => Ok(History::days(days)),
            (_, Ok(time)) => Ok(History::for_duration(time)),
            _ => {
                Err("write days, a length of time, such as 12h or 90d, forever, or off".to_owned())
            }
        },
    }
}

/// Checks what [`history`] reads, and keeps it as it was written.
pub(crate) fn history_text(text: &str) -> Result<String, String> {
    history(text).map(|_| text.to_owned())
}

/// Reads a moment that is past: a length of time ago, a time, or a revision.
pub(crate) fn since(text: &str) -> Result<Moment, String> {
    // A bare integer first: to `humantime` a zero is a length of time.
    text.parse().or_else(|error: TimeError| match duration(text) {
        Ok(ago) => Ok(Moment::Time(now_ms().saturating_sub(millis(ago)))),
        Err(_) => Err(format!("{error}, or a length of time ago, such as 2h")),
    })
}

/// Returns the time after a length of time from now, in epoch milliseconds.
pub(crate) fn after(time: Duration) -> u64 {
    now_ms().saturating_add(millis(time))
}

/// Reads a moment to come: a length of time from now, or a time. Returns epoch milliseconds.
pub(crate) fn moment(text: &str) -> Result<u64, String> {
    match expiry(text)? {
        Expiry::At(time_ms) => Ok(time_ms),
        _ => Err("leave it out for never".to_owned()),
    }
}

/// Reads when a document expires: a length of time from now, a time, or `never`.
pub(crate) fn expiry(text: &str) -> Result<Expiry, String> {
    if let Ok(duration) = duration(text) {
        return Ok(Expiry::At(after(duration)));
    }
    match parse_expiry(text) {
        Ok(expiry) => Ok(expiry),
        Err(error) if parse_time(text).is_ok() => Err(error.to_string()),
        Err(_) => Err("write a length of time from now, such as 1h or 90d, a time, such as \
                       2027-01-01 or 2027-01-01T12:00:00Z, epoch milliseconds, or never"
            .to_owned()),
    }
}

/// Reads an address to listen on. Without a host it is all of the machine's, and without a colon a port
/// of this machine alone.
pub(crate) fn listen(text: &str) -> Result<String, String> {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    match text.strip_prefix(':') {
        Some(port) if is_port(port) => Ok(format!("0.0.0.0:{port}")),
        None if is_port(text) => Ok(format!("127.0.0.1:{text}")),
        None if text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && is_port(port)) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write an address and a port, such as 127.0.0.1:8080, or :8080 for all of the \
                  machine's addresses"
            .to_owned()),
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Returns `text` as one word for a shell.
pub(crate) fn shell_quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("64MB", 64_000_000),
            ("64 MB", 64_000_000),
            ("64MiB", 64 << 20),
            ("1k", 1000),
            ("1KiB", 1024),
            ("1.5GB", 1_500_000_000),
        ] {
            assert_eq!(size::<u64>(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "-1", "64 MX", "MB", "1h"] {
            assert!(size::<u64>(text).is_err_and(|error| error.contains("64MiB")), "{text}");
        }
        assert!(size::<NonZeroUsize>("0").is_err());
    }

    #[test]
    fn lengths_of_time_have_a_unit_or_are_milliseconds() {
        const DAY_S: u64 = 86_400;
        for (text, seconds) in [
            ("30s", 30),
            ("15m", 900),
            ("12h", 43_200),
            ("90d", 90 * DAY_S),
            ("1h 30m", 5400),
            ("2weeks", 14 * DAY_S),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(milliseconds(text), Ok(seconds * 1000), "{text}");
        }
        let year = duration("1y").expect("a year").as_secs();
        assert!((365 * DAY_S..=366 * DAY_S).contains(&year), "{year}");
        assert_eq!(milliseconds("250"), Ok(250));
        for text in ["", "5", "d", "-5d", "5µ", "99999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "d", "-5", "1.5"] {
            assert!(milliseconds(text).is_err_and(|error| error.contains("30s")), "{text}");
        }
    }

    #[test]
    fn an_expiry_is_a_length_of_time_or_a_time() {
        let in_an_hour = now_ms() + 3_600_000;
        let Expiry::At(time_ms) = expiry("1h").expect("a time") else { panic!("never") };
        assert!((in_an_hour..in_an_hour + 60_000).contains(&time_ms), "{time_ms}");
        for (text, expected) in [
            ("never", Expiry::Never),
            ("2027-01-01", Expiry::At(1_798_761_600_000)),
            ("2027-01-01T02:00:00+02:00", Expiry::At(1_798_761_600_000)),
            ("1798761600000", Expiry::At(1_798_761_600_000)),
        ] {
            assert_eq!(expiry(text), Ok(expected), "{text}");
        }
        let seconds = expiry("1798761600").expect_err("seconds");
        assert!(seconds.contains("looks like seconds"), "{seconds}");
        assert!(expiry("soon").is_err_and(|error| error.contains("1h")));
        assert_eq!(moment("2027-01-01"), Ok(1_798_761_600_000));
        assert!(moment("never").is_err());
    }

    #[test]
    fn history_is_kept_for_days_or_a_length_of_time() {
        for (text, history) in [
            ("90", History::days(90)),
            ("90d", History::days(90)),
            ("12h", History::for_duration(Duration::from_secs(43_200))),
            ("forever", History::forever()),
            ("off", History::off()),
            ("0", History::off()),
        ] {
            assert_eq!(super::history(text), Ok(history), "{text}");
        }
        for text in ["", "-1", "long", "1.5"] {
            assert!(history(text).is_err_and(|error| error.contains("forever")), "{text}");
        }
        let hour_ago = now_ms() - 3_600_000;
        let Ok(Moment::Time(time_ms)) = since("1h") else { panic!("no time") };
        assert!((hour_ago..hour_ago + 60_000).contains(&time_ms), "{time_ms}");
        assert_eq!(since("0"), Ok(Moment::Revision(meldb::Revision::ZERO)));
        assert_eq!(since("42"), Ok(Moment::Revision(meldb::Revision::new(42))));
        assert!(since("soon").is_err_and(|error| error.contains("2h")));
    }

    #[test]
    fn an_address_may_be_a_port() {
        for (text, address) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:8080", "[::1]:8080"),
            ("localhost:8080", "localhost:8080"),
            (":8080", "0.0.0.0:8080"),
            ("8080", "127.0.0.1:8080"),
        ] {
            assert_eq!(listen(text).as_deref(), Ok(address), "{text}");
        }
        for text in ["", ":", "host", "127.0.0.1", "host:", "host:99999", ":99999"] {
            assert!(listen(text).is_err(), "{text}");
        }
    }
}
