//! The seal: how a store that was closed is known to be whole when it is opened again.
//!
//! Engines with a log cannot tell a last batch that was cut by a crash from one that rot has touched
//! since, and drop either without a word, with all that follows. So the last batch of a store that
//! is closed is a number, one higher than the last time, and the same number is then written to the
//! file `seal` beside the engine's files. Where the file has a higher number than the engine, what
//! was written last is gone, and the store is refused as damaged.
//!
//! A crash leaves no seal, and none is missed: both numbers are then those of the last close. What
//! was written since is recovered as far as the engine's log is whole.

use std::{
    fs,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::{Batch, KeyRange, Kv, KvError, KvErrorKind, KvIter, Persist};
use crate::directory::{Directory, files::create_anew};

/// The key of the number; no key of a document or a change starts like it.
const KEY: &[u8] = b"!seal";
const FILE: &str = "seal";
const UNFINISHED_FILE: &str = "seal.new";

/// An engine that is sealed when it is closed.
pub struct SealedKv {
    // IMPORTANT: in this order: the directory is released when the engine has closed its files.
    inner: Box<dyn Kv>,
    directory: Arc<Directory>,
    number: u64,
    /// Something was written since the store was opened.
    written: AtomicBool,
    /// A write has failed: there is nothing to vouch for.
    failed: AtomicBool,
}

impl SealedKv {
    /// Returns `inner` if it holds what it held when it was closed; the seal's file is in
    /// `directory`, which stays locked until the engine has closed.
    ///
    /// # Errors
    /// What was written last is gone, or the seal cannot be read.
    pub fn open(inner: Box<dyn Kv>, directory: Arc<Directory>) -> Result<Self, KvError> {
        let number = match inner.get(KEY)? {
            None => 0,
            Some(value) => decode(&value).ok_or_else(|| damaged("the store's seal is damaged"))?,
        };
        let expected = match fs::read(directory.path().join(FILE)) {
            Ok(text) => decode(&text).ok_or_else(|| damaged("the file `seal` is damaged"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        if number < expected {
            return Err(damaged(
                "what was written before the store was closed is gone, at least in part",
            ));
        }
        let [written, failed] = [false, false].map(AtomicBool::new);
        Ok(Self { inner, directory, number, written, failed })
    }

    fn seal(&self) -> Result<(), KvError> {
        // What is at the path may be another store by now.
        self.directory.check_identity()?;
        let number = self.number + 1;
        let mut batch = Batch::with_capacity(1);
        batch.put(KEY.to_vec(), encode(number));
        self.inner.apply(batch, Persist::Sync)?;
        // IMPORTANT: after the engine has it. A crash in between leaves the file behind the engine,
        // which is no damage.
        let dir = self.directory.path();
        let (unfinished, file) = (dir.join(UNFINISHED_FILE), dir.join(FILE));
        let mut new = create_anew(&unfinished)?;
        new.write_all(&encode(number))?;
        new.sync_all()?;
        Ok(fs::rename(unfinished, file)?)
    }
}

impl Drop for SealedKv {
    fn drop(&mut self) {
        let failed = self.failed.load(Ordering::Acquire) || std::thread::panicking();
        if self.written.load(Ordering::Acquire) && !failed {
            // A store without a seal opens as one after a crash does.
            if let Err(error) = self.seal() {
                tracing::warn!(%error, "the store was closed without a seal");
            }
        }
    }
}

impl Kv for SealedKv {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.inner.get(key)
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        self.inner.range(range)
    }

    fn compact(&self) -> Result<(), KvError> {
        self.directory.check_identity()?;
        self.inner.compact()
    }

    fn batch_bytes_best(&self) -> usize {
        self.inner.batch_bytes_best()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        if !batch.is_empty() {
            self.written.store(true, Ordering::Release);
        }
        self.inner.apply(batch, persist).inspect_err(|_| self.failed.store(true, Ordering::Release))
    }
}

/// A number in 16 hexadecimal digits, its XXH3-64 in 16 more, and a newline.
fn encode(number: u64) -> Vec<u8> {
    let digits = format!("{number:016x}");
    let checksum = XxHash3_64::oneshot(digits.as_bytes());
    format!("{digits}{checksum:016x}\n").into_bytes()
}

fn decode(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text.get(..16)?).ok()?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (encode(number) == text).then_some(number)
}

fn damaged(message: &str) -> KvError {
    KvError::new(KvErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{engine::kv::memory::MemoryKv, error::Error};

    /// One engine that lives through closing and opening.
    #[derive(Clone, Default)]
    struct Shared(Arc<MemoryKv>);

    impl Kv for Shared {
        fn name(&self) -> &'static str {
            self.0.name()
        }
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
            self.0.get(key)
        }
        fn range(&self, range: KeyRange) -> KvIter<'_> {
            self.0.range(range)
        }
        fn compact(&self) -> Result<(), KvError> {
            self.0.compact()
        }
        fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
            self.0.apply(batch, persist)
        }
    }

    fn directory(dir: &Path) -> Result<Arc<Directory>, Error> {
        Directory::open(dir, "memory", |_, _| Ok(())).map(Arc::new)
    }

    fn open(kv: &Shared, dir: &Path) -> Result<SealedKv, KvError> {
        SealedKv::open(Box::new(kv.clone()), directory(dir).expect("a directory"))
    }

    fn write(kv: &SealedKv) {
        let mut batch = Batch::default();
        batch.put(b"k".to_vec(), b"v".to_vec());
        kv.apply(batch, Persist::Sync).expect("applied");
    }

    /// Closes the store as a crash does: without a seal.
    fn crash(kv: SealedKv) {
        kv.failed.store(true, Ordering::Release);
    }

    /// An engine that looks, while it closes, whether somebody else could open the directory.
    struct Closing {
        dir: std::path::PathBuf,
        was_free: Arc<AtomicBool>,
    }

    impl Drop for Closing {
        fn drop(&mut self) {
            self.was_free.store(directory(&self.dir).is_ok(), Ordering::Release);
        }
    }

    impl Kv for Closing {
        fn name(&self) -> &'static str {
            "closing"
        }
        fn get(&self, _: &[u8]) -> Result<Option<Bytes>, KvError> {
            Ok(None)
        }
        fn range(&self, _: KeyRange) -> KvIter<'_> {
            Box::new(std::iter::empty())
        }
        fn compact(&self) -> Result<(), KvError> {
            Ok(())
        }
        fn apply(&self, _: Batch, _: Persist) -> Result<(), KvError> {
            Ok(())
        }
    }

    #[test]
    fn the_directory_is_locked_until_the_engine_has_closed() {
        let dir = tempfile::tempdir().expect("a directory");
        let was_free = Arc::<AtomicBool>::default();
        let kv = Closing { dir: dir.path().to_owned(), was_free: Arc::clone(&was_free) };
        let held = directory(dir.path()).expect("opened");
        drop(SealedKv::open(Box::new(kv), held).expect("opened"));
        assert!(!was_free.load(Ordering::Acquire), "released while the engine had files open");
        directory(dir.path()).expect("released");
    }

    #[test]
    fn a_store_that_has_lost_its_last_batch_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let kv = Shared::default();
        for _ in 0..3 {
            write(&open(&kv, dir.path()).expect("opened"));
        }
        open(&kv, dir.path()).expect("it is whole");
        let before = kv.get(KEY).expect("read").expect("sealed");
        write(&open(&kv, dir.path()).expect("opened"));
        for lost in [Some(before.to_vec()), None] {
            let mut batch = Batch::default();
            match lost {
                Some(number) => batch.put(KEY.to_vec(), number),
                None => batch.remove(KEY.to_vec()),
            }
            kv.apply(batch, Persist::Sync).expect("applied");
            let error = open(&kv, dir.path()).err().expect("refused");
            assert_eq!(error.kind(), KvErrorKind::Damaged);
        }
    }

    #[test]
    fn a_crash_leaves_a_store_that_opens() {
        let dir = tempfile::tempdir().expect("a directory");
        let kv = Shared::default();
        write(&open(&kv, dir.path()).expect("opened"));
        let crashed = open(&kv, dir.path()).expect("opened");
        write(&crashed);
        crash(crashed);
        let sealed = open(&kv, dir.path()).expect("opened after the crash");
        // Between the engine's number and the file's, too.
        let file = fs::read(dir.path().join(FILE)).expect("a seal");
        write(&sealed);
        drop(sealed);
        fs::write(dir.path().join(FILE), file).expect("written");
        open(&kv, dir.path()).expect("opened after a crash while sealing");
    }

    #[test]
    fn a_store_that_was_only_read_is_not_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let kv = Shared::default();
        drop(open(&kv, dir.path()).expect("opened"));
        assert!(!dir.path().join(FILE).exists());
        assert_eq!(kv.get(KEY).expect("read"), None);
    }

    #[test]
    fn a_seal_with_a_flipped_bit_is_damage() {
        let text = encode(0x1234);
        assert_eq!(decode(&text), Some(0x1234));
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None);
        }
        assert_eq!(decode(&text[..20]), None);
    }
}
