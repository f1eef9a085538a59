//! What a command answers when it fails: a code, a sentence, what to do, and an exit code.

use std::{fmt, path::Path, process::ExitCode};

use meldb::{Error, NameError, engine::EngineErrorKind, with_causes};
use meldb_http::BatchTextError;
use serde::{Deserialize, Serialize};

/// What to do about an idempotency key that was used for another request.
pub(crate) const A_KEY_OF_ITS_OWN: &str = "give each request a key of its own";
/// What to do about a cursor that has expired.
pub(crate) const BEGIN_AGAIN: &str = "begin again without --after";
/// What to do about history that is not kept from so long ago.
pub(crate) const SEE_LOG: &str =
    "`meldb log` lists what is kept, and `meldb history` says for how long";
/// What to do about members that have changed.
pub(crate) const LOOK_AT_MEMBERS: &str =
    "look at what they are now, and give the document's new revision";

/// What kind of failure it is: the codes of the HTTP contract, and the program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Code {
    /// The command line or the configuration is wrong.
    Usage,
    /// What was sent is not acceptable: JSON text, a patch that does not apply, a limit.
    BadRequest,
    /// The key is missing, unknown, revoked or expired.
    Unauthenticated,
    /// The key is good, and not for this.
    PermissionDenied,
    /// The document or key does not exist.
    NotFound,
    /// The route exists, and not with this method.
    MethodNotAllowed,
    /// The write does not fit what is stored.
    Conflict,
    /// The cursor is too old, or of another store.
    Gone,
    /// The condition of the write does not hold.
    PreconditionFailed,
    /// The text or the document is too long.
    PayloadTooLarge,
    /// The media type is not one that the server reads.
    UnsupportedMediaType,
    /// The idempotency key was used for another request.
    UnprocessableContent,
    /// The server asks to slow down.
    TooManyRequests,
    /// The server failed; its log says why.
    InternalError,
    /// The directory or port is in use, the server is not there, or the store is read-only.
    Unavailable,
    /// The disk, or the tenant's quota, is full.
    InsufficientStorage,
    /// Stored bytes are not what was written.
    Damaged,
    /// The user has ended it.
    Interrupted,
    /// Anything else that the operating system refused.
    Failed,
}

impl Code {
    /// Returns the exit code of the program; `meldb --help` lists them.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::PreconditionFailed => 4,
            Self::Unauthenticated | Self::PermissionDenied => 5,
            Self::Unavailable | Self::InsufficientStorage | Self::TooManyRequests => 6,
            // As a shell says of a program that SIGINT has ended.
            Self::Interrupted => 130,
            Self::BadRequest
            | Self::MethodNotAllowed
            | Self::Conflict
            | Self::Gone
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType
            | Self::UnprocessableContent
            | Self::InternalError
            | Self::Damaged
            | Self::Failed => 1,
        }
    }

    /// Returns the code that the contract gives to an HTTP status, for answers that have no body.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            409 => Self::Conflict,
            410 => Self::Gone,
            412 => Self::PreconditionFailed,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            422 => Self::UnprocessableContent,
            429 => Self::TooManyRequests,
            400..=499 => Self::BadRequest,
            503 => Self::Unavailable,
            507 => Self::InsufficientStorage,
            _ => Self::InternalError,
        }
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub code: Code,
    /// What happened, as a sentence without its full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a fallible part of the program returns.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Returns a failure without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Returns a failure of the command line or the configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Returns the failure of a file that is there and was to be made.
    pub(crate) fn file_exists(path: &Path) -> Self {
        Self::usage(format!("{} exists already, and it was left as it is", path.display()))
            .hint("choose another name, or remove that file first")
    }

    /// Returns the failure of a command that was interrupted and goes on when it is run again.
    pub(crate) fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted").hint("run the command again to continue")
    }

    /// Returns the failure of a file or network operation, such as `cannot read FILE: …`.
    pub(crate) fn io(action: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Code::Failed, format!("cannot {action}: {error}"))
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the exit code of the program.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code.exit_code())
    }

    /// Returns the line for `--json`: `{"code","message"}`, the hint being part of the message.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({"code": self.code, "message": self.to_string()}).to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = with_causes(&error).to_string();
        let (code, hint) = match error {
            // It is of the kind that its operation's failure is of.
            Error::OperationFailed { source, .. } => {
                return Self { message, ..Self::from((*source).clone()) };
            }
            Error::InvalidName { .. }
            | Error::InvalidMemberPath(_)
            | Error::InvalidOption { .. } => (Code::Usage, None),
            Error::WrongEngine { .. } => {
                (Code::Usage, Some("leave out --engine to open it with the engine it has"))
            }
            Error::EngineUnavailable { .. } => (Code::Usage, None),
            Error::UnfitBackup { .. } => (Code::Usage, None),
            Error::NotAStore { .. } | Error::UnsupportedFormat { .. } => {
                (Code::Usage, Some("choose another directory with --dir"))
            }
            Error::InvalidText(_)
            | Error::Serialize(_)
            | Error::InvalidQuery(_)
            | Error::ScanRefused { .. }
            | Error::SortTooLarge { .. } => (Code::BadRequest, None),
            Error::PatchConflict { .. } | Error::IndexExists { .. } | Error::NotUnique { .. } => {
                (Code::Conflict, None)
            }
            Error::IdempotencyKeyReused { .. } => {
                (Code::UnprocessableContent, Some(A_KEY_OF_ITS_OWN))
            }
            Error::QuotaExceeded { .. } => (
                Code::InsufficientStorage,
                Some(
                    "delete some of what it holds, wait until what was deleted is forgotten, or raise the \
                     quota with `meldb quota set`",
                ),
            ),
            Error::OutOfOrder { .. } | Error::NotEmpty { .. } => (Code::Conflict, None),
            Error::TooManyReceipts { .. } => (Code::InsufficientStorage, None),
            Error::TextTooLarge { .. }
            | Error::DocumentTooLarge { .. }
            | Error::BatchTooLarge { .. } => (Code::PayloadTooLarge, None),
            Error::MembersChanged { .. } => (Code::PreconditionFailed, Some(LOOK_AT_MEMBERS)),
            Error::NotFound { .. } => (Code::NotFound, None),
            Error::CursorExpired { .. } => (Code::Gone, Some(BEGIN_AGAIN)),
            Error::HistoryExpired { .. } => (Code::Gone, Some(SEE_LOG)),
            Error::NoSuchVersion { .. } => (Code::NotFound, None),
            Error::UndoConflict { .. } => (Code::Conflict, None),
            Error::AlreadyExists { .. } | Error::RevisionMismatch { .. } => {
                (Code::PreconditionFailed, None)
            }
            Error::InUse { .. } => (
                Code::Unavailable,
                Some("stop the other process, or choose another directory with --dir"),
            ),
            Error::ReadOnly { .. }
            | Error::CommitFailed { .. }
            | Error::Unavailable { .. }
            | Error::Overtaken { .. }
            | Error::OutcomeUnknown { .. }
            | Error::Abandoned => (Code::Unavailable, None),
            Error::Busy { .. } => (Code::TooManyRequests, None),
            Error::StorageFull { .. } => (Code::InsufficientStorage, None),
            Error::Damaged { .. } => (Code::Damaged, None),
            Error::OpenFailed { source, .. } if source.kind() == EngineErrorKind::Damaged => {
                (Code::Damaged, Some("save what is whole with `meldb repair`, or restore a backup"))
            }
            _ => (Code::Failed, None),
        };
        Self { code, message, hint: hint.map(str::to_owned) }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Error::from(error).into()
    }
}

impl From<BatchTextError> for Failure {
    fn from(error: BatchTextError) -> Self {
        let code = if error.too_large { Code::PayloadTooLarge } else { Code::BadRequest };
        Self::new(code, error.message)
    }
}
