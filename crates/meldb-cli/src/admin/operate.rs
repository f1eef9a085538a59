//! The routes of the socket about the store as a whole.

use std::convert::Infallible;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
};
use futures_util::{StreamExt, stream};
use meldb::{BackupSummary, TenantId};
use tokio::sync::watch;

use super::{
    Refusal,
    told::Told,
    wire::{self, ListLine},
};
use crate::backend::{ChangesRequest, EraseRequest, Local, PreserveRequest, QuotaRequest};

/// Streams changes as lines, and why they end as the last one. A page is read when the one before
/// has been taken.
pub(super) async fn changes(
    State(local): State<Local>,
    Extension(shutdown): Extension<watch::Receiver<bool>>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Body, Refusal> {
    let (request, _) = wire::split::<ChangesRequest>(&body)?;
    told.note(|operation| {
        operation.tenant = Some(request.tenant.to_string());
        operation.subject = request.collection.as_ref().map(ToString::to_string);
    });
    let lines = local.change_lines(&request)?;
    let pages = stream::unfold(Some((lines, shutdown)), async |reading| {
        let (mut lines, mut shutdown) = reading?;
        let read = tokio::select! {
            biased;
            _ = shutdown.wait_for(|set| *set) => Ok(None),
            read = lines.next() => read,
        };
        Some(match read {
            Ok(Some(page)) => (Ok::<_, Infallible>(page_of(page)), Some((lines, shutdown))),
            Ok(None) => (Ok(ListLine::end(None)), None),
            Err(failure) => (Ok(ListLine::end(Some(failure))), None),
        })
    });
    Ok(Body::from_stream(pages.boxed()))
}

fn page_of(lines: Vec<Vec<u8>>) -> Vec<u8> {
    let mut page = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        page.extend(line);
        page.push(b'\n');
    }
    page
}

pub(super) async fn stats(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let (tenant, _) = wire::split::<Option<TenantId>>(&body)?;
    told.note(|operation| operation.tenant = tenant.as_ref().map(ToString::to_string));
    Ok(wire::join(&local.stats(tenant).await?, b"")?)
}

pub(super) async fn preserve(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let (request, lines) = wire::split::<PreserveRequest>(&body)?;
    told.note(|operation| operation.tenant = request.tenant.as_ref().map(ToString::to_string));
    Ok(wire::join(&local.preserve(request, lines).await?, b"")?)
}

pub(super) async fn quota(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let (request, _) = wire::split::<QuotaRequest>(&body)?;
    told.note(|operation| match &request {
        QuotaRequest::Show { tenant } => {
            operation.tenant = tenant.as_ref().map(ToString::to_string);
            operation.subject = Some("show".to_owned());
        }
        QuotaRequest::Set { tenant, actor, .. } => {
            operation.tenant = Some(tenant.to_string());
            operation.subject = Some("set".to_owned());
            operation.actor = Some(actor.to_string());
        }
    });
    Ok(wire::join(&local.quota(request).await?, b"")?)
}

/// Streams a backup; one that fails on its way is cut short, which its reader notices.
pub(super) async fn backup(State(local): State<Local>, body: Bytes) -> Result<Body, Refusal> {
    let (since, _) = wire::split::<Option<BackupSummary>>(&body)?;
    Ok(meldb_http::backup_body(local.store(), since))
}

pub(super) async fn erase(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let (request, _) = wire::split::<EraseRequest>(&body)?;
    told.note(|operation| {
        operation.tenant = Some(request.tenant.to_string());
        operation.actor = Some(request.actor.to_string());
    });
    let erased = local.erase(request).await?;
    told.note(|operation| operation.revision = Some(erased.revision));
    Ok(wire::join(&erased, b"")?)
}
