//! What is asked of a server about a store as a whole: changes, what tenants hold, keys, backups.

use std::io::Write;

use bytes::Bytes;
use meldb::{BackupSummary, TenantId};
use meldb_http::{ImportSummary, TenantInfo};
use meldb_server::{ClockReset, ErasedTenant, KeyInfo};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Remote, odd};
use crate::{
    backend::{ChangesRequest, EraseRequest, LineSink, PreserveRequest, QuotaRequest},
    client::{Method, Request, percent_encoded},
    failure::{Code, Failure, Result},
    json_text,
    keyring::{KeyRequest, KeyResponse},
};

/// The changes of a page.
const PAGE_CHANGES: usize = 1000;

impl Remote {
    pub(crate) async fn changes(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        request.after()?;
        match request.follow {
            true => self.follow(request, sink).await,
            false => self.pages(request, sink).await,
        }
    }

    /// Reads the changes that there are, page by page.
    async fn pages(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        let mut after = request.after.clone();
        loop {
            let path = format!("{}&limit={PAGE_CHANGES}", changes_path(request, &after));
            let answer = self.client.send(Request::get(path)).await?;
            let mut page = ChangePage::parse(&answer.text, request.every).ok_or_else(odd)?;
            if request.every && request.documents {
                for line in &mut page.lines {
                    self.add_document(&request.tenant, line).await?;
                }
            }
            sink(page.lines)?;
            if !page.more {
                return Ok(());
            }
            after = page.cursor;
        }
    }

    /// Reads the changes as they are made, until something fails.
    async fn follow(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        let mut after = request.after.clone();
        loop {
            let mut asked = Request::get(changes_path(request, &after));
            asked.events = true;
            let mut events = self.client.stream(asked).await?;
            let mut pending = Vec::new();
            while let Some(chunk) = events.chunk().await? {
                pending.extend_from_slice(&chunk);
                let mut lines = Vec::new();
                while let Some(end) = pending.windows(2).position(|pair| pair == b"\n\n") {
                    let event: Vec<u8> = pending.drain(..end + 2).collect();
                    let event = Event::parse(&event);
                    after = event.id.unwrap_or(after);
                    if event.is_error {
                        return Err(Failure::new(
                            Code::Unavailable,
                            "the server broke off the changes; its log says why",
                        ));
                    }
                    // Without data it only says how far the server has come.
                    lines.extend(event.data);
                }
                sink(lines)?;
            }
            // The server ends a stream when it shuts down: it may be back soon, or not at all.
        }
    }

    /// Returns what each tenant holds, or one of them.
    pub(crate) async fn tenants(&self, tenant: Option<&TenantId>) -> Result<Vec<TenantInfo>> {
        match tenant {
            None => self.ask(Request::admin(Method::Get, "tenants", None)).await,
            Some(tenant) => {
                let path = format!("tenants/{tenant}");
                Ok(vec![self.ask(Request::admin(Method::Get, &path, None)).await?])
            }
        }
    }

    pub(crate) async fn quota(&self, request: QuotaRequest) -> Result<Vec<TenantInfo>> {
        let (tenant, quota, actor) = match request {
            QuotaRequest::Show { tenant } => return self.tenants(tenant.as_ref()).await,
            QuotaRequest::Set { tenant, quota, actor } => (tenant, quota, actor),
        };
        let (method, body) = match quota {
            Some(quota) => (Method::Put, Some(json!(quota).to_string().into_bytes())),
            None => (Method::Delete, None),
        };
        let mut request = Request::admin(method, &format!("tenants/{tenant}/quota"), body);
        request.actor = self.actor(actor.as_deref())?;
        Ok(vec![self.ask(request).await?])
    }

    pub(crate) async fn erase(&self, request: EraseRequest) -> Result<ErasedTenant> {
        let path = format!("tenants/{}", request.tenant);
        let mut erase = Request::admin(Method::Delete, &path, None);
        erase.actor = self.actor(request.actor.as_deref())?;
        self.ask(erase).await
    }

    pub(crate) async fn reset_clock(&self, tenant: Option<&TenantId>) -> Result<ClockReset> {
        let tenant = tenant.map(|tenant| format!("?tenant={tenant}")).unwrap_or_default();
        let path = format!("clock:reset{tenant}");
        self.ask(Request::admin(Method::Post, &path, None)).await
    }

    pub(crate) async fn preserve(
        &self,
        request: &PreserveRequest,
        lines: Bytes,
    ) -> Result<ImportSummary> {
        let tenant = request.tenant.as_ref().map(|tenant| format!("&tenant={tenant}"));
        let path = format!("import?firstLine={}{}", request.first_line, tenant.unwrap_or_default());
        let import = Request::admin(Method::Post, &path, None);
        let import = Request { body: Some(lines), media_type: "application/x-ndjson", ..import };
        self.ask(import).await
    }

    pub(crate) async fn backup(
        &self,
        since: Option<&BackupSummary>,
        out: &mut impl Write,
    ) -> Result<()> {
        let request = match since {
            None => Request::admin(Method::Get, "backup", None),
            Some(since) => {
                let summary = json!(since).to_string().into_bytes();
                Request::admin(Method::Post, "backup", Some(summary))
            }
        };
        let mut answer = self.client.stream(request).await?;
        while let Some(chunk) = answer.chunk().await? {
            out.write_all(&chunk).map_err(|error| Failure::io("write the backup", &error))?;
        }
        out.flush().map_err(|error| Failure::io("write the backup", &error))
    }

    /// Does what `request` says to the keys.
    pub(crate) async fn keys(&self, request: KeyRequest) -> Result<KeyResponse> {
        let post = |path: &str, body: Option<Value>| {
            let body = body.map(|body| body.to_string().into_bytes());
            Request::admin(Method::Post, path, body)
        };
        let request = match request {
            KeyRequest::List => {
                let keys = self.ask(Request::admin(Method::Get, "keys", None)).await?;
                return Ok(KeyResponse { keys, secret: None });
            }
            KeyRequest::Create { tenant, name, scopes, expires_ms } => {
                let key = json!({"name": name, "tenant": tenant, "scopes": scopes, "expires": expires_ms});
                post("keys", Some(key))
            }
            KeyRequest::CreateOperator { name, expires_ms } => {
                post("keys", Some(json!({"name": name, "operator": true, "expires": expires_ms})))
            }
            KeyRequest::Revoke { id } => post(&format!("keys/{id}:revoke"), None),
            KeyRequest::Rotate { id, grace_ms } => {
                post(&format!("keys/{id}:rotate"), Some(json!({"graceMs": grace_ms})))
            }
        };
        let AnsweredKey { info, secret } = self.ask(request).await?;
        Ok(KeyResponse { keys: vec![info], secret })
    }

    /// Sends a request that is answered with JSON.
    pub(in crate::backend) async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let answer = self.client.send(request).await?;
        serde_json::from_slice(&answer.text).map_err(|_| odd())
    }
}

/// A key as a server tells of it.
#[derive(Deserialize)]
struct AnsweredKey {
    #[serde(flatten)]
    info: KeyInfo,
    secret: Option<String>,
}

fn changes_path(request: &ChangesRequest, after: &str) -> String {
    let after = percent_encoded(after);
    let feed = if request.every { "history" } else { "changes" };
    let mut path = format!("/api/v1/{feed}/tenants/{}?after={after}", request.tenant);
    if let Some(collection) = &request.collection {
        path.push_str(&format!("&collection={collection}"));
    }
    if request.documents && !request.every {
        path.push_str("&documents=true");
    }
    if let Some(filter) = &request.filter {
        path.push_str(&format!("&where={}", percent_encoded(filter)));
    }
    path
}

/// A page of changes, each a line of JSON to the byte.
struct ChangePage {
    lines: Vec<Vec<u8>>,
    cursor: String,
    more: bool,
}

impl ChangePage {
    /// Reads a page of changes, or of every write.
    fn parse(text: &[u8], every: bool) -> Option<Self> {
        let names = if every { ("writes", "after") } else { ("changes", "cursor") };
        let members = json_text::members(text).ok()?;
        let member = |name: &str| members.iter().find(|member| member.0 == name).map(|m| m.1);
        let mut lines = Vec::new();
        let mut take = |line: &[u8]| {
            lines.push(line.to_vec());
            Ok(())
        };
        let mut elements = json_text::ArrayElements::default();
        elements.feed(member(names.0)?.as_bytes(), &mut take).ok()?;
        // A string, or a number.
        let cursor = member(names.1)?.trim_matches('"').to_owned();
        let more = serde_json::from_str(member("more")?).ok()?;
        elements.ended().then_some(Self { lines, cursor, more })
    }
}

/// A server-sent event.
#[derive(Default)]
struct Event {
    id: Option<String>,
    data: Option<Vec<u8>>,
    is_error: bool,
}

impl Event {
    fn parse(text: &[u8]) -> Self {
        let mut event = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(id) = line.strip_prefix(b"id: ") {
                event.id = Some(String::from_utf8_lossy(id).into_owned());
            } else if let Some(data) = line.strip_prefix(b"data: ") {
                event.data = Some(data.to_vec());
            }
            event.is_error |= line == b"event: error";
        }
        event
    }
}
