//! Every sync and every write of a run fails once, on the real engines.
//!
//! Needs strace; without it each test says that it is skipped. `cargo xtask io-faults` sweeps over
//! more calls and errors.

use std::ffi::OsString;

use meldb::EngineKind;
use meldb_testkit::{
    io_faults::{self, IoFault},
    skip::skip,
};

fn sweep(engine: EngineKind, faults: &[(&'static str, &'static str)]) {
    if let Err(reason) = io_faults::available() {
        skip(format_args!("I/O faults of {engine}"), reason);
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let program = [OsString::from(env!("CARGO_BIN_EXE_fault_writer"))];
    let mut read_only = 0;
    for (call, error) in faults {
        let fault = IoFault { call, error, for_good: false };
        let summary = io_faults::sweep(engine, &fault, &program, dir.path()).expect("it runs");
        assert!(summary.failures.is_empty(), "{engine}: {:#?}", summary.failures);
        assert!(summary.runs > 0, "{engine} makes no {call}");
        read_only += summary.read_only;
    }
    // Otherwise the sweep would show nothing.
    assert!(read_only > 5, "{read_only}");
}

#[test]
fn no_failed_call_of_fjall_is_acknowledged() {
    sweep(EngineKind::Fjall, &[("fdatasync", "EIO"), ("fsync", "EIO"), ("write", "ENOSPC")]);
}

#[test]
fn no_failed_call_of_sled_is_acknowledged() {
    let faults = [("fdatasync", "EIO"), ("fsync", "EIO"), ("write", "EIO"), ("pwrite64", "ENOSPC")];
    sweep(EngineKind::Sled, &faults);
}
