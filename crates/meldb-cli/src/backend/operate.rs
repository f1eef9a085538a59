//! What is asked of a store as a whole: changes, statistics, backups, erasing. On a directory, or
//! through the socket of the process that has it open; of a server, only changes.

use std::io::Write;

use bytes::Bytes;
use meldb::{
    Actor, BackupSummary, Change, ChangeKind, Changes, CollectionName, DocumentKey, Erased, Error,
    PastWrite, Quota, Store, TenantId,
};
use meldb_http::Keys;
use serde::{Deserialize, Serialize};

use super::{Backend, Local};
use crate::{
    failure::{Code, Failure, Result},
    import::read_past,
    output,
};

/// The changes that are handed on at a time.
const PAGE_CHANGES: usize = 256;

/// Which changes to read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangesRequest {
    pub(crate) tenant: TenantId,
    /// A revision or a cursor, in words.
    pub(crate) after: String,
    pub(crate) collection: Option<CollectionName>,
    pub(crate) documents: bool,
    /// Go on when all has been read.
    pub(crate) follow: bool,
}

/// What takes changes, each as a line of JSON, some at a time.
pub(crate) type LineSink<'a> = &'a mut (dyn FnMut(Vec<Vec<u8>>) -> Result<()> + Send);

/// What a tenant holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TenantStats {
    pub(crate) tenant: TenantId,
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
    pub(crate) deleted: u64,
    pub(crate) revision: u64,
}

/// What to do with quotas.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum QuotaRequest {
    /// Of one tenant, or of all that hold something.
    Show { tenant: Option<TenantId> },
    /// Give a tenant a quota of its own, or take it away.
    Set { tenant: TenantId, quota: Option<Quota>, actor: Actor },
}

/// What a tenant holds, and may hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TenantQuota {
    pub(crate) tenant: TenantId,
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
    pub(crate) quota: Quota,
}

/// What is known of lines that are stored as the writes that they were.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreserveRequest {
    /// The tenant of every line, whatever the line says.
    pub(crate) tenant: Option<TenantId>,
    /// The number of the first line.
    pub(crate) first_line: u64,
}

/// What came of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PreserveResponse {
    pub(crate) stored: u64,
    pub(crate) skipped: u64,
}

/// What to erase, and who does it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseRequest {
    pub(crate) tenant: TenantId,
    pub(crate) actor: Actor,
}

/// What was erased.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EraseResponse {
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
    pub(crate) revision: u64,
    /// The keys that were revoked.
    pub(crate) keys: usize,
}

impl Backend {
    /// Hands changes to `sink` in their order; with `follow` it ends only by a failure.
    pub(crate) async fn changes(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        match self {
            Self::Local(local) => local.changes(request, sink).await,
            Self::Socket(socket) => socket.changes(request, sink).await,
            Self::Remote(remote) => remote.changes(request, sink).await,
        }
    }

    /// Returns what each tenant holds, or one of them.
    pub(crate) async fn stats(&self, tenant: Option<TenantId>) -> Result<Vec<TenantStats>> {
        match self {
            Self::Local(local) => local.stats(tenant).await,
            Self::Socket(socket) => socket.stats(&tenant).await,
            Self::Remote(_) => Err(only_here("statistics are read")),
        }
    }

    /// Stores lines of an export as the writes that they were.
    pub(crate) async fn preserve(
        &self,
        request: &PreserveRequest,
        lines: Bytes,
    ) -> Result<PreserveResponse> {
        match self {
            Self::Local(local) => local.preserve(request.clone(), lines).await,
            Self::Socket(socket) => socket.preserve(request, &lines).await,
            Self::Remote(_) => Err(only_here("revisions are preserved")),
        }
    }

    /// Shows or changes quotas, and returns those that the request is about.
    pub(crate) async fn quota(&self, request: QuotaRequest) -> Result<Vec<TenantQuota>> {
        match self {
            Self::Local(local) => local.quota(request).await,
            Self::Socket(socket) => socket.quota(&request).await,
            Self::Remote(_) => Err(only_here("quotas are shown and set")),
        }
    }

    /// Writes a backup to `out`.
    pub(crate) async fn backup(
        &self,
        since: Option<BackupSummary>,
        mut out: impl Write + Send + 'static,
    ) -> Result<()> {
        match self {
            Self::Local(local) => local.backup(since, out).await,
            Self::Socket(socket) => socket.backup(&since, &mut out).await,
            Self::Remote(remote) if since.is_none() => remote.backup(&mut out).await,
            Self::Remote(_) => Err(only_here("backups that go on from others are taken")),
        }
    }

    /// Revokes the keys of a tenant, erases all that it has, and rewrites the files.
    pub(crate) async fn erase(&self, request: EraseRequest) -> Result<EraseResponse> {
        match self {
            Self::Local(local) => local.erase(request).await,
            Self::Socket(socket) => socket.erase(&request).await,
            Self::Remote(_) => Err(only_here("tenants are erased")),
        }
    }
}

fn only_here(what: &str) -> Failure {
    Failure::usage(format!("{what} where the store is, with --dir"))
}

impl Local {
    /// Returns the changes that are asked for, to be read page by page.
    pub(crate) fn change_lines(&self, request: &ChangesRequest) -> Result<ChangeLines> {
        let after: meldb::ChangeCursor = request.after.parse().map_err(|_| {
            Failure::usage(format!("{} is neither a revision nor a cursor", request.after))
        })?;
        let mut feed = self.store().tenant(&request.tenant)?.changes(after);
        if let Some(name) = &request.collection {
            feed = feed.collection(name)?;
        }
        if request.documents {
            feed = feed.with_documents();
        }
        Ok(ChangeLines { feed, follow: request.follow, ended: false })
    }

    async fn changes(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        let mut lines = self.change_lines(request)?;
        while let Some(page) = lines.next().await? {
            sink(page)?;
        }
        Ok(())
    }

    pub(crate) async fn stats(&self, tenant: Option<TenantId>) -> Result<Vec<TenantStats>> {
        let of = |tenant: meldb::Tenant| {
            let totals = tenant.totals()?;
            Ok(TenantStats {
                tenant: tenant.id().clone(),
                documents: totals.documents,
                bytes: totals.bytes,
                deleted: totals.tombstones,
                revision: tenant.last_revision()?.get(),
            })
        };
        in_background(self.store(), move |store| match tenant {
            Some(tenant) => Ok(vec![of(store.tenant(tenant)?)?]),
            None => store.tenants().map(|tenant| of(tenant?)).collect(),
        })
        .await
    }

    pub(crate) async fn preserve(
        &self,
        request: PreserveRequest,
        lines: Bytes,
    ) -> Result<PreserveResponse> {
        in_background(self.store(), move |store| preserve(store, &request, &lines)).await
    }

    pub(crate) async fn quota(&self, request: QuotaRequest) -> Result<Vec<TenantQuota>> {
        let of = |tenant: meldb::Tenant| {
            let totals = tenant.totals()?;
            Ok(TenantQuota {
                tenant: tenant.id().clone(),
                documents: totals.documents,
                bytes: totals.bytes,
                quota: tenant.quota(),
            })
        };
        in_background(self.store(), move |store| match request {
            QuotaRequest::Show { tenant: None } => {
                store.tenants().map(|tenant| of(tenant?)).collect()
            }
            QuotaRequest::Show { tenant: Some(tenant) } => Ok(vec![of(store.tenant(tenant)?)?]),
            QuotaRequest::Set { tenant, quota, actor } => {
                let tenant = store.tenant(tenant)?;
                tenant.set_quota(quota, actor)?;
                Ok(vec![of(tenant)?])
            }
        })
        .await
    }

    pub(crate) async fn backup(
        &self,
        since: Option<BackupSummary>,
        out: impl Write + Send + 'static,
    ) -> Result<()> {
        in_background(self.store(), move |store| {
            store.backup_to(out, since.as_ref())?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn erase(&self, request: EraseRequest) -> Result<EraseResponse> {
        in_background(self.store(), move |store| erase(store, &request)).await
    }
}

fn preserve(store: &Store, request: &PreserveRequest, lines: &Bytes) -> Result<PreserveResponse> {
    let mut response = PreserveResponse::default();
    let mut writes: Vec<(u64, TenantId, PastWrite)> = Vec::new();
    for (line, number) in lines.split(|byte| *byte == b'\n').zip(request.first_line..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let past = read_past(&lines.slice_ref(line), request.tenant.as_ref());
        let (tenant, write) = past.map_err(|failure| at_line(number, failure))?;
        writes.push((number, tenant, write));
    }
    for writes in writes.chunk_by(|one, next| one.1 == next.1) {
        let past = writes.iter().map(|(_, _, write)| write.clone()).collect();
        let preserved =
            store.tenant(&writes[0].1)?.preserve(past).map_err(|error| match error {
                Error::OperationFailed { index, source, .. } => {
                    at_line(writes[index].0, Failure::from(*source))
                }
                error => error.into(),
            })?;
        response.stored += preserved.stored as u64;
        response.skipped += preserved.skipped as u64;
    }
    Ok(response)
}

fn at_line(number: u64, failure: Failure) -> Failure {
    let message = format!("line {number}: {}", failure.message);
    Failure { message, ..failure }
}

fn erase(store: &Store, EraseRequest { tenant, actor }: &EraseRequest) -> Result<EraseResponse> {
    let keys = Keys::new(store);
    let own = keys.list()?.into_iter().filter(|key| key.tenant() == Some(tenant));
    let own: Vec<_> = own.filter(|key| key.revoked_ms.is_none()).collect();
    for key in &own {
        keys.revoke(&key.id)?;
    }
    let Erased { documents, bytes, revision, .. } = store.tenant(tenant)?.erase(actor)?;
    store.compact()?;
    Ok(EraseResponse { documents, bytes, revision: revision.get(), keys: own.len() })
}

/// Changes as lines of JSON, read page by page.
pub(crate) struct ChangeLines {
    feed: Changes,
    follow: bool,
    ended: bool,
}

impl ChangeLines {
    /// Returns the lines of the next page, or `None` when all has been read; a feed that follows
    /// waits instead.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        if self.ended {
            return Ok(None);
        }
        let page = match self.follow {
            true => self.feed.wait_page_async(PAGE_CHANGES).await?,
            false => self.feed.page_async(PAGE_CHANGES).await?,
        };
        self.ended = !self.follow && !page.more;
        Ok(Some(page.changes.iter().map(line).collect()))
    }
}

async fn in_background<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.map_err(|error| Failure::new(Code::InternalError, format!("the work broke off: {error}")))?
}

/// A change but for its document, as a line of JSON has it.
#[derive(Serialize)]
struct Facts<'a> {
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    kind: &'static str,
    updated: u64,
    #[serde(rename = "updatedBy")]
    updated_by: &'a str,
    #[serde(rename = "expireAt", skip_serializing_if = "Option::is_none")]
    expire_at: Option<u64>,
}

/// Returns a change as a line of JSON without its newline.
fn line(change: &Change) -> Vec<u8> {
    let (collection, id) = match change.path.key() {
        DocumentKey::Tenant => (None, None),
        DocumentKey::Member { collection, id } => (Some(collection.as_str()), Some(id.as_str())),
    };
    let facts = Facts {
        revision: change.revision.get(),
        collection,
        id,
        kind: match change.kind {
            ChangeKind::Put => "put",
            ChangeKind::Merged => "merged",
            ChangeKind::Deleted => "deleted",
            _ => "written",
        },
        updated: change.updated_ms,
        updated_by: change.updated_by.as_str(),
        expire_at: change.document.as_ref().and_then(meldb::Document::expires_ms),
    };
    match &change.document {
        Some(document) => output::with_data(&facts, document.as_bytes()),
        None => serde_json::to_vec(&facts).unwrap_or_default(),
    }
}
