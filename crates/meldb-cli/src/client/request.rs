//! What is asked of a server, and how it is put on the wire.

use bytes::Bytes;
use meldb::{Actor, Condition, Depth, DocumentKey, Expiry, Nulls, TenantId, WriteOptions};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use crate::{address::Address, failure::Failure, units};

/// The HTTP methods of the API, by what they do to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read it.
    Get,
    /// Create it or replace it whole.
    Post,
    /// Merge into it.
    Put,
    /// Apply an RFC 6902 patch to it.
    Patch,
    /// Delete it.
    Delete,
}

/// What to answer a write with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answered {
    /// The document as written.
    #[default]
    Document,
    /// As little as possible.
    Minimal,
    /// What has changed.
    Diff,
}

/// A request for one document.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// The path below the server's URL.
    pub path: String,
    /// The options of a write, but for the key and the difference, which are said below.
    pub options: WriteOptions,
    /// Makes the write once, however often it is sent.
    pub idempotency_key: Option<String>,
    /// Who writes; only operators at the local socket say so.
    pub actor: Option<Actor>,
    /// Read the changes as server-sent events.
    pub events: bool,
    /// What is wanted back.
    pub answer: Answered,
    /// The text to send.
    pub body: Option<Bytes>,
    /// Its media type.
    pub media_type: &'static str,
}

impl Request {
    /// Returns a request without condition and body.
    pub fn new(method: Method, address: &Address) -> Self {
        let media_type = match method {
            Method::Patch => "application/json-patch+json",
            _ => "application/json",
        };
        Self::to(method, path_of(address), media_type)
    }

    /// Returns a request for a batch of a tenant's documents, without its body.
    pub fn batch(tenant: &TenantId, media_type: &'static str) -> Self {
        let path = format!("/api/v1/provisioning/tenants/{tenant}:batch");
        Self::to(Method::Post, path, media_type)
    }

    /// Returns a request for the object that a path of member names leads to in a document.
    pub(crate) fn sub_document(method: Method, address: &Address) -> Self {
        let request = Self::new(method, address);
        let path = address.path();
        let DocumentKey::Member { collection, id } = path.key() else { return request };
        let (tenant, pointer) = (path.tenant(), pointer_of(address));
        let path = format!("/api/v1/admin/tenants/{tenant}/{collection}/{id}");
        Self { path: format!("{path}?pointer={}", percent_encoded(&pointer)), ..request }
    }

    /// Returns a request that reads what is at a path.
    pub(crate) fn get(path: String) -> Self {
        Self::to(Method::Get, path, "application/json")
    }

    /// Returns a request that deletes what is at a path.
    pub(crate) fn delete(path: String) -> Self {
        Self::to(Method::Delete, path, "application/json")
    }

    /// Returns a request whose path says everything.
    pub(crate) fn post(path: String) -> Self {
        Self::to(Method::Post, path, "application/json")
    }

    /// Returns a request with JSON for a path below `/api/v1/admin/`.
    pub(crate) fn admin(method: Method, path: &str, body: Option<Vec<u8>>) -> Self {
        let request = Self::to(method, format!("/api/v1/admin/{path}"), "application/json");
        Self { body: body.map(Bytes::from), ..request }
    }

    fn to(method: Method, path: String, media_type: &'static str) -> Self {
        Self {
            method,
            path,
            media_type,
            options: WriteOptions::default(),
            idempotency_key: None,
            actor: None,
            events: false,
            answer: Answered::Document,
            body: None,
        }
    }

    /// Returns the request without the server's URL and the key.
    pub(super) fn build(&self, client: &reqwest::Client, base: &str) -> reqwest::RequestBuilder {
        let method = match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut url = format!("{base}{}", self.path);
        let WriteOptions { condition, expiry, nulls, depth, .. } = self.options;
        let expire_at = match expiry {
            Expiry::Keep => None,
            Expiry::At(expires_ms) => Some(format!("expireAt={expires_ms}")),
            Expiry::After(time) => Some(format!("expireAt={}", units::after(time))),
            Expiry::Never => Some("expireAt=never".to_owned()),
        };
        let query = [
            (nulls == Nulls::Keep, "nulls=keep"),
            (depth == Depth::Shallow, "depth=shallow"),
            (self.options.skip_unchanged, "skipUnchanged=true"),
            (expire_at.is_some(), expire_at.as_deref().unwrap_or_default()),
            (self.options.dry_run, "dryRun=true"),
        ];
        for (_, pair) in query.iter().filter(|(on, _)| *on) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(pair);
        }
        let mut request = client.request(method, url);
        match condition {
            Condition::Absent => request = request.header(IF_NONE_MATCH, "*"),
            Condition::Present => request = request.header(IF_MATCH, "*"),
            Condition::Matches(revision) => {
                request = request.header(IF_MATCH, format!("\"{revision}\""));
            }
            Condition::Unchanged { since } => {
                request = request.header("if-unchanged-since-revision", since.get());
            }
            _ => {}
        }
        if let Some(key) = &self.idempotency_key {
            let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
            request = request.header("idempotency-key", format!("\"{escaped}\""));
        }
        if let Some(actor) = &self.actor {
            request = request.header("meldb-actor", percent_encoded(actor.as_str()));
        }
        if self.events {
            request = request.header(ACCEPT, "text/event-stream");
        }
        match self.answer {
            Answered::Document => {}
            Answered::Minimal => request = request.header("prefer", "return=minimal"),
            Answered::Diff => request = request.header("prefer", "return=diff"),
        }
        if let Some(body) = &self.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
            request = request.body(body.clone());
        }
        request
    }
}

/// Returns the JSON Pointer (RFC 6901) that leads to a sub-document; empty for the document itself.
pub(crate) fn pointer_of(address: &Address) -> String {
    let escape = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    address.path().members().iter().map(escape).collect()
}

/// Returns a text with all but letters and digits of ASCII percent-encoded (RFC 3986, 2.1).
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Returns the path of a document's route; valid names need no percent-encoding.
fn path_of(address: &Address) -> String {
    format!("/api/v1/provisioning/tenants/{address}")
}

/// Returns a server's URL without its trailing slash.
pub(super) fn base_of(url: &str) -> Result<String, Failure> {
    let wrong = |reason: &str| {
        Failure::usage(format!("{url} is not the URL of a server: {reason}"))
            .hint("write it like http://127.0.0.1:8080")
    };
    let parsed = reqwest::Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(wrong("it must start with http:// or https://"));
    }
    if parsed.path().trim_end_matches('/').ends_with("/api/v1") {
        return Err(wrong("its path goes on with /api/v1 by itself"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("it must not have a query or a fragment"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}
