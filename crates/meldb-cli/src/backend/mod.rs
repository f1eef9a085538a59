//! The two places a command can work on, behind one set of operations: a store that is opened here,
//! and a server, over the network or through the socket in the directory that it has open.

mod local;
mod operate;
mod remote;

use bytes::Bytes;
use meldb::{Store, TenantId};
use serde::Serialize;

pub(crate) use local::Local;
pub(crate) use operate::{ChangesRequest, EraseRequest, LineSink, PreserveRequest, QuotaRequest};
pub(crate) use remote::Remote;

use crate::{
    address::{Address, CollectionAddress},
    failure::Result,
};

/// Where a command works.
#[derive(Debug)]
pub(crate) enum Backend {
    /// A store that this process has opened.
    Local(Local),
    /// A server's HTTP API.
    Remote(Remote),
}

/// A write, but for its text.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) address: Address,
    pub(crate) verb: Verb,
    pub(crate) precondition: Precondition,
    /// Nulls in a merge are stored instead of removing.
    pub(crate) nulls_keep: bool,
    /// A merge replaces top-level members whole.
    pub(crate) shallow: bool,
    pub(crate) skip_unchanged: bool,
    /// When the document expires: epoch milliseconds, or `never`.
    pub(crate) expire_at: Option<ExpireAt>,
    /// Nothing is written.
    pub(crate) dry_run: bool,
    /// The answer is what has changed, and not the document.
    pub(crate) diff: bool,
    /// The document as written is not needed in the answer.
    pub(crate) quiet: bool,
    /// Makes the write once, however often it is sent.
    pub(crate) idempotency_key: Option<String>,
    /// Who is stamped; a server that is given a key stamps the key's name.
    pub(crate) actor: Option<String>,
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Put,
    Merge,
    Patch,
    Delete,
}

/// When a document expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpireAt {
    /// At this time, in epoch milliseconds.
    Time(u64),
    Never,
}

/// What must hold for a write to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precondition {
    #[default]
    Nothing,
    Absent,
    Revision(u64),
    /// No member that the merge touches has changed since.
    UnchangedSince(u64),
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
    pub(crate) fn new(address: Address, verb: Verb) -> Self {
        Self {
            address,
            verb,
            precondition: Precondition::Nothing,
            nulls_keep: false,
            shallow: false,
            skip_unchanged: false,
            expire_at: None,
            dry_run: false,
            diff: false,
            quiet: false,
            idempotency_key: None,
            actor: None,
        }
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

impl Backend {
    /// Returns a backend on a store that is open in this process.
    pub(crate) fn over(store: Store) -> Self {
        Self::Local(Local::new(store))
    }

    /// Returns a document, or `None` if it does not exist.
    pub(crate) async fn get(&self, address: &Address) -> Result<Option<Found>> {
        match self {
            Self::Local(local) => local.get(address).await,
            Self::Remote(remote) => remote.get(address).await,
        }
    }

    /// Makes a write; it is durable when this returns.
    pub(crate) async fn write(&self, change: Change, text: Bytes) -> Result<Outcome> {
        match self {
            Self::Local(local) => local.write(change, text).await,
            Self::Remote(remote) => remote.write(&change, text).await,
        }
    }

    /// Makes a batch and returns the answer as the HTTP API has it.
    pub(crate) async fn batch(&self, request: &BatchRequest, text: Bytes) -> Result<Bytes> {
        match self {
            Self::Local(local) => local.batch(request, text).await,
            Self::Remote(remote) => remote.batch(request, text).await,
        }
    }

    /// Hands the documents of a collection to `sink` in id order.
    pub(crate) async fn list(&self, request: &ListRequest, sink: Sink<'_>) -> Result<()> {
        match self {
            Self::Local(local) => local.list(request, sink).await,
            Self::Remote(remote) => remote.list(request, sink).await,
        }
    }
}
