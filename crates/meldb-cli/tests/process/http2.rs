//! Frames of HTTP/2 by hand: a client that makes no room for answers.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
};

/// The setting of how much room each new stream has (RFC 9113 §6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A connection whose streams never get room for a byte of their answers.
pub struct ClosedWindow {
    stream: TcpStream,
    next: u32,
}

impl ClosedWindow {
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &[0; 4]].concat();
        stream.write_all(&frame(4, 0, 0, &setting))?;
        Ok(Self { stream, next: 1 })
    }

    /// Sends a GET with a key.
    pub fn get(&mut self, path: &str, key: &str) -> io::Result<()> {
        // Names by their index in the static table (RFC 7541, appendix A): GET, http, the path, the
        // authority and the authorization.
        let headers = [
            vec![0x82, 0x86],
            text(&[0x04], path),
            text(&[0x01], "localhost"),
            text(&[0x0f, 0x08], &format!("Bearer {key}")),
        ];
        // These are all of the headers, and there is no body.
        let sent = frame(1, 4 | 1, self.next, &headers.concat());
        self.next += 2;
        self.stream.write_all(&sent)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn text(name: &[u8], value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 127);
    [name, &[length.expect("a length of one byte")], value.as_bytes()].concat()
}
