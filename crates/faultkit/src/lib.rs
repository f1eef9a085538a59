//! Faults that are done to stores on purpose, and whether anything that was acknowledged is lost: power
//! cuts, kills, failing calls of the operating system, rotten files, and fleets over one database.
//!
//! `cargo xtask faults` runs them; no test needs them.

pub mod fleet;
pub mod io_faults;
pub mod kill;
pub mod power_cut;
pub mod rot;
