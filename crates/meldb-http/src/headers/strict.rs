//! What HTTP/1.1 requires of every request, and the implementation below does not check: where two
//! parties could read one request in two ways, it is refused.

use axum::http::{HeaderMap, HeaderValue, Version, header, request::Parts, uri::Authority};

use crate::error::HttpError;

/// Checks a request's framing and its `Host`.
///
/// # Errors
/// 400, and the connection is closed.
pub(crate) fn check(parts: &Parts) -> Result<(), HttpError> {
    check_transfer_encoding(&parts.headers)?;
    check_host(parts)
}

/// Checks that the only transfer coding is `chunked`, once (RFC 9112, 6.1).
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).into_iter();
    let is_chunked =
        |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if is_chunked(coding) => Ok(()),
        _ => Err(refused("the only Transfer-Encoding that this server reads is chunked")),
    }
}

/// Checks that the request names its host exactly once (RFC 9112, 3.2; RFC 9113, 8.3.1).
fn check_host(parts: &Parts) -> Result<(), HttpError> {
    let mut hosts = parts.headers.get_all(header::HOST).into_iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(refused("the request has more than one Host header"));
    }
    let authority = parts.uri.authority().map(Authority::as_str);
    if host.is_some_and(|host| !is_host(host.as_bytes()))
        || authority.is_some_and(|authority| !is_host(authority.as_bytes()))
    {
        return Err(refused("the Host of the request is not valid"));
    }
    match (parts.version, host, authority) {
        (Version::HTTP_09 | Version::HTTP_10, ..) => Ok(()),
        (Version::HTTP_11, None, _) | (_, None, None) => {
            Err(refused("the request has no Host header"))
        }
        (Version::HTTP_11, Some(_), _) | (_, None, Some(_)) | (_, Some(_), None) => Ok(()),
        (_, Some(host), Some(authority)) => {
            match host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) {
                true => Ok(()),
                false => Err(refused("the request names two different hosts")),
            }
        }
    }
}

/// Returns whether a text is a host with an optional port, and not an empty one (RFC 9110, 4.2.1).
fn is_host(text: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(text) else { return false };
    let (host, all) = (authority.host(), authority.as_str());
    let port = all.strip_prefix(host).and_then(|port| match port.strip_prefix(':') {
        Some(digits) => Some(digits),
        None => port.is_empty().then_some(""),
    });
    // RFC 3986, 3.2.3: a port may be empty.
    let is_port = |digits: &str| {
        digits.is_empty()
            || digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
    };
    !host.is_empty() && port.is_some_and(is_port)
}

fn refused(message: &'static str) -> HttpError {
    HttpError::bad_request(message)
        .with_header(header::CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_perhaps() {
        for host in [
            "localhost",
            "a.example:8080",
            "127.0.0.1",
            "[::1]:80",
            "[::1]",
            "a_b",
            "EXAMPLE.com:",
            "a:65535",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "a/b", "a:b", "a:65536", "a:-1", "a:+1", "user@a", "a,b c", "[::1",
            "a?b", "http://a", "a\u{e9}", "a:80:80",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        for (version, uri, hosts, expected) in [
            (Version::HTTP_11, "/", &["a"][..], true),
            (Version::HTTP_11, "/", &[], false),
            (Version::HTTP_11, "http://a/", &[], false),
            (Version::HTTP_11, "http://a/", &["b"], true),
            (Version::HTTP_11, "/", &["a", "a"], false),
            (Version::HTTP_11, "/", &[""], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_10, "/", &["a", "b"], false),
            (Version::HTTP_10, "/", &["a b"], false),
            (Version::HTTP_2, "http://a/", &[], true),
            (Version::HTTP_2, "http://a:1/", &["A:1"], true),
            (Version::HTTP_2, "http://a/", &["b"], false),
            (Version::HTTP_2, "/", &["b"], true),
            (Version::HTTP_2, "/", &[], false),
            (Version::HTTP_2, "http://x@a/", &[], false),
        ] {
            let mut request = Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            assert_eq!(check(&parts).is_ok(), expected, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn no_transfer_coding_but_chunked_is_read() {
        for (codings, expected) in [
            (&["chunked"][..], true),
            (&["Chunked"], true),
            (&["gzip, chunked"], false),
            (&["chunked, chunked"], false),
            (&["chunked", "chunked"], false),
            (&["gzip", "chunked"], false),
            (&["identity"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for coding in codings {
                headers.append("transfer-encoding", coding.parse().expect("a header value"));
            }
            assert_eq!(check_transfer_encoding(&headers).is_ok(), expected, "{codings:?}");
        }
    }
}
