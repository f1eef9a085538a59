//! The process that is killed: eight threads that write and tell.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process,
    str::FromStr,
    sync::Mutex,
    thread,
    time::Duration,
};

use meldb::{
    Batch, Builder, DocumentRef, Durability, EngineKind, Store,
    engine::kv::{Kv, fjall::FjallKv, sled::SledKv},
};

use super::work::{self, DOCUMENTS, Intent, Line, THREADS, Verb};
use crate::{bare_sled::BareSledKv, faulty::FaultyKv, futures::block_on, random::Random};

/// How long the writer lives when nobody kills it.
const LIFETIME: Duration = Duration::from_secs(60);

/// What the engine `log` has for recent writes and caches.
const LOG_MEMORY_BYTES: u64 = 1 << 20;

/// What a writer writes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A store as everybody opens it.
    Honest(EngineKind),
    /// A store that acknowledges too early, by so many milliseconds; only an honest one can make it.
    Early(EngineKind, u64),
    /// sled as it comes: values as they are, and `flush` for a sync.
    BareSled,
}

impl Subject {
    /// Opens the store in `dir`.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(self, dir: &Path, durability: Durability) -> meldb::Result<Store> {
        let builder = Store::builder().durability(durability);
        match self {
            // So little memory that checkpoints are made all the time.
            Self::Honest(EngineKind::Log) => {
                builder.engine(EngineKind::Log).cache_bytes(LOG_MEMORY_BYTES).open(dir)
            }
            Self::Honest(engine) => builder.engine(engine).open(dir),
            Self::Early(engine, early_ms) => {
                // Creates it, if need be.
                drop(Self::Honest(engine).open(dir, durability)?);
                open_early(builder, engine, &dir.join("data"), Duration::from_millis(early_ms))
            }
            Self::BareSled => {
                let failed = |source| meldb::Error::OpenFailed { dir: dir.to_owned(), source };
                builder.over_kv(Box::new(BareSledKv::open(dir).map_err(failed)?))
            }
        }
    }

    /// Returns the subject to look at the store with, after the writer's end.
    #[must_use]
    pub fn honest(self) -> Self {
        match self {
            Self::Early(engine, _) => Self::Honest(engine),
            other => other,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest(engine) => write!(f, "{engine}"),
            Self::Early(engine, early_ms) => write!(f, "{engine}+{early_ms}"),
            Self::BareSled => write!(f, "bare-sled"),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let engine = |name: &str| name.parse::<EngineKind>().map_err(|error| error.to_string());
        match name.split_once('+') {
            Some((name, early_ms)) => {
                let early_ms = early_ms.parse().map_err(|_| format!("{name:?} is no time"))?;
                match engine(name)? {
                    EngineKind::Log => Err(format!("{name} is no map of bytes to lie about")),
                    engine => Ok(Self::Early(engine, early_ms)),
                }
            }
            None if name == "bare-sled" => Ok(Self::BareSled),
            None => engine(name).map(Self::Honest),
        }
    }
}

/// How a writer is told what to do; its arguments on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) dir: PathBuf,
    pub(crate) subject: Subject,
    pub(crate) durability: Durability,
    pub(crate) seed: u64,
    /// The number of each thread's first write; zero to open the store and write nothing.
    pub(crate) first: u64,
    /// See [`Intent::fill_bytes`].
    pub(crate) fill_bytes: usize,
}

impl Orders {
    /// Returns the orders as arguments.
    pub(crate) fn to_args(&self) -> [String; 6] {
        let durability = match self.durability {
            Durability::Synced => "synced",
            Durability::Buffered => "buffered",
        };
        [
            self.dir.display().to_string(),
            self.subject.to_string(),
            durability.to_owned(),
            self.seed.to_string(),
            self.first.to_string(),
            self.fill_bytes.to_string(),
        ]
    }

    fn from_args(args: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut args = args.into_iter();
        Some(Self {
            dir: args.next()?.into(),
            subject: args.next()?.parse().ok()?,
            durability: match args.next()?.as_str() {
                "synced" => Durability::Synced,
                "buffered" => Durability::Buffered,
                _ => return None,
            },
            seed: args.next()?.parse().ok()?,
            first: args.next()?.parse().ok()?,
            fill_bytes: args.next()?.parse().ok()?,
        })
    }

    /// Opens the store, and makes the document that all threads share if it is not there.
    fn open(&self) -> meldb::Result<Store> {
        let store = self.subject.open(&self.dir, self.durability)?;
        let shared = store.tenant(work::tenant(0))?.collection(work::SHARED)?;
        if self.first > 0 && !shared.exists(work::SHARED)? {
            shared.put(work::SHARED, serde_json::json!({})).commit("writer")?;
        }
        Ok(store)
    }
}

fn open_early(
    builder: Builder,
    engine: EngineKind,
    data: &Path,
    delay: Duration,
) -> meldb::Result<Store> {
    let failed = |source| meldb::Error::OpenFailed { dir: data.to_owned(), source };
    let (kv, _faults) = match engine {
        EngineKind::Sled => early(SledKv::open(data).map_err(failed)?, delay),
        _ => early(FjallKv::open(data).map_err(failed)?, delay),
    };
    builder.over_kv(Box::new(kv))
}

fn early(kv: impl Kv, delay: Duration) -> (FaultyKv, crate::faulty::Faults) {
    FaultyKv::acknowledging_early(kv, delay)
}

/// Runs a writer: the `main` of a program that is started by [`run`](super::run).
///
/// Writes as its arguments say until it is killed. Of every write it tells on its standard output,
/// with one `write` each, that it begins and that it has returned; and of every sync, where writes are
/// buffered.
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
        for thread in 0..if orders.first > 0 { THREADS } else { 0 } {
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
        let fill_bytes = orders.fill_bytes;
        let intent = Intent { thread, document, number, verb, fill_bytes };
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
        if thread == 0 && orders.durability == Durability::Buffered && random.one_in(8) {
            tell.tell(&Line::Syncing);
            match store.sync() {
                Ok(()) => tell.tell(&Line::Synced),
                Err(error) => tell.give_up(&error.to_string()),
            }
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
