//! The engine against a model, and against what is done to its files and tables.

mod closing;
mod damaged;
mod failing_tables;
mod housekeeping;
mod model;
mod reading;
mod replay;
mod support;
