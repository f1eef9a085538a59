//! What is asked of a store about indexes.

use meldb::{Actor, CollectionName, Index, TenantId};
use meldb_http::ShownIndexes;
use serde_json::json;

use super::{Backend, local};
use crate::{
    address::CollectionAddress,
    client::{Method, Request, percent_encoded},
    failure::Result,
};

impl Backend {
    /// Returns the indexes of a tenant, or of one of its collections.
    pub(crate) async fn indexes(
        &self,
        tenant: &TenantId,
        collection: Option<&CollectionName>,
    ) -> Result<ShownIndexes> {
        match self {
            Self::Local(local) => Ok(ShownIndexes::of(local.store(), tenant, collection)?),
            Self::Remote(remote) => {
                let path = match collection {
                    Some(name) => format!("tenants/{tenant}/indexes?collection={name}"),
                    None => format!("tenants/{tenant}/indexes"),
                };
                remote.ask(Request::admin(Method::Get, &path, None)).await
            }
        }
    }

    /// Defines an index, and returns what its collection has then.
    pub(crate) async fn define_index(
        &self,
        CollectionAddress { tenant, collection }: &CollectionAddress,
        name: &str,
        index: Index,
        actor: Option<String>,
    ) -> Result<ShownIndexes> {
        match self {
            Self::Local(local) => {
                let actor = Actor::parse(local::actor_of(actor.as_deref())?)?;
                let index = (name, index);
                Ok(ShownIndexes::define(local.store(), tenant, collection, index, &actor)?)
            }
            Self::Remote(remote) => {
                let body = json!({
                    "collection": collection, "name": name,
                    "fields": index.to_string(), "unique": index.is_unique(),
                });
                let body = Some(body.to_string().into_bytes());
                let path = format!("tenants/{tenant}/indexes");
                let mut request = Request::admin(Method::Put, &path, body);
                request.actor = remote.actor(actor.as_deref())?;
                remote.ask(request).await
            }
        }
    }

    /// Drops an index if it is there, and returns what its collection has then.
    pub(crate) async fn drop_index(
        &self,
        CollectionAddress { tenant, collection }: &CollectionAddress,
        name: &str,
        actor: Option<String>,
    ) -> Result<ShownIndexes> {
        match self {
            Self::Local(local) => {
                let actor = Actor::parse(local::actor_of(actor.as_deref())?)?;
                Ok(ShownIndexes::drop(local.store(), tenant, collection, name, &actor)?)
            }
            Self::Remote(remote) => {
                let name = percent_encoded(name);
                let path = format!("tenants/{tenant}/indexes?collection={collection}&name={name}");
                let mut request = Request::admin(Method::Delete, &path, None);
                request.actor = remote.actor(actor.as_deref())?;
                remote.ask(request).await
            }
        }
    }
}
