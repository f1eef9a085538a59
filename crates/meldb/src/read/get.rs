//! Reading one document.

use super::expiry_time::ExpiryTime;
use crate::{
    commit::{core::Core, reply::view},
    types::{Document, DocumentPath, Error, Result},
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
    let Some(text) = row.body else { return Ok(None) };
    match view(&path, text, &core.limits()) {
        Ok(text) => Ok(Some(Document {
            path,
            revision: row.revision,
            updated_ms: row.updated_ms,
            expires_ms: row.expires_ms,
            text,
        })),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
