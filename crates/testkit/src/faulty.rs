//! An engine that fails on command.

mod bugs;
mod early;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use meldb::engine::kv::{Batch, KeyRange, Kv, KvError, KvErrorKind, KvIter, Persist};
use parking_lot::Mutex;

use self::early::EarlyKv;

pub use self::bugs::{StaleKv, TearingKv};

/// Whether a failing apply has reached the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It fails before the engine has seen the batch.
    Before,
    /// The engine has applied the batch, and it fails all the same.
    After,
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// One call fails, and the next ones succeed.
    Once,
    /// Every call fails from then on, until [`Faults::clear`].
    ForGood,
}

/// The handle by which a test commands a [`FaultyKv`]; clones command the same one.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    kind: Option<KvErrorKind>,
    apply: Option<(Fault, When)>,
    get: Option<Fault>,
    range: Option<Fault>,
    flip: Option<Fault>,
    applies: u64,
    struck: u64,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    /// How many calls there are until the one that fails, that one included.
    calls_left: u64,
    lasting: Lasting,
}

impl Fault {
    fn new(nth: u64, lasting: Lasting) -> Self {
        Self { calls_left: nth.max(1), lasting }
    }

    /// Counts a call and returns whether it fails.
    fn strikes(fault: &mut Option<Self>) -> bool {
        let Some(Self { calls_left, lasting }) = fault else { return false };
        *calls_left = calls_left.saturating_sub(1);
        let strikes = *calls_left == 0;
        if strikes && *lasting == Lasting::Once {
            *fault = None;
        }
        strikes
    }
}

impl Faults {
    /// Makes the `nth` apply from now fail; the next one is the first.
    pub fn fail_apply(&self, nth: u64, when: When, lasting: Lasting) {
        self.0.lock().apply = Some((Fault::new(nth, lasting), when));
    }

    /// Makes the `nth` get from now fail.
    pub fn fail_get(&self, nth: u64, lasting: Lasting) {
        self.0.lock().get = Some(Fault::new(nth, lasting));
    }

    /// Makes the `nth` entry fail that any range returns from now on; it ends its walk.
    pub fn fail_range(&self, nth: u64, lasting: Lasting) {
        self.0.lock().range = Some(Fault::new(nth, lasting));
    }

    /// Flips a bit of the `nth` value that is read from now on, by a get or a range; values that
    /// are empty do not count.
    pub fn flip_bit(&self, nth: u64) {
        self.0.lock().flip = Some(Fault::new(nth, Lasting::Once));
    }

    /// Sets the kind of the errors; [`KvErrorKind::Io`] at first.
    pub fn set_kind(&self, kind: KvErrorKind) {
        self.0.lock().kind = Some(kind);
    }

    /// Takes back every fault that was commanded.
    pub fn clear(&self) {
        let mut plan = self.0.lock();
        *plan = Plan { applies: plan.applies, ..Plan::default() };
    }

    /// Returns how often apply has been called, failures included.
    pub fn applies(&self) -> u64 {
        self.0.lock().applies
    }

    /// Returns how many calls have failed since the faults were cleared.
    pub fn struck(&self) -> u64 {
        self.0.lock().struck
    }

    fn error(&self, doing: &str) -> KvError {
        let kind = self.0.lock().kind.unwrap_or(KvErrorKind::Io);
        KvError::new(kind, format!("{doing} fails because a test asked for it"))
    }

    fn apply_strikes(&self) -> Option<When> {
        let mut plan = self.0.lock();
        plan.applies += 1;
        let (fault, when) = plan.apply?;
        let mut fault = Some(fault);
        let strikes = Fault::strikes(&mut fault);
        plan.apply = fault.map(|fault| (fault, when));
        plan.struck += u64::from(strikes);
        strikes.then_some(when)
    }

    /// Counts a call and returns whether it fails.
    fn strikes(&self, fault: impl FnOnce(&mut Plan) -> &mut Option<Fault>) -> bool {
        let mut plan = self.0.lock();
        let strikes = Fault::strikes(fault(&mut plan));
        plan.struck += u64::from(strikes);
        strikes
    }

    /// Returns the value as this read gives it.
    fn read(&self, value: Bytes) -> Bytes {
        if value.is_empty() || !Fault::strikes(&mut self.0.lock().flip) {
            return value;
        }
        let mut flipped = value.to_vec();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x10;
        flipped.into()
    }
}

/// Any engine, with faults.
///
/// Without a command it does what the engine inside does.
pub struct FaultyKv {
    inner: Box<dyn Kv>,
    faults: Faults,
}

impl FaultyKv {
    /// Returns `inner` with the handle that commands its faults.
    pub fn new(inner: impl Kv) -> (Self, Faults) {
        let faults = Faults::default();
        (Self { inner: Box::new(inner), faults: faults.clone() }, faults)
    }

    /// Returns `inner` with a bug in it: a batch is acknowledged at once, synced or not, is held in
    /// the process's memory, and reaches `inner` only `delay` later.
    ///
    /// Nobody notices as long as the process lives, because reads are answered from what is held
    /// as well, and a close writes it. This is the bug that a crash test has to find.
    pub fn acknowledging_early(inner: impl Kv, delay: Duration) -> (Self, Faults) {
        Self::new(EarlyKv::new(Arc::new(inner), delay))
    }
}

impl Kv for FaultyKv {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        if self.faults.strikes(|plan| &mut plan.get) {
            return Err(self.faults.error("a get"));
        }
        let value = self.inner.get(key)?;
        Ok(value.map(|value| self.faults.read(value)))
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        Box::new(FaultyWalk { walk: Some(self.inner.range(range)), faults: &self.faults })
    }

    fn compact(&self) -> Result<(), KvError> {
        self.inner.compact()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        match self.faults.apply_strikes() {
            None => self.inner.apply(batch, persist),
            Some(When::Before) => Err(self.faults.error("an apply")),
            Some(When::After) => {
                self.inner.apply(batch, persist)?;
                Err(self.faults.error("an apply that was made"))
            }
        }
    }
}

struct FaultyWalk<'a> {
    walk: Option<KvIter<'a>>,
    faults: &'a Faults,
}

impl FaultyWalk<'_> {
    fn entry(&mut self, entry: <Self as Iterator>::Item) -> <Self as Iterator>::Item {
        if self.faults.strikes(|plan| &mut plan.range) {
            self.walk = None;
            return Err(self.faults.error("a range"));
        }
        entry.map(|(key, value)| (key, self.faults.read(value)))
    }
}

impl Iterator for FaultyWalk<'_> {
    type Item = Result<(Bytes, Bytes), KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.walk.as_mut()?.next()?;
        Some(self.entry(entry))
    }
}

impl DoubleEndedIterator for FaultyWalk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.walk.as_mut()?.next_back()?;
        Some(self.entry(entry))
    }
}
