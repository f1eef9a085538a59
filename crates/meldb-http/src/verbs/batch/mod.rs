//! Batches: many writes of one tenant, all or none.

mod operation;
mod serve;
mod text;

pub(crate) use serve::{Asked, serve};
pub use text::{BATCH_BODY_BYTES_MAX, BatchFormat, BatchText, BatchTextError};
