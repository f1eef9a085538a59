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

use parking_lot::Mutex;

pub(crate) use self::record::Record;
use self::{lines::Lines, repeats::Repeats};
use crate::{
    error::{Code, HttpError},
    server::Peer,
};

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

/// What somebody did by other means than the routes of the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// What was done, in a word.
    pub action: &'static str,
    /// Who did it, as stamped.
    pub actor: Option<String>,
    /// The tenant that it was about.
    pub tenant: Option<String>,
    /// What of the tenant or the store it was about.
    pub subject: Option<String>,
    /// What came of it, such as `done` or `failed`.
    pub outcome: &'static str,
    /// The revision of a write.
    pub revision: Option<u64>,
}

/// The audit log cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the audit log cannot be written, so nothing is done that belongs into it; \
     the server's own log says why"
)]
pub struct AuditFailing;

/// What became of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has a line.
    Alone,
    /// It is counted, and one line tells of all like it.
    Counted,
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

    /// Checks that what is about to be done can be told, if that is required.
    ///
    /// # Errors
    /// [`AuditFailing`]: earlier lines cannot be written.
    pub fn check(&self) -> Result<(), AuditFailing> {
        match &self.0.lines {
            Some(lines) if lines.is_failing() && lines.retry().is_err() && self.0.required => {
                Err(AuditFailing)
            }
            _ => Ok(()),
        }
    }

    /// Writes a line about what `peer` did by other means than the routes of the interface.
    ///
    /// # Errors
    /// The line cannot be written now, and is kept.
    pub fn tell(&self, peer: Peer, operation: &Operation) -> io::Result<()> {
        self.write(&Record {
            peer: Some(peer),
            actor: operation.actor.as_deref(),
            action: Some(operation.action),
            tenant: operation.tenant.as_deref(),
            document: operation.subject.as_deref(),
            outcome: operation.outcome,
            revision: operation.revision,
            ..Record::default()
        })
    }

    /// Returns whether lines wait to be written.
    pub(crate) fn is_failing(&self) -> bool {
        self.0.lines.as_ref().is_some_and(Lines::is_failing)
    }

    /// Checks that what a request is about to do can be told.
    ///
    /// # Errors
    /// 503 while earlier lines cannot be written, if the log is required.
    pub(crate) fn admit(&self) -> Result<(), HttpError> {
        self.check().map_err(|failing| HttpError::new(Code::Unavailable, failing.to_string()))
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
    pub(crate) fn write_refusal(&self, record: &Record<'_>) -> io::Result<Told> {
        let now = Instant::now();
        self.write_counts(now);
        if self.0.repeats.lock().is_repeated(record, now) {
            return Ok(Told::Counted);
        }
        self.write(record).map(|()| Told::Alone)
    }

    fn write_counts(&self, now: Instant) {
        let due = self.0.repeats.lock().take_due(now);
        for count in due {
            // It is kept and reported; the next line tells whether it could be written.
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
