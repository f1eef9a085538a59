//! Every engine runs the conformance suite of `Kv`.

use std::time::Duration;

use meldb::engine::kv::{fjall::FjallKv, memory::MemoryKv, sled::SledKv};
use meldb_testkit::{
    durable_kv_conformance,
    faulty::FaultyKv,
    kv_conformance,
    kv_suite::{InDirectory, Open},
};

kv_conformance!(memory, || Open(MemoryKv::new()));
durable_kv_conformance!(fjall, || InDirectory::new(FjallKv::create, FjallKv::open));
durable_kv_conformance!(sled, || InDirectory::new(SledKv::create, SledKv::open));

// The engines of the fault tests behave as long as nothing is asked of them.
kv_conformance!(faulty, || Open(FaultyKv::new(MemoryKv::new()).0));
kv_conformance!(early, || {
    Open(FaultyKv::acknowledging_early(MemoryKv::new(), Duration::from_millis(5)).0)
});
