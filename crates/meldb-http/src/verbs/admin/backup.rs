//! `GET` and `POST /api/v1/admin/backup`: a backup of the whole store, streamed while it is taken.

use std::io::{self, BufWriter, Write};

use axum::{
    body::Body,
    http::{HeaderValue, Method, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use meldb::{BackupSummary, Store, with_causes};
use tokio::sync::mpsc;

use super::request::AdminRequest;
use crate::{bodies::body::RequestBody, error::HttpError};

/// The pieces that may wait for a slow reader; the backup waits with them, and nobody else.
const BACKLOG: usize = 4;
/// The longest summary to go on from: one of about a million tenants.
const SUMMARY_BYTES_MAX: usize = 64 << 20;
/// The size of a piece.
const PIECE_BYTES: usize = 256 << 10;

/// Returns a backup as the body of an answer; see [`Store::backup_to`].
///
/// A backup that fails on its way, or whose reader goes away, is cut short: its last frame is missing,
/// which every reader of backups notices, and the connection breaks off.
fn stream_of(store: &Store, since: Option<BackupSummary>) -> Body {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let store = store.clone();
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE_BYTES, ChannelWriter(sender.clone()));
        if let Err(error) = store.backup_to(out, since.as_ref()) {
            tracing::error!(error = %with_causes(&error), "a backup broke off");
            // If nobody reads any more, nobody misses the end.
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// Answers GET and HEAD with a whole backup, and POST with what was written since the one whose
/// summary is sent.
pub(super) async fn answer(
    request: AdminRequest<'_>,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let since = match request.parts.method {
        Method::POST => Some(request.json::<BackupSummary>(body, SUMMARY_BYTES_MAX).await?),
        _ => None,
    };
    let body = match request.parts.method {
        Method::HEAD => Body::empty(),
        _ => {
            // What waits for the reader, as long as the backup lasts.
            request.admission.reserve_answer((BACKLOG + 2) * PIECE_BYTES).await?;
            request.admission.begin_stream()?;
            stream_of(request.store, since)
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A writer whose bytes go to a channel, and wait there until they are taken.
struct ChannelWriter(mpsc::Sender<io::Result<Bytes>>);

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
