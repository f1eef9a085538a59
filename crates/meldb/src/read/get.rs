//! Reading one document.

use super::expiry_time::ExpiryTime;
use crate::{
    commit::core::Core,
    types::{Document, DocumentPath, Result},
};

/// Returns a document, or the sub-document that `path` names, as last committed; `None` if it does not
/// exist.
pub(crate) fn get(core: &Core, path: DocumentPath) -> Result<Option<Document>> {
    let Some(row) = core.engine().get(&path.tenant, &path.key)? else {
        return Ok(None);
    };
    if row.expires_ms.is_some() && ExpiryTime::of(core, &path.tenant).has_passed(&row)? {
        return Ok(None);
    }
    match row.document(path) {
        Some(document) => document.part(&core.limits()),
        None => Ok(None),
    }
}
