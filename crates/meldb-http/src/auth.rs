//! Who asks, and whether they may: 401 comes before 403, and both before anything else is told.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, header};

use crate::{
    error::HttpError,
    keys::{KeyInfo, Keys, Lookup, Rejection},
    path::{ApiPath, CHANGES},
    query,
    scope::Access,
};

/// Why a request was refused; for logs and metrics, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// It carries no key, or not in a way that is taken.
    NoKey,
    /// It carries two.
    TwoKeys,
    Rejected(Rejection),
    /// The key belongs to another tenant.
    OtherTenant,
    /// The key has no scope for this.
    NoScope,
    /// The key has used up its rate.
    TooFast,
}

impl Refusal {
    /// Returns the reason as metrics and logs name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::TwoKeys => "two_keys",
            Self::Rejected(Rejection::Malformed) => "malformed",
            Self::Rejected(Rejection::Unknown) => "unknown",
            Self::Rejected(Rejection::Revoked) => "revoked",
            Self::Rejected(Rejection::Expired) => "expired",
            Self::OtherTenant => "other_tenant",
            Self::NoScope => "no_scope",
            Self::TooFast => "rate",
        }
    }
}

/// A refusal with its answer.
pub(crate) type Refused = (Option<Refusal>, HttpError);

/// Returns what a method does to a resource.
pub(crate) fn access(method: &Method) -> Access {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Access::Read,
        _ => Access::Write,
    }
}

/// Returns the key that a request carries.
pub(crate) async fn authenticate(
    keys: &Keys,
    headers: &HeaderMap,
    query: Option<&str>,
    query_token: bool,
    lookup: Lookup,
) -> Result<Arc<KeyInfo>, Refused> {
    let unauthenticated = |refusal| (Some(refusal), HttpError::unauthenticated());
    let mut in_header = headers.get_all(header::AUTHORIZATION).into_iter();
    let in_query = query.filter(|_| query_token).and_then(|query| {
        let mut tokens = query::bearer_tokens(Some(query));
        tokens.next().map(|first| (first, tokens.next().is_some()))
    });
    let (first, second) = (in_header.next(), in_header.next());
    let token = match (first, &in_query) {
        (Some(_), Some(_)) => {
            let message = "send the key once: in the Authorization header or as bearer_token";
            return Err((Some(Refusal::TwoKeys), HttpError::bad_request(message)));
        }
        (None, Some((token, false))) => token,
        (Some(value), None) if second.is_none() => {
            value.to_str().ok().and_then(bearer).ok_or_else(|| unauthenticated(Refusal::NoKey))?
        }
        (None, None) => return Err(unauthenticated(Refusal::NoKey)),
        _ => return Err(unauthenticated(Refusal::TwoKeys)),
    };
    match keys.check(token, lookup).await {
        Ok(Ok(key)) => Ok(key),
        Ok(Err(rejection)) => Err(unauthenticated(Refusal::Rejected(rejection))),
        Err(error) => Err((None, error.into())),
    }
}

/// Returns the token of an `Authorization` header (RFC 6750 §2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// Checks that `key` may do `access` at `path`, in the order in which the path names things: what
/// is malformed is only told to a key that could have been meant.
///
/// The resource of the change feed is the collection that its query names.
pub(crate) fn authorise(
    key: &KeyInfo,
    path: &ApiPath<'_>,
    query: Option<&str>,
    access: Access,
) -> Result<(), Refused> {
    let denied = |refusal| Err((Some(refusal), HttpError::permission_denied()));
    let malformed = |flaw| (None, HttpError::from(flaw));
    let prefix = path.prefix().map_err(malformed)?;
    if let Some(tenant) = path.tenant()
        && tenant.map_err(malformed)? != key.tenant.as_str()
    {
        return denied(Refusal::OtherTenant);
    }
    let resource = path.resource().transpose().map_err(malformed)?;
    let asked_for = (prefix == CHANGES).then(|| query::values(query, ["collection"]));
    let [asked_for] = asked_for.transpose().map_err(|error| (None, error))?.unwrap_or_default();
    let resource = resource.or(asked_for.as_deref());
    let allowed = match path.is_batch() {
        // What is in the batch decides the rest.
        true => key.scopes.iter().any(|scope| scope.allows_some(prefix, access)),
        false => key.allows(prefix, resource, access),
    };
    if !allowed {
        return denied(Refusal::NoScope);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("Bearer x"), Some("x"));
        assert_eq!(bearer("bearer  x"), Some("x"));
        assert_eq!(bearer("Basic x"), None);
        assert_eq!(bearer("Bearer"), None);
        assert_eq!(bearer("x"), None);
    }
}
