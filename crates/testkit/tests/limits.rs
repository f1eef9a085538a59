//! Every limit: what is just below it and at it is taken, what is just above it is refused.

use meldb::{
    Actor, Collection, CollectionName, DocId, Error, JsonText, Limits, Result, Store, TenantId,
    WriteResult,
    limits::{
        ACTOR_BYTES_MAX, COLLECTION_NAME_BYTES_MAX, DEPTH_CEILING, DEPTH_MAX, DOC_ID_BYTES_MAX,
        DOCUMENT_BYTES_CEILING, DOCUMENT_BYTES_MAX, GROUP_BYTES_MAX, GROUP_WRITES_MAX,
        MEMBER_NAME_BYTES_MAX, TENANT_GROUP_BYTES_MAX, TENANT_GROUP_WRITES_MAX,
        TENANT_ID_BYTES_MAX, TEXT_SLACK_BYTES,
    },
    merge::{ConflictKind, PathError, TextErrorKind},
};
use meldb_testkit::{
    fixture::{Fixture, TestClock, TestEngine, collection, users},
    futures::{block_on, start},
};
use serde_json::{Value, json};

fn users_with(limits: Limits) -> Collection {
    // The clock decides how long a stamp is.
    let builder = Store::builder().limits(limits).clock(TestClock::at(1_700_000_000_000));
    users(&builder.in_memory().expect("opened"))
}

fn defaults() -> Collection {
    users_with(Limits::default())
}

/// The three lengths around a limit, and whether each is allowed.
fn around(limit: usize) -> [(usize, bool); 3] {
    [(limit - 1, true), (limit, true), (limit + 1, false)]
}

fn assert_taken<T>(result: Result<T>, taken: bool, what: &str, refusal: impl Fn(&Error) -> bool) {
    match result {
        Ok(_) => assert!(taken, "{what}: was taken"),
        Err(error) => assert!(!taken && refusal(&error), "{what}: refused with {error:?}"),
    }
}

#[test]
fn the_defaults_are_what_is_documented() {
    let limits = Limits::default();
    assert_eq!(limits.document_bytes_max, 1_048_576);
    assert_eq!((limits.depth_max, limits.member_name_bytes_max), (64, 1_024));
    assert_eq!(limits.text_bytes_max(), 1_048_576 + 65_536);
    assert_eq!((TENANT_ID_BYTES_MAX, COLLECTION_NAME_BYTES_MAX), (64, 64));
    assert_eq!((DOC_ID_BYTES_MAX, ACTOR_BYTES_MAX), (255, 255));
    let store = Store::builder().limits(Limits { depth_max: 7, ..limits }).in_memory();
    assert_eq!(store.expect("opened").limits().depth_max, 7);
}

#[test]
fn names_are_limited_in_bytes() {
    let is_bad_name = |error: &Error| matches!(error, Error::InvalidName { .. });
    let check = |limit: usize, parse: fn(&str) -> Result<()>| {
        for (bytes, taken) in around(limit).into_iter().chain([(0, false), (1, true)]) {
            assert_taken(parse(&"a".repeat(bytes)), taken, &format!("{bytes} bytes"), is_bad_name);
        }
    };
    check(TENANT_ID_BYTES_MAX, |name| TenantId::parse(name).map(drop).map_err(Error::from));
    check(COLLECTION_NAME_BYTES_MAX, |name| {
        CollectionName::parse(name).map(drop).map_err(Error::from)
    });
    check(DOC_ID_BYTES_MAX, |name| DocId::parse(name).map(drop).map_err(Error::from));
    check(ACTOR_BYTES_MAX, |name| Actor::parse(name).map(drop).map_err(Error::from));
    assert!(Actor::parse(&"é".repeat(127)).is_ok(), "254 bytes");
    assert!(Actor::parse(&"é".repeat(128)).is_err(), "256 bytes");
}

#[test]
fn the_longest_names_work_together() {
    let store = Store::in_memory().expect("opened");
    let tenant = store.tenant("t".repeat(TENANT_ID_BYTES_MAX)).expect("a tenant id");
    let users = tenant.collection("c".repeat(COLLECTION_NAME_BYTES_MAX)).expect("a name");
    let id = "i".repeat(DOC_ID_BYTES_MAX);
    let actor = "a".repeat(ACTOR_BYTES_MAX);
    users.put(&id, json!({"n": 1})).commit(&actor).expect("put");
    users.merge(&id, json!({"m": 1})).commit(&actor).expect("merged");
    let listed: Vec<_> = users.list().map(|document| document.expect("reads")).collect();
    assert_eq!(listed[0].id().map(|found| found.as_str()), Some(id.as_str()));
    users.delete(&id).commit(&actor).expect("deleted");
}

/// Returns the length of the stored text of `{"text": ""}`.
fn overhead() -> usize {
    let written = defaults().put("ada", json!({"text": ""})).commit("a").expect("put");
    written.document.as_bytes().len()
}

fn document_of(bytes: usize) -> Value {
    json!({"text": "x".repeat(bytes - overhead())})
}

fn is_too_large(bytes: usize, limit: usize) -> impl Fn(&Error) -> bool {
    move |error| match error {
        Error::DocumentTooLarge { bytes: found, bytes_max, .. } => {
            (*found, *bytes_max) == (bytes, limit)
        }
        _ => false,
    }
}

fn check_document_bytes(users: &Collection, limit: usize) {
    for (bytes, taken) in around(limit) {
        let what = format!("{bytes} bytes");
        let put = users.put("put", document_of(bytes)).commit("a");
        assert_taken(put, taken, &what, is_too_large(bytes, limit));
        // A merge is held to the document that it makes, not to its own length.
        users.put("merged", json!({"text": "long".repeat(10)})).commit("a").expect("put");
        let merge = users.merge("merged", document_of(bytes)).commit("a");
        assert_taken(merge, taken, &what, is_too_large(bytes, limit));
    }
}

#[test]
fn a_document_is_limited_in_bytes_as_stored() {
    check_document_bytes(&defaults(), DOCUMENT_BYTES_MAX);
    let limits = Limits { document_bytes_max: 2_000, ..Limits::default() };
    check_document_bytes(&users_with(limits), 2_000);
}

#[test]
fn small_merges_cannot_grow_a_document_beyond_its_limit() {
    let limit = 2_000;
    let users = users_with(Limits { document_bytes_max: limit, ..Limits::default() });
    users.put("ada", document_of(limit - 8)).commit("a").expect("put");
    let before = users.get("ada").expect("reading works");
    // `,\n"b":12` and `,\n"b":123` are eight bytes and nine.
    let merge = users.merge("ada", json!({"b": 123})).commit("a");
    assert_taken(merge, false, "nine bytes", is_too_large(limit + 1, limit));
    assert_eq!(users.get("ada").expect("reading works"), before);
    users.merge("ada", json!({"b": 12})).commit("a").expect("eight bytes fit");
    users.merge("ada", json!({"b": 1})).commit("a").expect("seven bytes fit");
    users.merge("ada", json!({"text": null})).commit("a").expect("shrinking works");
}

#[test]
fn a_sub_document_counts_for_the_document_around_it() {
    let limit = 2_000;
    let users = users_with(Limits { document_bytes_max: limit, ..Limits::default() });
    let sub = users.document("ada").at(["sub"]);
    let put = |bytes: usize| sub.put(json!({"text": "x".repeat(bytes)})).commit("a");
    put(0).expect("put");
    let around_it = users.get("ada").expect("reading works").expect("there").as_bytes().len();
    for (bytes, taken) in around(limit) {
        assert_taken(put(bytes - around_it), taken, "put", is_too_large(bytes, limit));
        sub.put(json!({"text": ""})).commit("a").expect("put");
        let merge = sub.merge(json!({"text": "x".repeat(bytes - around_it)})).commit("a");
        assert_taken(merge, taken, "merge", is_too_large(bytes, limit));
    }
}

#[test]
fn a_json_patch_is_held_to_the_limit_on_bytes() {
    let limit = 2_000;
    let users = users_with(Limits { document_bytes_max: limit, ..Limits::default() });
    for (bytes, taken) in around(limit) {
        users.put("ada", json!({"text": ""})).commit("a").expect("put");
        let text = "x".repeat(bytes - overhead());
        let operations = json!([{"op": "replace", "path": "/text", "value": text}]);
        let patch = users.patch("ada", operations).commit("a");
        assert_taken(patch, taken, &format!("{bytes} bytes"), |error| {
            is_too_large(bytes, limit)(error)
                || is_conflict(error, ConflictKind::TooLarge { limit })
        });
    }
}

fn is_conflict(error: &Error, kind: ConflictKind) -> bool {
    matches!(error, Error::PatchConflict { source, .. } if source.kind == kind)
}

#[test]
fn a_text_is_limited_in_bytes_before_it_is_read() {
    let users = defaults();
    users.put("ada", json!({})).commit("a").expect("put");
    let limit = DOCUMENT_BYTES_MAX + TEXT_SLACK_BYTES;
    for (bytes, taken) in around(limit) {
        let padded = |text: &str| JsonText(format!("{}{text}", " ".repeat(bytes - text.len())));
        let refusal = |error: &Error| match error {
            Error::TextTooLarge { bytes: found, bytes_max, .. } => {
                (*found, *bytes_max) == (bytes, limit)
            }
            _ => false,
        };
        let put = users.put("ada", padded(r#"{"n":1}"#)).commit("a");
        assert_taken(put, taken, "put", refusal);
        let merge = users.merge("ada", padded(r#"{"n":1}"#)).commit("a");
        assert_taken(merge, taken, "merge", refusal);
        assert_taken(users.patch("ada", padded("[]")).commit("a"), taken, "patch", refusal);
    }
    // Not read: it is no JSON, and its length is what is said of it.
    let noise = users.put("ada", JsonText("[".repeat(limit + 1))).commit("a");
    assert_taken(noise, false, "noise", |error| matches!(error, Error::TextTooLarge { .. }));
}

/// An object of so many levels.
fn nested(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

/// A value of so many levels, in arrays.
fn nested_array(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

fn is_too_deep(limit: usize) -> impl Fn(&Error) -> bool {
    move |error| match error {
        Error::InvalidText(text) => *text.kind() == TextErrorKind::TooDeep { limit },
        _ => false,
    }
}

fn put_nested(users: &Collection, levels: usize) -> Result<WriteResult> {
    users.put("ada", JsonText(nested(levels))).commit("a")
}

#[test]
fn nesting_is_limited() {
    let users = defaults();
    for (levels, taken) in around(DEPTH_MAX) {
        let what = format!("{levels} levels");
        assert_taken(put_nested(&users, levels), taken, &what, is_too_deep(DEPTH_MAX));
        let arrays = JsonText(format!("{{\"a\":{}}}", nested_array(levels - 1)));
        let put = users.put("ada", arrays).commit("a");
        assert_taken(put, taken, &what, is_too_deep(DEPTH_MAX));
        users.put("ada", json!({})).commit("a").expect("put");
        let merge = users.merge("ada", JsonText(nested(levels))).commit("a");
        assert_taken(merge, taken, &what, is_too_deep(DEPTH_MAX));
    }
}

#[test]
fn the_limit_on_nesting_can_be_set_from_one_to_its_ceiling() {
    for limit in [1, 5, DEPTH_CEILING] {
        let users = users_with(Limits { depth_max: limit, ..Limits::default() });
        assert!(put_nested(&users, limit + 1).is_err(), "{limit}");
        let at_limit = match limit {
            1 => users.put("ada", json!({"a": 1})).commit("a"),
            _ => put_nested(&users, limit),
        };
        at_limit.expect("at the limit");
        users.merge("ada", json!({"b": 1})).commit("a").expect("merged");
        assert!(users.exists("ada").expect("reading works"));
    }
}

#[test]
fn what_nests_as_deep_as_allowed_can_be_read_as_a_value() {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Nested {
        Object { a: Box<Nested> },
        Number(u8),
    }
    let users = users_with(Limits { depth_max: DEPTH_CEILING, ..Limits::default() });
    for levels in [126, 127, 128, 129, DEPTH_CEILING] {
        let written = put_nested(&users, levels).expect("put").document;
        let value: Value = written.to().expect("read");
        let depth = std::iter::successors(value.get("a"), |value| value.get("a")).count();
        assert_eq!(depth, levels);
        assert_eq!(users.get_as::<Value>("ada").expect("read"), Some(value));
        let nested: Nested = users.get_as("ada").expect("read").expect("it is there");
        let mut inner = &nested;
        let mut depth = 0;
        while let Nested::Object { a } = inner {
            (inner, depth) = (a, depth + 1);
        }
        assert_eq!(depth, levels);
        assert!(matches!(inner, Nested::Number(1)));
        let misfit = users.get_as::<Vec<u8>>("ada");
        assert!(matches!(misfit, Err(Error::Deserialize { .. })), "{misfit:?}");
    }
    let arrays = JsonText(format!("{{\"a\":{}}}", nested_array(DEPTH_CEILING - 1)));
    let written = users.put("ada", arrays).commit("a").expect("put").document;
    let value: Value = written.to().expect("read");
    let depth = std::iter::successors(value.get("a"), |value| value.get(0)).count();
    assert_eq!(depth, DEPTH_CEILING - 1);
}

#[test]
fn a_sub_document_may_nest_as_deep_as_the_document_allows() {
    let users = defaults();
    let sub = users.document("ada").at(["versions", "current"]);
    let limit = DEPTH_MAX - 2;
    for (levels, taken) in around(limit) {
        let what = format!("{levels} levels");
        let put = sub.put(JsonText(nested(levels))).commit("a");
        assert_taken(put, taken, &what, is_too_deep(limit));
        sub.put(json!({})).commit("a").expect("put");
        let merge = sub.merge(JsonText(nested(levels))).commit("a");
        assert_taken(merge, taken, &what, is_too_deep(limit));
        let value = nested_array(levels - 1);
        let operations = format!(r#"[{{"op":"add","path":"/b","value":{value}}}]"#);
        let patch = sub.patch(JsonText(operations)).commit("a");
        assert_taken(patch, taken, &what, |error| {
            is_conflict(error, ConflictKind::TooDeep { limit })
                || matches!(error, Error::InvalidText(_))
        });
    }
}

#[test]
fn a_json_patch_cannot_nest_a_document_beyond_its_limit() {
    let users = defaults();
    let too_deep = |error: &Error| is_conflict(error, ConflictKind::TooDeep { limit: DEPTH_MAX });
    for (levels, taken) in around(DEPTH_MAX) {
        let what = format!("{levels} levels");
        // Two halves, each allowed by itself: the patch moves one to the end of the other.
        let half = 30;
        let rest = levels - half;
        let document = format!(r#"{{"x":{},"y":{}}}"#, nested(half - 1), nested_array(rest));
        users.put("ada", JsonText(document)).commit("a").expect("put");
        let end = format!("/x{}", "/a".repeat(half - 1));
        let operations = json!([{"op": "move", "from": "/y", "path": end}]);
        let patch = users.patch("ada", operations).commit("a");
        assert_taken(patch, taken, &what, too_deep);
    }
}

#[test]
fn a_path_to_a_sub_document_is_limited_in_levels() {
    let users = defaults();
    for (levels, taken) in around(DEPTH_MAX - 1) {
        let sub = users.document("ada").at(vec!["a"; levels]);
        let put = sub.put(json!({"n": 1})).commit("a");
        assert_taken(put, taken, &format!("{levels} names"), |error| {
            matches!(error, Error::InvalidMemberPath(PathError::TooDeep { limit: DEPTH_MAX }))
        });
    }
}

#[test]
fn member_names_are_limited_in_bytes_after_unescaping() {
    let users = defaults();
    users.put("ada", json!({})).commit("a").expect("put");
    let limit = MEMBER_NAME_BYTES_MAX;
    let too_long = |error: &Error| match error {
        Error::InvalidText(text) => *text.kind() == TextErrorKind::NameTooLong { limit },
        Error::InvalidMemberPath(error) => *error == PathError::NameTooLong { limit },
        error => is_conflict(error, ConflictKind::NameTooLong { limit }),
    };
    for (bytes, taken) in around(limit) {
        let name = "n".repeat(bytes);
        let put = users.put("ada", json!({ name.as_str(): 1 })).commit("a");
        assert_taken(put, taken, "put", too_long);
        let nested = users.put("ada", json!({"a": [{ name.as_str(): 1 }]})).commit("a");
        assert_taken(nested, taken, "nested", too_long);
        let merge = users.merge("ada", json!({ name.as_str(): 1 })).commit("a");
        assert_taken(merge, taken, "merge", too_long);
        let escaped = JsonText(format!("{{\"{}\":1}}", "\\u006e".repeat(bytes)));
        assert_taken(users.put("ada", escaped).commit("a"), taken, "escaped", too_long);
        let operations = json!([{"op": "add", "path": format!("/{name}"), "value": 1}]);
        assert_taken(users.patch("ada", operations).commit("a"), taken, "patch", too_long);
        let sub = users.document("ada").at([name]);
        assert_taken(sub.put(json!({})).commit("a"), taken, "sub-document", too_long);
    }
    let two_bytes = users.put("ada", json!({ ("é".repeat(limit / 2 + 1)): 1 })).commit("a");
    assert_taken(two_bytes, false, "characters of two bytes", too_long);
}

#[test]
fn a_document_of_the_largest_size_that_can_be_set_works() {
    let limit = DOCUMENT_BYTES_CEILING;
    let users = users_with(Limits { document_bytes_max: limit, ..Limits::default() });
    let text = |bytes: usize| "x".repeat(bytes - overhead());
    let put = users.put("ada", json!({"text": text(limit)})).commit("a").expect("put");
    assert_eq!(put.document.as_bytes().len(), limit);
    users.merge("ada", json!({"text": "", "n": 1})).commit("a").expect("merged");
    users.merge("ada", json!({"n": null})).commit("a").expect("merged");
    let merge = users.merge("ada", json!({"text": text(limit + 1)})).commit("a");
    assert_taken(merge, false, "a byte too many", is_too_large(limit + 1, limit));
}

/// Lets `count` writes of a text, of so many tenants, wait behind one that is held, and returns how many
/// commits they took.
fn commits_of(engine: TestEngine, tenants: usize, count: usize, text: &str) -> usize {
    let fixture = Fixture::new(engine);
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = |n: usize| collection(&store, &format!("tenant-{n}"), "users");
    record.hold();
    let first = start(users(0).put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let waiting: Vec<_> = (0..count)
        .map(|n| {
            let text = JsonText(text.to_owned());
            start(users(n % tenants).put(format!("{n}").as_str(), text).commit_async("a"))
        })
        .collect();
    record.release();
    block_on(first).expect("put");
    for write in waiting {
        block_on(write).expect("put");
    }
    record.commits() - 1
}

#[test]
fn a_group_is_limited_in_writes() {
    let commits = |tenants, count| commits_of(TestEngine::Memory, tenants, count, "{}");
    assert_eq!(commits(8, GROUP_WRITES_MAX), 1);
    assert_eq!(commits(8, GROUP_WRITES_MAX + 1), 2);
    assert_eq!(commits(1, TENANT_GROUP_WRITES_MAX), 1);
    assert_eq!(commits(1, TENANT_GROUP_WRITES_MAX + 1), 2);
}

#[test]
fn a_group_is_limited_in_bytes() {
    let text = format!("{{{}}}", " ".repeat((1 << 20) - 2));
    let (full, share) = (GROUP_BYTES_MAX / text.len(), TENANT_GROUP_BYTES_MAX / text.len());
    let commits = |tenants, count| commits_of(TestEngine::Memory, tenants, count, &text);
    assert_eq!(commits(full + 1, full), 1);
    assert_eq!(commits(full + 1, full + 1), 2);
    assert_eq!(commits(1, share), 1);
    assert_eq!(commits(1, share + 1), 2);
}
