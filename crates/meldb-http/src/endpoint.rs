//! The routes: one table for dispatch, `Allow`, metrics and the description of the interface.

use std::fmt;

use axum::http::{HeaderValue, Method};
use meldb::{CollectionName, DocId};

use crate::{
    error::{Code, HttpError},
    path::{ADMIN, ApiPath, CHANGES, PathFlaw, REPORTING},
};

/// A kind of route, whatever the names in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Root,
    Health,
    Ready,
    OpenApi,
    Docs,
    Tenant,
    Batch,
    Collection,
    Document,
    CurrentVersion,
    Changes,
    Report,
    Backup,
}

/// What a request to the interface is about, behind its tenant.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tenant,
    /// Documents of the tenant that are written together.
    Batch,
    Collection(CollectionName),
    Document(CollectionName, DocId),
    CurrentVersion(CollectionName, DocId),
    Changes,
    Report(CollectionName),
    /// All of the store.
    Backup,
}

impl Endpoint {
    /// Returns whether a request for it without a valid key counts towards its peer's limit. Those
    /// who watch over a server ask often.
    pub(crate) fn counts_strangers(self) -> bool {
        !matches!(self, Self::Health | Self::Ready)
    }

    /// Every endpoint.
    pub(crate) const ALL: [Self; 13] = [
        Self::Root,
        Self::Health,
        Self::Ready,
        Self::OpenApi,
        Self::Docs,
        Self::Tenant,
        Self::Batch,
        Self::Collection,
        Self::Document,
        Self::CurrentVersion,
        Self::Changes,
        Self::Report,
        Self::Backup,
    ];

    /// Returns the service endpoint at `path`, if it is one.
    pub(crate) fn of_service(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Root),
            "/health" => Some(Self::Health),
            "/ready" => Some(Self::Ready),
            "/openapi.json" => Some(Self::OpenApi),
            "/docs" => Some(Self::Docs),
            _ if path.starts_with("/docs/") => Some(Self::Docs),
            _ => None,
        }
    }

    /// Returns whether it is part of the described interface.
    pub(crate) fn is_described(self) -> bool {
        self != Self::Docs
    }

    /// Returns whether a key is needed.
    pub(crate) fn is_api(self) -> bool {
        match self {
            Self::Root | Self::Health | Self::Ready | Self::OpenApi | Self::Docs => false,
            Self::Tenant
            | Self::Batch
            | Self::Collection
            | Self::Document
            | Self::CurrentVersion
            | Self::Changes
            | Self::Report
            | Self::Backup => true,
        }
    }

    /// Returns the path with names in braces.
    pub(crate) fn template(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Health => "/health",
            Self::Ready => "/ready",
            Self::OpenApi => "/openapi.json",
            Self::Docs => "/docs/{file}",
            Self::Tenant => "/api/v1/provisioning/tenants/{tenantId}",
            Self::Batch => "/api/v1/provisioning/tenants/{tenantId}:batch",
            Self::Collection => "/api/v1/provisioning/tenants/{tenantId}/{collection}",
            Self::Document => "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}",
            Self::CurrentVersion => {
                "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}/versions/current"
            }
            Self::Changes => "/api/v1/changes/tenants/{tenantId}",
            Self::Report => "/api/v1/reporting/tenants/{tenantId}/{collection}",
            Self::Backup => "/api/v1/admin/backup",
        }
    }

    /// Returns whether it is about one document.
    pub(crate) fn is_document(self) -> bool {
        matches!(self, Self::Tenant | Self::Document | Self::CurrentVersion)
    }

    /// Returns the methods that it answers, as the `Allow` header has them.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Root
            | Self::Health
            | Self::Ready
            | Self::OpenApi
            | Self::Docs
            | Self::Collection
            | Self::Changes
            | Self::Report
            | Self::Backup => "GET, HEAD, OPTIONS",
            Self::Tenant | Self::CurrentVersion => "GET, HEAD, POST, PUT, OPTIONS",
            Self::Batch => "POST, OPTIONS",
            Self::Document => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        }
    }

    /// Checks that it answers `method`.
    ///
    /// # Errors
    /// 405 with `Allow`.
    pub(crate) fn check_method(self, method: &Method) -> Result<(), HttpError> {
        if self.allow().split(", ").any(|allowed| allowed == method.as_str()) {
            return Ok(());
        }
        let message = format!("this address answers {}", self.allow());
        let allow = HeaderValue::from_static(self.allow());
        Err(HttpError::new(Code::MethodNotAllowed, message)
            .with_header(axum::http::header::ALLOW, allow))
    }
}

impl Target {
    /// Returns the kind of route.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Tenant => Endpoint::Tenant,
            Self::Batch => Endpoint::Batch,
            Self::Collection(_) => Endpoint::Collection,
            Self::Document(..) => Endpoint::Document,
            Self::CurrentVersion(..) => Endpoint::CurrentVersion,
            Self::Changes => Endpoint::Changes,
            Self::Report(_) => Endpoint::Report,
            Self::Backup => Endpoint::Backup,
        }
    }

    /// Returns what a path that is permitted leads to.
    ///
    /// # Errors
    /// 400 for a malformed path or a bad name, 404 for a path that leads nowhere.
    pub(crate) fn resolve(path: &ApiPath<'_>) -> Result<Self, HttpError> {
        let segments = path.segments()?;
        let rest = match segments.as_slice() {
            ["provisioning", "tenants", _tenant, rest @ ..] => rest,
            [CHANGES, "tenants", _tenant] => return Ok(Self::Changes),
            [REPORTING, "tenants", _tenant, collection] => {
                return Ok(Self::Report(CollectionName::parse(collection)?));
            }
            [ADMIN, "backup"] => return Ok(Self::Backup),
            _ => return Err(HttpError::not_found()),
        };
        match *rest {
            [] if path.is_batch() => Ok(Self::Batch),
            [] => Ok(Self::Tenant),
            [collection] => Ok(Self::Collection(CollectionName::parse(collection)?)),
            [collection, id] => {
                Ok(Self::Document(CollectionName::parse(collection)?, DocId::parse(id)?))
            }
            [collection, id, "versions", "current"] => {
                Ok(Self::CurrentVersion(CollectionName::parse(collection)?, DocId::parse(id)?))
            }
            _ => Err(HttpError::not_found()),
        }
    }
}

/// Names the target within its tenant, as logs do.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant | Self::Changes => f.write_str("."),
            Self::Batch => f.write_str(":batch"),
            Self::Backup => f.write_str("backup"),
            Self::Collection(collection) | Self::Report(collection) => write!(f, "{collection}"),
            Self::Document(collection, id) => write!(f, "{collection}/{id}"),
            Self::CurrentVersion(collection, id) => {
                write!(f, "{collection}/{id}/versions/current")
            }
        }
    }
}

impl From<PathFlaw> for HttpError {
    fn from(flaw: PathFlaw) -> Self {
        Self::bad_request(flaw.0)
    }
}
