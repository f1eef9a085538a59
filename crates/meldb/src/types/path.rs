//! Paths of documents and sub-documents.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::names::{CollectionName, DocId, TenantId};
use crate::merge::{Bounds, MemberPath, PathError};

/// Which document of a tenant: its own, or one in a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKey {
    /// The tenant's own document.
    Tenant,
    /// A document in a collection.
    Member {
        /// The collection.
        collection: CollectionName,
        /// The id in it.
        id: DocId,
    },
}

/// Where a document, or a sub-document in it, lives; what errors name.
///
/// serde has it as an object, such as `{"tenant":"acme","collection":"users","id":"ada","fields":["address"]}`, without
/// what it lacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct DocumentPath {
    pub(crate) tenant: TenantId,
    pub(crate) key: DocumentKey,
    /// `None` for the document itself: an empty slice would be one that all threads count.
    pub(crate) members: Option<Arc<[String]>>,
}

/// A path as serde has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collection: Option<CollectionName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<DocId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
}

impl From<DocumentPath> for Parts {
    fn from(path: DocumentPath) -> Self {
        let fields = path.members().to_vec();
        let (collection, id) = match path.key {
            DocumentKey::Tenant => (None, None),
            DocumentKey::Member { collection, id } => (Some(collection), Some(id)),
        };
        Self { tenant: path.tenant, collection, id, fields }
    }
}

impl TryFrom<Parts> for DocumentPath {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, &'static str> {
        let key = match (parts.collection, parts.id) {
            (None, None) => DocumentKey::Tenant,
            (Some(collection), Some(id)) => DocumentKey::Member { collection, id },
            _ => return Err("a path has both a collection and an id, or neither"),
        };
        Ok(Self::new(parts.tenant, key).at(parts.fields))
    }
}

impl DocumentPath {
    /// Returns the path of a document.
    pub fn new(tenant: TenantId, key: DocumentKey) -> Self {
        Self { tenant, key, members: None }
    }

    /// Returns the path of the object at the end of these field names in the document or sub-document.
    #[must_use]
    pub fn at<S: Into<String>>(self, fields: impl IntoIterator<Item = S>) -> Self {
        let own = self.members().iter().cloned();
        let members: Vec<_> = own.chain(fields.into_iter().map(Into::into)).collect();
        Self { members: (!members.is_empty()).then(|| members.into()), ..self }
    }

    /// Returns the tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Returns which document of the tenant it is.
    pub fn key(&self) -> &DocumentKey {
        &self.key
    }

    /// Returns the compiled way to the sub-document; `None` for the document itself.
    pub(crate) fn sub_document(&self, bounds: &Bounds) -> Result<Option<MemberPath>, PathError> {
        let Some(members) = &self.members else { return Ok(None) };
        let names: Vec<&str> = members.iter().map(String::as_str).collect();
        MemberPath::new(&names, bounds).map(Some)
    }

    /// Returns the way to the sub-document as a JSON Pointer (RFC 6901); `None` for the document itself.
    pub(crate) fn sub_pointer(&self) -> Option<String> {
        let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        Some(self.members.as_deref()?.iter().map(escaped).collect())
    }

    /// Returns the path of the whole document.
    pub(crate) fn whole(&self) -> Self {
        Self::new(self.tenant.clone(), self.key.clone())
    }

    /// Returns the field names that lead to the sub-document; empty for the document itself.
    pub fn members(&self) -> &[String] {
        self.members.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tenant.as_str())?;
        if let DocumentKey::Member { collection, id } = &self.key {
            write!(f, "/{collection}/{id}")?;
        }
        for member in self.members() {
            write!(f, "/{member}")?;
        }
        Ok(())
    }
}
