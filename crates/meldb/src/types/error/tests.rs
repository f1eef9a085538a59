//! What holds for every variant of [`Error`].

use std::{collections::HashSet, error::Error as StdError, io, mem};

use super::*;
use crate::{
    merge::ConflictKind,
    types::{CollectionName, DocId, DocumentKey},
};

/// How many variants there are. `may_be_stored` does not compile without a new one: add it to `every` as well.
const VARIANTS: usize = 49;
/// `ENOSPC`, which no text of ours has.
const CODE: i32 = 28;

fn may_be_stored(error: &Error) -> bool {
    match error {
        Error::CommitFailed { .. }
        | Error::StorageFull { .. }
        | Error::OutcomeUnknown { .. }
        | Error::Abandoned => true,
        Error::InvalidName(_)
        | Error::InvalidText(_)
        | Error::InvalidMemberPath(_)
        | Error::InvalidQuery(_)
        | Error::ScanRefused { .. }
        | Error::SortTooLarge { .. }
        | Error::IndexExists { .. }
        | Error::NotUnique { .. }
        | Error::Serialize(_)
        | Error::Deserialize { .. }
        | Error::TextTooLarge { .. }
        | Error::DocumentTooLarge { .. }
        | Error::NotFound { .. }
        | Error::AlreadyExists { .. }
        | Error::RevisionMismatch { .. }
        | Error::MembersChanged { .. }
        | Error::PatchConflict { .. }
        | Error::CursorExpired { .. }
        | Error::OperationFailed { .. }
        | Error::BatchTooLarge { .. }
        | Error::QuotaExceeded { .. }
        | Error::IdempotencyKeyReused { .. }
        | Error::TooManyReceipts { .. }
        | Error::OutOfOrder { .. }
        | Error::ForeignWrite { .. }
        | Error::ReadOnly { .. }
        | Error::HistoryExpired { .. }
        | Error::NoSuchVersion { .. }
        | Error::UndoConflict { .. }
        | Error::Busy { .. }
        | Error::Overtaken { .. }
        | Error::Unavailable { .. }
        | Error::Refused { .. }
        | Error::ReadFailed { .. }
        | Error::Damaged { .. }
        | Error::InUse { .. }
        | Error::NotAStore { .. }
        | Error::NotEmpty { .. }
        | Error::UnsupportedFormat { .. }
        | Error::WrongEngine { .. }
        | Error::OpenFailed { .. }
        | Error::EngineUnavailable { .. }
        | Error::Io { .. }
        | Error::UnfitBackup { .. }
        | Error::InvalidOption { .. } => false,
    }
}

fn io_error() -> io::Error {
    io::Error::from_raw_os_error(CODE)
}

fn path() -> DocumentPath {
    let key = DocumentKey::Member {
        collection: CollectionName::parse("users").expect("a name"),
        id: DocId::parse("ada").expect("a name"),
    };
    DocumentPath::new(tenant(), key)
}

fn tenant() -> TenantId {
    TenantId::parse("t").expect("a name")
}

fn not_json() -> serde_json::Error {
    serde_json::from_str::<u8>("x").expect_err("no number")
}

fn conflict() -> PatchConflict {
    PatchConflict { operation: 3, pointer: "/a".to_owned(), kind: ConflictKind::TestFailed }
}

/// The variants with an engine's error.
fn of_an_engine() -> Vec<Error> {
    let source = || EngineError::from(io_error());
    vec![
        Error::ReadOnly { cause: source() },
        Error::CommitFailed { source: source() },
        Error::StorageFull { source: source().described("the log cannot grow") },
        Error::Unavailable { source: source() },
        Error::OutcomeUnknown { source: source() },
        Error::Refused { source: source() },
        Error::ReadFailed { source: source() },
        Error::OpenFailed { dir: "dir".into(), source: source() },
    ]
}

fn every() -> Vec<Error> {
    let (bytes, bytes_max, revision) = (2, 1, Revision::ZERO);
    let (dir, reason) = (|| PathBuf::from("dir"), || String::from("of a reason"));
    let bounds = crate::json::Bounds::default();
    let mut errors = of_an_engine();
    errors.extend([
        TenantId::parse("").expect_err("empty").into(),
        crate::merge::Content::compile(b"x", &bounds).expect_err("no object").into(),
        crate::merge::MemberPath::new(&[], &bounds).expect_err("empty").into(),
        Error::Serialize(not_json().into()),
        Error::Deserialize { path: path(), source: not_json().into() },
        Error::TextTooLarge { path: path(), bytes, bytes_max },
        Error::DocumentTooLarge { path: path(), bytes, bytes_max },
        Error::NotFound { path: path() },
        Error::HistoryExpired { what: path().to_string(), revision, since: Some(revision) },
        Error::NoSuchVersion { path: path(), revision },
        Error::UndoConflict { path: path(), revision, fields: vec!["/a".to_owned()] },
        Error::AlreadyExists { path: path() },
        Error::RevisionMismatch { path: path(), expected: revision, found: None },
        Error::MembersChanged {
            path: path(),
            since: revision,
            found: revision,
            members: Vec::new(),
        },
        Error::PatchConflict { path: path(), source: conflict() },
        Error::CursorExpired { tenant: tenant(), cursor: ChangeCursor::START },
        Error::operation_failed(1, Some(path()), Error::ReadFailed { source: io_error().into() }),
        Error::BatchTooLarge { unit: "operations", found: 2, max: 1 },
        Error::QuotaExceeded { tenant: tenant(), unit: "bytes", found: 2, max: 1 },
        Error::IdempotencyKeyReused { tenant: tenant(), key: "key".to_owned() },
        Error::TooManyReceipts { tenant: tenant(), receipts: 2, bytes: 1 },
        Error::OutOfOrder { path: path(), revision, reason: "of a reason" },
        Error::ForeignWrite { path: path() },
        Error::Busy { tenant: tenant() },
        Error::Overtaken { path: path() },
        Error::Damaged { what: "a file".to_owned(), reason: reason() },
        Error::Abandoned,
        Error::InUse { dir: dir() },
        Error::NotAStore { dir: dir(), reason: reason() },
        Error::holds_a_store("dir"),
        Error::UnsupportedFormat { dir: dir(), found: 2, supported: 1 },
        Error::WrongEngine { dir: dir(), found: "sled".to_owned(), asked: "fjall".to_owned() },
        Error::EngineUnavailable { engine: "sled".to_owned() },
        Error::io("create", "file", io_error()),
        Error::UnfitBackup { reason: reason() },
        Error::InvalidOption { option: "commit_queues", reason: reason() },
        Error::InvalidQuery(QueryError::at("filter", "of a reason", "a", 1)),
        Error::ScanRefused { collection: "acme/users".to_owned() },
        Error::SortTooLarge { collection: "acme/users".to_owned(), examined_max: 1, bytes_max: 2 },
        Error::NotUnique { path: path(), index: "by_email".to_owned(), other: Box::new(path()) },
        Error::IndexExists {
            collection: "acme/users".to_owned(),
            name: "by_role".to_owned(),
            fields: "role".to_owned(),
        },
    ]);
    errors
}

/// Returns the texts of an error and of what led to it.
fn texts(error: &dyn StdError) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

fn find_io<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    error.downcast_ref().or_else(|| find_io(error.source()?))
}

#[test]
fn every_variant_is_among_them() {
    let variants: HashSet<_> = every().iter().map(mem::discriminant).collect();
    assert_eq!(variants.len(), VARIANTS);
}

#[test]
fn a_chain_says_everything_once() {
    for error in every() {
        let (texts, shown) = (texts(&error), with_causes(&error).to_string());
        assert_eq!(shown, texts.join(": "), "{error:?}");
        for text in &texts {
            assert_eq!(shown.matches(text.as_str()).count(), 1, "{text:?} in {shown:?}");
        }
    }
}

#[test]
fn the_cause_of_a_variant_that_has_one_is_in_the_chain() {
    for error in of_an_engine() {
        assert_eq!(texts(&error).len(), 3, "{error:?}");
        assert!(error.source().is_some_and(|source| source.is::<EngineError>()), "{error:?}");
    }
    for (error, cause) in [
        (Error::PatchConflict { path: path(), source: conflict() }, "operation 3 at \"/a\""),
        (Error::Serialize(not_json().into()), "expected value"),
        (Error::Deserialize { path: path(), source: not_json().into() }, "expected value"),
        (Error::operation_failed(1, None, Error::Abandoned), "abandoned"),
    ] {
        let texts = texts(&error);
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[1].contains(cause) && !texts[0].contains(cause), "{texts:?}");
    }
}

#[test]
fn what_is_in_the_chain_can_be_downcast() {
    let in_a_batch =
        Error::operation_failed(0, None, Error::ReadFailed { source: io_error().into() });
    let source = in_a_batch.source().expect("a source");
    assert!(matches!(source.downcast_ref(), Some(Error::ReadFailed { .. })), "{source:?}");
    let misfit = Error::Deserialize { path: path(), source: not_json().into() };
    assert!(misfit.source().is_some_and(|source| source.is::<serde_json::Error>()));
    let of_a_file = Error::io("create", "file", io_error());
    assert!(of_a_file.source().is_some_and(|source| source.is::<io::Error>()));
    for error in of_an_engine().into_iter().chain([in_a_batch, of_a_file]) {
        let found = find_io(&error).and_then(io::Error::raw_os_error);
        assert_eq!(found, Some(CODE), "{error:?}");
    }
}

#[test]
fn only_four_errors_leave_the_outcome_unknown() {
    for error in every() {
        assert_eq!(error.is_outcome_unknown(), may_be_stored(&error), "{error:?}");
        assert!(!(error.is_outcome_unknown() && error.is_retryable()), "{error:?}");
        // What such an error says is never that nothing was written.
        let denies = error.to_string().contains("nothing was written");
        assert!(!(error.is_outcome_unknown() && denies), "{error}");
    }
}
