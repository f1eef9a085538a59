//! Defining and dropping indexes.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{collection::Collection, tenant::Tenant};
use crate::{
    commit::{
        core::Core,
        indexes::{DefinedIndex, INDEXES, KeptIndex, TenantIndexes},
        unique::UniqueCheck,
    },
    engine::{CommitError, IndexState},
    limits::{INDEX_NAME_BYTES_MAX, INDEXES_MAX},
    query::Index,
    types::{Actor, CollectionName, Condition, Document, Error, QueryError, Result, TenantId},
};

/// How often it is looked whether an index has been built.
const READY_POLL: Duration = Duration::from_millis(5);

/// For how long at a time it is waited for an index that is to be unique.
const BUILD_POLL: Duration = Duration::from_millis(500);

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
    /// If it is [unique](Index::unique), the commit returns when it is built, and fails with [`Error::NotUnique`] if two
    /// documents have the same values already. From then on a write that would make it so fails with that.
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

fn infos(inner: &Core, tenant: &TenantId, defined: &[DefinedIndex]) -> Vec<IndexInfo> {
    let states = inner.engine().index_states(tenant);
    let info = |DefinedIndex { definition, unique, .. }: &DefinedIndex| {
        let state = states.iter().find(|(known, _)| known == definition);
        // The engine has not taken it in, or cannot.
        let unknown = IndexState::Building { documents: 0, failure: None };
        let index = definition.index.clone();
        IndexInfo {
            collection: definition.collection.clone(),
            name: definition.name.clone(),
            index: if *unique { index.unique() } else { index },
            state: state.map_or(unknown, |(_, state)| state.clone()),
        }
    };
    defined.iter().map(info).collect()
}

impl IndexChange {
    /// Makes the change, as `actor`, and returns whether there was anything to do.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] for the name or the fields, [`Error::IndexExists`], [`Error::NotUnique`], [`Error::InvalidOption`] if the
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
        let Self { collection, name, index } = self;
        check_name(&name)?;
        if let Some(index) = &index {
            index.paths()?;
        }
        if !collection.inner.engine().capabilities().keeps_indexes {
            return Err(Error::InvalidOption {
                option: "index",
                reason: format!("the engine {} keeps no indexes", collection.inner.engine().name()),
            });
        }
        let _one_at_a_time = collection.inner.committer.indexes.setting.lock();
        match index {
            None => collection.keep_index(&name, None, &actor),
            Some(index) => {
                let fields = index.fields_alone();
                let is_unique = collection.defined_index(&name).is_some_and(|index| index.unique);
                if is_unique && !index.is_unique() {
                    return Err(collection.index_exists(&name));
                }
                let kept = KeptIndex { fields, unique: is_unique };
                let is_new = collection.keep_index(&name, Some(kept.clone()), &actor)?;
                if is_unique || !index.is_unique() {
                    return Ok(is_new);
                }
                let kept = KeptIndex { unique: true, ..kept };
                collection.make_unique(&name, kept, &actor, is_new)?;
                Ok(true)
            }
        }
    }
}

impl Collection {
    /// Returns the index of this name, if there is one.
    fn defined_index(&self, name: &str) -> Option<DefinedIndex> {
        let defined = self.inner.committer.indexes.of(&self.tenant, &self.name);
        defined.iter().find(|index| index.definition.name == name).cloned()
    }

    fn index_exists(&self, name: &str) -> Error {
        let found = self.defined_index(name);
        let fields = found.as_ref().map(|index| index.definition.index.to_string());
        let fields = fields.unwrap_or_default();
        let unique = if found.is_some_and(|index| index.unique) { ", and unique" } else { "" };
        Error::IndexExists {
            collection: format!("{}/{}", self.tenant, self.name),
            name: name.to_owned(),
            fields: format!("{fields}{unique}"),
        }
    }

    /// Keeps an index, or removes it with `None`; returns whether there was anything to do.
    fn keep_index(&self, name: &str, kept: Option<KeptIndex>, actor: &Actor) -> Result<bool> {
        let system = Tenant::new(&self.inner, TenantId::system());
        let document = system.collection(INDEXES)?.document(self.tenant.as_str());
        let found = document.get()?;
        let mut set: TenantIndexes =
            found.as_ref().map(Document::to).transpose()?.unwrap_or_default();
        let of = set.collections.entry(self.name.to_string()).or_default();
        match (of.get(name), kept) {
            (known, kept) if known == kept.as_ref() => {
                // It may be so although whoever made it so was told of a failure.
                self.take_in(&set)?;
                return Ok(false);
            }
            (_, None) => drop(of.remove(name)),
            (Some(known), Some(kept)) if known.fields != kept.fields => {
                return Err(self.index_exists(name));
            }
            (None, Some(_)) if of.len() >= INDEXES_MAX => {
                let reason = format!("{}/{} has {INDEXES_MAX} already", self.tenant, self.name);
                return Err(QueryError::new("index", reason).into());
            }
            (_, Some(kept)) => drop(of.insert(name.to_owned(), kept)),
        }
        set.collections.retain(|_, indexes| !indexes.is_empty());
        let condition =
            found.map_or(Condition::Absent, |document| Condition::Matches(document.revision()));
        document.put(&set).condition(condition).commit(actor)?;
        self.take_in(&set)?;
        Ok(true)
    }

    /// Has the committer and the engine have the indexes that are kept.
    fn take_in(&self, set: &TenantIndexes) -> Result<()> {
        let definitions = self.inner.committer.indexes.set(&self.tenant, set)?;
        let defined = self.inner.engine().define_indexes(&self.tenant, &definitions);
        defined.map_err(Error::doing)
    }

    /// Has an index that is there keep documents apart, once it is known that it does; drops it otherwise, if it is new.
    fn make_unique(&self, name: &str, kept: KeptIndex, actor: &Actor, is_new: bool) -> Result<()> {
        while !self.wait_for_indexes(BUILD_POLL) {
            let failed = self.indexes().into_iter().find(|index| index.name == name);
            if let Some(IndexState::Building { failure: Some(failure), .. }) =
                failed.map(|index| index.state)
            {
                let what = format!("the index {name} of {}/{}", self.tenant, self.name);
                return Err(Error::Damaged { what, reason: failure });
            }
        }
        let committer = &self.inner.committer;
        let checked = committer.exclusively(Some(&self.tenant), || {
            let head = committer.engine.head(&self.tenant).map_err(CommitError::NotStarted)?;
            let check = UniqueCheck {
                engine: &*committer.engine,
                tenant: &self.tenant,
                expiry_ms: committer.context().expiry_ms(&head),
            };
            if let Some(index) = self.defined_index(name) {
                check.check_all(&index).map_err(CommitError::NotStarted)?;
            }
            // From here on, and not only from when it is kept.
            committer.indexes.set_unique(&self.tenant, &self.name, name, true);
            Ok(())
        });
        let done = checked.and_then(|()| self.keep_index(name, Some(kept), actor).map(drop));
        if done.is_err() {
            committer.indexes.set_unique(&self.tenant, &self.name, name, false);
            if is_new {
                self.keep_index(name, None, actor)?;
            }
        }
        done
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
