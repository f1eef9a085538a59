//! `cargo xtask power-cut`: the power is cut under a writer, over and over.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use meldb::{Durability, EngineKind};
use meldb_faultkit::{
    kill::Subject,
    power_cut::{self, CutPlan, Disk, DiskKind, FileSystem},
};

/// The arguments of `cargo xtask power-cut`.
#[derive(Args)]
pub struct Options {
    /// The engine: fjall, sled, or bare-sled, which is sled with its own flush
    #[arg(long, default_value = "fjall")]
    engine: Subject,

    /// What the file system lies on, and so what a cut takes away
    ///
    /// `shutdown` shuts the file system down: what the kernel had written is there. `volatile` is a
    /// disk with a cache, which keeps, forgets, reorders and tears the 4 KB blocks written since the
    /// last flush; it needs /dev/fuse, and its image is in memory. `lying` is such a disk that
    /// ignores flushes, to see that it is found out.
    #[arg(long, default_value = "shutdown")]
    disk: DiskKind,

    /// The file system: ext4 or xfs
    #[arg(long, default_value = "ext4")]
    fs: FileSystem,

    /// The bytes that a document is filled with; 0 is a mixture from 20 to 40,000
    ///
    /// At most 1,048,000: a document with its other members has at most 1 MiB.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_048_000))]
    size: u32,

    /// Acknowledge writes before they are synced; a cut may take away those since the last sync
    #[arg(long)]
    buffered: bool,

    /// How many rounds
    #[arg(long, default_value_t = 200)]
    rounds: u64,

    /// Acknowledge 40 ms before the write is made, to see that it is found out
    #[arg(long)]
    early_ack: bool,

    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// A directory for the file system's image [default: memory]
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs the rounds and prints what came of them; a failure of the store is an error. Ctrl-C ends
/// them after the round that is under way, so that no mount and no loop device stays behind.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let dir = super::scratch(options.dir.as_ref())?;
    let subject = match (options.engine, options.early_ack) {
        (Subject::Honest(engine), true) => Subject::Early(engine, 40),
        (Subject::BareSled, true) => Subject::Early(EngineKind::Sled, 40),
        (subject, _) => subject,
    };
    let (durability, buffered) = match options.buffered {
        true => (Durability::Buffered, ", buffered"),
        false => (Durability::Synced, ""),
    };
    let (fs, disk, size) = (options.fs, options.disk, options.size);
    let name = format!("{subject} on {fs}, {disk}, {size} B{buffered}");
    if let Err(reason) = Disk::new(dir.path(), options.disk, options.fs, 512 << 20) {
        bail!("{name}: no power can be cut here: {reason}; see cargo xtask faults --list");
    }
    let plan = CutPlan {
        subject,
        disk: options.disk,
        file_system: options.fs,
        durability,
        document_bytes: options.size as usize,
        dir: dir.path().to_owned(),
        program: super::writer_program()?,
        rounds: options.rounds,
        seed: options.seed,
    };
    let interrupted = super::interrupted()?;
    let (took, summary) = power_cut::timed(|| {
        power_cut::run(&plan, |summary| {
            if summary.rounds % 100 == 0 {
                eprintln!("{name}: {} of {} rounds", summary.rounds, plan.rounds);
            }
            super::go_on(&interrupted)
        })
    });
    let summary = summary.map_err(anyhow::Error::msg)?;
    println!("{name}: {}", summary.report(took));
    match summary.failures.is_empty() {
        true => Ok(()),
        false => bail!("acknowledged writes were lost, or the store did not open"),
    }
}
