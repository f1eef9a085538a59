//! The body of a request, read in bounded memory and time, and what its type says it is.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, header},
};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::{
    bodies::budget::{Admission, UNCOUNTED_BYTES_MAX, hold},
    error::{Code, HttpError},
};

/// How long, and how many bytes, a body that was refused is read on and thrown away, so that the
/// client gets to see the refusal instead of a reset connection.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 16 << 20;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A whole document, or members to merge: which one, the method says.
    Object,
    /// Members to merge (RFC 7396).
    MergePatch,
    /// Operations (RFC 6902).
    JsonPatch,
}

/// Returns what the body is by its `Content-Type`.
///
/// # Errors
/// 415 for another type, or for an encoded body.
pub(crate) fn form(method: &Method, headers: &HeaderMap) -> Result<Form, HttpError> {
    let media_type = media_type(headers)?;
    let patches = *method == Method::PATCH;
    match media_type.as_deref() {
        None if patches => Ok(Form::MergePatch),
        None | Some("application/json") if !patches => Ok(Form::Object),
        // What PUT takes is a merge patch, whatever it is called.
        Some("application/merge-patch+json") if *method != Method::POST => Ok(Form::MergePatch),
        Some("application/json-patch+json") if patches => Ok(Form::JsonPatch),
        _ if patches => {
            const TYPES: &str = "application/merge-patch+json, application/json-patch+json";
            let message = format!(
                "PATCH takes {TYPES}: say in Content-Type which of them the body is; \
                 PUT merges application/json"
            );
            let accepted = HeaderValue::from_static(TYPES);
            let name = header::HeaderName::from_static("accept-patch");
            Err(HttpError::new(Code::UnsupportedMediaType, message).with_header(name, accepted))
        }
        Some("application/merge-patch+json") => Err(HttpError::new(
            Code::UnsupportedMediaType,
            "POST replaces the document with a body of application/json; PUT and PATCH merge",
        )),
        Some("application/json-patch+json") => Err(HttpError::new(
            Code::UnsupportedMediaType,
            "the body must be application/json; a JSON Patch is sent by PATCH",
        )),
        Some("application/x-ndjson" | "application/jsonl") => Err(HttpError::new(
            Code::UnsupportedMediaType,
            "the body must be application/json, one document; several are sent as a batch: \
             POST /api/v1/provisioning/tenants/{tenantId}:batch",
        )),
        _ => Err(HttpError::new(
            Code::UnsupportedMediaType,
            "the body must be JSON, sent with Content-Type: application/json",
        )),
    }
}

/// Returns the type of a body in lower case, without its parameters; empty for two types at once.
///
/// # Errors
/// 415 for an encoded body.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).into_iter().all(identity) {
        let error = HttpError::new(Code::UnsupportedMediaType, "send the body unencoded");
        return Err(
            error.with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        );
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).into_iter();
    Ok(match (types.next(), types.next()) {
        (None, _) => None,
        (Some(value), None) => Some(essence(value)),
        (Some(_), Some(_)) => Some(String::new()),
    })
}

/// Returns a media type without its parameters, in lower case.
fn essence(value: &HeaderValue) -> String {
    let text = value.to_str().unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The body of a request before it is read, with its limits. One that is not read because the request
/// is refused is thrown away as far as it comes.
#[derive(Debug)]
pub struct RequestBody {
    body: Option<Body>,
    /// The most bytes of any body, if that is set.
    bytes_max: Option<usize>,
    timeout: Duration,
    /// The client sends the body only after `100 Continue` (RFC 9110, section 10.1.1).
    is_awaited: bool,
}

impl RequestBody {
    pub(crate) fn new(
        body: Body,
        headers: &HeaderMap,
        bytes_max: Option<usize>,
        timeout: Duration,
    ) -> Self {
        let is_awaited = headers.contains_key(header::EXPECT);
        Self { body: Some(body), bytes_max, timeout, is_awaited }
    }

    /// Reads the body, of at most `bytes_max` bytes where nothing else is set.
    ///
    /// # Errors
    /// As [`read`].
    pub(crate) async fn read(
        mut self,
        bytes_max: usize,
        admission: &Admission,
    ) -> Result<Bytes, HttpError> {
        let body = self.body.take().unwrap_or_default();
        read(body, self.bytes_max.unwrap_or(bytes_max), self.timeout, admission).await
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) =
            self.body.take().filter(|body| !self.is_awaited && !body.is_end_stream())
            && tokio::runtime::Handle::try_current().is_ok()
        {
            linger(body);
        }
    }
}

/// Reads a body. It counts towards the key's budget for as long as anything refers to its bytes.
///
/// # Errors
/// 413 over `bytes_max`, as soon as that is known; 408 when it takes longer than `timeout`; 400
/// when the connection breaks off; 429 or 503 when it does not fit the budgets.
async fn read(
    mut body: Body,
    bytes_max: usize,
    timeout: Duration,
    admission: &Admission,
) -> Result<Bytes, HttpError> {
    let declared = body.size_hint().lower();
    let too_large = || {
        let message = format!("the body is over the limit of {bytes_max} bytes");
        HttpError::new(Code::PayloadTooLarge, message)
    };
    if declared > bytes_max as u64 {
        linger(body);
        return Err(too_large());
    }
    let collected = collect(&mut body, bytes_max, admission);
    match tokio::time::timeout(timeout, collected).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Broken::Off)) => Err(HttpError::bad_request("the body broke off")),
        Ok(Err(refused)) => {
            linger(body);
            Err(match refused {
                Broken::Refused(error) => error,
                Broken::Off | Broken::TooLarge => too_large(),
            })
        }
        Err(_) => {
            let message = format!("the body took longer than {} s", timeout.as_secs());
            Err(HttpError::new(Code::RequestTimeout, message)
                .with_header(header::CONNECTION, HeaderValue::from_static("close")))
        }
    }
}

/// Why a body was not read to its end.
enum Broken {
    Off,
    TooLarge,
    Refused(HttpError),
}

/// Returns the whole body.
async fn collect(
    body: &mut Body,
    bytes_max: usize,
    admission: &Admission,
) -> Result<Bytes, Broken> {
    // What is declared finds room before its first byte is waited for; what is not, once it turns out
    // to be large.
    let hint = body.size_hint();
    let declared = usize::try_from(hint.exact().unwrap_or(0)).unwrap_or(usize::MAX);
    let mut room = admission.reserve_body(declared).await.map_err(Broken::Refused)?;
    // A body in one piece is not copied. One in many is gathered in one buffer: to keep the pieces
    // would let a client that sends single bytes take up many times the limit.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Broken::Off)?.into_data() else { continue };
        let length = first.len() + rest.len() + data.len();
        if length > bytes_max {
            return Err(Broken::TooLarge);
        }
        if length > UNCOUNTED_BYTES_MAX.max(declared) && room.is_none() {
            room = admission.reserve_body(bytes_max).await.map_err(Broken::Refused)?;
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(declared.max(length));
            rest.extend_from_slice(&first);
            first = Bytes::from_static(&[]);
        }
        rest.extend_from_slice(&data);
    }
    let whole = if rest.is_empty() { first } else { rest.freeze() };
    Ok(match room {
        Some(room) => hold(room, whole),
        None => whole,
    })
}

fn linger(mut body: Body) {
    tokio::spawn(async move {
        let drain = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > LINGER_BYTES_MAX {
                    break;
                }
            }
        };
        tokio::time::timeout(LINGER, drain).await.ok();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_of(method: &Method, content_type: Option<&str>) -> Result<Form, Code> {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(header::CONTENT_TYPE, value.parse().expect("a header value"));
        }
        form(method, &headers).map_err(|error| error.code)
    }

    #[test]
    fn the_type_says_what_a_body_is() {
        let other = Err(Code::UnsupportedMediaType);
        for (content_type, put, patch) in [
            (None, Ok(Form::Object), Ok(Form::MergePatch)),
            (Some("application/json"), Ok(Form::Object), other),
            (Some("Application/JSON; charset=utf-8"), Ok(Form::Object), other),
            (Some("application/merge-patch+json"), Ok(Form::MergePatch), Ok(Form::MergePatch)),
            (Some("application/json-patch+json;x=y"), other, Ok(Form::JsonPatch)),
            (Some("text/plain"), other, other),
            (Some("application/jsonx"), other, other),
            (Some(""), other, other),
        ] {
            assert_eq!(form_of(&Method::PUT, content_type), put, "{content_type:?}");
            let post = if put == Ok(Form::Object) { put } else { other };
            assert_eq!(form_of(&Method::POST, content_type), post, "{content_type:?}");
            assert_eq!(form_of(&Method::PATCH, content_type), patch, "{content_type:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_taken_at_the_limit_and_refused_above_it() {
        let chunks = |sizes: &[usize]| {
            let chunks: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(index, size)| {
                    let letter = b'a' + u8::try_from(index).expect("a few chunks");
                    Ok::<_, std::io::Error>(Bytes::from(vec![letter; *size]))
                })
                .collect();
            Body::from_stream(futures_util::stream::iter(chunks))
        };
        let timeout = Duration::from_secs(5);
        for sizes in [&[][..], &[9], &[10], &[5, 5], &[0, 1, 9], &[1; 10]] {
            let bytes = read(chunks(sizes), 10, timeout, &Admission::default())
                .await
                .expect("within the limit");
            assert_eq!(bytes.len(), sizes.iter().sum::<usize>());
            assert!(bytes.is_sorted(), "the chunks are out of order");
        }
        for sizes in [&[11][..], &[5, 6], &[1; 11]] {
            let error = read(chunks(sizes), 10, timeout, &Admission::default())
                .await
                .expect_err("over the limit");
            assert_eq!(error.code, Code::PayloadTooLarge);
        }
        let error = read(Body::from("01234567890"), 10, timeout, &Admission::default())
            .await
            .expect_err("over the limit");
        assert_eq!(error.code, Code::PayloadTooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let never =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let error = read(never, 10, Duration::from_secs(30), &Admission::default())
            .await
            .expect_err("never comes");
        assert_eq!(error.code, Code::RequestTimeout);
    }
}
