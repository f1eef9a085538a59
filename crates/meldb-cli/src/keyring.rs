//! The keys of a store, by request.

use std::time::Duration;

use meldb::{Actor, Store, TenantId, with_causes};
use meldb_server::{KeyError, KeyId, KeyIdError, KeyInfo, Keys, NewKey, Scope};

use crate::{
    backend::Backend,
    failure::{Code, Failure, Result},
};

/// What to do with the keys of a store.
#[derive(Clone, Debug)]
pub(crate) enum KeyRequest {
    Create { tenant: TenantId, name: Actor, scopes: Vec<Scope>, expires_ms: Option<u64> },
    CreateOperator { name: Actor, expires_ms: Option<u64> },
    List,
    Revoke { id: KeyId },
    Rotate { id: KeyId, grace_ms: u64 },
}

/// The keys that a request is about, and the secret of a new one.
#[derive(Clone, Debug)]
pub(crate) struct KeyResponse {
    pub(crate) keys: Vec<KeyInfo>,
    pub(crate) secret: Option<String>,
}

/// Does what `request` says to the keys of `backend`.
pub(crate) async fn ask(backend: &Backend, request: KeyRequest) -> Result<KeyResponse> {
    match backend {
        Backend::Local(local) => answer(local.store(), request),
        Backend::Remote(server) => server.keys(request).await.map_err(with_hint),
    }
}

/// Does what `request` says to the keys of `store`.
fn answer(store: &Store, request: KeyRequest) -> Result<KeyResponse> {
    let keys = Keys::new(store);
    Ok(match request {
        KeyRequest::Create { tenant, name, scopes, expires_ms } => {
            create(&keys, NewKey::new(tenant, name, scopes), expires_ms)?
        }
        KeyRequest::CreateOperator { name, expires_ms } => {
            create(&keys, NewKey::operator(name), expires_ms)?
        }
        KeyRequest::List => KeyResponse { keys: keys.list()?, secret: None },
        KeyRequest::Revoke { id } => KeyResponse { keys: vec![keys.revoke(&id)?], secret: None },
        KeyRequest::Rotate { id, grace_ms } => {
            let (info, secret) = keys.rotate(&id, Duration::from_millis(grace_ms))?;
            KeyResponse { keys: vec![info], secret: Some(secret.expose().to_owned()) }
        }
    })
}

fn create(keys: &Keys, key: NewKey, expires_ms: Option<u64>) -> Result<KeyResponse> {
    let key = match expires_ms {
        Some(expires_ms) => key.expires_ms(expires_ms),
        None => key,
    };
    let (info, secret) = keys.create(key)?;
    Ok(KeyResponse { keys: vec![info], secret: Some(secret.expose().to_owned()) })
}

impl From<KeyIdError> for Failure {
    fn from(error: KeyIdError) -> Self {
        Self::new(Code::Usage, error.to_string())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::Store(error) => return error.into(),
            KeyError::NotFound { .. } => Code::NotFound,
            KeyError::NoScope => Code::Usage,
            KeyError::Inactive { .. } => Code::Conflict,
            _ => Code::Failed,
        };
        with_hint(Self::new(code, with_causes(&error).to_string()))
    }
}

fn with_hint(failure: Failure) -> Failure {
    match failure.code {
        Code::NotFound => failure.hint("`meldb keys list` shows the ids"),
        _ => failure,
    }
}
