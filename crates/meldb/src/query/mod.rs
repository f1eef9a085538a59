//! Filters, sort orders and lists of fields: their grammar, and what they say of a stored text.
//!
//! A [`Filter`] is built in Rust or read from text; both make the same tree. A [`Matcher`] is made of it once, and then
//! asked of each document: it finds the named fields in the stored text, and parses nothing else. All of this is pure.

mod builder;
mod cursor;
mod filter;
mod id_range;
mod index;
mod index_key;
mod index_plan;
mod json_form;
mod literal;
mod locate;
mod matcher;
mod parse;
mod path;
mod projection;
mod sort;

pub use builder::{Field, field};
pub(crate) use cursor::{cursor_parts, cursor_text};
pub use filter::Filter;
pub(crate) use id_range::id_range;
pub use index::Index;
pub(crate) use index_key::{BEHIND_IDS, IndexKeys, IndexValues};
pub(crate) use index_plan::{EntryOrder, IndexPlan};
pub(crate) use matcher::Matcher;
pub use projection::Projection;
pub use sort::{Sort, asc, desc};
pub(crate) use sort::{SortKey, SortValues, Sorter, natural_order};
