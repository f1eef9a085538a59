//! Answers compressed for clients that take it.
//!
//! Beside the requests, not around them: a layer around every request costs a sixth of a small one,
//! whether or not anything is compressed, and answers 406 to a client that refuses every encoding,
//! when its write has been made.

use std::{convert::Infallible, future};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Method, Request, StatusCode,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY},
    },
    response::Response,
};
use http_body::Body as _;
use tower::{ServiceExt, service_fn};
use tower_http::{
    CompressionLevel,
    compression::{Compression, predicate::SizeAbove},
};

use crate::{
    bodies::response::EVENT_STREAM,
    headers::{
        condition::{self, GZIP},
        weights::Weighted,
    },
};

/// The smallest answer that is worth compressing, in bytes.
const COMPRESSED_BYTES_MIN: u16 = 1024;

/// Returns whether a client prefers a compressed answer to a plain one.
///
/// A plain one without a weight of its own comes after what is named.
pub(crate) fn is_preferred(headers: &HeaderMap) -> bool {
    let accepted = Weighted::of(headers, ACCEPT_ENCODING);
    let compressed = accepted.first_of(&[GZIP, "*"]).unwrap_or(0);
    compressed > 0 && compressed >= accepted.named("identity").unwrap_or(0)
}

/// Returns the answer, compressed if it is large, and marked as one that others may be given
/// compressed.
pub(crate) async fn compress(
    mut response: Response,
    method: &Method,
    is_preferred: bool,
) -> Response {
    if !may_be_compressed(&response) {
        return response;
    }
    let varies = HeaderValue::from_static("accept-encoding");
    response.headers_mut().append(VARY, varies);
    if !is_preferred || !is_large(&response, method) {
        return response;
    }
    let mut response = match *method {
        Method::HEAD => {
            // As the answer to GET begins; how long that would be is known to nobody yet.
            response.headers_mut().remove(CONTENT_LENGTH);
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(GZIP));
            response
        }
        _ => compressed(response).await,
    };
    // Another text needs another tag.
    if let Some(tag) = response.headers().get(ETAG).and_then(condition::compressed_tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Returns whether the address gives compressed answers to those who take them. Events are sent one by
/// one, and would wait for one another in a compressor.
fn may_be_compressed(response: &Response) -> bool {
    if response.status() == StatusCode::NOT_MODIFIED {
        return true;
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|content_type| content_type != EVENT_STREAM)
}

fn is_large(response: &Response, method: &Method) -> bool {
    if response.status() == StatusCode::NOT_MODIFIED {
        return false;
    }
    let declared = response.headers().get(CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = match *method {
        Method::HEAD => declared,
        _ => declared.or_else(|| response.body().size_hint().exact()),
    };
    // One that is streamed is large.
    bytes.is_none_or(|bytes: u64| bytes >= u64::from(COMPRESSED_BYTES_MIN))
}

async fn compressed(response: Response) -> Response {
    let asked = Request::builder().header(ACCEPT_ENCODING, GZIP).body(());
    let Ok(asked) = asked else { return response };
    let mut response = Some(response);
    let answered = service_fn(move |_: Request<()>| {
        future::ready(Ok::<_, Infallible>(response.take().unwrap_or_default()))
    });
    let compression = Compression::new(answered)
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(0));
    let Ok(compressed) = compression.oneshot(asked).await;
    compressed.map(Body::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_decide_whether_an_answer_is_compressed() {
        for (value, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("gzip, deflate, br, zstd", true),
            ("*", true),
            ("gzip;q=0.5, identity;q=0.5", true),
            ("identity;q=0, gzip;q=0.1", true),
            ("gzip;q=0.5, identity", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().expect("a header value"));
            assert_eq!(is_preferred(&headers), expected, "{value:?}");
        }
        assert!(!is_preferred(&HeaderMap::new()));
    }
}
