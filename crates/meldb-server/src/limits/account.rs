//! What one key has in flight.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use axum::http::{HeaderValue, header};
use meldb_http::{Budget, Code, HttpError, KeyId, Room, Waiting};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    Budgets,
    bytes::{ByteCharge, ByteGauge, BytePool},
};
use crate::metrics::{Limit, Metrics};

/// How many accounts are kept before those that rest are forgotten.
const KEPT_MIN: usize = 1024;

/// How many pieces of a key's streams are made at one time: however many streams wait for a change,
/// they take turns with everybody else's requests.
const PIECES_MADE_MAX: usize = 2;

/// The accounts of the keys that are in use.
pub(crate) struct Accounts {
    budgets: Budgets,
    all_bytes: BytePool,
    metrics: Metrics,
    keys: Mutex<Keys>,
    /// Of the operators of the local socket. It shares nothing with the keys' accounts, so that no
    /// client can keep an operator out.
    local: Arc<Account>,
}

struct Keys {
    accounts: HashMap<KeyId, Arc<Account>>,
    /// At how many those that rest are forgotten.
    forget_at: usize,
}

/// What one key has in flight: requests, streams, bytes.
pub(crate) struct Account {
    budgets: Budgets,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Turns to make a piece of a stream.
    turns: Arc<Semaphore>,
    /// Requests that wait for another one to end.
    waiting: AtomicUsize,
    bytes: BytePool,
    all_bytes: BytePool,
    metrics: Metrics,
}

impl Accounts {
    pub(crate) fn new(budgets: Budgets, metrics: Metrics) -> Self {
        let keys = Keys { accounts: HashMap::new(), forget_at: KEPT_MIN };
        let all_bytes = BytePool::new(budgets.bytes_max.get());
        let own_bytes = BytePool::new(budgets.bytes_per_key_max.get());
        let local = Arc::new(Account::new(budgets, own_bytes, metrics.clone()));
        Self { budgets, all_bytes, metrics, keys: Mutex::new(keys), local }
    }

    /// Returns the account of a key; without one, that of the local operators.
    pub(crate) fn of(&self, key: Option<&KeyId>) -> Arc<Account> {
        let Some(key) = key else { return Arc::clone(&self.local) };
        let mut keys = self.keys.lock();
        if let Some(account) = keys.accounts.get(key) {
            return Arc::clone(account);
        }
        if keys.accounts.len() >= keys.forget_at {
            keys.accounts.retain(|_, account| Arc::strong_count(account) > 1);
            keys.forget_at = KEPT_MIN.max(2 * keys.accounts.len());
        }
        let account = Account::new(self.budgets, self.all_bytes.clone(), self.metrics.clone());
        let account = Arc::new(account);
        keys.accounts.insert(key.clone(), Arc::clone(&account));
        account
    }
}

impl Account {
    fn new(budgets: Budgets, all_bytes: BytePool, metrics: Metrics) -> Self {
        Self {
            budgets,
            requests: Arc::new(Semaphore::new(budgets.requests_per_key_max.get())),
            streams: Arc::new(Semaphore::new(budgets.streams_per_key_max.get())),
            turns: Arc::new(Semaphore::new(PIECES_MADE_MAX)),
            waiting: AtomicUsize::new(0),
            bytes: BytePool::new(budgets.bytes_per_key_max.get()),
            all_bytes,
            metrics,
        }
    }

    /// Counts a request, once there is room for it.
    ///
    /// # Errors
    /// 429 when it has waited in vain, or when as many wait already as may be in flight.
    pub(crate) async fn begin_request(&self) -> Result<OwnedSemaphorePermit, HttpError> {
        if let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = InLine::begin(&self.waiting);
        let refused = || {
            let max = self.budgets.requests_per_key_max;
            let message = format!("the key has {max} requests in flight; wait for their answers");
            self.refused(Limit::Requests, Code::TooManyRequests, message)
        };
        if waiting.position > self.budgets.requests_per_key_max.get() {
            return Err(refused());
        }
        let permit = Arc::clone(&self.requests).acquire_owned();
        match timeout(self.budgets.wait, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(refused()),
        }
    }

    /// Counts bytes, once there is room for them.
    ///
    /// # Errors
    /// 429 when the key's own bytes leave no room in time, 503 when everybody's do.
    async fn acquire(&self, bytes: usize) -> Result<ByteCharge, HttpError> {
        let wait = async |pool: &BytePool| timeout(self.budgets.wait, pool.acquire(bytes)).await;
        let Ok(of_key) = wait(&self.bytes).await else {
            let message = "the key has too many bytes of bodies and answers in flight; \
                           read the answers, or send less at a time";
            return Err(self.refused(Limit::KeyBytes, Code::TooManyRequests, message.to_owned()));
        };
        let Ok(of_all) = wait(&self.all_bytes).await else {
            let message = "the server has too many bytes in flight; try again".to_owned();
            return Err(self.refused(Limit::AllBytes, Code::Unavailable, message));
        };
        Ok(self.charge(of_key, of_all, bytes))
    }

    fn charge(
        &self,
        of_key: Option<OwnedSemaphorePermit>,
        of_all: Option<OwnedSemaphorePermit>,
        bytes: usize,
    ) -> ByteCharge {
        ByteCharge { of_key, of_all, gauge: ByteGauge::new(&self.metrics, bytes) }
    }

    fn refused(&self, limit: Limit, code: Code, message: String) -> HttpError {
        self.metrics.over_budget(limit);
        HttpError::new(code, message)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }
}

impl Budget for Account {
    fn reserve(&self, bytes: usize) -> Waiting<'_, Result<Box<dyn Room>, HttpError>> {
        Box::pin(async move { Ok(Box::new(self.acquire(bytes).await?) as Box<dyn Room>) })
    }

    fn try_reserve(&self, bytes: usize) -> Option<Box<dyn Room>> {
        let of_key = self.bytes.try_acquire(bytes)?;
        let of_all = self.all_bytes.try_acquire(bytes)?;
        Some(Box::new(self.charge(Some(of_key), Some(of_all), bytes)))
    }

    fn take(&self, bytes: usize) -> Box<dyn Room> {
        Box::new(self.charge(self.bytes.take(bytes), self.all_bytes.take(bytes), bytes))
    }

    fn wait(&self, bytes: usize) -> Waiting<'_, Box<dyn Room>> {
        Box::pin(async move {
            let of_key = self.bytes.acquire(bytes).await;
            let of_all = self.all_bytes.acquire(bytes).await;
            Box::new(self.charge(of_key, of_all, bytes)) as Box<dyn Room>
        })
    }

    fn turn(&self) -> Waiting<'_, Option<OwnedSemaphorePermit>> {
        // The semaphore is never closed.
        Box::pin(async { Arc::clone(&self.turns).acquire_owned().await.ok() })
    }

    fn begin_stream(&self) -> Result<OwnedSemaphorePermit, HttpError> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let max = self.budgets.streams_per_key_max;
            let message = format!("the key has {max} streams open; close one before you open more");
            self.refused(Limit::Streams, Code::TooManyRequests, message)
        })
    }
}

/// One of those that wait.
struct InLine<'a> {
    count: &'a AtomicUsize,
    /// Which one it is, counted from 1.
    position: usize,
}

impl<'a> InLine<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        Self { count, position: count.fetch_add(1, Relaxed) + 1 }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}
