//! The suites.

use clap::ValueEnum;

/// A suite of benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    Merge,
    Store,
    Recovery,
    Growth,
    Peers,
    Postgres,
    Http,
}

impl Suite {
    /// Every suite, in the order of the page.
    pub(super) const ALL: [Self; 7] = [
        Self::Merge,
        Self::Store,
        Self::Recovery,
        Self::Growth,
        Self::Peers,
        Self::Postgres,
        Self::Http,
    ];
    /// Those that need nothing but this workspace and some minutes, and are run when none is named.
    pub(super) const BUILT: [Self; 4] = [Self::Merge, Self::Store, Self::Recovery, Self::Peers];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Store => "store",
            Self::Recovery => "recovery",
            Self::Growth => "growth",
            Self::Peers => "peers",
            Self::Postgres => "postgres",
            Self::Http => "http",
        }
    }
}
