//! What a file system lies on, and the programs that handle it.

use std::{
    fmt,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use meldb_testkit::random::Random;

use super::survivors::Survivors;

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

/// Unmounts what is mounted there; the kernel closes the files of a process that was killed a
/// moment after its end.
pub(super) fn unmount(mount_point: &Path) -> Result<(), String> {
    retry(|| run(Command::new("umount").arg(mount_point)).map(drop))
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
