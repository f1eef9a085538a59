//! A plain HTTP/1.1 client on one connection, which can also be told to misbehave.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long the client waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to the server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    key: String,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its status line and headers.
    pub head: String,
    /// What follows them.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the revision that the `ETag` tells.
    pub fn revision(&self) -> Option<u64> {
        header(&self.head, "etag")?.trim_matches('"').parse().ok()
    }
}

impl Client {
    /// Connects to a server; each request carries the key.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn connect(address: SocketAddr, key: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), key: key.to_owned() })
    }

    /// Returns the connection itself.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Returns the head of a request, without the empty line that ends it.
    pub fn head(&self, method: &str, path: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
            self.key
        )
    }

    /// Sends a request with its body, and reads the answer.
    ///
    /// # Errors
    /// The connection breaks off, or what comes is no answer.
    pub fn send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.send_with(method, path, "", body)
    }

    /// As [`send`](Self::send), with header lines that end in CR LF.
    ///
    /// # Errors
    /// As there.
    pub fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let head = self.head(method, path);
        let mut request =
            format!("{head}{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        self.stream().write_all(&request)?;
        self.read_answer()
    }

    /// Reads one answer, whose length must be declared.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn read_answer(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if &head[before..] == "\r\n" {
                break;
            }
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, head.clone());
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(invalid)?;
        let length = match header(&head, "content-length") {
            Some(length) => length.parse().map_err(|_| invalid())?,
            None if matches!(status, 204 | 304) => 0,
            None => return Err(invalid()),
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, head, body })
    }

    /// Returns whether the server ends the connection within this time; what it sends is skipped.
    ///
    /// # Panics
    /// If a time-out cannot be set.
    pub fn is_closed_within(&mut self, patience: Duration) -> bool {
        self.stream().set_read_timeout(Some(patience)).expect("a socket option");
        io::copy(&mut self.stream, &mut io::sink()).map_or_else(
            |error| !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            |_| true,
        )
    }
}

/// Returns the value of a header; the name is given in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
