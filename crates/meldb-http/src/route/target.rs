//! What a route leads to, its names parsed.

use std::fmt;

use meldb::{CollectionName, DocId, DocumentRef, Error, Tenant, TenantId};

use super::key_id::KeyId;

/// What a request is about.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Root,
    Health,
    Ready,
    OpenApi,
    /// A file of the page for people; none for the address without a slash.
    Docs(Option<String>),
    /// Something of a tenant.
    Of(TenantId, Part),
    /// Something of the store, for operators.
    Admin(Admin),
}

/// What of the store an operator's request is about; the paths below `/api/v1/admin/`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Admin {
    /// What every tenant holds and may hold.
    Stats,
    /// The same of one tenant, and the tenant as a whole.
    Tenant(TenantId),
    /// The tenant's quota.
    Quota(TenantId),
    /// API keys: listing and making them.
    Keys,
    /// Revoking a key.
    RevokeKey(KeyId),
    /// Making a successor of a key.
    RotateKey(KeyId),
    /// Storing the lines of an export.
    Import,
    /// A backup of the store.
    Backup,
    /// Writing recent writes to the tables.
    Checkpoint,
    /// Taking back times that are ahead of the clock.
    ResetClock,
}

/// What of a tenant a request is about.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Document(DocumentTarget),
    /// Documents that are written together.
    Batch,
    Collection(CollectionName),
    /// The changes of one collection, or all.
    Changes(Option<CollectionName>),
    Report(CollectionName),
}

/// A document of a tenant, or the one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DocumentTarget {
    /// The tenant's own document.
    Tenant,
    Member(CollectionName, DocId),
    /// The member `versions.current` of a document, as a document.
    CurrentVersion(CollectionName, DocId),
    /// The object at the end of a path of member names, as a document; the document itself if
    /// there are none.
    Sub(CollectionName, DocId, Vec<String>),
}

impl DocumentTarget {
    /// Reads a path behind a tenant, whose segments hold nothing that is encoded: `COLLECTION/ID`,
    /// `COLLECTION/ID/versions/current`, or nothing for the tenant's own document.
    ///
    /// # Errors
    /// [`Error::InvalidName`]; `None` for a path of another form.
    pub(crate) fn parse(path: &str) -> Result<Option<Self>, Error> {
        let segments: Vec<&str> = path.split('/').collect();
        Ok(Some(match *segments {
            [""] => Self::Tenant,
            [collection, id] => Self::Member(CollectionName::parse(collection)?, DocId::parse(id)?),
            [collection, id, "versions", "current"] => {
                Self::CurrentVersion(CollectionName::parse(collection)?, DocId::parse(id)?)
            }
            _ => return Ok(None),
        }))
    }

    /// Returns the collection; `None` for the tenant's own document.
    pub(crate) fn collection(&self) -> Option<&CollectionName> {
        match self {
            Self::Tenant => None,
            Self::Member(collection, _)
            | Self::CurrentVersion(collection, _)
            | Self::Sub(collection, ..) => Some(collection),
        }
    }

    /// Returns the document in `tenant`.
    ///
    /// # Errors
    /// None: every name has been checked.
    pub(crate) fn of(&self, tenant: &Tenant) -> Result<DocumentRef, Error> {
        Ok(match self {
            Self::Tenant => tenant.document(),
            Self::Member(collection, id) => tenant.collection(collection)?.document(id),
            Self::CurrentVersion(collection, id) => {
                tenant.collection(collection)?.document(id).at(["versions", "current"])
            }
            Self::Sub(collection, id, members) => {
                tenant.collection(collection)?.document(id).at(members)
            }
        })
    }
}

/// Names the target within its tenant, as logs do.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Health => f.write_str("health"),
            Self::Ready => f.write_str("ready"),
            Self::OpenApi => f.write_str("openapi"),
            Self::Docs(_) => f.write_str("docs"),
            Self::Admin(admin) => admin.fmt(f),
            Self::Of(_, part) => part.fmt(f),
        }
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stats | Self::Tenant(_) => f.write_str("tenant"),
            Self::Quota(_) => f.write_str("quota"),
            Self::Keys => f.write_str("keys"),
            Self::RevokeKey(id) => write!(f, "keys/{id}:revoke"),
            Self::RotateKey(id) => write!(f, "keys/{id}:rotate"),
            Self::Import => f.write_str("import"),
            Self::Backup => f.write_str("backup"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::ResetClock => f.write_str("clock:reset"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(document) => document.fmt(f),
            Self::Changes(_) => f.write_str("."),
            Self::Batch => f.write_str(":batch"),
            Self::Collection(collection) | Self::Report(collection) => write!(f, "{collection}"),
        }
    }
}

impl fmt::Display for DocumentTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("."),
            Self::Member(collection, id) => write!(f, "{collection}/{id}"),
            Self::CurrentVersion(collection, id) => {
                write!(f, "{collection}/{id}/versions/current")
            }
            Self::Sub(collection, id, members) => {
                write!(f, "{collection}/{id}")?;
                members.iter().try_for_each(|name| write!(f, "/{name}"))
            }
        }
    }
}
