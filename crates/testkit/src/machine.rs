//! What this machine lets a test do.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
};

/// Returns whether this process runs as root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Returns the directory of the `PATH` that has an executable file of this name.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let is_executable = |file: PathBuf| {
        fs::metadata(file)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find(|dir| is_executable(dir.join(program)))
}
