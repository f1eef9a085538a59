//! The bytes of every key, in one place.
//!
//! ```text
//! changes     'c' tenant 00 revision (u64, big-endian)
//! indexes     'd' tenant 00 number (u64, big-endian)
//! expiries    'e' time of expiry (u64, big-endian) tenant 00 revision (u64, big-endian)
//! entries     'i' tenant 00 number of the index (u64, big-endian) values id
//! history     'l' tenant 00 revision (u64, big-endian)      at revision 0 the horizon of history
//! heads       'n' tenant 00
//! tombstones  't' time of the delete (u64, big-endian) tenant 00 revision (u64, big-endian)
//! deleted     'x' tenant 00 collection 00 id        the rows of deleted documents
//! documents   'z' tenant 00 collection 00 id        a tenant's own document: 'z' tenant 00 00
//! the log's sequence number up to which all is contained      "~log"
//! ```
//!
//! Names are ASCII without NUL, so the separator orders a shorter name before a longer one that
//! starts with it, no name can run into the next part, and every tenant, and every collection in
//! it, is one contiguous range. Deleted documents are apart from the others, so that a list does not walk over them. The
//! spaces are in the order in which a checkpoint writes them: changes, what else follows from documents, and documents last,
//! as they are in memory. `docs/format.md` has the same in tables.

use std::ops::Bound;

use super::KeyRange;
use crate::types::{
    CollectionName, DocId, DocumentKey, IdRange, Revision, TenantId,
    limits::COLLECTION_NAME_BYTES_MAX,
};

const CHANGES: u8 = b'c';
const INDEXES: u8 = b'd';
const EXPIRIES: u8 = b'e';
const ENTRIES: u8 = b'i';
const HISTORY: u8 = b'l';
const HEADS: u8 = b'n';
const TOMBSTONES: u8 = b't';
const DELETED: u8 = b'x';
const DOCUMENTS: u8 = b'z';
const SEPARATOR: u8 = 0;

/// The key of the log's sequence number up to which the tables contain everything: the last key of all.
pub(crate) const CONTAINED: &[u8] = b"~log";

/// Returns the key of a document.
pub(crate) fn document(tenant: &TenantId, key: &DocumentKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_document(tenant, key, &mut bytes);
    bytes
}

/// Puts the key of a document in the place of what is in `bytes`.
pub(crate) fn write_document(tenant: &TenantId, key: &DocumentKey, bytes: &mut Vec<u8>) {
    let (collection, id) = match key {
        DocumentKey::Tenant => ("", ""),
        DocumentKey::Member { collection, id } => (collection.as_str(), id.as_str()),
    };
    let tenant = tenant.as_str();
    bytes.clear();
    bytes.reserve_exact(3 + tenant.len() + collection.len() + id.len());
    bytes.push(DOCUMENTS);
    for name in [tenant, collection] {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(SEPARATOR);
    }
    bytes.extend_from_slice(id.as_bytes());
}

/// Returns the key of a deleted document's row, given the document's key.
pub(crate) fn deleted(document: &[u8]) -> Vec<u8> {
    let mut key = document.to_vec();
    key[0] = DELETED;
    key
}

/// The keys between which the documents of a part of a collection are. Neither is one of a document.
#[derive(Debug)]
pub(crate) struct DocumentKeys {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    /// Where ids begin in these keys.
    pub(crate) id_at: usize,
}

/// Returns the keys between which the documents of `collection` are whose ids are in a range.
pub(crate) fn documents_in(
    tenant: &TenantId,
    collection: &CollectionName,
    range: &IdRange,
) -> DocumentKeys {
    let mut start = tenant_prefix(DOCUMENTS, tenant, collection.as_str().len() + 1);
    start.extend_from_slice(collection.as_str().as_bytes());
    start.push(SEPARATOR);
    let (mut end, id_at) = (start.clone(), start.len());
    start.extend_from_slice(&range.bytes_before());
    match range.bytes_behind() {
        Some(behind) => end.extend_from_slice(&behind),
        None => end[id_at - 1] = SEPARATOR + 1,
    }
    DocumentKeys { start, end, id_at }
}

/// Returns the keys between which the documents are of a tenant's collections whose names come after `after`. The first
/// one may be in front of the tenant's own document.
pub(crate) fn collections_after(
    tenant: &TenantId,
    after: Option<&CollectionName>,
) -> (Vec<u8>, Vec<u8>) {
    let mut start = tenant_prefix(DOCUMENTS, tenant, COLLECTION_NAME_BYTES_MAX + 1);
    let mut end = start.clone();
    // The tenant's own document is the one of the collection without a name.
    start.extend_from_slice(after.map_or("", CollectionName::as_str).as_bytes());
    start.push(SEPARATOR + 1);
    let last = end.len() - 1;
    end[last] = SEPARATOR + 1;
    (start, end)
}

/// Returns the id that a key of [`documents_in`] ends in.
pub(crate) fn id_of_document(key: &[u8]) -> Option<DocId> {
    let start = key.iter().rposition(|&byte| byte == SEPARATOR)? + 1;
    DocId::parse(std::str::from_utf8(&key[start..]).ok()?).ok()
}

/// Returns the key of the change at `revision`.
pub(crate) fn change(tenant: &TenantId, revision: Revision) -> Vec<u8> {
    let mut bytes = tenant_prefix(CHANGES, tenant, 8);
    bytes.extend_from_slice(&revision.get().to_be_bytes());
    bytes
}

/// Returns the keys of the changes of `tenant` after `after`.
pub(crate) fn changes_after(tenant: &TenantId, after: Revision) -> KeyRange {
    let mut end = tenant_prefix(CHANGES, tenant, 0);
    end.pop();
    end.push(SEPARATOR + 1);
    (Bound::Excluded(change(tenant, after)), Bound::Excluded(end))
}

/// Returns the revision that a key of [`changes_after`] ends in.
pub(crate) fn revision_of_change(key: &[u8]) -> Option<Revision> {
    key.last_chunk().map(|bytes| Revision::new(u64::from_be_bytes(*bytes)))
}

/// Returns the key of the entry of history at `revision`; that of the tenant's horizon of history at revision 0.
pub(crate) fn history(tenant: &TenantId, revision: Revision) -> Vec<u8> {
    let mut bytes = tenant_prefix(HISTORY, tenant, 8);
    bytes.extend_from_slice(&revision.get().to_be_bytes());
    bytes
}

/// Returns the keys of the entries of history of `tenant` after `after`.
pub(crate) fn history_after(tenant: &TenantId, after: Revision) -> KeyRange {
    let mut end = tenant_prefix(HISTORY, tenant, 0);
    end.pop();
    end.push(SEPARATOR + 1);
    (Bound::Excluded(history(tenant, after)), Bound::Excluded(end))
}

/// Returns the key of what is stored of an index itself.
pub(crate) fn index(tenant: &TenantId, number: u64) -> Vec<u8> {
    of_number(INDEXES, tenant, number)
}

/// Returns the keys of [`index`]es, of all tenants.
pub(crate) fn indexes() -> KeyRange {
    (Bound::Included(vec![INDEXES]), Bound::Excluded(vec![INDEXES + 1]))
}

/// Returns the tenant and the number of a key of [`indexes`].
pub(crate) fn parse_index(key: &[u8]) -> Option<(TenantId, u64)> {
    let (tenant, number) = parse_change(key.strip_prefix(&[INDEXES])?)?;
    Some((tenant, number.get()))
}

/// Returns what the keys of the entries of an index begin with. Encoded values and an id follow.
pub(crate) fn index_entries(tenant: &TenantId, number: u64) -> Vec<u8> {
    of_number(ENTRIES, tenant, number)
}

fn of_number(space: u8, tenant: &TenantId, number: u64) -> Vec<u8> {
    let mut bytes = tenant_prefix(space, tenant, 8);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
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
    of_tenant_of(CHANGES, &[], document, revision)
}

/// Returns the key that notes when the document at `document` was deleted.
pub(crate) fn tombstone_of(document: &[u8], deleted_ms: u64, revision: Revision) -> Vec<u8> {
    of_tenant_of(TOMBSTONES, &deleted_ms.to_be_bytes(), document, revision)
}

/// Returns the key that notes when the document at `document` expires.
pub(crate) fn expiry_of(document: &[u8], expires_ms: u64, revision: Revision) -> Vec<u8> {
    of_tenant_of(EXPIRIES, &expires_ms.to_be_bytes(), document, revision)
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
    /// An entry of history, or at revision 0 the horizon of history.
    History(TenantId, Revision),
    /// None of these.
    Other,
}

/// Returns what a stored key leads to; `None` if no version of this crate has written it.
pub(crate) fn parse(key: &[u8]) -> Option<Key> {
    let (space, rest) = key.split_first()?;
    match *space {
        HEADS => tenant_of_head(key).map(Key::Head),
        DOCUMENTS => parse_document(rest).map(|(tenant, key)| Key::Document(tenant, key)),
        DELETED => parse_document(rest).map(|(tenant, key)| Key::Deleted(tenant, key)),
        CHANGES => parse_change(rest).map(|(tenant, revision)| Key::Change(tenant, revision)),
        HISTORY => parse_change(rest).map(|(tenant, revision)| Key::History(tenant, revision)),
        _ => Some(Key::Other),
    }
}

/// Reads what follows the first byte of a document's key.
fn parse_document(rest: &[u8]) -> Option<(TenantId, DocumentKey)> {
    let mut parts = rest.splitn(3, |byte| *byte == SEPARATOR).map(std::str::from_utf8);
    let mut part = || parts.next()?.ok();
    let (tenant, collection, id) = (part()?, part()?, part()?);
    let key = match (collection, id) {
        ("", "") => DocumentKey::Tenant,
        _ => DocumentKey::Member {
            collection: CollectionName::parse(collection).ok()?,
            id: DocId::parse(id).ok()?,
        },
    };
    Some((TenantId::stored(tenant)?, key))
}

/// Reads what follows the first byte of the key of a change or of an entry of history.
fn parse_change(rest: &[u8]) -> Option<(TenantId, Revision)> {
    let (rest, revision) = rest.split_last_chunk()?;
    let (separator, tenant) = rest.split_last()?;
    let tenant = TenantId::stored(std::str::from_utf8(tenant).ok()?)?;
    (*separator == SEPARATOR).then_some((tenant, Revision::new(u64::from_be_bytes(*revision))))
}

/// Returns the keys of the documents that have expired at `now_ms`, behind `after`.
pub(crate) fn expiries_until(now_ms: u64, after: Option<Vec<u8>>) -> KeyRange {
    let mut end = vec![EXPIRIES];
    end.extend_from_slice(&now_ms.to_be_bytes());
    // Behind every key of that time: a name has no such byte.
    end.push(u8::MAX);
    (start_behind(EXPIRIES, after), Bound::Excluded(end))
}

/// Returns the keys of the tombstones of deletes before `before_ms`, behind `after`.
pub(crate) fn tombstones_before(before_ms: u64, after: Option<Vec<u8>>) -> KeyRange {
    let mut end = vec![TOMBSTONES];
    end.extend_from_slice(&before_ms.to_be_bytes());
    (start_behind(TOMBSTONES, after), Bound::Excluded(end))
}

/// Returns the start of the keys of a space that are behind `after`.
fn start_behind(space: u8, after: Option<Vec<u8>>) -> Bound<Vec<u8>> {
    after.map_or_else(|| Bound::Included(vec![space]), Bound::Excluded)
}

/// Returns the tenant and the revision that a key of [`tombstones_before`] or [`expiries_until`]
/// names.
pub(crate) fn tenant_of_note(key: &[u8]) -> Option<(TenantId, Revision)> {
    let tenant = key.get(9..key.len().checked_sub(9)?)?;
    let tenant = TenantId::stored(std::str::from_utf8(tenant).ok()?)?;
    Some((tenant, revision_of_change(key)?))
}

fn tenant_prefix(space: u8, tenant: &TenantId, room: usize) -> Vec<u8> {
    let tenant = tenant.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(2 + tenant.len() + room);
    bytes.push(space);
    bytes.extend_from_slice(tenant);
    bytes.push(SEPARATOR);
    bytes
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

    fn note(space: u8, time_ms: u64, tenant: &TenantId, revision: Revision) -> Vec<u8> {
        let tenant = [tenant.as_str().as_bytes(), &[SEPARATOR]].concat();
        [&[space], &time_ms.to_be_bytes()[..], &tenant, &revision.get().to_be_bytes()].concat()
    }

    proptest! {
        #[test]
        fn documents_are_ordered_by_tenant_then_collection_then_id(
            a in ("[a-zA-Z0-9][a-z_-]{0,3}", "[a-z0-9][a-z_-]{0,3}", "[a-z0-9!$~][!-$a-z]{0,3}"),
            b in ("[a-zA-Z0-9][a-z_-]{0,3}", "[a-z0-9][a-z_-]{0,3}", "[a-z0-9!$~][!$a-z]{0,3}"),
        ) {
            prop_assume!(DocId::parse(&a.2).is_ok() && DocId::parse(&b.2).is_ok());
            let key = |n: &(String, String, String)| document(&tenant(&n.0), &member(&n.1, &n.2));
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn changes_are_ordered_by_revision_within_their_tenant(
            own in "[ab]{1,3}", other in "[ab]{1,3}", after: u64, revision: u64,
        ) {
            let range = changes_after(&tenant(&own), Revision::new(after));
            let key = change(&tenant(&other), Revision::new(revision));
            prop_assert_eq!(range.contains(&key), own == other && revision > after);
            prop_assert_eq!(revision_of_change(&key), Some(Revision::new(revision)));
        }
    }

    proptest! {
        #[test]
        fn a_key_leads_back_to_its_names(
            name in "[a-zA-Z0-9][a-z_-]{0,3}", collection in "[a-z0-9][a-z_-]{0,3}",
            id in "[a-z0-9!$~][!$a-z]{0,3}", revision: u64,
        ) {
            for tenant in [tenant(&name), TenantId::system()] {
                for key in [DocumentKey::Tenant, member(&collection, &id)] {
                    let stored = document(&tenant, &key);
                    prop_assert_eq!(parse(&stored), Some(Key::Document(tenant.clone(), key)));
                }
                let stored = change(&tenant, Revision::new(revision));
                let leads_to = Key::Change(tenant, Revision::new(revision));
                prop_assert_eq!(parse(&stored), Some(leads_to));
            }
        }

        #[test]
        fn a_collection_range_holds_its_documents_and_no_others(
            own in ("[ab]{1,3}", "[ab]{1,3}"), other in ("[ab]{1,3}", "[ab]{1,3}"),
            after in prop::option::of("[ab!~]{1,3}"), id in "[ab!~]{1,3}",
        ) {
            let name = CollectionName::parse(&own.1).expect("a collection name");
            let cursor = after.as_deref().map(|id| DocId::parse(id).expect("a document id"));
            let ids = cursor.as_ref().map_or(IdRange::ALL, |id| IdRange::ALL.behind(id));
            let DocumentKeys { start, end, id_at } = documents_in(&tenant(&own.0), &name, &ids);
            prop_assert_eq!(&start[id_at..], after.as_deref().unwrap_or_default().as_bytes());
            let range = (Bound::Excluded(start), Bound::Excluded(end));
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
            prop_assert_eq!(&tombstone, &note(TOMBSTONES, time_ms, &of, revision));
            let expiry = expiry_of(&key, time_ms, revision);
            prop_assert_eq!(&expiry, &note(EXPIRIES, time_ms, &of, revision));
            for other in [tombstone, expiry, history(&of, revision), deleted(&key), head(&of)] {
                prop_assert!(change_key < other && other < key, "{:?}", other);
            }
            prop_assert!(&key[..] < CONTAINED);
        }

        #[test]
        fn a_key_that_is_read_is_written_as_the_same_bytes(
            bytes in "[zcxlny]([a$]|system){1,3}(\0([ab]{0,2})){0,3}.{0,9}",
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
                Some(Key::History(tenant, revision)) => {
                    prop_assert_eq!(history(&tenant, revision), bytes.as_bytes());
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

        #[test]
        fn tombstones_are_ordered_by_time_and_tell_their_tenant(
            name in "[ab]{1,3}", deleted_ms: u64, before_ms: u64, revision: u64,
        ) {
            let key = note(TOMBSTONES, deleted_ms, &tenant(&name), Revision::new(revision));
            let range = tombstones_before(before_ms, None);
            prop_assert_eq!(range.contains(&key), deleted_ms < before_ms);
            let told = tenant_of_note(&key);
            prop_assert_eq!(told, Some((tenant(&name), Revision::new(revision))));
            let key = note(EXPIRIES, deleted_ms, &tenant(&name), Revision::new(revision));
            prop_assert_eq!(expiries_until(before_ms, None).contains(&key), deleted_ms <= before_ms);
        }
    }

    #[test]
    fn a_key_without_a_tenant_tells_of_none() {
        for length in 0..=18 {
            assert_eq!(tenant_of_note(&vec![TOMBSTONES; length]), None, "{length}");
        }
    }

    #[test]
    fn a_tenants_own_document_is_in_no_collection() {
        let own = document(&tenant("t"), &DocumentKey::Tenant);
        assert_eq!(own, b"zt\0\0");
        let name = CollectionName::parse("a").expect("a collection name");
        let keys = documents_in(&tenant("t"), &name, &IdRange::ALL);
        assert!(!(keys.start..keys.end).contains(&own));
        let (start, end) = collections_after(&tenant("t"), None);
        assert!(!(start.clone()..end.clone()).contains(&own));
        assert!((start..end).contains(&document(&tenant("t"), &member("a", "1"))));
    }
}
