//! Names of tenants, collections, documents and actors, each parsed once.
//!
//! A name that exists is valid: the only ways to make one are `parse`, `TryFrom` and `FromStr`.
//! No valid name holds a NUL byte, a slash or anything that is not ASCII (an [`Actor`] may), which
//! is what lets keys separate them with a NUL and URLs with a slash.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::limits::{
    ACTOR_BYTES_MAX, COLLECTION_NAME_BYTES_MAX, DOC_ID_BYTES_MAX, TENANT_ID_BYTES_MAX,
};

/// Which kind of name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameKind {
    /// A [`TenantId`].
    TenantId,
    /// A [`CollectionName`].
    CollectionName,
    /// A [`DocId`].
    DocId,
    /// An [`Actor`].
    Actor,
    /// An [`IdempotencyKey`](crate::IdempotencyKey).
    IdempotencyKey,
}

/// A name that breaks the rules of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not {}: {reason}", kind.with_article())]
#[non_exhaustive]
pub struct NameError {
    /// What it should have been.
    pub kind: NameKind,
    /// The name, cut off after 300 characters.
    pub name: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl NameError {
    pub(super) fn new(kind: NameKind, name: &str, reason: &'static str) -> Self {
        Self { kind, name: name.chars().take(300).collect(), reason }
    }
}

impl NameKind {
    /// Returns the kind with its article, for sentences.
    pub(crate) fn with_article(self) -> String {
        let article = if matches!(self, Self::Actor | Self::IdempotencyKey) { "an" } else { "a" };
        format!("{article} {self}")
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TenantId => "tenant id",
            Self::CollectionName => "collection name",
            Self::DocId => "document id",
            Self::Actor => "actor",
            Self::IdempotencyKey => "idempotency key",
        })
    }
}

/// Returns why `name` is no tenant id or collection name, if it is none.
fn flaw_of_simple_name(name: &str, bytes_max: usize) -> Option<&'static str> {
    let bytes = name.as_bytes();
    let Some(first) = bytes.first() else {
        return Some("it is empty");
    };
    if bytes.len() > bytes_max {
        return Some("it is longer than 64 bytes");
    }
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !bytes.iter().all(allowed) {
        return Some("only A-Z a-z 0-9 _ - are allowed");
    }
    if !first.is_ascii_alphanumeric() {
        return Some("it must start with a letter or a digit");
    }
    None
}

fn flaw_of_tenant_id(name: &str) -> Option<&'static str> {
    flaw_of_simple_name(name, TENANT_ID_BYTES_MAX)
}

fn flaw_of_collection_name(name: &str) -> Option<&'static str> {
    flaw_of_simple_name(name, COLLECTION_NAME_BYTES_MAX)
}

/// Which bytes a document id may hold; a table, because lists check an id for every document.
const ALLOWED_IN_DOC_ID: [bool; 256] = {
    let mut allowed = [false; 256];
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~@:+=,!$-";
    let mut index = 0;
    while index < bytes.len() {
        allowed[bytes[index] as usize] = true;
        index += 1;
    }
    allowed
};

fn flaw_of_doc_id(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > DOC_ID_BYTES_MAX {
        return Some("it is longer than 255 bytes");
    }
    if matches!(name, "." | "..") {
        return Some("`.` and `..` are path segments, not names");
    }
    if name.starts_with("__") {
        return Some("ids that start with `__` are reserved");
    }
    if !name.bytes().all(|byte| ALLOWED_IN_DOC_ID[usize::from(byte)]) {
        return Some("only A-Z a-z 0-9 . _ ~ @ : + = , ! $ - are allowed");
    }
    None
}

fn flaw_of_actor(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > ACTOR_BYTES_MAX {
        return Some("it is longer than 255 bytes");
    }
    if name.chars().any(char::is_control) {
        return Some("control characters are not allowed");
    }
    None
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $flaw:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// The name breaks a rule of its kind.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                match $flaw(name) {
                    None => Ok(Self(name.into())),
                    Some(reason) => Err(NameError::new(NameKind::$name, name, reason)),
                }
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::parse(name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::parse(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::parse(&name)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = NameError;

            fn try_from(name: &String) -> Result<Self, NameError> {
                Self::parse(name)
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> Self {
                name.clone()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }
    };
}

name_type! {
    /// The name of a tenant: 1–64 of `A–Z a–z 0–9 _ -`, first a letter or digit.
    TenantId, flaw_of_tenant_id
}

name_type! {
    /// The name of a collection: 1–64 of `A–Z a–z 0–9 _ -`, first a letter or digit.
    CollectionName, flaw_of_collection_name
}

name_type! {
    /// The name of a document in its collection: 1–255 of `A–Z a–z 0–9 . _ ~ @ : + = , ! $ -`,
    /// neither `.` nor `..`, not starting with `__`.
    ///
    /// Ids are ordered by their bytes; a list comes in that order.
    DocId, flaw_of_doc_id
}

name_type! {
    /// Who makes a write: stamped on the document as `updatedBy`.
    ///
    /// Any text of 1–255 bytes without control characters: a service, a user, a key's name.
    Actor, flaw_of_actor
}

/// The name of the store's own tenant.
const SYSTEM: &str = "$system";
/// What the name of a tenant stands behind where its receipts are kept.
const RECEIPTS: &str = "$receipts:";

impl TenantId {
    /// Returns the store's own tenant, whose name no parser accepts.
    pub(crate) fn system() -> Self {
        Self(SYSTEM.into())
    }

    /// Returns the tenant in which the store keeps the receipts of this one's requests with idempotency
    /// keys; no parser accepts its name.
    pub(crate) fn receipts(&self) -> Self {
        Self(format!("{RECEIPTS}{self}").into())
    }

    /// Returns the name of the tenant whose documents it has, or whose receipts.
    pub(crate) fn owner(&self) -> &str {
        self.0.strip_prefix(RECEIPTS).unwrap_or(&self.0)
    }

    /// Returns a name before those of all tenants of [`receipts`](Self::receipts).
    pub(crate) fn before_receipts() -> Self {
        Self(RECEIPTS.into())
    }

    /// Returns whether it is a tenant of [`receipts`](Self::receipts).
    pub(crate) fn is_of_receipts(&self) -> bool {
        self.0.starts_with(RECEIPTS)
    }

    /// Returns whether the store keeps it for itself.
    pub(crate) fn is_internal(&self) -> bool {
        self.0.starts_with('$')
    }

    /// Returns the tenant that a stored name stands for; `None` if no tenant has that name.
    pub(crate) fn stored(name: &str) -> Option<Self> {
        let named = |name: &str| match name {
            SYSTEM => Some(Self::system()),
            name => Self::parse(name).ok(),
        };
        match name.strip_prefix(RECEIPTS) {
            Some(of) => named(of).map(|tenant| tenant.receipts()),
            None => named(name),
        }
    }
}
