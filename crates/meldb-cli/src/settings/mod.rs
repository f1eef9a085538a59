//! The settings of a server: one struct, filled from flags, the environment and a TOML file, in
//! this order of precedence.

mod convert;
mod fields;
mod file;
mod print;

pub(crate) use fields::{LogFormat, Settings};
pub(crate) use file::resolve;
pub(crate) use print::to_toml;
