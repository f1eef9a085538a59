//! Who asks, and whether they may. It is decided from the key, or from the operating system's word
//! for a local operator, and from what the route needs, and from nothing else.

use std::{fmt, sync::Arc};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use meldb::Actor;

use crate::{
    disclosure::Disclosure,
    error::HttpError,
    keys::{KeyId, KeyInfo, KeyKind, Keys, Lookup, Rejection, Standing},
    query,
    route::{Need, Resource, ScopeNeed, percent_decode},
    scope::Access,
    server::Peer,
};

/// Who makes the writes of a local operator, percent-encoded; a header of ours.
pub(crate) const ACTOR: HeaderName = HeaderName::from_static("meldb-actor");

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

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Whoever has a key.
    Key { key: Arc<KeyInfo>, standing: Standing },
    /// An operator at the local socket. He may do everything, and says in whose name he writes.
    Local { actor: Option<Actor> },
}

impl Caller {
    /// Returns the id of the caller's key, if he has one.
    pub(crate) fn key_id(&self) -> Option<&KeyId> {
        match self {
            Self::Key { key, .. } => Some(&key.id),
            Self::Local { .. } => None,
        }
    }

    /// Returns who is stamped on what the caller writes, if that is known.
    pub(crate) fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Key { key, .. } => Some(&key.name),
            Self::Local { actor } => actor.as_ref(),
        }
    }

    /// Returns who is stamped on what the caller writes.
    ///
    /// # Errors
    /// 400 if a local operator has not named him.
    pub(crate) fn writer(&self) -> Result<&Actor, HttpError> {
        let missing = "name who writes in the header MelDB-Actor";
        self.actor().ok_or_else(|| HttpError::bad_request(missing))
    }

    /// Returns whether it is an operator, local or by his key.
    pub(crate) fn is_operator(&self) -> bool {
        match self {
            Self::Key { key, .. } => key.kind == KeyKind::Operator,
            Self::Local { .. } => true,
        }
    }

    /// Returns whether the operating system vouches for the caller.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. })
    }

    /// Checks that the caller has what a request needs.
    ///
    /// # Errors
    /// 403. Of another tenant it is one answer, whatever exists there.
    pub(crate) fn check(&self, need: &Need) -> Result<(), Refused> {
        match need {
            Need::Nothing => Ok(()),
            Need::Operator if self.is_operator() => Ok(()),
            Need::Operator => {
                let message = "this is for operator keys alone; \
                               they are made with `meldb keys create --operator`";
                Err((Some(Refusal::NoOperator), HttpError::permission_denied(message)))
            }
            Need::Scope(need) => self.check_scope(need),
        }
    }

    /// Checks that the caller has a scope.
    ///
    /// # Errors
    /// 403, with the name of the scope.
    pub(crate) fn check_scope(&self, need: &ScopeNeed) -> Result<(), Refused> {
        let Self::Key { key, .. } = self else { return Ok(()) };
        if key.tenant() != need.tenant.as_ref() || need.tenant.is_none() {
            let message = "the API key belongs to another tenant, or to none";
            return Err((Some(Refusal::OtherTenant), HttpError::permission_denied(message)));
        }
        if has_scope(key, need, need.access) {
            return Ok(());
        }
        let message = format!("the API key lacks the scope {need}");
        Err((Some(Refusal::NoScope), HttpError::permission_denied(message)))
    }

    /// Checks that a caller who may not read makes no write that `asks` what is stored.
    ///
    /// # Errors
    /// 403, with the name of the scope.
    pub(crate) fn check_question(
        &self,
        need: &ScopeNeed,
        asks: impl FnOnce() -> bool,
    ) -> Result<(), Refused> {
        if self.disclosure_in(need) == Disclosure::Stamps && asks() {
            return self.check_scope(&need.reading());
        }
        Ok(())
    }

    /// Returns what the answer to a write may show the caller, where it needed `need`.
    pub(crate) fn disclosure(&self, need: &Need) -> Disclosure {
        match need {
            Need::Scope(need) => self.disclosure_in(need),
            // An operator may read wherever he may write.
            Need::Operator => Disclosure::Document,
            Need::Nothing => Disclosure::Stamps,
        }
    }

    /// Returns what the answer to a write may show the caller, where it needed a scope.
    pub(crate) fn disclosure_in(&self, need: &ScopeNeed) -> Disclosure {
        match self {
            Self::Key { key, .. } if !has_scope(key, need, Access::Read) => Disclosure::Stamps,
            Self::Key { .. } | Self::Local { .. } => Disclosure::Document,
        }
    }
}

fn has_scope(key: &KeyInfo, need: &ScopeNeed, access: Access) -> bool {
    match &need.resource {
        Resource::Everything => key.allows(need.prefix, None, access),
        Resource::Collection(name) => key.allows(need.prefix, Some(name), access),
        Resource::InBody => key.scopes().iter().any(|scope| scope.allows_some(need.prefix, access)),
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

/// Returns who has sent a request: the key that it carries says so, and without one the operating
/// system, of a local operator.
pub(crate) async fn authenticate(
    keys: &Keys,
    peer: Peer,
    parts: &Parts,
    query_token: bool,
    lookup: Lookup,
) -> Result<Caller, Refused> {
    let unauthenticated = |refusal| (Some(refusal), HttpError::unauthenticated());
    let mut in_header = parts.headers.get_all(header::AUTHORIZATION).into_iter();
    let in_query = parts.uri.query().filter(|_| query_token).and_then(|query| {
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
        (None, None) if peer.operator().is_some() => {
            let actor = named_actor(&parts.headers).map_err(|error| (None, error))?;
            return Ok(Caller::Local { actor });
        }
        (None, None) => {
            let (refusal, error) = unauthenticated(Refusal::NoKey);
            let has_token = query::bearer_tokens(parts.uri.query()).next().is_some();
            let error = if has_token { error.advise(query::QUERY_TOKEN_OFF) } else { error };
            return Err((refusal, error));
        }
        _ => return Err(unauthenticated(Refusal::TwoKeys)),
    };
    match keys.check(token, lookup).await {
        Ok(Ok((key, standing))) => Ok(Caller::Key { key, standing }),
        Ok(Err(rejection)) => Err(unauthenticated(Refusal::Rejected(rejection))),
        Err(error) => Err((None, error.into())),
    }
}

/// Checks that whoever has a key does not name another actor: he would believe that it is stamped.
///
/// # Errors
/// 400.
pub(crate) fn check_actor(caller: &Caller, headers: &HeaderMap) -> Result<(), HttpError> {
    if caller.is_local() || !headers.contains_key(ACTOR) {
        return Ok(());
    }
    let message = "MelDB-Actor is for operators at the local socket; a key writes in its own name";
    Err(HttpError::bad_request(message))
}

/// Returns the actor that a local operator names.
fn named_actor(headers: &HeaderMap) -> Result<Option<Actor>, HttpError> {
    let mut values = headers.get_all(ACTOR).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => decoded_actor(value).map(Some),
        (Some(_), Some(_)) => Err(HttpError::bad_request("MelDB-Actor is given twice")),
    }
}

fn decoded_actor(value: &HeaderValue) -> Result<Actor, HttpError> {
    let decoded = value.to_str().ok().and_then(percent_decode);
    let name = decoded.and_then(|name| String::from_utf8(name.into_owned()).ok());
    let name = name.ok_or_else(|| {
        HttpError::bad_request("MelDB-Actor must be UTF-8, percent-encoded where it is not ASCII")
    })?;
    Ok(Actor::parse(&name)?)
}

/// Returns the token of an `Authorization` header (RFC 6750 §2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("Bearer x"), Some("x"));
        assert_eq!(bearer("bearer  x"), Some("x"));
        assert_eq!(bearer("Basic x"), None);
        assert_eq!(bearer("Bearer"), None);
        assert_eq!(bearer("x"), None);
    }

    #[test]
    fn an_actor_is_percent_encoded_and_given_once() {
        let named = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACTOR, HeaderValue::from_str(value).expect("a header value"));
            }
            named_actor(&headers).map(|actor| actor.map(|actor| actor.to_string()))
        };
        assert_eq!(named(&[]).expect("none"), None);
        for (value, expected) in [("ada", "ada"), ("Zo%C3%AB", "Zoë"), ("a b", "a b"), ("%20", " ")]
        {
            assert_eq!(named(&[value]).expect("an actor").as_deref(), Some(expected));
        }
        for values in [&[""][..], &["%"], &["%00"], &["%FF"], &["ada", "ada"]] {
            assert_eq!(named(values).expect_err("no actor").code, Code::BadRequest, "{values:?}");
        }
    }
}
