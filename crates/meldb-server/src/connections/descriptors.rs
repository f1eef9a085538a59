//! File descriptors: how many the process may have, and how many of them are for connections.
//!
//! A storage engine that cannot open a file must refuse writes, so connections never take the
//! descriptors that it may need.

/// The most descriptors that are kept back, where the process may have many: fjall keeps up to 900
/// files open, and the rest is for its log, its compactions, listeners and logs.
const RESERVED_MAX: usize = 1280;
/// What is kept back of a limit that is small, beside a half of it.
const RESERVED_MIN: usize = 8;
/// The limit where the operating system has none to ask for.
#[cfg(not(unix))]
const UNKNOWN: usize = 1024;

/// Raises the process's soft limit on open files to its hard limit, and returns the limit then.
///
/// A program calls this once when it starts, before it opens a store. A limit that cannot be raised
/// stays as it is.
pub fn raise_descriptor_limit() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Some systems refuse more than another limit of theirs, although the hard limit is higher.
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            tracing::debug!(%error, "the limit on open files could not be raised");
        }
    }
    descriptor_limit()
}

/// Returns how many files the process may have open.
pub(super) fn descriptor_limit() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};

        let current = getrlimit(Resource::Nofile).current;
        current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
    }
    #[cfg(not(unix))]
    {
        UNKNOWN
    }
}

/// Returns how many descriptors of `limit` are kept back from connections when no setting says it:
/// half of them and 8, at most 1,280.
pub fn descriptors_reserved(limit: usize) -> usize {
    (limit / 2 + RESERVED_MIN).min(RESERVED_MAX)
}

/// Returns how many connections may be open at one time under this limit; at least one.
pub(super) fn connections_allowed(limit: usize, reserved: Option<usize>, wanted: usize) -> usize {
    let reserved = reserved.unwrap_or_else(|| descriptors_reserved(limit));
    limit.saturating_sub(reserved).clamp(1, wanted.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_reserve_alone() {
        for (limit, reserved, wanted, allowed) in [
            (64, None, 10_000, 24),
            (1024, None, 10_000, 504),
            (4096, None, 10_000, 2816),
            (1 << 20, None, 10_000, 10_000),
            (usize::MAX, None, 10_000, 10_000),
            (1024, Some(1000), 10_000, 24),
            (1024, Some(2000), 10_000, 1),
            (1024, None, 5, 5),
        ] {
            assert_eq!(connections_allowed(limit, reserved, wanted), allowed, "{limit}");
        }
    }
}
