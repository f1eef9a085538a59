//! What a process takes, as Linux tells it.

use std::{fs, time::Instant};

use anyhow::Context;

/// What a process took at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Seconds since the run began.
    pub(super) at: f64,
    /// Seconds since the process began.
    pub(super) age: f64,
    /// Resident memory, in MiB.
    pub(super) memory_mib: f64,
    pub(super) threads: f64,
    /// Open file descriptors.
    pub(super) descriptors: f64,
}

impl Sample {
    /// Looks at a process.
    pub(super) fn take(id: u32, started: Instant, age: u64) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let number = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let text = line.with_context(|| format!("no {name} in the status"))?;
            let digits = text.split_whitespace().next().context("an empty line")?;
            Ok(digits.parse()?)
        };
        Ok(Self {
            at: started.elapsed().as_secs_f64(),
            age: age as f64,
            memory_mib: number("VmRSS:")? / 1024.0,
            threads: number("Threads:")?,
            descriptors: fs::read_dir(format!("/proc/{id}/fd"))?.count() as f64,
        })
    }
}
