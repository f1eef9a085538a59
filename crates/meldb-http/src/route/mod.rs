//! What a request asks for: parsed once, and the only thing that authorisation looks at.
//!
//! Dispatch, metrics, the logs and the description of the interface go by the same parse and the
//! same table. Nothing else looks at a path.

mod endpoint;
mod key_id;
mod need;
mod parameters;
mod path;
mod pattern;
mod target;

use axum::http::{Method, Uri};
use meldb::{CollectionName, DocId, DocumentKey, DocumentPath, TenantId};

pub(crate) use self::{
    endpoint::{Endpoint, Opens},
    parameters::check_parameters,
    target::{Part, TakeBack, Target, document_path},
};
pub use self::{
    key_id::{KeyId, KeyIdError},
    need::{Access, Need, Prefix, Resource, ScopeNeed},
    target::Admin,
};
use self::{
    path::{PathFlaw, Segment},
    pattern::Named,
    target::CURRENT_VERSION,
};
use crate::{error::HttpError, query};

/// A request's route: what it leads to, and what whoever asks must be allowed.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) need: Need,
    /// The text in the tenant's place, whatever it is worth, for the logs.
    pub(crate) tenant: Option<String>,
    /// Why there is no text in the tenant's place.
    flaw: Option<PathFlaw>,
    target: Result<Target, Flaw>,
}

/// Why a request has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// There is nothing at this address.
    Unknown,
    /// Nothing can be: a segment below `/api/v1/` is malformed.
    Malformed(PathFlaw),
}

/// Why a route leads nowhere; shown only to those who may ask.
#[derive(Clone, Debug)]
enum Flaw {
    /// A segment stands for no text.
    Path(PathFlaw),
    /// A text is no name.
    Name(meldb::Error),
    /// A text is no id of a key.
    KeyId(String),
    /// The query does not name the resource, or names it twice.
    Query(&'static str),
}

impl Route {
    /// Finds the route of a request, and parses every name in its address.
    ///
    /// # Errors
    /// [`NoRoute`], if no template fits. A bad name is an error of [`target`](Self::target).
    pub(crate) fn parse(method: &Method, uri: &Uri) -> Result<Self, NoRoute> {
        let segments = path::segments(uri.path()).ok_or(NoRoute::Unknown)?;
        let malformed = no_route(&segments);
        let (endpoint, named) = pattern::find(segments).ok_or(malformed)?;
        let shown = named.tenant.as_ref().and_then(|name| name.as_deref().ok()).map(str::to_owned);
        let flaw = named.tenant.as_ref().and_then(|name| name.as_ref().err()).copied();
        let tenant = name(named.tenant.as_ref(), TenantId::parse);
        let collection = collection(endpoint, &named, uri.query());
        let known = collection.as_ref().ok().and_then(Option::as_ref);
        let need = need(endpoint, endpoint.access(method), tenant.as_ref().ok(), known);
        let target = target(endpoint, &named, uri.query(), tenant, collection);
        Ok(Self { endpoint, need, tenant: shown, flaw, target })
    }

    /// Returns what whoever asks must be allowed.
    pub fn need(&self) -> &Need {
        &self.need
    }

    /// Returns the path with names in braces, such as `/api/v1/changes/tenants/{tenantId}`.
    pub fn template(&self) -> &'static str {
        self.endpoint.template()
    }

    /// Returns the text in the tenant's place, whatever it is worth.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Returns what it leads to within its tenant, as logs name it; `None` if a name is malformed.
    pub fn subject(&self) -> Option<String> {
        self.target.as_ref().ok().map(ToString::to_string)
    }

    /// Returns whether it is for those who watch over a server, and ask often.
    pub fn is_probe(&self) -> bool {
        self.endpoint.is_probe()
    }

    /// Checks that there is a text in the tenant's place. Without one there is no other tenant that
    /// something could be said about.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn check_tenant(&self) -> Result<(), HttpError> {
        self.flaw.map_or(Ok(()), |flaw| Err(flaw.into()))
    }

    /// Returns what the route leads to.
    ///
    /// # Errors
    /// 400 for what is malformed or no name.
    pub(crate) fn target(&self) -> Result<&Target, HttpError> {
        self.target.as_ref().map_err(|flaw| match flaw {
            Flaw::Path(flaw) => (*flaw).into(),
            Flaw::Name(error) => error.clone().into(),
            Flaw::KeyId(message) => HttpError::bad_request(message.clone()),
            Flaw::Query(message) => HttpError::bad_request(*message),
        })
    }
}

/// Returns the answer to segments that fit no template.
fn no_route(segments: &[Segment<'_>]) -> NoRoute {
    match segments {
        [Ok(api), Ok(version), rest @ ..] if (&**api, &**version) == ("api", "v1") => rest
            .iter()
            .find_map(|segment| segment.as_ref().err())
            .map_or(NoRoute::Unknown, |flaw| NoRoute::Malformed(*flaw)),
        _ => NoRoute::Unknown,
    }
}

/// Parses the text in the place of a name; an endpoint without the name does not ask for it.
fn name<T, E: Into<Flaw>>(
    segment: Option<&Segment<'_>>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Flaw> {
    match segment {
        Some(Ok(text)) => parse(text).map_err(Into::into),
        Some(Err(flaw)) => Err(Flaw::Path(*flaw)),
        None => Err(Flaw::Path(PathFlaw::EMPTY)),
    }
}

/// Returns the collection that an address names. That of a feed or a setting is in its query, and may be
/// absent.
fn collection(
    endpoint: Endpoint,
    named: &Named<'_>,
    query: Option<&str>,
) -> Result<Option<CollectionName>, Flaw> {
    if let Some(collection) = endpoint.report() {
        return CollectionName::parse(collection)
            .map(Some)
            .map_err(|error| Flaw::Name(error.into()));
    }
    let is_in_query =
        [Endpoint::Changes, Endpoint::History, Endpoint::HistorySetting, Endpoint::Indexes];
    if !is_in_query.contains(&endpoint) {
        return name(named.collection.as_ref(), CollectionName::parse).map(Some);
    }
    let [asked] = query::values(query, ["collection"])
        .map_err(|_| Flaw::Query("`collection` is given twice"))?;
    asked.map(|text| CollectionName::parse(&text).map_err(Flaw::from)).transpose()
}

/// Returns the member names that the query's `pointer` (RFC 6901) leads through.
fn pointer(query: Option<&str>) -> Result<Option<Vec<String>>, Flaw> {
    const MALFORMED: Flaw =
        Flaw::Query("`pointer` must be a JSON Pointer, such as /versions/current");
    let [pointer] =
        query::values(query, ["pointer"]).map_err(|_| Flaw::Query("`pointer` is given twice"))?;
    let Some(pointer) = pointer else { return Ok(None) };
    if pointer.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let names = pointer.strip_prefix('/').ok_or(MALFORMED)?.split('/');
    let unescape = |name: &str| {
        let rest = name.replace("~0", "").replace("~1", "");
        let is_good = !rest.contains('~');
        is_good.then(|| name.replace("~1", "/").replace("~0", "~")).ok_or(MALFORMED)
    };
    names.map(unescape).collect::<Result<_, _>>().map(Some)
}

fn need(
    endpoint: Endpoint,
    access: Access,
    tenant: Option<&TenantId>,
    collection: Option<&CollectionName>,
) -> Need {
    let prefix = match endpoint.opens() {
        Opens::Anybody => return Need::Nothing,
        Opens::Known => return Need::Identity,
        Opens::Operator => return Need::Operator,
        Opens::Scope(prefix) => prefix,
    };
    let resource = match collection {
        _ if matches!(endpoint, Endpoint::Batch | Endpoint::Collections) => Resource::InBody,
        Some(collection) => Resource::Collection(collection.clone()),
        None => Resource::Everything,
    };
    Need::Scope(ScopeNeed { tenant: tenant.cloned(), prefix, resource, access })
}

fn target(
    endpoint: Endpoint,
    named: &Named<'_>,
    query: Option<&str>,
    tenant: Result<TenantId, Flaw>,
    collection: Result<Option<CollectionName>, Flaw>,
) -> Result<Target, Flaw> {
    let required = || collection.clone()?.ok_or(Flaw::Path(PathFlaw::EMPTY));
    let doc_id = || name(named.doc_id.as_ref(), DocId::parse);
    let member = || Ok::<_, Flaw>(DocumentKey::Member { collection: required()?, id: doc_id()? });
    let document = |path: DocumentPath| Target::Of(path.tenant().clone(), Part::Document(path));
    let key_id = || name(named.key_id.as_ref(), str::parse::<KeyId>);
    let tenant = || tenant.clone();
    let own = || Ok::<_, Flaw>(DocumentPath::new(tenant()?, DocumentKey::Tenant));
    let whole = || Ok::<_, Flaw>(DocumentPath::new(tenant()?, member()?));
    // The document, or the object in it that the query names.
    let part = || Ok::<_, Flaw>(whole()?.at(pointer(query)?.unwrap_or_default()));
    let of = |path: DocumentPath, part: fn(DocumentPath) -> Part| {
        Target::Of(path.tenant().clone(), part(path))
    };
    let undo = |path| of(path, |path| Part::TakeBack(path, TakeBack::Undo));
    let revert = |path| of(path, |path| Part::TakeBack(path, TakeBack::Revert));
    Ok(match endpoint {
        Endpoint::Root => Target::Root,
        Endpoint::Health => Target::Health,
        Endpoint::Ready => Target::Ready,
        Endpoint::OpenApi => Target::OpenApi,
        Endpoint::WhoAmI => Target::WhoAmI,
        Endpoint::DocsRedirect => Target::Docs(None),
        Endpoint::Docs => Target::Docs(Some(match &named.file {
            Some(Ok(file)) => file.clone().into_owned(),
            Some(Err(flaw)) if *flaw != PathFlaw::EMPTY => return Err(Flaw::Path(*flaw)),
            _ => String::new(),
        })),
        Endpoint::Stats => Target::Admin(Admin::Stats),
        Endpoint::TenantStats => Target::Admin(Admin::Tenant(tenant()?)),
        Endpoint::Quota => Target::Admin(Admin::Quota(tenant()?)),
        Endpoint::Keys => Target::Admin(Admin::Keys),
        Endpoint::RevokeKey => Target::Admin(Admin::RevokeKey(key_id()?)),
        Endpoint::RotateKey => Target::Admin(Admin::RotateKey(key_id()?)),
        Endpoint::Import => Target::Admin(Admin::Import),
        Endpoint::Backup => Target::Admin(Admin::Backup),
        Endpoint::Checkpoint => Target::Admin(Admin::Checkpoint),
        Endpoint::ResetClock => Target::Admin(Admin::ResetClock),
        Endpoint::SubDocument => {
            const MISSING: Flaw = Flaw::Query("`pointer` is missing; it may be empty");
            document(whole()?.at(pointer(query)?.ok_or(MISSING)?))
        }
        Endpoint::Tenant => document(own()?),
        Endpoint::Batch => Target::Of(tenant()?, Part::Batch),
        Endpoint::Collection => Target::Of(tenant()?, Part::Collection(required()?)),
        Endpoint::Count => Target::Of(tenant()?, Part::Count(required()?)),
        Endpoint::Query => Target::Of(tenant()?, Part::Query(required()?)),
        Endpoint::BulkMerge => Target::Of(tenant()?, Part::BulkMerge(required()?)),
        Endpoint::Collections => Target::Of(tenant()?, Part::Collections),
        Endpoint::Document => document(whole()?),
        Endpoint::CurrentVersion => document(whole()?.at(CURRENT_VERSION)),
        Endpoint::Changes => Target::Of(tenant()?, Part::Changes(collection?)),
        Endpoint::History => Target::Of(tenant()?, Part::Writes(collection?)),
        Endpoint::OwnHistory => of(own()?, Part::History),
        Endpoint::DocumentHistory => of(part()?, Part::History),
        Endpoint::OwnUndo => undo(own()?),
        Endpoint::OwnRevert => revert(own()?),
        Endpoint::Undo => undo(part()?),
        Endpoint::Revert => revert(part()?),
        Endpoint::UndoBy => Target::Of(tenant()?, Part::UndoBy),
        Endpoint::HistorySetting => Target::Admin(Admin::History(tenant()?, collection?)),
        Endpoint::Indexes => Target::Admin(Admin::Indexes(tenant()?, collection?)),
        Endpoint::Forget => Target::Admin(Admin::Forget(whole()?)),
        Endpoint::Redact => Target::Admin(Admin::Redact(whole()?)),
        Endpoint::OwnForget => Target::Admin(Admin::Forget(own()?)),
        Endpoint::OwnRedact => Target::Admin(Admin::Redact(own()?)),
        Endpoint::Report | Endpoint::AssistantReport | Endpoint::VoiceReport => {
            Target::Of(tenant()?, Part::Report(required()?))
        }
    })
}

impl From<meldb::NameError> for Flaw {
    fn from(error: meldb::NameError) -> Self {
        Self::Name(error.into())
    }
}

impl From<KeyIdError> for Flaw {
    fn from(error: KeyIdError) -> Self {
        Self::KeyId(error.to_string())
    }
}

impl From<PathFlaw> for HttpError {
    fn from(flaw: PathFlaw) -> Self {
        Self::bad_request(flaw.0)
    }
}

impl From<NoRoute> for HttpError {
    fn from(no_route: NoRoute) -> Self {
        match no_route {
            NoRoute::Unknown => Self::not_found(),
            NoRoute::Malformed(flaw) => flaw.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, path: &str) -> Result<Route, NoRoute> {
        Route::parse(method, &path.parse().expect("a target"))
    }

    fn shown(route: &Route) -> String {
        let target = route.target.as_ref().map_or_else(|_| "?".to_owned(), ToString::to_string);
        match &route.need {
            Need::Scope(need) => {
                let tenant = need.tenant.as_ref().map_or("?", |tenant| tenant.as_str());
                format!("{tenant} {target} {need}")
            }
            need => format!("{target} {need:?}"),
        }
    }

    #[test]
    fn a_path_states_what_it_leads_to_and_what_it_needs() {
        for (method, path, expected) in [
            (Method::GET, "/", "root Nothing"),
            (Method::GET, "/docs", "docs Nothing"),
            (Method::GET, "/docs/", "docs Nothing"),
            (Method::GET, "/docs/index.css", "docs Nothing"),
            (Method::GET, "/api/v1/whoami", "whoami Identity"),
            (Method::GET, "/api/v1/admin/backup", "backup Operator"),
            (Method::GET, "/api/v1/admin/tenants", "tenant Operator"),
            (Method::DELETE, "/api/v1/admin/tenants/t", "tenant Operator"),
            (Method::PUT, "/api/v1/admin/tenants/t/quota", "quota Operator"),
            (Method::PUT, "/api/v1/admin/tenants/t%2F/quota", "? Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/u/1?pointer=", "u/1 Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/u/1?pointer=/a/b~1~01", "u/1/a/b/~1 Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/u/1?pointer=%2Fa%20b", "u/1/a b Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/u/1", "? Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/u/1?pointer=a", "? Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/u/1?pointer=/~2", "? Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/u/1?pointer=/a&pointer=/b", "? Operator"),
            (
                Method::POST,
                "/api/v1/admin/keys/0123456789abcdef:revoke",
                "keys/0123456789abcdef:revoke Operator",
            ),
            (Method::POST, "/api/v1/admin/keys/0123:rotate", "? Operator"),
            (Method::GET, "/api/v1/provisioning/tenants/t", "t . provisioning:read"),
            (Method::PUT, "/api/v1/provisioning/tenants/t", "t . provisioning:write"),
            (Method::POST, "/api/v1/provisioning/tenants/t:batch", "t :batch provisioning:write"),
            (Method::POST, "/api/v1/provisioning/tenants/t%3abatch", "t :batch provisioning:write"),
            (Method::GET, "/api/v1/provisioning/tenants/t/u", "t u provisioning:u.read"),
            (Method::DELETE, "/api/v1/provisioning/tenants/t/u", "t u provisioning:u.write"),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u:merge",
                "t u:merge provisioning:u.write",
            ),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u/1:merge",
                "t u/1:merge provisioning:u.write",
            ),
            (
                Method::GET,
                "/api/v1/provisioning/tenants/t/u:count",
                "t u:count provisioning:u.read",
            ),
            (
                Method::GET,
                "/api/v1/provisioning/tenants/t/u/1:count",
                "t u/1:count provisioning:u.read",
            ),
            (
                Method::GET,
                "/api/v1/provisioning/tenants/t/-/collections",
                "t -/collections provisioning:read",
            ),
            (Method::HEAD, "/api/v1/provisioning/tenants/%74/u/1", "t u/1 provisioning:u.read"),
            (Method::PATCH, "/api/v1/provisioning/tenants/t/u/1", "t u/1 provisioning:u.write"),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u/1/versions/current",
                "t u/1/versions/current provisioning:u.write",
            ),
            (Method::GET, "/api/v1/changes/tenants/t", "t . changes:read"),
            (Method::GET, "/api/v1/changes/tenants/t?collection=u", "t . changes:u.read"),
            (Method::GET, "/api/v1/changes/tenants/t?collection=a%20b", "t ? changes:read"),
            (
                Method::GET,
                "/api/v1/changes/tenants/t?collection=u&collection=v",
                "t ? changes:read",
            ),
            (Method::GET, "/api/v1/reporting/tenants/t/u", "t u reporting:u.read"),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u:query",
                "t u:query provisioning:u.read",
            ),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u/1:query",
                "t u/1:query provisioning:u.write",
            ),
            (Method::GET, "/api/v1/history/tenants/t", "t . history:read"),
            (Method::GET, "/api/v1/history/tenants/t?collection=u", "t . history:u.read"),
            (Method::GET, "/api/v1/history/tenants/t/-", "t . history:read"),
            (Method::GET, "/api/v1/history/tenants/t/u/1", "t u/1 history:u.read"),
            (Method::GET, "/api/v1/history/tenants/t/u/1?pointer=/a", "t u/1/a history:u.read"),
            (Method::GET, "/api/v1/history/tenants/t/u/1?pointer=a", "t ? history:u.read"),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u/1/undo",
                "t u/1/undo provisioning:u.write",
            ),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u/1/revert?pointer=/a",
                "t u/1/a/revert provisioning:u.write",
            ),
            // An id may be `undo`, and may end in what looks like a verb.
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u/undo",
                "t u/undo provisioning:u.write",
            ),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/u/1:undo/undo",
                "t u/1:undo/undo provisioning:u.write",
            ),
            (
                Method::POST,
                "/api/v1/provisioning/tenants/t/-/revert",
                "t ./revert provisioning:write",
            ),
            (Method::POST, "/api/v1/provisioning/tenants/t:undo", "t :undo provisioning:write"),
            (Method::PUT, "/api/v1/admin/tenants/t/history?collection=u", "history/u Operator"),
            (Method::GET, "/api/v1/admin/tenants/t/indexes?collection=u", "indexes/u Operator"),
            (Method::PUT, "/api/v1/admin/tenants/t/indexes", "indexes Operator"),
            (Method::POST, "/api/v1/admin/tenants/t/u/1/forget", "u/1/forget Operator"),
            (Method::POST, "/api/v1/admin/tenants/t/-/redact?pointer=/a", "./redact Operator"),
            (
                Method::GET,
                "/api/v1/reporting/tenants/t/assistant/conversations",
                "t botconv reporting:botconv.read",
            ),
            (
                Method::GET,
                "/api/v1/reporting/tenants/t/voc/conversations",
                "t vocconv reporting:vocconv.read",
            ),
            // A batch is of provisioning alone, and of a tenant alone.
            (Method::GET, "/api/v1/changes/tenants/t:batch", "? ? changes:read"),
            (Method::GET, "/api/v1/changes/tenants/t%3Abatch", "? ? changes:read"),
            (Method::POST, "/api/v1/provisioning/tenants/t:batch:batch", "? ? provisioning:write"),
            (Method::GET, "/api/v1/provisioning/tenants/t/u:batch", "t ? provisioning:read"),
            (
                Method::GET,
                "/api/v1/provisioning/tenants/t/u/1:batch",
                "t u/1:batch provisioning:u.read",
            ),
            // A bad name: shown to whoever may do everything under the prefix.
            (Method::GET, "/api/v1/provisioning/tenants/a%20b/u", "? ? provisioning:u.read"),
            (Method::GET, "/api/v1/provisioning/tenants/t/a%20b/1", "t ? provisioning:read"),
            (Method::GET, "/api/v1/provisioning/tenants/t/u/..", "t ? provisioning:u.read"),
            (Method::GET, "/api/v1/provisioning/tenants/t//1", "t ? provisioning:read"),
        ] {
            let route = parse(&method, path).unwrap_or_else(|none| panic!("{path}: {none:?}"));
            assert_eq!(shown(&route), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_fits_no_template_has_no_route() {
        for (path, expected) in [
            ("/nowhere", NoRoute::Unknown),
            ("//", NoRoute::Unknown),
            ("/api/v1", NoRoute::Unknown),
            ("/api/v1/provisioning/tenants", NoRoute::Unknown),
            ("/api/v1/provisioning/tenants/t/u/1/versions", NoRoute::Unknown),
            ("/api/v1/changes/tenants/t/u", NoRoute::Unknown),
            ("/api/v1/history/tenants/t/u", NoRoute::Unknown),
            ("/api/v1/provisioning/tenants/t/u/1/versions/current/undo", NoRoute::Unknown),
            ("//api/v1/provisioning/tenants/t", NoRoute::Unknown),
            ("/api%2Fv1/provisioning/tenants/t", NoRoute::Unknown),
            ("/API/v1/provisioning/tenants/t", NoRoute::Unknown),
            ("/api/v1/", NoRoute::Malformed(PathFlaw::EMPTY)),
            ("/api/v1//provisioning/tenants/t", NoRoute::Malformed(PathFlaw::EMPTY)),
        ] {
            assert_eq!(parse(&Method::GET, path).map(drop), Err(expected), "{path}");
        }
    }
}
