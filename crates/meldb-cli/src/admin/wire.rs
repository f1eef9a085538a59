//! What goes over a server's socket: a line of JSON that says what, and raw document text behind
//! it, so that text that is no JSON gets the same answer as on a directory.

use bytes::Bytes;
use meldb::{Actor, TenantId};
use meldb_http::{KeyId, KeyInfo, Scope};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    backend::{Effect, Entry},
    failure::{Code, Failure, Result},
    json_text,
};

/// The route that reads a document.
pub(crate) const GET: &str = "/admin/v1/get";
/// The route that makes a write.
pub(crate) const WRITE: &str = "/admin/v1/write";
/// The route that makes a batch.
pub(crate) const BATCH: &str = "/admin/v1/batch";
/// The route that lists a collection.
pub(crate) const LIST: &str = "/admin/v1/list";
/// The route that works on keys.
pub(crate) const KEYS: &str = "/admin/v1/keys";

/// The route that streams the changes of a tenant.
pub(crate) const CHANGES: &str = "/admin/v1/changes";
/// The route that tells what the tenants hold.
pub(crate) const STATS: &str = "/admin/v1/stats";
/// The route that stores lines of an export as the writes that they were.
pub(crate) const PRESERVE: &str = "/admin/v1/preserve";
/// The route that shows and sets quotas.
pub(crate) const QUOTA: &str = "/admin/v1/quota";
/// The route that streams a backup.
pub(crate) const BACKUP: &str = "/admin/v1/backup";
/// The route that erases a tenant.
pub(crate) const ERASE: &str = "/admin/v1/erase";

/// Returns what the operation at a path is called, if there is one.
pub(crate) fn action(path: &str) -> Option<&'static str> {
    let all = [GET, WRITE, BATCH, LIST, KEYS, CHANGES, STATS, PRESERVE, QUOTA, BACKUP, ERASE];
    let known = all.into_iter().find(|known| *known == path)?;
    known.rsplit('/').next()
}

/// Returns whether an operation reads documents, and does nothing else.
pub(crate) fn reads_documents(action: &str) -> bool {
    matches!(action, "get" | "list" | "changes")
}

/// What is said of a write; the document's text follows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) effect: Effect,
    pub(crate) revision: Option<u64>,
    pub(crate) has_text: bool,
}

/// What to do with the keys of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum KeyRequest {
    Create { tenant: TenantId, name: Actor, scopes: Vec<Scope>, expires_ms: Option<u64> },
    CreateOperator { name: Actor, expires_ms: Option<u64> },
    List,
    Revoke { id: KeyId },
    Rotate { id: KeyId, grace_ms: u64 },
}

/// The keys that a request is about, and the secret of a new one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyResponse {
    pub(crate) keys: Vec<KeyInfo>,
    pub(crate) secret: Option<String>,
}

/// Returns the line for `head` with `text` behind it.
pub(crate) fn join(head: &impl Serialize, text: &[u8]) -> Result<Vec<u8>> {
    let mut body = serde_json::to_vec(head).map_err(|error| odd(&error))?;
    body.push(b'\n');
    body.extend_from_slice(text);
    Ok(body)
}

/// Takes apart what [`join`] made.
pub(crate) fn split<T: DeserializeOwned>(body: &Bytes) -> Result<(T, Bytes)> {
    let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
    let head = serde_json::from_slice(&body[..end]).map_err(|error| odd(&error))?;
    Ok((head, body.slice((end + 1).min(body.len())..)))
}

fn odd(error: &serde_json::Error) -> Failure {
    Failure::new(Code::InternalError, format!("the two ends of the socket disagree: {error}"))
        .hint("the server and this program are perhaps not of the same version")
}

/// A line of the answer to [`LIST`].
#[derive(Debug)]
pub(crate) enum ListLine {
    Entry(Entry),
    /// The last line: the list is whole, or why it is not.
    End(Option<Failure>),
}

#[derive(Serialize, Deserialize)]
struct End {
    end: Option<Failure>,
}

/// Returns whether a line of the answer to [`CHANGES`] is the last one, and why it is.
pub(crate) fn end_of_lines(line: &[u8]) -> Result<Option<Option<Failure>>> {
    if !line.starts_with(br#"{"end":"#) {
        return Ok(None);
    }
    let end: End = serde_json::from_slice(line).map_err(|error| odd(&error))?;
    Ok(Some(end.end))
}

impl ListLine {
    /// Returns the line that ends a list.
    pub(crate) fn end(failure: Option<Failure>) -> Vec<u8> {
        let mut line = serde_json::to_vec(&End { end: failure }).unwrap_or_default();
        line.push(b'\n');
        line
    }

    pub(crate) fn parse(line: &[u8]) -> Result<Self> {
        let members = json_text::members(line)?;
        let member = |name: &str| members.iter().find(|member| member.0 == name).map(|m| m.1);
        let (Some(id), Some(revision), Some(data)) =
            (member("id"), member("revision"), member("data"))
        else {
            let end: End = serde_json::from_slice(line).map_err(|error| odd(&error))?;
            return Ok(Self::End(end.end));
        };
        Ok(Self::Entry(Entry {
            id: serde_json::from_str(id).map_err(|error| odd(&error))?,
            revision: serde_json::from_str(revision).map_err(|error| odd(&error))?,
            text: data.as_bytes().to_vec(),
        }))
    }
}
