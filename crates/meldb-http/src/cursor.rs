//! Where a page of a list or a report ends, as a text that a client hands back.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use meldb::{CollectionName, DocId, TenantId};

/// The version of the format; another one is refused.
const VERSION: u8 = 1;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 16;
/// The longest cursor, in letters: a version, a checksum and the longest id.
const LETTERS_MAX: usize = ((1 + CHECKSUM_BYTES + meldb::limits::DOC_ID_BYTES_MAX) * 4).div_ceil(3);

/// The longest place in the answer to a question: an id, what its document is sorted by, and a checksum of the question.
pub(crate) const FIND_PLACE_BYTES_MAX: usize = 4096;
const FIND_LETTERS_MAX: usize = ((1 + CHECKSUM_BYTES + FIND_PLACE_BYTES_MAX) * 4).div_ceil(3);

/// What a cursor continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    List,
    Report,
    /// The answer to a question.
    Find,
}

/// Returns the cursor that continues a list behind `id`.
pub(crate) fn write(tenant: &TenantId, collection: &CollectionName, id: &DocId) -> String {
    seal(Kind::List, tenant, collection, id.as_str().as_bytes())
}

/// Returns the id behind which the list continues, or `None` if the cursor is not one of this list.
pub(crate) fn read(tenant: &TenantId, collection: &CollectionName, cursor: &str) -> Option<DocId> {
    let id = open(Kind::List, tenant, collection, cursor)?;
    DocId::parse(std::str::from_utf8(&id).ok()?).ok()
}

/// Returns the cursor for a place in what `kind` walks of a collection.
///
/// ```text
/// base64url( version 1 byte | checksum 16 bytes | place )
/// ```
///
/// The checksum covers kind, tenant, collection and place, so that a cursor that was changed, or
/// comes from elsewhere, is told from a good one. It is no secret: a cursor only says where to start
/// in what its sender may read from the start, and each request is authorised on its own.
pub(crate) fn seal(
    kind: Kind,
    tenant: &TenantId,
    collection: &CollectionName,
    place: &[u8],
) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&checksum(kind, tenant, collection, place));
    bytes.extend_from_slice(place);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the place that a cursor stands for, or `None` if it is not one of this walk.
pub(crate) fn open(
    kind: Kind,
    tenant: &TenantId,
    collection: &CollectionName,
    cursor: &str,
) -> Option<Vec<u8>> {
    let letters_max = if kind == Kind::Find { FIND_LETTERS_MAX } else { LETTERS_MAX };
    if cursor.len() > letters_max {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (sum, place) = rest.split_at_checked(CHECKSUM_BYTES)?;
    let good = *version == VERSION && sum == checksum(kind, tenant, collection, place);
    good.then(|| place.to_vec())
}

fn checksum(
    kind: Kind,
    tenant: &TenantId,
    collection: &CollectionName,
    place: &[u8],
) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key(match kind {
        Kind::List => "meldb-http list cursor v1",
        Kind::Report => "meldb-http report cursor v1",
        Kind::Find => "meldb-http find cursor v1",
    });
    for name in [tenant.as_str().as_bytes(), collection.as_str().as_bytes(), place] {
        // No name holds a NUL, so that no two lists of names read the same.
        hasher.update(name).update(b"\0");
    }
    let mut sum = [0; CHECKSUM_BYTES];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let [alpha, beta] = ["alpha", "beta"].map(|name| TenantId::parse(name).expect("a name"));
        let [users, bots] =
            ["users", "bots"].map(|name| CollectionName::parse(name).expect("a name"));
        for id in ["u1", &"x".repeat(255), "a=b+c"] {
            let id = DocId::parse(id).expect("an id");
            let cursor = write(&alpha, &users, &id);
            assert_eq!(read(&alpha, &users, &cursor), Some(id));
            assert_eq!(read(&beta, &users, &cursor), None);
            assert_eq!(read(&alpha, &bots, &cursor), None);
            assert_eq!(open(Kind::Report, &alpha, &users, &cursor), None);
            for index in 0..cursor.len() {
                let mut changed = cursor.clone().into_bytes();
                changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).expect("ASCII");
                assert_eq!(read(&alpha, &users, &changed), None, "letter {index}");
            }
            assert_eq!(read(&alpha, &users, &cursor[..cursor.len() - 1]), None);
            assert_eq!(read(&alpha, &users, &format!("{cursor}A")), None);
        }
        for cursor in ["", "A", "AQ", "%", "ü", "u1", &"A".repeat(LETTERS_MAX + 1)] {
            assert_eq!(read(&alpha, &users, cursor), None, "{cursor:?}");
        }
    }

    #[test]
    fn a_cursor_holds_a_place_as_long_as_the_longest_id_and_no_longer() {
        let tenant = TenantId::parse("alpha").expect("a name");
        let users = CollectionName::parse("users").expect("a name");
        let longest = [b'x'; meldb::limits::DOC_ID_BYTES_MAX];
        let longer = [b'x'; meldb::limits::DOC_ID_BYTES_MAX + 1];
        let back = |place: &[u8]| {
            open(Kind::Report, &tenant, &users, &seal(Kind::Report, &tenant, &users, place))
        };
        assert_eq!(back(&longest).as_deref(), Some(&longest[..]));
        assert_eq!(back(&longer), None);
    }
}
