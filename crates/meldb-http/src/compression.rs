//! Answers compressed for clients that take it.
//!
//! Beside the requests, not around them: a layer around every request costs a sixth of a small one,
//! whether or not anything is compressed, and answers 406 to a client that refuses every encoding,
//! when its write has been made.

use std::{convert::Infallible, future};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, header::ACCEPT_ENCODING},
    response::Response,
};
use tower::{ServiceExt, service_fn};
use tower_http::{
    CompressionLevel,
    compression::{
        Compression, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
};

/// The smallest answer that is worth compressing, in bytes.
const COMPRESSED_BYTES_MIN: u16 = 1024;

/// What a client takes; at least one `Accept-Encoding` header.
pub(crate) struct Encodings(Vec<HeaderValue>);

impl Encodings {
    /// Returns what a request says, if it says anything.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let values: Vec<_> = headers.get_all(ACCEPT_ENCODING).into_iter().cloned().collect();
        (!values.is_empty()).then_some(Self(values))
    }

    /// Returns the answer, compressed if it is large and one of the encodings is known.
    pub(crate) async fn compress(self, response: Response) -> Response {
        let mut asked = Request::new(());
        for value in self.0 {
            asked.headers_mut().append(ACCEPT_ENCODING, value);
        }
        let status = response.status();
        let mut response = Some(response);
        let answered = service_fn(move |_: Request<()>| {
            future::ready(Ok::<_, Infallible>(response.take().unwrap_or_default()))
        });
        // Events are sent one by one, and would wait for one another in a compressor.
        let large = SizeAbove::new(COMPRESSED_BYTES_MIN).and(NotForContentType::SSE);
        let compression =
            Compression::new(answered).quality(CompressionLevel::Fastest).compress_when(large);
        let Ok(mut compressed) = compression.oneshot(asked).await;
        // It gives 406 where no encoding is left; what was done is answered all the same.
        *compressed.status_mut() = status;
        compressed.map(Body::new)
    }
}
