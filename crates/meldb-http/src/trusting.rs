//! A policy for a program that checks requests itself.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderValue, request::Parts},
};
use meldb::Actor;

use crate::{
    error::HttpError,
    identity::{Identity, Notes},
    policy::{Policy, Session},
    route::{Need, Route},
};

/// Everybody may do everything, in the name of one actor.
///
/// It is for a service that has its own authentication and mounts the adapter behind it. Whoever
/// reaches the adapter reads and writes every tenant.
#[derive(Clone, Debug)]
pub struct Trusting {
    actor: Actor,
}

/// A request that is trusted.
#[derive(Debug)]
pub struct TrustingSession {
    actor: Actor,
    notes: Notes,
}

/// Whoever sends a request that is trusted.
#[derive(Debug)]
pub struct Trusted {
    actor: Actor,
}

impl Trusting {
    /// Returns a policy by which everything is written in the name of `actor`.
    pub fn new(actor: Actor) -> Self {
        Self { actor }
    }
}

impl Policy for Trusting {
    type Session = TrustingSession;

    fn begin(&self, _: &Request, _: &HeaderValue, _: Option<&Arc<Route>>) -> TrustingSession {
        TrustingSession { actor: self.actor.clone(), notes: Notes::default() }
    }
}

impl Session for TrustingSession {
    type Identity = Trusted;

    fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    async fn identify(&mut self, _: &Parts) -> Result<Trusted, HttpError> {
        Ok(Trusted { actor: self.actor.clone() })
    }
}

impl Identity for Trusted {
    fn check(&self, _: &Need) -> Result<(), HttpError> {
        Ok(())
    }

    fn actor(&self) -> Option<&Actor> {
        Some(&self.actor)
    }

    fn owner(&self) -> &str {
        "trusted"
    }
}
