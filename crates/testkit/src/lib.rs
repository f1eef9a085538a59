//! Conformance suites, models and faulty engines that the tests share.

pub mod bare_sled;
pub mod client;
pub mod faulty;
pub mod fixture;
pub mod futures;
pub mod housekeeping;
pub mod layer;
pub mod linearizable;
mod machine;
mod mirror;
pub mod need;
pub mod old_format;
pub mod postgres;
pub mod print_line;
pub mod proxy;
pub mod random;
pub mod recording;
pub mod skip;
pub mod specs;
pub mod store_suite;
