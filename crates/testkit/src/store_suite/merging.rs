//! The semantics of merging, and that what a merge does not name keeps its bytes.

use meldb::{Document, JsonText, Result};
use serde_json::json;

use super::{content, read};
use crate::{
    fixture::{Fixture, users},
    specs,
};

/// Members that every careless copy would change: digits, escapes, order, odd names.
const FRAGILE: &str = concat!(
    r#""z":1.50,"a":1E+2,"big":12345678901234567890123,"minus":-0,"exact":0.10000000000000000001,"#,
    r#""escapes":"\u0041\/\u00e9\n","":{"b":[1.0, 2],"a":{}},"surrogates":"\ud83d\ude00","é":"é""#,
);
/// How they are stored: without white space, and not changed in any other way.
const FRAGILE_STORED: &str = concat!(
    r#""z":1.50,"a":1E+2,"big":12345678901234567890123,"minus":-0,"exact":0.10000000000000000001,"#,
    r#""escapes":"\u0041\/\u00e9\n","":{"b":[1.0,2],"a":{}},"surrogates":"\ud83d\ude00","é":"é""#,
);

pub fn the_semantics_table_holds(fixture: &Fixture) {
    let users = users(&fixture.open());
    for case in specs::merge_semantics() {
        specs::check(&users, &case);
    }
}

fn text(body: &str) -> JsonText<String> {
    JsonText(format!("{{{body}}}"))
}

fn stored(written: Result<meldb::WriteResult>) -> Document {
    written.expect("the write is made").document
}

pub fn untouched_members_keep_their_bytes(fixture: &Fixture) {
    let users = users(&fixture.open());
    let first = stored(users.put("ada", text(&format!("{FRAGILE}, \"n\": 1"))).commit("a"));
    assert_eq!(content(&first), format!("{FRAGILE_STORED},\"n\":1"));
    users.merge("ada", json!({"n": 2})).commit("b").expect("merged");
    assert_eq!(content(&read(&users, "ada")), format!("{FRAGILE_STORED},\"n\":2"));
    let operations = json!([{"op": "replace", "path": "/n", "value": 3}]);
    users.patch("ada", operations).commit("c").expect("patched");
    assert_eq!(content(&read(&users, "ada")), format!("{FRAGILE_STORED},\"n\":3"));
    users.document("ada").at(["sub"]).put(json!({})).commit("d").expect("put");
    assert!(content(&read(&users, "ada")).starts_with(&format!("{FRAGILE_STORED},\"n\":3,")));
    users.document("ada").at(["sub"]).delete().commit("e").expect("deleted");
    assert_eq!(content(&read(&users, "ada")), format!("{FRAGILE_STORED},\"n\":3"));
}

pub fn untouched_members_keep_their_bytes_in_a_sub_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    let body = format!(r#"{FRAGILE}, "versions": {{"current": {{{FRAGILE}, "n": 1}}}}"#);
    users.put("ada", text(&body)).commit("a").expect("put");
    let current = users.document("ada").at(["versions", "current"]);
    current.merge(json!({"n": 2})).commit("b").expect("merged");
    let sub = current.get().expect("reading works").expect("it is there");
    assert_eq!(content(&sub), format!("{FRAGILE_STORED},\"n\":2"));
    let whole = content(&read(&users, "ada"));
    assert!(
        whole.starts_with(&format!("{FRAGILE_STORED},\"versions\":{{\"current\":{{")),
        "{whole}"
    );
}

pub fn new_members_come_last_and_replaced_ones_keep_their_place(fixture: &Fixture) {
    let users = users(&fixture.open());
    users.put("ada", text(r#""c":1,"a":{"y":1,"x":2},"b":3"#)).commit("a").expect("put");
    let patch = text(r#""z":0,"b":4,"a":{"w":0,"x":3},"d":5"#);
    let merged = stored(users.merge("ada", patch).commit("a"));
    assert_eq!(content(&merged), r#""c":1,"a":{"y":1,"x":3,"w":0},"b":4,"z":0,"d":5"#);
}

pub fn a_hundred_merges_leave_what_they_do_not_name(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(meldb::Durability::Buffered));
    let users = users(&store);
    users.put("ada", text(FRAGILE)).commit("a").expect("put");
    for n in 0..100 {
        let name = format!("n{}", n % 7);
        let value = if n % 3 == 2 { json!(null) } else { json!(n) };
        users.merge("ada", json!({ name: value })).commit("a").expect("merged");
    }
    assert!(content(&read(&users, "ada")).starts_with(FRAGILE_STORED));
}
