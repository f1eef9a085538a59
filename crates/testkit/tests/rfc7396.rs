//! JSON Merge Patch through the public API: the cases of RFC 7396, appendix A, and the law that
//! they are instances of.

use json_patch::merge;
use meldb::{Collection, Error, Store, merge::TextErrorKind};
use meldb_testkit::{fixture, specs};
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Map, Value, json};

fn users() -> Collection {
    fixture::users(&Store::in_memory().expect("a store in memory"))
}

fn without_stamps(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(members) = value.as_object_mut() {
        members.remove("updated");
        members.remove("updatedBy");
    }
    value
}

fn read(users: &Collection, id: &str) -> Value {
    let value = users.get_as::<Value>(id).expect("reading works").expect("it is there");
    without_stamps(&value)
}

/// A string is told apart from other values, since it may be JSON as text.
fn is_no_object(error: &Error) -> bool {
    let Error::InvalidText(text) = error else { return false };
    matches!(text.kind(), TextErrorKind::NotAnObject | TextErrorKind::AString)
}

#[test]
fn appendix_a_has_fifteen_cases_and_the_oracle_agrees() {
    let cases = specs::appendix_a();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let mut result = case.original.clone();
        merge(&mut result, &case.patch);
        assert_eq!(result, case.result, "{case:?}");
    }
}

/// A document is an object, so a case about another value is refused, and changes nothing.
#[test]
fn appendix_a_holds_for_documents() {
    let users = users();
    let mut held = 0;
    for case in specs::appendix_a() {
        users.put("case", json!({"before": 1})).commit("spec").expect("put");
        if let Err(error) = users.put("case", &case.original).commit("spec") {
            assert!(!case.original.is_object() && is_no_object(&error), "{case:?}: {error}");
            assert_eq!(read(&users, "case"), json!({"before": 1}));
            continue;
        }
        match users.merge("case", &case.patch).commit("spec") {
            Ok(_) => {
                held += 1;
                assert_eq!(read(&users, "case"), case.result, "{case:?}");
            }
            Err(error) => {
                assert!(!case.patch.is_object() && is_no_object(&error), "{case:?}: {error}");
                assert_eq!(read(&users, "case"), case.original, "{case:?}");
            }
        }
    }
    assert_eq!(held, 10, "the cases in which both are objects");
}

/// Every case is a case of its value as a member: there it may be anything.
#[test]
fn appendix_a_holds_for_members() {
    let users = users();
    for case in specs::appendix_a() {
        let member = |value: &Value| json!({"first": 1, "member": value, "last": 2});
        users.put("case", member(&case.original)).commit("spec").expect("put");
        users.merge("case", json!({"member": case.patch})).commit("spec").expect("merged");
        let expected = match case.patch {
            // As a member's value null removes the member.
            Value::Null => json!({"first": 1, "last": 2}),
            _ => member(&case.result),
        };
        assert_eq!(read(&users, "case"), expected, "{case:?}");
    }
}

/// A patch where nothing is, is the case in which the original is no object.
#[test]
fn appendix_a_holds_for_members_that_are_not_there() {
    let users = users();
    for case in specs::appendix_a() {
        users.put("case", json!({})).commit("spec").expect("put");
        users.merge("case", json!({"member": case.patch})).commit("spec").expect("merged");
        let mut expected = json!({});
        merge(&mut expected, &json!({"member": case.patch}));
        assert_eq!(read(&users, "case"), expected, "{case:?}");
    }
}

/// Few names, so that patches hit; odd ones, so that they hit what is hard.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => prop::sample::select(vec![
            "a", "b", "c", "aa", "a\"", "\\", "", "é", "\n", "\u{1}", "a/b", "updated", "updatedBy",
            "}{", "\":1,\"a\":", "😀",
        ])
        .prop_map(str::to_owned),
        1 => "[a-z]{1,12}",
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![0.5, -2.25, 1e300]).prop_map(Value::from),
        name().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => members(inner, 5),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>, count: usize) -> impl Strategy<Value = Value> {
    let members = prop::collection::btree_map(name(), value, 0..count);
    members.prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// A patch that leaves out, removes, repeats, replaces and merges into what is there, and adds.
fn patch_for(target: &Value) -> BoxedStrategy<Value> {
    let Value::Object(target) = target else { return value().boxed() };
    let changes: Vec<_> = target
        .iter()
        .map(|(name, value_there)| {
            let name = name.clone();
            let change = prop_oneof![
                3 => Just(None),
                2 => Just(Some(Value::Null)),
                1 => Just(Some(value_there.clone())),
                1 => value().prop_map(Some),
                4 => patch_for(value_there).prop_map(Some),
            ];
            change.prop_map(move |change| change.map(|change| (name.clone(), change))).boxed()
        })
        .collect();
    let added = prop::collection::btree_map(name(), value(), 0..3);
    (added, changes)
        .prop_map(|(added, changes)| {
            Value::Object(added.into_iter().chain(changes.into_iter().flatten()).collect())
        })
        .boxed()
}

fn document_and_patch() -> impl Strategy<Value = (Value, Value)> {
    members(value(), 7).prop_flat_map(|document| {
        let patch = patch_for(&document);
        (Just(document), patch)
    })
}

/// What the store must hold after `patch` into `document`, with the stamps taken off.
fn expected(document: &Value, patch: &Value) -> Value {
    let mut result = without_stamps(document);
    merge(&mut result, &without_stamps(patch));
    result
}

#[test]
fn a_merge_is_what_the_json_patch_crate_says() {
    let users = users();
    let config = Config { cases: 12_000, failure_persistence: None, ..Config::default() };
    proptest!(config, |((document, patch) in document_and_patch())| {
        users.put("case", &document).commit("law").expect("put");
        prop_assert_eq!(read(&users, "case"), without_stamps(&document));
        users.merge("case", &patch).commit("law").expect("merged");
        prop_assert_eq!(read(&users, "case"), expected(&document, &patch));
    });
}

#[test]
fn a_merge_into_a_sub_document_is_what_the_json_patch_crate_says() {
    let users = users();
    let sub = users.document("case").at(["around", "sub"]);
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    proptest!(config, |((document, patch) in document_and_patch())| {
        let around = |sub: &Value| json!({"a": [1], "around": {"b": 2, "sub": sub, "c": 3}});
        users.put("case", around(&document)).commit("law").expect("put");
        sub.merge(&patch).commit("law").expect("merged");
        let mut whole = read(&users, "case");
        let merged = without_stamps(&whole["around"]["sub"]);
        prop_assert_eq!(merged, expected(&document, &patch));
        whole["around"]["sub"] = Value::Object(Map::new());
        prop_assert_eq!(whole, around(&json!({})));
    });
}
