//! The stores of a run: opened and filled when first used, then shared by all benchmarks.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use crate::{
    documents,
    kind::{Kind, id},
    subject::Subject,
    subjects::Durability,
};

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

/// The open stores of a run.
pub struct Stores {
    parent: PathBuf,
    ids: Arc<Vec<String>>,
    open: HashMap<(Kind, Durability, usize), Open>,
}

impl Stores {
    /// Keeps stores of `documents` documents of 1 KB, and fewer of longer ones, in directories
    /// below `parent`.
    pub fn new(parent: &Path, documents: usize) -> Self {
        let ids = Arc::new((0..documents).map(id).collect());
        Self { parent: parent.to_owned(), ids, open: HashMap::new() }
    }

    /// Returns how many documents of `bytes` bytes a store holds.
    pub fn documents(&self, bytes: usize) -> usize {
        self.ids.len() * 1_000 / bytes.max(1_000)
    }

    /// Returns the store of this kind with documents of `bytes` bytes, filling it if it is new.
    pub fn get(&mut self, kind: Kind, durability: Durability, bytes: usize) -> &Open {
        let documents = self.documents(bytes);
        self.open.entry((kind, durability, bytes)).or_insert_with(|| {
            let ids = Arc::clone(&self.ids);
            if kind == Kind::MelDbMemory {
                let store = kind.open(Path::new(""), durability);
                let body = documents::document(bytes).into_bytes();
                store.load(&mut ids.iter().take(documents).map(|id| (id.clone(), body.clone())));
                return Open { store, ids, _dir: None };
            }
            let dir = tempfile::tempdir_in(&self.parent).expect("a directory can be made");
            let data = dir.path().join("store");
            kind.create(&data, documents, bytes);
            Open { store: kind.open(&data, durability), ids, _dir: Some(dir) }
        })
    }
}
