//! One connection, from its first byte to its last.

use std::{convert::Infallible, pin::pin, sync::Arc};

use axum::{
    body::Body,
    http::{Request, Response, Version},
};
use http_body::Body as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use tracing::field::display;

use super::{
    App, Draining, Peer, ServerSettings,
    activity::{Activity, GuardedBody, Verdict},
    bare_error::WithErrorBodies,
    io::WatchedIo,
};

/// The headers that the HTTP implementation still reads: more than the router takes, so that it is
/// the router that refuses, with an error body.
const HEADER_BUFFER_BYTES: usize = 64 << 10;

/// What a connection needs to be served.
pub(super) struct Context<A> {
    pub(super) settings: Arc<ServerSettings>,
    pub(super) app: A,
    pub(super) draining: Draining,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) peer: Peer,
}

/// What a request knows of the connection that it came by; an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct Carrier(Arc<(Peer, Draining)>);

impl Carrier {
    /// Returns who is at the other end.
    pub(crate) fn peer(&self) -> Peer {
        self.0.0
    }

    /// Returns whether the server is shutting down.
    pub(crate) fn draining(&self) -> &Draining {
        &self.0.1
    }
}

impl Peer {
    /// Returns the client of a request that a [`Server`](super::Server) has read.
    pub fn of<B>(request: &Request<B>) -> Self {
        request.extensions().get().map(Carrier::peer).unwrap_or_default()
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve<S, A>(stream: S, context: Context<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: App,
{
    let peer = display(context.peer);
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
        Ok(Err(error)) => tracing::debug!(peer, %error, "no TLS handshake"),
        Err(_) => tracing::debug!(peer, "a TLS handshake took too long"),
    }
}

async fn serve_http<S, A>(io: S, activity: Arc<Activity>, context: Context<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: App,
{
    let Context { settings, app, draining, mut stop, peer, .. } = context;
    let counted = Arc::clone(&activity);
    let carrier = Carrier(Arc::new((peer, draining)));
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = counted.request_came(request.version() == Version::HTTP_2);
        let no_body = request.body().is_end_stream();
        let mut request = request.map(|body| if no_body { Body::empty() } else { Body::new(body) });
        request.extensions_mut().insert(carrier.clone());
        // The service is always ready, as routers are.
        let answer = app.clone().call(request);
        async move {
            let Ok(response) = answer.await;
            let guarded = |body| GuardedBody::new(body, guard);
            Ok::<Response<GuardedBody>, Infallible>(response.map(guarded))
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
