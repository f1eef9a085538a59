//! What cannot be a document is refused in bounded memory: asked of the process itself.

use std::{
    io::{self, Write},
    thread,
    time::Instant,
};

use crate::process::{ALPHA, Fixture, PATIENCE, Serving, client::Client, print_line};

/// How many clients try at the same time.
const CLIENTS: usize = 8;
/// How much the process may grow while it refuses, at its peak: for each client the 1 MiB of a body
/// that is read before it is too long, twice while its buffer grows, and as much again that the
/// allocator has not given back.
const GROWTH_BYTES_MAX: u64 = CLIENTS as u64 * (6 << 20);
/// How much a client would send if it were let.
const ENDLESS_BYTES: usize = 1 << 30;

#[test]
fn nesting_100_000_deep_is_refused_in_bounded_memory() {
    let levels = 100_000;
    let texts = [
        format!("{{\"v\":{}", "[".repeat(levels)),
        format!("{{\"v\":{}{}}}", "[".repeat(levels), "]".repeat(levels)),
        "{\"v\":".repeat(levels),
        format!("{}1{}", "{\"v\":".repeat(levels), "}".repeat(levels)),
        format!("{}1{}", "{\"v\":[".repeat(levels), "]}".repeat(levels)),
    ];
    let fixture = Fixture::new();
    let mut server = fixture.serve(&["--durability", "buffered"]);
    let path = format!("{ALPHA}/users/user-1");
    let types = [
        ("POST", "application/json"),
        ("PUT", "application/json"),
        ("PATCH", "application/merge-patch+json"),
        ("PATCH", "application/json-patch+json"),
    ];
    let growth = growth_of(&mut server, &fixture.key, |client| {
        for (method, media_type) in types {
            for text in &texts {
                let header = format!("Content-Type: {media_type}\r\n");
                let answer = client.send_with(method, &path, &header, text.as_bytes());
                let answer = answer.expect("an answer");
                assert_eq!(answer.status, 400, "{method}, {} bytes: {}", text.len(), answer.text());
            }
        }
    });
    print_line(format_args!(
        "100,000 levels from {CLIENTS} clients: {} KiB more at the peak",
        growth >> 10
    ));
}

#[test]
fn a_chunked_body_of_1_gib_is_refused_in_bounded_memory() {
    let fixture = Fixture::new();
    let mut server = fixture.serve(&["--durability", "buffered"]);
    let path = format!("{ALPHA}/users/user-1");
    let growth = growth_of(&mut server, &fixture.key, |client| {
        let head = client.head("POST", &path);
        let stream = client.stream();
        write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n").expect("the head is taken");
        let began = Instant::now();
        let sent = send_chunks(stream);
        assert!(sent < ENDLESS_BYTES / 8, "the server took {sent} bytes");
        assert!(began.elapsed() < PATIENCE, "the server read for {:?}", began.elapsed());
        // The answer came while the body was being sent; a reset may have overtaken it.
        match client.read_answer() {
            Ok(answer) => assert_eq!(answer.status, 413, "{}", answer.text()),
            Err(error) => assert!(is_cut(&error), "{error}"),
        }
    });
    print_line(format_args!(
        "1 GiB in chunks from {CLIENTS} clients: {} KiB more at the peak",
        growth >> 10
    ));
}

#[test]
fn a_declared_body_of_1_gib_is_refused_before_it_comes() {
    let fixture = Fixture::new();
    let mut server = fixture.serve(&["--durability", "buffered"]);
    let path = format!("{ALPHA}/users/user-1");
    growth_of(&mut server, &fixture.key, |client| {
        let head = client.head("PUT", &path);
        let stream = client.stream();
        write!(stream, "{head}Content-Length: {ENDLESS_BYTES}\r\n\r\n").expect("the head is taken");
        let answer = client.read_answer().expect("an answer");
        assert_eq!(answer.status, 413, "{}", answer.text());
    });
}

/// Sends pieces of a string without end, and returns how many bytes the server let in.
fn send_chunks(stream: &mut impl Write) -> usize {
    let piece = vec![b'x'; 64 << 10];
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    let first = b"6\r\n{\"v\":\"\r\n";
    if stream.write_all(first).is_err() {
        return 0;
    }
    let mut sent = 0;
    while sent < ENDLESS_BYTES && stream.write_all(&chunk).is_ok() {
        sent += piece.len();
    }
    sent
}

fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Returns by how much the server's peak memory grew while each of the clients did `work`, after
/// some ordinary writes, and checks that this is little and that the server still works.
pub(crate) fn growth_of(server: &mut Serving, key: &str, work: impl Fn(&mut Client) + Sync) -> u64 {
    let address = server.address;
    let ordinary = || {
        let mut client = Client::connect(address, key).expect("a connection");
        let body = format!("{{\"v\":\"{}\"}}", "x".repeat(1 << 20 >> 1));
        let answer = client.send("POST", &format!("{ALPHA}/users/user-1"), body.as_bytes());
        let answer = answer.expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    };
    ordinary();
    let before = server.peak_memory_bytes();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| work(&mut Client::connect(address, key).expect("a connection")));
        }
    });
    let growth = server.peak_memory_bytes() - before;
    assert!(growth <= GROWTH_BYTES_MAX, "the server grew by {} KiB", growth >> 10);
    assert!(server.is_running(), "the server is gone");
    ordinary();
    growth
}
