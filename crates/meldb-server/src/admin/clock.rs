//! `POST /api/v1/admin/clock:reset`: taking back times that a clock far ahead has left.

use axum::response::Response;
use meldb::{Store, Tenant, TenantId, TimeReset};
use meldb_http::{AdminRequest, HttpError};
use serde::{Deserialize, Serialize};

use crate::keys::{KeyError, Keys};

/// What was ahead of the clock and was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClockReset {
    /// What the clock shows, in epoch milliseconds.
    pub now: u64,
    /// The tenants that were ahead.
    pub tenants: Vec<TenantReset>,
    /// The time of the keys, by which they expire, if that was ahead.
    pub keys: Option<TimeReset>,
}

/// What was taken back of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantReset {
    /// The tenant.
    pub tenant: TenantId,
    /// Its time, before and now.
    #[serde(flatten)]
    pub time: TimeReset,
}

/// Takes back the time of one tenant, or of all tenants and of the keys, to what the clock shows now; see
/// [`Tenant::reset_time`].
///
/// # Errors
/// [`KeyError::Store`]; some of it may be done then.
pub fn reset_clock(
    store: &Store,
    keys: &Keys,
    tenant: Option<&TenantId>,
) -> Result<ClockReset, KeyError> {
    let mut tenants = Vec::new();
    let mut reset = |tenant: &Tenant| {
        let time = tenant.reset_time()?;
        if time.from > time.to {
            tenants.push(TenantReset { tenant: tenant.id().clone(), time });
        }
        Ok::<_, KeyError>(())
    };
    match tenant {
        Some(tenant) => reset(&store.tenant(tenant)?)?,
        None => store.tenants().try_for_each(|tenant| reset(&tenant?))?,
    }
    let time = if tenant.is_none() { Some(keys.reset_time()?) } else { None };
    Ok(ClockReset { now: keys.now_ms(), tenants, keys: time.filter(|time| time.from > time.to) })
}

/// Answers POST.
pub(super) async fn reset(
    mut request: AdminRequest<'_>,
    keys: &Keys,
) -> Result<Response, HttpError> {
    let tenant = request.parameter("tenant")?;
    let tenant = tenant.map(|tenant| TenantId::parse(&tenant)).transpose()?;
    request.notes().tenant = tenant.as_ref().map(ToString::to_string);
    let keys = keys.clone();
    let reset = move |store: &Store| reset_clock(store, &keys, tenant.as_ref());
    let done = request.in_background(reset).await?;
    request.answer_with(&done)
}
