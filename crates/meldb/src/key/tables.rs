//! The keys of tables behind a log of merges.
//!
//! ```text
//! changes     'c' tenant 00 revision (u64, big-endian)
//! expiries    'e' time of expiry (u64, big-endian) tenant 00 revision (u64, big-endian)
//! heads       'n' tenant 00
//! tombstones  't' time of the delete (u64, big-endian) tenant 00 revision (u64, big-endian)
//! deleted     'x' tenant 00 collection 00 id        the rows of deleted documents
//! documents   'z' tenant 00 collection 00 id        a tenant's own document: 'z' tenant 00 00
//! the log's sequence number up to which all is contained      "~log"
//! ```
//!
//! Deleted documents are apart from the others, so that a list does not walk over them. The spaces are in the
//! order in which a checkpoint writes them: changes, what else follows from documents, and documents last, as
//! they are in memory.

use std::ops::Bound;

use super::{SEPARATOR, tenant_prefix};
pub(crate) use super::{
    change, changes_after, expiries_until, id_of_document, revision_of_change, tenant_of_note,
    tombstones_before,
};
use crate::{
    engine::kv::KeyRange,
    names::{CollectionName, DocId, DocumentKey, Revision, TenantId},
};

const DOCUMENTS: u8 = b'z';
const DELETED: u8 = b'x';
const HEADS: u8 = b'n';

/// The key of the log's sequence number up to which the tables contain everything: the last key of all.
pub(crate) const CONTAINED: &[u8] = b"~log";

/// Returns the key of a document.
pub(crate) fn document(tenant: &TenantId, key: &DocumentKey) -> Vec<u8> {
    in_space(DOCUMENTS, super::document(tenant, key))
}

/// Returns the key of a deleted document's row, given the document's key.
pub(crate) fn deleted(document: &[u8]) -> Vec<u8> {
    in_space(DELETED, document.to_vec())
}

/// Returns the keys of the documents of `collection` whose ids come after `after`.
pub(crate) fn documents_after(
    tenant: &TenantId,
    collection: &CollectionName,
    after: Option<&DocId>,
) -> KeyRange {
    let (start, end) = super::documents_after(tenant, collection, after);
    let moved = |key| in_space(DOCUMENTS, key);
    (start.map(moved), end.map(moved))
}

/// Returns the key of where a tenant stands.
pub(crate) fn head(tenant: &TenantId) -> Vec<u8> {
    tenant_prefix(HEADS, tenant, 0)
}

/// Returns the keys of where tenants stand whose names come after `after`.
pub(crate) fn heads_after(after: Option<&TenantId>) -> KeyRange {
    let start = after.map_or(Bound::Included(vec![HEADS]), |after| Bound::Excluded(head(after)));
    (start, Bound::Excluded(vec![HEADS + 1]))
}

/// Returns the tenant of a key of [`heads_after`].
pub(crate) fn tenant_of_head(key: &[u8]) -> Option<TenantId> {
    let name = key.get(1..)?.strip_suffix(&[SEPARATOR])?;
    TenantId::stored(std::str::from_utf8(name).ok()?)
}

/// Returns the key of the change at `revision` of the tenant of the document at `document`.
pub(crate) fn change_of(document: &[u8], revision: Revision) -> Vec<u8> {
    of_tenant_of(super::CHANGES, &[], document, revision)
}

/// Returns the key that notes when the document at `document` was deleted.
pub(crate) fn tombstone_of(document: &[u8], deleted_ms: u64, revision: Revision) -> Vec<u8> {
    of_tenant_of(super::TOMBSTONES, &deleted_ms.to_be_bytes(), document, revision)
}

/// Returns the key that notes when the document at `document` expires.
pub(crate) fn expiry_of(document: &[u8], expires_ms: u64, revision: Revision) -> Vec<u8> {
    of_tenant_of(super::EXPIRIES, &expires_ms.to_be_bytes(), document, revision)
}

/// What a key leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A document's row.
    Document(TenantId, DocumentKey),
    /// A deleted document's row.
    Deleted(TenantId, DocumentKey),
    /// Where a tenant stands.
    Head(TenantId),
    /// An entry of a change sequence.
    Change(TenantId, Revision),
    /// None of these.
    Other,
}

/// Returns what a stored key leads to; `None` if no version of this crate has written it.
pub(crate) fn parse(key: &[u8]) -> Option<Key> {
    let (space, rest) = key.split_first()?;
    match *space {
        HEADS => tenant_of_head(key).map(Key::Head),
        DOCUMENTS => super::parse_document(rest).map(|(tenant, key)| Key::Document(tenant, key)),
        DELETED => super::parse_document(rest).map(|(tenant, key)| Key::Deleted(tenant, key)),
        super::CHANGES => {
            super::parse_change(rest).map(|(tenant, revision)| Key::Change(tenant, revision))
        }
        _ => Some(Key::Other),
    }
}

fn in_space(space: u8, mut key: Vec<u8>) -> Vec<u8> {
    key[0] = space;
    key
}

/// Returns a key of a revision of the tenant of the document at `document`.
fn of_tenant_of(space: u8, time: &[u8], document: &[u8], revision: Revision) -> Vec<u8> {
    let name = &document[1..];
    let end = name.iter().position(|byte| *byte == SEPARATOR).map_or(name.len(), |end| end + 1);
    let mut bytes = Vec::with_capacity(1 + time.len() + end + 8);
    bytes.push(space);
    bytes.extend_from_slice(time);
    bytes.extend_from_slice(&name[..end]);
    bytes.extend_from_slice(&revision.get().to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use proptest::prelude::*;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a tenant id")
    }

    fn member(collection: &str, id: &str) -> DocumentKey {
        DocumentKey::Member {
            collection: CollectionName::parse(collection).expect("a collection name"),
            id: DocId::parse(id).expect("a document id"),
        }
    }

    proptest! {
        #[test]
        fn a_collection_range_holds_its_documents_and_no_others(
            own in ("[ab]{1,3}", "[ab]{1,3}"), other in ("[ab]{1,3}", "[ab]{1,3}"),
            after in prop::option::of("[ab!~]{1,3}"), id in "[ab!~]{1,3}",
        ) {
            let name = CollectionName::parse(&own.1).expect("a collection name");
            let cursor = after.as_deref().map(|id| DocId::parse(id).expect("a document id"));
            let range = documents_after(&tenant(&own.0), &name, cursor.as_ref());
            let key = document(&tenant(&other.0), &member(&other.1, &id));
            let is_behind = after.is_none_or(|after| id > after);
            prop_assert_eq!(range.contains(&key), own == other && is_behind);
            prop_assert!(!range.contains(&deleted(&key)));
            prop_assert_eq!(id_of_document(&key).map(String::from), Some(id));
        }

        #[test]
        fn a_checkpoint_writes_in_the_order_of_keys(
            name in "[ab]{1,3}", id in "[ab]{1,3}", time_ms: u64, revision: u64,
        ) {
            let (of, revision) = (tenant(&name), Revision::new(revision));
            let key = document(&of, &member("users", &id));
            let change_key = change_of(&key, revision);
            prop_assert_eq!(&change_key, &change(&of, revision));
            let tombstone = tombstone_of(&key, time_ms, revision);
            prop_assert_eq!(&tombstone, &super::super::tombstone(time_ms, &of, revision));
            let expiry = expiry_of(&key, time_ms, revision);
            prop_assert_eq!(&expiry, &super::super::expiry(time_ms, &of, revision));
            for other in [tombstone, expiry, deleted(&key), head(&of)] {
                prop_assert!(change_key < other && other < key, "{:?}", other);
            }
            prop_assert!(&key[..] < CONTAINED);
        }

        #[test]
        fn a_key_that_is_read_is_written_as_the_same_bytes(
            bytes in "[zcxny]([a$]|system){1,3}(\0([ab]{0,2})){0,3}.{0,9}",
        ) {
            match parse(bytes.as_bytes()) {
                Some(Key::Document(tenant, key)) => {
                    prop_assert_eq!(document(&tenant, &key), bytes.as_bytes());
                }
                Some(Key::Deleted(tenant, key)) => {
                    prop_assert_eq!(deleted(&document(&tenant, &key)), bytes.as_bytes());
                }
                Some(Key::Change(tenant, revision)) => {
                    prop_assert_eq!(change(&tenant, revision), bytes.as_bytes());
                }
                Some(Key::Head(tenant)) => prop_assert_eq!(head(&tenant), bytes.as_bytes()),
                Some(Key::Other) => prop_assert!(bytes.starts_with('y')),
                None => {}
            }
        }

        #[test]
        fn tenants_are_walked_in_order(one in "[ab-]{0,2}", other in "[ab-]{0,2}") {
            let [one, other] = [one, other].map(|name| tenant(&format!("a{name}")));
            let key = head(&other);
            prop_assert_eq!(tenant_of_head(&key), Some(other.clone()));
            prop_assert_eq!(heads_after(Some(&one)).contains(&key), other.as_str() > one.as_str());
            prop_assert!(heads_after(None).contains(&key));
        }
    }
}
