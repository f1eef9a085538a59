//! A disk with a volatile cache, which a cut makes forget, reorder and tear what was not flushed.
//!
//! Its image is a file that this process serves and keeps in memory; a loop device makes a disk of
//! it. A sync of the mounted file system comes as a flush of the loop device, which is an `fsync` of
//! the image: only then what was written is safe. From the instant of a cut every request fails and
//! nothing changes any more, so that neither the dying writer nor the unmounting can reach the disk.

mod blocks;
mod served;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use fuser::BackgroundSession;
use meldb_testkit::random::Random;

pub(super) use self::blocks::Flushes;
use self::{
    blocks::Blocks,
    served::{IMAGE, Supply},
};
use super::{
    power::{Power, run, unmount},
    survivors::Survivors,
};

/// The image, who serves it, and the loop device over it.
#[derive(Debug)]
pub(super) struct VolatileDisk {
    supply: Supply,
    served_at: PathBuf,
    session: Option<BackgroundSession>,
    device: Option<String>,
}

impl VolatileDisk {
    /// Makes a disk of `bytes` that is served in `dir`.
    pub(super) fn new(dir: &Path, bytes: u64, flushes: Flushes) -> Result<Self, String> {
        let served_at = dir.join("served");
        let made = fs::create_dir_all(&served_at);
        made.map_err(|error| format!("cannot make a mount point: {error}"))?;
        let supply = Supply::new(Blocks::new(bytes, flushes));
        let session = served::serve(&supply, &served_at)?;
        Ok(Self { supply, served_at, session: Some(session), device: None })
    }

    fn detach(&mut self) -> Result<(), String> {
        let Some(device) = self.device.take() else { return Ok(()) };
        run(Command::new("losetup").args(["--detach", &device])).map(drop)
    }
}

impl Power for VolatileDisk {
    fn image(&self) -> PathBuf {
        self.served_at.join(IMAGE)
    }

    fn mount(&mut self, mount_point: &Path) -> Result<(), String> {
        // What mkfs has written; after a cut there is nothing left to settle.
        self.supply.settle();
        let mut attach = Command::new("losetup");
        attach.args(["--find", "--show", "--direct-io=on"]).arg(self.image());
        let device = run(&mut attach)?;
        self.device = Some(device.clone());
        let queue = Path::new("/sys/block").join(device.trim_start_matches("/dev/")).join("queue");
        let cache = fs::read_to_string(queue.join("write_cache"));
        let cache = cache.map_err(|error| format!("what is the cache of {device}? {error}"))?;
        if cache.trim() != "write back" {
            // The file system would see no reason to flush.
            return Err(format!("{device} says that its cache is {:?}", cache.trim()));
        }
        run(Command::new("mount").arg(device).arg(mount_point)).map(drop)
    }

    fn cut(&mut self) -> Result<(), String> {
        if self.supply.cut() { Ok(()) } else { Err("the power is off already".to_owned()) }
    }

    fn let_go(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn unmounted(&mut self, random: &mut Random) -> Result<Survivors, String> {
        self.detach()?;
        Ok(self.supply.restore(random))
    }
}

impl Drop for VolatileDisk {
    fn drop(&mut self) {
        // Nobody is there to hear of a failure; a mount that is left is plain to see.
        let _ = self.detach();
        if unmount(&self.served_at).is_ok()
            && let Some(session) = self.session.take()
        {
            let _ = session.join();
        }
    }
}
