//! The settings of a server: one struct, filled from flags, the environment and a TOML file, in
//! this order of precedence.

mod convert;
mod fields;
mod file;
mod help;
mod print;

pub(crate) use fields::{Durability, LogFormat, Settings};
pub(crate) use file::resolve;
pub(crate) use help::in_group;
pub(crate) use print::to_toml;
