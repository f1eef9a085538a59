//! The collections of a tenant, those that the caller may read.

use axum::{
    http::{HeaderValue, header, request::Parts},
    response::Response,
};
use meldb::{CollectionName, Filter, Tenant, limits};
use serde_json::{Value, json};

use crate::{
    bodies::{budget::Admission, response},
    error::HttpError,
    identity::Identity,
    query::{PAGE_DOCUMENTS_MAX, limit, values},
    route::Need,
};

/// Answers GET and HEAD with a list of names. It tells how much each holds as long as that is found out within the budget of
/// a query.
pub(crate) async fn list(
    tenant: Tenant,
    parts: &Parts,
    identity: &dyn Identity,
    need: &Need,
    admission: &Admission,
) -> Result<Response, HttpError> {
    let _turn = admission.turn().await;
    let [after, limit_text] = values(parts.uri.query(), ["after", "limit"])?;
    let after = after.map(|name| CollectionName::parse(&name)).transpose()?;
    let limit = limit(limit_text.as_deref(), PAGE_DOCUMENTS_MAX)?.unwrap_or(PAGE_DOCUMENTS_MAX);
    let walk = match after {
        Some(after) => tenant.collections().after(after),
        None => tenant.collections(),
    };
    // One more tells whether there are more.
    let mut found = walk.page_async(limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|last| last.name().clone()).filter(|_| more);
    let (mut documents_left, mut bytes_left) = (limits::EXAMINED_MAX, limits::EXAMINED_BYTES_MAX);
    let mut listed: Vec<Value> = Vec::new();
    for collection in found {
        if identity.check(&need.of(Some(collection.name()))).is_err() {
            continue;
        }
        let mut entry = json!({"name": collection.name().as_str()});
        if documents_left > 0 && bytes_left > 0 {
            let count = collection.find(Filter::all()).budget(documents_left, bytes_left);
            let counted = count.count_page_async().await?;
            documents_left = documents_left.saturating_sub(counted.examined);
            // No index counts all of them: the bytes are known.
            let bytes = counted.bytes.unwrap_or_default();
            bytes_left = bytes_left.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
            if counted.next.is_none() {
                entry["documents"] = counted.count.into();
                entry["bytes"] = bytes.into();
            }
        }
        listed.push(entry);
    }
    let mut response = response::json(Value::from(listed).to_string().into(), &parts.method);
    if let Some(last) = last {
        let link = format!("<{}?limit={limit}&after={last}>; rel=\"next\"", parts.uri.path());
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}
