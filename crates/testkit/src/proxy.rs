//! A proxy before PostgreSQL that knows its messages, and does harm at one of them.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, BufWriter, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// To the client.
    ToClient,
}

/// What is done in place of forwarding a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed on both sides.
    Cut,
    /// This message and all after it in its direction are dropped, and the connection stays open.
    Swallow,
    /// The message is forwarded late.
    Delay(Duration),
    /// Of messages to the client: the rest of the reply is an error with this code, whatever the server has done.
    Fail(&'static str),
    /// Of messages to the server: the request is not made, and fails there with this code.
    Raise(&'static str),
}

/// A fault that waits for its message.
#[derive(Clone, Copy, Debug)]
struct Armed {
    direction: Direction,
    /// How many messages come before it.
    left: u64,
    fault: Fault,
}

/// A proxy that listens on a port of this machine.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// On a socket in the file system.
    Socket(PathBuf),
    /// On a port: its host and number.
    Port(String, u16),
}

struct Shared {
    upstream: Upstream,
    armed: Mutex<Option<Armed>>,
    is_down: AtomicBool,
    latency_us: AtomicU64,
    /// What a request must hold to be kept back.
    frozen: Mutex<Option<Vec<u8>>>,
    thawed: Condvar,
    statements: Mutex<BTreeSet<String>>,
}

impl Proxy {
    /// Starts a proxy before a server.
    ///
    /// # Panics
    /// If there is no port.
    pub fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Shared {
            upstream,
            armed: Mutex::default(),
            is_down: AtomicBool::new(false),
            latency_us: AtomicU64::new(0),
            frozen: Mutex::default(),
            thawed: Condvar::new(),
            statements: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&of_thread);
                // A connection that fails is closed, which is all that there is to say of it.
                thread::spawn(move || shared.serve(client).ok());
            }
        });
        Self { port, shared }
    }

    /// Returns the port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Does something in place of the message that is the `number`-th from now on in its direction, counted
    /// from 0 over all connections; once.
    pub fn arm(&self, direction: Direction, number: u64, fault: Fault) {
        *self.shared.armed.lock() = Some(Armed { direction, left: number, fault });
    }

    /// Takes back what has not been done yet, and returns whether it was done.
    pub fn disarm(&self) -> bool {
        self.shared.armed.lock().take().is_none()
    }

    /// Refuses new connections, or takes them again.
    pub fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, SeqCst);
    }

    /// Delays every request by so much.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.latency_us.store(u64::try_from(latency.as_micros()).unwrap_or(0), SeqCst);
    }

    /// Keeps back all requests that name a tenant, and what follows on their connections.
    pub fn freeze(&self, tenant: &str) {
        // As a value in binary: its length and its bytes.
        let length = u32::try_from(tenant.len()).expect("a short name");
        let value = [&length.to_be_bytes(), tenant.as_bytes()].concat();
        *self.shared.frozen.lock() = Some(value);
    }

    /// Lets go of what is kept back.
    pub fn thaw(&self) {
        *self.shared.frozen.lock() = None;
        self.shared.thawed.notify_all();
    }

    /// Returns the texts of all statements that were prepared.
    pub fn statements(&self) -> Vec<String> {
        self.shared.statements.lock().iter().cloned().collect()
    }
}

/// A message, and its type; the first one of a client has none.
struct Message {
    kind: u8,
    bytes: Vec<u8>,
}

impl Message {
    fn read(from: &mut impl Read, is_first: bool) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut kind = [0];
        if !is_first {
            from.read_exact(&mut kind)?;
            bytes.extend(kind);
        }
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        bytes.extend(length);
        let rest = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
        from.take(rest).read_to_end(&mut bytes)?;
        Ok(Self { kind: kind[0], bytes })
    }

    fn new(kind: u8, body: &[u8]) -> Self {
        let length = u32::try_from(body.len() + 4).expect("a short message");
        Self { kind, bytes: [&[kind], &length.to_be_bytes()[..], body].concat() }
    }

    /// Returns the error that a server would send.
    fn error(code: &str) -> Self {
        let body = format!("SERROR\0VERROR\0C{code}\0Mplanted by the test\0\0");
        Self::new(b'E', body.as_bytes())
    }

    /// Returns a request that fails on the server.
    fn raise(code: &str) -> Self {
        let body = format!("DO $$BEGIN RAISE SQLSTATE '{code}'; END$$\0");
        Self::new(b'Q', body.as_bytes())
    }

    /// Returns whether a request ends with it, and a reply follows.
    fn ends_request(&self) -> bool {
        matches!(self.kind, b'S' | b'Q')
    }

    fn holds(&self, value: &[u8]) -> bool {
        self.bytes.windows(value.len()).any(|window| window == value)
    }
}

type Reader = BufReader<Box<dyn Read + Send>>;
type Writer = BufWriter<Box<dyn Write + Send>>;
type Close = Arc<dyn Fn() + Send + Sync>;

impl Shared {
    fn serve(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.is_down.load(SeqCst) {
            return Ok(());
        }
        client.set_nodelay(true)?;
        let of_client = client.try_clone()?;
        let (from_server, to_server, close_server): (Reader, Writer, Close) = match &self.upstream {
            Upstream::Socket(path) => {
                let server = UnixStream::connect(path)?;
                let (from, to) = (server.try_clone()?, server.try_clone()?);
                let close = move || drop(server.shutdown(Shutdown::Both));
                (reader(from), writer(to), Arc::new(close))
            }
            Upstream::Port(host, port) => {
                let server = TcpStream::connect((host.as_str(), *port))?;
                server.set_nodelay(true)?;
                let (from, to) = (server.try_clone()?, server.try_clone()?);
                let close = move || drop(server.shutdown(Shutdown::Both));
                (reader(from), writer(to), Arc::new(close))
            }
        };
        let close: Close = Arc::new(move || {
            close_server();
            drop(of_client.shutdown(Shutdown::Both));
        });
        let (from_client, to_client) = (reader(client.try_clone()?), writer(client));
        let (requests, closing) = (Arc::clone(&self), Arc::clone(&close));
        thread::spawn(move || {
            requests.requests(from_client, to_server, &closing).ok();
            closing();
        });
        self.replies(from_server, to_client, &close).ok();
        close();
        Ok(())
    }

    /// Counts a message, and returns what is to be done in its place.
    fn fault(&self, direction: Direction) -> Option<Fault> {
        let mut armed = self.armed.lock();
        let waiting = armed.as_mut().filter(|armed| armed.direction == direction)?;
        if waiting.left > 0 {
            waiting.left -= 1;
            return None;
        }
        armed.take().map(|armed| armed.fault)
    }

    fn requests(&self, mut from: Reader, mut to: Writer, close: &Close) -> io::Result<()> {
        let (mut is_first, mut is_swallowed) = (true, false);
        let mut raised = None;
        loop {
            let mut message = Message::read(&mut from, is_first)?;
            is_first = false;
            self.note_statement(&message);
            self.wait_while_frozen(&message);
            match self.fault(Direction::ToServer) {
                Some(Fault::Cut) => close(),
                Some(Fault::Swallow) => is_swallowed = true,
                Some(Fault::Delay(time)) => thread::sleep(time),
                Some(Fault::Raise(code)) => raised = Some(code),
                Some(Fault::Fail(_)) | None => {}
            }
            if let Some(code) = raised {
                if !message.ends_request() {
                    continue;
                }
                message = Message::raise(code);
                raised = None;
            }
            if is_swallowed {
                continue;
            }
            let latency = self.latency_us.load(SeqCst);
            if latency > 0 && message.ends_request() {
                to.flush()?;
                thread::sleep(Duration::from_micros(latency));
            }
            to.write_all(&message.bytes)?;
            if from.buffer().is_empty() || message.ends_request() {
                to.flush()?;
            }
        }
    }

    fn replies(&self, mut from: Reader, mut to: Writer, close: &Close) -> io::Result<()> {
        let (mut is_swallowed, mut is_failing) = (false, false);
        loop {
            let message = Message::read(&mut from, false)?;
            match self.fault(Direction::ToClient) {
                Some(Fault::Cut) => close(),
                Some(Fault::Swallow) => is_swallowed = true,
                Some(Fault::Delay(time)) => thread::sleep(time),
                Some(Fault::Fail(code)) => {
                    is_failing = true;
                    to.write_all(&Message::error(code).bytes)?;
                }
                Some(Fault::Raise(_)) | None => {}
            }
            // The server is ready for the next request.
            is_failing &= message.kind != b'Z';
            if is_swallowed || is_failing {
                continue;
            }
            to.write_all(&message.bytes)?;
            if from.buffer().is_empty() {
                to.flush()?;
            }
        }
    }

    fn note_statement(&self, message: &Message) {
        if message.kind == b'P' {
            let mut parts = message.bytes[5..].split(|byte| *byte == 0).skip(1);
            let text = parts.next().map(String::from_utf8_lossy).unwrap_or_default();
            self.statements.lock().insert(text.into_owned());
        }
    }

    fn wait_while_frozen(&self, message: &Message) {
        let mut frozen = self.frozen.lock();
        while frozen.as_ref().is_some_and(|value| message.holds(value)) {
            self.thawed.wait(&mut frozen);
        }
    }
}

fn reader(stream: impl Read + Send + 'static) -> Reader {
    BufReader::new(Box::new(stream))
}

fn writer(stream: impl Write + Send + 'static) -> Writer {
    BufWriter::new(Box::new(stream))
}
