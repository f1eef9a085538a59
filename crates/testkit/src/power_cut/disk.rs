//! A small file system of its own whose power can be cut.

use std::{
    fmt,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    thread,
    time::Duration,
};

/// The file systems that can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 with its defaults.
    Ext4,
    /// xfs with its defaults.
    Xfs,
}

impl FileSystem {
    fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FileSystem {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "ext4" => Ok(Self::Ext4),
            "xfs" => Ok(Self::Xfs),
            _ => Err(format!("{name:?} is neither ext4 nor xfs")),
        }
    }
}

/// A file system in a file, mounted through a loop device.
///
/// A cut shuts the file system down without writing anything more: what the kernel had not written
/// to the device is lost, the file system's own journal included, as with a disk that loses its
/// power and has no cache of its own.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
    /// Holds the file system open, ready to shut it down.
    switch: Option<Child>,
}

impl Disk {
    /// Makes a file system of `bytes` in `dir` and mounts it.
    ///
    /// # Errors
    /// What is missing: root, loop devices, or a program.
    pub fn new(dir: &Path, file_system: FileSystem, bytes: u64) -> Result<Self, String> {
        let name = file_system.name();
        let (image, mount_point) = (dir.join("image"), dir.join("mounted"));
        let failed = |error| format!("cannot make a file for a file system: {error}");
        File::create(&image).and_then(|file| file.set_len(bytes)).map_err(failed)?;
        fs::create_dir_all(&mount_point).map_err(failed)?;
        // `-E` and `-K`: the file is sparse already, and discarding all of it takes time.
        let options = match file_system {
            FileSystem::Ext4 => ["-q", "-F", "-Enodiscard"],
            FileSystem::Xfs => ["-q", "-f", "-K"],
        };
        run(Command::new(format!("mkfs.{name}")).args(options).arg(&image))?;
        let mut disk = Self { image, mount_point, switch: None };
        disk.mount()?;
        Ok(disk)
    }

    /// Returns where the file system is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Cuts the power; from here on nothing reaches the disk.
    ///
    /// # Errors
    /// The file system did not shut down.
    pub fn cut(&mut self) -> Result<(), String> {
        let mut switch = self.switch.take().ok_or("the power is off already")?;
        let stdin = switch.stdin.take();
        let asked = stdin.map(|mut stdin| stdin.write_all(b"shutdown\nquit\n"));
        let done = switch.wait_with_output().map_err(|error| error.to_string())?;
        match asked {
            Some(Ok(())) if done.status.success() && done.stderr.is_empty() => Ok(()),
            _ => Err(format!("the shutdown failed: {}", String::from_utf8_lossy(&done.stderr))),
        }
    }

    /// Mounts the file system again after a cut; every process that used it must have ended.
    ///
    /// # Errors
    /// What the system says.
    pub fn restore(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&mut self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount_point))?;
        let mut command = Command::new("xfs_io");
        command.arg("-x").arg(&self.mount_point);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let switch = command.spawn().map_err(|error| format!("xfs_io does not start: {error}"));
        self.switch = Some(switch?);
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), String> {
        if let Some(mut switch) = self.switch.take() {
            drop(switch.stdin.take());
            switch.wait().map_err(|error| error.to_string())?;
        }
        // The kernel closes the files of a process that was killed a moment after its end.
        let mut unmounted = Ok(());
        for _ in 0..200 {
            unmounted = run(Command::new("umount").arg(&self.mount_point));
            if unmounted.is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        unmounted
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nobody is there to hear of a failure; a mount that is left is plain to see.
        let _ = self.unmount();
        let _ = fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| format!("{name} does not start: {error}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("{name}: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}
