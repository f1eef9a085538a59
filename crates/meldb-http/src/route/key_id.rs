//! The id of an API key, as addresses have it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The public name of one API key, by which it is listed, logged and revoked: 16 hexadecimal digits
/// in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// A text is no key id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a key id: it has {} hexadecimal digits", KeyId::DIGITS)]
pub struct KeyIdError {
    text: String,
}

impl KeyId {
    /// How many digits an id has.
    pub const DIGITS: usize = 16;

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == Self::DIGITS && text.bytes().all(hexadecimal) {
            return Ok(Self(text.to_owned()));
        }
        Err(KeyIdError { text: text.chars().take(100).collect() })
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
