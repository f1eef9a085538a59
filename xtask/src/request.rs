//! Single requests, to set servers up.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, ensure};

const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a request with a JSON body and returns the body of its answer, which must be a success.
pub(crate) fn send(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> anyhow::Result<String> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot reach {url}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0 closes the connection behind the answer, whose length then needs no parsing.
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no head")?;
    let is_success = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    ensure!(is_success, "{method} {path}: {answer}");
    Ok(body.to_owned())
}
