//! Errors as answers: one `match` from the store's errors to HTTP.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use meldb::{
    Error, NameError,
    merge::{ChangedMember, ConflictKind},
    with_causes,
};
use serde_json::Value;

use crate::disclosure::Disclosure;

/// A refusal or failure, on its way to the client: the status and the body of the contract,
/// `{"code":…,"message":…}`.
#[derive(Debug)]
pub struct HttpError {
    pub(crate) code: Code,
    /// For the client.
    message: Cow<'static, str>,
    /// For the log alone.
    pub(crate) log: Option<String>,
    /// Why it was refused, in one word, if it was for who sent it; for logs and metrics.
    reason: Option<&'static str>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    /// Further members of the answer, as JSON text.
    details: Vec<(&'static str, String)>,
}

/// The kinds of errors, each with its status and its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// 400.
    BadRequest,
    /// 401.
    Unauthenticated,
    /// 403.
    PermissionDenied,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 408.
    RequestTimeout,
    /// 409.
    Conflict,
    /// 410.
    Gone,
    /// 412.
    PreconditionFailed,
    /// 413.
    PayloadTooLarge,
    /// 415.
    UnsupportedMediaType,
    /// 422.
    UnprocessableContent,
    /// 429.
    TooManyRequests,
    /// 431.
    HeadersTooLarge,
    /// 500.
    InternalError,
    /// 503.
    Unavailable,
    /// 507.
    InsufficientStorage,
}

impl Code {
    /// Every code, for the description of the interface.
    pub(crate) const ALL: [Self; 17] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::Gone,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::UnprocessableContent,
        Self::TooManyRequests,
        Self::HeadersTooLarge,
        Self::InternalError,
        Self::Unavailable,
        Self::InsufficientStorage,
    ];

    /// Returns the status.
    pub fn status(self) -> StatusCode {
        self.parts().0
    }

    /// Returns the name on the wire.
    pub fn name(self) -> &'static str {
        self.parts().1
    }

    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthenticated"),
            Self::PermissionDenied => (StatusCode::FORBIDDEN, "PermissionDenied"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            Self::Conflict => (StatusCode::CONFLICT, "Conflict"),
            Self::Gone => (StatusCode::GONE, "Gone"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")
            }
            Self::UnprocessableContent => {
                (StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableContent")
            }
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Self::HeadersTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "RequestHeaderFieldsTooLarge")
            }
            Self::InternalError => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
            Self::InsufficientStorage => (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
        }
    }
}

impl HttpError {
    /// Returns an error with a message for the client.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let (log, reason, header, details) = (None, None, None, Vec::new());
        Self { code, message: message.into(), log, reason, header, details }
    }

    /// Returns a 400.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// Returns a 401: one answer for every reason, so that nothing can be learnt from it.
    pub fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "a valid API key is needed: Authorization: Bearer KEY")
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Returns a 403. What it says must not depend on what exists.
    pub fn permission_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// Returns a 404 for an address without a route; the page for people lists those that there are.
    pub fn not_found() -> Self {
        let message = "there is nothing at this address; /openapi.json lists what there is, and /docs shows it to people";
        // RFC 8631: where what there is is described.
        let description = HeaderValue::from_static("</openapi.json>; rel=\"service-desc\"");
        Self::new(Code::NotFound, message).with_header(header::LINK, description)
    }

    /// Returns a 500, whose cause is for the log alone.
    pub fn internal(log: impl Into<String>) -> Self {
        let log = Some(log.into());
        Self { log, ..Self::new(Code::InternalError, "something went wrong on the server") }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// Says why it was refused, in one word, for logs and metrics.
    #[must_use]
    pub fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Returns why it was refused, if it was for who sent it.
    pub fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Returns its kind.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Adds to the message what to do about it.
    #[must_use]
    pub fn advise(mut self, what_to_do: &str) -> Self {
        self.message = format!("{}; {what_to_do}", self.message).into();
        self
    }

    /// Adds which operation of a batch it is about.
    pub(crate) fn of_operation(mut self, index: usize, path: Option<&str>) -> Self {
        let operation = match path {
            Some(path) => serde_json::json!({ "index": index, "path": path }),
            None => serde_json::json!({ "index": index }),
        };
        self.details.push(("operation", operation.to_string()));
        self
    }

    /// Adds the number of the line that it is about.
    pub(crate) fn at_line(mut self, line: u64) -> Self {
        self.message = format!("line {line}: {}", self.message).into();
        self
    }

    /// Adds members that have changed, with their values to the byte if these may be shown.
    fn with_members(mut self, members: &[ChangedMember], disclosure: Disclosure) -> Self {
        let member = |member: &ChangedMember| {
            let pointer = Value::from(member.pointer.as_str());
            match member.current.as_ref().filter(|_| disclosure == Disclosure::Document) {
                Some(current) => format!("{{\"pointer\":{pointer},\"current\":{current}}}"),
                None => format!("{{\"pointer\":{pointer}}}"),
            }
        };
        let members: Vec<_> = members.iter().map(member).collect();
        self.details.push(("members", format!("[{}]", members.join(","))));
        self
    }

    /// Adds fields that stand in the way.
    fn with_fields(mut self, fields: &[String]) -> Self {
        self.details.push(("fields", Value::from(fields).to_string()));
        self
    }

    fn logged(code: Code, message: impl Into<Cow<'static, str>>, error: &Error) -> Self {
        Self { log: Some(with_causes(error).to_string()), ..Self::new(code, message) }
    }
}

/// The answer to whoever may not read.
impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        Self::of(error, Disclosure::Stamps)
    }
}

impl From<NameError> for HttpError {
    fn from(error: NameError) -> Self {
        Error::from(error).into()
    }
}

impl HttpError {
    /// Returns the answer to a request that the store has refused or failed, with as much of the
    /// document as may be shown.
    pub(crate) fn of(error: Error, disclosure: Disclosure) -> Self {
        let with_its_words = |code| Self::new(code, with_causes(&error).to_string());
        match &error {
            Error::InvalidName { .. }
            | Error::InvalidText(_)
            | Error::InvalidMemberPath(_)
            | Error::InvalidQuery(_)
            | Error::ScanRefused { .. }
            | Error::SortTooLarge { .. } => with_its_words(Code::BadRequest),
            Error::IndexExists { .. } => with_its_words(Code::Conflict),
            Error::NotUnique { .. } if disclosure == Disclosure::Document => {
                with_its_words(Code::Conflict)
            }
            Error::NotUnique { path, index, .. } => {
                let message =
                    format!("another document has the values of {path} in the unique index {index}");
                Self::new(Code::Conflict, message)
            }
            Error::NotFound { .. } => with_its_words(Code::NotFound),
            Error::CursorExpired { .. } | Error::HistoryExpired { .. } => {
                with_its_words(Code::Gone)
            }
            Error::NoSuchVersion { .. } => with_its_words(Code::NotFound),
            Error::UndoConflict { fields, .. } if disclosure == Disclosure::Document => {
                with_its_words(Code::Conflict).with_fields(fields)
            }
            Error::UndoConflict { path, revision, .. } => {
                let message = format!(
                    "{path}: the write at {revision} cannot be taken back alone, because later ones \
                     have changed the same fields; a key that may read its history is told which"
                );
                Self::new(Code::Conflict, message)
            }
            Error::IdempotencyKeyReused { tenant, key } => {
                // What stands before the key that the client has chosen is whose it is.
                let key = key.split_once('/').map_or(key.as_str(), |(_, key)| key);
                let message =
                    format!("the idempotency key {key:?} was used for another request in {tenant}");
                Self::new(Code::UnprocessableContent, message)
            }
            Error::QuotaExceeded { .. } => with_its_words(Code::InsufficientStorage).advise(
                "delete some of what it holds, wait until what was deleted is forgotten, or have an \
                 operator raise the quota",
            ),
            Error::TooManyReceipts { .. } => with_its_words(Code::InsufficientStorage),
            Error::OutOfOrder { .. } | Error::NotEmpty { .. } => with_its_words(Code::Conflict),
            Error::PatchConflict { source, .. } => with_its_words(match source.kind {
                ConflictKind::TooLarge { .. } | ConflictKind::TooMuchWork => Code::PayloadTooLarge,
                ConflictKind::TooDeep { .. } | ConflictKind::NameTooLong { .. } => Code::BadRequest,
                _ => Code::Conflict,
            }),
            Error::AlreadyExists { .. } | Error::RevisionMismatch { .. } => {
                with_its_words(Code::PreconditionFailed)
            }
            Error::MembersChanged { members, .. } => {
                with_its_words(Code::PreconditionFailed).with_members(members, disclosure)
            }
            Error::OperationFailed { source, .. } => {
                let refusal = Self::of((**source).clone(), disclosure);
                match refusal.log {
                    // The cause is for the log alone.
                    Some(_) => refusal,
                    None => Self { message: with_causes(&error).to_string().into(), ..refusal },
                }
            }
            Error::TextTooLarge { .. }
            | Error::DocumentTooLarge { .. }
            | Error::BatchTooLarge { .. } => with_its_words(Code::PayloadTooLarge),
            Error::ReadOnly { cause } => {
                let message =
                    format!("nothing was written: {}", crate::read_only::reason(cause.kind()));
                Self::logged(Code::Unavailable, message, &error)
            }
            Error::Unavailable { .. } => Self::logged(
                Code::Unavailable,
                "the server's database cannot be reached for now, and nothing was written; try again",
                &error,
            ),
            Error::Busy { .. } => with_its_words(Code::TooManyRequests)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            Error::Overtaken { .. } => with_its_words(Code::Unavailable)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            Error::CommitFailed { .. } | Error::OutcomeUnknown { .. } => Self::logged(
                Code::Unavailable,
                "the write failed, and whether it is stored is not known; read before you repeat it",
                &error,
            ),
            Error::StorageFull { .. } => {
                Self::logged(Code::InsufficientStorage, "the server's storage is full", &error)
            }
            Error::Refused { .. } => {
                Self::logged(Code::InternalError, "the server's database refused it", &error)
            }
            Error::ReadFailed { .. } | Error::Damaged { .. } => {
                Self::logged(Code::InternalError, "the document could not be read", &error)
            }
            // These speak of a caller in Rust, or of opening a store; no request leads to them.
            Error::Serialize(_)
            | Error::Deserialize { .. }
            | Error::Abandoned
            | Error::ForeignWrite { .. }
            | Error::InUse { .. }
            | Error::NotAStore { .. }
            | Error::UnsupportedFormat { .. }
            | Error::WrongEngine { .. }
            | Error::OpenFailed { .. }
            | Error::EngineUnavailable { .. }
            | Error::Io { .. }
            | Error::InvalidOption { .. } => Self::internal(with_causes(&error).to_string()),
            // The enum is open. A variant that nobody has thought about here is a failure of ours.
            _ => Self::internal(with_causes(&error).to_string()),
        }
    }
}

impl HttpError {
    /// Returns the body that a client is sent.
    pub fn text(&self) -> String {
        let message = Value::from(&*self.message);
        let mut body = format!("{{\"code\":\"{}\",\"message\":{message}", self.code.name());
        for (name, value) in &self.details {
            body.push_str(&format!(",\"{name}\":{value}"));
        }
        body.push('}');
        body
    }
}

impl HttpError {
    /// Returns the server-sent event that tells why a stream ends.
    pub fn event(&self) -> Bytes {
        Bytes::from(format!("event: error\ndata: {}\n\n", self.text()))
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.text()));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(header) = self.header {
            headers.insert(header.0, header.1);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use meldb::{
        Actor, Cause, DocumentPath, JsonText, Revision, Store, TenantId,
        engine::{EngineError, EngineErrorKind},
    };

    use super::*;

    fn path() -> DocumentPath {
        let tenant = Store::in_memory().and_then(|store| store.tenant("t")).expect("a tenant");
        tenant.document().path().expect("a good path").clone()
    }

    fn tenant() -> TenantId {
        TenantId::parse("t").expect("a tenant id")
    }

    fn engine_error() -> EngineError {
        EngineError::new(EngineErrorKind::Io, "a secret of the engine")
    }

    fn serde_error() -> Cause<serde_json::Error> {
        serde_json::from_str::<u8>("x").expect_err("no number").into()
    }

    fn in_batch(source: Error) -> Error {
        Error::OperationFailed { index: 3, path: Some(path()), source: source.into() }
    }

    /// Returns the error of an RFC 6902 patch on a document `{"a":1}`.
    fn patch_error(operations: &str) -> Error {
        let store = Store::in_memory().expect("a store");
        let document = store.tenant("t").expect("a name").document();
        document.put(serde_json::json!({"a": 1})).commit("test").expect("written");
        document.patch(JsonText(operations)).commit("test").expect_err("a conflict")
    }

    #[test]
    fn every_error_of_the_store_has_its_status() {
        let (dir, reason) = (|| "d".into(), || String::from("r"));
        let invalid_text = {
            let store = Store::in_memory().expect("a store");
            let document = store.tenant("t").expect("a name").document();
            document.put(JsonText("x")).commit("test").expect_err("no JSON")
        };
        for (error, status) in [
            (TenantId::parse("").expect_err("empty").into(), 400),
            (Actor::parse("").expect_err("empty").into(), 400),
            (invalid_text, 400),
            (Error::Serialize(serde_error()), 500),
            (Error::Deserialize { path: path(), source: serde_error() }, 500),
            (Error::TextTooLarge { path: path(), bytes: 2, bytes_max: 1 }, 413),
            (Error::DocumentTooLarge { path: path(), bytes: 2, bytes_max: 1 }, 413),
            (Error::NotFound { path: path() }, 404),
            (Error::AlreadyExists { path: path() }, 412),
            (
                Error::HistoryExpired {
                    what: "w".to_owned(),
                    revision: Revision::ZERO,
                    since: None,
                },
                410,
            ),
            (Error::NoSuchVersion { path: path(), revision: Revision::ZERO }, 404),
            (
                Error::UndoConflict {
                    path: path(),
                    revision: Revision::ZERO,
                    fields: vec!["/secret".to_owned()],
                },
                409,
            ),
            (Error::RevisionMismatch { path: path(), expected: Revision::ZERO, found: None }, 412),
            (
                Error::MembersChanged {
                    path: path(),
                    since: Revision::ZERO,
                    found: Revision::ZERO,
                    members: Vec::new(),
                },
                412,
            ),
            (in_batch(Error::NotFound { path: path() }), 404),
            (in_batch(Error::ReadFailed { source: engine_error() }), 500),
            (Error::IdempotencyKeyReused { tenant: tenant(), key: "k".to_owned() }, 422),
            (Error::TooManyReceipts { tenant: tenant(), receipts: 2, bytes: 2 }, 507),
            (Error::QuotaExceeded { tenant: tenant(), unit: "bytes", found: 2, max: 1 }, 507),
            (Error::BatchTooLarge { unit: "operations", found: 2, max: 1 }, 413),
            (Error::ForeignWrite { path: path() }, 500),
            (patch_error(r#"[{"op":"remove","path":"/b"}]"#), 409),
            (patch_error(r#"[{"op":"test","path":"/a","value":2}]"#), 409),
            (Error::ReadOnly { cause: engine_error() }, 503),
            (Error::CommitFailed { source: engine_error() }, 503),
            (Error::Unavailable { source: engine_error() }, 503),
            (Error::OutcomeUnknown { source: engine_error() }, 503),
            (Error::Refused { source: engine_error() }, 500),
            (Error::StorageFull { source: engine_error() }, 507),
            (Error::ReadFailed { source: engine_error() }, 500),
            (Error::Damaged { what: "w".to_owned(), reason: reason() }, 500),
            (Error::Abandoned, 500),
            (Error::InUse { dir: dir() }, 500),
            (Error::NotAStore { dir: dir(), reason: reason() }, 500),
            (Error::NotEmpty { place: reason(), what: reason() }, 409),
            (Error::UnsupportedFormat { dir: dir(), found: 2, supported: 1 }, 500),
            (Error::WrongEngine { dir: dir(), found: reason(), asked: reason() }, 500),
            (Error::EngineUnavailable { engine: reason() }, 500),
            (
                Error::Io {
                    action: "create",
                    path: dir(),
                    source: io::Error::from(io::ErrorKind::NotFound).into(),
                },
                500,
            ),
            (Error::InvalidOption { option: "commit_queues", reason: reason() }, 500),
        ] {
            let context = format!("{error:?}");
            // What a tenant may do is between it and its client.
            let of_a_tenant =
                matches!(error, Error::TooManyReceipts { .. } | Error::QuotaExceeded { .. });
            let answer = HttpError::from(error);
            assert_eq!(answer.code.status().as_u16(), status, "{context}");
            assert_eq!(
                answer.log.is_some(),
                status >= 500 && !of_a_tenant,
                "{context}: logged or not"
            );
            assert!(!answer.message.contains("secret"), "{context}: {}", answer.message);
        }
    }

    #[test]
    fn codes_and_statuses_are_pairs() {
        for code in Code::ALL {
            let status = code.status();
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            let same = Code::ALL.into_iter().filter(|other| other.status() == status);
            assert_eq!(same.count(), 1, "{code:?}");
        }
    }
}
