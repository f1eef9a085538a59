//! Versions and blame as JSON.

use bytes::{BufMut, Bytes, BytesMut};
use meldb::{Blame, BlamedField, Document, Version};
use serde::Serialize;

use crate::verbs::changes::{kind_name, names_of, with_data};

/// A version, as one line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts<'a> {
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    kind: &'static str,
    updated: u64,
    updated_by: &'a str,
    fields: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_at: Option<u64>,
}

/// A field and who set it; without the rest where that is not known any more.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Field<'a> {
    pointer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<&'a str>,
}

/// Returns a version as one line of JSON, without a line break: `revision`, `collection` and `id` unless it
/// is the tenant's own document, `kind`, `updated`, `updatedBy`, `fields`, `previous` if the document existed before,
/// `batch` if it was written in one, `redacted` and `redactedBy` if something was, and `expireAt` and `data` if it has its
/// document.
pub fn history_line(version: &Version) -> Vec<u8> {
    let (collection, id) = names_of(version.path.key());
    let facts = Facts {
        revision: version.revision.get(),
        collection,
        id,
        kind: kind_name(version.kind),
        updated: version.updated_ms,
        updated_by: version.updated_by.as_str(),
        fields: &version.fields,
        previous: version.previous.map(meldb::Revision::get),
        batch: version.batch.map(meldb::Revision::get),
        redacted: version.redacted_ms,
        redacted_by: version.redacted_by.as_ref().map(meldb::Actor::as_str),
        expire_at: version.document.as_ref().and_then(Document::expires_ms),
    };
    with_data(serde_json::to_vec(&facts).unwrap_or_default(), version.document.as_ref())
}

/// Returns a document with who set its fields, as JSON: `revision`, `fields`, and the document as `data`.
pub fn blame_text(blame: &Blame) -> Bytes {
    let field = |field: &BlamedField| {
        let set_by = field.set_by.as_ref();
        let facts = Field {
            pointer: &field.pointer,
            revision: set_by.map(|set_by| set_by.revision.get()),
            updated: set_by.map(|set_by| set_by.updated_ms),
            updated_by: set_by.map(|set_by| set_by.updated_by.as_str()),
        };
        serde_json::to_vec(&facts).unwrap_or_default()
    };
    let mut text = BytesMut::new();
    text.put_slice(format!(r#"{{"revision":{},"fields":"#, blame.document.revision()).as_bytes());
    put_array(&mut text, blame.fields.iter().map(field));
    text.put_slice(br#","data":"#);
    text.put_slice(blame.document.as_bytes());
    text.put_u8(b'}');
    text.freeze()
}

/// Adds an array of texts of JSON.
pub(super) fn put_array(text: &mut BytesMut, items: impl Iterator<Item = Vec<u8>>) {
    text.put_u8(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        text.put_slice(&item);
    }
    text.put_u8(b']');
}
