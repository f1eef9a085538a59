//! Defining and dropping indexes.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{collection::Collection, tenant::Tenant};
use crate::{
    commit::{
        core::Core,
        indexes::{INDEXES, TenantIndexes},
    },
    engine::{IndexDefinition, IndexState},
    limits::{INDEX_NAME_BYTES_MAX, INDEXES_MAX},
    query::Index,
    types::{Actor, CollectionName, Condition, Document, Error, QueryError, Result, TenantId},
};

/// How often it is looked whether an index has been built.
const READY_POLL: Duration = Duration::from_millis(5);

/// An index of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// The collection.
    pub collection: CollectionName,
    /// Its name.
    pub name: String,
    /// The fields.
    pub index: Index,
    /// How far it is.
    pub state: IndexState,
}

/// A change of a collection's indexes; made by [`commit`](Self::commit).
#[derive(Clone, Debug)]
#[must_use = "nothing is done before it is committed"]
pub struct IndexChange {
    collection: Collection,
    name: String,
    /// `None` drops it.
    index: Option<Index>,
}

impl Collection {
    /// Returns what defines an index of the collection under a name, of letters, digits, `_` and `-`.
    ///
    /// From the commit on every write keeps it, also after a restart, and it is filled in the background. Questions are
    /// answered by it once it is [ready](IndexState::Ready). Defining it once more does nothing. It travels with backups
    /// and copies of the store.
    ///
    /// ```
    /// use meldb::{Access, Index, Store, desc, field};
    /// use serde_json::json;
    ///
    /// let store = Store::in_memory()?;
    /// let users = store.tenant("acme")?.collection("users")?;
    /// users.put("ada", json!({"role": "owner", "seats": 3})).commit("signup")?;
    /// users.define_index("by_role", Index::on("role").then("seats")).commit("deploy")?;
    ///
    /// let mut owners = users.find(field("role").eq("owner")).sort(desc("seats"));
    /// assert_eq!(owners.explain()?.access, Access::Index { name: "by_role".to_owned() });
    /// assert_eq!(owners.page(10)?.documents.len(), 1);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    pub fn define_index(&self, name: impl Into<String>, index: Index) -> IndexChange {
        IndexChange { collection: self.clone(), name: name.into(), index: Some(index) }
    }

    /// Returns what drops the index of this name; its entries are removed in the background. If there is none, nothing is
    /// done.
    pub fn drop_index(&self, name: impl Into<String>) -> IndexChange {
        IndexChange { collection: self.clone(), name: name.into(), index: None }
    }

    /// Returns the indexes of the collection, in the order of their names.
    pub fn indexes(&self) -> Vec<IndexInfo> {
        let defined = self.inner.committer.indexes.of(&self.tenant, &self.name);
        infos(&self.inner, &self.tenant, &defined)
    }

    /// Waits until every index of the collection is [ready](IndexState::Ready), or has failed, or `patience` is over, and
    /// returns whether all are ready.
    pub fn wait_for_indexes(&self, patience: Duration) -> bool {
        let began = Instant::now();
        loop {
            let states: Vec<_> = self.indexes().into_iter().map(|index| index.state).collect();
            let has_failed = states
                .iter()
                .any(|state| matches!(state, IndexState::Building { failure: Some(_), .. }));
            if states.iter().all(|state| *state == IndexState::Ready) {
                return true;
            }
            if has_failed || began.elapsed() >= patience {
                return false;
            }
            thread::sleep(READY_POLL);
        }
    }
}

impl Tenant {
    /// Returns the indexes of the tenant's collections, in the order of their names.
    pub fn indexes(&self) -> Vec<IndexInfo> {
        let defined = self.inner.committer.indexes.all_of(&self.id);
        infos(&self.inner, &self.id, &defined)
    }
}

fn infos(inner: &Core, tenant: &TenantId, defined: &[IndexDefinition]) -> Vec<IndexInfo> {
    let states = inner.engine().index_states(tenant);
    let info = |definition: &IndexDefinition| {
        let state = states.iter().find(|(known, _)| known == definition);
        // The engine has not taken it in, or cannot.
        let unknown = IndexState::Building { documents: 0, failure: None };
        IndexInfo {
            collection: definition.collection.clone(),
            name: definition.name.clone(),
            index: definition.index.clone(),
            state: state.map_or(unknown, |(_, state)| state.clone()),
        }
    };
    defined.iter().map(info).collect()
}

impl IndexChange {
    /// Makes the change, as `actor`, and returns whether there was anything to do.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] for the name or the fields, [`Error::IndexExists`], [`Error::InvalidOption`] if the
    /// engine keeps no indexes, [`Error::InvalidName`] for the actor, [`Error::Busy`], [`Error::ReadOnly`],
    /// [`Error::CommitFailed`], [`Error::StorageFull`], [`Error::Unavailable`] or [`Error::OutcomeUnknown`].
    pub fn commit(self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<bool> {
        let actor = actor.try_into().map_err(Into::into)?;
        self.make(actor)
    }

    /// Returns [`commit`](Self::commit) as an executor-independent future. Dropping it does not undo it.
    ///
    /// # Errors
    /// The errors of [`commit`](Self::commit).
    pub async fn commit_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<bool> {
        let actor = actor.try_into().map_err(Into::into)?;
        blocking::unblock(move || self.make(actor)).await
    }

    fn make(self, actor: Actor) -> Result<bool> {
        let Self { collection: Collection { inner, tenant, name: collection }, name, index } = self;
        check_name(&name)?;
        if let Some(index) = &index {
            index.paths()?;
        }
        if !inner.engine().capabilities().keeps_indexes {
            return Err(Error::InvalidOption {
                option: "index",
                reason: format!("the engine {} keeps no indexes", inner.engine().name()),
            });
        }
        let indexes = &inner.committer.indexes;
        let system = Tenant::new(&inner, TenantId::system());
        let kept = system.collection(INDEXES)?.document(tenant.as_str());
        let _one_at_a_time = indexes.setting.lock();
        let found = kept.get()?;
        let mut set: TenantIndexes =
            found.as_ref().map(Document::to).transpose()?.unwrap_or_default();
        let of = set.collections.entry(collection.to_string()).or_default();
        match (of.get(&name), index) {
            (None, None) => return Ok(false),
            (Some(_), None) => drop(of.remove(&name)),
            (Some(known), Some(index)) if *known == index => {
                // The engine may have failed to take it in before.
                let definitions = set.definitions()?;
                inner.engine().define_indexes(&tenant, &definitions).map_err(Error::doing)?;
                return Ok(false);
            }
            (Some(known), Some(_)) => {
                let collection = format!("{tenant}/{collection}");
                return Err(Error::IndexExists { collection, name, fields: known.to_string() });
            }
            (None, Some(_)) if of.len() >= INDEXES_MAX => {
                let reason = format!("{tenant}/{collection} has {INDEXES_MAX} already");
                return Err(QueryError::new("index", reason).into());
            }
            (None, Some(index)) => drop(of.insert(name, index)),
        }
        set.collections.retain(|_, indexes| !indexes.is_empty());
        let condition =
            found.map_or(Condition::Absent, |document| Condition::Matches(document.revision()));
        kept.put(&set).condition(condition).commit(actor)?;
        let definitions = indexes.set(&tenant, &set)?;
        inner.engine().define_indexes(&tenant, &definitions).map_err(Error::doing)?;
        Ok(true)
    }
}

fn check_name(name: &str) -> Result<(), QueryError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > INDEX_NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        let reason = format!("it is 1 to {INDEX_NAME_BYTES_MAX} letters, digits, `_` and `-`");
        return Err(QueryError::new("name of an index", reason));
    }
    Ok(())
}
