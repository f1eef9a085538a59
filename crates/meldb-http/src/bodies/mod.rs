//! Bodies: read within a budget, checked, taken apart, and compressed on their way back.

pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod compression;
pub(crate) mod cut;
pub(crate) mod json_object;
pub(crate) mod response;
