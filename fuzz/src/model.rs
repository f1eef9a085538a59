//! A whole store against a map, closing and opening included.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use meldb::{Collection, Condition, Document, Error, JsonText, Revision, Store, memory_engine};
use serde_json::{Map, Value};

use crate::generate::Case;

/// What is done to a store; documents, tenants and collections are told apart by two bits each.
#[derive(Arbitrary, Clone, Debug)]
pub enum Step {
    /// Puts the case's document.
    Put(u8, Case),
    /// Merges the case's patch.
    Merge(u8, Case),
    /// Merges it if the document is as it was at its last write, or at the one before.
    MergeAt(u8, bool, Case),
    /// Deletes a document.
    Delete(u8),
    /// Lists a collection behind some document.
    List(u8),
    /// Closes the store and opens it again.
    Reopen,
}

/// Of each document the revision and what it holds without its stamps; `None` when deleted.
type Model = BTreeMap<(u8, u8, u8), (u64, Option<Map<String, Value>>)>;

/// Does the steps to a store and to a map, and compares all answers.
pub fn check_model(steps: &[Step]) {
    let engine = memory_engine();
    let open = || Store::builder().over_engine(engine.clone()).expect("opened");
    let (mut store, mut model) = (open(), Model::new());
    for step in steps {
        match step {
            Step::Put(place, case) => put(&store, &mut model, *place, case),
            Step::Merge(place, case) => merge(&store, &mut model, *place, case, None),
            Step::MergeAt(place, is_current, case) => {
                let revision = model.get(&key(*place)).map_or(1, |(revision, _)| *revision);
                let revision = revision - u64::from(!*is_current).min(revision);
                merge(&store, &mut model, *place, case, Some(revision));
            }
            Step::Delete(place) => {
                let answer = users(&store, *place).delete(id(*place)).commit("fuzz");
                match (answer, model.get(&key(*place))) {
                    (Ok(deleted), Some((_, Some(_)))) => {
                        model.insert(key(*place), (deleted.revision.get(), None));
                    }
                    (Err(Error::NotFound { .. }), None | Some((_, None))) => {}
                    other => panic!("a delete: {other:?}"),
                }
            }
            Step::List(place) => list(&store, &model, *place),
            Step::Reopen => {
                drop(store);
                store = open();
            }
        }
    }
    for (place, (revision, members)) in &model {
        let place = place.0 | place.1 << 2 | place.2 << 4;
        let found = users(&store, place).get(id(place)).expect("reads work");
        assert_eq!(found.as_ref().map(content), members.clone());
        assert!(found.is_none_or(|found| found.revision().get() == *revision));
    }
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

fn key(place: u8) -> (u8, u8, u8) {
    (place & 3, place >> 2 & 3, place >> 4 & 3)
}

/// Names of which one starts another, or comes between it and what would follow it.
fn id(place: u8) -> &'static str {
    ["a", "a!", "a~", "ab"][usize::from(key(place).2)]
}

fn users(store: &Store, place: u8) -> Collection {
    let (tenant, collection, _) = key(place);
    let tenant = store.tenant(["t", "t-", "t0", "ta"][usize::from(tenant)]).expect("an id");
    tenant.collection(["c", "c-", "c0", "ca"][usize::from(collection)]).expect("a name")
}

fn put(store: &Store, model: &mut Model, place: u8, case: &Case) {
    match users(store, place).put(id(place), JsonText(&case.document)).commit("fuzz") {
        Ok(written) => remember(model, place, &written.document, &parse(&case.document)),
        Err(error) => refused(&error),
    }
}

fn merge(store: &Store, model: &mut Model, place: u8, case: &Case, at: Option<u64>) {
    let merge = users(store, place).merge(id(place), JsonText(&case.patch));
    let merge = merge.nulls(case.nulls).depth(case.depth);
    let merge = match at {
        None => merge,
        Some(revision) => merge.condition(Condition::Matches(Revision::new(revision))),
    };
    let before = model.get(&key(place)).cloned();
    match (merge.commit("fuzz"), before) {
        (Ok(written), Some((revision, Some(members)))) => {
            assert!(at.is_none_or(|at| at == revision));
            // What a merge means is checked by another target; here it is what was answered.
            let document = &written.document;
            model.insert(key(place), (document.revision().get(), Some(content(document))));
            if members.is_empty() && case.patch.len() < 3 {
                assert_eq!(content(document), members);
            }
        }
        (Err(Error::NotFound { .. }), None | Some((_, None))) => {}
        (Err(Error::RevisionMismatch { .. }), found) => {
            let at = at.expect("a condition");
            assert!(found.is_none_or(|(revision, members)| members.is_none() || revision != at));
        }
        (Err(error), _) => refused(&error),
        other => panic!("a merge: {other:?}"),
    }
}

fn list(store: &Store, model: &Model, place: u8) {
    let listing = users(store, place).list().after(id(place)).expect("an id");
    let found: Vec<_> = listing.map(|document| content(&document.expect("reads work"))).collect();
    let (tenant, collection, _) = key(place);
    let mut expected: Vec<_> = model
        .iter()
        .filter(|((of, within, _), _)| (*of, *within) == (tenant, collection))
        .filter_map(|((.., last), (_, members))| Some((id(*last << 4), members.clone()?)))
        .filter(|(behind, _)| *behind > id(place))
        .collect();
    expected.sort_by_key(|(behind, _)| *behind);
    let expected: Vec<_> = expected.into_iter().map(|(_, members)| members).collect();
    assert_eq!(found, expected);
}

fn remember(model: &mut Model, place: u8, document: &Document, sent: &Map<String, Value>) {
    assert_eq!(content(document), *sent);
    let before = model.insert(key(place), (document.revision().get(), Some(sent.clone())));
    assert!(before.is_none_or(|(before, _)| before < document.revision().get()));
}

/// Whether a text was refused, and nothing else.
fn refused(error: &Error) {
    assert!(
        matches!(error, Error::InvalidText(_) | Error::DocumentTooLarge { .. }),
        "an unexpected error: {error:?}"
    );
}

fn content(document: &Document) -> Map<String, Value> {
    parse(std::str::from_utf8(document.as_bytes()).expect("UTF-8"))
}

/// Returns the members of an object, without the stamps.
fn parse(text: &str) -> Map<String, Value> {
    let mut members: Map<String, Value> = serde_json::from_str(text).expect("JSON");
    members.shift_remove("updated");
    members.shift_remove("updatedBy");
    members
}
