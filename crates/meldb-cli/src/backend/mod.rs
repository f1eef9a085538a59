//! The two places a command can work on, behind one set of operations: a store that is opened here,
//! and a server, over the network or through the socket in the directory that it has open.

mod bulk;
mod find;
pub(crate) mod history;
mod index;
mod local;
mod operate;
mod remote;
mod request;

use bytes::Bytes;
use meldb::Store;

pub(crate) use local::Local;
pub(crate) use remote::Remote;
pub(crate) use request::{
    BatchRequest, BulkMergeRequest, Change, ChangesRequest, DeleteAllRequest, DeletedStep, Effect,
    Entry, EraseRequest, FindRequest, Found, LineSink, ListRequest, Listed, MergedStep, Outcome,
    PreserveRequest, QuotaRequest, Sink,
};

use crate::{address::Address, failure::Result};

/// Where a command works.
#[derive(Debug)]
pub(crate) enum Backend {
    /// A store that this process has opened.
    Local(Local),
    /// A server's HTTP API.
    Remote(Remote),
}

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
