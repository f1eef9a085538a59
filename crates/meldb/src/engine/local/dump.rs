//! The records of a log as JSON, for people and for tests.

use serde_json::{Map, Value, json};

use super::{
    log::ScannedRecord,
    log_record::{self, LoggedText, LoggedWrite, TenantChange},
};
use crate::{
    engine::{ChangeKind, HistoryEntry},
    types::{DocumentKey, DocumentPath, TenantId},
};

/// Returns a record as a JSON object: where it is, and what it says, or why that cannot be read.
pub(crate) fn record(record: ScannedRecord) -> Value {
    let name = record.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut object = json!({
        "sequence": record.sequence,
        "file": name,
        "number": record.file_number,
        "offset": record.offset,
        "bytes": record.payload.len(),
        "synced": record.synced,
    });
    match log_record::decode(record.payload.into()) {
        Ok(changes) => object["tenants"] = changes.iter().map(tenant).collect(),
        Err(damage) => object["problem"] = damage.0.into(),
    }
    object
}

fn tenant(change: &TenantChange) -> Value {
    let TenantChange { tenant, head, horizon, writes, removed, history } = change;
    let mut object = json!({ "tenant": tenant.as_str() });
    if let Some(head) = head {
        object["head"] = json!({
            "revision": head.revision.get(),
            "updated": head.updated_ms,
            "documents": head.totals.documents,
            "bytes": head.totals.bytes,
            "tombstones": head.totals.tombstones,
        });
    }
    if let Some(horizon) = horizon {
        object["horizon"] = horizon.get().into();
    }
    if !writes.is_empty() {
        object["writes"] = writes.iter().map(|logged| write(tenant, logged)).collect();
    }
    if !removed.is_empty() {
        let removed = removed.iter().map(|(key, revision)| {
            json!({ "document": document(tenant, key), "revision": revision.get() })
        });
        object["removed"] = removed.collect();
    }
    if !history.is_empty() {
        let changes = history.iter().map(|(revision, entry)| match entry {
            Some(entry) => json!({ "revision": revision.get(), "bytes": entry.len() }),
            None => json!({ "revision": revision.get(), "removed": true }),
        });
        object["history"] = changes.collect();
    }
    object
}

fn write(tenant: &TenantId, write: &LoggedWrite) -> Value {
    let kind = match write.kind {
        ChangeKind::Put => "put",
        ChangeKind::Merged => "merged",
        ChangeKind::Deleted => "deleted",
    };
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    set("document", document(tenant, &write.key).into());
    set("kind", kind.into());
    set("revision", write.revision.get().into());
    if let Some(base) = write.base {
        set("base", base.get().into());
    }
    set("updated", write.updated_ms.into());
    set("updatedBy", write.actor.as_str().into());
    if let Some(expires_ms) = write.expires_ms {
        set("expires", expires_ms.into());
    }
    match &write.text {
        LoggedText::Deleted => {}
        LoggedText::Whole(text) => set("text", String::from_utf8_lossy(text).into()),
        LoggedText::Edited(edits) => {
            let edits = edits.edits().iter().map(|(kept, replaced, inserted)| {
                let inserted = String::from_utf8_lossy(inserted);
                json!({ "keep": kept, "replace": replaced, "by": inserted })
            });
            set("edits", edits.collect());
        }
    }
    if let Some(entry) = &write.history {
        let entry = HistoryEntry::decode(entry.clone());
        set("fields", entry.map_or(Value::Null, |entry| entry.fields.into()));
    }
    Value::Object(object)
}

fn document(tenant: &TenantId, key: &DocumentKey) -> String {
    DocumentPath { tenant: tenant.clone(), key: key.clone(), members: None }.to_string()
}
