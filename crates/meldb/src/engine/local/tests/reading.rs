//! Reading while rows are on their way from memory to the tables.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use super::support::{TestTables, commit, document, open, tenant, write};
use crate::{
    engine::{ChangeKind, Engine, PageSize, Row, local::LocalEngine},
    types::{CollectionName, DocId, DocumentKey, IdRange},
};

/// A checkpoint had failed halfway, and a document that had expired was found twice: by the note in memory and by
/// the same one in the tables.
#[test]
fn a_note_that_is_in_memory_and_in_the_tables_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let tables = TestTables::default();
    let engine = open(dir.path(), &tables).expect("opened");
    let put = write(document(1), ChangeKind::Put, None, 1_000, 1, Some(2_000));
    commit(&engine, &tenant(0), 1_000, put);
    for entries in 0..5 {
        tables.fail_after(Some(entries));
        engine.checkpoint().expect_err("it fails");
        assert_eq!(
            engine.expired(2_000, None, 10).expect("read").documents.len(),
            1,
            "after {entries}"
        );
    }
}

/// A page of notes was short, which ends a walk over them, because the first ones that a checkpoint was writing were of
/// documents that had been written since.
#[test]
fn notes_that_are_no_longer_true_do_not_make_a_page_short() {
    let dir = tempfile::tempdir().expect("a directory");
    let tables = TestTables::default();
    let engine = open(dir.path(), &tables).expect("opened");
    for (number, expires_ms) in [(1, 2_000), (2, 2_001)] {
        let put = write(document(number), ChangeKind::Put, None, 1_000, 1, Some(expires_ms));
        commit(&engine, &tenant(0), 1_000, put);
    }
    tables.fail_after(Some(0));
    engine.checkpoint().expect_err("it fails");
    let found = engine.get(&tenant(0), &document(1)).expect("read");
    let again = write(document(1), ChangeKind::Put, found.as_ref(), 1_001, 2, None);
    commit(&engine, &tenant(0), 1_001, again);
    let expired = engine.expired(3_000, None, 1).expect("read").documents;
    assert_eq!(expired.iter().map(|(_, key, _)| key).collect::<Vec<_>>(), [&document(2)]);
}

/// Returns a list in pages of so many documents.
fn list(
    engine: &LocalEngine,
    users: &CollectionName,
    range: &IdRange,
    documents_max: usize,
) -> Vec<(DocId, Row)> {
    let page = PageSize { documents_max, bytes_max: usize::MAX, now_ms: 0 };
    let mut all: Vec<(DocId, Row)> = Vec::new();
    loop {
        let ids = all.last().map_or(range.clone(), |(id, _)| range.clone().behind(id));
        let (documents, more) = engine.scan(&tenant(0), users, &ids, page).expect("read");
        all.extend(documents);
        if !more {
            return all;
        }
    }
}

/// Returns everything, and parts of it, in both directions.
fn ranges() -> Vec<IdRange> {
    let parts = [
        IdRange::ALL,
        IdRange::of_prefix("u03"),
        IdRange::new(Included("u0101".to_owned()), Excluded("u0650".to_owned())),
        IdRange::new(Excluded("u0005".to_owned()), Included("u0010".to_owned())),
        IdRange::new(Included("u02".to_owned()), Unbounded),
        IdRange::new(Included("v".to_owned()), Excluded("a".to_owned())),
    ];
    let both = |part: IdRange| [part.clone(), IdRange { is_reversed: true, ..part }];
    parts.into_iter().flat_map(both).collect()
}

/// Of more documents than a chunk of memory or a run of the tables has, some are in memory and some in the tables, and
/// what is in memory goes to the tables between lists that keep what they have read.
#[test]
fn lists_of_any_pages_show_memory_and_tables_together() {
    const DOCUMENTS: u64 = 700;
    let dir = tempfile::tempdir().expect("a directory");
    let tables = TestTables::default();
    let engine = open(dir.path(), &tables).expect("opened");
    let users = CollectionName::parse("users").expect("a collection name");
    let mut expected: BTreeMap<DocId, Row> = BTreeMap::new();
    for round in 0..8_u64 {
        // The first round has all of them in memory, and the others fewer and fewer.
        for number in
            (0..DOCUMENTS).filter(|number| (number * 7 + round) % (round * round + 1) == 0)
        {
            let id = DocId::parse(&format!("u{number:04}")).expect("a document id");
            let key = DocumentKey::Member { collection: users.clone(), id: id.clone() };
            let found = engine.get(&tenant(0), &key).expect("read");
            let kind =
                if (number + round) % 5 == 0 { ChangeKind::Deleted } else { ChangeKind::Put };
            let change = write(key.clone(), kind, found.as_ref(), 1_000, round as u8, None);
            commit(&engine, &tenant(0), 1_000, change);
            let row = engine.get(&tenant(0), &key).expect("read").expect("it was written");
            match row.body {
                Some(_) => expected.insert(id, row),
                None => expected.remove(&id),
            };
        }
        for is_written in [false, true] {
            if is_written && round % 2 == 0 {
                engine.checkpoint().expect("written");
            }
            for documents_max in [10_000, 300, 7, 10_000] {
                for range in ranges() {
                    let found = list(&engine, &users, &range, documents_max);
                    let mut wanted: Vec<_> =
                        expected.iter().filter(|(id, _)| range.contains(id)).collect();
                    if range.is_reversed {
                        wanted.reverse();
                    }
                    let found = found.iter().map(|(id, row)| (id, row));
                    assert!(found.eq(wanted), "round {round}, {range:?}");
                }
            }
        }
    }
}
