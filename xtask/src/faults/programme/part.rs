//! The parts of the programme, and which checks each one has.

use clap::ValueEnum;

use super::{
    abuse, check::Check, fleets, fuzz, histories, io_faults, kills, power_cuts, rot, soak,
};

/// The parts of the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Part {
    /// The power of the disk goes under a writer
    PowerCuts,
    /// A writer, or a server, is killed with `kill -9`
    Kills,
    /// System calls fail, and the disk is full
    IoFaults,
    /// The files of a closed store are damaged
    Rot,
    /// Clients whose server is killed, and commits that fail: is there an order of their calls?
    Histories,
    /// Several processes on one database, of which something is killed
    Fleets,
    /// The fuzz targets on inputs made from those that are kept
    Fuzz,
    /// A server under mixed load that is killed every so often
    Soak,
    /// Clients that take up connections and do not get on
    Abuse,
}

impl Part {
    /// Returns its name in a table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PowerCuts => "power cuts",
            Self::Kills => "kills",
            Self::IoFaults => "I/O faults",
            Self::Rot => "rot",
            Self::Histories => "histories",
            Self::Fleets => "fleets",
            Self::Fuzz => "fuzz",
            Self::Soak => "soak",
            Self::Abuse => "abuse",
        }
    }

    pub(super) fn checks(self) -> &'static [Check] {
        match self {
            Self::PowerCuts => power_cuts::CHECKS,
            Self::Kills => kills::CHECKS,
            Self::IoFaults => io_faults::CHECKS,
            Self::Rot => rot::CHECKS,
            Self::Histories => histories::CHECKS,
            Self::Fleets => fleets::CHECKS,
            Self::Fuzz => fuzz::CHECKS,
            Self::Soak => soak::CHECKS,
            Self::Abuse => abuse::CHECKS,
        }
    }
}
