//! A file system in user space with one file: the image of a disk.

use std::{
    ffi::OsStr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use meldb_testkit::random::Random;

use super::blocks::{BLOCK_BYTES, Blocks};
use crate::power_cut::survivors::Survivors;

/// The file's name.
pub(super) const IMAGE: &str = "image";

const IMAGE_NUMBER: INodeNo = INodeNo(2);

/// Names and sizes never change.
const UNCHANGED_FOR: Duration = Duration::from_secs(3600);

/// How long a flush takes, as on a good disk. In memory alone it would be over at once, and hardly
/// a cut would find anything in the cache.
const FLUSH_TIME: Duration = Duration::from_millis(1);

/// How many requests are served at once, so that writes go on while a flush takes its time.
const THREADS: usize = 3;

/// The disk behind the image, shared by those who serve it and those who cut its power.
#[derive(Clone, Debug)]
pub(super) struct Supply(Arc<Mutex<Powered>>);

#[derive(Debug)]
struct Powered {
    blocks: Blocks,
    is_on: bool,
    /// How often the power has come back. What was opened before stays dead: a request that the
    /// kernel still holds from before a cut must not reach the disk after it.
    life: u64,
}

impl Supply {
    /// Returns the disk with its power on.
    pub(super) fn new(blocks: Blocks) -> Self {
        Self(Arc::new(Mutex::new(Powered { blocks, is_on: true, life: 0 })))
    }

    /// Cuts the power, at one instant for all requests; says false if it is off already.
    pub(super) fn cut(&self) -> bool {
        std::mem::replace(&mut self.lock().is_on, false)
    }

    /// Makes safe all that was written.
    pub(super) fn settle(&self) {
        let mut powered = self.lock();
        let written = powered.blocks.written();
        powered.blocks.settle(written);
    }

    /// Switches the power on again, and draws what has survived.
    pub(super) fn restore(&self, random: &mut Random) -> Survivors {
        let mut powered = self.lock();
        powered.is_on = true;
        powered.life += 1;
        powered.blocks.lose(random)
    }

    fn lock(&self) -> MutexGuard<'_, Powered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the disk for a request of a file that was opened as `handle`.
    fn reach(&self, handle: FileHandle) -> Result<MutexGuard<'_, Powered>, Errno> {
        let powered = self.lock();
        match powered.is_on && powered.life == handle.0 {
            true => Ok(powered),
            false => Err(Errno::EIO),
        }
    }

    fn attributes(&self, number: INodeNo) -> Option<FileAttr> {
        let (kind, perm, size) = match number {
            INodeNo::ROOT => (FileType::Directory, 0o700, 0),
            IMAGE_NUMBER => (FileType::RegularFile, 0o600, self.lock().blocks.bytes()),
            _ => return None,
        };
        let then = SystemTime::UNIX_EPOCH;
        Some(FileAttr {
            ino: number,
            size,
            blocks: size / 512,
            atime: then,
            mtime: then,
            ctime: then,
            crtime: then,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK_BYTES as u32,
            flags: 0,
        })
    }
}

/// Mounts the file system at `mount_point`; it is served by a thread of this process.
pub(super) fn serve(supply: &Supply, mount_point: &Path) -> Result<BackgroundSession, String> {
    let mut config = Config::default();
    config.n_threads = Some(THREADS);
    config.mount_options.push(MountOption::FSName("volatile-disk".to_owned()));
    fuser::spawn_mount(supply.clone(), mount_point, &config)
        .map_err(|error| format!("cannot mount a file system in user space: {error}"))
}

impl Filesystem for Supply {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attributes(IMAGE_NUMBER) {
            Some(image) if parent == INodeNo::ROOT && name == IMAGE => {
                reply.entry(&UNCHANGED_FOR, &image, Generation(0));
            }
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number) {
            Some(attributes) => reply.attr(&UNCHANGED_FOR, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let powered = self.lock();
        // IMPORTANT: past the kernel's page cache, or a write might wait there, and a read after a
        // cut might find there what was lost. Closing the file is no flush.
        let flags = FopenFlags::FOPEN_DIRECT_IO
            | FopenFlags::FOPEN_NOFLUSH
            | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        match powered.is_on {
            true => reply.opened(FileHandle(powered.life), flags),
            false => reply.error(Errno::EIO),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.reach(handle) {
            Ok(powered) => reply.data(&powered.blocks.read(offset, size as usize)),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.reach(handle).map(|mut powered| powered.blocks.write(offset, data)) {
            Ok(0) if !data.is_empty() => reply.error(Errno::ENOSPC),
            Ok(written) => reply.written(written as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        let flushed = self.reach(handle).map(|powered| powered.blocks.written());
        let flushed = flushed.and_then(|written| {
            thread::sleep(FLUSH_TIME);
            self.reach(handle).map(|mut powered| powered.blocks.flush(written))
        });
        match flushed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}
