//! Conditions on members against a model that keeps every state that a document ever had.

use std::collections::BTreeMap;

use meldb::{Condition, DocumentRef, Error, Revision, Store};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// What is done to the one document.
#[derive(Clone, Debug)]
enum Step {
    Put(Value),
    Merge(Value),
    Delete,
    /// A merge on the condition that nothing it touches has changed for so many revisions.
    MergeUnchanged {
        patch: Value,
        back: u64,
    },
}

/// Values whose equal ones have equal bytes: no object in a member has two members, so that their
/// order cannot differ.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => (0..3_u64).prop_map(Value::from), 1 => Just(json!([1]))];
    leaf.prop_recursive(
        2,
        4,
        1,
        |inner| prop_oneof![3 => inner.prop_map(|value| json!({"x": value})), 1 => Just(json!({}))],
    )
}

fn members(null: u32) -> impl Strategy<Value = Value> {
    let member = prop_oneof![8 => value(), null => Just(Value::Null)];
    let name = prop::sample::select(vec!["a", "b", "c/~"]).prop_map(str::to_owned);
    prop::collection::btree_map(name, member, 0..3)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Patches may have nulls further down as well.
fn patch() -> impl Strategy<Value = Value> {
    (members(3), any::<bool>()).prop_map(|(mut patch, remove)| {
        if remove && let Some(Value::Object(inner)) = patch.get_mut("a") {
            inner.insert("x".to_owned(), Value::Null);
        }
        patch
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => members(0).prop_map(Step::Put),
        4 => patch().prop_map(Step::Merge),
        1 => Just(Step::Delete),
        8 => (patch(), 0..8_u64).prop_map(|(patch, back)| Step::MergeUnchanged { patch, back }),
    ]
}

/// By revision, what the document was from then on; `None` when it was not there.
type History = BTreeMap<u64, Option<Value>>;

/// Returns the pointers of what `patch` writes, or what stands in its way, where that differs,
/// with what is there now.
fn collisions(patch: &Value, before: &Value, after: &Value) -> Vec<(String, Option<Value>)> {
    let mut found = Vec::new();
    collide(patch, Some(before), Some(after), &mut String::new(), &mut found);
    found
}

fn collide(
    patch: &Value,
    before: Option<&Value>,
    after: Option<&Value>,
    pointer: &mut String,
    found: &mut Vec<(String, Option<Value>)>,
) {
    for (name, wanted) in patch.as_object().expect("an object") {
        let inside = |value: Option<&Value>| value.and_then(|value| value.get(name)).cloned();
        let (before, after) = (inside(before), inside(after));
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let is_way = |value: &Option<Value>| value.as_ref().is_none_or(Value::is_object);
        let leads_on = wanted.as_object().is_some_and(|members| !members.is_empty());
        if leads_on && is_way(&before) && is_way(&after) {
            collide(wanted, before.as_ref(), after.as_ref(), pointer, found);
        } else if before != after {
            found.push((pointer.clone(), after));
        }
        pointer.truncate(length);
    }
}

struct World {
    document: DocumentRef,
    history: History,
}

impl World {
    fn new() -> Self {
        let store = Store::in_memory().expect("a store");
        let tenant = store.tenant("t").expect("a name");
        let document = tenant.collection("c").expect("a name").document("doc");
        // The first condition of this kind makes the store remember, so it comes before all.
        let condition = Condition::Unchanged { since: Revision::ZERO };
        document.put(json!({"a": 1})).condition(condition).commit("test").expect("put");
        let history = History::from([(0, None), (1, Some(json!({"a": 1})))]);
        Self { document, history }
    }

    fn now(&self) -> (u64, Option<Value>) {
        let (revision, state) = self.history.last_key_value().expect("never empty");
        (*revision, state.clone())
    }

    fn run(&mut self, step: Step) {
        let (last, state) = self.now();
        match step {
            Step::Put(value) => {
                let made = self.document.put(value.clone()).commit("test").expect("put");
                self.history.insert(made.revision().get(), Some(value));
            }
            Step::Delete => match (self.document.delete().commit("test"), state) {
                (Ok(deleted), Some(_)) => drop(self.history.insert(deleted.revision.get(), None)),
                (Err(Error::NotFound { .. }), None) => {}
                (other, state) => panic!("{other:?} of {state:?}"),
            },
            Step::Merge(patch) => {
                match (self.document.merge(patch.clone()).commit("test"), state) {
                    (Ok(made), Some(state)) => self.merged(made.revision().get(), state, &patch),
                    (Err(Error::NotFound { .. }), None) => {}
                    (other, state) => panic!("{other:?} of {state:?}"),
                }
            }
            Step::MergeUnchanged { patch, back } => self.merge_unchanged(patch, last, back, state),
        }
    }

    fn merged(&mut self, revision: u64, mut state: Value, patch: &Value) {
        json_patch::merge(&mut state, patch);
        self.history.insert(revision, Some(state));
    }

    fn merge_unchanged(&mut self, patch: Value, last: u64, back: u64, state: Option<Value>) {
        let since = last.saturating_sub(back);
        let condition = Condition::Unchanged { since: Revision::new(since) };
        let merge = self.document.merge(patch.clone()).condition(condition).commit("test");
        let then = self.history.range(..=since).next_back().and_then(|(_, then)| then.clone());
        match (merge, state, then) {
            (Err(Error::NotFound { .. }), None, _) => {}
            (Ok(made), Some(state), Some(then)) => {
                assert_eq!(collisions(&patch, &then, &state), [], "{patch} since {since}");
                self.merged(made.revision().get(), state, &patch);
            }
            (Err(Error::MembersChanged { members, found, .. }), Some(state), Some(then)) => {
                assert_eq!(found.get(), last);
                let current = |text: &String| serde_json::from_str(text).expect("JSON");
                let named = members.iter();
                let named: Vec<(String, Option<Value>)> = named
                    .map(|member| (member.pointer.clone(), member.current.as_ref().map(current)))
                    .collect();
                assert!(!named.is_empty());
                let sorted = |mut all: Vec<(String, Option<Value>)>| {
                    all.sort_by(|a, b| a.0.cmp(&b.0));
                    all
                };
                assert_eq!(sorted(named), sorted(collisions(&patch, &then, &state)));
            }
            // It was not there then: the store has nothing to compare with.
            (Err(Error::RevisionMismatch { expected, found, .. }), Some(_), None) => {
                assert_eq!((expected.get(), found.map(Revision::get)), (since, Some(last)));
            }
            (other, state, then) => {
                panic!("{other:?}: {patch} since {since}, {then:?} to {state:?}")
            }
        }
        let (_, state) = self.now();
        let stored = self.document.get().expect("reads").map(|document| {
            let mut value: Map<String, Value> = document.to().expect("JSON");
            value.remove("updated");
            value.remove("updatedBy");
            Value::Object(value)
        });
        assert_eq!(stored, state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_collides_exactly_with_what_has_changed_of_what_it_touches(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.run(step));
    }
}
