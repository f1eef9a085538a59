//! What is known of a request while it is answered, and what is recorded at the end: a line in
//! the log, a line in the audit log if it wrote or was refused, and the metrics.
//!
//! Never the token, the query or the body.

use std::{borrow::Cow, sync::Arc, time::Instant};

use axum::http::{HeaderValue, Method, StatusCode};
use meldb::{Actor, Revision};
use meldb_http::{Access, HttpError, Identity as _, KeyId, Need, Notes, Route, effect_name};

use crate::{
    audit::{Audit, LineOf, Record},
    auth::Caller,
    metrics::Metrics,
    peer::Peer,
    settings::Settings,
};

/// The target of the log line of each request.
const REQUEST: &str = "meldb::request";
/// The route of a request that leads nowhere.
const UNMATCHED: &str = "unmatched";
/// How much of a tenant that another tenant's key asked for is logged.
const ASKED_LETTERS_MAX: usize = 64;

/// The traces of one request.
pub(crate) struct Trail {
    metrics: Metrics,
    audit: Audit,
    began: Instant,
    pub(crate) request_id: HeaderValue,
    pub(crate) method: Method,
    peer: Peer,
    /// What the request asks for, if that is anything.
    pub(crate) route: Option<Arc<Route>>,
    caller: Option<Caller>,
    /// It was refused because it could not be audited.
    unaudited: bool,
    /// What the adapter has noted of it.
    pub(crate) notes: Notes,
    /// It has its log line together with others.
    pub(crate) quiet: bool,
    finished: bool,
}

impl Trail {
    pub(crate) fn new(
        settings: &Settings,
        request_id: HeaderValue,
        method: Method,
        peer: Peer,
        route: Option<Arc<Route>>,
    ) -> Self {
        let Settings { metrics, audit, .. } = settings;
        metrics.request_began();
        Self {
            metrics: metrics.clone(),
            audit: audit.clone(),
            began: Instant::now(),
            request_id,
            method,
            peer,
            route,
            caller: None,
            unaudited: false,
            notes: Notes::default(),
            quiet: false,
            finished: false,
        }
    }

    pub(crate) fn authenticated(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
    }

    /// Checks that what the request is about to do can be audited.
    ///
    /// # Errors
    /// 503 if the audit log is required and cannot be written.
    pub(crate) fn check_audit(&mut self) -> Result<(), HttpError> {
        if !self.is_audited() {
            return Ok(());
        }
        let admitted = self.audit.admit();
        self.metrics.audit_failing(self.audit.is_failing());
        self.unaudited = admitted.is_err();
        admitted
    }

    /// Returns whether it is known who has sent the request.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.caller.is_some()
    }

    /// Returns whether the request is of those who watch over the server.
    pub(crate) fn is_probe(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.is_probe())
    }

    /// Records how the request ended, and returns who has sent it, if that is known.
    pub(crate) fn finish(mut self, status: StatusCode) -> Option<Caller> {
        self.finished = true;
        let took = self.began.elapsed();
        self.metrics.answered(&self.method, self.route(), status, took);
        if let Some(refusal) = self.notes.refusal {
            self.metrics.refused(refusal);
        }
        let line_of = if self.is_audited() { self.audit_all(status) } else { LineOf::One };
        let latency_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: REQUEST,
                    request_id = self.request_id(),
                    method = %self.method,
                    route = self.route(),
                    tenant = self.tenant().as_deref(),
                    key = self.key(),
                    status = status.as_u16(),
                    latency_us,
                )
            };
        }
        // A stranger can be refused thousands of times a second, and must not fill the disk with it.
        match line_of {
            _ if self.quiet => line!(debug),
            LineOf::One => line!(info),
            LineOf::Many => line!(debug),
        }
        self.caller.take()
    }

    /// Audits the request, or each document that it has written.
    fn audit_all(&mut self, status: StatusCode) -> LineOf {
        let parts = std::mem::take(&mut self.notes.operations);
        if parts.is_empty() {
            let target = self.target();
            return self.audit(target.as_deref(), Some(status));
        }
        for (path, effect, revision) in parts {
            self.notes.written = Some((effect, revision));
            let document = if path.is_empty() { "." } else { &path };
            self.audit(Some(document), Some(status));
        }
        LineOf::One
    }

    fn is_audited(&self) -> bool {
        // What is for operators shows or changes what is every tenant's.
        let is_subject = self.route.as_ref().is_some_and(|route| match route.need() {
            Need::Nothing => false,
            Need::Identity => self.audit.has_reads(),
            Need::Operator => true,
            Need::Scope(need) => need.access == Access::Write || self.audit.has_reads(),
        });
        self.notes.refusal.is_some() || (is_subject && self.caller.is_some())
    }

    fn audit(&self, document: Option<&str>, status: Option<StatusCode>) -> LineOf {
        let outcome = match (self.notes.written, self.notes.refusal, status) {
            (Some(_), ..) if self.notes.repeated => "repeated",
            (Some((effect, _)), ..) => effect_name(effect),
            (None, None, Some(status)) if self.notes.dry_run && status.is_success() => "dry run",
            (None, Some(_), _) => "refused",
            (None, None, _) if self.unaudited => "refused",
            (None, None, Some(status)) if status.is_success() => match self.method {
                Method::GET | Method::HEAD | Method::OPTIONS => "read",
                _ => "done",
            },
            (None, None, Some(_)) => "failed",
            // The client went away; a write that had reached its lane is made all the same.
            (None, None, None) => "unknown",
        };
        let written = self.notes.written.map(|(_, revision)| revision);
        let (tenant, revision) = (self.tenant(), written.or(self.notes.revision));
        let record = Record {
            request_id: Some(self.request_id()),
            peer: Some(self.peer),
            key: self.key(),
            actor: self.caller.as_ref().and_then(Caller::actor).map(Actor::as_str),
            action: Some(self.method.as_str()),
            tenant: tenant.as_deref(),
            document,
            outcome,
            revision: revision.map(Revision::get),
            reason: self.reason(),
            status: status.map(|status| status.as_u16()),
            ..Record::default()
        };
        let written = match record.reason {
            Some(_) => self.audit.write_refusal(&record),
            None => self.audit.write(&record).map(|()| LineOf::One),
        };
        self.metrics.audit_failing(written.is_err());
        // A line that could not be written is kept, and the ordinary log says so.
        written.unwrap_or(LineOf::One)
    }

    /// Returns why the request was refused, if it was.
    fn reason(&self) -> Option<&'static str> {
        self.notes.refusal.or(self.unaudited.then_some("audit_failing"))
    }

    fn route(&self) -> &'static str {
        self.route.as_ref().map_or(UNMATCHED, |route| route.template())
    }

    fn target(&self) -> Option<String> {
        if self.notes.subject.is_some() {
            return self.notes.subject.clone();
        }
        let route = self.route.as_ref().filter(|route| *route.need() != Need::Nothing)?;
        route.subject()
    }

    /// Returns the text in the place of the tenant, escaped: anything may stand there.
    fn tenant(&self) -> Option<Cow<'_, str>> {
        let named = self.route.as_ref().and_then(|route| route.tenant());
        let tenant = named.or(self.notes.tenant.as_deref())?;
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if tenant.len() <= ASKED_LETTERS_MAX && tenant.bytes().all(harmless) {
            return Some(tenant.into());
        }
        let letters = tenant.chars().take(ASKED_LETTERS_MAX);
        Some(letters.flat_map(char::escape_default).collect())
    }

    fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    fn key(&self) -> Option<&str> {
        self.caller.as_ref().and_then(Caller::key_id).map(KeyId::as_str)
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.metrics.request_ended();
        if !self.finished && self.is_audited() {
            let target = self.target();
            self.audit(target.as_deref(), None);
        }
    }
}
