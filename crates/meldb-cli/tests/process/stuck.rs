//! Clients that take up a connection and do not get on.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{ALPHA, client::Client};

/// How often a slow client sends a byte.
const DRIP: Duration = Duration::from_millis(100);
/// The collection that is too long for the buffers between a server and a client that never reads.
const LONG: &str = "long";

/// A way to take up a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abuse {
    /// Connects, and sends nothing.
    Silent,
    /// Sends the headers of a request byte by byte, without end.
    SlowHeaders,
    /// Sends the body of a request byte by byte, without end.
    SlowBody,
    /// Sends a part of a body, and then nothing.
    HalfBody,
    /// Makes one request, and keeps the connection.
    Idle,
    /// Asks for much, and never reads it.
    NeverReads,
}

impl Abuse {
    /// Opens a connection and begins on it.
    pub fn open(self, address: SocketAddr, key: &str) -> io::Result<Client> {
        let mut client = Client::connect(address, key)?;
        let path = format!("{ALPHA}/stuck/document");
        let request = match self {
            Self::Silent => String::new(),
            Self::SlowHeaders => client.head("GET", &path) + "X-Slow: ",
            Self::SlowBody | Self::HalfBody => {
                client.head("POST", &path) + "Content-Length: 60000\r\n\r\n{\"v\":\""
            }
            Self::Idle => {
                client.send("GET", "/health", b"")?;
                String::new()
            }
            Self::NeverReads => client.head("GET", &format!("{ALPHA}/{LONG}")) + "\r\n",
        };
        client.stream().write_all(request.as_bytes())?;
        Ok(client)
    }

    /// Opens many such connections.
    pub fn open_many(self, count: usize, address: SocketAddr, key: &str) -> Vec<Client> {
        (0..count).map(|_| self.open(address, key).expect("a connection")).collect()
    }

    /// Sends the next byte, if this is a way to be slow.
    pub fn go_on(self, client: &mut Client) -> io::Result<()> {
        match self {
            Self::SlowHeaders | Self::SlowBody => client.stream().write_all(b"x"),
            Self::Silent | Self::HalfBody | Self::Idle | Self::NeverReads => Ok(()),
        }
    }
}

/// Writes what [`Abuse::NeverReads`] asks for: some 20 MB, in one collection.
pub fn make_long_collection(address: SocketAddr, key: &str) {
    let mut client = Client::connect(address, key).expect("a connection");
    let body = format!("{{\"v\":\"{}\"}}", "x".repeat(1_000_000));
    for document in 0..20 {
        let path = format!("{ALPHA}/{LONG}/document-{document}");
        let answer = client.send("POST", &path, body.as_bytes()).expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }
}

/// Stuck connections, always as many: what the server drops is opened again.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Opens the connections, and returns once they are open.
    pub fn gather(abuse: Abuse, count: usize, address: SocketAddr, key: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = abuse.open_many(count, address, key);
        let (stopped, key) = (Arc::clone(&stop), key.to_owned());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(DRIP);
                for client in &mut clients {
                    if abuse.go_on(client).is_err()
                        && let Ok(again) = abuse.open(address, &key)
                    {
                        *client = again;
                    }
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
