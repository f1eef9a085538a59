//! What a request needs: the one thing that authorisation looks at.

use std::fmt;

use axum::http::Method;
use meldb::{CollectionName, TenantId};

/// What whoever sends a request must be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is about the server itself.
    Nothing,
    /// To be known: it is about whoever asks.
    Identity,
    /// To be an operator: it is about the store as a whole.
    Operator,
    /// Access to something of one tenant.
    Scope(ScopeNeed),
}

/// Access to something of one tenant.
///
/// `Display` writes it as scopes are written: `provisioning:users.read`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeNeed {
    /// The tenant; `None` if what the path names cannot be one, which nobody has access to.
    pub tenant: Option<TenantId>,
    /// The part of the interface.
    pub prefix: Prefix,
    /// What the access is to.
    pub resource: Resource,
    /// What is done to it.
    pub access: Access,
}

/// What an access is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// What belongs to no collection, to several, or to one that cannot be: only an access to
    /// everything under the prefix will do.
    Everything,
    /// A collection and its documents.
    Collection(CollectionName),
    /// What the body names, or the answer; each of its parts has a need of its own, which is checked as well.
    InBody,
}

/// What a request does to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It looks: GET, HEAD and OPTIONS.
    Read,
    /// Everything else.
    Write,
}

/// A part of the interface; the first segment of its paths behind `/api/v1/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// Documents, lists and batches.
    Provisioning,
    /// The change feed.
    Changes,
    /// Reports.
    Reporting,
    /// What documents were.
    History,
    /// The Model Context Protocol; it adds nothing to what the other prefixes allow.
    Mcp,
}

impl Need {
    /// Returns the need of a document that a body names: the same of its collection, or of the
    /// tenant's own document.
    pub(crate) fn of(&self, collection: Option<&CollectionName>) -> Self {
        let resource = collection.cloned().map_or(Resource::Everything, Resource::Collection);
        self.with(|need| need.resource = resource)
    }

    /// Returns the need of reading what this one is about. Whoever is an operator may read.
    pub(crate) fn reading(&self) -> Self {
        self.with(|need| need.access = Access::Read)
    }

    /// Returns the need of reading the history of what this one is about.
    pub(crate) fn reading_history(&self) -> Self {
        self.with(|need| {
            need.access = Access::Read;
            need.prefix = Prefix::History;
        })
    }

    fn with(&self, change: impl FnOnce(&mut ScopeNeed)) -> Self {
        let mut need = self.clone();
        if let Self::Scope(scope) = &mut need {
            change(scope);
        }
        need
    }
}

impl Access {
    /// Returns what a method does to a resource.
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Read,
            _ => Self::Write,
        }
    }

    /// Returns the word for it in a scope.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Prefix {
    /// Every prefix.
    pub const ALL: [Self; 5] =
        [Self::Provisioning, Self::Changes, Self::Reporting, Self::History, Self::Mcp];

    /// Returns the prefix as scopes and paths have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Changes => "changes",
            Self::Reporting => "reporting",
            Self::History => "history",
            Self::Mcp => "mcp",
        }
    }

    /// Returns whether anything under the prefix can be written.
    pub fn takes_writes(self) -> bool {
        matches!(self, Self::Provisioning | Self::Mcp)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ScopeNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, resource, access, .. } = self;
        match resource {
            Resource::Collection(name) => write!(f, "{prefix}:{name}.{}", access.name()),
            Resource::Everything | Resource::InBody => write!(f, "{prefix}:{}", access.name()),
        }
    }
}
