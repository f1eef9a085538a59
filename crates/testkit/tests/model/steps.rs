//! What is done to the store, step by step.

use meldb::{Depth, Nulls};
use proptest::prelude::*;
use serde_json::{Value, json};

pub const TENANTS: [&str; 2] = ["alpha", "alpha-2"];
pub const COLLECTIONS: [&str; 2] = ["bots", "users"];
pub const IDS: [&str; 4] = ["a", "a-", "aa", "b"];
/// The way to the sub-document that some steps are about.
pub const SUB: [&str; 2] = ["sub", "x"];

/// Which document of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub tenant: usize,
    /// Collection and id; the tenant's own document is `None`.
    pub member: Option<(usize, usize)>,
}

/// A condition, in terms of the document as it is.
#[derive(Clone, Copy, Debug)]
pub enum When {
    Any,
    Absent,
    Present,
    /// The revision that it has.
    Current,
    /// The revision before that.
    Stale,
}

#[derive(Clone, Debug)]
pub enum Verb {
    Put(Value),
    Merge { patch: Value, nulls: Nulls, depth: Depth, skip_unchanged: bool },
    Patch(Value),
    Delete,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Change {
    pub target: Target,
    pub sub: bool,
    pub verb: Verb,
    pub when: When,
}

#[derive(Clone, Debug)]
pub enum Step {
    Write(Change),
    /// Of one tenant, together or not at all.
    Batch {
        tenant: usize,
        changes: Vec<Change>,
    },
    List {
        tenant: usize,
        collection: usize,
        after: Option<usize>,
        count: usize,
    },
    Sync,
    Reopen,
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..5_i64).prop_map(Value::from),
        Just(json!("text\n\"é")),
        Just(json!([1, {"a": null}])),
        Just(json!(true)),
        // Stored in another way by some engines.
        Just(json!("long ".repeat(1_200))),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "sub", "x"]).prop_map(str::to_owned)
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(name(), value, 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => scalar(), 1 => Just(Value::Null)];
    leaf.prop_recursive(3, 12, 4, object)
}

fn patch() -> impl Strategy<Value = Value> {
    object(prop_oneof![2 => value(), 1 => Just(Value::Null)])
}

fn operation() -> impl Strategy<Value = Value> {
    let pointer = prop::sample::select(vec!["/a", "/b", "/sub/a", "/sub/x", "/sub/x/a", "/c/0"]);
    (pointer.clone(), pointer, value(), 0..6).prop_map(|(path, from, value, kind)| match kind {
        0 => json!({"op": "add", "path": path, "value": value}),
        1 => json!({"op": "remove", "path": path}),
        2 => json!({"op": "replace", "path": path, "value": value}),
        3 => json!({"op": "move", "from": from, "path": path}),
        4 => json!({"op": "copy", "from": from, "path": path}),
        _ => json!({"op": "test", "path": path, "value": value}),
    })
}

fn verb() -> impl Strategy<Value = Verb> {
    let nulls = prop_oneof![3 => Just(Nulls::Remove), 1 => Just(Nulls::Keep)];
    let depth = prop_oneof![3 => Just(Depth::Deep), 1 => Just(Depth::Shallow)];
    prop_oneof![
        4 => object(value()).prop_map(Verb::Put),
        6 => (patch(), nulls, depth, any::<bool>()).prop_map(|(patch, nulls, depth, skip)| {
            Verb::Merge { patch, nulls, depth, skip_unchanged: skip }
        }),
        2 => prop::collection::vec(operation(), 0..3).prop_map(|all| Verb::Patch(all.into())),
        2 => Just(Verb::Delete),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let member = prop::option::weighted(0.9, (0..COLLECTIONS.len(), 0..IDS.len()));
    (0..TENANTS.len(), member).prop_map(|(tenant, member)| Target { tenant, member })
}

fn change() -> impl Strategy<Value = Change> {
    let when = prop_oneof![
        6 => Just(When::Any),
        1 => Just(When::Absent),
        1 => Just(When::Present),
        2 => Just(When::Current),
        1 => Just(When::Stale),
    ];
    (target(), prop::bool::weighted(0.25), verb(), when)
        .prop_map(|(target, sub, verb, when)| Change { target, sub, verb, when })
}

/// A step of any kind, whatever the store holds.
pub fn step() -> impl Strategy<Value = Step> {
    // Changes of a batch have to succeed mostly, or no batch would.
    let batch = (0..TENANTS.len(), prop::collection::vec(change(), 0..6)).prop_map(
        |(tenant, mut changes)| {
            for (number, change) in changes.iter_mut().enumerate() {
                change.target.tenant = tenant;
                if number % 3 != 2 {
                    change.when = When::Any;
                    if let Verb::Delete | Verb::Patch(_) = change.verb {
                        change.verb = Verb::Put(json!({"a": 1, "sub": {"x": {"a": 2}}}));
                    }
                }
            }
            Step::Batch { tenant, changes }
        },
    );
    let after = prop::option::of(0..IDS.len());
    let list = (0..TENANTS.len(), 0..COLLECTIONS.len(), after, 1..6_usize).prop_map(
        |(tenant, collection, after, count)| Step::List { tenant, collection, after, count },
    );
    prop_oneof![
        30 => change().prop_map(Step::Write),
        8 => batch,
        3 => list,
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}
