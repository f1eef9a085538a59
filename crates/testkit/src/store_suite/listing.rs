//! Walking a collection.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use meldb::{Collection, Durability, Error, Store};
use serde_json::json;

use super::{assert_refused, put, read, value};
use crate::{
    fixture::{Fixture, TENANT, collection, users},
    futures::block_on,
};

fn buffered(fixture: &Fixture) -> Store {
    fixture.open_with(|builder| builder.durability(Durability::Buffered))
}

fn ids(collection: &Collection) -> Vec<String> {
    let id = |document: meldb::Result<meldb::Document>| {
        document.expect("reading works").id().expect("an id").to_string()
    };
    collection.list().map(id).collect()
}

fn page_ids(page: &meldb::Page) -> Vec<&str> {
    page.documents.iter().map(|document| document.id().expect("an id").as_str()).collect()
}

/// Puts `count` documents with ids `00000`, `00001`, …
fn fill(users: &Collection, count: usize) {
    // From several threads, so that they share commits.
    thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || {
                for n in (part..count).step_by(8) {
                    put(users, &format!("{n:05}"), json!({"n": n}));
                }
            });
        }
    });
}

pub fn an_empty_collection_lists_nothing(fixture: &Fixture) {
    let users = users(&fixture.open());
    assert_eq!(users.list().count(), 0);
    let page = users.list().page(10).expect("reading works");
    assert!(page.documents.is_empty() && !page.more);
}

pub fn documents_come_in_byte_order_of_their_ids(fixture: &Fixture) {
    let users = users(&fixture.open());
    let mut names =
        ["b", "a", "B", "A", "10", "9", "a-", "a.b", "a~", "ab", "$a", "=", "@", "_a", "aa", "!"];
    for name in names {
        put(&users, name, json!({}));
    }
    names.sort_unstable();
    assert_eq!(ids(&users), names);
}

pub fn a_listing_starts_behind_its_cursor(fixture: &Fixture) {
    let users = users(&fixture.open());
    for id in ["a", "b", "ba", "c"] {
        put(&users, id, json!({}));
    }
    let page = users.list().after("b").expect("a good id").page(10).expect("reading works");
    assert_eq!(page_ids(&page), ["ba", "c"]);
    assert_eq!(users.list().after("a").expect("a good id").count(), 3);
    assert_eq!(users.list().after("c").expect("a good id").count(), 0);
}

pub fn a_cursor_need_not_exist(fixture: &Fixture) {
    let users = users(&fixture.open());
    for id in ["a", "c"] {
        put(&users, id, json!({}));
    }
    let page = users.list().after("b").expect("a good id").page(10).expect("reading works");
    assert_eq!(page_ids(&page), ["c"]);
}

pub fn a_bad_cursor_is_refused(fixture: &Fixture) {
    let users = users(&fixture.open());
    assert_refused(users.list().after("a/b"), "a cursor", |error| {
        matches!(error, Error::InvalidName { .. })
    });
}

pub fn pages_join_without_gap_or_overlap(fixture: &Fixture) {
    let users = users(&buffered(fixture));
    fill(&users, 25);
    for size in [1, 2, 7, 24, 25, 26] {
        let (mut joined, mut listing) = (Vec::new(), users.list());
        loop {
            let page = listing.page(size).expect("reading works");
            assert!(page.documents.len() <= size);
            joined.extend(page_ids(&page).into_iter().map(str::to_owned));
            if !page.more {
                break;
            }
            assert_eq!(page.documents.len(), size, "only the last page is short");
        }
        assert_eq!(joined, ids(&users), "pages of {size}");
    }
}

pub fn a_page_of_exactly_the_rest_has_no_more(fixture: &Fixture) {
    let users = users(&buffered(fixture));
    fill(&users, 10);
    assert!(users.list().page(9).expect("reading works").more);
    assert!(!users.list().page(10).expect("reading works").more);
}

pub fn deleted_documents_are_not_listed(fixture: &Fixture) {
    let users = users(&fixture.open());
    for id in ["a", "b", "c"] {
        put(&users, id, json!({}));
    }
    users.delete("b").commit("a").expect("deleted");
    assert_eq!(ids(&users), ["a", "c"]);
}

pub fn only_tombstones_behind_a_page_are_no_more(fixture: &Fixture) {
    let users = users(&fixture.open());
    for id in ["a", "b", "c"] {
        put(&users, id, json!({}));
    }
    for id in ["b", "c"] {
        users.delete(id).commit("a").expect("deleted");
    }
    let page = users.list().page(1).expect("reading works");
    assert_eq!((page_ids(&page), page.more), (vec!["a"], false));
}

pub fn pages_can_be_awaited(fixture: &Fixture) {
    let users = users(&fixture.open());
    for id in ["a", "b", "c"] {
        put(&users, id, json!({}));
    }
    let mut listing = users.list().after("a").expect("a good id");
    let page = block_on(listing.page_async(1)).expect("reading works");
    assert_eq!((page_ids(&page), page.more), (vec!["b"], true));
    let page = block_on(listing.page_async(1)).expect("reading works");
    assert_eq!((page_ids(&page), page.more), (vec!["c"], false));
}

pub fn a_long_collection_is_listed_whole(fixture: &Fixture) {
    let users = users(&buffered(fixture));
    fill(&users, 2_500);
    let expected: Vec<String> = (0..2_500).map(|n| format!("{n:05}")).collect();
    assert_eq!(ids(&users), expected);
}

pub fn a_listing_shows_the_documents_as_stored(fixture: &Fixture) {
    let users = users(&fixture.open());
    for id in ["a", "b"] {
        put(&users, id, json!({"id": id, "n": 1.5}));
    }
    users.merge("b", json!({"n": 2})).commit("b").expect("merged");
    let listed: Vec<_> = users.list().map(|document| document.expect("reading works")).collect();
    assert_eq!(listed, [read(&users, "a"), read(&users, "b")]);
    let store_page = users.list().page(2).expect("reading works");
    assert_eq!(store_page.documents, listed);
    assert_eq!(value(&listed[1]), json!({"id": "b", "n": 2}));
}

pub fn a_listing_reads_a_bounded_number_of_documents_ahead(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|b| b.durability(Durability::Buffered));
    let users = users(&store);
    fill(&users, 2_500);
    let before = record.documents_scanned();
    let mut listing = users.list();
    listing.next().expect("there are many").expect("reading works");
    assert!(
        record.documents_scanned() - before <= 1_025,
        "{}",
        record.documents_scanned() - before
    );
    assert_eq!(listing.count(), 2_499);
}

pub fn a_listing_reads_a_bounded_number_of_bytes_ahead(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|b| b.durability(Durability::Buffered));
    let users = users(&store);
    for n in 0..20 {
        put(&users, &format!("{n:02}"), json!({"text": "x".repeat(200_000)}));
    }
    let before = record.documents_scanned();
    let mut listing = users.list();
    listing.next().expect("there are many").expect("reading works");
    // Six make 1 MiB full, and one more shows that there is more.
    assert!(record.documents_scanned() - before <= 7, "{}", record.documents_scanned() - before);
    assert_eq!(listing.count(), 19);
}

pub fn a_page_of_large_documents_is_cut(fixture: &Fixture) {
    let users = users(&buffered(fixture));
    for n in 0..22 {
        put(&users, &format!("{n:02}"), json!({"text": "x".repeat(900_000)}));
    }
    let page = users.list().page(1_000).expect("reading works");
    assert!((17..22).contains(&page.documents.len()), "{}", page.documents.len());
    assert!(page.more);
    assert_eq!(users.list().count(), 22);
}

pub fn what_exists_throughout_is_listed_exactly_once(fixture: &Fixture) {
    const STABLE: usize = 1_500;
    let store = buffered(fixture);
    let users = users(&store);
    fill(&users, STABLE);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for part in 0..3 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let users = collection(store, TENANT, "users");
                for n in (part..).step_by(3) {
                    if stop.load(SeqCst) {
                        break;
                    }
                    churn(&users, n, STABLE);
                }
            });
        }
        let _stop = StopAtTheEnd(&stop);
        for _ in 0..6 {
            let listed = ids(&users);
            assert!(listed.is_sorted(), "out of order");
            let mut counts = BTreeMap::<&str, usize>::new();
            listed.iter().for_each(|id| *counts.entry(id).or_default() += 1);
            assert!(counts.values().all(|count| *count == 1), "listed twice");
            let stable = counts.keys().filter(|id| id.len() == 5).count();
            assert_eq!(stable, STABLE, "a document that exists throughout was not listed");
        }
    });
}

/// Stops the writers, also when the test fails.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Changes a document that stays, and makes or removes one beside it.
fn churn(users: &Collection, n: usize, stable: usize) {
    let near = (n * 7_919) % stable;
    users.merge(format!("{near:05}").as_str(), json!({"n": n})).commit("b").expect("merged");
    let passing = format!("{near:05}-passing");
    match users.delete(passing.as_str()).commit("b") {
        Ok(_) => {}
        Err(Error::NotFound { .. }) => drop(put(users, &passing, json!({}))),
        Err(error) => panic!("{error}"),
    }
}
