//! What is asked of a store as a whole: changes, statistics, quotas, backups, erasing.

use std::io::Write;

use bytes::Bytes;
use meldb::{Actor, BackupSummary, ChangeCursor, Store, TenantId, Writes, with_causes};
use meldb_http::{
    ImportError, ImportErrorKind, ImportSummary, TenantInfo, change_line, history_line,
    import_lines,
};
use meldb_server::{ClockReset, ErasedTenant, Keys, erase_tenant, reset_clock};

use super::{
    Backend,
    local::{Local, actor_of},
    request::{ChangesRequest, EraseRequest, LineSink, PreserveRequest, QuotaRequest},
};
use crate::failure::{Code, Failure, Result};

/// The changes that are handed on at a time.
const PAGE_CHANGES: usize = 256;

impl Backend {
    /// Hands changes to `sink` in their order; with `follow` it ends only by a failure.
    pub(crate) async fn changes(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        match self {
            Self::Local(local) => local.changes(request, sink).await,
            Self::Remote(remote) => remote.changes(request, sink).await,
        }
    }

    /// Returns what each tenant holds, or one of them.
    pub(crate) async fn stats(&self, tenant: Option<TenantId>) -> Result<Vec<TenantInfo>> {
        match self {
            Self::Local(local) => local.stats(tenant).await,
            Self::Remote(remote) => remote.tenants(tenant.as_ref()).await,
        }
    }

    /// Stores lines of an export as the writes that they were.
    pub(crate) async fn preserve(
        &self,
        request: &PreserveRequest,
        lines: Bytes,
    ) -> Result<ImportSummary> {
        match self {
            Self::Local(local) => local.preserve(request.clone(), lines).await,
            Self::Remote(remote) => remote.preserve(request, lines).await,
        }
    }

    /// Shows or changes quotas, and returns those that the request is about.
    pub(crate) async fn quota(&self, request: QuotaRequest) -> Result<Vec<TenantInfo>> {
        match self {
            Self::Local(local) => local.quota(request).await,
            Self::Remote(remote) => remote.quota(request).await,
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
            Self::Remote(remote) => remote.backup(since.as_ref(), &mut out).await,
        }
    }

    /// Takes back the times of one tenant, or of all tenants and of the keys, that are ahead of the clock.
    pub(crate) async fn reset_clock(&self, tenant: Option<TenantId>) -> Result<ClockReset> {
        match self {
            Self::Local(local) => {
                in_background(local.store(), move |store| {
                    Ok(reset_clock(store, &Keys::new(store), tenant.as_ref())?)
                })
                .await
            }
            Self::Remote(remote) => remote.reset_clock(tenant.as_ref()).await,
        }
    }

    /// Revokes the keys of a tenant, erases all that it has, and rewrites the files.
    pub(crate) async fn erase(&self, request: EraseRequest) -> Result<ErasedTenant> {
        match self {
            Self::Local(local) => local.erase(request).await,
            Self::Remote(remote) => remote.erase(request).await,
        }
    }
}

/// Reads every write of a tenant, as [`Local::changes`] reads the last one of each document.
async fn follow_writes(
    mut writes: Writes,
    request: &ChangesRequest,
    sink: LineSink<'_>,
) -> Result<()> {
    if let Some(name) = &request.collection {
        writes = writes.collection(name)?;
    }
    if request.documents {
        writes = writes.with_documents();
    }
    loop {
        let page = match request.follow {
            true => writes.wait_page_async(PAGE_CHANGES).await?,
            false => writes.page_async(PAGE_CHANGES).await?,
        };
        sink(page.writes.iter().map(history_line).collect())?;
        if !request.follow && !page.more {
            return Ok(());
        }
    }
}

impl Local {
    async fn changes(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        let tenant = self.store().tenant(&request.tenant)?;
        let after = match request.after()? {
            Some(after) => after,
            None => tenant.last_revision()?.into(),
        };
        if request.every {
            return follow_writes(tenant.writes(after.revision()), request, sink).await;
        }
        let mut feed = tenant.changes(after);
        if let Some(name) = &request.collection {
            feed = feed.collection(name)?;
        }
        if request.documents {
            feed = feed.with_documents();
        }
        if let Some(filter) = &request.filter {
            feed = feed.matching(filter.parse().map_err(meldb::Error::from)?)?;
        }
        loop {
            let page = match request.follow {
                true => feed.wait_page_async(PAGE_CHANGES).await?,
                false => feed.page_async(PAGE_CHANGES).await?,
            };
            sink(page.changes.iter().map(change_line).collect())?;
            if !request.follow && !page.more {
                return Ok(());
            }
        }
    }

    async fn stats(&self, tenant: Option<TenantId>) -> Result<Vec<TenantInfo>> {
        in_background(self.store(), move |store| match tenant {
            Some(tenant) => Ok(vec![TenantInfo::of(&store.tenant(tenant)?)?]),
            None => Ok(TenantInfo::of_all(store)?),
        })
        .await
    }

    async fn preserve(&self, request: PreserveRequest, lines: Bytes) -> Result<ImportSummary> {
        in_background(self.store(), move |store| {
            Ok(import_lines(store, &lines, request.tenant.as_ref(), request.first_line)?)
        })
        .await
    }

    async fn quota(&self, request: QuotaRequest) -> Result<Vec<TenantInfo>> {
        let (tenant, quota, actor) = match request {
            QuotaRequest::Show { tenant } => return self.stats(tenant).await,
            QuotaRequest::Set { tenant, quota, actor } => (tenant, quota, actor),
        };
        let actor = Actor::parse(actor_of(actor.as_deref())?)?;
        in_background(self.store(), move |store| {
            let tenant = store.tenant(tenant)?;
            tenant.set_quota(quota, actor)?;
            Ok(vec![TenantInfo::of(&tenant)?])
        })
        .await
    }

    async fn backup(
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

    async fn erase(&self, request: EraseRequest) -> Result<ErasedTenant> {
        let actor = Actor::parse(actor_of(request.actor.as_deref())?)?;
        let tenant = request.tenant;
        in_background(self.store(), move |store| Ok(erase_tenant(store, &tenant, &actor)?)).await
    }
}

impl ChangesRequest {
    /// Returns where the changes begin; `None` for now.
    pub(crate) fn after(&self) -> Result<Option<ChangeCursor>> {
        let wrong = || format!("{} is neither a revision nor a cursor", self.after);
        match self.after.as_str() {
            "now" => Ok(None),
            after => after.parse().map(Some).map_err(|_| {
                Failure::usage(wrong()).hint("give the revision of a line, or now, or leave it out")
            }),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let message = with_causes(&error).to_string();
        match error.kind {
            ImportErrorKind::Store(error) => Self { message, ..Self::from((*error).clone()) },
            _ => Self::new(Code::BadRequest, message),
        }
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
