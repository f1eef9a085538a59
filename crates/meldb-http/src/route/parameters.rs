//! Which parameters a request's query may have.

use axum::http::Method;
use strsim::osa_distance;

use super::endpoint::Endpoint;
use crate::{
    error::HttpError,
    query::{BEARER_TOKEN, QUERY_TOKEN_OFF, parameters},
};

/// Checks that a request has no parameter but those that its method takes there. Names that begin with
/// `_` are free.
///
/// # Errors
/// 400, with the parameter that is probably meant.
pub(crate) fn check_parameters(
    endpoint: Endpoint,
    method: &Method,
    query: Option<&str>,
    query_token: bool,
) -> Result<(), HttpError> {
    if *method == Method::OPTIONS {
        return Ok(());
    }
    let known = endpoint.parameters(method);
    for (name, _) in parameters(query) {
        if name.starts_with('_') || known.contains(&&*name) {
            continue;
        }
        return match name == BEARER_TOKEN {
            true if query_token => continue,
            true => Err(HttpError::bad_request(QUERY_TOKEN_OFF)),
            false => Err(HttpError::bad_request(unknown(endpoint, method, known, &name))),
        };
    }
    Ok(())
}

/// Says that a request has no such parameter, and what to do instead.
fn unknown(endpoint: Endpoint, method: &Method, known: &[&'static str], name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    let place =
        format!("{method} {} has no parameter `{}`", endpoint.template(), name.escape_debug());
    let advice = advice(endpoint, &name).map(str::to_owned);
    let nearest = || nearest(&name, known).map(|known| format!("is `{known}` meant?"));
    let has = || match known {
        [] => "it has none".to_owned(),
        known => format!("it has `{}`", known.join("`, `")),
    };
    format!("{place}; {}", advice.or_else(nearest).unwrap_or_else(has))
}

/// Returns what to do instead where other interfaces have a parameter of this name.
fn advice(endpoint: Endpoint, name: &str) -> Option<&'static str> {
    let is_list = matches!(endpoint, Endpoint::Collection | Endpoint::Changes)
        || endpoint.report().is_some()
        || endpoint == Endpoint::Report;
    if !is_list {
        return None;
    }
    Some(match name {
        "filter" | "q" | "query" | "search" | "labelSelector" | "fieldSelector"
            if endpoint == Endpoint::Collection =>
        {
            "documents are chosen by `where`, such as where=role = \"owner\""
        }
        "filter" | "q" | "query" | "search" | "labelSelector" | "fieldSelector"
            if endpoint == Endpoint::Changes =>
        {
            "changes are chosen by `where`, such as where=role = \"owner\", with `collection` and documents=true"
        }
        "filter" | "where" | "q" | "query" | "search" | "labelSelector" | "fieldSelector" => {
            "reports are not filtered: read all of it and pick out what is wanted"
        }
        "watch" | "follow" => {
            "to follow changes, send GET /api/v1/changes/tenants/{tenantId} with \
             Accept: text/event-stream"
        }
        "continue" | "page" | "pageToken" | "page_token" | "nextPageToken" | "offset" | "skip" => {
            "the next page is at `cursor`, which the answer to the one before has"
        }
        "orderBy" | "order" | "order_by" if endpoint == Endpoint::Collection => "is `sort` meant?",
        "sort" | "orderBy" | "order" | "order_by" => {
            "changes and reports are in the order of writes"
        }
        "select" | "mask" if endpoint == Endpoint::Collection => "is `fields` meant?",
        "fields" | "select" | "mask" => "documents are given whole",
        "pageSize" | "page_size" | "perPage" | "per_page" | "size" | "count" | "top"
        | "maxResults" => "is `limit` meant?",
        _ => return None,
    })
}

/// Returns the parameter that a name is probably meant to be.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = |name: &str| name.replace(['_', '-', '.'], "").to_ascii_lowercase();
    let name = plain(name);
    let distance = |known: &str| osa_distance(&name, &plain(known));
    let nearest = known.iter().copied().min_by_key(|known| distance(known))?;
    (distance(nearest) <= 2 && distance(nearest) * 2 < nearest.len()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_has_no_parameter_for_is_refused() {
        let (get, put, delete) = (Method::GET, Method::PUT, Method::DELETE);
        for (endpoint, method, query, said) in [
            (Endpoint::Document, &delete, "dryrun=true", "is `dryRun` meant?"),
            (Endpoint::Document, &delete, "dry_run=true", "is `dryRun` meant?"),
            (Endpoint::Document, &delete, "skipUnchanged=true", "; it has `dryRun`"),
            (Endpoint::Document, &put, "skip-unchanged", "is `skipUnchanged` meant?"),
            (Endpoint::Document, &get, "dryRun=true", "; it has none"),
            (Endpoint::Document, &get, "limit=1", "GET /api/v1/provisioning/tenants/{tenantId}"),
            (Endpoint::Collection, &get, "limt=1", "is `limit` meant?"),
            (Endpoint::Collection, &get, "pageSize=1", "is `limit` meant?"),
            (Endpoint::Collection, &get, "role=owner", "it has `where`, `sort`"),
            (Endpoint::Collection, &get, "filter=x", "`where`"),
            (Endpoint::Changes, &get, "filter=x", "`where`"),
            (Endpoint::Report, &get, "where=x", "not filtered"),
            (Endpoint::Collection, &get, "labelSelector=x", "`where`"),
            (Endpoint::Collection, &get, "orderBy=x", "is `sort` meant?"),
            (Endpoint::Collection, &get, "watch=1", "text/event-stream"),
            (Endpoint::Collection, &get, "continue=x", "`cursor`"),
            (Endpoint::Collection, &get, "page=2", "`cursor`"),
            (Endpoint::Collection, &get, "%6Cimt=1", "`limt`"),
            (Endpoint::Changes, &get, "since=1", "it has `after`"),
            (Endpoint::Report, &get, "range=last_day&form=1", "is `from` meant?"),
            (Endpoint::Batch, &Method::POST, "dryrun=true", "is `dryRun` meant?"),
            (Endpoint::Quota, &put, "documents=4", "it has none"),
            (Endpoint::Stats, &get, "tenant=acme", "it has none"),
            (Endpoint::Document, &get, "bearer_token=x", "--query-token"),
            (Endpoint::Document, &get, "a\u{7}=x", "`a\\u{7}`"),
        ] {
            let refused =
                check_parameters(endpoint, method, Some(query), false).expect_err(query).text();
            assert!(refused.contains(&said.replace('\\', "\\\\")), "{query}: {refused}");
        }
        for (endpoint, method, query) in [
            (Endpoint::Document, &put, "dryRun=true&nulls=keep&_=1&_cache"),
            (Endpoint::Collection, &get, "limit=1&&after=a"),
            (Endpoint::Document, &get, ""),
        ] {
            assert!(check_parameters(endpoint, method, Some(query), false).is_ok(), "{query}");
        }
        assert!(check_parameters(Endpoint::Document, &get, Some("bearer_token=x"), true).is_ok());
    }
}
