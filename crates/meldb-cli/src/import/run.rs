//! The import itself: many writes in flight, results in the order of the lines.

use std::{
    collections::HashSet,
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use meldb::verb::Kind;
use tokio::sync::mpsc;

use super::{
    Counts, Input, Layout, Mark, RecordFile,
    lines::{LINE_BYTES_MAX, Line},
};
use crate::{
    address::Address,
    backend::{Backend, Change, Effect},
    failure::{Code, Failure, Result},
};

/// The lines that are read ahead.
const LINES_AHEAD: usize = 256;
/// The bytes of text in flight after which no further line is taken in.
const BYTES_IN_FLIGHT: u64 = 32 << 20;
/// How often the record is written.
const RECORD_INTERVAL: Duration = Duration::from_millis(500);

/// What an import is told while it runs.
pub(crate) trait Observer {
    /// Lines of this many bytes have been dealt with, so far.
    fn progress(&mut self, counts: &Counts);
    /// A line was not imported.
    fn bad_line(&mut self, number: u64, failure: &Failure);
}

/// An import, ready to run.
pub(crate) struct Import<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) layout: Layout,
    /// What to do with each document, but for its address.
    pub(crate) change: Change,
    pub(crate) in_flight_max: usize,
    pub(crate) record: Option<RecordFile>,
    /// What was done before, by the run that this one continues.
    pub(crate) counts: Counts,
}

/// A line on its way.
struct Done {
    line: u64,
    bytes: u64,
    address: Option<Address>,
    mark: Option<Mark>,
    result: Result<Option<Effect>>,
}

type Flight<'a> = Pin<Box<dyn Future<Output = Done> + 'a>>;

/// What a line asks for.
enum Asked {
    /// A document to be written.
    ///
    /// Without a text it is to be deleted, if it is there.
    Write(Line, Address, Option<bytes::Bytes>),
    /// No write: the line is empty or bad, and done with.
    Nothing(Done),
}

impl Import<'_> {
    /// Imports what `input` still holds, and returns what was done in all.
    ///
    /// # Errors
    /// What keeps the rest from being imported as well; the record says how far it came.
    pub(crate) async fn run(self, input: Input, observer: &mut impl Observer) -> Result<Counts> {
        let mut lines = read_ahead(input);
        let mut flights: FuturesOrdered<Flight<'_>> = FuturesOrdered::new();
        let mut progress = Progress::new(self.record.clone(), self.counts);
        let mut busy = HashSet::new();
        let mut held: Option<(Line, Address, Option<bytes::Bytes>)> = None;
        let mut bytes_in_flight = 0;
        let mut ended = false;
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            // Two writes of one document are never in flight together: the later line must win.
            if let Some((line, address, text)) = held.take_if(|held| !busy.contains(&held.1)) {
                bytes_in_flight += line.bytes;
                busy.insert(address.clone());
                flights.push_back(Box::pin(self.fly(line, address, text)));
            }
            if ended && held.is_none() && flights.is_empty() {
                break;
            }
            let room = flights.len() < self.in_flight_max && bytes_in_flight < BYTES_IN_FLIGHT;
            tokio::select! {
                biased;
                Some(done) = flights.next(), if !flights.is_empty() => {
                    if let Some(address) = &done.address {
                        busy.remove(address);
                        bytes_in_flight -= done.bytes;
                    }
                    progress.take(done, observer)?;
                }
                line = lines.recv(), if room && !ended && held.is_none() => match line {
                    None => ended = true,
                    Some(line) => match self.read(line?) {
                        Asked::Write(line, address, text) => held = Some((line, address, text)),
                        Asked::Nothing(done) => {
                            flights.push_back(Box::pin(std::future::ready(done)));
                        }
                    },
                },
                _ = &mut interrupted => {
                    progress.save()?;
                    return Err(Failure::interrupted());
                }
            }
        }
        if let Some(record) = &self.record {
            record.remove()?;
        }
        Ok(progress.counts)
    }

    fn read(&self, line: Line) -> Asked {
        let asked = match &line.text {
            None => Err(Failure::new(
                Code::PayloadTooLarge,
                format!("the line is longer than {LINE_BYTES_MAX} bytes"),
            )),
            Some(text) if text.trim_ascii().is_empty() => Ok(None),
            Some(text) => self.layout.read(text).map(Some),
        };
        match asked {
            Ok(Some((address, text))) => Asked::Write(line, address, text),
            nothing => Asked::Nothing(Done {
                line: line.number,
                bytes: line.bytes,
                address: None,
                mark: line.mark,
                result: nothing.map(|_| None),
            }),
        }
    }

    async fn fly(&self, line: Line, address: Address, text: Option<bytes::Bytes>) -> Done {
        let mut change = Change { address: address.clone(), ..self.change.clone() };
        let deletes = text.is_none();
        if deletes {
            change.verb = Kind::Delete;
        }
        let result = self.backend.write(change, text.unwrap_or_default()).await;
        if deletes && result.as_ref().is_err_and(|failure| failure.code == Code::NotFound) {
            let (line, bytes, mark) = (line.number, line.bytes, line.mark);
            let result = Ok(Some(Effect::Unchanged));
            return Done { line, bytes, address: Some(address), mark, result };
        }
        Done {
            line: line.number,
            bytes: line.bytes,
            address: Some(address),
            mark: line.mark,
            result: result.map(|outcome| Some(outcome.effect)),
        }
    }
}

/// Reads lines on a thread of its own, so that a slow input does not hold up writes.
fn read_ahead(mut input: Input) -> mpsc::Receiver<Result<Line>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        while let Some(line) = input.next().transpose() {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// What has been dealt with, in the order of the lines.
pub(super) struct Progress {
    record: Option<RecordFile>,
    pub(super) counts: Counts,
    /// The last mark behind which everything is dealt with, and the counts there.
    reached: Option<(Mark, Counts)>,
    saved: Instant,
}

impl Progress {
    pub(super) fn new(record: Option<RecordFile>, counts: Counts) -> Self {
        Self { record, counts, reached: None, saved: Instant::now() }
    }

    fn take(&mut self, done: Done, observer: &mut impl Observer) -> Result<()> {
        match done.result {
            Ok(None) => {}
            Ok(Some(Effect::Created)) => self.counts.created += 1,
            Ok(Some(Effect::Replaced)) => self.counts.replaced += 1,
            Ok(Some(Effect::Unchanged)) => self.counts.unchanged += 1,
            Ok(Some(Effect::Deleted)) => self.counts.deleted += 1,
            Ok(Some(Effect::Merged | Effect::Patched)) => self.counts.merged += 1,
            Err(failure) if is_of_the_line(failure.code) => {
                self.counts.bad += 1;
                observer.bad_line(done.line, &failure);
            }
            Err(failure) => {
                self.save()?;
                let message = format!("line {}: {}", done.line, failure.message);
                return Err(Failure { message, ..failure });
            }
        }
        self.counts.bytes += done.bytes;
        observer.progress(&self.counts);
        self.reach(done.mark)
    }

    /// Everything up to a mark is done.
    pub(super) fn reach(&mut self, mark: Option<Mark>) -> Result<()> {
        if let Some(mark) = mark {
            self.reached = Some((mark, self.counts));
        }
        if self.saved.elapsed() >= RECORD_INTERVAL { self.save() } else { Ok(()) }
    }

    pub(super) fn save(&mut self) -> Result<()> {
        self.saved = Instant::now();
        match (&self.record, self.reached.take()) {
            (Some(record), Some((mark, counts))) => record.save(&mark, counts),
            _ => Ok(()),
        }
    }
}

/// Returns whether a failure speaks of one line, and the next one may well succeed.
fn is_of_the_line(code: Code) -> bool {
    matches!(
        code,
        Code::Usage
            | Code::BadRequest
            | Code::NotFound
            | Code::PreconditionFailed
            | Code::Conflict
            | Code::PayloadTooLarge
    )
}
