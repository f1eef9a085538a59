//! `POST /api/v1/admin/import`: lines of an export, stored as the writes that they were.

use axum::response::Response;
use bytes::Bytes;
use meldb::{
    Cause, ChangeKind, CollectionName, DocId, DocumentKey, Error, PastWrite, Revision, Store,
    TenantId,
};
use serde::{Deserialize, Serialize};

use super::request::AdminRequest;
use crate::{
    bodies::{
        body::{self, RequestBody},
        cut,
        json_object::check_object,
    },
    disclosure::Disclosure,
    error::{Code, HttpError},
    query,
    verbs::batch::BATCH_BODY_BYTES_MAX,
};

/// What came of imported lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportSummary {
    /// Writes that were stored.
    pub stored: u64,
    /// Writes whose documents were at the same revision or a later one already.
    pub skipped: u64,
}

/// Lines that cannot be imported. Those of the tenants before the line are stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", place(*line))]
pub struct ImportError {
    /// The number of the line that stands in the way, if it is one.
    pub line: Option<u64>,
    /// Why.
    #[source]
    pub kind: ImportErrorKind,
}

/// Why lines cannot be imported.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportErrorKind {
    /// The line is not one of an export; in words.
    #[error("{0}")]
    Line(String),
    /// The store has refused or failed.
    #[error(transparent)]
    Store(Cause<Error>),
}

fn place(line: Option<u64>) -> String {
    line.map_or_else(|| "the lines cannot be imported".to_owned(), |line| format!("line {line}"))
}

/// What a line says beside the document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    tenant: Option<TenantId>,
    collection: Option<CollectionName>,
    id: Option<DocId>,
    revision: Option<Revision>,
    kind: Option<String>,
    updated: Option<u64>,
    updated_by: Option<meldb::Actor>,
    expire_at: Option<u64>,
}

/// Stores lines of `meldb export` as the writes that they were; see [`meldb::Tenant::import`]. Lines of
/// one tenant that follow each other are stored all or none.
///
/// `tenant` stands for the tenant of every line, if it is given; `first_line` is the number of the
/// first line, for messages.
///
/// # Errors
/// [`ImportError`] names the first line that cannot be stored.
pub fn import_lines(
    store: &Store,
    lines: &Bytes,
    tenant: Option<&TenantId>,
    first_line: u64,
) -> Result<ImportSummary, ImportError> {
    let mut summary = ImportSummary::default();
    let mut writes: Vec<(u64, TenantId, PastWrite)> = Vec::new();
    for (text, line) in lines.split(|byte| *byte == b'\n').zip(first_line..) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let past = check_object(text)
            .map_err(|error| format!("{}, at column {}", error.kind(), error.column()))
            .and_then(|()| read(&lines.slice_ref(text), tenant));
        let (tenant, write) = past.map_err(|reason| ImportError {
            line: Some(line),
            kind: ImportErrorKind::Line(reason),
        })?;
        writes.push((line, tenant, write));
    }
    for writes in writes.chunk_by(|one, next| one.1 == next.1) {
        let past = writes.iter().map(|(_, _, write)| write.clone()).collect();
        let stored = store.tenant(&writes[0].1).and_then(|tenant| tenant.import(past));
        let stored = stored.map_err(|error| match error {
            Error::OperationFailed { index, source, .. } => ImportError {
                line: writes.get(index).map(|write| write.0),
                kind: ImportErrorKind::Store(source),
            },
            error => ImportError { line: None, kind: ImportErrorKind::Store(error.into()) },
        })?;
        summary.stored += stored.stored as u64;
        summary.skipped += stored.skipped as u64;
    }
    Ok(summary)
}

/// Returns the write that a line describes, and its tenant.
///
/// # Errors
/// What is wrong with the line, in words.
fn read(line: &Bytes, tenant: Option<&TenantId>) -> Result<(TenantId, PastWrite), String> {
    let facts: Facts = serde_json::from_slice(line).map_err(|error| no_write(&error))?;
    let missing = |name: &str| {
        format!("the member {name:?} is missing; only lines of `meldb export` can be preserved")
    };
    let key = match (facts.collection, facts.id) {
        (Some(collection), Some(id)) => DocumentKey::Member { collection, id },
        (None, None) => DocumentKey::Tenant,
        (Some(_), None) => return Err(missing("id")),
        (None, Some(_)) => return Err(missing("collection")),
    };
    let tenant = tenant.cloned().or(facts.tenant).ok_or_else(|| missing("tenant"))?;
    let kind = match facts.kind.as_deref() {
        Some("put") => ChangeKind::Put,
        Some("merged") => ChangeKind::Merged,
        Some("deleted") => ChangeKind::Deleted,
        Some(other) => return Err(format!("{other:?} is no kind of write")),
        None => return Err(missing("kind")),
    };
    let write = PastWrite {
        key,
        kind,
        revision: facts.revision.ok_or_else(|| missing("revision"))?,
        updated_ms: facts.updated.ok_or_else(|| missing("updated"))?,
        updated_by: facts.updated_by.ok_or_else(|| missing("updatedBy"))?,
        expires_ms: facts.expire_at,
        text: data(line)?.map(|data| line.slice_ref(data)),
    };
    Ok((tenant, write))
}

/// Returns the text of the member `data` of a line that is a JSON object.
fn data(line: &[u8]) -> Result<Option<&[u8]>, String> {
    let is_data =
        |name: &[u8]| serde_json::from_slice::<String>(name).is_ok_and(|name| name == "data");
    let mut found = cut::members(line).into_iter().filter(|(name, _)| is_data(name));
    match (found.next(), found.next()) {
        (first, None) => Ok(first.map(|(_, data)| data)),
        (_, Some(_)) => Err("the member \"data\" is given twice".to_owned()),
    }
}

/// Says what of a line is no write, without a number of the line that is always 1.
fn no_write(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Answers POST.
pub(super) async fn answer(
    request: AdminRequest<'_>,
    body: RequestBody,
) -> Result<Response, HttpError> {
    match body::media_type(&request.parts.headers)?.as_deref() {
        None | Some("application/x-ndjson") => {}
        Some(_) => {
            let message = "the body must be application/x-ndjson";
            return Err(HttpError::new(Code::UnsupportedMediaType, message));
        }
    }
    let names = ["tenant", "firstLine"];
    let [tenant, first_line] = query::values(request.parts.uri.query(), names)?;
    let tenant = tenant.map(|tenant| TenantId::parse(&tenant)).transpose()?;
    let first_line = match first_line {
        None => 1,
        Some(text) => {
            let number = text.parse().ok().filter(|number| *number <= u64::MAX / 2);
            number.ok_or_else(|| query::bad_value("firstLine", "the number of a line"))?
        }
    };
    request.notes.tenant = tenant.as_ref().map(ToString::to_string);
    // One line may be as long as a document, and the others are worth being sent together.
    let bytes_max = BATCH_BODY_BYTES_MAX + request.store.limits().text_bytes_max();
    let lines = body.read(bytes_max, request.admission).await?;
    let import = move |store: &Store| import_lines(store, &lines, tenant.as_ref(), first_line);
    let summary = request.in_background(import).await?;
    request.answer_with(&summary)
}

impl From<ImportError> for HttpError {
    fn from(ImportError { line, kind }: ImportError) -> Self {
        let error = match kind {
            ImportErrorKind::Line(reason) => Self::bad_request(reason),
            ImportErrorKind::Store(error) => Self::of((*error).clone(), Disclosure::Document),
        };
        match line {
            Some(line) => error.at_line(line),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_line_and_then_the_cause() {
        let line = ImportErrorKind::Line("no kind of write".to_owned());
        let store = ImportErrorKind::Store(Error::Abandoned.into());
        for (error, shown) in [
            (ImportError { line: Some(3), kind: line }, "line 3: no kind of write"),
            (
                ImportError { line: None, kind: store },
                "the lines cannot be imported: a write was abandoned by its committer; its outcome is unknown",
            ),
        ] {
            assert_eq!(meldb::with_causes(&error).to_string(), shown);
        }
    }

    #[test]
    fn a_line_is_read_to_the_byte_and_names_what_it_lacks() {
        let line = Bytes::from_static(
            br#"{"tenant":"t","collection":"c","id":"1","revision":7,"kind":"put","updated":5,"updatedBy":"a","data":{"n":1.50}}"#,
        );
        let (tenant, write) = read(&line, None).expect("a line");
        assert_eq!((tenant.as_str(), write.revision.get()), ("t", 7));
        assert_eq!(write.text.as_deref(), Some(&br#"{"n":1.50}"#[..]));
        let other = TenantId::parse("other").expect("a name");
        assert_eq!(read(&line, Some(&other)).expect("a line").0, other);
        for (text, reason) in [
            (r#"{"tenant":7}"#, "invalid type: integer `7`"),
            ("{}", r#""tenant" is missing"#),
            (r#"{"tenant":"t","id":"1"}"#, r#""collection" is missing"#),
            (r#"{"tenant":"t","kind":"lost"}"#, "no kind of write"),
            (r#"{"tenant":"t","kind":"put"}"#, r#""revision" is missing"#),
            (
                r#"{"tenant":"t","kind":"put","revision":1,"updated":1,"updatedBy":"a","data":{},"d\u0061ta":{}}"#,
                "given twice",
            ),
        ] {
            let error = read(&Bytes::from_static(text.as_bytes()), None).expect_err("no line");
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
