//! JSON text: strict checking, canonical form, and walking the canonical form without parsing it.
//!
//! Everything here is pure: bytes in, bytes out. `compile` is the only door for text that a client sent; what lies
//! behind it may rely on the canonical form:
//!
//! - compact, but for the one `\n` before every top-level field of a stored document;
//! - field names are unique in every object and escaped as little as JSON allows, so that names are equal exactly
//!   when their bytes are;
//! - string values and numbers are the bytes that were sent.
//!
//! `walk` still trusts nothing: on text that rot has touched it answers [`DamagedText`], it never panics.

mod bounds;
pub(crate) mod compile;
mod damaged;
pub(crate) mod error;
pub(crate) mod hash_index;
mod names;
mod number;
mod numeric;
pub(crate) mod order;
pub(crate) mod scan;
pub(crate) mod serialize;
pub(crate) mod string;
pub(crate) mod tape;
pub(crate) mod unescape;
pub(crate) mod walk;

pub use bounds::{Bounds, DEPTH_CAP, TEXT_BYTES_MAX};
pub use damaged::DamagedText;
pub use error::{TextError, TextErrorKind};
