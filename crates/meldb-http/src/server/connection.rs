//! One connection, from its first byte to its last.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, Version},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{
    Draining, ServerSettings,
    activity::{Activity, GuardedBody, Verdict},
    io::WatchedIo,
};

/// The headers that the HTTP implementation still reads: more than the router takes, so that it is
/// the router that refuses, with an error body.
const HEADER_BUFFER_BYTES: usize = 64 << 10;

/// What a connection needs to be served.
pub(super) struct Context {
    pub(super) settings: Arc<ServerSettings>,
    pub(super) router: Router,
    pub(super) draining: Draining,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) peer: SocketAddr,
}

/// The address of the client; an extension of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves a connection until it ends.
pub(super) async fn serve(stream: TcpStream, context: Context) {
    stream.set_nodelay(true).ok();
    let activity = Activity::new();
    let io = WatchedIo::new(stream, Arc::clone(&activity), context.settings.write_timeout);
    let Some(tls) = context.tls.clone() else {
        return serve_http(io, activity, context).await;
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
        Ok(Ok(io)) => serve_http(io, activity, context).await,
        Ok(Err(error)) => tracing::debug!(peer = %context.peer, %error, "no TLS handshake"),
        Err(_) => tracing::debug!(peer = %context.peer, "a TLS handshake took too long"),
    }
}

async fn serve_http<S>(io: S, activity: Arc<Activity>, context: Context)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Context { settings, router, draining, mut stop, peer, .. } = context;
    let counted = Arc::clone(&activity);
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = counted.request_came(request.version() == Version::HTTP_2);
        let router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(draining.clone());
        request.extensions_mut().insert(Peer(peer));
        async move {
            let Ok(response) = router.oneshot(request).await;
            let guarded = |body| GuardedBody::new(body, guard);
            Ok::<Response<GuardedBody>, Infallible>(response.map(guarded))
        }
    });
    let builder = builder(&settings);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut stopping = *stop.borrow();
    if stopping {
        connection.as_mut().graceful_shutdown();
    }
    let mut look = pin!(sleep_until(Instant::now() + settings.header_timeout));
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%peer, %error, "a connection broke off");
                }
                return;
            }
            () = look.as_mut() => match activity.verdict(&settings, stopping) {
                Verdict::LookAgain(at) => look.as_mut().reset(at),
                Verdict::Close => {
                    tracing::debug!(%peer, stopping, "a connection was closed for its silence");
                    return;
                }
            },
            Ok(()) = stop.changed(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                look.as_mut().reset(Instant::now());
            }
        }
    }
}

fn builder(settings: &ServerSettings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
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
        .keep_alive_interval(settings.idle_timeout / 2)
        .keep_alive_timeout(settings.header_timeout);
    builder
}
