//! Random histories against a list of everything that was ever written.

use std::{collections::BTreeMap, time::Duration};

use meldb::{
    Actor, ChangeCursor, ChangeKind, Collection, Document, Durability, Error, Expiry, History,
    Revision, Store, Tenant,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{clock::TestClock, place::Place};

const IDS: [&str; 3] = ["ada", "bob", "cyd"];
const ACTORS: [&str; 3] = ["ann", "ben", "cat"];
const KEPT_MS: u64 = 1000;

#[derive(Clone, Debug)]
enum Step {
    Put { id: usize, value: Value, expires: bool },
    Merge { id: usize, patch: Value },
    Patch { id: usize, field: &'static str, value: Value },
    PutPart { id: usize, value: Value },
    Delete { id: usize },
    Batch { ids: Vec<usize>, patch: Value },
    Undo { id: usize, back: usize },
    Revert { id: usize, back: usize },
    UndoBy { actor: usize, back: u64 },
    Advance { by_ms: u64 },
    Housekeep,
    Checkpoint,
    Reopen,
}

/// One version, as the test has seen it.
#[derive(Clone, Debug)]
struct Seen {
    revision: Revision,
    kind: ChangeKind,
    updated_ms: u64,
    updated_by: String,
    /// What it left.
    text: Option<String>,
    /// What a reader finds in the row before it, expired or not.
    before: Option<String>,
}

impl Seen {
    fn fields(&self) -> Vec<String> {
        let (Some(before), Some(after)) = (value(&self.before), value(&self.text)) else {
            return vec![String::new()];
        };
        let mut fields = Vec::new();
        changed(&before, &after, "", &mut fields);
        fields
    }
}

fn value(text: &Option<String>) -> Option<Value> {
    let mut value: Value = serde_json::from_str(text.as_ref()?).expect("JSON");
    let fields = value.as_object_mut().expect("an object");
    fields.remove("updated");
    fields.remove("updatedBy");
    Some(value)
}

fn changed(before: &Value, after: &Value, pointer: &str, fields: &mut Vec<String>) {
    let (Value::Object(one), Value::Object(other)) = (before, after) else {
        if before != after {
            fields.push(pointer.to_owned());
        }
        return;
    };
    if !pointer.is_empty() && (one.is_empty() || other.is_empty()) {
        if one != other {
            fields.push(pointer.to_owned());
        }
        return;
    }
    let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    for name in names {
        let pointer = format!("{pointer}/{name}");
        match (one.get(name), other.get(name)) {
            (Some(one), Some(other)) => changed(one, other, &pointer, fields),
            _ => fields.push(pointer),
        }
    }
}

fn overlaps(one: &str, other: &str) -> bool {
    let (one, other) = (format!("{one}/"), format!("{other}/"));
    one.starts_with(&other) || other.starts_with(&one)
}

fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if pointer.is_empty() || !fields.is_empty() => {
            for (name, value) in fields {
                leaves(value, &format!("{pointer}/{name}"), found);
            }
        }
        _ => found.push(pointer.to_owned()),
    }
}

/// Sets or removes what a pointer leads to.
fn set(value: &mut Value, pointer: &str, to: Option<&Value>) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    match to {
        Some(to) => drop(parent.insert(name.to_owned(), to.clone())),
        None => drop(parent.remove(name)),
    }
}

struct World {
    place: Place,
    clock: TestClock,
    store: Option<Store>,
    seen: BTreeMap<&'static str, Vec<Seen>>,
    /// When the earliest entries are from that may be there.
    kept_since_ms: u64,
    actor: usize,
}

impl World {
    fn new(place: Place) -> Self {
        let mut world = Self {
            place,
            clock: TestClock::new(10_000),
            store: None,
            seen: IDS.into_iter().map(|id| (id, Vec::new())).collect(),
            kept_since_ms: 0,
            actor: 0,
        };
        world.open();
        let kept = History::for_duration(Duration::from_millis(KEPT_MS));
        world.users().set_history(kept, "admin").expect("set");
        world
    }

    fn open(&mut self) {
        drop(self.store.take());
        let builder = Store::builder().durability(Durability::Buffered).clock(self.clock.clone());
        let store = builder.memory_bytes(4 << 20).tombstone_retention(Duration::from_millis(1));
        self.store = Some(self.place.open(store));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    fn tenant(&self) -> Tenant {
        self.store().tenant("acme").expect("a tenant")
    }

    fn users(&self) -> Collection {
        self.tenant().collection("users").expect("a collection")
    }

    fn actor(&mut self) -> &'static str {
        self.actor += 1;
        ACTORS[self.actor % ACTORS.len()]
    }

    /// Takes in what was written, from the change feed, which does not know of history.
    fn look(&mut self, after: Revision) {
        let changes = self.tenant().changes(ChangeCursor::START).with_documents();
        let changes: Vec<_> = changes.collect::<Result<_, _>>().expect("changes");
        for change in changes.into_iter().filter(|change| change.revision > after) {
            let id = change.path.to_string();
            let Some(id) = IDS.into_iter().find(|known| id.ends_with(known)) else { continue };
            let seen = self.seen.get_mut(id).expect("known");
            let before = seen.last().and_then(|last| last.text.clone());
            // One that has expired meanwhile is not given.
            let text = change.document.map(|document| document.as_text().expect("text").to_owned());
            seen.push(Seen {
                revision: change.revision,
                kind: change.kind,
                updated_ms: change.updated_ms,
                updated_by: change.updated_by.to_string(),
                text,
                before,
            });
        }
    }

    fn latest(&self) -> Revision {
        self.tenant().last_revision().expect("read")
    }

    fn run(&mut self, step: &Step) {
        let (before, actor) = (self.latest(), self.actor());
        let users = self.users();
        match step {
            Step::Put { id, value, expires } => {
                let expiry = match expires {
                    true => Expiry::At(self.clock.now().max(1) + 7),
                    false => Expiry::Never,
                };
                users.put(IDS[*id], value).expiry(expiry).commit(actor).expect("put");
            }
            Step::Merge { id, patch } => found(users.merge(IDS[*id], patch).commit(actor)),
            Step::Patch { id, field, value } => {
                let patch = json!([{ "op": "add", "path": format!("/{field}"), "value": value }]);
                found(users.patch(IDS[*id], patch).commit(actor));
            }
            Step::PutPart { id, value } => {
                if users.get(IDS[*id]).expect("read").is_some() {
                    users.document(IDS[*id]).at(["part"]).put(value).commit(actor).expect("put");
                }
            }
            Step::Delete { id } => found(users.delete(IDS[*id]).commit(actor)),
            Step::Batch { ids, patch } => {
                // Several writes of a document in one commit leave one change, which the model would not see.
                let mut batch = self.tenant().batch();
                let ids: std::collections::BTreeSet<_> = ids.iter().collect();
                for id in ids {
                    batch.push(users.put(IDS[*id], patch));
                }
                if !batch.is_empty() {
                    batch.commit(actor).expect("a batch");
                }
            }
            Step::Undo { id, back } => self.undo(IDS[*id], *back, actor),
            Step::Revert { id, back } => self.revert(IDS[*id], *back, actor),
            Step::UndoBy { actor: by, back } => self.undo_by(ACTORS[*by], *back, actor),
            Step::Advance { by_ms } => self.clock.advance(*by_ms),
            Step::Housekeep => {
                self.store().housekeep().expect("housekeeping");
                self.kept_since_ms = self.clock.now().saturating_sub(KEPT_MS);
            }
            Step::Checkpoint => self.store().checkpoint().expect("a checkpoint"),
            Step::Reopen => {
                drop(users);
                self.open();
            }
        }
        self.look(before);
    }

    /// Returns the versions of a document that must be kept.
    fn kept(&self, id: &str) -> Vec<&Seen> {
        let kept = self.seen[id].iter().filter(|seen| seen.updated_ms >= self.kept_since_ms);
        kept.collect()
    }

    fn exists(&self, id: &str) -> Option<Document> {
        self.users().get(id).expect("read")
    }

    /// Returns the version so many writes back, if there are so many that must be kept.
    fn back(&self, id: &str, back: usize) -> Option<Seen> {
        self.kept(id).into_iter().rev().nth(back).cloned()
    }

    fn undo(&mut self, id: &str, back: usize, actor: &str) {
        let Some(target) = self.back(id, back) else { return };
        let fields = target.fields();
        let later = self.seen[id].iter().filter(|seen| seen.revision > target.revision);
        let again: Vec<_> = later.flat_map(Seen::fields).collect();
        let conflicts = again.iter().any(|again| fields.iter().any(|field| overlaps(field, again)));
        let current = self.exists(id);
        let undo = self.users().document(id).undo(target.revision);
        if conflicts {
            assert!(matches!(undo, Err(Error::UndoConflict { .. })), "{undo:?}");
            return;
        }
        let undo = undo.expect("it can be undone").commit(actor);
        let before = value(&target.before);
        let expected = match fields.iter().any(String::is_empty) {
            true => before,
            false => current.as_ref().map(|current| {
                let mut now = value(&Some(current.as_text().expect("text").to_owned()));
                let now = now.as_mut().expect("it exists");
                for field in &fields {
                    set(now, field, before.as_ref().expect("it existed").pointer(field));
                }
                now.clone()
            }),
        };
        // What has expired, or was never there, cannot be changed or deleted.
        match (&expected, &current) {
            (None, None) => found(undo),
            (Some(_), None) if !fields.iter().any(String::is_empty) => drop(undo),
            (expected, _) => {
                undo.expect("undone");
                assert_eq!(self.now(id), *expected);
            }
        }
    }

    fn now(&self, id: &str) -> Option<Value> {
        value(&self.exists(id).map(|document| document.as_text().expect("text").to_owned()))
    }

    fn revert(&mut self, id: &str, back: usize, actor: &str) {
        let Some(target) = self.back(id, back) else { return };
        let existed = self.exists(id).is_some();
        let revert = self.users().document(id).revert_to(target.revision).expect("it is kept");
        let reverted = revert.commit(actor);
        match (&target.text, existed) {
            (None, false) => found(reverted),
            (text, _) => {
                reverted.expect("reverted");
                assert_eq!(self.now(id), value(text));
            }
        }
    }

    /// Undoes what an actor has done, and looks that nothing of others has changed.
    fn undo_by(&mut self, by: &str, back: u64, actor: &str) {
        let since = Revision::new(self.latest().get().saturating_sub(back));
        let earliest_kept = self.seen.values().flatten();
        let is_kept = |seen: &Seen| seen.updated_ms >= self.kept_since_ms || seen.revision <= since;
        if !earliest_kept.clone().all(is_kept) {
            return;
        }
        let undo = match self.tenant().undo_by(&Actor::parse(by).expect("an actor"), since) {
            Ok(undo) => undo,
            Err(error) => panic!("{error}"),
        };
        let (undone, left) = (undo.undone.clone(), undo.left.clone());
        // Every field that the actor has changed is in one of the two.
        let mut told: Vec<_> =
            undone.iter().chain(&left).map(|one| (one.revision, one.field.clone())).collect();
        told.sort();
        let mine = self.seen.values().flatten();
        let mine = mine.filter(|seen| seen.revision > since && seen.updated_by == by);
        let mut expected: Vec<_> = mine
            .flat_map(|seen| seen.fields().into_iter().map(|field| (seen.revision, field)))
            .collect();
        expected.sort();
        assert_eq!(told, expected);
        for id in IDS {
            let later = |revision: Revision| {
                let later = self.seen[id].iter().filter(move |seen| seen.revision > revision);
                later.filter(|seen| seen.updated_by != by).flat_map(Seen::fields)
            };
            for one in undone.iter().filter(|one| one.path.to_string().ends_with(id)) {
                assert!(!later(one.revision).any(|field| overlaps(&field, &one.field)), "{one:?}");
            }
        }
        if !undo.batch.is_empty() {
            undo.batch.commit(actor).expect("undone");
        }
    }

    /// Compares everything that history tells with what was seen.
    fn check(&self) {
        let users = self.users();
        for id in IDS {
            let document = users.document(id);
            let told: Vec<_> = document.history().collect::<Result<_, _>>().expect("history");
            let kept = self.kept(id);
            assert!(told.len() >= kept.len(), "{id}: {told:?} {kept:?}");
            let all: Vec<_> = self.seen[id].iter().rev().collect();
            for (version, seen) in told.iter().zip(&all) {
                assert_eq!(version.revision, seen.revision, "{id}");
                assert_eq!(version.kind, seen.kind);
                assert_eq!(version.updated_ms, seen.updated_ms);
                assert_eq!(version.updated_by.as_str(), seen.updated_by);
                assert_eq!(version.fields, seen.fields(), "{id}: {seen:?}");
                let there = document.at_revision(version.revision).expect("it is kept");
                let there = there.map(|document| document.as_text().expect("text").to_owned());
                assert_eq!(there, seen.text, "{id} at {}", seen.revision);
                let at_time = document.at_time(seen.updated_ms).expect("it is kept");
                let last = self.seen[id].iter().rev().find(|one| one.updated_ms <= seen.updated_ms);
                let last = last.and_then(|last| last.text.clone());
                let at_time = at_time.map(|document| document.as_text().expect("text").to_owned());
                assert_eq!(at_time, last, "{id} at the time of {}", seen.revision);
            }
            self.check_blame(id, &all, told.len());
        }
        let writes: Vec<_> =
            self.tenant().writes(Revision::ZERO).collect::<Result<_, _>>().expect("writes");
        assert!(writes.is_sorted_by_key(|write| write.revision));
        let mut expected: Vec<_> = IDS.iter().flat_map(|id| self.kept(id)).collect();
        expected.sort_by_key(|seen| seen.revision);
        let told: Vec<_> =
            writes.iter().filter(|write| write.updated_ms >= self.kept_since_ms).collect();
        assert_eq!(told.len(), expected.len());
        for (write, seen) in told.iter().zip(expected) {
            assert_eq!((write.revision, &write.fields), (seen.revision, &seen.fields()));
        }
    }

    fn check_blame(&self, id: &str, all: &[&Seen], told: usize) {
        let Some(blame) = self.users().document(id).blame().expect("blame") else {
            assert!(self.exists(id).is_none());
            return;
        };
        let now =
            value(&Some(blame.document.as_text().expect("text").to_owned())).expect("it exists");
        let mut expected = Vec::new();
        leaves(&now, "", &mut expected);
        let mut found: Vec<_> = blame.fields.iter().map(|field| field.pointer.clone()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        for field in &blame.fields {
            let is_set =
                |seen: &&&Seen| seen.fields().iter().any(|set| overlaps(set, &field.pointer));
            let naive = all.iter().take(told).find(is_set).map(|seen| seen.revision);
            assert_eq!(field.set_by.as_ref().map(|by| by.revision), naive, "{id}{}", field.pointer);
        }
    }
}

/// Takes a write that may have found no document.
fn found<T>(result: Result<T, Error>) {
    match result {
        Ok(_) | Err(Error::NotFound { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![json!(1), json!(2), json!("x"), json!([1, 2]), json!({})]);
    let part =
        prop::collection::btree_map(prop::sample::select(vec!["x", "y"]), leaf.clone(), 0..3);
    let part = part.prop_map(|fields| json!(fields));
    let field = prop::sample::select(vec!["a", "b", "part"]);
    let any = prop_oneof![leaf, part];
    prop::collection::btree_map(field, any, 0..4).prop_map(|fields| json!(fields))
}

fn patches() -> impl Strategy<Value = Value> {
    (values(), prop::option::of(prop::sample::select(vec!["a", "b", "part"]))).prop_map(
        |(mut value, removed)| {
            if let Some(removed) = removed {
                value[removed] = Value::Null;
            }
            value
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let id = 0..IDS.len();
    let parts = prop::sample::select(vec![json!({}), json!({"x": 1}), json!({"x": 2, "y": [3]})]);
    prop_oneof![
        4 => (id.clone(), values(), prop::bool::weighted(0.2))
            .prop_map(|(id, value, expires)| Step::Put { id, value, expires }),
        8 => (id.clone(), patches()).prop_map(|(id, patch)| Step::Merge { id, patch }),
        3 => (id.clone(), prop::sample::select(vec!["a", "b"]), values())
            .prop_map(|(id, field, value)| Step::Patch { id, field, value }),
        2 => (id.clone(), parts).prop_map(|(id, value)| Step::PutPart { id, value }),
        2 => id.clone().prop_map(|id| Step::Delete { id }),
        2 => (prop::collection::vec(id.clone(), 0..3), values())
            .prop_map(|(ids, patch)| Step::Batch { ids, patch }),
        4 => (id.clone(), 0..4_usize).prop_map(|(id, back)| Step::Undo { id, back }),
        2 => (id, 0..4_usize).prop_map(|(id, back)| Step::Revert { id, back }),
        2 => (0..ACTORS.len(), 0..9_u64).prop_map(|(actor, back)| Step::UndoBy { actor, back }),
        4 => prop::sample::select(vec![1, 5, 400, 2000]).prop_map(|by_ms| Step::Advance { by_ms }),
        2 => Just(Step::Housekeep),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: Place::CASES, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn history_is_what_was_written(steps in prop::collection::vec(steps(), 1..50)) {
        let Some(place) = Place::new() else { return Ok(()) };
        let mut world = World::new(place);
        for step in &steps {
            world.run(step);
        }
        world.check();
        world.open();
        world.check();
    }
}
