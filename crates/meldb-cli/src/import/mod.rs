//! Loading many documents from NDJSON: lines are read and checked one by one, many writes are in
//! flight so that they share commits, and the place reached is recorded as they are acknowledged.

mod line;
mod lines;
mod past;
mod record;
mod run;

pub(crate) use line::Layout;
pub(crate) use lines::Input;
pub(crate) use record::{Counts, Mark, RecordFile};
pub(crate) use run::{Import, Observer};
