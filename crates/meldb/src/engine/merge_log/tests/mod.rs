//! The engine against a model, and against what is done to its files and tables.

mod model;
mod reading;
mod replay;
mod support;
