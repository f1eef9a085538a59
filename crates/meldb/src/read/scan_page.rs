//! One page of a walk over a collection, without what has expired.

use super::expiry_time::ExpiryTime;
use crate::{
    commit::core::Core,
    engine::{PageSize, ScanPage},
    types::{CollectionName, IdRange, Result, TenantId},
};

/// Reads a page of a collection; its `now_ms` is not looked at.
pub(super) fn scan_page(
    core: &Core,
    tenant: &TenantId,
    collection: &CollectionName,
    range: &IdRange,
    page: PageSize,
) -> Result<ScanPage> {
    let time = ExpiryTime::of(core, tenant);
    let scan = |now_ms| core.engine().scan(tenant, collection, range, PageSize { now_ms, ..page });
    let found = scan(time.latest_ms())?;
    for (_, row) in &found.0 {
        if time.has_passed(row)? {
            // The clock has gone back. A page without these documents is not a shorter one.
            return scan(time.full_ms()?);
        }
    }
    Ok(found)
}
