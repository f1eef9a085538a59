//! Typed writes and reads: what serde writes and JSON cannot hold is refused, and every type that is written is read.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use meldb::{
    ChangeCursor, Collection, Document, DocumentPath, EpochMs, Error, Expiry, History, JsonText,
    Limits, Revision, Store, Tenant, TextErrorKind, with_causes,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn users() -> Collection {
    let store = Store::in_memory().expect("a store");
    store.tenant("acme").and_then(|acme| acme.collection("users")).expect("names")
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    score: f64,
    note: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Circle { radius: f64 },
    Points(Vec<f32>),
}

/// Writes a value and reads it as it was.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let users = users();
    let written = users.put("x", value).commit("a").expect("put");
    assert_eq!(&written.document.to_without_stamps::<T>().expect("read"), value);
    let read = users.get("x").expect("read").expect("there");
    assert_eq!(&read.to_without_stamps::<T>().expect("read"), value);
}

#[test]
fn what_is_put_can_be_read_whatever_its_type_says_of_other_fields() {
    round_trip(&Strict { score: 1.5, note: Some("null".to_owned()) });
    round_trip(&Shape::Circle { radius: 2.0 });
    round_trip(&Shape::Points(vec![1.0, 2.5]));
    round_trip(&BTreeMap::from([(7_u32, "seven".to_owned()), (8, String::new())]));
    round_trip(&BTreeMap::<String, u8>::new());
    // The stamps are what stood in the way.
    let users = users();
    let written = users.put("x", Strict::default()).commit("a").expect("put").document;
    assert!(matches!(written.to::<Strict>(), Err(Error::Deserialize { .. })));
    // Those of a sub-document too; and it need not have any.
    users.put("y", json!({"plain": {"score": 1.0, "note": null}})).commit("a").expect("put");
    users.document("y").at(["part"]).put(Strict::default()).commit("a").expect("put");
    for (field, score) in [("part", 0.0), ("plain", 1.0)] {
        let part = users.document("y").at([field]).get().expect("read").expect("there");
        assert_eq!(part.to_without_stamps::<Strict>().expect("read"), Strict { score, note: None });
    }
}

#[test]
fn a_number_that_json_does_not_have_is_refused_and_deletes_nothing() {
    let users = users();
    users.put("x", json!({"score": 1.0, "list": []})).commit("a").expect("put");
    let before = users.get("x").expect("read");
    let strict = |score| Strict { score, note: None };
    for refused in [
        users.merge("x", strict(f64::NAN)).commit("a").map(drop),
        users.merge("x", strict(f64::INFINITY)).commit("a").map(drop),
        users
            .merge("x", BTreeMap::from([("list", vec![1.0, f64::NEG_INFINITY])]))
            .commit("a")
            .map(drop),
        users.merge("x", BTreeMap::from([("deep", (1, Some(f32::NAN)))])).commit("a").map(drop),
        users.put("x", Shape::Points(vec![f32::NAN])).commit("a").map(drop),
        users.insert("z", Shape::Circle { radius: f64::NAN }).commit("a").map(drop),
    ] {
        let error = refused.expect_err("not a number of JSON");
        assert!(matches!(error, Error::Serialize(_)), "{error:?}");
        assert!(with_causes(&error).to_string().contains("NaN or infinite"), "{error:?}");
    }
    assert_eq!(users.get("x").expect("read"), before);
    // Nulls that are meant are taken.
    users.merge("x", strict(2.0)).commit("a").expect("merged");
    users.merge("x", json!({"list": null})).commit("a").expect("merged");
    let now: Value = users.get_as("x").expect("read").expect("there");
    assert_eq!((&now["score"], now.get("list"), now.get("note")), (&json!(2.0), None, None));
}

#[test]
fn a_string_is_refused_and_told_of_json_text() {
    let users = users();
    for refused in [
        users.put("x", r#"{"name":"Ada"}"#).commit("a").map(drop),
        users.merge("x", String::from("{}")).commit("a").map(drop),
        users.patch("x", "[]").commit("a").map(drop),
    ] {
        let Err(Error::InvalidText(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), &TextErrorKind::AString);
        assert!(error.to_string().contains("JsonText"), "{error}");
    }
}

#[test]
fn cursors_and_paths_are_kept_as_json() {
    for (cursor, text) in [
        (ChangeCursor::START, r#""0""#),
        (Revision::new(7).into(), r#""7""#),
        ("42.5000".parse().expect("a cursor"), r#""42.5000""#),
    ] {
        assert_eq!(serde_json::to_string(&cursor).expect("written"), text);
        assert_eq!(serde_json::from_str::<ChangeCursor>(text).expect("read"), cursor);
    }
    assert!(serde_json::from_str::<ChangeCursor>(r#""x""#).is_err());
    let users = users();
    let path = users.document("ada").path().expect("a path").clone();
    let own = DocumentPath::new(path.tenant().clone(), meldb::DocumentKey::Tenant);
    for (path, text) in [
        (own, r#"{"tenant":"acme"}"#),
        (path.clone(), r#"{"tenant":"acme","collection":"users","id":"ada"}"#),
        (
            path.at(["a/b", "c"]),
            r#"{"tenant":"acme","collection":"users","id":"ada","fields":["a/b","c"]}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&path).expect("written"), text);
        assert_eq!(serde_json::from_str::<DocumentPath>(text).expect("read"), path);
    }
    for bad in [r#"{"tenant":"acme","id":"ada"}"#, r#"{"tenant":""}"#, r#"{"tenant":"a","x":1}"#] {
        assert!(serde_json::from_str::<DocumentPath>(bad).is_err(), "{bad}");
    }
}

#[test]
fn times_are_given_and_read_as_system_times() {
    let users = users();
    let later = SystemTime::now() + Duration::from_secs(3600);
    let written = users.put("x", json!({})).expiry(later).commit("a").expect("put").document;
    let expires = written.expires_time().expect("it expires");
    let off = later.duration_since(expires).expect("cut off below milliseconds");
    assert!(off < Duration::from_millis(1), "{off:?}");
    let updated = written.updated_time().duration_since(UNIX_EPOCH).expect("after 1970");
    assert_eq!(updated.as_millis(), u128::from(written.updated_ms()));
    assert_eq!(Expiry::from(UNIX_EPOCH + Duration::from_millis(5)), Expiry::At(5));
}

/// A tenant with documents `a`, `b` and `c` in `users`, put in this order, and the history of that.
fn three() -> (Tenant, Collection) {
    let store = Store::builder().history(History::days(1)).in_memory().expect("a store");
    let acme = store.tenant("acme").expect("a name");
    let users = acme.collection("users").expect("a name");
    for id in ["a", "b", "c"] {
        users.put(id, json!({})).commit("x").expect("put");
    }
    (acme, users)
}

/// Takes pages of `items` until one has nothing more, and returns how many each had.
fn sizes(mut page: impl FnMut() -> (usize, bool)) -> Vec<usize> {
    let mut sizes = Vec::new();
    loop {
        let (size, more) = page();
        sizes.push(size);
        if !more {
            return sizes;
        }
        assert!(sizes.len() < 10, "it does not go on: {sizes:?}");
    }
}

#[test]
fn a_page_means_the_same_on_every_walk() {
    let (acme, users) = three();
    let ada = users.document("a");
    for n in 0..2 {
        ada.merge(json!({ "n": n })).commit("x").expect("merged");
    }
    for (asked, each) in [(0, [1, 1, 1].as_slice()), (1, &[1, 1, 1]), (2, &[2, 1]), (9, &[3])] {
        let mut list = users.list();
        let page = || list.page(asked).map(|page| (page.documents.len(), page.more)).expect("read");
        assert_eq!(sizes(page), each, "a list by {asked}");
        let mut updated = users.updated(0..u64::MAX);
        let page =
            || updated.page(asked).map(|page| (page.documents.len(), page.more)).expect("read");
        assert_eq!(sizes(page), each, "updated by {asked}");
        let mut versions = ada.history();
        let page = || {
            let page = versions.page(asked).expect("read");
            (page.versions.len(), page.next.is_some())
        };
        assert_eq!(sizes(page), each, "versions by {asked}");
        assert!(versions.page(asked).expect("read").versions.is_empty(), "at the end");
        let mut changes = acme.changes(ChangeCursor::START);
        let page = || changes.page(asked).map(|page| page.changes.len()).expect("read");
        let counts: Vec<_> = std::iter::repeat_with(page).take_while(|size| *size > 0).collect();
        assert_eq!(counts, each, "changes by {asked}");
    }
    let mut tenants = Store::in_memory().expect("a store").tenants();
    assert!(tenants.page(0).expect("read").is_empty());
}

#[test]
fn a_page_goes_on_behind_what_the_iterator_has_returned() {
    let (acme, users) = three();
    let id = |document: &Document| document.id().expect("an id").to_string();
    let mut list = users.list();
    assert_eq!(id(&list.next().expect("one").expect("read")), "a");
    assert_eq!(list.page(1).expect("read").documents.iter().map(id).collect::<String>(), "b");
    assert_eq!(id(&list.next().expect("one").expect("read")), "c");
    let ada = users.document("a");
    for n in 0..3 {
        ada.merge(json!({ "n": n })).commit("x").expect("merged");
    }
    let mut versions = ada.history();
    let last = versions.next().expect("one").expect("read").revision;
    assert_eq!(last, Revision::new(6));
    let page: Vec<_> = versions.page(2).expect("read").versions;
    assert_eq!(page.iter().map(|one| one.revision.get()).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(versions.next().expect("one").expect("read").revision, Revision::new(1));
    assert!(versions.next().is_none());
    let mut writes = acme.writes(Revision::ZERO);
    assert_eq!(writes.next().expect("one").expect("read").revision, Revision::new(1));
    let page = writes.page(2).expect("read").writes;
    assert_eq!(page.iter().map(|one| one.revision.get()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(writes.next().expect("one").expect("read").revision, Revision::new(4));
}

#[test]
fn a_document_is_serialized_as_it_is_stored() {
    let users = users();
    let text = r#"{"z":1,"a":{"y":[true,null,"\u00e9"],"b":-2.5}}"#;
    let ada = users.put("ada", JsonText(text)).commit("x").expect("put").document;
    // Strings as serde has them, without escapes that JSON does not need.
    let compact = ada.as_text().expect("text").replace('\n', "").replace(r"\u00e9", "é");
    assert_eq!(serde_json::to_string(&ada).expect("JSON"), compact);
    let listed: Vec<Document> = users.list().collect::<Result<_, _>>().expect("read");
    let page = serde_json::to_value(json!({ "users": listed })).expect("JSON");
    assert_eq!(page["users"][0]["a"]["b"], -2.5);
    let deep = format!("{}1{}", r#"{"a":"#.repeat(400), "}".repeat(400));
    let limits = Limits { depth_max: 512, ..Limits::default() };
    let store = Store::builder().limits(limits).in_memory().expect("a store");
    let own = store.tenant("acme").expect("a name").document();
    let own = own.put(JsonText(&deep)).commit("x").expect("put").document;
    assert!(serde_json::to_string(&own).expect("JSON").contains(&deep[1..]));
}

#[test]
fn a_time_is_a_number_or_a_system_time() {
    let users = users();
    let time = users.put("a", json!({})).commit("x").expect("put").document.updated_time();
    let span = time..time + Duration::from_millis(1);
    assert_eq!(users.updated(span).page(9).expect("read").documents.len(), 1);
    let before = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(users.updated(before..time).page(9).expect("read").documents.len(), 0);
    assert_eq!(EpochMs::from(before).get(), 0);
    assert_eq!(
        users.document("a").at_time(time).expect("read").map(|one| one.updated_time()),
        Some(time)
    );
}
