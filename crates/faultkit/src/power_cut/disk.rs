//! A small file system of its own whose power can be cut.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use meldb_testkit::random::Random;

use super::{
    kind::{DiskKind, FileSystem},
    power::{Power, run, unmount},
    shutdown::Shutdown,
    survivors::Survivors,
    volatile::{Flushes, VolatileDisk},
};

/// A file system whose power can be cut.
#[derive(Debug)]
pub struct Disk {
    power: Box<dyn Power>,
    mount_point: PathBuf,
}

impl Disk {
    /// Makes a file system of `bytes` in `dir` and mounts it.
    ///
    /// # Errors
    /// What is missing: root, loop devices, FUSE, or a program.
    pub fn new(
        dir: &Path,
        kind: DiskKind,
        file_system: FileSystem,
        bytes: u64,
    ) -> Result<Self, String> {
        let mount_point = dir.join("mounted");
        let made = fs::create_dir_all(&mount_point);
        made.map_err(|error| format!("cannot make a mount point: {error}"))?;
        let mut power: Box<dyn Power> = match kind {
            DiskKind::Shutdown => Box::new(Shutdown::new(dir, bytes)?),
            DiskKind::Volatile => Box::new(VolatileDisk::new(dir, bytes, Flushes::Made)?),
            DiskKind::Lying => Box::new(VolatileDisk::new(dir, bytes, Flushes::Ignored)?),
        };
        // `-E` and `-K`: the file is sparse already, and discarding all of it takes time.
        let options = match file_system {
            FileSystem::Ext4 => ["-q", "-F", "-Enodiscard"],
            FileSystem::Xfs => ["-q", "-f", "-K"],
        };
        let program = format!("mkfs.{}", file_system.name());
        run(Command::new(program).args(options).arg(power.image()))?;
        power.mount(&mount_point)?;
        Ok(Self { power, mount_point })
    }

    /// Returns where the file system is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Cuts the power; from here on nothing reaches the disk.
    ///
    /// # Errors
    /// The power could not be cut.
    pub fn cut(&mut self) -> Result<(), String> {
        self.power.cut()
    }

    /// Mounts the file system again after a cut, and returns what the cut has left of what was not
    /// flushed; every process that used it must have ended.
    ///
    /// What survives is drawn from `random`. The inner error says that the file system does not
    /// mount: everything in it is lost.
    ///
    /// # Errors
    /// What the system says to the unmounting.
    pub fn restore(&mut self, random: &mut Random) -> Result<Result<Survivors, String>, String> {
        self.power.let_go()?;
        unmount(&self.mount_point)?;
        let survivors = self.power.unmounted(random)?;
        Ok(self.power.mount(&self.mount_point).map(|()| survivors))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nobody is there to hear of a failure; a mount that is left is plain to see. After a file
        // system that did not mount there is none.
        let _ = self.power.let_go();
        if is_mount_point(&self.mount_point) {
            let _ = unmount(&self.mount_point);
        }
    }
}

fn is_mount_point(dir: &Path) -> bool {
    run(Command::new("mountpoint").arg("-q").arg(dir)).is_ok()
}
