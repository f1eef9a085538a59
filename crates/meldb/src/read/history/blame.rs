//! Who set each field of a document.

use crate::{
    commit::core::Core,
    engine::{HistoryEntry, history_walk::Entries},
    merge::{leaves, overlaps},
    read::get,
    types::{Actor, Document, DocumentPath, Error, Result, Revision},
};

/// A document, and who set each of its fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Blame {
    /// The document.
    pub document: Document,
    /// Its fields, in their order. Of an object with fields those are told; an array is told whole.
    pub fields: Vec<BlamedField>,
}

/// A field, and the write that made it what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlamedField {
    /// The way to it from the document, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The write that set it; `None` if that was before the history that is kept.
    pub set_by: Option<SetBy>,
}

/// A write that set a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetBy {
    /// Its revision.
    pub revision: Revision,
    /// When it was made, in epoch milliseconds.
    pub updated_ms: u64,
    /// Who made it.
    pub updated_by: Actor,
}

/// Returns the document or sub-document at `path` with who set its fields; `None` if it does not exist.
///
/// Takes one read for each write from the last one back to the one that accounts for the last field.
pub(crate) fn blame(core: &Core, path: DocumentPath) -> Result<Option<Blame>> {
    let Some(whole) = get(core, path.whole())? else { return Ok(None) };
    let inside = path.sub_pointer();
    let part = Document { path: path.clone(), ..whole.clone() }.part(&core.limits())?;
    let Some(document) = part else { return Ok(None) };
    let damaged = |_| Error::Damaged {
        what: path.to_string(),
        reason: "its text is not canonical JSON".to_owned(),
    };
    let mut pointers = leaves(whole.as_bytes()).map_err(damaged)?;
    if let Some(inside) = &inside {
        pointers.retain(|pointer| overlaps(pointer, inside));
    }
    let mut fields: Vec<_> =
        pointers.into_iter().map(|pointer| BlamedField { pointer, set_by: None }).collect();
    // The indices of the fields that are not accounted for.
    let mut open: Vec<usize> = (0..fields.len()).collect();
    let last = Some(whole.revision());
    let mut entries = Entries::from(core.engine(), &path.tenant, &path.key, last);
    while !open.is_empty()
        && let Some(entry) = entries.next()
    {
        let (revision, entry) = entry?;
        open.retain(|index| {
            let field = &mut fields[*index];
            let is_set = entry.fields.iter().any(|set| overlaps(set, &field.pointer));
            if is_set {
                field.set_by = Some(set_by(revision, &entry));
            }
            !is_set
        });
    }
    Ok(Some(Blame { document, fields }))
}

fn set_by(revision: Revision, entry: &HistoryEntry) -> SetBy {
    SetBy { revision, updated_ms: entry.updated_ms, updated_by: entry.actor.clone() }
}
