//! Why a store takes no writes any more, in words for everybody.

use meldb::engine::kv::KvErrorKind;

/// Says what has made a store read-only; the log is told more.
pub(crate) fn reason(cause: KvErrorKind) -> &'static str {
    match cause {
        KvErrorKind::Io => {
            "the store takes no writes since the operating system has failed a write or a sync"
        }
        KvErrorKind::StorageFull => "the store takes no writes since its storage was full",
        KvErrorKind::Damaged => "the store takes no writes since stored data was found damaged",
        KvErrorKind::Displaced => {
            "the store takes no writes since its directory is no longer where it was opened"
        }
        _ => "the store takes no writes since an earlier one failed",
    }
}
