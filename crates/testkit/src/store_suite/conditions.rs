//! Every verb under every condition, on what is there and on what is not.

use meldb::{Condition, DocumentRef, Effect, Error, Result, Revision};
use serde_json::json;

use super::{assert_refused, put_ada};
use crate::fixture::{Fixture, users};

/// What became of a write, as far as these tables go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done(Effect),
    NotFound,
    AlreadyExists,
    /// With the revision that was found.
    Mismatch(Option<Revision>),
}

use Outcome::{AlreadyExists, Done, Mismatch, NotFound};

type Verb = fn(&DocumentRef, Condition) -> Result<Effect>;

fn put(document: &DocumentRef, condition: Condition) -> Result<Effect> {
    let write = document.put(json!({"put": true})).condition(condition);
    write.commit("a").map(|written| written.effect)
}

fn merge(document: &DocumentRef, condition: Condition) -> Result<Effect> {
    let write = document.merge(json!({"merged": true})).condition(condition);
    write.commit("a").map(|written| written.effect)
}

fn patch(document: &DocumentRef, condition: Condition) -> Result<Effect> {
    let operations = json!([{"op": "add", "path": "/patched", "value": true}]);
    document.patch(operations).condition(condition).commit("a").map(|written| written.effect)
}

fn delete(document: &DocumentRef, condition: Condition) -> Result<Effect> {
    document.delete().condition(condition).commit("a").map(|_| Effect::Deleted)
}

/// Writes once under each condition and compares; `prepare` brings the document into its state and
/// returns the revision that a caller would know.
///
/// `expected` is for: any, absent, present, the known revision, a stale one, one of the future.
fn check(
    fixture: &Fixture,
    verb: Verb,
    prepare: impl Fn(&DocumentRef) -> Revision,
    locate: impl Fn(&DocumentRef) -> DocumentRef,
    expected: impl Fn(Revision) -> [Outcome; 6],
) {
    let users = users(&fixture.open());
    let conditions: [fn(Revision) -> Condition; 6] = [
        |_| Condition::Any,
        |_| Condition::Absent,
        |_| Condition::Present,
        Condition::Matches,
        |known| Condition::Matches(Revision::new(known.get().saturating_sub(1))),
        |known| Condition::Matches(Revision::new(known.get() + 1)),
    ];
    for (number, condition) in conditions.into_iter().enumerate() {
        let document = users.document(format!("ada-{number}").as_str());
        let known = prepare(&document);
        let condition = condition(known);
        let before = document.get().expect("reading works");
        let outcome = match verb(&locate(&document), condition) {
            Ok(effect) => Done(effect),
            Err(Error::NotFound { .. }) => NotFound,
            Err(Error::AlreadyExists { .. }) => AlreadyExists,
            Err(Error::RevisionMismatch { found, expected, .. }) => {
                assert_eq!(Condition::Matches(expected), condition);
                Mismatch(found)
            }
            Err(error) => panic!("{condition:?}: {error}"),
        };
        assert_eq!(outcome, expected(known)[number], "{condition:?}");
        let after = document.get().expect("reading works");
        let written = matches!(outcome, Done(_));
        assert_eq!(after == before, !written, "{condition:?}: {before:?} and then {after:?}");
    }
}

fn nothing(_: &DocumentRef) -> Revision {
    Revision::new(1)
}

/// A document that has been written before, so that there is a stale revision of its own.
fn written(document: &DocumentRef) -> Revision {
    document.put(json!({"first": true})).commit("setup").expect("the put is made");
    let second = document.put(json!({"sub": {"n": 1}})).commit("setup");
    second.expect("the put is made").document.revision()
}

fn without_sub_document(document: &DocumentRef) -> Revision {
    let written = document.put(json!({"other": true})).commit("setup");
    written.expect("the put is made").document.revision()
}

fn deleted(document: &DocumentRef) -> Revision {
    let revision = written(document);
    document.delete().commit("setup").expect("the delete is made");
    revision
}

fn whole(document: &DocumentRef) -> DocumentRef {
    document.clone()
}

fn sub(document: &DocumentRef) -> DocumentRef {
    document.at(["sub"])
}

const MISSING: [Outcome; 6] = [NotFound; 6];

fn created_or_not() -> [Outcome; 6] {
    let created = Done(Effect::Created);
    [created, created, NotFound, Mismatch(None), Mismatch(None), Mismatch(None)]
}

fn present(effect: Effect, known: Revision) -> [Outcome; 6] {
    let (done, mismatch) = (Done(effect), Mismatch(Some(known)));
    [done, AlreadyExists, done, done, mismatch, mismatch]
}

pub fn put_into_nothing(fixture: &Fixture) {
    check(fixture, put, nothing, whole, |_| created_or_not());
}

pub fn put_over_a_document(fixture: &Fixture) {
    check(fixture, put, written, whole, |known| present(Effect::Replaced, known));
}

pub fn put_over_a_deleted_document(fixture: &Fixture) {
    check(fixture, put, deleted, whole, |_| created_or_not());
}

pub fn merge_into_nothing(fixture: &Fixture) {
    check(fixture, merge, nothing, whole, |_| MISSING);
}

pub fn merge_into_a_document(fixture: &Fixture) {
    check(fixture, merge, written, whole, |known| present(Effect::Merged, known));
}

pub fn patch_of_nothing(fixture: &Fixture) {
    check(fixture, patch, deleted, whole, |_| MISSING);
}

pub fn patch_of_a_document(fixture: &Fixture) {
    check(fixture, patch, written, whole, |known| present(Effect::Merged, known));
}

pub fn delete_of_nothing(fixture: &Fixture) {
    check(fixture, delete, nothing, whole, |_| MISSING);
}

pub fn delete_of_a_document(fixture: &Fixture) {
    check(fixture, delete, written, whole, |known| present(Effect::Deleted, known));
}

pub fn put_of_a_missing_sub_document(fixture: &Fixture) {
    check(fixture, put, without_sub_document, sub, |_| created_or_not());
}

pub fn put_over_a_sub_document(fixture: &Fixture) {
    check(fixture, put, written, sub, |known| present(Effect::Replaced, known));
}

pub fn merge_into_a_missing_sub_document(fixture: &Fixture) {
    check(fixture, merge, without_sub_document, sub, |_| MISSING);
}

pub fn merge_into_a_sub_document(fixture: &Fixture) {
    check(fixture, merge, written, sub, |known| present(Effect::Merged, known));
}

pub fn delete_of_a_sub_document(fixture: &Fixture) {
    check(fixture, delete, written, sub, |known| present(Effect::Deleted, known));
}

pub fn a_revision_from_before_a_delete_never_matches_again(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users).revision();
    users.delete("ada").commit("a").expect("the delete is made");
    put_ada(&users);
    let stale = users.merge("ada", json!({})).condition(Condition::Matches(before)).commit("a");
    assert_refused(stale, "merge", |error| matches!(error, Error::RevisionMismatch { .. }));
}

pub fn only_a_stale_revision_is_retryable(fixture: &Fixture) {
    let users = users(&fixture.open());
    assert_refused(users.merge("ada", json!({})).commit("a"), "missing", |e| !e.is_retryable());
    let before = put_ada(&users).revision();
    put_ada(&users);
    assert_refused(users.insert("ada", json!({})).commit("a"), "exists", |e| !e.is_retryable());
    let stale = users.merge("ada", json!({})).condition(Condition::Matches(before)).commit("a");
    assert_refused(stale, "stale", Error::is_retryable);
}
