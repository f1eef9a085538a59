//! Questions to a collection, and the collections of a tenant, on either backend.

use meldb::{Filter, Find, Projection, Sort, TenantId};

use super::{Backend, Entry, FindRequest, Listed, Local, Remote, remote::entry, request::Sink};
use crate::{
    client::{Request, percent_encoded},
    failure::{Code, Failure, Result},
    json_text,
};

/// The most documents of a page of a server.
const PAGE_DOCUMENTS_MAX: usize = 1000;
/// How many documents are read at a time here.
const PAGE_DOCUMENTS: usize = 256;

impl Backend {
    /// Hands the documents that pass a filter to `sink`, in the order that was asked for.
    pub(crate) async fn find(&self, request: &FindRequest, sink: Sink<'_>) -> Result<()> {
        match self {
            Self::Local(local) => local.find(request, sink).await,
            Self::Remote(remote) => remote.find(request, sink).await,
        }
    }

    /// Returns how a question is answered.
    pub(crate) async fn explain(&self, request: &FindRequest) -> Result<String> {
        match self {
            Self::Local(local) => Ok(local.question(request)?.explain()?.to_string()),
            Self::Remote(remote) => {
                let answer = remote.client().send(Request::get(path(request, 1))).await?;
                let plan = answer.plan.as_deref().and_then(|plan| plan.split(", examined=").next());
                let unsaid =
                    || Failure::new(Code::BadRequest, "the server does not say how it answers");
                plan.map(str::to_owned).ok_or_else(unsaid)
            }
        }
    }

    /// Returns the collections of a tenant.
    pub(crate) async fn collections(&self, tenant: &TenantId) -> Result<Vec<Listed>> {
        match self {
            Self::Local(local) => {
                let mut listed = Vec::new();
                for collection in local.store().tenant(tenant)?.collections() {
                    let collection = collection?;
                    let totals = collection.totals_async().await?;
                    listed.push(Listed {
                        name: collection.name().to_string(),
                        documents: Some(totals.documents),
                        bytes: Some(totals.bytes),
                    });
                }
                Ok(listed)
            }
            Self::Remote(remote) => {
                let path = format!("/api/v1/provisioning/tenants/{tenant}/-/collections");
                let (mut listed, mut next) = (Vec::new(), Some(path));
                while let Some(path) = next {
                    let answer = remote.client().send(Request::get(path)).await?;
                    let page: Vec<Listed> =
                        serde_json::from_slice(&answer.text).map_err(|_| odd())?;
                    listed.extend(page);
                    next = answer.next;
                }
                Ok(listed)
            }
        }
    }
}

impl Local {
    fn question(&self, request: &FindRequest) -> Result<Find> {
        let parsed = request.filter.as_ref().map(|filter| filter.parse::<Filter>());
        let filter = parsed.transpose().map_err(meldb::Error::from)?.unwrap_or_else(Filter::all);
        let tenant = self.store().tenant(&request.collection.tenant)?;
        let find = tenant.collection(&request.collection.collection)?.find(filter);
        Ok(match &request.sort {
            Some(sort) => find.sort(sort.parse::<Sort>().map_err(meldb::Error::from)?),
            None => find,
        })
    }

    async fn find(&self, request: &FindRequest, sink: Sink<'_>) -> Result<()> {
        let projection = request.fields.as_ref().map(|fields| fields.parse::<Projection>());
        let projection = projection.transpose().map_err(meldb::Error::from)?;
        let (mut find, mut left) = (self.question(request)?, request.limit.unwrap_or(usize::MAX));
        // A sorted page looks at everything: as few pages as may be.
        let page_max = if find.explain()?.sorts { usize::MAX } else { PAGE_DOCUMENTS };
        while left > 0 {
            let page = find.page_async(left.min(page_max)).await?;
            left -= page.documents.len();
            for document in page.documents {
                let text = match &projection {
                    Some(projection) => projection.of(&document)?,
                    None => document.as_bytes().to_vec(),
                };
                let id = document.id().map(ToString::to_string).unwrap_or_default();
                sink(Entry { id, revision: Some(document.revision().get()), text })?;
            }
            if page.next.is_none() {
                break;
            }
        }
        Ok(())
    }
}

impl Remote {
    async fn find(&self, request: &FindRequest, sink: Sink<'_>) -> Result<()> {
        let mut left = request.limit.unwrap_or(usize::MAX);
        let mut next = Some(path(request, left.min(PAGE_DOCUMENTS_MAX)));
        while let Some(path) = next.take_if(|_| left > 0) {
            let answer = self.client().send(Request::get(path)).await?;
            let mut elements = json_text::ArrayElements::default();
            elements.feed(&answer.text, |element| {
                let entry = entry(element)?;
                if left > 0 {
                    left -= 1;
                    sink(entry)?;
                }
                Ok(())
            })?;
            next = answer.next;
        }
        Ok(())
    }
}

/// Returns the path that asks a server for a page.
fn path(request: &FindRequest, limit: usize) -> String {
    let FindRequest { collection, filter, sort, fields, .. } = request;
    let (tenant, name) = (&collection.tenant, &collection.collection);
    let mut path = format!("/api/v1/provisioning/tenants/{tenant}/{name}?revisions=true");
    path.push_str(&format!("&limit={}", limit.max(1)));
    let filter = filter.clone().unwrap_or_else(|| Filter::all().to_string());
    for (parameter, value) in
        [("where", Some(&filter)), ("sort", sort.as_ref()), ("fields", fields.as_ref())]
    {
        if let Some(value) = value {
            path.push_str(&format!("&{parameter}={}", percent_encoded(value)));
        }
    }
    path
}

fn odd() -> Failure {
    Failure::new(Code::Unavailable, "the server answers with something else than a list")
}
