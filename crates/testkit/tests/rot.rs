//! Whatever rots, a store never answers with a wrong value, and never with none.

use meldb::EngineKind;
use meldb_testkit::rot;

fn is_never_wrong(engine: EngineKind, mutations: u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let summary = rot::run(engine, dir.path(), mutations, 11, |_| ()).expect("it could be run");
    assert!(summary.failures.is_empty(), "{}", summary.report());
    // Otherwise the mutations would show nothing.
    assert!(summary.refused > 0, "{}", summary.report());
}

#[test]
fn fjall_is_never_wrong() {
    is_never_wrong(EngineKind::Fjall, 200);
}

#[test]
fn sled_is_never_wrong() {
    is_never_wrong(EngineKind::Sled, 200);
}
