//! The queue: who leads and who waits, as [`super`] describes.

use std::{
    hash::Hash,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use super::{
    queue::{FairQueue, Weight},
    sync::{
        Condvar, Mutex, oneshot,
        thread::{self, JoinHandle},
    },
};

/// What a queue does with a group.
pub(crate) trait Commit: Send + Sync + 'static {
    /// One caller's write.
    type Write: Send + 'static;
    /// What the caller gets back.
    type Answer: Send + 'static;
    /// Whose write it is: owners take turns.
    type Owner: Clone + Eq + Hash + Send + 'static;

    /// Commits a group in order and returns what became of each write.
    ///
    /// The first one is always made. Of the others some may be left for the next group; then so are
    /// all behind it of the same owner.
    fn commit(&self, group: Vec<Self::Write>) -> Vec<Done<Self::Write, Self::Answer>>;

    /// Returns whose write it is.
    fn owner(write: &Self::Write) -> Self::Owner;

    /// Returns what a write adds to its group.
    fn weight(write: &Self::Write) -> Weight;

    /// Returns the answer to a write for which there is no room.
    fn refuse(write: Self::Write) -> Self::Answer;
}

/// What became of a write in a group.
pub(crate) enum Done<W, A> {
    /// It was made, or refused for good.
    Answered(A),
    /// It is for the next group.
    Left(W),
}

/// One order of writes, committed in groups.
pub(crate) struct CommitQueue<C: Commit> {
    shared: Arc<Shared<C>>,
}

struct Shared<C: Commit> {
    commit: Arc<C>,
    state: Mutex<State<C>>,
    thread_turn: Condvar,
    name: String,
}

struct State<C: Commit> {
    queue: FairQueue<C::Owner, Queued<C>>,
    /// Somebody leads, or has been told to.
    led: bool,
    /// The queue's thread is to lead.
    thread_leads: bool,
    closed: bool,
    /// The queue's thread has been started; it lives as long as the queue.
    has_thread: bool,
    /// It, until the queue is dropped and waits for its end.
    thread: Option<JoinHandle<()>>,
}

struct Queued<C: Commit> {
    write: C::Write,
    reply: Reply<C>,
}

enum Reply<C: Commit> {
    Blocking(oneshot::Sender<Turn<C>>),
    Future(oneshot::Sender<C::Answer>),
}

/// What a waiting blocking caller is woken with.
enum Turn<C: Commit> {
    Answer(C::Answer),
    /// Lead the next group, which begins with the caller's own write.
    Lead(C::Write),
}

impl<C: Commit> CommitQueue<C> {
    /// Returns an idle queue; `name` is its thread's, should it need one.
    pub(crate) fn new(commit: Arc<C>, name: String) -> Self {
        let state = State {
            queue: FairQueue::new(),
            led: false,
            thread_leads: false,
            closed: false,
            has_thread: false,
            thread: None,
        };
        let shared = Shared { commit, state: Mutex::new(state), thread_turn: Condvar::new(), name };
        Self { shared: Arc::new(shared) }
    }

    /// Commits `write` and returns its answer; `None` if the leader of its group panicked.
    pub(crate) fn write(&self, write: C::Write) -> Option<C::Answer> {
        let mut state = self.shared.state.lock();
        if !state.led {
            state.led = true;
            state.queue.begin_group();
            state.queue.charge(C::owner(&write), C::weight(&write));
            drop(state);
            return self.shared.lead(write);
        }
        let (sender, receiver) = oneshot::channel();
        state.join(Queued { write, reply: Reply::Blocking(sender) });
        drop(state);
        match receiver.recv().ok()? {
            Turn::Answer(answer) => Some(answer),
            Turn::Lead(write) => self.shared.lead(write),
        }
    }

    /// Returns whether nothing waits and nobody leads.
    #[allow(dead_code, reason = "the copy that the schedules compile has no use for it")]
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.shared.state.lock();
        !state.led && state.queue.is_empty()
    }

    /// Joins `write` to the queue and returns its answer when it is committed; `None` if the leader
    /// of its group panicked.
    ///
    /// The write has joined when this function returns: dropping the future does not take it back.
    /// Where too much of its owner waits, it is refused.
    pub(crate) fn write_async(
        &self,
        write: C::Write,
    ) -> impl Future<Output = Option<C::Answer>> + Send + use<C> {
        let (sender, receiver) = oneshot::async_channel();
        let mut state = self.shared.state.lock();
        let refused = if state.queue.has_room(&C::owner(&write), C::weight(&write)) {
            state.join(Queued { write, reply: Reply::Future(sender) });
            if !state.led {
                state.led = true;
                state.queue.begin_group();
                self.shared.wake_thread(&mut state);
            }
            None
        } else {
            Some(C::refuse(write))
        };
        drop(state);
        async move {
            match refused {
                Some(refusal) => Some(refusal),
                None => receiver.await.ok(),
            }
        }
    }
}

impl<C: Commit> State<C> {
    fn join(&mut self, queued: Queued<C>) {
        let (owner, weight) = (C::owner(&queued.write), C::weight(&queued.write));
        self.queue.push(owner, queued, weight);
    }

    fn put_back(&mut self, queued: Queued<C>) {
        let (owner, weight) = (C::owner(&queued.write), C::weight(&queued.write));
        self.queue.put_back(owner, queued, weight);
    }
}

impl<C: Commit> Drop for CommitQueue<C> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let thread = state.thread.take();
        drop(state);
        self.shared.thread_turn.notify_one();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // A thread that panicked has dropped its replies, and so told its callers.
            thread.join().ok();
        }
    }
}

impl<C: Commit> Shared<C> {
    /// Commits the group that begins with the leader's own write, and returns its answer.
    fn lead(self: &Arc<Self>, own: C::Write) -> Option<C::Answer> {
        let turn = Leadership(self);
        let mut writes = vec![own];
        let replies = self.gather(&mut writes);
        let mut done = self.commit.commit(writes).into_iter();
        let answer = match done.next() {
            Some(Done::Answered(answer)) => Some(answer),
            // The first one is always made.
            Some(Done::Left(_)) | None => None,
        };
        // IMPORTANT: answer first, hand over then. Writers that come back at once with their next
        // write still join the next group; the other way round the writers fall apart into two
        // halves that take turns, and every sync serves half as many.
        self.send(replies, done);
        drop(turn);
        answer
    }

    /// Takes the writes that share the next commit out of the queue.
    fn gather(&self, writes: &mut Vec<C::Write>) -> Vec<Reply<C>> {
        let mut weight = Weight::default();
        writes.iter().for_each(|write| weight += C::weight(write));
        let mut state = self.state.lock();
        let mut replies = Vec::new();
        while !weight.is_full() {
            let next = if writes.is_empty() { state.queue.pop_any() } else { state.queue.pop() };
            let Some((Queued { write, reply }, of_write)) = next else { break };
            weight += of_write;
            writes.push(write);
            replies.push(reply);
        }
        replies
    }

    /// Makes somebody lead the writes that have gathered, or leaves the queue idle.
    fn hand_over(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.queue.begin_group();
        while let Some((Queued { write, reply }, _)) = state.queue.pop_any() {
            match reply {
                // A blocking caller waits until it is answered, so the send cannot fail.
                Reply::Blocking(sender) => {
                    if sender.send(Turn::Lead(write)).is_ok() {
                        return;
                    }
                }
                Reply::Future(_) => {
                    state.put_back(Queued { write, reply });
                    self.wake_thread(&mut state);
                    return;
                }
            }
        }
        state.led = false;
    }

    fn wake_thread(self: &Arc<Self>, state: &mut State<C>) {
        state.thread_leads = true;
        if state.has_thread {
            self.thread_turn.notify_one();
            return;
        }
        let shared = Arc::clone(self);
        let spawned =
            thread::Builder::new().name(self.name.clone()).spawn(move || shared.run_thread());
        match spawned {
            Ok(thread) => {
                state.has_thread = true;
                state.thread = Some(thread);
            }
            // Without a thread the writes are not made, and their callers get an error.
            Err(_) => {
                state.queue.clear();
                state.thread_leads = false;
                state.led = false;
            }
        }
    }

    fn run_thread(self: Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            while !state.thread_leads {
                if state.closed {
                    return;
                }
                self.thread_turn.wait(&mut state);
            }
            state.thread_leads = false;
            drop(state);
            // The callers of a group that panics are told so by their dropped replies; the thread
            // must live on for the groups after it.
            panic::catch_unwind(AssertUnwindSafe(|| self.lead_for_futures())).ok();
        }
    }

    fn lead_for_futures(self: &Arc<Self>) {
        let turn = Leadership(self);
        // Where processors are short, the tasks that are about to write go first and share the
        // commit; where they are not, this returns at once.
        thread::yield_now();
        let mut writes = Vec::new();
        let replies = self.gather(&mut writes);
        let done = self.commit.commit(writes).into_iter();
        self.send(replies, done);
        drop(turn);
    }

    /// Answers the callers of a group, and puts back what is left for the next one.
    fn send(&self, replies: Vec<Reply<C>>, done: impl Iterator<Item = Done<C::Write, C::Answer>>) {
        let mut left = Vec::new();
        for (reply, done) in replies.into_iter().zip(done) {
            // A caller that gave up its future does not want its answer.
            match (done, reply) {
                (Done::Answered(answer), Reply::Blocking(sender)) => {
                    drop(sender.send(Turn::Answer(answer)));
                }
                (Done::Answered(answer), Reply::Future(sender)) => drop(sender.send(answer)),
                (Done::Left(write), reply) => left.push(Queued { write, reply }),
            }
        }
        if !left.is_empty() {
            let mut state = self.state.lock();
            left.into_iter().rev().for_each(|queued| state.put_back(queued));
        }
    }
}

/// Hands the queue over when it is dropped, also by a panic.
struct Leadership<'a, C: Commit>(&'a Arc<Shared<C>>);

impl<C: Commit> Drop for Leadership<'_, C> {
    fn drop(&mut self) {
        self.0.hand_over();
    }
}
