//! Whatever bytes come on a connection, the server ends it in time, and then holds nothing for it.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    sync::{Mutex, Once},
    time::Duration,
};

use arbitrary::Arbitrary;
use meldb_server::{Listener, Metrics, Peer, Server, ServerSettings, Settings, adapter};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::oneshot,
    time::timeout,
};

use crate::world::World;

/// What comes on one connection.
#[derive(Arbitrary, Clone, Debug)]
pub struct Spoken {
    /// It begins as HTTP/2.
    http2: bool,
    /// The client reads what it is sent.
    reads: bool,
    /// The client closes its side at the end.
    closes: bool,
    parts: Vec<Part>,
}

/// A part of what comes.
#[derive(Arbitrary, Clone, Debug)]
enum Part {
    /// A piece of text.
    Text(u8),
    Raw(Vec<u8>),
    /// A frame of any kind.
    Frame {
        kind: u8,
        flags: u8,
        stream: u8,
        payload: Vec<u8>,
    },
    /// A window update, with few bytes or very many.
    Window {
        stream: u8,
        more: u32,
    },
    /// A good request.
    Request {
        stream: u8,
        path: u8,
        ends: bool,
        has_key: bool,
    },
    /// The headers of a good request, cut in two frames.
    CutRequest {
        stream: u8,
        path: u8,
        at: u8,
    },
    Data {
        stream: u8,
        length: u16,
        ends: bool,
    },
    /// Some time passes, in tenths of a second.
    Pause(u8),
}

const PATHS: [&str; 7] = [
    "/health",
    "/",
    "/api/v1/provisioning/tenants/alpha/users/ada",
    "/api/v1/provisioning/tenants/alpha/users",
    "/api/v1/provisioning/tenants/alpha/users?limit=1",
    "/api/v1/changes/tenants/alpha",
    "/api/v1/provisioning/tenants/beta",
];

const PIECES: [&str; 40] = [
    "GET ",
    "PUT ",
    "POST ",
    "OPTIONS ",
    "HEAD ",
    "PRI ",
    "CONNECT ",
    "/health",
    "/api/v1/provisioning/tenants/alpha/users/ada",
    "/api/v1/provisioning/tenants/alpha/users",
    "/api/v1/provisioning/tenants/alpha:batch",
    "/api/v1/changes/tenants/alpha",
    "*",
    "http://x/health",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "Host: x\r\n",
    "Host: \r\n",
    "Content-Length: 7\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 99999999999\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Content-Type: application/json\r\n",
    "Accept: text/event-stream\r\n",
    "Accept-Encoding: gzip\r\n",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\n",
    "Prefer: return=minimal\r\n",
    "\r\n",
    "7\r\n{\"a\":1}\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "{\"a\":1}",
    "\0",
    ": ",
    "A: b\r\n c\r\n",
];

/// The time-outs of the server; the clock of the case goes on by itself.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may last that the client does nothing on: each time-out may count once for
/// each thing that was asked for before.
const END_MAX: Duration = Duration::from_secs(120);

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Says it on the connection, and panics if the server did, hangs, or holds something afterwards.
pub fn check_connection(spoken: &Spoken) {
    count_panics();
    let world = World::new();
    let key = world.key("alpha", "provisioning:*".parse().expect("a scope"));
    let metrics = Metrics::default();
    let adapter =
        adapter(world.store.clone(), Settings { metrics: metrics.clone(), ..Default::default() });
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let (client, served) = duplex(16 << 10);
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = ServerSettings {
            header_timeout: TIMEOUT,
            idle_timeout: TIMEOUT,
            write_timeout: TIMEOUT,
            drain_timeout: TIMEOUT,
            streams_max: 8,
            metrics: metrics.clone(),
            ..Default::default()
        };
        let server = tokio::spawn(Server::new(settings).run(One::new(served), adapter, async {
            stopped.await.ok();
        }));
        let spoke = timeout(END_MAX * 100, speak(client, spoken, &key)).await;
        assert!(spoke.is_ok(), "the connection did not end: {spoken:?}");
        stop.send(()).ok();
        let stopped = timeout(END_MAX, server).await.expect("the server ends");
        assert!(stopped.expect("no panic").is_ok());
    });
    assert_eq!(PANICS.get(), 0, "the server panicked: {spoken:?}");
    let text = metrics.text(&world.store);
    for held in ["meldb_connections", "meldb_bytes_in_flight", "http_server_active_requests"] {
        let line = text.lines().find(|line| line.starts_with(&format!("{held} ")));
        assert_eq!(line, Some(&*format!("{held} 0")), "{spoken:?}");
    }
}

/// Sends the parts, and waits until the server has closed the connection.
async fn speak(client: DuplexStream, spoken: &Spoken, key: &str) {
    let (mut from_server, mut to_server) = tokio::io::split(client);
    let reads = spoken.reads;
    let reading = tokio::spawn(async move {
        if !reads {
            tokio::time::sleep(END_MAX).await;
        }
        let mut bytes = [0; 4096];
        while matches!(from_server.read(&mut bytes).await, Ok(length) if length > 0) {}
    });
    if spoken.http2 {
        to_server.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.ok();
        to_server.write_all(&frame(4, 0, 0, &[])).await.ok();
    }
    for part in &spoken.parts {
        if let Part::Pause(tenths) = part {
            tokio::time::sleep(Duration::from_millis(100) * u32::from(*tenths)).await;
        }
        if to_server.write_all(&part.bytes(key)).await.is_err() {
            break;
        }
    }
    if spoken.closes {
        to_server.shutdown().await.ok();
    }
    reading.await.expect("no panic");
}

impl Part {
    fn bytes(&self, key: &str) -> Vec<u8> {
        match self {
            Self::Text(piece) => PIECES[usize::from(*piece) % PIECES.len()].into(),
            Self::Raw(bytes) => bytes.clone(),
            Self::Frame { kind, flags, stream, payload } => {
                frame(kind % 11, *flags, u32::from(*stream), payload)
            }
            Self::Window { stream, more } => frame(8, 0, u32::from(*stream), &more.to_be_bytes()),
            Self::Request { stream, path, ends, has_key } => {
                let headers = headers(*path, has_key.then_some(key));
                frame(1, 4 | u8::from(*ends), u32::from(*stream), &headers)
            }
            Self::CutRequest { stream, path, at } => {
                let headers = headers(*path, None);
                let (first, rest) = headers.split_at(usize::from(*at) % headers.len());
                let stream = u32::from(*stream);
                [frame(1, 1, stream, first), frame(9, 4, stream, rest)].concat()
            }
            Self::Data { stream, length, ends } => {
                let data = vec![b' '; usize::from(*length) % (16 << 10)];
                frame(0, u8::from(*ends), u32::from(*stream), &data)
            }
            Self::Pause(_) => Vec::new(),
        }
    }
}

/// Returns a frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns the headers of a GET (RFC 7541: names by their index in the static table).
fn headers(path: u8, key: Option<&str>) -> Vec<u8> {
    let text = |name: &[u8], value: &str| {
        let length = u8::try_from(value.len()).expect("a short value");
        assert!(length < 127, "a length of one byte");
        [name, &[length], value.as_bytes()].concat()
    };
    let path = PATHS[usize::from(path) % PATHS.len()];
    let mut headers = [vec![0x82, 0x86], text(&[0x04], path), text(&[0x01], "x")].concat();
    headers.extend(key.map(|key| text(&[0x0f, 0x08], key)).unwrap_or_default());
    headers
}

/// One connection, and never another.
struct One(Mutex<Option<DuplexStream>>);

impl One {
    fn new(stream: DuplexStream) -> Self {
        Self(Mutex::new(Some(stream)))
    }
}

impl Listener for One {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, Peer)> {
        let stream = self.0.lock().expect("no panic").take();
        match stream {
            Some(stream) => Ok((stream, Peer::network(SocketAddr::from(([127, 0, 0, 1], 5000))))),
            None => std::future::pending().await,
        }
    }
}

/// Counts the panics of this thread, also those that are caught.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
    PANICS.set(0);
}
