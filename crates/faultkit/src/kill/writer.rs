//! The process that is killed: eight threads that write and tell.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process,
    str::FromStr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{Batch, DocumentRef, Durability, EngineKind, Error, History, Index, Store};
use meldb_testkit::{
    bare_sled,
    faulty::{acknowledging_early, forgetful},
    futures::block_on,
    random::Random,
};

use super::work::{self, DOCUMENTS, Intent, Line, THREADS, Verb};

/// How long another process may take to close the store.
const CLOSING_MAX: Duration = Duration::from_secs(30);
/// How long the writer lives when nobody kills it.
const LIFETIME: Duration = Duration::from_secs(60);

/// What a restless writer's engine has for recent writes and caches, so that its map and its log files are small.
const RESTLESS_MEMORY_BYTES: u64 = 1 << 20;
/// The longest time for which a restless writer leaves its store open.
const RESTLESS_OPEN_MAX: Duration = Duration::from_millis(60);

/// How a writer treats its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It opens the store once, as everybody does.
    Steady,
    /// It opens the store with little memory, makes checkpoints, and closes it and opens it again every few
    /// milliseconds: so the log's files are made, used again and given back, checkpoints are made, and the store is
    /// closed, at most moments.
    Restless,
}

impl Manner {
    /// Returns the manner of a round: every other one is restless.
    pub(crate) fn of_round(round: u64) -> Self {
        match round % 2 {
            0 => Self::Steady,
            _ => Self::Restless,
        }
    }
}

/// What a writer writes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A store as everybody opens it.
    Honest(EngineKind),
    /// A store that acknowledges too early, by so many milliseconds; only an honest one can make it.
    Early(EngineKind, u64),
    /// A store that leaves out entries of history now and then; only an honest one can make it.
    Forgetful(EngineKind),
    /// sled as it comes: values as they are, and `flush` for a sync.
    BareSled,
}

impl Subject {
    /// Opens the store in `dir`.
    ///
    /// # Errors
    /// As [`meldb::Builder::open`].
    pub fn open(self, dir: &Path, durability: Durability, manner: Manner) -> meldb::Result<Store> {
        let of = |engine| {
            let builder = Store::builder().engine(engine);
            match manner {
                Manner::Steady => builder,
                Manner::Restless => builder.memory_bytes(RESTLESS_MEMORY_BYTES),
            }
        };
        let builder = Store::builder().durability(durability);
        match self {
            Self::Honest(engine) => of(engine).durability(durability).open(dir),
            Self::Early(engine, early_ms) => {
                let honest = of(engine).bare_engine(dir)?;
                let early = acknowledging_early(honest, Duration::from_millis(early_ms))?;
                builder.over_engine(early)
            }
            Self::Forgetful(engine) => builder.over_engine(forgetful(of(engine).bare_engine(dir)?)),
            Self::BareSled => builder.over_engine(bare_sled::open(dir)?),
        }
    }

    /// Returns the subject to look at the store with, after the writer's end.
    #[must_use]
    pub fn honest(self) -> Self {
        match self {
            Self::Early(engine, _) | Self::Forgetful(engine) => Self::Honest(engine),
            other => other,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest(engine) => write!(f, "{engine}"),
            Self::Early(engine, early_ms) => write!(f, "{engine}+{early_ms}"),
            Self::Forgetful(engine) => write!(f, "forgetful-{engine}"),
            Self::BareSled => write!(f, "bare-sled"),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let engine = |name: &str| {
            name.parse::<EngineKind>().map_err(|error| meldb::with_causes(&error).to_string())
        };
        match name.split_once('+') {
            Some((name, early_ms)) => {
                let early_ms = early_ms.parse().map_err(|_| format!("{name:?} is no time"))?;
                Ok(Self::Early(engine(name)?, early_ms))
            }
            None if name == "bare-sled" => Ok(Self::BareSled),
            None => match name.strip_prefix("forgetful-") {
                Some(name) => engine(name).map(Self::Forgetful),
                None => engine(name).map(Self::Honest),
            },
        }
    }
}

/// How a writer is told what to do; its arguments on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) dir: PathBuf,
    pub(crate) subject: Subject,
    pub(crate) durability: Durability,
    pub(crate) manner: Manner,
    pub(crate) seed: u64,
    /// The number of each thread's first write; zero to open the store and write nothing.
    pub(crate) first: u64,
    /// See [`Intent::fill_bytes`].
    pub(crate) fill_bytes: usize,
}

impl Orders {
    /// Returns the orders as arguments.
    pub(crate) fn to_args(&self) -> [String; 7] {
        let durability = match self.durability {
            Durability::Synced => "synced",
            Durability::Buffered => "buffered",
        };
        let manner = match self.manner {
            Manner::Steady => "steady",
            Manner::Restless => "restless",
        };
        [
            self.dir.display().to_string(),
            self.subject.to_string(),
            durability.to_owned(),
            manner.to_owned(),
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
            manner: match args.next()?.as_str() {
                "steady" => Manner::Steady,
                "restless" => Manner::Restless,
                _ => return None,
            },
            seed: args.next()?.parse().ok()?,
            first: args.next()?.parse().ok()?,
            fill_bytes: args.next()?.parse().ok()?,
        })
    }

    fn keeps_history(&self) -> bool {
        self.first > 0 && self.subject != Subject::BareSled
    }

    /// Opens the store, and makes the document that all threads share if it is not there. The process that has
    /// verified the store may still be closing its files.
    fn open(&self) -> meldb::Result<Store> {
        let began = Instant::now();
        let store = loop {
            match self.subject.open(&self.dir, self.durability, self.manner) {
                Err(Error::InUse { .. }) if began.elapsed() < CLOSING_MAX => {}
                opened => break opened?,
            }
        };
        for name in work::tenants_with_history().filter(|_| self.keeps_history()) {
            let own = store.tenant(name)?.collection(work::OWN)?;
            // Before the first write: so all of them have an entry.
            if own.history_setting().is_none() {
                own.set_history(History::forever(), "writer")?;
            }
        }
        if self.first > 0 && self.subject != Subject::BareSled {
            for number in 0..work::TENANTS {
                let own = store.tenant(work::tenant(number))?.collection(work::OWN)?;
                own.define_index("by_n", Index::on("n").then("fill")).commit("writer")?;
            }
        }
        let shared = store.tenant(work::tenant(0))?.collection(work::SHARED)?;
        if self.first > 0 && !shared.exists(work::SHARED)? {
            shared.put(work::SHARED, serde_json::json!({})).commit("writer")?;
        }
        Ok(store)
    }
}

/// Runs a writer: the `main` of a program that is started by [`run`](super::run).
///
/// Writes as its arguments say until it is killed. Of every write it tells on its standard output,
/// with one `write` each, that it begins and that it has returned; and of every sync, where writes are
/// buffered. Closing the store is a sync.
///
/// # Panics
/// If the arguments are not those that [`run`](super::run) gives.
pub fn writer(args: impl IntoIterator<Item = String>) -> ! {
    let orders = Orders::from_args(args).expect("the arguments of a writer");
    let (began, tell) = (Instant::now(), Teller::new());
    let open = || match orders.open() {
        Ok(store) => store,
        Err(error) => tell.give_up(&format!("the store does not open: {error}")),
    };
    let mut random = Random::new(orders.seed);
    let mut next = vec![orders.first; if orders.first > 0 { THREADS } else { 0 }];
    while began.elapsed() < LIFETIME {
        let store = open();
        tell.tell(&Line::Ready);
        let time = match orders.manner {
            Manner::Steady => LIFETIME,
            Manner::Restless => {
                Duration::from_micros(random.below(RESTLESS_OPEN_MAX.as_micros() as u64))
            }
        };
        write_for(time, &store, &orders, &tell, &mut next);
        tell.tell(&Line::Syncing);
        drop(store);
        tell.tell(&Line::Synced);
    }
    tell.give_up("nobody has killed the writer")
}

/// Lets each thread write for a time, from its `next` number on.
fn write_for(time: Duration, store: &Store, orders: &Orders, tell: &Teller, next: &mut [u64]) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (thread, next) in next.iter_mut().enumerate() {
            let is_over = &is_over;
            scope.spawn(move || *next = write_many(thread, store, orders, tell, *next, is_over));
        }
        thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Writes until it is over, and returns the number of the next write.
fn write_many(
    thread: usize,
    store: &Store,
    orders: &Orders,
    tell: &Teller,
    first: u64,
    is_over: &AtomicBool,
) -> u64 {
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
        Err(error) => tell.give_up(&meldb::with_causes(&error).to_string()),
    };
    let mut existing: Vec<bool> = documents.iter().map(exists).collect();
    let mut random = Random::new(orders.seed ^ ((thread as u64) << 32) ^ (first << 40));
    for number in first.. {
        if is_over.load(Ordering::Relaxed) {
            return number;
        }
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
            Err(error) => tell.give_up(&meldb::with_causes(&error).to_string()),
        }
        for document in intent.documents() {
            existing[document] = verb != Verb::Delete;
        }
        if thread == 0 && orders.durability == Durability::Buffered && random.one_in(8) {
            tell.tell(&Line::Syncing);
            tell.expect(store.sync());
            tell.tell(&Line::Synced);
        }
        if thread == 1 && orders.manner == Manner::Restless && random.one_in(8) {
            tell.expect(store.checkpoint());
        }
    }
    first
}

/// Makes a write; every third thread awaits it.
fn make(intent: &Intent, document: &DocumentRef) -> meldb::Result<u64> {
    let (body, by) = (intent.body(), "writer");
    let awaited = intent.thread % 3 == 2;
    let written = match intent.verb {
        Verb::Delete => return document.delete().commit(by).map(|deleted| deleted.revision.get()),
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

    /// Gives up unless something has succeeded.
    fn expect(&self, done: meldb::Result<()>) {
        if let Err(error) = done {
            self.give_up(&meldb::with_causes(&error).to_string());
        }
    }

    fn give_up(&self, reason: &str) -> ! {
        self.tell(&Line::Failed(reason.to_owned()));
        process::exit(1)
    }
}
