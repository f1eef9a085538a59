//! How often the hot paths allocate: counted, and bounded so that a new allocation is noticed.
//!
//! The figures are upper bounds with little room. They do not grow with the document, which is what
//! the second size shows: nothing on these paths parses a document into a tree.

use allocation_counter::measure;
use meldb::{ChangeCursor, Changes, Collection, JsonText, Store};

/// A document of about `bytes` bytes in members of 50.
fn document(bytes: usize) -> String {
    let members: Vec<String> =
        (0..bytes / 50).map(|n| format!(r#""member{n:05}":"value {n:025}""#)).collect();
    format!("{{{}}}", members.join(","))
}

fn users(bytes: usize) -> Collection {
    let store = Store::in_memory().expect("a store");
    let users = store.tenant("tenant-alpha").and_then(|tenant| tenant.collection("users"));
    let users = users.expect("good names");
    for id in 0..100 {
        users.put(format!("user-{id:03}"), JsonText(document(bytes))).commit("me").expect("put");
    }
    users
}

fn merge(users: &Collection) {
    let merge = users.merge("user-050", JsonText(r#"{"member00010":"changed"}"#));
    merge.commit("me").expect("merged");
}

fn get(users: &Collection) {
    let document = users.get("user-050").expect("read").expect("present");
    assert!(!document.as_bytes().is_empty());
}

fn list(users: &Collection) {
    assert_eq!(users.list().count(), 100);
}

#[track_caller]
fn assert_bounded(what: &str, allocations_max: u64, run: impl Fn(&Collection)) {
    for bytes in [1_000, 100_000] {
        let users = users(bytes);
        run(&users);
        let allocations = measure(|| run(&users)).count_total;
        assert!(
            allocations <= allocations_max,
            "{what} of {bytes} bytes allocates {allocations} times, over {allocations_max}"
        );
    }
}

#[test]
fn a_get_allocates_a_few_times_whatever_the_document() {
    assert_bounded("a get", 3, get);
}

#[test]
fn a_merge_allocates_a_few_times_whatever_the_document() {
    assert_bounded("a merge", 32, merge);
}

#[test]
fn a_list_allocates_a_few_times_a_document() {
    assert_bounded("a list of 100", 270, list);
}

/// Readers of the feed that stand still, each with a page in hand.
fn idle_readers(store: &Store, count: usize) -> Vec<Changes> {
    let tenant = store.tenant("tenant-alpha").expect("a good name");
    let read_one = |_| {
        let mut feed = tenant.changes(ChangeCursor::START).with_documents();
        feed.next().expect("a change").expect("read");
        feed
    };
    (0..count).map(read_one).collect()
}

#[test]
fn a_reader_that_never_reads_makes_no_write_keep_anything() {
    let kept = |readers: usize| {
        let store = Store::in_memory().expect("a store");
        let users = store.tenant("tenant-alpha").and_then(|tenant| tenant.collection("users"));
        let users = users.expect("good names");
        let put = |n: u32| {
            let id = format!("user-{:03}", n % 100);
            users.put(id, JsonText(document(1_000))).commit("me").expect("put");
        };
        (0..100).for_each(put);
        let readers = idle_readers(&store, readers);
        let kept = measure(|| (0..5_000).for_each(put)).bytes_current;
        drop(readers);
        kept
    };
    let (alone, beside) = (kept(0), kept(50));
    // The texts of the page in hand, 100 KB that the readers share, stay; 5 MB were written.
    assert!(beside - alone < 256 << 10, "{beside} bytes with readers, {alone} without");
}

#[test]
fn the_counter_sees_a_document_being_parsed() {
    let users = users(1_000);
    let parsed = measure(|| {
        let document = users.get("user-050").expect("read").expect("present");
        document.to::<serde_json::Value>().expect("parsed");
    });
    assert!(parsed.count_total > 40, "parsing allocates {} times", parsed.count_total);
}
