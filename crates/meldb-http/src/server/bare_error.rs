//! A body for the errors that the HTTP implementation answers by itself.
//!
//! A request that cannot be parsed never reaches the router: the connection answers it with a bare
//! status line and closes. Every error of this server has a body, so these get one on their way
//! out.

use std::borrow::Cow;

use crate::error::Code;

/// What every answer that went through the router carries, and no other does.
const MARK: &[u8] = b"x-content-type-options";
/// The longest head of an answer that is looked at.
const HEAD_BYTES_MAX: usize = 512;

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
