//! The types that every layer uses: names, documents, conditions, outcomes, errors, limits.

mod cause;
mod cursor;
mod document;
mod engine_error;
mod epoch_ms;
mod error;
mod finite;
mod history;
mod idempotency_key;
mod json_text;
pub mod limits;
mod names;
mod outcome;
mod path;
mod query_error;
mod quota;
mod revision;

pub use cause::{Cause, with_causes};
pub use cursor::ChangeCursor;
pub use document::Document;
pub use engine_error::{EngineError, EngineErrorKind};
pub use epoch_ms::EpochMs;
pub use error::{Error, Result};
pub use history::History;
pub(crate) use idempotency_key::Fingerprint;
pub use idempotency_key::IdempotencyKey;
pub(crate) use json_text::json_value;
pub use json_text::{JsonText, ToJson};
pub use limits::Limits;
pub use names::{Actor, CollectionName, DocId, NameError, NameKind, TenantId};
pub use outcome::{Condition, DeleteResult, Effect, Expiry, Outcome, WriteResult};
pub use path::{DocumentKey, DocumentPath};
pub use query_error::QueryError;
pub use quota::Quota;
pub use revision::Revision;
