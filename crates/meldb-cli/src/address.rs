//! Where a command's document lives: `TENANT`, or `TENANT/COLLECTION/ID` with the members of a
//! sub-document behind it.

use std::{fmt, str::FromStr};

use meldb::{CollectionName, DocId, DocumentKey, DocumentPath, TenantId};
use meldb_http::{Moment, TimeError};

/// A document, or a sub-document in it, as commands name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(DocumentPath);

/// The sub-document that the HTTP contract has a route for.
pub(crate) const VERSIONS_CURRENT: [&str; 2] = ["versions", "current"];

impl Address {
    /// Returns the address of a document of a tenant.
    pub fn new(tenant: TenantId, key: DocumentKey) -> Self {
        Self(DocumentPath::new(tenant, key))
    }

    /// Returns the path in a store.
    pub fn path(&self) -> &DocumentPath {
        &self.0
    }

    /// Returns whether it is of a sub-document.
    pub(crate) fn is_inside(&self) -> bool {
        !self.0.members().is_empty()
    }

    /// Returns the address of the whole document.
    pub(crate) fn whole(&self) -> Self {
        Self::new(self.0.tenant().clone(), self.0.key().clone())
    }

    /// Returns the address of the object at the end of these names in it.
    pub(crate) fn at<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self(self.0.at(names))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut segments = text.split('/');
        let tenant = segments.next().unwrap_or_default();
        let tenant = TenantId::parse(tenant).map_err(|error| error.to_string())?;
        let Some(collection) = segments.next() else {
            return Ok(Self::new(tenant, DocumentKey::Tenant));
        };
        let collection = CollectionName::parse(collection).map_err(|error| error.to_string())?;
        let Some(id) = segments.next() else {
            return Err(format!(
                "{text} names a collection; write {text}/ID for a document of it, or use `meldb list`"
            ));
        };
        let id = DocId::parse(id).map_err(|error| error.to_string())?;
        let sub: Vec<String> = segments.map(str::to_owned).collect();
        if sub.iter().any(String::is_empty) {
            return Err(format!("{text} has an empty segment"));
        }
        Ok(Self::new(tenant, DocumentKey::Member { collection, id }).at(sub))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A document at a moment: `TENANT/COLLECTION/ID@REVISION`, or a time in the place of the revision. An id may hold an `@`
/// itself: the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionAddress {
    /// The document.
    pub address: Address,
    /// The moment.
    pub moment: Moment,
}

impl FromStr for VersionAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((address, moment)) = text.rsplit_once('@') else {
            return Err(format!(
                "{text} names no revision; write {text}@REVISION: `meldb log {text}` lists them"
            ));
        };
        Ok(Self {
            address: address.parse()?,
            moment: moment.parse().map_err(|error: TimeError| error.to_string())?,
        })
    }
}

/// A collection of a tenant: `TENANT/COLLECTION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionAddress {
    /// The tenant.
    pub tenant: TenantId,
    /// The collection.
    pub collection: CollectionName,
}

/// What `meldb list` lists: `TENANT`, its collections, or `TENANT/COLLECTION`, its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListAddress {
    /// The collections of a tenant.
    Tenant(TenantId),
    /// The documents of a collection.
    Collection(CollectionAddress),
}

/// What a command writes to: a document, or `TENANT/COLLECTION`, documents of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteAddress {
    /// A document, or a sub-document in it.
    Document(Address),
    /// Documents of a collection.
    Collection(CollectionAddress),
}

impl FromStr for WriteAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split('/').count() {
            2 => text.parse().map(Self::Collection),
            _ => text.parse().map(Self::Document),
        }
    }
}

impl FromStr for ListAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains('/') {
            true => text.parse().map(Self::Collection),
            false => TenantId::parse(text).map(Self::Tenant).map_err(|error| error.to_string()),
        }
    }
}

impl FromStr for CollectionAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((tenant, collection)) = text.split_once('/') else {
            return Err(format!("{text} names a tenant; write {text}/COLLECTION"));
        };
        Ok(Self {
            tenant: TenantId::parse(tenant).map_err(|error| error.to_string())?,
            collection: CollectionName::parse(collection).map_err(|error| error.to_string())?,
        })
    }
}

impl fmt::Display for CollectionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.collection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["acme", "acme/users/ada", "acme/bots/hal/versions/current"] {
            let address: Address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn the_last_at_sign_of_a_version_counts() {
        for (text, address, moment) in [
            ("acme/users/ada@12", "acme/users/ada", Moment::Revision(meldb::Revision::new(12))),
            (
                "acme/users/a@b.example@7",
                "acme/users/a@b.example",
                Moment::Revision(meldb::Revision::new(7)),
            ),
            ("acme@2026-01-31T12:00:00Z", "acme", Moment::Time(1_769_860_800_000)),
        ] {
            let version: VersionAddress = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((version.address.to_string().as_str(), version.moment), (address, moment));
        }
        for (text, reason) in [
            ("acme/users/ada", "@REVISION"),
            ("acme/users/a@b.example", "no moment"),
            ("acme/users/ada@1769860800000", "looks like a time"),
            ("acme/users@1", "names a collection"),
        ] {
            let error = text.parse::<VersionAddress>().err().unwrap_or_default();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "it is empty"),
            ("acme/users", "names a collection"),
            ("acme/users/", "it is empty"),
            ("acme/users/a b", "are allowed"),
            ("acme/users/ada//x", "empty segment"),
            ("$system/keys/a", "are allowed"),
            ("-a/keys/a", "letter or a digit"),
        ] {
            let error = text.parse::<Address>().err().unwrap_or_default();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
