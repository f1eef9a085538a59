//! What a route leads to, its names parsed.

use std::fmt;

use meldb::{CollectionName, DocId, DocumentKey, DocumentPath, NameError, TenantId};

use super::key_id::KeyId;

/// What a request is about.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Root,
    Health,
    Ready,
    OpenApi,
    /// Whoever asks.
    WhoAmI,
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
    /// How long the writes of a collection are kept, or of the tenant's own document.
    History(TenantId, Option<CollectionName>),
    /// The indexes of a collection, or of all of the tenant's.
    Indexes(TenantId, Option<CollectionName>),
    /// Forgetting a document, with all that it was.
    Forget(DocumentPath),
    /// Removing a field from a document and from all that it was.
    Redact(DocumentPath),
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
    Document(DocumentPath),
    /// Documents that are written together.
    Batch,
    Collection(CollectionName),
    /// How many documents of it pass a filter.
    Count(CollectionName),
    /// Documents of it that pass a filter.
    Query(CollectionName),
    /// A merge into documents of it that pass a filter.
    BulkMerge(CollectionName),
    /// The names of the collections.
    Collections,
    /// The changes of one collection, or all.
    Changes(Option<CollectionName>),
    Report(CollectionName),
    /// What a document was.
    History(DocumentPath),
    /// Every write of one collection, or of all.
    Writes(Option<CollectionName>),
    TakeBack(DocumentPath, TakeBack),
    /// The writes of an actor, to be taken back.
    UndoBy,
}

/// What is taken back of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeBack {
    /// One write.
    Undo,
    /// Every write after a revision.
    Revert,
}

/// The fields that lead to the sub-document that has an address of its own.
pub(crate) const CURRENT_VERSION: [&str; 2] = ["versions", "current"];

/// Reads a path behind a tenant, whose segments hold nothing that is encoded: `COLLECTION/ID`,
/// `COLLECTION/ID/versions/current`, or nothing for the tenant's own document.
///
/// # Errors
/// The name that is none; `None` for a path of another form.
pub(crate) fn document_path(
    tenant: &TenantId,
    path: &str,
) -> Result<Option<DocumentPath>, NameError> {
    let segments: Vec<&str> = path.split('/').collect();
    let member = |collection, id| {
        let (collection, id) = (CollectionName::parse(collection)?, DocId::parse(id)?);
        Ok::<_, NameError>(DocumentKey::Member { collection, id })
    };
    let path = |key| DocumentPath::new(tenant.clone(), key);
    Ok(Some(match *segments {
        [""] => path(DocumentKey::Tenant),
        [collection, id] => path(member(collection, id)?),
        [collection, id, "versions", "current"] => {
            path(member(collection, id)?).at(CURRENT_VERSION)
        }
        _ => return Ok(None),
    }))
}

/// Names the target within its tenant, as logs do.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Health => f.write_str("health"),
            Self::Ready => f.write_str("ready"),
            Self::OpenApi => f.write_str("openapi"),
            Self::WhoAmI => f.write_str("whoami"),
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
            Self::History(_, Some(collection)) => write!(f, "history/{collection}"),
            Self::History(_, None) => f.write_str("history"),
            Self::Indexes(_, Some(collection)) => write!(f, "indexes/{collection}"),
            Self::Indexes(_, None) => f.write_str("indexes"),
            Self::Forget(path) => {
                show_within_tenant(path, f)?;
                f.write_str("/forget")
            }
            Self::Redact(path) => {
                show_within_tenant(path, f)?;
                f.write_str("/redact")
            }
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
            Self::Document(path) | Self::History(path) => show_within_tenant(path, f),
            Self::TakeBack(path, how) => {
                show_within_tenant(path, f)?;
                f.write_str(match how {
                    TakeBack::Undo => "/undo",
                    TakeBack::Revert => "/revert",
                })
            }
            Self::UndoBy => f.write_str(":undo"),
            Self::Changes(_) | Self::Writes(_) => f.write_str("."),
            Self::Batch => f.write_str(":batch"),
            Self::Count(collection) => write!(f, "{collection}:count"),
            Self::Query(collection) => write!(f, "{collection}:query"),
            Self::BulkMerge(collection) => write!(f, "{collection}:merge"),
            Self::Collections => f.write_str("-/collections"),
            Self::Collection(collection) | Self::Report(collection) => write!(f, "{collection}"),
        }
    }
}

fn show_within_tenant(path: &DocumentPath, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match path.key() {
        DocumentKey::Tenant => f.write_str("."),
        DocumentKey::Member { collection, id } => write!(f, "{collection}/{id}"),
    }?;
    path.members().iter().try_for_each(|name| write!(f, "/{name}"))
}
