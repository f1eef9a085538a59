//! What commands ask of a backend, and what they get back.

use bytes::Bytes;
use meldb::{CollectionName, Quota, TenantId, WriteOptions, verb::Kind};
use serde::{Deserialize, Serialize};

use crate::{
    address::{Address, CollectionAddress},
    failure::Result,
};

/// A write, but for its text.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) address: Address,
    pub(crate) verb: Kind,
    /// All but the idempotency key, which a server is sent as it was given.
    pub(crate) options: WriteOptions,
    /// The document as written is not needed in the answer.
    pub(crate) quiet: bool,
    /// Makes the write once, however often it is sent.
    pub(crate) idempotency_key: Option<String>,
    /// Who is stamped; a server that is given a key stamps the key's name.
    pub(crate) actor: Option<String>,
}

/// A batch, but for its text.
#[derive(Clone, Debug)]
pub(crate) struct BatchRequest {
    pub(crate) tenant: TenantId,
    /// Nothing is written.
    pub(crate) dry_run: bool,
    /// The documents as written are not needed in the answer.
    pub(crate) quiet: bool,
    /// Makes the batch once, however often it is sent.
    pub(crate) idempotency_key: Option<String>,
    /// Who is stamped; a server that is given a key stamps the key's name.
    pub(crate) actor: Option<String>,
}

impl Change {
    /// Returns an unconditional write.
    pub(crate) fn new(address: Address, verb: Kind) -> Self {
        let (options, quiet, idempotency_key, actor) = Default::default();
        Self { address, verb, options, quiet, idempotency_key, actor }
    }
}

/// A document as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) revision: Option<u64>,
    pub(crate) text: Bytes,
}

/// What a write did.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) effect: Effect,
    pub(crate) revision: Option<u64>,
    /// The document as stored, or what has changed; `None` after a delete, and when it was not asked for.
    pub(crate) text: Option<Bytes>,
}

/// What a write did, as the program words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effect {
    Created,
    Replaced,
    Merged,
    Patched,
    Unchanged,
    Deleted,
}

impl Effect {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Replaced => "replaced",
            Self::Merged => "merged",
            Self::Patched => "patched",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// Which part of a collection to list.
#[derive(Clone, Debug)]
pub(crate) struct ListRequest {
    pub(crate) collection: CollectionAddress,
    /// Start behind this id, which need not exist.
    pub(crate) after: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// Which documents of a collection to find.
#[derive(Clone, Debug)]
pub(crate) struct FindRequest {
    pub(crate) collection: CollectionAddress,
    pub(crate) filter: Option<String>,
    pub(crate) sort: Option<String>,
    pub(crate) fields: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// A step of a merge into the documents that pass a filter, but for its patch.
#[derive(Clone, Debug)]
pub(crate) struct BulkMergeRequest {
    pub(crate) collection: CollectionAddress,
    pub(crate) filter: String,
    /// How to merge, and whether to write.
    pub(crate) options: WriteOptions,
    /// Where the step before ended, in the words of the backend.
    pub(crate) after: Option<String>,
    /// Who is stamped; a server that is given a key stamps the key's name.
    pub(crate) actor: Option<String>,
}

/// The deletion of every document of a collection.
#[derive(Clone, Debug)]
pub(crate) struct DeleteAllRequest {
    pub(crate) collection: CollectionAddress,
    /// Only count them.
    pub(crate) dry_run: bool,
    /// Who is stamped; a server that is given a key stamps the key's name.
    pub(crate) actor: Option<String>,
}

/// What a step of it did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct DeletedStep {
    pub(crate) deleted: u64,
    pub(crate) complete: bool,
}

/// What steps of such a merge did, or would do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct MergedStep {
    pub(crate) matched: u64,
    pub(crate) merged: u64,
    pub(crate) unchanged: u64,
    pub(crate) examined: u64,
    pub(crate) complete: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) after: Option<String>,
}

/// A collection of a tenant.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// `None` where a server found counting to take too long.
    #[serde(default)]
    pub(crate) documents: Option<u64>,
    #[serde(default)]
    pub(crate) bytes: Option<u64>,
}

/// One document of a list.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// `None` from a server whose lists do not say.
    pub(crate) revision: Option<u64>,
    pub(crate) text: Vec<u8>,
}

/// What takes the entries of a list, one by one.
pub(crate) type Sink<'a> = &'a mut (dyn FnMut(Entry) -> Result<()> + Send);

/// Which changes to read.
#[derive(Clone, Debug)]
pub(crate) struct ChangesRequest {
    pub(crate) tenant: TenantId,
    /// A revision or a cursor, in words, or `now`.
    pub(crate) after: String,
    pub(crate) collection: Option<CollectionName>,
    pub(crate) documents: bool,
    /// Only documents that pass, and deletes.
    pub(crate) filter: Option<String>,
    /// Every write that is kept in the history, in place of the last one of each document.
    pub(crate) every: bool,
    /// Go on when all has been read.
    pub(crate) follow: bool,
}

/// What takes changes, each as a line of JSON, some at a time.
pub(crate) type LineSink<'a> = &'a mut (dyn FnMut(Vec<Vec<u8>>) -> Result<()> + Send);

/// What to do with quotas.
#[derive(Clone, Debug)]
pub(crate) enum QuotaRequest {
    /// Of one tenant, or of all that hold something.
    Show { tenant: Option<TenantId> },
    /// Give a tenant a quota of its own, or take it away.
    Set { tenant: TenantId, quota: Option<Quota>, actor: Option<String> },
}

/// What is known of lines that are stored as the writes that they were.
#[derive(Clone, Debug)]
pub(crate) struct PreserveRequest {
    /// The tenant of every line, whatever the line says.
    pub(crate) tenant: Option<TenantId>,
    /// The number of the first line.
    pub(crate) first_line: u64,
}

/// What to erase, and who does it.
#[derive(Clone, Debug)]
pub(crate) struct EraseRequest {
    pub(crate) tenant: TenantId,
    /// A server that is given a key takes the key's name.
    pub(crate) actor: Option<String>,
}
