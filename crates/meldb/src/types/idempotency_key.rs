//! The key that makes a retry the same request.

use std::fmt;

use twox_hash::XxHash3_64;

use super::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use super::names::{NameError, NameKind};

/// A name for a request that its sender may have to retry: a write or a batch with a key is made once,
/// however often it is sent.
///
/// Its outcome is stored with it, in the same atomic step, and is returned to every retry for [a day](crate::Builder::idempotency_retention), also after a restart. A request that
/// was refused, or that changed nothing, has stored nothing and is made when it is repeated. A key
/// counts within its tenant; a service that has several clients puts the client's name into it.
///
/// ```
/// use meldb::{IdempotencyKey, Store};
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let orders = store.tenant("tenant-alpha")?.collection("orders")?;
/// let order = || orders.put("order-7", json!({"item": "tea"}));
///
/// let first = order().idempotency_key(IdempotencyKey::parse("client-3/request-1")?).commit("shop")?;
/// let again = order().idempotency_key(IdempotencyKey::parse("client-3/request-1")?).commit("shop")?;
/// assert_eq!((again.document, again.repeated), (first.document, true));
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    text: String,
    fingerprint: Option<Fingerprint>,
}

impl IdempotencyKey {
    /// Parses a key: any text of 1 to 512 bytes without control characters.
    ///
    /// # Errors
    /// The key breaks one of these rules.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let reason = match text {
            "" => Some("it is empty"),
            _ if text.len() > IDEMPOTENCY_KEY_BYTES_MAX => Some("it is longer than 512 bytes"),
            _ if text.chars().any(char::is_control) => Some("control characters are not allowed"),
            _ => None,
        };
        match reason {
            None => Ok(Self { text: text.to_owned(), fingerprint: None }),
            Some(reason) => Err(NameError::new(NameKind::IdempotencyKey, text, reason)),
        }
    }

    /// Says what makes two requests the same request, in place of what the write describes: their
    /// parts are equal. For an adapter that knows the request as it was sent.
    #[must_use]
    pub fn of_request(mut self, parts: &[&[u8]]) -> Self {
        let mut fingerprint = Fingerprint::default();
        parts.iter().for_each(|part| fingerprint.add(part));
        self.fingerprint = Some(fingerprint);
        self
    }

    /// Returns the key, and what makes two requests the same if that [was said](Self::of_request).
    pub(crate) fn into_parts(self) -> (String, Option<Fingerprint>) {
        (self.text, self.fingerprint)
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// What is kept of a request to tell it from another one with the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64, u64);

impl Fingerprint {
    /// Takes in the next part of the request.
    pub(crate) fn add(&mut self, part: &[u8]) {
        self.0 = XxHash3_64::oneshot_with_seed(self.0 ^ part.len() as u64, part);
        self.1 = XxHash3_64::oneshot_with_seed(!self.1 ^ part.len() as u64, part);
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_any_short_text() {
        for text in ["a", "k-1/\u{e9}", &"x".repeat(IDEMPOTENCY_KEY_BYTES_MAX)] {
            assert_eq!(IdempotencyKey::parse(text).expect("a key").as_str(), text);
        }
        for text in ["", "a\nb", "\u{0}", &"x".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1)] {
            assert!(IdempotencyKey::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_fingerprint_tells_where_parts_end() {
        let of = |parts: &[&[u8]]| {
            let mut fingerprint = Fingerprint::default();
            parts.iter().for_each(|part| fingerprint.add(part));
            fingerprint.to_string()
        };
        assert_eq!(of(&[b"a", b"b"]), of(&[b"a", b"b"]));
        for other in [&[&b"ab"[..]][..], &[b"b", b"a"], &[b"a", b"b", b""], &[b"", b"a", b"b"]] {
            assert_ne!(of(&[b"a", b"b"]), of(other), "{other:?}");
        }
        assert_eq!(of(&[b"a"]).len(), 32);
    }
}
