//! Counts, and writes to many documents of a collection, on either backend: one step at a time.

use bytes::Bytes;
use meldb::{Collection, Filter, Find, FindCursor, JsonText};
use serde::Deserialize;
use serde_json::json;

use super::{
    Backend, BulkMergeRequest, DeleteAllRequest, DeletedStep, FindRequest, Local, MergedStep,
    Remote, local::actor_of,
};
use crate::{
    address::CollectionAddress,
    client::{Request, percent_encoded},
    failure::{Code, Failure, Result},
};

impl Backend {
    /// Returns how many documents pass a filter.
    pub(crate) async fn count(&self, request: &FindRequest) -> Result<u64> {
        match self {
            Self::Local(local) => local.count(request).await,
            Self::Remote(remote) => remote.count(request).await,
        }
    }

    /// Makes one step of a merge into the documents that pass a filter.
    pub(crate) async fn merge_step(
        &self,
        request: &BulkMergeRequest,
        patch: &Bytes,
    ) -> Result<MergedStep> {
        match self {
            Self::Local(local) => local.merge_step(request, patch).await,
            Self::Remote(remote) => remote.merge_step(request, patch).await,
        }
    }

    /// Deletes the first documents of a collection.
    pub(crate) async fn delete_step(&self, request: &DeleteAllRequest) -> Result<DeletedStep> {
        match self {
            Self::Local(local) => local.delete_step(request).await,
            Self::Remote(remote) => remote.delete_step(request).await,
        }
    }
}

impl Local {
    fn found(&self, address: &CollectionAddress, filter: Option<&str>) -> Result<Find> {
        let filter = filter.map(|filter| filter.parse::<Filter>()).transpose();
        let filter = filter.map_err(meldb::Error::from)?.unwrap_or_else(Filter::all);
        Ok(self.collection(address)?.find(filter))
    }

    fn collection(&self, address: &CollectionAddress) -> Result<Collection> {
        Ok(self.store().tenant(&address.tenant)?.collection(&address.collection)?)
    }

    async fn count(&self, request: &FindRequest) -> Result<u64> {
        let mut find = self.found(&request.collection, request.filter.as_deref())?;
        let mut count = 0;
        loop {
            let page = find.count_page_async().await?;
            count += page.count;
            match page.next {
                Some(next) => find = find.after(next),
                None => return Ok(count),
            }
        }
    }

    async fn merge_step(&self, request: &BulkMergeRequest, patch: &Bytes) -> Result<MergedStep> {
        let BulkMergeRequest { collection, filter, options, after, actor } = request;
        let found = self.found(collection, Some(filter))?;
        let mut merge = found.merge(JsonText(patch)).nulls(options.nulls).depth(options.depth);
        if options.skip_unchanged {
            merge = merge.skip_unchanged();
        }
        if options.dry_run {
            merge = merge.dry_run();
        }
        if let Some(after) = after {
            let cursor = after.parse::<FindCursor>().map_err(meldb::Error::from)?;
            merge = merge.after(cursor);
        }
        let done = merge.step_async(actor_of(actor.as_deref())?).await?;
        Ok(MergedStep {
            matched: done.matched,
            merged: done.merged,
            unchanged: done.unchanged,
            examined: done.examined,
            complete: done.next.is_none(),
            after: done.next.map(|next| next.to_string()),
        })
    }

    async fn delete_step(&self, request: &DeleteAllRequest) -> Result<DeletedStep> {
        let DeleteAllRequest { collection, dry_run, actor } = request;
        let collection = self.collection(collection)?;
        if *dry_run {
            let page = collection.find(Filter::all()).count_page_async().await?;
            return Ok(DeletedStep { deleted: page.count, complete: page.next.is_none() });
        }
        let done = collection.delete_some_async(actor_of(actor.as_deref())?).await?;
        Ok(DeletedStep { deleted: done.writes.len() as u64, complete: !done.more })
    }
}

impl Remote {
    async fn count(&self, request: &FindRequest) -> Result<u64> {
        /// What a server answers.
        #[derive(Deserialize)]
        struct Counted {
            count: u64,
        }
        let mut path = format!("{}:count", path_of(&request.collection));
        if let Some(filter) = &request.filter {
            path.push_str(&format!("?where={}", percent_encoded(filter)));
        }
        let (mut count, mut next) = (0, Some(path));
        while let Some(path) = next {
            let answer = self.client().send(Request::get(path)).await?;
            let counted: Counted = serde_json::from_slice(&answer.text).map_err(|_| odd())?;
            count += counted.count;
            next = answer.next;
        }
        Ok(count)
    }

    async fn merge_step(&self, request: &BulkMergeRequest, patch: &Bytes) -> Result<MergedStep> {
        let BulkMergeRequest { collection, filter, options, after, actor } = request;
        // The patch is sent to the byte: its numbers keep their digits.
        let mut body = format!("{{\"where\":{}", json!(filter)).into_bytes();
        if let Some(after) = after {
            body.extend(format!(",\"after\":{}", json!(after)).bytes());
        }
        body.extend_from_slice(b",\"patch\":");
        body.extend_from_slice(patch);
        body.push(b'}');
        let mut merge = Request::post(format!("{}:merge", path_of(collection)));
        merge.actor = self.actor(actor.as_deref())?;
        merge.options = options.clone();
        merge.body = Some(body.into());
        self.ask(merge).await
    }

    async fn delete_step(&self, request: &DeleteAllRequest) -> Result<DeletedStep> {
        let mut delete = Request::delete(format!("{}?all=true", path_of(&request.collection)));
        delete.actor = self.actor(request.actor.as_deref())?;
        delete.options.dry_run = request.dry_run;
        self.ask(delete).await
    }
}

fn path_of(collection: &CollectionAddress) -> String {
    format!("/api/v1/provisioning/tenants/{collection}")
}

fn odd() -> Failure {
    Failure::new(Code::Unavailable, "the server answers with something else than a count")
}
