//! The stores of a run: opened and filled when first used, then shared by all benchmarks.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use meldb::EngineKind;
use tempfile::TempDir;

use crate::{
    documents,
    subject::{Alone, Grouped, Subject},
    subjects::{Durability, fjall::Fjall, meldb::MelDb, sled::Sled},
};

/// A store to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The store in memory.
    MelDbMemory,
    /// The store on fjall, all documents in one tenant.
    MelDbFjall,
    /// The store on fjall, the documents spread over 16 tenants.
    MelDbFjallTenants,
    /// The store on sled.
    MelDbSled,
    /// fjall alone, a transaction for each write.
    Fjall,
    /// fjall alone behind the store's group committer.
    FjallGrouped,
    /// sled alone, a transaction for each write.
    Sled,
    /// sled alone behind the store's group committer.
    SledGrouped,
}

impl Kind {
    /// Returns the name that results are reported under.
    pub fn name(self) -> &'static str {
        match self {
            Self::MelDbMemory => "MelDB in memory",
            Self::MelDbFjall => "MelDB on fjall",
            Self::MelDbFjallTenants => "MelDB on fjall, 16 tenants",
            Self::MelDbSled => "MelDB on sled",
            Self::Fjall => "fjall raw",
            Self::FjallGrouped => "fjall raw, same committer",
            Self::Sled => "sled raw",
            Self::SledGrouped => "sled raw, same committer",
        }
    }

    /// Opens the store in `dir`, or makes it there.
    pub fn open(self, dir: &Path, durability: Durability) -> Box<dyn Subject> {
        let meldb = |engine, tenants| Box::new(MelDb::open(dir, engine, durability, tenants));
        match self {
            Self::MelDbMemory => meldb(None, 1),
            Self::MelDbFjall => meldb(Some(EngineKind::Fjall), 1),
            Self::MelDbFjallTenants => meldb(Some(EngineKind::Fjall), 16),
            Self::MelDbSled => meldb(Some(EngineKind::Sled), 1),
            Self::Fjall => Box::new(Alone(Fjall::open(dir, durability))),
            Self::FjallGrouped => Box::new(Grouped::new(Fjall::open(dir, durability))),
            Self::Sled => Box::new(Alone(Sled::open(dir, durability))),
            Self::SledGrouped => Box::new(Grouped::new(Sled::open(dir, durability))),
        }
    }

    /// Makes a store in `dir` that holds `documents` documents of `bytes` bytes, and closes it.
    pub fn create(self, dir: &Path, documents: usize, bytes: usize) {
        let body = documents::document(bytes).into_bytes();
        let store = self.open(dir, Durability::Buffered);
        store.load(&mut (0..documents).map(|number| (id(number), body.clone())));
    }
}

/// Returns the id of the document `number`.
pub fn id(number: usize) -> String {
    format!("user-{number:010}")
}

/// A store that is open for measurements, and its documents' ids.
pub struct Open {
    store: Box<dyn Subject>,
    ids: Arc<Vec<String>>,
    _dir: Option<TempDir>,
}

impl Open {
    /// Returns the store.
    pub fn store(&self) -> &dyn Subject {
        &*self.store
    }

    /// Returns the id of the document `number`.
    pub fn id(&self, number: usize) -> &str {
        &self.ids[number]
    }
}

/// The open stores of a run, each with the same number of documents.
pub struct Stores {
    parent: PathBuf,
    ids: Arc<Vec<String>>,
    open: HashMap<(Kind, Durability, usize), Open>,
}

impl Stores {
    /// Keeps stores of `documents` documents in directories below `parent`.
    pub fn new(parent: &Path, documents: usize) -> Self {
        let ids = Arc::new((0..documents).map(id).collect());
        Self { parent: parent.to_owned(), ids, open: HashMap::new() }
    }

    /// Returns how many documents each store holds.
    pub fn documents(&self) -> usize {
        self.ids.len()
    }

    /// Returns the store of this kind with documents of `bytes` bytes, filling it if it is new.
    pub fn get(&mut self, kind: Kind, durability: Durability, bytes: usize) -> &Open {
        let documents = self.documents();
        self.open.entry((kind, durability, bytes)).or_insert_with(|| {
            let ids = Arc::clone(&self.ids);
            if kind == Kind::MelDbMemory {
                let store = kind.open(Path::new(""), durability);
                let body = documents::document(bytes).into_bytes();
                store.load(&mut ids.iter().map(|id| (id.clone(), body.clone())));
                return Open { store, ids, _dir: None };
            }
            let dir = tempfile::tempdir_in(&self.parent).expect("a directory can be made");
            let data = dir.path().join("store");
            kind.create(&data, documents, bytes);
            Open { store: kind.open(&data, durability), ids, _dir: Some(dir) }
        })
    }
}
