//! Pages of history. What holds on every engine is in the suite of the test kit.

use meldb::{History, PastWrite, Revision, Store};
use serde_json::json;

fn store() -> Store {
    Store::builder().history(History::days(1)).in_memory().expect("a store")
}

#[test]
fn the_versions_of_a_part_come_in_pages_of_bounded_work() {
    let store = store();
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let ada = users.document("ada");
    ada.put(json!({"n": 0, "sub": {"x": 1}})).commit("ann").expect("put");
    for n in 1..6_000 {
        ada.merge(json!({ "n": n })).commit("ann").expect("merged");
    }
    let mut versions = ada.at(["sub"]).history();
    let first = versions.page(10).expect("read");
    assert_eq!((first.versions.len(), first.next.map(Revision::get)), (0, Some(1_905)));
    let second = versions.page(10).expect("read");
    assert_eq!((second.versions.len(), second.next), (1, None));
    assert_eq!(ada.at(["sub"]).history().count(), 1);
    let after = ada.at(["sub"]).history().before(first.next.expect("more")).page(10);
    assert_eq!(after.expect("read").versions, second.versions);
}

#[test]
fn every_write_comes_with_its_document_and_is_imported_elsewhere() {
    let (from, into) = (store(), store());
    let tenant = from.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let padding = "x".repeat(100_000);
    for n in 0..40 {
        users.put("ada", json!({ "n": n, "padding": padding })).commit("ann").expect("put");
        users.merge("ada", json!({ "n": -n })).commit("ben").expect("merged");
    }
    users.put("bob", json!({})).commit("ann").expect("put");
    users.delete("ada").commit("cat").expect("deleted");
    let mut writes = tenant.writes(Revision::ZERO).with_documents();
    let (mut pages, mut all) = (0, Vec::new());
    loop {
        let page = writes.page(1_000).expect("read");
        let bytes = page.writes.iter().filter_map(|one| one.document.as_ref());
        let bytes: usize = bytes.map(|document| document.as_bytes().len()).sum();
        assert!(bytes < 2 << 20, "{bytes} in a page");
        pages += 1;
        all.extend(page.writes);
        if !page.more {
            break;
        }
    }
    assert!(pages > 3);
    assert_eq!(all.len(), 82);
    let walked: Vec<_> =
        tenant.writes(Revision::ZERO).with_documents().collect::<Result<_, _>>().expect("read");
    assert_eq!(walked, all);
    let past = all.iter().map(|version| PastWrite {
        key: version.path.key().clone(),
        revision: version.revision,
        kind: version.kind,
        updated_ms: version.updated_ms,
        updated_by: version.updated_by.clone(),
        text: version.document.clone().map(|document| document.into_bytes()),
        expires_ms: version.document.as_ref().and_then(|document| document.expires_ms()),
    });
    let other = into.tenant("acme").expect("a tenant");
    other.import(past.collect()).expect("imported");
    let imported: Vec<_> =
        other.writes(Revision::ZERO).with_documents().collect::<Result<_, _>>().expect("read");
    assert_eq!(imported, all);
    assert!(into.verify().all(|record| record.is_ok()));
}
