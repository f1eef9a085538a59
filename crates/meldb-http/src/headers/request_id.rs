//! The id of a request, by which a client's report and the logs find each other.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a client.
const BYTES_MAX: usize = 128;

/// Returns the id that the client or a proxy gave, or a new one.
pub(crate) fn of(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID).filter(|value| is_harmless(value.as_bytes()));
    given.cloned().unwrap_or_else(fresh)
}

fn is_harmless(id: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=BYTES_MAX).contains(&id.len()) && id.iter().all(allowed)
}

/// Returns an id that no other request of this process has, and hardly one of another.
fn fresh() -> HeaderValue {
    static BASE: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // An odd multiplier gives each count another number.
    let count = COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let number = BASE.wrapping_add(count);
    let digit = |index: usize| b"0123456789abcdef"[(number >> (60 - 4 * index)) as usize & 15];
    let text: [u8; 16] = std::array::from_fn(digit);
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are a header value")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_harmless_id_is_kept_and_another_replaced() {
        for (given, kept) in [
            ("abc-123_4.5:6", true),
            (&*"x".repeat(128), true),
            (&*"x".repeat(129), false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("${jndi}", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, given.parse().expect("a header value"));
            assert_eq!(of(&headers) == given, kept, "{given:?}");
        }
    }

    #[test]
    fn new_ids_differ() {
        let ids: HashSet<_> = (0..1000).map(|_| fresh()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
