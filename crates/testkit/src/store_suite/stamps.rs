//! Who wrote last, and when.

use meldb::{Collection, Document};
use serde_json::{Value, json};

use super::{put, put_ada, read};
use crate::fixture::{Fixture, TENANT, TestClock, collection, users};

fn stamps(document: &Document) -> (u64, String) {
    let whole: Value = document.to().expect("JSON");
    let updated = whole["updated"].as_u64().expect("an integer");
    (updated, whole["updatedBy"].as_str().expect("a string").to_owned())
}

pub fn the_stamps_come_first_and_tell_who_and_when(fixture: &Fixture) {
    let users = users(&fixture.open_with(|builder| builder.clock(TestClock::at(1_712))));
    let written = users.put("ada", json!({"a": 1})).commit("signup").expect("put").document;
    assert_eq!(
        written.as_text().expect("UTF-8"),
        "{\n\"updated\":1712,\n\"updatedBy\":\"signup\",\n\"a\":1}"
    );
    assert_eq!(written.updated_ms(), 1_712);
    assert_eq!(read(&users, "ada").updated_ms(), 1_712);
}

pub fn stamps_win_over_what_a_client_sends(fixture: &Fixture) {
    let users = users(&fixture.open_with(|builder| builder.clock(TestClock::at(1_000))));
    let sent = json!({"updated": 7, "n": 1, "updatedBy": "mallory"});
    let put = users.put("ada", &sent).commit("a").expect("put").document;
    assert_eq!(stamps(&put), (1_000, "a".to_owned()));
    let merged = users.merge("ada", &sent).commit("b").expect("merged").document;
    assert_eq!(stamps(&merged), (1_000, "b".to_owned()));
    let members: Value = merged.to().expect("JSON");
    assert_eq!(members.as_object().map(|members| members.len()), Some(3));
}

pub fn a_stamp_that_is_sent_as_null_is_ignored(fixture: &Fixture) {
    let users = users(&fixture.open());
    let sent = json!({"updated": null, "updatedBy": null, "n": 1});
    users.put("ada", &sent).commit("a").expect("put");
    let merged = users.merge("ada", &sent).commit("b").expect("merged").document;
    assert_eq!(stamps(&merged).1, "b");
    let kept = users.merge("ada", &sent).nulls(meldb::Nulls::Keep).commit("c").expect("merged");
    assert_eq!(stamps(&kept.document).1, "c");
}

pub fn stamps_further_down_are_members_like_any_other(fixture: &Fixture) {
    let users = users(&fixture.open());
    put(&users, "ada", json!({"sub": {"updated": 7, "updatedBy": "x"}}));
    users.merge("ada", json!({"sub": {"updated": 8}})).commit("b").expect("merged");
    let whole: Value = read(&users, "ada").to().expect("JSON");
    assert_eq!(whole["sub"], json!({"updated": 8, "updatedBy": "x"}));
}

pub fn every_verb_stamps(fixture: &Fixture) {
    let clock = TestClock::at(1);
    let users = users(&fixture.open_with(|builder| builder.clock(clock.clone())));
    let ada = users.document("ada");
    let sub = ada.at(["sub"]);
    let operations = json!([{"op": "add", "path": "/n", "value": 1}]);
    type Verb<'a> = Box<dyn FnOnce() + 'a>;
    let verbs: [Verb<'_>; 8] = [
        Box::new(|| drop(ada.insert(json!({})).commit("actor-1").expect("insert"))),
        Box::new(|| drop(ada.put(json!({})).commit("actor-2").expect("put"))),
        Box::new(|| drop(ada.merge(json!({})).commit("actor-3").expect("merge"))),
        Box::new(|| drop(ada.patch(json!([])).commit("actor-4").expect("patch"))),
        Box::new(|| drop(sub.put(json!({})).commit("actor-5").expect("put"))),
        Box::new(|| drop(sub.merge(json!({"n": 1})).commit("actor-6").expect("merge"))),
        Box::new(|| drop(sub.patch(operations.clone()).commit("actor-7").expect("patch"))),
        Box::new(|| assert!(sub.delete().commit("actor-8").is_ok())),
    ];
    for (verb, now_ms) in verbs.into_iter().zip(1..) {
        clock.set(now_ms);
        verb();
        assert_eq!(stamps(&read(&users, "ada")), (now_ms, format!("actor-{now_ms}")));
        assert_eq!(read(&users, "ada").updated_ms(), now_ms);
    }
}

fn put_at(clock: &TestClock, now_ms: u64, users: &Collection, id: &str) -> u64 {
    clock.set(now_ms);
    put(users, id, json!({})).updated_ms()
}

pub fn updated_never_goes_back_within_a_tenant(fixture: &Fixture) {
    let clock = TestClock::at(0);
    let store = fixture.open_with(|builder| builder.clock(clock.clone()));
    let (own, other) = (users(&store), collection(&store, TENANT, "bots"));
    let foreign = collection(&store, "tenant-beta", "users");
    assert_eq!(put_at(&clock, 5_000, &own, "ada"), 5_000);
    assert_eq!(put_at(&clock, 3_000, &own, "ada"), 5_000, "the same document");
    assert_eq!(put_at(&clock, 3_000, &other, "bot"), 5_000, "another document of the tenant");
    assert_eq!(put_at(&clock, 3_000, &foreign, "ada"), 3_000, "another tenant");
    assert_eq!(put_at(&clock, 5_001, &own, "bob"), 5_001, "the clock has caught up");
}

pub fn updated_never_goes_back_over_a_reopening(fixture: &Fixture) {
    let clock = TestClock::at(5_000);
    put_ada(&users(&fixture.open_with(|builder| builder.clock(clock.clone()))));
    let users = users(&fixture.open_with(|builder| builder.clock(clock.clone())));
    assert_eq!(put_at(&clock, 1_000, &users, "bob"), 5_000);
}

pub fn updated_never_goes_back_after_a_delete(fixture: &Fixture) {
    let clock = TestClock::at(5_000);
    let options = |builder: meldb::Builder| builder.clock(clock.clone());
    let store = fixture.open_with(options);
    put_ada(&users(&store));
    clock.set(6_000);
    users(&store).delete("ada").commit("a").expect("deleted");
    drop(store);
    assert_eq!(put_at(&clock, 1_000, &users(&fixture.open_with(options)), "ada"), 6_000);
}

pub fn an_actor_may_be_any_text(fixture: &Fixture) {
    let users = users(&fixture.open());
    for actor in ["a", "Ada \"the Countess\" Lovelace\\", "key:é/😀 {}", &"é".repeat(127)] {
        let written = users.put("ada", json!({"n": 1})).commit(actor).expect("put").document;
        assert_eq!(stamps(&written).1, actor);
        let merged = users.merge("ada", json!({"n": 2})).commit(actor).expect("merged").document;
        assert_eq!(stamps(&merged).1, actor);
    }
}
