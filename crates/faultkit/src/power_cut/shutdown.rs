//! Cutting the power by shutting the file system down.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use meldb_testkit::random::Random;

use super::{
    power::{Power, run},
    survivors::Survivors,
};

/// A file in a directory, and the means to shut down the file system in it.
///
/// The shutdown writes nothing more: what the kernel had not written to the device is lost, the
/// file system's own journal included, as with a disk that loses its power and has no cache.
#[derive(Debug)]
pub(super) struct Shutdown {
    image: PathBuf,
    /// Holds the file system open, ready to shut it down.
    switch: Option<Child>,
}

impl Shutdown {
    /// Makes a file of `bytes` in `dir`.
    pub(super) fn new(dir: &Path, bytes: u64) -> Result<Self, String> {
        let image = dir.join("image");
        let made = File::create(&image).and_then(|file| file.set_len(bytes));
        made.map_err(|error| format!("cannot make a file for a file system: {error}"))?;
        Ok(Self { image, switch: None })
    }
}

impl Power for Shutdown {
    fn image(&self) -> PathBuf {
        self.image.clone()
    }

    fn mount(&mut self, mount_point: &Path) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(mount_point))?;
        let mut command = Command::new("xfs_io");
        command.arg("-x").arg(mount_point).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let switch = command.spawn().map_err(|error| format!("xfs_io does not start: {error}"));
        self.switch = Some(switch?);
        Ok(())
    }

    fn cut(&mut self) -> Result<(), String> {
        let mut switch = self.switch.take().ok_or("the power is off already")?;
        let stdin = switch.stdin.take();
        let asked = stdin.map(|mut stdin| stdin.write_all(b"shutdown\nquit\n"));
        let done = switch.wait_with_output().map_err(|error| error.to_string())?;
        match asked {
            Some(Ok(())) if done.status.success() && done.stderr.is_empty() => Ok(()),
            _ => Err(format!("the shutdown failed: {}", String::from_utf8_lossy(&done.stderr))),
        }
    }

    fn let_go(&mut self) -> Result<(), String> {
        if let Some(mut switch) = self.switch.take() {
            drop(switch.stdin.take());
            switch.wait().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn unmounted(&mut self, _: &mut Random) -> Result<Survivors, String> {
        // The loop device went with the mount, and the image is what it is.
        Ok(Survivors::default())
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        // Nobody is there to hear of a failure.
        let _ = fs::remove_file(&self.image);
    }
}
