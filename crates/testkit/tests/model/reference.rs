//! The reference: maps of values, in the plainest way.

use std::collections::BTreeMap;

use meldb::{Depth, Effect, Nulls};
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use serde_json::{Map, Value, json};

use super::steps::{Change, IDS, SUB, Step, Target, Verb, When, step};

/// Who makes every write, and when.
pub const ACTOR: &str = "model";
pub const NOW_MS: u64 = 1_712;

/// A document without its own stamps; a sub-document's stamps are members like any other here.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub value: Value,
    pub revision: u64,
}

/// What the last step had to come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    None,
    /// The effect, the revision, and what is there afterwards.
    Written(Effect, u64, Option<Value>),
    NotFound,
    AlreadyExists,
    Mismatch(Option<u64>),
    Conflict,
    Listed(Vec<(String, Entry)>, bool),
    /// What each operation came to.
    Made(Vec<Outcome>),
    /// Which operation failed, and how; nothing is done.
    Undone(usize, Box<Outcome>),
}

#[derive(Clone, Debug)]
pub struct Model {
    pub documents: BTreeMap<Target, Entry>,
    /// By tenant.
    pub last_revisions: BTreeMap<usize, u64>,
    pub outcome: Outcome,
}

pub struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        let (documents, last_revisions) = Default::default();
        Just(Model { documents, last_revisions, outcome: Outcome::None }).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Step> {
        step().boxed()
    }

    fn apply(mut model: Model, step: &Step) -> Model {
        model.outcome = match step {
            Step::Write(change) => model.write(change, None),
            Step::Batch { changes, .. } => model.batch(changes),
            Step::List { tenant, collection, after, count } => {
                model.list(*tenant, *collection, *after, *count)
            }
            Step::Sync | Step::Reopen => Outcome::None,
        };
        model
    }
}

impl Model {
    fn batch(&mut self, changes: &[Change]) -> Outcome {
        let start = self.clone();
        let mut made = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            match self.write(change, Some(&start)) {
                written @ Outcome::Written(..) => made.push(written),
                refused => {
                    *self = start;
                    return Outcome::Undone(index, Box::new(refused));
                }
            }
        }
        Outcome::Made(made)
    }

    /// Makes one write; the revisions that a batch is compared with are those at its start.
    fn write(&mut self, change: &Change, start: Option<&Self>) -> Outcome {
        let Change { target, sub, ref verb, when } = *change;
        let before = self.documents.get(&target).cloned();
        let whole = before.as_ref().map(|entry| &entry.value);
        let part = match sub {
            false => whole.cloned(),
            true => whole.and_then(sub_document).map(without_stamps),
        };
        let revision = before.as_ref().map(|entry| entry.revision);
        if part.is_none() && !matches!(verb, Verb::Put(_)) {
            return Outcome::NotFound;
        }
        let compared = match start {
            None => revision,
            Some(start) => start.documents.get(&target).map(|entry| entry.revision),
        };
        let found = compared.filter(|_| part.is_some());
        match (when, &part) {
            (When::Absent, Some(_)) => return Outcome::AlreadyExists,
            (When::Present, None) => return Outcome::NotFound,
            (When::Current, None) | (When::Stale, _) => return Outcome::Mismatch(found),
            // A batch has made what was not there before: no revision is that of it.
            (When::Current, Some(_)) if compared.is_none() => return Outcome::Mismatch(None),
            _ => {}
        }
        let (effect, after) = match changed(verb, part, sub) {
            Ok(change) => change,
            Err(outcome) => return outcome,
        };
        if effect == Effect::Unchanged {
            return Outcome::Written(effect, revision.expect("it exists"), after);
        }
        let stored = match sub {
            false => after.clone(),
            true => Some(with_sub_document(whole, after.clone())),
        };
        let last = self.last_revisions.entry(target.tenant).or_default();
        *last += 1;
        match stored {
            Some(value) => self.documents.insert(target, Entry { value, revision: *last }),
            None => self.documents.remove(&target),
        };
        Outcome::Written(effect, *last, after)
    }

    fn list(
        &self,
        tenant: usize,
        collection: usize,
        after: Option<usize>,
        count: usize,
    ) -> Outcome {
        // The ids are in byte order already, and so are their numbers.
        let mut found: Vec<_> = self
            .documents
            .iter()
            .filter_map(|(target, entry)| match target.member {
                Some((name, id)) if target.tenant == tenant && name == collection => (after
                    .is_none_or(|after| id > after))
                .then(|| (IDS[id].to_owned(), entry.clone())),
                _ => None,
            })
            .collect();
        let more = found.len() > count;
        found.truncate(count);
        Outcome::Listed(found, more)
    }
}

/// Returns what a verb does to the document or sub-document that it finds.
fn changed(
    verb: &Verb,
    before: Option<Value>,
    sub: bool,
) -> Result<(Effect, Option<Value>), Outcome> {
    let existed = before.is_some();
    let mut value = before.unwrap_or_else(|| json!({}));
    let effect = match verb {
        Verb::Put(document) => {
            value = document.clone();
            if existed { Effect::Replaced } else { Effect::Created }
        }
        Verb::Merge { patch, nulls, depth, .. } => {
            let before = value.clone();
            merge(&mut value, patch, *nulls, *depth);
            let skipped = verb.skips_unchanged(sub) && before == value;
            if skipped { Effect::Unchanged } else { Effect::Merged }
        }
        Verb::Patch(operations) => {
            let operations = serde_json::from_value(operations.clone()).expect("operations");
            let operations: json_patch::Patch = operations;
            // Not `patch`, which undoes what it has done and panics where that does not work out.
            let mut patched = value.clone();
            json_patch::patch_unsafe(&mut patched, &operations).map_err(|_| Outcome::Conflict)?;
            value = patched;
            Effect::Merged
        }
        Verb::Delete => return Ok((Effect::Deleted, None)),
    };
    Ok((effect, Some(value)))
}

impl Verb {
    /// Whether the step skips an unchanged document: only where values that are equal have equal
    /// bytes, stamps included, which is what the store compares.
    pub fn skips_unchanged(&self, sub: bool) -> bool {
        !sub && matches!(self, Self::Merge { skip_unchanged: true, depth: Depth::Deep, .. })
    }
}

fn merge(target: &mut Value, patch: &Value, nulls: Nulls, depth: Depth) {
    match (nulls, depth) {
        (Nulls::Remove, Depth::Deep) => json_patch::merge(target, patch),
        (Nulls::Keep, Depth::Deep) => merge_keeping_nulls(target, patch),
        (nulls, Depth::Shallow) => {
            let members = target.as_object_mut().expect("a document");
            for (name, value) in patch.as_object().expect("a patch") {
                match (value, nulls) {
                    (Value::Null, Nulls::Remove) => members.remove(name),
                    _ => members.insert(name.clone(), value.clone()),
                };
            }
        }
    }
}

fn merge_keeping_nulls(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(members), Value::Object(patch)) => {
            for (name, value) in patch {
                merge_keeping_nulls(members.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn sub_document(whole: &Value) -> Option<&Value> {
    let sub = SUB.iter().try_fold(whole, |value, name| value.get(name))?;
    sub.is_object().then_some(sub)
}

pub fn without_stamps(value: &Value) -> Value {
    let mut value = value.clone();
    let members = value.as_object_mut().expect("a document is an object");
    members.remove("updated");
    members.remove("updatedBy");
    value
}

/// Returns the document with its sub-document replaced, or deleted where `after` is `None`.
fn with_sub_document(whole: Option<&Value>, after: Option<Value>) -> Value {
    let mut whole = whole.cloned().unwrap_or_else(|| json!({}));
    let mut parent = &mut whole;
    for name in &SUB[..SUB.len() - 1] {
        let members = parent.as_object_mut().expect("an object");
        let child = members.entry(*name).or_insert(Value::Null);
        if !child.is_object() {
            *child = Value::Object(Map::new());
        }
        parent = child;
    }
    let (members, name) = (parent.as_object_mut().expect("an object"), SUB[SUB.len() - 1]);
    match after {
        None => drop(members.remove(name)),
        Some(mut sub) => {
            let stamped = sub.as_object_mut().expect("a document is an object");
            stamped.insert("updated".to_owned(), NOW_MS.into());
            stamped.insert("updatedBy".to_owned(), ACTOR.into());
            members.insert(name.to_owned(), sub);
        }
    }
    whole
}
