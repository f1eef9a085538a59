//! Lines on their way to a file: written whole and in order, or kept until they can be.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// How many bytes of lines are kept while they cannot be written; what would be more is reported in the
/// ordinary log and counted.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// A writer of lines.
pub(super) struct Lines {
    failing: AtomicBool,
    inner: Mutex<Inner>,
}

struct Inner {
    out: Box<dyn io::Write + Send>,
    /// What has not been written; it begins in the midst of a line if that was written in part.
    waiting: Vec<u8>,
    /// Lines that there was no room to keep.
    lost: u64,
}

impl Lines {
    pub(super) fn new(out: impl io::Write + Send + 'static) -> Self {
        let inner = Inner { out: Box::new(out), waiting: Vec::new(), lost: 0 };
        Self { failing: AtomicBool::new(false), inner: Mutex::new(inner) }
    }

    /// Returns whether lines wait to be written.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    /// Writes a line behind those that wait.
    ///
    /// # Errors
    /// It cannot be written now.
    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if inner.waiting.len() + line.len() <= WAITING_BYTES_MAX {
            inner.waiting.extend_from_slice(line);
        } else {
            inner.lost += 1;
            let line = String::from_utf8_lossy(line);
            tracing::error!(line = line.trim_end(), "a line of the audit log is lost");
        }
        self.push(&mut inner)
    }

    /// Writes the lines that wait.
    ///
    /// # Errors
    /// They still cannot be written.
    pub(super) fn retry(&self) -> io::Result<()> {
        self.push(&mut self.inner.lock())
    }

    fn push(&self, inner: &mut Inner) -> io::Result<()> {
        let pushed = inner.push();
        match &pushed {
            Ok(()) if self.failing.swap(false, Relaxed) => {
                tracing::warn!(lost = inner.lost, "the audit log can be written again");
                inner.lost = 0;
            }
            Err(error) if !self.failing.swap(true, Relaxed) => {
                let waiting = String::from_utf8_lossy(&inner.waiting);
                tracing::error!(%error, waiting = waiting.trim_end(), "the audit log cannot be written");
            }
            _ => {}
        }
        pushed
    }
}

impl Inner {
    fn push(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            match self.out.write(&self.waiting) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A disk with some room.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl io::Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (written, room) = &mut *self.0.lock();
            let taken = bytes.len().min(*room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= taken;
            written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_cut_is_finished_when_there_is_room() {
        let disk = Disk::default();
        disk.0.lock().1 = 6;
        let lines = Lines::new(disk.clone());
        lines.append(b"one\n").expect("room");
        lines.append(b"two\n").expect_err("no room");
        assert!(lines.is_failing());
        lines.append(b"three\n").expect_err("no room");
        lines.retry().expect_err("no room");
        assert_eq!(disk.0.lock().0, b"one\ntw");
        disk.0.lock().1 = 100;
        lines.retry().expect("room");
        assert!(!lines.is_failing());
        lines.append(b"four\n").expect("room");
        assert_eq!(disk.0.lock().0, b"one\ntwo\nthree\nfour\n");
    }

    #[test]
    fn what_waits_is_bounded() {
        let disk = Disk::default();
        let lines = Lines::new(disk.clone());
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..3 * WAITING_BYTES_MAX / line.len() {
            lines.append(&line).expect_err("no room");
        }
        disk.0.lock().1 = usize::MAX;
        lines.retry().expect("room");
        assert_eq!(disk.0.lock().0.len(), WAITING_BYTES_MAX);
    }
}
