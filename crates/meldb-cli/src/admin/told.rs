//! What the audit log is told of an operation over the socket.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use meldb_http::{Audit, Operation, Peer};

use super::{Refusal, wire};
use crate::{
    address::Address,
    failure::{Code, Failure},
};

/// What is known of an operation while it is made; an extension of its request.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Operation>>);

impl Told {
    /// Notes what is known before it is done, or what came of it.
    pub(super) fn note(&self, note: impl FnOnce(&mut Operation)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes which document it is about.
    pub(super) fn about(&self, address: &Address) {
        self.note(|operation| {
            operation.tenant = Some(address.tenant.to_string());
            let path = address.to_string();
            let document = path.split_once('/').map_or(".", |(_, document)| document);
            operation.subject = Some(document.to_owned());
        });
    }
}

/// Writes the line when it is dropped, also if the client went away and took the operation with it.
struct Line {
    audit: Audit,
    peer: Peer,
    told: Told,
}

impl Drop for Line {
    fn drop(&mut self) {
        let operation = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that cannot be written is kept, and the ordinary log says so.
        let _ = self.audit.tell(self.peer, &operation);
    }
}

/// Lets an operation through if it can be told, and tells it. Reads of documents are told by setting.
pub(super) async fn tell(State(audit): State<Audit>, mut request: Request, next: Next) -> Response {
    let action = wire::action(request.uri().path());
    let told = Told::default();
    request.extensions_mut().insert(told.clone());
    if action.is_some_and(wire::reads_documents) && !audit.has_reads() {
        return next.run(request).await;
    }
    let Some(action) = action else { return next.run(request).await };
    if let Err(failing) = audit.check() {
        return Refusal(Failure::new(Code::Unavailable, failing.to_string())).into_response();
    }
    told.note(|operation| (operation.action, operation.outcome) = (action, "unknown"));
    let _line = Line { audit, peer: Peer::of(&request), told: told.clone() };
    let response = next.run(request).await;
    told.note(|operation| {
        operation.outcome = match (response.status().is_success(), operation.outcome) {
            (false, _) => "failed",
            (true, "unknown") if wire::reads_documents(action) => "read",
            (true, "unknown") => "done",
            (true, outcome) => outcome,
        };
    });
    response
}
