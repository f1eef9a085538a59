//! A disk in memory that forgets, at a power cut, any part of what was not synced.
//!
//! Each sector of a file keeps every version that was written since the last sync, and a cut picks
//! one of them; each name in a directory is the old or the new one until the directory is synced; the
//! length of a file is the old or the new one until the file is synced. A sync that fails leaves what
//! it should have written readable and never written, and is reported once to each open file, as on
//! Linux.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::engine::local::log::files::{Access, LogDir, LogFile, Space};

/// How large the disk says that it is.
pub(super) const TOTAL_BYTES: u64 = 1 << 20;

/// What becomes of a call, counted from the first one that [`SimDisk::fail`] was followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails with an error of the operating system, and the next ones if `for_good`.
    Error { errno: i32, for_good: bool },
    /// From this call on there is no space for more: what would make a file longer, or a new one, fails.
    NoSpace,
    /// It writes half of what it should and says so; other calls are made.
    ShortWrite,
    /// It writes half of what it should and fails with `EIO`; other calls fail.
    TornWrite,
    /// The power is cut, before a sync and after a write. All later calls fail.
    PowerCut,
}

/// Bugs of the disk, or of a log that leaves out a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lies {
    /// `sync_data` and `sync_all` do nothing.
    pub(super) no_file_sync: bool,
    /// Syncing a directory does nothing.
    pub(super) no_dir_sync: bool,
}

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub(super) struct SimDisk(Arc<Mutex<Disk>>);

#[derive(Clone)]
struct Disk {
    sector_bytes: usize,
    inodes: Vec<Inode>,
    dirs: BTreeMap<&'static str, Names>,
    calls: u64,
    fault: Option<(u64, Fault)>,
    lies: Lies,
    is_off: bool,
    /// What it says is free, whatever is written.
    free_bytes: u64,
    /// The calls that a fault has hit.
    hit: Vec<String>,
}

#[derive(Clone, Default)]
struct Inode {
    current: Vec<u8>,
    stable: Vec<u8>,
    /// By number of the sector, what was written to it since the last sync.
    unsynced: BTreeMap<usize, Vec<Vec<u8>>>,
    sync_failures: u64,
}

#[derive(Clone, Default)]
struct Names {
    current: BTreeMap<String, usize>,
    stable: BTreeMap<String, usize>,
}

impl SimDisk {
    /// Returns an empty disk with the directories of a store and its log.
    pub(super) fn new(sector_bytes: usize) -> Self {
        let dirs = ["store", "store/log"].map(|dir| (dir, Names::default())).into();
        Self(Arc::new(Mutex::new(Disk {
            sector_bytes,
            inodes: Vec::new(),
            dirs,
            calls: 0,
            fault: None,
            lies: Lies::default(),
            is_off: false,
            free_bytes: TOTAL_BYTES,
            hit: Vec::new(),
        })))
    }

    pub(super) fn lie(&self, lies: Lies) {
        self.0.lock().lies = lies;
    }

    /// Lets it say that so much is free.
    pub(super) fn leave(&self, free_bytes: u64) {
        self.0.lock().free_bytes = free_bytes;
    }

    pub(super) fn log_dir(&self) -> Arc<dyn LogDir> {
        Arc::new(SimDir { disk: self.clone(), dir: "store/log" })
    }

    pub(super) fn store_dir(&self) -> Arc<dyn LogDir> {
        Arc::new(SimDir { disk: self.clone(), dir: "store" })
    }

    /// Lets the `nth` call from now on fail, counted from 1.
    pub(super) fn fail(&self, nth: u64, fault: Fault) {
        let mut disk = self.0.lock();
        disk.fault = Some((disk.calls + nth, fault));
        disk.hit.clear();
    }

    /// Ends a fault, and returns the calls that it hit.
    pub(super) fn mend(&self) -> Vec<String> {
        let mut disk = self.0.lock();
        disk.fault = None;
        std::mem::take(&mut disk.hit)
    }

    /// Returns how many calls were made.
    pub(super) fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Returns another disk with the same contents.
    pub(super) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    /// Returns the disk as it may be after a power cut. `choose` picks, of a number of possibilities,
    /// which one it is.
    pub(super) fn cut(&self, choose: &mut dyn FnMut(usize) -> usize) -> Self {
        let mut disk = self.0.lock().clone();
        let sector_bytes = disk.sector_bytes;
        for inode in &mut disk.inodes {
            let unsynced = std::mem::take(&mut inode.unsynced);
            for (sector, versions) in unsynced {
                let start = sector * sector_bytes;
                let end = inode.stable.len().min(start + sector_bytes);
                let stable = inode.stable.get(start..end).unwrap_or_default();
                let mut options = vec![padded(stable, sector_bytes)];
                for version in versions {
                    let version = padded(&version, sector_bytes);
                    if !options.contains(&version) {
                        options.push(version);
                    }
                }
                let picked = if options.len() > 1 { choose(options.len()) } else { 0 };
                if picked > 0 {
                    let end = start + sector_bytes;
                    inode.stable.resize(inode.stable.len().max(end), 0);
                    inode.stable[start..end].copy_from_slice(&options[picked]);
                }
            }
            inode.stable.truncate(inode.current.len());
            inode.current.clone_from(&inode.stable);
        }
        for names in disk.dirs.values_mut() {
            let all: BTreeSet<_> =
                names.stable.keys().chain(names.current.keys()).cloned().collect();
            for name in all {
                let (old, new) = (names.stable.get(&name), names.current.get(&name).copied());
                if old.copied() == new || choose(2) == 0 {
                    continue;
                }
                match new {
                    Some(inode) => drop(names.stable.insert(name, inode)),
                    None => drop(names.stable.remove(&name)),
                }
            }
            names.current.clone_from(&names.stable);
        }
        (disk.fault, disk.is_off) = (None, false);
        Self(Arc::new(Mutex::new(disk)))
    }

    /// Returns whether the power was cut.
    pub(super) fn is_off(&self) -> bool {
        self.0.lock().is_off
    }

    /// Returns the names of a directory's files.
    pub(super) fn names(&self, dir: &'static str) -> Vec<String> {
        self.0.lock().dirs[dir].current.keys().cloned().collect()
    }

    /// Returns the length of a file.
    pub(super) fn bytes_of(&self, dir: &'static str, name: &str) -> usize {
        let disk = self.0.lock();
        disk.inodes[disk.dirs[dir].current[name]].current.len()
    }

    /// Changes the contents of a file, on stable storage.
    pub(super) fn edit(&self, dir: &'static str, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.0.lock();
        let inode = disk.dirs[dir].current[name];
        let inode = &mut disk.inodes[inode];
        edit(&mut inode.current);
        inode.stable.clone_from(&inode.current);
        inode.unsynced.clear();
    }
}

fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(length, 0);
    padded
}

impl Disk {
    /// Counts a call, and returns the fault that hits it.
    fn call(&mut self, what: impl FnOnce() -> String) -> io::Result<Option<Fault>> {
        self.calls += 1;
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        let Some((nth, fault)) = self.fault else { return Ok(None) };
        let is_hit = match fault {
            Fault::Error { for_good: true, .. } | Fault::NoSpace => self.calls >= nth,
            _ => self.calls == nth,
        };
        if !is_hit {
            return Ok(None);
        }
        self.hit.push(what());
        self.is_off = fault == Fault::PowerCut;
        Ok(Some(fault))
    }

    /// The same for a call that is made whole or not at all.
    fn call_whole(&mut self, what: impl FnOnce() -> String) -> io::Result<()> {
        match self.call(what)? {
            None | Some(Fault::ShortWrite | Fault::NoSpace) => Ok(()),
            Some(fault) => Err(fault.error()),
        }
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Error { errno, .. } => io::Error::from_raw_os_error(errno),
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            _ => io::Error::from_raw_os_error(5),
        }
    }
}

struct SimDir {
    disk: SimDisk,
    dir: &'static str,
}

impl SimDir {
    fn with<T>(
        &self,
        what: &str,
        name: &str,
        act: impl FnOnce(&mut Disk, &'static str) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut disk = self.disk.0.lock();
        disk.call_whole(|| format!("{what} {}/{name}", self.dir))?;
        act(&mut disk, self.dir)
    }

    fn opened(&self, disk: &Disk, inode: usize, name: &str, access: Access) -> Arc<dyn LogFile> {
        Arc::new(SimFile {
            disk: self.disk.clone(),
            inode,
            name: format!("{}/{name}", self.dir),
            access,
            told: Mutex::new(disk.inodes[inode].sync_failures),
        })
    }
}

fn names<'a>(disk: &'a mut Disk, dir: &str) -> &'a mut BTreeMap<String, usize> {
    &mut disk.dirs.get_mut(dir).expect("a directory").current
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl LogDir for SimDir {
    fn path(&self) -> &Path {
        Path::new(self.dir)
    }

    fn is_in_place(&self) -> io::Result<bool> {
        self.with("look at", "", |_, _| Ok(true))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.with("list", "", |disk, dir| Ok(names(disk, dir).keys().cloned().collect()))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.with("create", name, |disk, dir| {
            disk.inodes.push(Inode::default());
            let inode = disk.inodes.len() - 1;
            names(disk, dir).insert(name.to_owned(), inode);
            Ok(self.opened(disk, inode, name, Access::Write))
        })
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn LogFile>> {
        self.with("open", name, |disk, dir| {
            let inode = *names(disk, dir).get(name).ok_or_else(not_found)?;
            Ok(self.opened(disk, inode, name, access))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with("rename", from, |disk, dir| {
            let inode = names(disk, dir).remove(from).ok_or_else(not_found)?;
            names(disk, dir).insert(to.to_owned(), inode);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with("remove", name, |disk, dir| {
            names(disk, dir).remove(name).map(drop).ok_or_else(not_found)
        })
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let free_bytes = self.disk.0.lock().free_bytes;
        Ok(Some(Space { free_bytes, total_bytes: TOTAL_BYTES }))
    }

    fn sync(&self) -> io::Result<()> {
        self.with("sync", "", |disk, dir| {
            if !disk.lies.no_dir_sync {
                let names = disk.dirs.get_mut(dir).expect("a directory");
                names.stable.clone_from(&names.current);
            }
            Ok(())
        })
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
    name: String,
    access: Access,
    /// How many failures of syncs this open file has been told of.
    told: Mutex<u64>,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.0.lock();
        let called = disk.call_whole(|| format!("sync {}", self.name));
        let (is_off, lies) = (disk.is_off, disk.lies);
        let inode = &mut disk.inodes[self.inode];
        if called.is_err() {
            if !is_off {
                inode.sync_failures += 1;
                inode.unsynced.clear();
                *self.told.lock() = inode.sync_failures;
            }
            return called;
        }
        let mut told = self.told.lock();
        if *told < inode.sync_failures {
            *told = inode.sync_failures;
            return Err(io::Error::from_raw_os_error(5));
        }
        if lies.no_file_sync {
            return Ok(());
        }
        let sector_bytes = disk.sector_bytes;
        let inode = &mut disk.inodes[self.inode];
        inode.stable.resize(inode.current.len(), 0);
        for (sector, versions) in std::mem::take(&mut inode.unsynced) {
            let last = versions.last().expect("a version");
            let start = sector * sector_bytes;
            inode.stable[start..start + last.len()].copy_from_slice(last);
        }
        Ok(())
    }
}

impl LogFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        let mut disk = self.disk.0.lock();
        disk.call_whole(|| format!("look at {}", self.name))?;
        Ok(disk.inodes[self.inode].current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.0.lock();
        disk.call_whole(|| format!("read {}", self.name))?;
        let there = disk.inodes[self.inode].current.get(offset as usize..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        assert_eq!(self.access, Access::Write, "{} is open for reading", self.name);
        let mut disk = self.disk.0.lock();
        let fault = disk.call(|| format!("write {} at {offset}", self.name))?;
        let (written, result) = match fault {
            Some(Fault::NoSpace)
                if offset as usize + bytes.len() > disk.inodes[self.inode].current.len() =>
            {
                (0, Err(Fault::NoSpace.error()))
            }
            None | Some(Fault::NoSpace) => (bytes.len(), Ok(bytes.len())),
            Some(Fault::ShortWrite) => (bytes.len() / 2, Ok(bytes.len() / 2)),
            Some(fault @ Fault::TornWrite) => (bytes.len() / 2, Err(fault.error())),
            Some(fault @ Fault::PowerCut) => (bytes.len(), Err(fault.error())),
            Some(fault) => (0, Err(fault.error())),
        };
        disk.write(self.inode, &bytes[..written], offset as usize);
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

impl Disk {
    fn write(&mut self, inode: usize, bytes: &[u8], offset: usize) {
        let sector_bytes = self.sector_bytes;
        let inode = &mut self.inodes[inode];
        let end = offset + bytes.len();
        inode.current.resize(inode.current.len().max(end), 0);
        inode.current[offset..end].copy_from_slice(bytes);
        for sector in offset / sector_bytes..end.div_ceil(sector_bytes) {
            let start = sector * sector_bytes;
            let end = inode.current.len().min(start + sector_bytes);
            let version = inode.current[start..end].to_vec();
            inode.unsynced.entry(sector).or_default().push(version);
        }
    }
}

/// Goes through all ways in which choices can be made, up to a number of them.
pub(super) struct Choices {
    made: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    pub(super) fn new() -> Self {
        Self { made: Vec::new(), at: 0 }
    }

    /// Makes the next choice out of `options`.
    pub(super) fn choose(&mut self, options: usize) -> usize {
        if self.at == self.made.len() {
            self.made.push((0, options));
        }
        let (choice, of) = self.made[self.at];
        assert_eq!(of, options, "the choices depend on something else");
        self.at += 1;
        choice
    }

    /// Goes on to the next way; returns whether there is one.
    pub(super) fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.made.pop() {
            if choice + 1 < options {
                self.made.push((choice + 1, options));
                return true;
            }
        }
        false
    }
}
