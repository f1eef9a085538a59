//! A small file system of its own whose power can be cut.

use std::{
    fmt, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    kind::{DiskKind, FileSystem},
    shutdown::Shutdown,
    survivors::Survivors,
    volatile::{Flushes, VolatileDisk},
};
use crate::random::Random;

/// How often something that is busy for a moment is tried again, every 10 ms.
const ATTEMPTS_MAX: u32 = 200;

/// What a file system lies on, and how its power is cut.
pub(super) trait Power: fmt::Debug + Send {
    /// Returns the file to make the file system in.
    fn image(&self) -> PathBuf;

    /// Mounts the file system that is in the image, and stands ready to cut.
    fn mount(&mut self, mount_point: &Path) -> Result<(), String>;

    /// Cuts the power: from here on nothing that is written changes what a later mount will find.
    fn cut(&mut self) -> Result<(), String>;

    /// Lets go of whatever keeps the file system busy.
    fn let_go(&mut self) -> Result<(), String>;

    /// Settles, when the file system is no longer mounted, what is left of it after a cut.
    fn unmounted(&mut self, random: &mut Random) -> Result<Survivors, String>;
}

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

/// Unmounts what is mounted there; the kernel closes the files of a process that was killed a
/// moment after its end.
pub(super) fn unmount(mount_point: &Path) -> Result<(), String> {
    retry(|| run(Command::new("umount").arg(mount_point)).map(drop))
}

fn is_mount_point(dir: &Path) -> bool {
    run(Command::new("mountpoint").arg("-q").arg(dir)).is_ok()
}

/// Tries until it succeeds, for two seconds.
fn retry(mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    for _ in 1..ATTEMPTS_MAX {
        if attempt().is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    attempt()
}

/// Runs a program to its end and returns what it has printed. Ctrl-C does not reach it.
pub(super) fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).process_group(0).output();
    let done = done.map_err(|error| format!("{name} does not start: {error}"))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned()),
        false => Err(format!("{name}: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}
