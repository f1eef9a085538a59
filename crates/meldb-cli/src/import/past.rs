//! Importing lines as the writes that they were: revisions and stamps kept.

use bytes::{Bytes, BytesMut};
use meldb::{ChangeKind, CollectionName, DocId, DocumentKey, PastWrite, Revision, TenantId};
use serde::Deserialize;

use super::{Counts, Import, Input, Observer, lines::Line, run::Progress};
use crate::{
    backend::PreserveRequest,
    failure::{Code, Failure, Result},
    json_text,
};

/// How many lines, and about how many bytes of them, are stored at a time.
const STEP_LINES: usize = 512;
const STEP_BYTES: usize = 4 << 20;

/// What a line of `meldb export` says beside the document.
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

/// Returns the write that a line tells of, and its tenant, which `tenant` stands for if it is given.
pub(crate) fn read_past(line: &Bytes, tenant: Option<&TenantId>) -> Result<(TenantId, PastWrite)> {
    let bad = |message: String| Failure::new(Code::BadRequest, message);
    let facts: Facts =
        serde_json::from_slice(line).map_err(|error| bad(json_text::not_json(&error)))?;
    let missing = |name: &str| {
        bad(format!("the member {name:?} is missing"))
            .hint("only lines of `meldb export` can be preserved")
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
        Some(other) => return Err(bad(format!("{other:?} is no kind of write"))),
        None => return Err(missing("kind")),
    };
    let members = json_text::members(line)?;
    let text = members.iter().find(|member| member.0 == "data");
    let write = PastWrite {
        key,
        kind,
        revision: facts.revision.ok_or_else(|| missing("revision"))?,
        updated_ms: facts.updated.ok_or_else(|| missing("updated"))?,
        updated_by: facts.updated_by.ok_or_else(|| missing("updatedBy"))?,
        expires_ms: facts.expire_at,
        text: text.map(|member| line.slice_ref(member.1.as_bytes())),
    };
    Ok((tenant, write))
}

impl Import<'_> {
    /// Stores what `input` still holds as it was written, and returns what was done in all.
    ///
    /// # Errors
    /// The first line that cannot be stored ends it: history has no gaps.
    pub(crate) async fn preserve(
        self,
        mut input: Input,
        observer: &mut impl Observer,
    ) -> Result<Counts> {
        let mut progress = Progress::new(self.record.clone(), self.counts);
        let interrupted = tokio::signal::ctrl_c();
        let mut interrupted = std::pin::pin!(interrupted);
        loop {
            let mut step = Step::default();
            while step.lines < STEP_LINES && step.text.len() < STEP_BYTES {
                let Some(line) = input.next()? else { break };
                step.add(line)?;
            }
            if step.lines == 0 {
                break;
            }
            let request =
                PreserveRequest { tenant: self.layout.tenant.clone(), first_line: step.first };
            let stored = tokio::select! {
                stored = self.backend.preserve(&request, step.text.freeze()) => stored,
                _ = &mut interrupted => {
                    Err(Failure::new(Code::Failed, "interrupted")
                        .hint("run the command again to continue"))
                }
            };
            match stored {
                Ok(preserved) => {
                    let (counts, bytes) = (&mut progress.counts, step.bytes);
                    counts.created += preserved.stored;
                    counts.unchanged += preserved.skipped;
                    counts.bytes += bytes;
                    observer.progress(counts);
                    progress.reach(step.mark)?;
                }
                Err(failure) => {
                    progress.save()?;
                    return Err(failure);
                }
            }
        }
        if let Some(record) = &self.record {
            record.remove()?;
        }
        Ok(progress.counts)
    }
}

/// Lines that are stored together.
#[derive(Default)]
struct Step {
    text: BytesMut,
    lines: usize,
    /// The number of the first one.
    first: u64,
    /// How many bytes of the input they take.
    bytes: u64,
    mark: Option<super::Mark>,
}

impl Step {
    fn add(&mut self, line: Line) -> Result<()> {
        let Some(text) = line.text else {
            return Err(Failure::new(
                Code::PayloadTooLarge,
                format!("line {} is longer than any document", line.number),
            ));
        };
        if self.lines == 0 {
            self.first = line.number;
        }
        self.text.extend_from_slice(&text);
        self.text.extend_from_slice(b"\n");
        self.lines += 1;
        self.bytes += line.bytes;
        // A mark may be followed by lines of the same step: only one at its end counts.
        self.mark = line.mark;
        Ok(())
    }
}
