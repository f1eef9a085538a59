//! The process that is killed: eight threads that write and tell.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process,
    sync::Mutex,
    thread,
    time::Duration,
};

use meldb::{
    Batch, Builder, DocumentRef, Durability, EngineKind, Store,
    engine::kv::{Kv, fjall::FjallKv, sled::SledKv},
};

use super::work::{self, DOCUMENTS, Intent, Line, THREADS, Verb};
use crate::{faulty::FaultyKv, futures::block_on, random::Random};

/// How long the writer lives when nobody kills it.
const LIFETIME: Duration = Duration::from_secs(60);

/// How a writer is told what to do; its arguments on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) dir: PathBuf,
    pub(super) engine: EngineKind,
    pub(super) durability: Durability,
    pub(super) seed: u64,
    /// The number of each thread's first write.
    pub(super) first: u64,
    /// How much too early the engine acknowledges, in milliseconds; zero for an honest engine.
    pub(super) early_ms: u64,
}

impl Orders {
    /// Returns the orders as arguments.
    pub(super) fn to_args(&self) -> [String; 6] {
        let durability = match self.durability {
            Durability::Synced => "synced",
            Durability::Buffered => "buffered",
        };
        [
            self.dir.display().to_string(),
            self.engine.to_string(),
            durability.to_owned(),
            self.seed.to_string(),
            self.first.to_string(),
            self.early_ms.to_string(),
        ]
    }

    fn from_args(args: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut args = args.into_iter();
        Some(Self {
            dir: args.next()?.into(),
            engine: args.next()?.parse().ok()?,
            durability: match args.next()?.as_str() {
                "synced" => Durability::Synced,
                "buffered" => Durability::Buffered,
                _ => return None,
            },
            seed: args.next()?.parse().ok()?,
            first: args.next()?.parse().ok()?,
            early_ms: args.next()?.parse().ok()?,
        })
    }

    fn open(&self) -> meldb::Result<Store> {
        let builder = Store::builder().durability(self.durability);
        if self.early_ms == 0 {
            return builder.engine(self.engine).open(&self.dir);
        }
        self.open_early(builder, &self.dir.join("data"))
    }

    fn open_early(&self, builder: Builder, data: &Path) -> meldb::Result<Store> {
        let delay = Duration::from_millis(self.early_ms);
        let (kv, _faults) = match self.engine {
            EngineKind::Sled => early(SledKv::open(data).expect("sled can be opened"), delay),
            _ => early(FjallKv::open(data).expect("fjall can be opened"), delay),
        };
        builder.over_kv(Box::new(kv))
    }
}

fn early(kv: impl Kv, delay: Duration) -> (FaultyKv, crate::faulty::Faults) {
    FaultyKv::acknowledging_early(kv, delay)
}

/// Runs a writer: the `main` of a program that is started by [`run`](super::run).
///
/// Writes as its arguments say until it is killed. Of every write it tells on its standard output,
/// with one `write` each, that it begins and that it has returned.
///
/// # Panics
/// If the arguments are not those that [`run`](super::run) gives.
pub fn writer(args: impl IntoIterator<Item = String>) -> ! {
    let orders = Orders::from_args(args).expect("the arguments of a writer");
    let tell = Teller::new();
    let store = match orders.open() {
        Ok(store) => store,
        Err(error) => tell.give_up(&format!("the store does not open: {error}")),
    };
    tell.tell(&Line::Ready);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, orders, tell) = (&store, &orders, &tell);
            scope.spawn(move || write_for_ever(thread, store, orders, tell));
        }
        thread::sleep(LIFETIME);
        tell.give_up("nobody has killed the writer")
    })
}

fn write_for_ever(thread: usize, store: &Store, orders: &Orders, tell: &Teller) {
    let collection = |tenant: String, name: &str| {
        let tenant = store.tenant(tenant).expect("a tenant id");
        tenant.collection(name).expect("a collection name")
    };
    let own = collection(work::tenant(thread), work::OWN);
    let tenant = store.tenant(work::tenant(thread)).expect("a tenant id");
    let shared = collection(work::tenant(0), work::SHARED).document(work::SHARED);
    let documents: Vec<DocumentRef> =
        (0..DOCUMENTS).map(|n| own.document(work::id(thread, n))).collect();
    let exists = |document: &DocumentRef| match document.exists() {
        Ok(exists) => exists,
        Err(error) => tell.give_up(&error.to_string()),
    };
    let mut existing: Vec<bool> = documents.iter().map(exists).collect();
    let mut random = Random::new(orders.seed ^ ((thread as u64) << 32));
    for number in orders.first.. {
        let document = random.below(DOCUMENTS as u64) as usize;
        let verb = match random.below(12) {
            0 => Verb::Share,
            10 | 11 => Verb::Batch,
            1 if existing[document] => Verb::Delete,
            2 | 3 => Verb::Put,
            _ if existing[document] => Verb::Merge,
            _ => Verb::Put,
        };
        let intent = Intent { thread, document, number, verb };
        tell.tell(&Line::Intent(intent));
        let made = match verb {
            Verb::Share => make(&intent, &shared),
            Verb::Batch => make_batch(&intent, tenant.batch(), &documents),
            _ => make(&intent, &documents[document]),
        };
        match made {
            Ok(revision) => tell.tell(&Line::Acknowledged { thread, number, revision }),
            Err(error) => tell.give_up(&error.to_string()),
        }
        for document in intent.documents() {
            existing[document] = verb != Verb::Delete;
        }
    }
}

/// Makes a write; every third thread awaits it.
fn make(intent: &Intent, document: &DocumentRef) -> meldb::Result<u64> {
    let (body, by) = (intent.body(), "writer");
    let awaited = intent.thread % 3 == 2;
    let written = match intent.verb {
        Verb::Delete => return document.delete().commit(by).map(|revision| revision.get()),
        Verb::Put if awaited => block_on(document.put(body).commit_async(by)),
        Verb::Put => document.put(body).commit(by),
        _ if awaited => block_on(document.merge(body).commit_async(by)),
        _ => document.merge(body).commit(by),
    };
    written.map(|written| written.document.revision().get())
}

/// Makes a batch; every third thread awaits it.
fn make_batch(intent: &Intent, mut batch: Batch, documents: &[DocumentRef]) -> meldb::Result<u64> {
    for document in intent.documents() {
        batch.push(documents[document].put(intent.body()));
    }
    let made = match intent.thread % 3 {
        2 => block_on(batch.commit_async("writer")),
        _ => batch.commit("writer"),
    };
    Ok(made?.revisions().expect("something is written").end().get())
}

/// Tells on standard output, without a buffer.
struct Teller(Mutex<File>);

impl Teller {
    fn new() -> Self {
        let stdout = io::stdout().as_fd().try_clone_to_owned().expect("standard output");
        Self(Mutex::new(File::from(stdout)))
    }

    /// Writes a line with one `write`, so that it is told whole or not at all.
    fn tell(&self, line: &Line) {
        let text = line.to_string();
        let mut stdout = self.0.lock().expect("nobody panics while telling");
        match stdout.write(text.as_bytes()) {
            Ok(written) if written == text.len() => {}
            // Whoever should be listening is gone.
            _ => process::exit(2),
        }
    }

    fn give_up(&self, reason: &str) -> ! {
        self.tell(&Line::Failed(reason.to_owned()));
        process::exit(1)
    }
}
