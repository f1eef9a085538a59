//! The indexes of a tenant, as operators define, see and drop them.

use axum::{http::Method, response::Response};
use meldb::{Actor, CollectionName, Index, IndexInfo, IndexState, Store, TenantId};
use serde::{Deserialize, Serialize};

use super::request::{AdminRequest, JSON_BYTES_MAX, told_as_it_is};
use crate::{bodies::body::RequestBody, error::HttpError};

/// The indexes of a tenant, or of one of its collections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShownIndexes {
    /// The tenant.
    pub tenant: TenantId,
    /// By collection and name.
    pub indexes: Vec<ShownIndex>,
}

/// An index, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ShownIndex {
    /// The collection.
    pub collection: CollectionName,
    /// Its name.
    pub name: String,
    /// The paths of its fields, with commas between them.
    pub fields: String,
    /// Whether no two documents may have the same values.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub unique: bool,
    /// `ready`, `building` or `failed`.
    pub state: String,
    /// How many documents have been read, while it is being built.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub documents: Option<u64>,
    /// Why it cannot be built.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
}

impl ShownIndexes {
    /// Returns the indexes of a tenant, or of one of its collections.
    ///
    /// # Errors
    /// [`meldb::Error::InvalidName`].
    pub fn of(
        store: &Store,
        tenant: &TenantId,
        collection: Option<&CollectionName>,
    ) -> meldb::Result<Self> {
        let handle = store.tenant(tenant)?;
        let indexes = match collection {
            Some(collection) => handle.collection(collection)?.indexes(),
            None => handle.indexes(),
        };
        let indexes = indexes.into_iter().map(ShownIndex::from).collect();
        Ok(Self { tenant: tenant.clone(), indexes })
    }

    /// Defines an index, and returns what its collection has then.
    ///
    /// # Errors
    /// Those of [`meldb::IndexChange::commit`].
    pub fn define(
        store: &Store,
        tenant: &TenantId,
        collection: &CollectionName,
        (name, index): (&str, Index),
        actor: &Actor,
    ) -> meldb::Result<Self> {
        store.tenant(tenant)?.collection(collection)?.define_index(name, index).commit(actor)?;
        Self::of(store, tenant, Some(collection))
    }

    /// Drops an index if it is there, and returns what its collection has then.
    ///
    /// # Errors
    /// Those of [`meldb::IndexChange::commit`].
    pub fn drop(
        store: &Store,
        tenant: &TenantId,
        collection: &CollectionName,
        name: &str,
        actor: &Actor,
    ) -> meldb::Result<Self> {
        store.tenant(tenant)?.collection(collection)?.drop_index(name).commit(actor)?;
        Self::of(store, tenant, Some(collection))
    }
}

impl From<IndexInfo> for ShownIndex {
    fn from(info: IndexInfo) -> Self {
        let (state, documents, failure) = match info.state {
            IndexState::Ready => ("ready", None, None),
            IndexState::Building { documents, failure: Some(failure) } => {
                ("failed", Some(documents), Some(failure))
            }
            IndexState::Building { documents, .. } => ("building", Some(documents), None),
            _ => ("unknown", None, None),
        };
        Self {
            collection: info.collection,
            name: info.name,
            fields: info.index.to_string(),
            unique: info.index.is_unique(),
            state: state.to_owned(),
            documents,
            failure,
        }
    }
}

/// The body that defines an index.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefineBody {
    collection: CollectionName,
    name: String,
    fields: Index,
    #[serde(default)]
    unique: bool,
}

/// `GET`, `PUT` and `DELETE /api/v1/admin/tenants/{tenantId}/indexes`.
pub(super) async fn answer(
    request: AdminRequest<'_>,
    tenant: &TenantId,
    collection: Option<&CollectionName>,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let (tenant, collection) = (tenant.clone(), collection.cloned());
    let shown = match request.parts.method {
        Method::PUT => {
            let DefineBody { collection, name, fields, unique } =
                request.json(body, JSON_BYTES_MAX).await?;
            let index = if unique { fields.unique() } else { fields };
            let actor = request.writer()?.clone();
            let define = move |store: &Store| {
                ShownIndexes::define(store, &tenant, &collection, (&name, index), &actor)
                    .map_err(told_as_it_is)
            };
            request.in_background(define).await?
        }
        Method::DELETE => {
            let missing = |name: &str| HttpError::bad_request(format!("`{name}` is missing"));
            let collection = collection.ok_or_else(|| missing("collection"))?;
            let name = request.parameter("name")?.ok_or_else(|| missing("name"))?;
            let actor = request.writer()?.clone();
            let drop = move |store: &Store| {
                ShownIndexes::drop(store, &tenant, &collection, &name, &actor)
                    .map_err(told_as_it_is)
            };
            request.in_background(drop).await?
        }
        _ => {
            let show = move |store: &Store| ShownIndexes::of(store, &tenant, collection.as_ref());
            request.in_background(show).await?
        }
    };
    request.answer_with(&shown)
}
