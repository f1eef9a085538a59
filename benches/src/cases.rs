//! A measurement that several kinds of store are put to, and how it is made.

use std::{cell::RefCell, hint::black_box};

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};

use crate::{
    documents,
    keys::{Distribution, Keys},
    kind::Kind,
    measure,
    stores::Stores,
    subjects::Durability,
};

const BATCH_MERGES: u64 = 100;

/// What is done in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads a document.
    Get,
    /// Reads 10,000 documents in id order.
    List,
    /// Replaces a document.
    Put,
    /// Merges one member into a document.
    Merge,
    /// Merges one member into each of 100 documents, in one atomic step.
    Batch,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The name that results are reported under.
    pub name: &'static str,
    /// What is done.
    pub verb: Verb,
    /// How long a document is.
    pub bytes: usize,
    /// How documents are chosen.
    pub distribution: Distribution,
    /// When a write returns.
    pub durability: Durability,
    /// How many threads do it at once.
    pub writers: usize,
    /// The kinds of store that are measured side by side.
    pub kinds: &'static [Kind],
    /// Whether it is part of a quick run.
    pub quick: bool,
}

impl Case {
    /// Measures all kinds of store, one after the other; `name` is what a kind is reported as.
    pub fn bench(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        stores: &mut Stores,
        name: impl Fn(Kind) -> String,
    ) {
        if measure::quick() && !self.quick {
            return;
        }
        let keys = Keys::new(stores.documents(self.bytes), self.distribution);
        let body = documents::document(self.bytes).into_bytes();
        for kind in self.kinds {
            group.bench_function(BenchmarkId::new(name(*kind), self.name), |bencher| {
                let open = stores.get(*kind, self.durability, self.bytes);
                let store = open.store();
                let id = |writer, turn| open.id(keys.number(writer, turn));
                measure::concurrently(bencher, self.writers, |writer, turn| match self.verb {
                    Verb::Get => store.get(id(writer, turn), &mut copy_out),
                    Verb::List => store.list("", 10_000, &mut copy_out),
                    Verb::Put => store.put(id(writer, turn), &body),
                    Verb::Merge => {
                        store.merge(id(writer, turn), documents::one_member(turn).as_bytes());
                    }
                    Verb::Batch => {
                        let turns = turn * BATCH_MERGES..(turn + 1) * BATCH_MERGES;
                        let ids: Vec<&str> = turns.map(|turn| id(writer, turn)).collect();
                        store.merge_all(&ids, documents::one_member(turn).as_bytes());
                    }
                });
            });
        }
    }
}

/// Copies a text out of the store, as one who sends it somewhere does. Without this, an engine that
/// only points at its own memory would seem to read without reading.
fn copy_out(text: &[u8]) {
    thread_local! {
        static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    OUT.with_borrow_mut(|out| {
        out.clear();
        out.extend_from_slice(text);
        black_box(out);
    });
}
