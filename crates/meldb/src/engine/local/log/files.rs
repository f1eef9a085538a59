//! The file calls of the log, behind a trait, so that tests can let each of them fail.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::directory::files;

/// How large a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// What can still be written, in bytes.
    pub(crate) free_bytes: u64,
    /// What there is in all, in bytes.
    pub(crate) total_bytes: u64,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading alone.
    Read,
    /// Reading and writing.
    Write,
}

/// A directory and the files directly in it, by name.
pub(crate) trait LogDir: Send + Sync {
    /// Returns where it is, for messages.
    fn path(&self) -> &Path;

    /// Returns whether the path still leads to the directory that was opened.
    fn is_in_place(&self) -> io::Result<bool>;

    /// Returns the names of all files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file, in place of one that is there.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file that is there. Each call gives a file with an error state of its own: a failure
    /// of the device is reported by the next sync of every one of them.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn LogFile>>;

    /// Gives a file another name, in place of one that is there.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Brings the names to stable storage.
    fn sync(&self) -> io::Result<()>;

    /// Returns how much space its file system has; `None` where the operating system does not tell.
    fn space(&self) -> io::Result<Option<Space>>;
}

/// An open file.
pub(crate) trait LogFile: Send + Sync {
    /// Returns its length in bytes.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads at `offset` and returns how many bytes; zero at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at `offset` and returns how many bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Brings the contents to stable storage, and of the metadata what reading them needs.
    fn sync_data(&self) -> io::Result<()>;

    /// Brings contents and metadata to stable storage.
    fn sync_all(&self) -> io::Result<()>;
}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_all_at(
    file: &dyn LogFile,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `buffer` from `offset` as far as the file goes, and returns how many bytes that is.
pub(super) fn read_full_at(
    file: &dyn LogFile,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A directory of the file system.
#[derive(Debug)]
pub(crate) struct DiskDir {
    path: PathBuf,
    /// Held open: its number is given to no other directory meanwhile.
    opened: Option<File>,
}

impl DiskDir {
    /// Opens the directory `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Windows opens no directory as a file, and lets none be moved that holds open files.
        let opened = if cfg!(windows) { None } else { Some(File::open(path)?) };
        Ok(Self { path: path.to_owned(), opened })
    }
}

impl LogDir for DiskDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn is_in_place(&self) -> io::Result<bool> {
        match &self.opened {
            Some(opened) => files::is_at(opened, &self.path),
            None => self.path.try_exists(),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not Unicode is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(DiskFile(options.open(self.path.join(name))?)))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn LogFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Write);
        Ok(Arc::new(DiskFile(options.open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        match &self.opened {
            Some(opened) => opened.sync_all(),
            None => Ok(()),
        }
    }

    #[cfg(unix)]
    fn space(&self) -> io::Result<Option<Space>> {
        let Some(opened) = &self.opened else { return Ok(None) };
        let found = rustix::fs::fstatvfs(opened)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let space = Space { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) };
        // Some file systems have no size.
        Ok((space.total_bytes > 0).then_some(space))
    }

    #[cfg(not(unix))]
    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl LogFile for DiskFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
