//! What is redacted or forgotten is not kept in the answers to idempotent requests either.

use meldb::{Condition, History, IdempotencyKey, Store};
use serde_json::json;

const SECRET: &str = "sesame-4711";

fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::parse(name).expect("a key")
}

fn store() -> Store {
    Store::builder().history(History::days(1)).in_memory().expect("a store")
}

/// Returns whether a backup of the store holds a text.
fn holds(store: &Store, text: &str) -> bool {
    let mut backup = Vec::new();
    store.backup_to(&mut backup, None).expect("a backup");
    backup.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_repeated_request_is_answered_without_what_was_redacted() {
    let store = store();
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let put = || {
        let ada = json!({"name": "Ada", "pin": SECRET, "versions": {"current": {"pin": SECRET}}});
        users.put("ada", ada).idempotency_key(key("put"))
    };
    put().commit("ann").expect("put");
    let merge = || users.merge("ada", json!({"n": 1})).diff().idempotency_key(key("merge"));
    merge().commit("ben").expect("merged");
    let current = users.document("ada").at(["versions", "current"]);
    let sub = || current.merge(json!({"m": 1})).idempotency_key(key("sub"));
    sub().commit("cat").expect("merged");
    let other = || users.put("bob", json!({"pin": "of bob"})).idempotency_key(key("other"));
    other().commit("ann").expect("put");
    let removed = || users.merge("ada", json!({"pin": null})).diff().idempotency_key(key("none"));
    removed().commit("ben").expect("merged");
    assert!(holds(&store, SECRET));

    users.document("ada").redact("/pin", "sue").expect("redacted");
    users.document("ada").redact("/versions/current/pin", "sue").expect("redacted");
    assert!(!holds(&store, SECRET));
    let again = put().commit("ann").expect("repeated");
    assert!(again.repeated);
    let text = again.document.as_text().expect("text").replace('\n', "");
    assert!(
        text.ends_with(r#""updatedBy":"ann","name":"Ada","versions":{"current":{}}}"#),
        "{text}"
    );
    let again = merge().commit("ben").expect("repeated");
    assert!(again.repeated && again.diff.is_none());
    let again = sub().commit("cat").expect("repeated");
    assert!(again.repeated && again.document.as_text().expect("text").contains("cat"));
    let again = other().commit("ann").expect("repeated");
    assert!(again.repeated && again.document.as_text().expect("text").contains("of bob"));
    assert_eq!(tenant.last_revision().expect("read").get(), 6, "no request was made again");
    assert!(store.verify().all(|record| record.is_ok()));
}

#[test]
fn a_repeated_request_does_not_bring_back_what_was_forgotten() {
    let store = store();
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let batch = || {
        let mut batch = tenant.batch();
        batch.push(users.put("ada", json!({"pin": SECRET})).condition(Condition::Absent));
        batch.push(users.put("bob", json!({"role": "guest"})));
        batch.idempotency_key(key("batch"));
        batch
    };
    batch().commit("ann").expect("made");
    let delete = || users.delete("eve").diff().idempotency_key(key("delete"));
    users.put("eve", json!({"pin": SECRET})).commit("ann").expect("put");
    delete().commit("ann").expect("deleted");
    for id in ["ada", "eve"] {
        users.document(id).forget("sue").expect("forgotten");
    }
    assert!(!holds(&store, SECRET));
    let again = batch().commit("ann").expect("repeated").outcomes;
    let texts: Vec<_> = again
        .iter()
        .map(|one| one.document.as_ref().expect("one").as_text().expect("text").replace('\n', ""))
        .collect();
    assert!(again.iter().all(|one| one.repeated));
    assert!(texts[0].ends_with(r#""updatedBy":"ann"}"#), "{}", texts[0]);
    assert!(texts[1].ends_with(r#""role":"guest"}"#), "{}", texts[1]);
    let again = delete().commit("ann").expect("repeated");
    assert!(again.repeated && again.diff.is_none());
    assert_eq!(users.get("ada").expect("read"), None);
}
