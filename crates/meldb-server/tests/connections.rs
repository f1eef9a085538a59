//! Connections of clients that take more than their part: too many of them, or answers that they do
//! not read.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use meldb_server::{Metrics, ServerSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{ALPHA, Running, World, request};

/// How long an answer may go without progress here.
const WRITE_TIMEOUT: Duration = Duration::from_millis(500);
/// How much later than its time something may happen, on a busy machine.
const LATENESS_MAX: Duration = Duration::from_secs(5);

fn quick(metrics: &Metrics) -> ServerSettings {
    ServerSettings {
        header_timeout: Duration::from_millis(300),
        // Nothing here is to be closed for being idle.
        idle_timeout: Duration::from_secs(60),
        write_timeout: WRITE_TIMEOUT,
        metrics: metrics.clone(),
        ..Default::default()
    }
}

/// Returns a client of HTTP/2 that answers pings and makes room for so many bytes of each answer,
/// and for no more until it is read.
async fn http2_client(server: &Running, window_bytes: u32) -> SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(server.connect().await);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window_bytes);
    let (sender, connection) = builder.handshake(stream).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

async fn send(
    client: &mut SendRequest<Full<Bytes>>,
    request: Request<Bytes>,
) -> hyper::Result<Response<Incoming>> {
    client.send_request(request.map(Full::new)).await
}

/// Returns the value of a metric without labels.
fn metric(world: &World, metrics: &Metrics, name: &str) -> i64 {
    let text = metrics.text(&world.store);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

/// Waits until `reached` is true, and returns how long it took.
async fn until(what: &str, reached: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < WRITE_TIMEOUT + LATENESS_MAX, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// Returns a world with a document of 400 KB.
fn world_with_a_large_document() -> (World, String) {
    let world = World::new();
    let key = world.key(&["provisioning:*", "changes:read"]);
    let jobs = world.store.tenant("alpha").expect("a name").collection("jobs").expect("a name");
    jobs.put("large", serde_json::json!({"padding": "x".repeat(400_000)}))
        .commit("seed")
        .expect("written");
    (world, key)
}

#[tokio::test]
async fn clients_that_answer_pings_and_make_no_room_free_their_connections() {
    const CONNECTIONS: usize = 4;
    let (world, key) = world_with_a_large_document();
    let metrics = Metrics::default();
    let settings = ServerSettings {
        connections_max: CONNECTIONS,
        connections_per_peer_max: Some(CONNECTIONS),
        ..quick(&metrics)
    };
    let server = world.serve(settings).await;
    let mut held = Vec::new();
    for window_bytes in [0, 1, 1000, 100_000] {
        let mut client = http2_client(&server, window_bytes).await;
        let large = request("GET", &format!("{ALPHA}/jobs/large"), &key, "");
        let answer = send(&mut client, large).await.expect("a head");
        assert_eq!(answer.status(), 200);
        held.push((client, answer));
    }
    // All of them are taken; whoever comes now waits until the first is given up.
    let began = Instant::now();
    let waiting = server.send(request("GET", "/health", "", ""));
    let answer = tokio::time::timeout(WRITE_TIMEOUT + LATENESS_MAX, waiting).await;
    assert_eq!(answer.expect("a connection was freed").status(), 200);
    assert!(began.elapsed() >= WRITE_TIMEOUT / 2, "not one was held: {:?}", began.elapsed());
    until("every answer is given up", || {
        metric(&world, &metrics, "meldb_answers_stalled_total") == CONNECTIONS as i64
    })
    .await;
    until("every connection is closed", || metric(&world, &metrics, "meldb_connections") == 0)
        .await;
    for (_client, answer) in held {
        assert!(answer.into_body().collect().await.is_err(), "a part was taken for the whole");
    }
}

#[tokio::test]
async fn a_stalled_answer_does_not_end_the_others_of_its_connection() {
    let (world, key) = world_with_a_large_document();
    let metrics = Metrics::default();
    let server = world.serve(quick(&metrics)).await;
    let mut client = http2_client(&server, 10_000).await;
    let large = request("GET", &format!("{ALPHA}/jobs/large"), &key, "");
    let _stalled = send(&mut client, large).await.expect("a head");
    let began = Instant::now();
    while metric(&world, &metrics, "meldb_answers_stalled_total") == 0 {
        let small = request("GET", &format!("{ALPHA}/users/user-123"), &key, "");
        let answer = send(&mut client, small).await.expect("a head");
        answer.into_body().collect().await.expect("a whole body");
        assert!(began.elapsed() < WRITE_TIMEOUT + LATENESS_MAX, "the answer was not given up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_not_given_up() {
    let (world, key) = world_with_a_large_document();
    let metrics = Metrics::default();
    let server = world.serve(quick(&metrics)).await;
    let mut client = http2_client(&server, 4_000).await;
    let large = request("GET", &format!("{ALPHA}/jobs/large"), &key, "");
    let mut body = send(&mut client, large).await.expect("a head").into_body();
    let (began, mut bytes) = (Instant::now(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame.expect("it goes on").data_ref().map_or(0, Bytes::len);
        // Well within the time for a piece, and far beyond it for the whole.
        if began.elapsed() < 4 * WRITE_TIMEOUT {
            tokio::time::sleep(WRITE_TIMEOUT / 10).await;
        }
    }
    assert!(bytes > 400_000, "{bytes} bytes");
    assert!(began.elapsed() > 2 * WRITE_TIMEOUT);
    assert_eq!(metric(&world, &metrics, "meldb_answers_stalled_total"), 0);
}

#[tokio::test]
async fn an_event_stream_without_news_is_not_given_up() {
    let (world, key) = world_with_a_large_document();
    let metrics = Metrics::default();
    let server = world.serve(quick(&metrics)).await;
    let mut client = http2_client(&server, 64 << 10).await;
    let revision = world.store.tenant("alpha").expect("a name").last_revision().expect("readable");
    let path = format!("/api/v1/changes/tenants/alpha?after={revision}");
    let mut follow = request("GET", &path, &key, "");
    follow.headers_mut().insert("accept", "text/event-stream".parse().expect("a value"));
    let mut events = send(&mut client, follow).await.expect("a head").into_body();
    // The heartbeat that begins a stream.
    events.frame().await.expect("a frame").expect("no error");
    tokio::time::sleep(3 * WRITE_TIMEOUT).await;
    let users = world.store.tenant("alpha").expect("a name").collection("users").expect("a name");
    users.merge("user-2", serde_json::json!({"role": "new"})).commit("test").expect("written");
    let event = tokio::time::timeout(LATENESS_MAX, events.frame()).await.expect("in time");
    let event = event.expect("a frame").expect("no error").into_data().expect("data");
    assert!(String::from_utf8_lossy(&event).contains("event: merged"), "{event:?}");
    assert_eq!(metric(&world, &metrics, "meldb_answers_stalled_total"), 0);
}

/// Opens a connection from another address of this machine.
async fn connect_from(source: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((source, 0))).expect("every 127.x.y.z is this machine");
    socket.connect(server).await.expect("a connection")
}

#[tokio::test]
async fn a_peer_with_too_many_connections_is_refused_and_others_are_not() {
    let world = World::new();
    let metrics = Metrics::default();
    let settings = ServerSettings { connections_per_peer_max: Some(3), ..quick(&metrics) };
    let server = world.serve(settings).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect_from([127, 0, 0, 2], server.address).await);
    }
    let mut text = String::new();
    connect_from([127, 0, 0, 2], server.address)
        .await
        .read_to_string(&mut text)
        .await
        .expect("text");
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(text.contains("retry-after: 1\r\n") && text.ends_with('}'), "{text}");
    assert_eq!(metric(&world, &metrics, "meldb_connections_refused_total"), 1);
    assert_eq!(server.send(request("GET", "/health", "", "")).await.status(), 200);
    // A connection that ends makes room for another one.
    drop(held.pop());
    until("the peer may connect again", || metric(&world, &metrics, "meldb_connections") == 2)
        .await;
    let mut again = connect_from([127, 0, 0, 2], server.address).await;
    again.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("written");
    let mut head = [0; 12];
    again.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
}

/// Sends a request on a connection and returns the status line of its answer.
async fn ask(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut text = Vec::new();
    while !text.ends_with(b"}") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&piece[..length]);
    }
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

/// Found by review: at the limit of connections, new clients waited in the kernel until a connection
/// that nobody used had been idle for long enough.
#[tokio::test]
async fn at_the_limit_the_connection_that_is_idle_for_the_longest_makes_room() {
    const CONNECTIONS: usize = 4;
    let (world, key) = world_with_a_large_document();
    let metrics = Metrics::default();
    let settings = ServerSettings {
        connections_max: CONNECTIONS,
        connections_per_peer_max: Some(CONNECTIONS),
        header_timeout: Duration::from_secs(60),
        ..quick(&metrics)
    };
    let server = world.serve(settings).await;
    // One that is busy: it follows the changes.
    let mut busy = http2_client(&server, 64 << 10).await;
    let mut follow = request("GET", "/api/v1/changes/tenants/alpha?after=4", &key, "");
    follow.headers_mut().insert("accept", "text/event-stream".parse().expect("a value"));
    let mut events = send(&mut busy, follow).await.expect("a head").into_body();
    events.frame().await.expect("a frame").expect("no error");
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        assert_eq!(ask(&mut stream).await.expect("an answer"), "HTTP/1.1 200 OK");
        idle.push(stream);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut silent = server.connect().await;
    // All are taken, and none would be closed for a minute.
    let mut new = Vec::new();
    for evicted in 1..=2 {
        new.push(server.connect().await);
        let answer = ask(new.last_mut().expect("a connection"));
        let answer = tokio::time::timeout(LATENESS_MAX, answer).await.expect("in time");
        assert_eq!(answer.expect("an answer"), "HTTP/1.1 200 OK");
        assert_eq!(metric(&world, &metrics, "meldb_connections_evicted_total"), evicted);
    }
    // The one that has asked for nothing went first, and then the one that was idle for the longest.
    assert!(ask(&mut silent).await.is_err());
    assert!(ask(&mut idle[0]).await.is_err());
    assert_eq!(ask(&mut idle[1]).await.expect("an answer"), "HTTP/1.1 200 OK");
    let users = world.store.tenant("alpha").expect("a name").collection("users").expect("a name");
    users.merge("user-2", serde_json::json!({"role": "new"})).commit("test").expect("written");
    let event = tokio::time::timeout(LATENESS_MAX, events.frame()).await.expect("in time");
    event.expect("the busy one goes on").expect("no error");
}
