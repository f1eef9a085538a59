//! Who asks, and whether they may. It is decided from the key, or from the operating system's word
//! for a local operator, and from what the route needs, and from nothing else.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header, request::Parts};
use meldb::Actor;
use meldb_http::{
    ACTOR, HttpError, Identity, KeyId, Need, QUERY_TOKEN_OFF, Resource, ScopeNeed, bearer_tokens,
    percent_decode,
};
use serde_json::{Value, json};

use crate::{
    keys::{KeyInfo, KeyKind, Keys, Lookup, Rejection, Standing},
    metrics::TOO_FAST,
    peer::Peer,
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
    /// Returns the answer with the reason.
    pub(crate) fn with(self, error: HttpError) -> HttpError {
        error.because(self.name())
    }

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
            Self::TooFast => TOO_FAST,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
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

    /// Returns whether it is an operator, local or by his key.
    pub(crate) fn is_operator(&self) -> bool {
        match self {
            Self::Key { key, .. } => key.kind == KeyKind::Operator,
            Self::Local { .. } => true,
        }
    }

    fn check_scope(&self, need: &ScopeNeed) -> Result<(), HttpError> {
        let Self::Key { key, .. } = self else { return Ok(()) };
        if key.tenant() != need.tenant.as_ref() || need.tenant.is_none() {
            let message = "the API key belongs to another tenant, or to none";
            return Err(Refusal::OtherTenant.with(HttpError::permission_denied(message)));
        }
        let has_scope = match &need.resource {
            Resource::Everything => key.allows(need.prefix, None, need.access),
            Resource::Collection(name) => key.allows(need.prefix, Some(name), need.access),
            Resource::InBody => {
                key.scopes().iter().any(|scope| scope.allows_some(need.prefix, need.access))
            }
        };
        if has_scope {
            return Ok(());
        }
        let message = format!("the API key lacks the scope {need}");
        Err(Refusal::NoScope.with(HttpError::permission_denied(message)))
    }
}

impl Identity for Caller {
    fn check(&self, need: &Need) -> Result<(), HttpError> {
        match need {
            Need::Nothing | Need::Identity => Ok(()),
            Need::Operator if self.is_operator() => Ok(()),
            Need::Operator => {
                let message = "this is for operator keys alone; \
                               they are made with `meldb keys create --operator`";
                Err(Refusal::NoOperator.with(HttpError::permission_denied(message)))
            }
            Need::Scope(need) => self.check_scope(need),
        }
    }

    fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Key { key, .. } => Some(&key.name),
            Self::Local { actor } => actor.as_ref(),
        }
    }

    fn describe(&self) -> Value {
        let Self::Key { key, .. } = self else {
            return json!({"name": self.actor(), "operator": true});
        };
        let mut facts = json!(**key);
        // Of a key that works these say nothing, or what is late by a minute.
        for name in ["revoked", "lastUsed"] {
            facts.as_object_mut().map(|facts| facts.remove(name));
        }
        facts
    }

    /// Idempotency keys belong to the API key that they come with, or to the operators of the local
    /// socket: no id of a key is `local`.
    fn owner(&self) -> &str {
        self.key_id().map_or("local", KeyId::as_str)
    }

    fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. })
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
) -> Result<Caller, HttpError> {
    let unauthenticated = |refusal: Refusal| refusal.with(HttpError::unauthenticated());
    let mut in_header = parts.headers.get_all(header::AUTHORIZATION).into_iter();
    let in_query = parts.uri.query().filter(|_| query_token).and_then(|query| {
        let mut tokens = bearer_tokens(Some(query));
        tokens.next().map(|first| (first, tokens.next().is_some()))
    });
    let (first, second) = (in_header.next(), in_header.next());
    let token = match (first, &in_query) {
        (Some(_), Some(_)) => {
            let message = "send the key once: in the Authorization header or as bearer_token";
            return Err(Refusal::TwoKeys.with(HttpError::bad_request(message)));
        }
        (None, Some((token, false))) => token,
        (Some(value), None) if second.is_none() => {
            value.to_str().ok().and_then(bearer).ok_or_else(|| unauthenticated(Refusal::NoKey))?
        }
        (None, None) if peer.operator().is_some() => {
            return Ok(Caller::Local { actor: named_actor(&parts.headers)? });
        }
        (None, None) => {
            let error = unauthenticated(Refusal::NoKey);
            let has_token = bearer_tokens(parts.uri.query()).next().is_some();
            return Err(if has_token { error.advise(QUERY_TOKEN_OFF) } else { error });
        }
        _ => return Err(unauthenticated(Refusal::TwoKeys)),
    };
    match keys.check(token, lookup).await {
        Ok(Ok((key, standing))) => Ok(Caller::Key { key, standing }),
        Ok(Err(rejection)) => Err(unauthenticated(Refusal::Rejected(rejection))),
        Err(error) => Err(error.into()),
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
    use meldb_http::Code;

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
            assert_eq!(named(values).expect_err("no actor").code(), Code::BadRequest, "{values:?}");
        }
    }
}
