//! Bytes in flight: a part of a key's budget and of everybody's.

use std::sync::Arc;

use meldb_http::Room;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Bytes that may be in flight, in units of 1 KiB, which is what a semaphore can count.
#[derive(Clone, Debug)]
pub(super) struct BytePool {
    units: Arc<Semaphore>,
    units_max: u32,
}

impl BytePool {
    pub(super) fn new(bytes_max: usize) -> Self {
        let units_max = units(bytes_max).max(1);
        Self { units: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    /// Waits for room. What is larger than the pool takes all of it.
    pub(super) async fn acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = units(bytes).min(self.units_max);
        // The semaphore is never closed.
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }

    pub(super) fn try_acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = units(bytes).min(self.units_max);
        Arc::clone(&self.units).try_acquire_many_owned(units).ok()
    }

    /// Takes what is left, up to `bytes`.
    pub(super) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = units(bytes) as usize;
        let left = self.units.available_permits().min(wanted);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        Arc::clone(&self.units).try_acquire_many_owned(left).ok()
    }
}

/// Returns how many KiB hold so many bytes.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

/// Bytes that count until this is dropped.
#[derive(Debug)]
pub(super) struct ByteCharge {
    pub(super) of_key: Option<OwnedSemaphorePermit>,
    pub(super) of_all: Option<OwnedSemaphorePermit>,
    pub(super) gauge: ByteGauge,
}

impl Room for ByteCharge {
    fn shrink_to(&mut self, bytes: usize) {
        let keep = units(bytes) as usize;
        for permit in [&mut self.of_key, &mut self.of_all].into_iter().flatten() {
            drop(permit.split(permit.num_permits().saturating_sub(keep)));
        }
        self.gauge.shrink_to(keep);
    }
}

/// The share of a charge in the metric of bytes in flight.
#[derive(Debug)]
pub(super) struct ByteGauge {
    metrics: Metrics,
    units: usize,
}

impl ByteGauge {
    pub(super) fn new(metrics: &Metrics, bytes: usize) -> Self {
        let units = units(bytes) as usize;
        metrics.bytes_in_flight(units as i64 * 1024);
        Self { metrics: metrics.clone(), units }
    }

    fn shrink_to(&mut self, units: usize) {
        let less = self.units.saturating_sub(units);
        self.units -= less;
        self.metrics.bytes_in_flight(-(less as i64 * 1024));
    }
}

impl Drop for ByteGauge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(pool: &BytePool, bytes: usize) -> ByteCharge {
        ByteCharge {
            of_key: pool.try_acquire(bytes),
            of_all: None,
            gauge: ByteGauge::new(&Metrics::default(), bytes),
        }
    }

    #[test]
    fn what_is_not_needed_is_given_back() {
        let pool = BytePool::new(10 << 10);
        let mut held = charge(&pool, 8 << 10);
        held.shrink_to(5000);
        assert_eq!(pool.units.available_permits(), 5);
        drop(held);
        assert_eq!(pool.units.available_permits(), 10);
    }

    #[test]
    fn what_is_larger_than_the_pool_takes_all_of_it() {
        let pool = BytePool::new(10 << 10);
        let all = pool.try_acquire(1 << 30).expect("the pool is empty");
        assert_eq!(all.num_permits(), 10);
        assert!(pool.try_acquire(1).is_none());
        assert_eq!(pool.take(1 << 30).map(|left| left.num_permits()), Some(0));
    }
}
