//! A body for the errors that the HTTP implementation answers by itself.
//!
//! A request that cannot be parsed never reaches the router: the connection answers it with a bare
//! status line and closes. Every error of this server has a body, so these get one on their way
//! out.

use std::{
    borrow::Cow,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use meldb_http::Code;

/// What every answer that went through the router carries, and no other does.
const MARK: &[u8] = b"x-content-type-options";
/// The longest head of an answer that is looked at.
const HEAD_BYTES_MAX: usize = 512;

/// A stream of plain HTTP, above TLS if there is any, that gives such answers a body.
pub(super) struct WithErrorBodies<S> {
    stream: S,
    /// What is being sent in the place of an answer without a body.
    substitute: Option<Substitute>,
}

struct Substitute {
    bytes: Vec<u8>,
    sent: usize,
}

impl<S> WithErrorBodies<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, substitute: None }
    }
}

impl<S: AsyncWrite + Unpin> WithErrorBodies<S> {
    /// Writes bytes that begin an answer; one that is an error without a body gets one.
    fn poll_write_head(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.substitute.is_none() {
            let substitute = with_body(bytes);
            self.substitute = substitute.map(|bytes| Substitute { bytes, sent: 0 });
        }
        loop {
            let Some(Substitute { bytes: instead, sent }) = &mut self.substitute else {
                return Pin::new(&mut self.stream).poll_write(context, bytes);
            };
            if *sent == instead.len() {
                self.substitute = None;
                return Poll::Ready(Ok(bytes.len()));
            }
            match Pin::new(&mut self.stream).poll_write(context, &instead[*sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => *sent += written,
                other => return other,
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithErrorBodies<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithErrorBodies<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.substitute.is_some() || bytes.starts_with(b"HTTP/1.") {
            return self.poll_write_head(context, bytes);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [head] = slices {
            return self.poll_write(context, head);
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Returns what to send instead of `bytes`, if they are a whole answer without a body that did not
/// come from the router.
pub(super) fn with_body(bytes: &[u8]) -> Option<Vec<u8>> {
    let status = bytes.strip_prefix(b"HTTP/1.1 4").or_else(|| bytes.strip_prefix(b"HTTP/1.0 4"))?;
    let is_whole = bytes.len() <= HEAD_BYTES_MAX && bytes.ends_with(b"\r\n\r\n");
    if !is_whole || bytes.windows(MARK.len()).any(|window| window.eq_ignore_ascii_case(MARK)) {
        return None;
    }
    let (code, message): (_, Cow<'static, str>) = match status.get(..2)? {
        b"31" => (Code::HeadersTooLarge, "the headers of the request are too large".into()),
        b"14" => (Code::BadRequest, "the target of the request is too long".into()),
        _ => (Code::BadRequest, "this is not a request of HTTP/1.1 or HTTP/2".into()),
    };
    let body = serde_json::json!({ "code": code.name(), "message": message }).to_string();
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        code.status(),
        body.len(),
    );
    Some((head + &body).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_errors_get_a_body() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
            content-length: 0\r\ndate: now\r\n\r\n";
        let text = String::from_utf8(with_body(bare).expect("a body")).expect("text");
        assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
        assert!(text.contains("\"code\":\"RequestHeaderFieldsTooLarge\""), "{text}");
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\nX-Content-Type-Options: nosniff\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\n\r\nand a body",
            b"HTTP/1.1 4",
            b"anything",
            b"",
        ] {
            assert_eq!(with_body(other), None);
        }
    }
}
