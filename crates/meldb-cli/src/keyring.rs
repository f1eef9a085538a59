//! The keys of a store, by request: the same for a directory and for a server's socket.

use std::time::Duration;

use meldb::Store;
use meldb_http::{KeyError, Keys, NewKey};

use crate::{
    admin::wire::{KeyRequest, KeyResponse},
    backend::Backend,
    failure::{Code, Failure, Result},
};

/// Does what `request` says to the keys of `backend`.
pub(crate) async fn ask(backend: &Backend, request: KeyRequest) -> Result<KeyResponse> {
    match backend {
        Backend::Local(local) => answer(local.store(), request),
        Backend::Socket(socket) => socket.keys(&request).await,
        Backend::Remote(_) => {
            Err(Failure::usage("keys are managed where the store is, with --dir"))
        }
    }
}

/// Does what `request` says to the keys of `store`.
pub(crate) fn answer(store: &Store, request: KeyRequest) -> Result<KeyResponse> {
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

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::Store(error) => return error.into(),
            KeyError::NotFound { .. } => Code::NotFound,
            KeyError::NotAKeyId { .. } | KeyError::NoScope => Code::Usage,
            KeyError::Inactive { .. } => Code::Conflict,
            _ => Code::Failed,
        };
        let failure = Self::new(code, error.to_string());
        match code {
            Code::NotFound => failure.hint("`meldb keys list` shows the ids"),
            _ => failure,
        }
    }
}
