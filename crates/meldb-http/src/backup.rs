//! A backup of the whole store, streamed while it is taken.

use std::io::{self, BufWriter, Write};

use axum::{
    body::Body,
    http::{HeaderValue, Method, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use meldb::{BackupSummary, Store};
use tokio::sync::mpsc;

use crate::{error::HttpError, limits::Admission};

/// The pieces that may wait for a slow reader; the backup waits with them, and nobody else.
const BACKLOG: usize = 4;
/// The size of a piece.
const PIECE_BYTES: usize = 256 << 10;

/// Returns a backup as the body of an answer; see [`Store::backup_to`].
///
/// A backup that fails on its way, or whose reader goes away, is cut short: its last frame is missing,
/// which every reader of backups notices, and the connection breaks off.
pub fn backup_body(store: &Store, since: Option<BackupSummary>) -> Body {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let store = store.clone();
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE_BYTES, ChannelWriter(sender.clone()));
        if let Err(error) = store.backup_to(out, since.as_ref()) {
            tracing::error!(%error, "a backup broke off");
            // If nobody reads any more, nobody misses the end.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
    });
    Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// Answers GET and HEAD.
pub(crate) async fn answer(
    store: &Store,
    method: &Method,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => {
            // What waits for the reader, as long as the backup lasts.
            admission.reserve_answer((BACKLOG + 2) * PIECE_BYTES).await?;
            admission.begin_stream()?;
            backup_body(store, None)
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
