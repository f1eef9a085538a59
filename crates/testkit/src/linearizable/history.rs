//! Recording what threads ask for, and what they are answered.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use parking_lot::Mutex;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use super::{
    document::{Answer, Call},
    pair::{DOCUMENTS, Pair, Request, Response},
};
use crate::random::Random;

const CALLS: u64 = 7;

/// What a caller hears of a request.
#[derive(Debug)]
pub enum Heard {
    /// What it came to.
    Response(Response),
    /// Nothing of it was done.
    NotDone,
    /// Nothing, or nothing that tells its outcome.
    Nothing,
}

/// Who asks for something and is answered, in one thread.
pub trait Caller {
    /// Makes a request.
    fn ask(&mut self, request: &Request, random: &mut Random) -> Heard;

    /// Returns a merge on a condition on this revision.
    fn conditional(&self, revision: u64, member: char, number: u64, random: &mut Random) -> Call {
        let _ = random;
        Call::MergeAt(revision, member, number)
    }

    /// Returns whether further requests can be answered.
    fn goes_on(&self) -> bool {
        true
    }
}

/// What was asked for and answered.
#[derive(Debug)]
pub struct History {
    callers: u64,
    /// How many of them only read, and do so more often.
    lookers: u64,
    events: Mutex<Vec<Event>>,
    threads: AtomicU64,
    answers: AtomicU64,
    unknown: AtomicU64,
}

/// A request that is made or answered, in this thread.
#[derive(Debug)]
enum Event {
    Invoked(u64, Request),
    Returned(u64, Response),
    /// Nothing of the thread's last request was done.
    NotDone(u64),
}

impl Default for History {
    fn default() -> Self {
        Self::of_callers(4)
    }
}

impl History {
    /// Returns an empty history of so many callers at a time.
    ///
    /// That there is no order which explains the answers takes a search through all of them: hardly any time
    /// with two callers, and minutes with four.
    pub fn of_callers(callers: u64) -> Self {
        Self {
            callers,
            lookers: 0,
            events: Mutex::default(),
            threads: AtomicU64::default(),
            answers: AtomicU64::default(),
            unknown: AtomicU64::default(),
        }
    }

    /// Returns an empty history of one caller that is watched by another one.
    pub fn watched() -> Self {
        Self { lookers: 1, ..Self::of_callers(2) }
    }

    /// Lets the callers loose on the documents, one in each thread, and waits for their ends.
    ///
    /// The history goes on with what is recorded later. A thread that gets no caller asks for
    /// nothing.
    pub fn record<C: Caller>(&self, seed: u64, caller: impl Fn() -> Option<C> + Sync) {
        thread::scope(|scope| {
            for thread in 0..self.callers {
                let (caller, random) = (&caller, Random::new(seed * self.callers + thread));
                let looks_on = thread < self.lookers;
                scope.spawn(move || caller().map(|caller| self.call(caller, looks_on, random)));
            }
        });
    }

    fn call(&self, mut caller: impl Caller, looks_on: bool, mut random: Random) {
        let mut thread = self.new_thread();
        let mut seen = [None; DOCUMENTS];
        let mut writes = !looks_on;
        for n in 0..if looks_on { 4 * CALLS } else { CALLS } {
            let number = thread * 100 + n;
            let request = match writes {
                true => request(&caller, &seen, number, &mut random),
                false => vec![(random.below(DOCUMENTS as u64) as usize, Call::Get)],
            };
            self.events.lock().push(Event::Invoked(thread, request.clone()));
            match caller.ask(&request, &mut random) {
                Heard::Response(response) => {
                    self.answers.fetch_add(1, Relaxed);
                    note(&request, &response, &mut seen);
                    self.events.lock().push(Event::Returned(thread, response));
                }
                Heard::NotDone => {
                    self.events.lock().push(Event::NotDone(thread));
                    writes = false;
                }
                Heard::Nothing => {
                    self.unknown.fetch_add(1, Relaxed);
                    if !caller.goes_on() {
                        return;
                    }
                    // Whose request was not answered looks on, and is somebody else.
                    writes = false;
                    thread = self.new_thread();
                }
            }
        }
    }

    fn new_thread(&self) -> u64 {
        self.threads.fetch_add(1, Relaxed)
    }

    /// Returns how many requests were answered.
    pub fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// Returns of how many requests the outcome is unknown.
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Relaxed)
    }

    /// Returns whether there is an order that explains every answer.
    ///
    /// # Panics
    /// If a thread is answered what it has not asked.
    pub fn is_linearizable(&self) -> bool {
        let events = self.events.lock();
        let mut tester = LinearizabilityTester::new(Pair::new());
        for (number, event) in events.iter().enumerate() {
            let fed = match event {
                Event::Invoked(thread, request) if matters(&events[number..], *thread, request) => {
                    tester.on_invoke(*thread, (number, request.clone())).map(drop)
                }
                Event::Returned(thread, response) => {
                    tester.on_return(*thread, response.clone()).map(drop)
                }
                _ => Ok(()),
            };
            fed.expect("each thread is answered before it goes on");
        }
        tester.is_consistent()
    }

    /// Asserts that there is such an order.
    ///
    /// # Panics
    /// If there is none.
    pub fn assert_linearizable(&self, seed: u64) {
        assert!(self.is_linearizable(), "seed {seed}: {:#?}", self.events.lock());
    }
}

/// Returns whether the first of these events, this request of a thread, may have done something or
/// told something: neither has a read without an answer, nor what was not done.
fn matters(events: &[Event], thread: u64, request: &Request) -> bool {
    let end = events[1..].iter().find_map(|event| match event {
        Event::Returned(of, _) if *of == thread => Some(true),
        Event::NotDone(of) if *of == thread => Some(false),
        _ => None,
    });
    end.unwrap_or_else(|| request.iter().any(|(_, call)| *call != Call::Get))
}

/// Returns a random request of who has seen the documents at these revisions.
fn request(
    caller: &impl Caller,
    seen: &[Option<u64>; DOCUMENTS],
    number: u64,
    random: &mut Random,
) -> Request {
    let document = random.below(DOCUMENTS as u64) as usize;
    if random.one_in(4) {
        // In any order.
        let documents = [document, (document + 1) % DOCUMENTS];
        return documents.map(|document| (document, write(seen[document], number, random))).into();
    }
    let call = match (random.below(8), seen[document]) {
        (0..=2, _) => Call::Get,
        (3 | 4, Some(revision)) => {
            caller.conditional(revision, *random.pick(&['b', 'c']), number, random)
        }
        (_, revision) => write(revision, number, random),
    };
    vec![(document, call)]
}

/// Returns a write that can be part of a batch.
fn write(revision: Option<u64>, number: u64, random: &mut Random) -> Call {
    let member = *random.pick(&['b', 'c']);
    match (random.below(7), revision) {
        (0 | 1, _) => Call::Put(number),
        (2, _) => Call::Insert(number),
        (3, _) => Call::Delete,
        (4, Some(revision)) => Call::MergeAt(revision, member, number),
        _ => Call::Merge(member, number),
    }
}

/// Notes the revisions at which the documents were seen.
fn note(request: &Request, response: &Response, seen: &mut [Option<u64>; DOCUMENTS]) {
    let Response::Done(answers) = response else { return };
    for ((document, _), answer) in request.iter().zip(answers) {
        if let Answer::Found(Some((revision, _))) | Answer::Written(Some(revision), _) = answer {
            seen[*document] = Some(*revision);
        }
    }
}
