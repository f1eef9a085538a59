//! Moments in the history of a tenant.

use std::str::FromStr;

use meldb::{Error, Result, Revision, Tenant};

use crate::times::{EXPIRY_MS_MIN, TimeError, parse_time};

/// A moment in the history of a tenant: after the write at a revision, or a time.
///
/// A bare integer is a revision, and a time is written as such. An integer that looks like epoch milliseconds
/// is refused: taken for a revision to come, it would stand for now.
///
/// ```
/// use meldb::Revision;
/// use meldb_http::Moment;
///
/// assert_eq!("42".parse(), Ok(Moment::Revision(Revision::new(42))));
/// assert_eq!("2026-01-31T12:00:00Z".parse(), Ok(Moment::Time(1_769_860_800_000)));
/// assert!("1769860800000".parse::<Moment>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the write at this revision.
    Revision(Revision),
    /// At this time, in epoch milliseconds.
    Time(u64),
}

impl FromStr for Moment {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(revision) = text.parse::<Revision>()
        {
            return match revision.get() {
                EXPIRY_MS_MIN.. => Err(TimeError::of(format!(
                    "{text} looks like a time, and an integer is a revision here; write a time as \
                     2026-01-31T12:00:00Z"
                ))),
                _ => Ok(Self::Revision(revision)),
            };
        }
        let time = parse_time(text).map_err(|_| {
            let text: String = text.chars().take(100).collect();
            TimeError::of(format!(
                "{text:?} is no moment; write a revision, such as 42, or a time, such as 2026-01-31T12:00:00Z"
            ))
        })?;
        Ok(Self::Time(u64::try_from(time).unwrap_or(0)))
    }
}

/// Returns the revision of the last write of a tenant before a moment, of the collections that keep history.
/// Takes one read for each halving of the revisions.
///
/// # Errors
/// [`Error::HistoryExpired`] if the history begins after a time; [`Error::Damaged`] or [`Error::ReadFailed`].
pub fn revision_before(tenant: &Tenant, moment: Moment) -> Result<Revision> {
    let time_ms = match moment {
        Moment::Revision(revision) => return Ok(revision),
        Moment::Time(time_ms) => time_ms,
    };
    // Times do not decrease along the revisions of a tenant.
    let (mut low, mut high) = (0, tenant.last_revision()?.get());
    let mut expired = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let first = tenant.writes(Revision::new(middle)).page(1);
        let is_before = match first {
            Ok(page) => page.writes.first().is_some_and(|write| write.updated_ms < time_ms),
            Err(error @ Error::HistoryExpired { .. }) => {
                expired = Some((middle, error));
                true
            }
            Err(error) => return Err(error),
        };
        match is_before {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    match expired {
        // What was written just before is not known, nor is its time.
        Some((revision, error)) if revision + 1 == low => Err(error),
        _ => Ok(Revision::new(low)),
    }
}
