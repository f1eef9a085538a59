//! The audit log: a line for every write, for everything that an operator does, for every refusal, and
//! by setting for every read.
//!
//! It is never silent. A line that cannot be written is kept, and until it is written no request is
//! admitted that would leave another one, unless the log is not required. Refusals, which a stranger
//! can cause as fast as he sends, are written once and then counted.

mod lines;
mod record;
mod repeats;

use std::{fmt, io, sync::Arc, time::Instant};

use meldb_http::{Code, HttpError};
use parking_lot::Mutex;

pub(crate) use self::record::Record;
use self::{lines::Lines, repeats::Repeats};

/// Where the audit log goes, and what is in it; a cheap handle.
///
/// By default its lines are events of `tracing` with the target `meldb::audit`.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    /// Where lines go; `None` for `tracing`.
    lines: Option<Lines>,
    required: bool,
    reads: bool,
    repeats: Mutex<Repeats>,
}

/// What became of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineOf {
    /// It has a line of its own.
    One,
    /// It is counted, and has a line together with others like it.
    Many,
}

impl Default for Audit {
    fn default() -> Self {
        Self::made(None)
    }
}

impl Audit {
    /// Returns a log of one JSON object a line, written to `out` as they come. What `out` returns from
    /// a write is taken as written: it must not buffer.
    ///
    /// It is [required](Self::required) at first.
    pub fn to_writer(out: impl io::Write + Send + 'static) -> Self {
        Self::made(Some(Lines::new(out)))
    }

    fn made(lines: Option<Lines>) -> Self {
        Self(Arc::new(Inner { lines, required: true, reads: false, repeats: Mutex::default() }))
    }

    /// Says whether what should leave a line is refused, with 503, while lines cannot be written.
    #[must_use]
    pub fn required(self, required: bool) -> Self {
        self.with(|inner| inner.required = required)
    }

    /// Says whether reads leave lines as well.
    #[must_use]
    pub fn reads(self, reads: bool) -> Self {
        self.with(|inner| inner.reads = reads)
    }

    fn with(mut self, set: impl FnOnce(&mut Inner)) -> Self {
        match Arc::get_mut(&mut self.0) {
            Some(inner) => set(inner),
            None => debug_assert!(false, "an audit log is set up before it is handed on"),
        }
        self
    }

    /// Writes a line about the server itself, such as `START`.
    ///
    /// # Errors
    /// The line cannot be written now, and is kept.
    pub fn note(&self, action: &'static str) -> io::Result<()> {
        self.write(&Record::of_server(action))
    }

    /// Writes the lines that count refusals whose time has come; to be called every second or so.
    pub fn tick(&self) {
        self.write_counts(Instant::now());
    }

    /// Writes what has been counted so far: the last call before the process ends.
    pub fn finish(&self) {
        for count in self.0.repeats.lock().take_all() {
            // It is kept and reported; there is nothing else to do.
            let _ = self.write(&count.record());
        }
    }

    /// Returns whether reads leave lines.
    pub fn has_reads(&self) -> bool {
        self.0.reads
    }

    /// Returns whether lines wait to be written.
    pub(crate) fn is_failing(&self) -> bool {
        self.0.lines.as_ref().is_some_and(Lines::is_failing)
    }

    /// Checks that a line can be written about what a request is about to do, if that is required.
    ///
    /// # Errors
    /// 503 while earlier lines cannot be written.
    pub(crate) fn admit(&self) -> Result<(), HttpError> {
        match &self.0.lines {
            Some(lines) if lines.is_failing() && lines.retry().is_err() && self.0.required => {
                let message = "the audit log cannot be written, so nothing is done that belongs \
                               into it; the server's own log says why";
                Err(HttpError::new(Code::Unavailable, message))
            }
            _ => Ok(()),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// It cannot be written now, and is kept.
    pub(crate) fn write(&self, record: &Record<'_>) -> io::Result<()> {
        match &self.0.lines {
            None => {
                record.to_tracing();
                Ok(())
            }
            Some(lines) => lines.append(&record.to_line()),
        }
    }

    /// Writes a line about a refusal, or counts it if there was one like it a moment ago.
    pub(crate) fn write_refusal(&self, record: &Record<'_>) -> io::Result<LineOf> {
        let now = Instant::now();
        self.write_counts(now);
        if self.0.repeats.lock().is_repeated(record, now) {
            return Ok(LineOf::Many);
        }
        self.write(record).map(|()| LineOf::One)
    }

    fn write_counts(&self, now: Instant) {
        let due = self.0.repeats.lock().take_due(now);
        for count in due {
            // It is kept and reported; whether it could be written shows with the next line.
            let _ = self.write(&count.record());
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { required, reads, .. } = &*self.0;
        let mut shown = f.debug_struct("Audit");
        shown.field("required", required).field("reads", reads).finish_non_exhaustive()
    }
}
