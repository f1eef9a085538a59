//! The store itself.

use std::path::Path;

use meldb::{Collection, EngineKind, JsonText, Store};

use super::Durability;
use crate::subject::{Reader, Subject};

/// A store, with its documents spread over one or several tenants.
pub struct MelDb {
    store: Store,
    collections: Vec<Collection>,
}

impl MelDb {
    /// Opens the store in `dir`, or one in memory if `engine` is `None`.
    pub fn open(
        dir: &Path,
        engine: Option<EngineKind>,
        durability: Durability,
        tenants: usize,
    ) -> Self {
        let builder = Store::builder().durability(match durability {
            Durability::Durable => meldb::Durability::Synced,
            Durability::Buffered => meldb::Durability::Buffered,
        });
        let builder = match number_of("MELDB_BENCH_COMMIT_QUEUES") {
            Some(queues) => builder.commit_queues(queues as usize),
            None => builder,
        };
        let builder = match number_of("MELDB_BENCH_MEMORY_MIB") {
            Some(mib) => builder.memory_bytes(mib << 20),
            None => builder,
        };
        let store = match engine {
            Some(engine) => builder.engine(engine).open(dir),
            None => builder.in_memory(),
        };
        let store = store.expect("the store opens");
        let collection = |tenant| store.tenant(format!("tenant-{tenant}"))?.collection("users");
        let collections = (0..tenants).map(collection).collect::<meldb::Result<_>>();
        Self { collections: collections.expect("the names are good"), store }
    }

    /// Returns the collection that holds `id`; the last digits decide.
    fn collection(&self, id: &str) -> &Collection {
        let [.., tens, ones] = id.as_bytes() else { return &self.collections[0] };
        let number = usize::from(tens & 15) * 10 + usize::from(ones & 15);
        &self.collections[number % self.collections.len()]
    }
}

/// Returns what an environment variable sets, if it is there.
fn number_of(variable: &str) -> Option<u64> {
    let number = std::env::var(variable).ok()?;
    Some(number.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

impl Subject for MelDb {
    fn get(&self, id: &str, reader: Reader<'_>) {
        let document = self.collection(id).get(id).expect("the store reads");
        reader(document.expect("the document exists").as_bytes());
    }

    fn list(&self, after: &str, documents_max: usize, reader: Reader<'_>) {
        let mut all = self.collections[0].list();
        if !after.is_empty() {
            all = all.after(after).expect("the id is good");
        }
        for document in all.take(documents_max) {
            reader(document.expect("the store reads").as_bytes());
        }
    }

    fn put(&self, id: &str, body: &[u8]) {
        let write = self.collection(id).put(id, JsonText(body));
        write.commit("bench").expect("the store writes");
    }

    fn merge(&self, id: &str, patch: &[u8]) {
        let write = self.collection(id).merge(id, JsonText(patch));
        write.commit("bench").expect("the store writes");
    }

    /// A batch is one tenant's: there must be only one.
    fn merge_all(&self, ids: &[&str], patch: &[u8]) {
        let [collection] = &self.collections[..] else { panic!("there are several tenants") };
        let mut batch = self.store.tenant("tenant-0").expect("the name is good").batch();
        ids.iter().for_each(|id| batch.push(collection.merge(*id, JsonText(patch))));
        batch.commit("bench").expect("the store writes");
    }

    fn compact(&self) {
        self.store.compact().expect("the store compacts");
    }

    fn load(&self, documents: &mut dyn Iterator<Item = (String, Vec<u8>)>) {
        documents.for_each(|(id, body)| self.put(&id, &body));
    }
}
