//! Locks and channels of the queue, from shuttle.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::PoisonError,
};

pub(super) use shuttle::thread;

thread_local! {
    // shuttle runs all threads of a test on the test's own.
    static LOSES_WAKE_UPS: Cell<bool> = const { Cell::new(false) };
    static LOSES_ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// Plants a bug: whoever waits for the condition is not woken.
pub(super) fn lose_wake_ups() {
    LOSES_WAKE_UPS.set(true);
}

/// Plants a bug: whoever waits for an answer already is not woken by it.
pub(super) fn lose_answers() {
    LOSES_ANSWERS.set(true);
}

pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// Empty only while its owner waits for a condition.
pub(super) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("not waiting")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("not waiting")
    }
}

pub(super) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(super) fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    pub(super) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("not waiting");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn notify_one(&self) {
        if !LOSES_WAKE_UPS.get() {
            self.0.notify_one();
        }
    }
}

/// As much of the crate of this name as the queue uses.
pub(super) mod oneshot {
    use std::{
        pin::Pin,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use super::{Condvar, LOSES_ANSWERS, Mutex};

    struct Shared<T> {
        slot: Mutex<Slot<T>>,
        filled: Condvar,
    }

    struct Slot<T> {
        value: Option<T>,
        sender_gone: bool,
        receiver_gone: bool,
        waker: Option<Waker>,
    }

    /// The other end is gone.
    #[derive(Debug)]
    pub(in super::super) struct Disconnected;

    pub(in super::super) struct Sender<T>(Arc<Shared<T>>);
    pub(in super::super) struct Receiver<T>(Arc<Shared<T>>);

    pub(in super::super) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let slot = Slot { value: None, sender_gone: false, receiver_gone: false, waker: None };
        let shared = Arc::new(Shared { slot: Mutex::new(slot), filled: Condvar::new() });
        (Sender(Arc::clone(&shared)), Receiver(shared))
    }

    pub(in super::super) fn async_channel<T>() -> (Sender<T>, Receiver<T>) {
        channel()
    }

    impl<T> Sender<T> {
        pub(in super::super) fn send(self, value: T) -> Result<(), Disconnected> {
            let mut slot = self.0.slot.lock();
            if slot.receiver_gone {
                return Err(Disconnected);
            }
            slot.value = Some(value);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let mut slot = self.0.slot.lock();
            slot.sender_gone = true;
            let waker = slot.waker.take();
            drop(slot);
            if LOSES_ANSWERS.get() {
                return;
            }
            self.0.filled.notify_one();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    impl<T> Receiver<T> {
        pub(in super::super) fn recv(self) -> Result<T, Disconnected> {
            let mut slot = self.0.slot.lock();
            while !slot.sender_gone {
                self.0.filled.wait(&mut slot);
            }
            slot.value.take().ok_or(Disconnected)
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, Disconnected>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut slot = self.0.slot.lock();
            if slot.sender_gone {
                return Poll::Ready(slot.value.take().ok_or(Disconnected));
            }
            slot.waker = Some(context.waker().clone());
            Poll::Pending
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            self.0.slot.lock().receiver_gone = true;
        }
    }
}
