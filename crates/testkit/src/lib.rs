//! Conformance suites, the model and the faulty engine that the tests share.

pub mod bare_sled;
pub mod client;
pub mod faulty;

pub mod fixture;
pub mod fleet;
pub mod futures;
pub mod io_faults;
pub mod kill;
pub mod layer;
pub mod linearizable;
mod machine;
mod mirror;
pub mod need;
pub mod postgres;
pub mod power_cut;
pub mod random;
pub mod recording;
pub mod rot;
pub mod say;
pub mod site;
pub mod skip;
pub mod specs;
pub mod store_suite;
