//! `cargo xtask io-faults`: the N-th system call fails, for every N.

use std::ffi::OsString;

use anyhow::bail;
use clap::Args;
use meldb::EngineKind;
use meldb_faultkit::io_faults::{self, IoFault};
use meldb_testkit::need::Need;

/// What can fail, and how.
pub(super) const FAULTS: [(&str, &[&str]); 8] = [
    ("fdatasync", &["EIO"]),
    ("fsync", &["EIO"]),
    ("sync_file_range", &["EIO"]),
    ("write", &["EIO", "ENOSPC"]),
    ("pwrite64", &["EIO", "ENOSPC"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("mkdir", &["EIO", "ENOSPC"]),
];

/// The arguments of `cargo xtask io-faults`.
#[derive(Args)]
pub struct Options {
    /// The engine: fjall or sled
    #[arg(long, default_value = "fjall")]
    engine: EngineKind,
}

/// Sweeps every fault over every call and prints a table; a wrong run is an error.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let engine = options.engine;
    if let Err(reason) = io_faults::available() {
        bail!("I/O faults cannot run here: {reason}; {}", Need::STRACE.how_to_get());
    }
    let dir = super::scratch(None)?;
    let program: [OsString; 2] = [std::env::current_exe()?.into(), OsString::from("fault-writer")];
    let interrupted = super::interrupted()?;
    let mut wrong = 0;
    println!(
        "{engine}: call, error, lasting | runs | not opened | read-only | refused | unnoticed | wrong"
    );
    for (call, errors) in FAULTS {
        for error in errors {
            for for_good in [false, true] {
                let fault = IoFault { call, error, for_good };
                let summary = io_faults::sweep(engine, &fault, &program, dir.path(), |_| {
                    super::go_on(&interrupted)
                });
                let summary = summary.map_err(anyhow::Error::msg)?;
                println!(
                    "{call}, {error}, {} | {} | {} | {} | {} | {} | {}",
                    if for_good { "for good" } else { "once" },
                    summary.runs,
                    summary.not_opened,
                    summary.read_only,
                    summary.refused,
                    summary.unnoticed,
                    summary.failures.len(),
                );
                for failure in &summary.failures {
                    println!("  {failure}");
                }
                wrong += summary.failures.len();
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} runs went wrong");
    }
    Ok(())
}
