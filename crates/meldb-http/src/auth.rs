//! Who asks, and whether they may. It is told from the key and from what the route needs, and from
//! nothing else.

use std::{fmt, sync::Arc};

use axum::http::{HeaderMap, header};
use meldb::{Actor, Limits};

use crate::{
    error::HttpError,
    keys::{KeyInfo, KeyKind, Keys, Lookup, Rejection, Standing},
    query,
    route::{Need, Resource, ScopeNeed},
    scope::Access,
    told::{self, Told},
};

/// Why a request was refused; for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// It carries no key, or not in a way that is taken.
    NoKey,
    /// It carries two.
    TwoKeys,
    Rejected(Rejection),
    /// The key belongs to another tenant, or to none.
    OtherTenant,
    /// The key has no scope for this.
    NoScope,
    /// The key is not an operator's.
    NoOperator,
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
            Self::NoOperator => "no_operator",
            Self::TooFast => "rate",
        }
    }
}

/// A refusal with its answer.
pub(crate) type Refused = (Option<Refusal>, HttpError);

/// Who asks: whoever has a key.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) key: Arc<KeyInfo>,
    pub(crate) standing: Standing,
}

impl Caller {
    /// Returns who is stamped on documents.
    pub(crate) fn actor(&self) -> &Actor {
        &self.key.name
    }

    /// Checks that the caller has what a request needs.
    ///
    /// # Errors
    /// 403. Of another tenant it is one answer, whatever exists there.
    pub(crate) fn check(&self, need: &Need) -> Result<(), Refused> {
        match need {
            Need::Nothing => Ok(()),
            Need::Operator => match self.key.kind {
                KeyKind::Operator => Ok(()),
                KeyKind::Tenant { .. } => {
                    let message = "this is for operator keys alone; \
                                   they are made with `meldb keys create --operator`";
                    Err((Some(Refusal::NoOperator), HttpError::permission_denied(message)))
                }
            },
            Need::Scope(need) => self.check_scope(need),
        }
    }

    /// Checks that the caller has a scope.
    ///
    /// # Errors
    /// 403, with the name of the scope.
    pub(crate) fn check_scope(&self, need: &ScopeNeed) -> Result<(), Refused> {
        if self.key.tenant() != need.tenant.as_ref() || need.tenant.is_none() {
            let message = "the API key belongs to another tenant, or to none";
            return Err((Some(Refusal::OtherTenant), HttpError::permission_denied(message)));
        }
        if self.has_scope(need, need.access) {
            return Ok(());
        }
        let message = format!("the API key lacks the scope {need}");
        Err((Some(Refusal::NoScope), HttpError::permission_denied(message)))
    }

    fn has_scope(&self, need: &ScopeNeed, access: Access) -> bool {
        match &need.resource {
            Resource::Everything => self.key.allows(need.prefix, None, access),
            Resource::Collection(name) => self.key.allows(need.prefix, Some(name), access),
            Resource::InBody => {
                self.key.scopes().iter().any(|scope| scope.allows_some(need.prefix, access))
            }
        }
    }

    /// Checks that a caller who may not read sends no JSON Patch that asks: whether a `test` holds
    /// tells what is stored.
    ///
    /// # Errors
    /// 403, with the name of the scope.
    pub(crate) fn check_patch(
        &self,
        need: &ScopeNeed,
        patch: Option<&[u8]>,
        limits: Limits,
    ) -> Result<(), Refused> {
        match patch {
            Some(patch) if self.told(need) == Told::Stamps && told::asks(patch, limits) => {
                self.check_scope(&need.reading())
            }
            _ => Ok(()),
        }
    }

    /// Returns what the caller is told of a write that has needed `need`.
    pub(crate) fn told(&self, need: &ScopeNeed) -> Told {
        match self.has_scope(need, Access::Read) {
            true => Told::Document,
            false => Told::Stamps,
        }
    }
}

/// Names the scope.
impl fmt::Display for ScopeNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, resource, access, .. } = self;
        match resource {
            Resource::Collection(name) => write!(f, "{prefix}:{name}.{}", access.name()),
            Resource::Everything | Resource::InBody => write!(f, "{prefix}:{}", access.name()),
        }
    }
}

/// Returns who has sent a request, by the key that it carries.
pub(crate) async fn authenticate(
    keys: &Keys,
    headers: &HeaderMap,
    query: Option<&str>,
    query_token: bool,
    lookup: Lookup,
) -> Result<Caller, Refused> {
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
        Ok(Ok((key, standing))) => Ok(Caller { key, standing }),
        Ok(Err(rejection)) => Err(unauthenticated(Refusal::Rejected(rejection))),
        Err(error) => Err((None, error.into())),
    }
}

/// Returns the token of an `Authorization` header (RFC 6750 §2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
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
