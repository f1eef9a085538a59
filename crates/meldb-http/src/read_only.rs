//! Why a store takes no writes any more, in words for everybody.

use meldb::engine::EngineErrorKind;

/// Says what has made a store read-only; the log has more.
pub(crate) fn reason(cause: EngineErrorKind) -> &'static str {
    match cause {
        EngineErrorKind::Io => {
            "the store takes no writes since the operating system has failed a write or a sync"
        }
        EngineErrorKind::StorageFull => "the store takes no writes since its storage was full",
        EngineErrorKind::Damaged => "the store takes no writes since stored data was found damaged",
        EngineErrorKind::Displaced => {
            "the store takes no writes since its directory is no longer where it was opened"
        }
        _ => "the store takes no writes since an earlier one failed",
    }
}
