//! What criterion has measured, read from the files that it leaves.

use std::{fs, path::Path, time::SystemTime};

use anyhow::Context;
use serde::{Deserialize, de::DeserializeOwned};

/// One benchmark of one round.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) case: String,
    pub(crate) subject: String,
    /// The median of the samples, in nanoseconds for one operation.
    pub(crate) nanoseconds: f64,
    measured_at: SystemTime,
}

#[derive(Deserialize)]
struct Benchmark {
    function_id: Option<String>,
    value_str: Option<String>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Reads all benchmarks below criterion's directory `home`, in the order in which they were made.
pub(crate) fn read(home: &Path) -> anyhow::Result<Vec<Measured>> {
    let mut all = Vec::new();
    collect(home, &mut all)?;
    all.sort_by_key(|measured| measured.measured_at);
    Ok(all)
}

fn collect(dir: &Path, all: &mut Vec<Measured>) -> anyhow::Result<()> {
    let file = dir.join("new").join("benchmark.json");
    if file.exists() {
        let benchmark: Benchmark = parse(&file)?;
        let estimates: Estimates = parse(&dir.join("new").join("estimates.json"))?;
        all.push(Measured {
            case: benchmark.value_str.unwrap_or_default(),
            subject: benchmark.function_id.unwrap_or_default(),
            nanoseconds: estimates.median.point_estimate,
            measured_at: fs::metadata(&file)?.modified()?,
        });
        return Ok(());
    }
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), all)?;
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot parse {}", file.display()))
}
