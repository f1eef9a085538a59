//! The operations through the socket of the process that has the directory open.

use std::{io::Write, path::Path};

use bytes::Bytes;
use meldb::{BackupSummary, TenantId};

use super::{
    BatchRequest, Change, ChangesRequest, Entry, EraseRequest, EraseResponse, Found, LineSink,
    ListRequest, Outcome, PreserveRequest, PreserveResponse, QuotaRequest, Sink, TenantQuota,
    TenantStats,
};
use crate::{
    address::Address,
    admin::wire::{self, KeyRequest, KeyResponse, ListLine},
    client::{Chunks, Client, ClientOptions},
    failure::{Code, Failure, Result},
    output,
};

/// The socket of a server on a directory.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    client: Client,
}

impl Socket {
    /// Returns the socket, or `None` if nobody listens there.
    pub(crate) async fn connect(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        match tokio::net::UnixStream::connect(path).await {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let message = format!("{} belongs to another user", path.display());
                return Err(Failure::new(Code::PermissionDenied, message)
                    .hint("run the command as the user that runs the server, or use --url"));
            }
            // Left behind by a server that was killed.
            Err(_) => return Ok(None),
        }
        let client = Client::new(ClientOptions {
            url: "http://localhost".to_owned(),
            socket: Some(path.to_owned()),
            ..ClientOptions::default()
        })?;
        Ok(Some(Self { client }))
    }

    pub(crate) async fn get(&self, address: &Address) -> Result<Option<Found>> {
        let answer = self.ask(wire::GET, wire::join(address, b"")?).await?;
        let (revision, text) = wire::split::<Option<u64>>(&answer)?;
        Ok(revision.map(|revision| Found { revision: Some(revision), text }))
    }

    pub(crate) async fn write(&self, change: &Change, text: &[u8]) -> Result<Outcome> {
        let answer = self.ask(wire::WRITE, wire::join(change, text)?).await?;
        let (written, text) = wire::split::<wire::Written>(&answer)?;
        Ok(Outcome {
            effect: written.effect,
            revision: written.revision,
            text: written.has_text.then_some(text),
        })
    }

    pub(crate) async fn batch(&self, request: &BatchRequest, text: &[u8]) -> Result<Bytes> {
        self.ask(wire::BATCH, wire::join(request, text)?).await
    }

    pub(crate) async fn list(&self, request: &ListRequest, sink: Sink<'_>) -> Result<()> {
        let mut answer = self.client.post(wire::LIST, wire::join(request, b"")?).await?;
        let mut line = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    match ListLine::parse(&line)? {
                        ListLine::Entry(entry) => sink(entry)?,
                        ListLine::End(Some(failure)) => return Err(failure),
                        ListLine::End(None) => return Ok(()),
                    }
                    line.clear();
                }
            }
        }
        Err(Failure::new(Code::Unavailable, "the server ended the list in its midst"))
    }

    pub(crate) async fn changes(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        let mut answer = self.client.post(wire::CHANGES, wire::join(request, b"")?).await?;
        let mut line = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            let mut lines = Vec::new();
            for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                if line.pop_if(|byte| *byte == b'\n').is_none() {
                    continue;
                }
                if let Some(end) = wire::end_of_lines(&line)? {
                    sink(lines)?;
                    return end.map_or(Ok(()), Err);
                }
                lines.push(std::mem::take(&mut line));
            }
            sink(lines)?;
        }
        Err(Failure::new(Code::Unavailable, "the server ended the changes in their midst"))
    }

    pub(crate) async fn stats(&self, tenant: &Option<TenantId>) -> Result<Vec<TenantStats>> {
        let answer = self.ask(wire::STATS, wire::join(tenant, b"")?).await?;
        Ok(wire::split(&answer)?.0)
    }

    pub(crate) async fn preserve(
        &self,
        request: &PreserveRequest,
        lines: &[u8],
    ) -> Result<PreserveResponse> {
        let answer = self.ask(wire::PRESERVE, wire::join(request, lines)?).await?;
        Ok(wire::split(&answer)?.0)
    }

    pub(crate) async fn quota(&self, request: &QuotaRequest) -> Result<Vec<TenantQuota>> {
        let answer = self.ask(wire::QUOTA, wire::join(request, b"")?).await?;
        Ok(wire::split(&answer)?.0)
    }

    pub(crate) async fn backup(
        &self,
        since: &Option<BackupSummary>,
        out: &mut impl Write,
    ) -> Result<()> {
        let mut answer = self.client.post(wire::BACKUP, wire::join(since, b"")?).await?;
        while let Some(chunk) = answer.chunk().await? {
            out.write_all(&chunk).map_err(|error| Failure::io("write the backup", &error))?;
        }
        out.flush().map_err(|error| Failure::io("write the backup", &error))
    }

    pub(crate) async fn erase(&self, request: &EraseRequest) -> Result<EraseResponse> {
        let answer = self.ask(wire::ERASE, wire::join(request, b"")?).await?;
        Ok(wire::split(&answer)?.0)
    }

    /// Does what `request` says to the keys.
    pub(crate) async fn keys(&self, request: &KeyRequest) -> Result<KeyResponse> {
        let answer = self.ask(wire::KEYS, wire::join(request, b"")?).await?;
        Ok(wire::split(&answer)?.0)
    }

    async fn ask(&self, path: &str, body: Vec<u8>) -> Result<Bytes> {
        collect(self.client.post(path, body).await?).await
    }
}

async fn collect(mut answer: Chunks) -> Result<Bytes> {
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        text.extend_from_slice(&chunk);
    }
    Ok(text.into())
}

impl Entry {
    /// Returns the entry as a line of [`wire::LIST`].
    pub(crate) fn to_line(&self) -> Vec<u8> {
        let facts = serde_json::json!({"id": self.id, "revision": self.revision});
        let mut line = output::with_data(&facts, &self.text);
        line.push(b'\n');
        line
    }
}
