//! One connection, from its first byte to its last.

use std::{convert::Infallible, pin::pin, sync::Arc};

use axum::{
    body::Body,
    http::{Request, Response, Version},
};
use http_body::Body as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use meldb_http::Shutdown;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use tracing::field::display;

use super::{
    activity::{Activity, Verdict},
    answer::AnswerBody,
    app::App,
    bare_error::WithErrorBodies,
    io::WatchedIo,
    settings::ServerSettings,
    streams::StreamExecutor,
};
use crate::peer::{Carrier, Peer};

/// The headers that the HTTP implementation still reads: more than the router takes, so that it is
/// the router that refuses, with an error body.
const HEADER_BUFFER_BYTES: usize = 64 << 10;
/// What an HTTP/2 connection may send of request bodies, of one stream and of all together, before
/// it is read: what a connection holds of requests that wait.
const RECEIVE_WINDOW_BYTES: u32 = 256 << 10;
/// What HTTP/2 takes from an answer before the client has made room for it.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Streams that a client has reset and that have not been accepted yet; more end the connection
/// (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;
/// Streams that were reset for errors of the client; more end the connection.
const ERROR_RESETS_MAX: usize = 128;

/// What a connection needs to be served.
pub(super) struct Context<A> {
    pub(super) settings: Arc<ServerSettings>,
    pub(super) app: A,
    pub(super) shutdown: Shutdown,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) peer: Peer,
    pub(super) activity: Arc<Activity>,
}

/// Serves a connection until it ends.
pub(super) async fn serve<S, A>(stream: S, context: Context<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: App,
{
    let peer = display(context.peer);
    let activity = Arc::clone(&context.activity);
    let io = WatchedIo::new(stream, activity, context.settings.write_timeout);
    let Some(tls) = context.tls.clone() else {
        return serve_http(io, context).await;
    };
    let mut stop = context.stop.clone();
    // A connection that is half open when the server shuts down carries no request.
    let stopping = async {
        stop.wait_for(|stopping| *stopping).await.ok();
    };
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(context.settings.header_timeout, tls.accept(io)) => handshake,
        () = stopping => return,
    };
    match handshake {
        Ok(Ok(io)) => serve_http(io, context).await,
        Ok(Err(error)) => tracing::debug!(peer, %error, "no TLS handshake"),
        Err(_) => tracing::debug!(peer, "a TLS handshake took too long"),
    }
}

async fn serve_http<S, A>(io: S, context: Context<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: App,
{
    let Context { settings, app, shutdown, mut stop, peer, activity, .. } = context;
    let counted = Arc::clone(&activity);
    let carrier = Carrier::new(peer, shutdown);
    let service = service_fn(move |request: Request<Incoming>| {
        let is_http2 = request.version() == Version::HTTP_2;
        let guard = counted.request_came(is_http2);
        let no_body = request.body().is_end_stream();
        let mut request = request.map(|body| if no_body { Body::empty() } else { Body::new(body) });
        request.extensions_mut().insert(carrier.clone());
        // The service is always ready, as routers are.
        let answer = app.clone().call(request);
        async move {
            let Ok(response) = answer.await;
            let followed = |body| AnswerBody::new(body, guard, is_http2);
            Ok::<Response<AnswerBody>, Infallible>(response.map(followed))
        }
    });
    let builder = builder(&settings);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(WithErrorBodies::new(io)), service));
    let mut stopping = *stop.borrow();
    if stopping {
        connection.as_mut().graceful_shutdown();
    }
    let mut look = pin!(sleep_until(Instant::now() + settings.header_timeout));
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(peer = display(peer), %error, "a connection broke off");
                }
                return;
            }
            () = look.as_mut() => match activity.verdict(&settings, stopping) {
                Verdict::LookAgain(at) => look.as_mut().reset(at),
                Verdict::Close => {
                    tracing::debug!(
                        peer = display(peer),
                        stopping,
                        "a connection was closed for its silence"
                    );
                    return;
                }
            },
            () = until_stopped(&mut stop, &activity), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                look.as_mut().reset(Instant::now());
            }
        }
    }
}

/// Waits until the server shuts down, or the connection is to make room for another one.
async fn until_stopped(stop: &mut watch::Receiver<bool>, activity: &Activity) {
    tokio::select! {
        Ok(()) = stop.changed() => {}
        () = activity.wait_closed() => {}
    }
}

fn builder(settings: &ServerSettings) -> Builder<StreamExecutor> {
    let mut builder = Builder::new(StreamExecutor {
        write_timeout: settings.write_timeout,
        metrics: settings.metrics.clone(),
    });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEADER_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(HEADER_BUFFER_BYTES as u32)
        .initial_stream_window_size(RECEIVE_WINDOW_BYTES)
        .initial_connection_window_size(RECEIVE_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .keep_alive_interval(settings.idle_timeout / 2)
        .keep_alive_timeout(settings.header_timeout);
    builder
}
