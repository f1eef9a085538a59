//! The table of routes: the one place that dispatch, authorisation, `Allow`, metrics and the
//! description of the interface read.

use axum::http::{HeaderValue, Method, header};

use super::need::{Access, Prefix};
use crate::error::{Code, HttpError};

/// A kind of route, whatever the names in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Root,
    Health,
    Ready,
    OpenApi,
    WhoAmI,
    DocsRedirect,
    Docs,
    Tenant,
    Batch,
    Collections,
    Count,
    Query,
    BulkMerge,
    Collection,
    Document,
    CurrentVersion,
    Changes,
    Report,
    AssistantReport,
    VoiceReport,
    Stats,
    TenantStats,
    Quota,
    SubDocument,
    Keys,
    RevokeKey,
    RotateKey,
    Import,
    Backup,
    Checkpoint,
    ResetClock,
    History,
    OwnHistory,
    DocumentHistory,
    Undo,
    Revert,
    OwnUndo,
    OwnRevert,
    UndoBy,
    HistorySetting,
    Indexes,
    Forget,
    Redact,
    OwnForget,
    OwnRedact,
}

/// Who opens a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opens {
    /// Anybody: it is about the server itself.
    Anybody,
    /// Whoever is known.
    Known,
    /// Keys of the tenant with a scope of this prefix.
    Scope(Prefix),
    /// Operators.
    Operator,
}

/// One line of the table.
struct Row {
    /// The path with names in braces.
    template: &'static str,
    opens: Opens,
    /// The methods, as the `Allow` header has them.
    allow: &'static str,
}

impl Endpoint {
    /// Every endpoint. Where a path fits two templates, the first one counts.
    pub(crate) const ALL: [Self; 45] = [
        Self::Root,
        Self::Health,
        Self::Ready,
        Self::OpenApi,
        Self::WhoAmI,
        Self::DocsRedirect,
        Self::Docs,
        Self::Batch,
        Self::UndoBy,
        Self::Tenant,
        Self::Count,
        Self::Query,
        Self::BulkMerge,
        Self::Collection,
        Self::Collections,
        Self::OwnUndo,
        Self::OwnRevert,
        Self::Document,
        Self::CurrentVersion,
        Self::Undo,
        Self::Revert,
        Self::Changes,
        Self::History,
        Self::OwnHistory,
        Self::DocumentHistory,
        Self::Report,
        Self::AssistantReport,
        Self::VoiceReport,
        Self::Stats,
        Self::TenantStats,
        Self::Quota,
        Self::HistorySetting,
        Self::Indexes,
        Self::OwnForget,
        Self::OwnRedact,
        Self::Forget,
        Self::Redact,
        Self::SubDocument,
        Self::Keys,
        Self::RevokeKey,
        Self::RotateKey,
        Self::Import,
        Self::Backup,
        Self::Checkpoint,
        Self::ResetClock,
    ];

    const fn row(self) -> Row {
        use Opens::{Anybody, Known, Operator, Scope};
        const READ: &str = "GET, HEAD, OPTIONS";
        const PART: &str = "GET, HEAD, POST, PUT, OPTIONS";
        const CALL: &str = "POST, OPTIONS";
        const WHOLE: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        let (template, opens, allow) = match self {
            Self::Root => ("/", Anybody, READ),
            Self::Health => ("/health", Anybody, READ),
            Self::Ready => ("/ready", Anybody, READ),
            Self::OpenApi => ("/openapi.json", Anybody, READ),
            Self::WhoAmI => ("/api/v1/whoami", Known, READ),
            Self::DocsRedirect => ("/docs", Anybody, READ),
            Self::Docs => ("/docs/{file}", Anybody, READ),
            Self::Tenant => {
                ("/api/v1/provisioning/tenants/{tenantId}", Scope(Prefix::Provisioning), PART)
            }
            Self::Batch => {
                ("/api/v1/provisioning/tenants/{tenantId}:batch", Scope(Prefix::Provisioning), CALL)
            }
            Self::Collection => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}",
                Scope(Prefix::Provisioning),
                "GET, HEAD, DELETE, OPTIONS",
            ),
            Self::BulkMerge => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}:merge",
                Scope(Prefix::Provisioning),
                CALL,
            ),
            Self::Count => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}:count",
                Scope(Prefix::Provisioning),
                READ,
            ),
            Self::Query => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}:query",
                Scope(Prefix::Provisioning),
                CALL,
            ),
            // No collection is called `-`.
            Self::Collections => (
                "/api/v1/provisioning/tenants/{tenantId}/-/collections",
                Scope(Prefix::Provisioning),
                READ,
            ),
            Self::Document => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}",
                Scope(Prefix::Provisioning),
                WHOLE,
            ),
            Self::CurrentVersion => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}/versions/current",
                Scope(Prefix::Provisioning),
                PART,
            ),
            Self::Changes => ("/api/v1/changes/tenants/{tenantId}", Scope(Prefix::Changes), READ),
            Self::Report => (
                "/api/v1/reporting/tenants/{tenantId}/{collection}",
                Scope(Prefix::Reporting),
                READ,
            ),
            Self::AssistantReport => (
                "/api/v1/reporting/tenants/{tenantId}/assistant/conversations",
                Scope(Prefix::Reporting),
                READ,
            ),
            Self::VoiceReport => (
                "/api/v1/reporting/tenants/{tenantId}/voc/conversations",
                Scope(Prefix::Reporting),
                READ,
            ),
            Self::Stats => ("/api/v1/admin/tenants", Operator, READ),
            Self::TenantStats => {
                ("/api/v1/admin/tenants/{tenantId}", Operator, "GET, HEAD, DELETE, OPTIONS")
            }
            Self::Quota => {
                ("/api/v1/admin/tenants/{tenantId}/quota", Operator, "PUT, DELETE, OPTIONS")
            }
            Self::SubDocument => {
                ("/api/v1/admin/tenants/{tenantId}/{collection}/{docId}", Operator, WHOLE)
            }
            Self::Keys => ("/api/v1/admin/keys", Operator, "GET, HEAD, POST, OPTIONS"),
            Self::RevokeKey => ("/api/v1/admin/keys/{keyId}:revoke", Operator, CALL),
            Self::RotateKey => ("/api/v1/admin/keys/{keyId}:rotate", Operator, CALL),
            Self::Import => ("/api/v1/admin/import", Operator, CALL),
            Self::Backup => ("/api/v1/admin/backup", Operator, "GET, HEAD, POST, OPTIONS"),
            Self::Checkpoint => ("/api/v1/admin/checkpoint", Operator, CALL),
            Self::ResetClock => ("/api/v1/admin/clock:reset", Operator, CALL),
            Self::History => ("/api/v1/history/tenants/{tenantId}", Scope(Prefix::History), READ),
            Self::OwnHistory => {
                ("/api/v1/history/tenants/{tenantId}/-", Scope(Prefix::History), READ)
            }
            Self::DocumentHistory => (
                "/api/v1/history/tenants/{tenantId}/{collection}/{docId}",
                Scope(Prefix::History),
                READ,
            ),
            Self::UndoBy => {
                ("/api/v1/provisioning/tenants/{tenantId}:undo", Scope(Prefix::Provisioning), CALL)
            }
            // No collection is called `-`: the tenant's own document.
            Self::OwnUndo => (
                "/api/v1/provisioning/tenants/{tenantId}/-/undo",
                Scope(Prefix::Provisioning),
                CALL,
            ),
            Self::OwnRevert => (
                "/api/v1/provisioning/tenants/{tenantId}/-/revert",
                Scope(Prefix::Provisioning),
                CALL,
            ),
            Self::Undo => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}/undo",
                Scope(Prefix::Provisioning),
                CALL,
            ),
            Self::Revert => (
                "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}/revert",
                Scope(Prefix::Provisioning),
                CALL,
            ),
            Self::HistorySetting => (
                "/api/v1/admin/tenants/{tenantId}/history",
                Operator,
                "GET, HEAD, PUT, DELETE, OPTIONS",
            ),
            Self::Indexes => (
                "/api/v1/admin/tenants/{tenantId}/indexes",
                Operator,
                "GET, HEAD, PUT, DELETE, OPTIONS",
            ),
            Self::OwnForget => ("/api/v1/admin/tenants/{tenantId}/-/forget", Operator, CALL),
            Self::OwnRedact => ("/api/v1/admin/tenants/{tenantId}/-/redact", Operator, CALL),
            Self::Forget => {
                ("/api/v1/admin/tenants/{tenantId}/{collection}/{docId}/forget", Operator, CALL)
            }
            Self::Redact => {
                ("/api/v1/admin/tenants/{tenantId}/{collection}/{docId}/redact", Operator, CALL)
            }
        };
        Row { template, opens, allow }
    }

    /// Returns the path with names in braces.
    pub(crate) fn template(self) -> &'static str {
        self.row().template
    }

    /// Returns who opens it.
    pub(crate) fn opens(self) -> Opens {
        self.row().opens
    }

    /// Returns whether it is part of the described interface.
    pub(crate) fn is_described(self) -> bool {
        !matches!(self, Self::DocsRedirect | Self::Docs)
    }

    /// Returns whether a key is needed.
    pub(crate) fn is_api(self) -> bool {
        self.opens() != Opens::Anybody
    }

    /// Returns whether it is for those who watch over a server, and ask often.
    pub(crate) fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// Returns whether it is about one document.
    pub(crate) fn is_document(self) -> bool {
        matches!(self, Self::Tenant | Self::Document | Self::CurrentVersion | Self::SubDocument)
    }

    /// Returns whether it takes back what was written to one document.
    pub(crate) fn takes_back(self) -> bool {
        matches!(self, Self::Undo | Self::Revert | Self::OwnUndo | Self::OwnRevert)
    }

    /// Returns what a method does to what the endpoint is about. A question that is sent by POST only looks.
    pub(crate) fn access(self, method: &Method) -> Access {
        if self == Self::Query { Access::Read } else { Access::of(method) }
    }

    /// Returns the methods that it answers, as the `Allow` header has them.
    pub(crate) fn allow(self) -> &'static str {
        self.row().allow
    }

    /// Returns the collection of a report that has an address of its own.
    pub(crate) fn report(self) -> Option<&'static str> {
        match self {
            Self::AssistantReport => Some("botconv"),
            Self::VoiceReport => Some("vocconv"),
            _ => None,
        }
    }

    /// Returns the parameters of the query that a method takes.
    pub(crate) fn parameters(self, method: &Method) -> &'static [&'static str] {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match (self, method) {
            (Self::SubDocument, _) => match *method {
                Method::PUT | Method::PATCH => {
                    &["pointer", "nulls", "depth", "skipUnchanged", "dryRun", "expireAt"]
                }
                Method::POST => &["pointer", "skipUnchanged", "dryRun", "expireAt"],
                Method::DELETE => &["pointer", "dryRun"],
                _ => &["pointer"],
            },
            (Self::Tenant | Self::Document | Self::CurrentVersion, _) => match *method {
                Method::PUT | Method::PATCH => {
                    &["nulls", "depth", "skipUnchanged", "dryRun", "expireAt"]
                }
                Method::POST => &["skipUnchanged", "dryRun", "expireAt"],
                Method::DELETE => &["dryRun"],
                _ => &[],
            },
            (Self::Batch, &Method::POST) => &["dryRun"],
            (Self::Collection, _) if reads => {
                &["where", "sort", "fields", "limit", "cursor", "after", "revisions"]
            }
            (Self::Collection, &Method::DELETE) => &["all", "dryRun"],
            (Self::BulkMerge, &Method::POST) => &["nulls", "depth", "skipUnchanged", "dryRun"],
            (Self::Query, &Method::POST) => &["cursor"],
            (Self::Count, _) if reads => &["where", "cursor"],
            (Self::Collections, _) if reads => &["after", "limit"],
            (Self::Changes, _) if reads => &["after", "collection", "limit", "documents", "where"],
            (Self::Report | Self::AssistantReport | Self::VoiceReport, _) if reads => {
                &["range", "from", "to", "limit", "cursor"]
            }
            (Self::History, _) if reads => &["after", "collection", "limit"],
            (Self::OwnHistory, _) if reads => &["before", "limit", "at", "view"],
            (Self::DocumentHistory, _) if reads => &["pointer", "before", "limit", "at", "view"],
            (Self::Undo | Self::Revert, &Method::POST) => &["revision", "pointer", "dryRun"],
            (Self::OwnUndo | Self::OwnRevert, &Method::POST) => &["revision", "dryRun"],
            (Self::UndoBy, &Method::POST) => &["actor", "since", "dryRun"],
            (Self::HistorySetting, _) => &["collection"],
            (Self::Indexes, _) if reads => &["collection"],
            (Self::Indexes, &Method::DELETE) => &["collection", "name"],
            (Self::Redact | Self::OwnRedact, &Method::POST) => &["pointer"],
            (Self::Import, &Method::POST) => &["tenant", "firstLine"],
            (Self::ResetClock, &Method::POST) => &["tenant"],
            _ => &[],
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
        let message = format!("this address answers {}{}", self.allow(), self.instead_of(method));
        let allow = HeaderValue::from_static(self.allow());
        Err(HttpError::new(Code::MethodNotAllowed, message).with_header(header::ALLOW, allow))
    }

    /// Says what to send in place of a method that it does not answer, if that is likely to be known.
    fn instead_of(self, method: &Method) -> &'static str {
        match (self, method) {
            // The client gives the id: a request that is sent again makes no second document.
            (Self::Collection, &Method::POST | &Method::PUT | &Method::PATCH) => {
                "; a document is written with an id that you choose: \
                 POST /api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}; many at once: \
                 POST /api/v1/provisioning/tenants/{tenantId}:batch; what passes a filter is merged into by \
                 POST /api/v1/provisioning/tenants/{tenantId}/{collection}:merge"
            }
            (Self::Tenant, &Method::DELETE) => {
                "; documents are deleted one by one, in a batch: \
                 POST /api/v1/provisioning/tenants/{tenantId}:batch, or all of a collection: \
                 DELETE /api/v1/provisioning/tenants/{tenantId}/{collection}?all=true"
            }
            (Self::Tenant | Self::CurrentVersion, &Method::PATCH) => "; PUT merges",
            (Self::CurrentVersion, &Method::DELETE) => {
                "; PUT the document itself with {\"versions\":{\"current\":null}}"
            }
            (Self::Changes, _) => {
                "; changes are made by writes below /api/v1/provisioning/, and read here"
            }
            (Self::Report | Self::AssistantReport | Self::VoiceReport, _) => {
                "; reports are read, and their documents are written below /api/v1/provisioning/"
            }
            (Self::History | Self::OwnHistory | Self::DocumentHistory, _) => {
                "; history is made by writes below /api/v1/provisioning/, and read here"
            }
            (Self::Batch, _) => "; a batch is sent by POST",
            (Self::BulkMerge, _) => "; a merge into many documents is sent by POST",
            (Self::Query, _) => {
                "; a question is sent by POST, or by GET to the collection, with `where`"
            }
            _ => "",
        }
    }
}
