//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a write that may be sent again.

use std::collections::HashSet;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::Response,
};
use meldb::IdempotencyKey;
use parking_lot::Mutex;

use crate::{
    error::{Code, HttpError},
    query,
};

/// Who makes the writes of a local operator, percent-encoded; a header of ours.
pub const ACTOR: HeaderName = HeaderName::from_static("meldb-actor");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// That the answer is that of the first request; a header of ours.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key that a client may choose, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The headers that decide what a write does and how it is answered.
const DECIDING: [&str; 5] =
    ["content-type", "if-match", "if-none-match", "if-unchanged-since-revision", "prefer"];

/// The keys of the requests that are being answered.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashSet<String>>);

/// A request's hold on its key, until it has been answered.
pub(crate) struct Claim<'a> {
    in_flight: &'a InFlight,
    key: String,
}

impl InFlight {
    /// Takes hold of the key that a request names, if it names one. It belongs to `owner`: two clients
    /// may choose the same.
    ///
    /// # Errors
    /// 400 for a malformed key, 409 while another request with it is being answered.
    pub(crate) fn claim(
        &self,
        headers: &HeaderMap,
        owner: &str,
    ) -> Result<Option<Claim<'_>>, HttpError> {
        let mut values = headers.get_all(&IDEMPOTENCY_KEY).into_iter();
        let (Some(value), second) = (values.next(), values.next()) else { return Ok(None) };
        let named = parse(value).filter(|_| second.is_none()).ok_or_else(malformed)?;
        let key = format!("{owner}/{named}");
        if !self.0.lock().insert(key.clone()) {
            let message = "a request with this Idempotency-Key is being answered; repeat it later";
            return Err(HttpError::new(Code::Conflict, message));
        }
        Ok(Some(Claim { in_flight: self, key }))
    }
}

impl Claim<'_> {
    /// Returns the key with what distinguishes this request from another one that names it.
    pub(crate) fn key(&self, request: &Parts, text: &[u8]) -> Result<IdempotencyKey, HttpError> {
        let query = query::without_token(request.uri.query());
        let mut parts = vec![
            request.method.as_str().as_bytes(),
            request.uri.path().as_bytes(),
            query.as_bytes(),
        ];
        for name in DECIDING {
            parts.extend(request.headers.get_all(name).into_iter().map(HeaderValue::as_bytes));
            parts.push(name.as_bytes());
        }
        parts.extend(request.headers.get_all(ACTOR).into_iter().map(HeaderValue::as_bytes));
        parts.push(text);
        Ok(IdempotencyKey::parse(&self.key)?.of_request(&parts))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.in_flight.0.lock().remove(&self.key);
    }
}

/// Says that the answer is that of an earlier request, if it is.
pub(crate) fn replayed(response: &mut Response, repeated: bool) {
    if repeated {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// Reads a key: a string of RFC 9651, or, as many clients send it, the same without its quotes.
fn parse(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?.trim();
    let key = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(quoted) => unquote(quoted)?,
    };
    (1..=KEY_BYTES_MAX).contains(&key.len()).then_some(key)
}

/// Returns what stands before the closing quote, which must be the end.
fn unquote(quoted: &str) -> Option<String> {
    let mut key = String::with_capacity(quoted.len());
    let mut letters = quoted.chars();
    loop {
        match letters.next()? {
            '"' => return letters.next().is_none().then_some(key),
            '\\' => key.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            letter => key.push(letter),
        }
    }
}

fn malformed() -> HttpError {
    HttpError::bad_request(format!(
        "Idempotency-Key must be given once, a string of 1 to {KEY_BYTES_MAX} characters"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_with_or_without_quotes() {
        let longest = "x".repeat(KEY_BYTES_MAX);
        for (value, expected) in [
            ("\"8e03978e-40d5\"", Some("8e03978e-40d5")),
            ("8e03978e-40d5", Some("8e03978e-40d5")),
            (" \"a b\" ", Some("a b")),
            (r#""a\"b\\c""#, Some(r#"a"b\c"#)),
            (&longest, Some(&longest)),
            ("", None),
            ("\"\"", None),
            ("\"", None),
            ("\"a", None),
            ("\"a\" b", None),
            ("\"a\\n\"", None),
            (&format!("{longest}x"), None),
        ] {
            let value = HeaderValue::from_str(value).expect("a header value");
            assert_eq!(parse(&value).as_deref(), expected, "{value:?}");
        }
    }
}
