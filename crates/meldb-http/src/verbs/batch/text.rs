//! A batch as text: what a client sends, and the answer.
//!
//! ```text
//! {"operations":[
//!   {"op":"merge","path":"users/ada","data":{"role":"owner"},"ifRevision":7},
//!   {"op":"delete","path":"users/bob"}]}
//! ```
//!
//! or the operations alone, one a line (NDJSON). A path is what stands behind the tenant in the
//! address of the document; the tenant's own document has an empty one.

use bytes::Bytes;
use meldb::{
    Batch, BatchResult, CollectionName, Error, Outcome, Store, TenantId,
    limits::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX},
};

use super::operation::{Operation, parse};
use crate::{
    bodies::{
        cut,
        json_object::{check_line, check_object},
    },
    disclosure::Disclosure,
    verbs::effect::effect_name,
};

/// The longest body of a batch: its documents, and 1 MiB for what stands around them.
pub const BATCH_BODY_BYTES_MAX: usize = BATCH_BYTES_MAX + (1 << 20);

/// How the operations of a batch are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFormat {
    /// One JSON object with the member `operations`, an array.
    Json,
    /// One operation a line; empty lines do not count.
    Ndjson,
}

impl BatchFormat {
    /// Returns the format that a text seems to have: JSON if it is an object that begins with the
    /// member `operations`, a byte order mark aside, which is refused where the text is read.
    pub fn of(text: &[u8]) -> Self {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let behind = text.trim_ascii_start().strip_prefix(b"{").unwrap_or_default();
        match behind.trim_ascii_start().starts_with(b"\"operations\"") {
            true => Self::Json,
            false => Self::Ndjson,
        }
    }

    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// Why a text is no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BatchTextError {
    /// What is wrong with it, and which operation, if it is one.
    pub message: String,
    /// Which operation is wrong, counted from 0; `None` if it is the text around them.
    pub index: Option<usize>,
    /// Whether there are too many operations.
    pub too_large: bool,
}

/// A batch that has been read and not yet made.
#[derive(Clone, Debug)]
pub struct BatchText {
    tenant: TenantId,
    operations: Vec<Operation>,
}

impl BatchText {
    /// Reads a batch of a tenant's documents; the texts in it are checked when it is made.
    ///
    /// # Errors
    /// The text does not have the format, an operation lacks something or has something that no
    /// operation has, or there are too many.
    pub fn parse(
        tenant: &TenantId,
        text: &Bytes,
        format: BatchFormat,
    ) -> Result<Self, BatchTextError> {
        let parts = match format {
            BatchFormat::Json => parts_of_json(text)?.into_iter().zip(1..).collect::<Vec<_>>(),
            BatchFormat::Ndjson => {
                let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).zip(1..);
                let lines = lines.filter(|(line, _)| !line.is_empty());
                lines.take(BATCH_OPERATIONS_MAX + 1).collect()
            }
        };
        if parts.len() > BATCH_OPERATIONS_MAX {
            let message = format!("the batch has more than {BATCH_OPERATIONS_MAX} operations");
            return Err(BatchTextError { message, index: None, too_large: true });
        }
        let parse = |(index, (part, line)): (usize, (&[u8], u64))| {
            if format == BatchFormat::Ndjson {
                check_line(part, line).map_err(|message| in_operation(index, &message))?;
            }
            parse(tenant, text, part).map_err(|message| in_operation(index, &message))
        };
        let operations = parts.into_iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { tenant: tenant.clone(), operations })
    }

    /// Returns the operations' collections, `None` for the tenant's own document, each with whether it skips what
    /// changes nothing, and the JSON Patch that it is.
    pub(crate) fn parts(
        &self,
    ) -> impl Iterator<Item = (Option<&CollectionName>, bool, Option<&[u8]>)> {
        self.operations.iter().map(|operation| {
            (operation.collection(), operation.skips_unchanged(), operation.patch())
        })
    }

    /// Returns the batch, to be committed.
    ///
    /// # Errors
    /// None: every name has been checked.
    pub fn batch(&self, store: &Store, dry_run: bool, diff: bool) -> meldb::Result<Batch> {
        self.batch_disclosing(store, dry_run, diff, &self.whole_disclosure())
    }

    /// As [`batch`](Self::batch), for whoever may be shown so much of each operation.
    pub(crate) fn batch_disclosing(
        &self,
        store: &Store,
        dry_run: bool,
        diff: bool,
        disclosure: &[Disclosure],
    ) -> meldb::Result<Batch> {
        let mut batch = store.tenant(&self.tenant)?.batch();
        for (operation, disclosure) in self.operations.iter().zip(disclosure) {
            let diff = diff && *disclosure == Disclosure::Document;
            batch.push(operation.write(store, dry_run, diff));
        }
        Ok(batch)
    }

    /// Returns the text of the answer: the last revision and what each operation came to, with
    /// the documents as stored if they are wanted.
    pub fn answer(&self, written: BatchResult, documents: bool) -> Bytes {
        self.answer_disclosing(written, documents, &self.whole_disclosure())
    }

    /// As [`answer`](Self::answer), for whoever may be shown so much of each operation.
    pub(crate) fn answer_disclosing(
        &self,
        written: BatchResult,
        documents: bool,
        disclosure: &[Disclosure],
    ) -> Bytes {
        let last = written.revisions().map(|revisions| revisions.end().get());
        let mut text = format!("{{\"revision\":{},\"results\":[", or_null(last)).into_bytes();
        let results = self.operations.iter().zip(written.outcomes).zip(disclosure);
        for (position, ((operation, outcome), disclosure)) in results.enumerate() {
            text.extend_from_slice(if position > 0 { b",\n" } else { b"\n" });
            write_result(&mut text, &operation.path, outcome, documents, *disclosure);
        }
        text.extend_from_slice(b"]}");
        text.into()
    }

    fn whole_disclosure(&self) -> Vec<Disclosure> {
        vec![Disclosure::Document; self.operations.len()]
    }

    /// Returns what to do about an error of this batch, where its operations tell.
    pub fn advice(&self, error: &Error) -> Option<&'static str> {
        let Error::OperationFailed { index, source, .. } = error else { return None };
        let updates = self.operations.get(*index).is_some_and(Operation::updates);
        (updates && matches!(**source, Error::NotFound { .. }))
            .then_some("this changes only what exists, and `put` or `insert` creates")
    }

    /// Returns the path of an operation.
    pub(crate) fn path(&self, index: usize) -> &str {
        self.operations.get(index).map_or("", |operation| &operation.path)
    }
}

fn write_result(
    text: &mut Vec<u8>,
    path: &str,
    outcome: Outcome,
    documents: bool,
    disclosure: Disclosure,
) {
    let effect = effect_name(outcome.effect);
    // A path is made of names, and these hold nothing that JSON escapes.
    let head =
        format!("{{\"path\":\"{path}\",\"effect\":\"{effect}\",\"revision\":{}", outcome.revision);
    text.extend_from_slice(head.as_bytes());
    // A repeated request has the answer of the first one.
    if let Some(diff) = outcome.diff.filter(|_| disclosure == Disclosure::Document) {
        let diff =
            format!(",\"diff\":{{\"forward\":{},\"backward\":{}}}", diff.forward, diff.backward);
        text.extend_from_slice(diff.as_bytes());
    }
    if let Some(document) = outcome.document.filter(|_| documents) {
        text.extend_from_slice(b",\"data\":");
        text.extend_from_slice(&disclosure.text(document));
    }
    text.push(b'}');
}

fn or_null(number: Option<u64>) -> String {
    number.map_or_else(|| "null".to_owned(), |number| number.to_string())
}

/// Returns the operations of `{"operations":[…]}`.
fn parts_of_json(text: &[u8]) -> Result<Vec<&[u8]>, BatchTextError> {
    let wrong = |message: String| BatchTextError { message, index: None, too_large: false };
    check_object(text).map_err(|error| wrong(error.to_string()))?;
    let expected = || {
        let message = "a batch is an object with one member, the array `operations`; \
                       operations alone, one a line, are sent as application/x-ndjson";
        wrong(message.to_owned())
    };
    match cut::members(text).as_slice() {
        [(b"\"operations\"", array)] if array.first() == Some(&b'[') => {
            Ok(cut::elements(array).take(BATCH_OPERATIONS_MAX + 1).collect())
        }
        _ => Err(expected()),
    }
}

fn in_operation(index: usize, message: &str) -> BatchTextError {
    let message = format!("operation {index}, counted from 0: {message}");
    BatchTextError { message, index: Some(index), too_large: false }
}
