//! What the tests share: a small world, and two ways to send it a request.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;

use axum::{Router, body::Body};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use meldb::{Store, TenantId};
use meldb_server::{
    Keys, Listener, NewKey, Operator, Peer, Server, ServerSettings, Settings, router,
};
use meldb_testkit::fixture::{Fixture, TestEngine};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tower::ServiceExt;

/// What every path to the first tenant starts with.
pub const ALPHA: &str = "/api/v1/provisioning/tenants/alpha";
/// When everything in the world happens, in epoch milliseconds.
pub const NOW_MS: u64 = 1_700_000_000_000;

/// A store with two tenants, and the router over it.
pub struct World {
    pub store: Store,
    pub keys: Keys,
    pub app: Router,
    /// Where the store is, if it is on PostgreSQL.
    fixture: Option<Fixture>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// In memory, or with `MELDB_TEST_STORE=postgres` on a database of its own.
    ///
    /// Tenant `alpha` has its own document at revision 1, `users/user-123` at 2, `users/user-2` at
    /// 3 and `bots/bot-7` at 4; tenant `beta` has `users/user-123` and `users/only-beta`.
    pub fn with(settings: impl Into<Settings>) -> Self {
        if std::env::var_os("MELDB_TEST_STORE").is_some_and(|store| store == "postgres") {
            let fixture = Fixture::new(TestEngine::Postgres);
            let store = fixture.open_with(|builder| builder.clock(|| NOW_MS));
            return Self { fixture: Some(fixture), ..Self::over(store, settings) };
        }
        Self::over(Store::builder().clock(|| NOW_MS).in_memory().expect("a store"), settings)
    }

    /// Puts the same into an empty store.
    pub fn over(store: Store, settings: impl Into<Settings>) -> Self {
        let alpha = store.tenant("alpha").expect("a name");
        let seeded = "every seed is written";
        alpha.document().put(json!({"plan": "free", "seats": 3})).commit("seed").expect(seeded);
        let users = alpha.collection("users").expect("a name");
        let ada = meldb::JsonText(r#"{"name":"Ada","role":"member","price":1.50,"tags":["a"]}"#);
        users.put("user-123", ada).commit("seed").expect(seeded);
        users.put("user-2", json!({"name": "Bob"})).commit("seed").expect(seeded);
        let bots = alpha.collection("bots").expect("a name");
        let bot = json!({"name": "Hal", "versions": {"current": {"model": "m1"}}});
        bots.put("bot-7", bot).commit("seed").expect(seeded);
        let users = store.tenant("beta").expect("a name").collection("users").expect("a name");
        users.put("user-123", json!({"name": "Eve"})).commit("seed").expect(seeded);
        users.put("only-beta", json!({"name": "Eve"})).commit("seed").expect(seeded);
        Self::around(store, settings)
    }

    /// Serves a store as it is.
    pub fn around(store: Store, settings: impl Into<Settings>) -> Self {
        let keys = Keys::new(&store);
        let app = router(store.clone(), settings.into());
        Self { store, keys, app, fixture: None }
    }

    /// Makes a key for `alpha` and returns its secret.
    pub fn key(&self, scopes: &[&str]) -> String {
        self.key_for("alpha", scopes)
    }

    pub fn key_for(&self, tenant: &str, scopes: &[&str]) -> String {
        let tenant = TenantId::parse(tenant).expect("a name");
        let scopes = scopes.iter().map(|scope| scope.parse().expect("a scope")).collect();
        let key = NewKey::new(tenant, "tester".parse().expect("a name"), scopes);
        let (_, secret) = self.keys.create(key).expect("a key");
        secret.expose().to_owned()
    }

    /// Makes an operator's key and returns its secret.
    pub fn operator_key(&self) -> String {
        let key = NewKey::operator("operator".parse().expect("a name"));
        self.keys.create(key).expect("a key").1.expose().to_owned()
    }

    pub async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        send_to(&self.app, request).await
    }

    /// Starts a server over the world's router.
    pub async fn serve(&self, settings: ServerSettings) -> Running {
        Running::start(self.app.clone(), Server::new(settings)).await
    }
}

/// A server on a port of its own; it stops when this is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: tokio::task::JoinHandle<Result<meldb_server::Stopped, meldb_server::ServerError>>,
}

impl Running {
    pub async fn start(app: Router, server: Server) -> Self {
        Self::start_over(app, server, |listener| listener).await
    }

    /// Starts a server whose clients are operators at the local socket, as it takes them to be.
    pub async fn start_local(app: Router, server: Server) -> Self {
        Self::start_over(app, server, Operators).await
    }

    async fn start_over<L: Listener + 'static>(
        app: Router,
        server: Server,
        over: impl FnOnce(TcpListener) -> L,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = over(listener);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            stopped.await.ok();
        };
        let task = tokio::spawn(server.run(listener, app, shutdown));
        Self { address, stop: Some(stop), task }
    }

    pub async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.send_body(request.map(Body::from)).await
    }

    /// Sends a request whose body may come in pieces, or never.
    pub async fn send_body(&self, request: Request<Body>) -> Response<Bytes> {
        let stream = self.connect().await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection);
        collect(sender.send_request(request).await.expect("an answer")).await
    }

    /// Opens a connection.
    pub async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        stream
    }

    pub async fn send_http2(&self, request: Request<Bytes>) -> Response<Bytes> {
        let stream = self.connect().await;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("a handshake");
        tokio::spawn(connection);
        collect(sender.send_request(request.map(Full::new)).await.expect("an answer")).await
    }
}

/// Takes every client for an operator.
struct Operators(TcpListener);

impl Listener for Operators {
    type Stream = TcpStream;

    async fn accept(&self) -> std::io::Result<(TcpStream, Peer)> {
        let (stream, _) = Listener::accept(&self.0).await?;
        Ok((stream, Peer::operator_of(Operator { user_id: 1000, process_id: Some(7) })))
    }
}

pub async fn send_to(app: &Router, request: Request<Bytes>) -> Response<Bytes> {
    send_body_to(app, request.map(Body::from)).await
}

/// Sends a request whose body may come in pieces, or never.
pub async fn send_body_to(app: &Router, request: Request<Body>) -> Response<Bytes> {
    collect(app.clone().oneshot(request).await.expect("infallible")).await
}

async fn collect<B>(response: Response<B>) -> Response<Bytes>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.expect("a body").to_bytes())
}

/// Returns a request; `key` may be empty.
pub fn request(method: &str, path: &str, key: &str, body: &str) -> Request<Bytes> {
    request_with(method, path, key, &[], body)
}

pub fn request_with(
    method: &str,
    path: &str,
    key: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from(body.to_owned())).expect("a request")
}

/// Checks that an answer is an error of this status and code, in the form of all errors.
#[track_caller]
pub fn assert_error(response: &Response<Bytes>, status: u16, code: &str) {
    let text = String::from_utf8_lossy(response.body());
    assert_eq!(response.status().as_u16(), status, "{text}");
    let body: serde_json::Value = serde_json::from_slice(response.body()).expect("an error body");
    let members: Vec<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["code", "message"], "{text}");
    assert_eq!(body["code"], code, "{text}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
    assert_eq!(response.headers()["content-type"], "application/json");
}

pub fn json_of(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).expect("JSON")
}
