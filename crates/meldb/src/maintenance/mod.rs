//! Maintenance of a whole store or tenant: housekeeping, erasure, verification, repair, imports, copies and backups.

pub(crate) mod backup;
mod dump;
pub(crate) mod erase;
pub(crate) mod history;
pub(crate) mod housekeeping;
pub(crate) mod import;
mod receipts;
mod repair;
pub(crate) mod time_reset;
mod verify;

pub use backup::{BackupSummary, CopyProgress};
pub use dump::dump_log;
pub use history::{Forgotten, Redacted};
pub use housekeeping::HousekeepingStats;
pub use import::{ImportStats, PastWrite};
pub use repair::repair;
pub use time_reset::TimeReset;
pub use verify::{Verification, Verified};
