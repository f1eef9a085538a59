//! What a server answered, or why it did not.

use std::error::Error as _;

use bytes::Bytes;
use reqwest::header::{ETAG, LINK};
use serde::{Deserialize, de::IgnoredAny};

use crate::failure::{self, Code, Failure, Result};

/// The answer to a request for one document.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status, a 2xx.
    pub status: u16,
    /// The revision of the document, from its `ETag`.
    pub revision: Option<u64>,
    /// What was done, if the server says it.
    pub effect: Option<String>,
    /// When the document expires, in epoch milliseconds, if it does.
    pub expires_ms: Option<u64>,
    /// The document, or nothing.
    pub text: Bytes,
    /// Where a page goes on, below the server's URL.
    pub next: Option<String>,
    /// How a question was answered.
    pub plan: Option<String>,
}

impl Answer {
    pub(super) async fn read(response: reqwest::Response) -> Result<Self> {
        let response = checked(response).await?;
        let status = response.status().as_u16();
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let revision = etag.and_then(revision_of);
        let effect = response.headers().get("meldb-effect").and_then(|value| value.to_str().ok());
        let effect = effect.map(str::to_owned);
        let expires = response.headers().get("meldb-expire-at");
        let expires_ms = expires.and_then(|time| time.to_str().ok()?.parse().ok());
        let links = response.headers().get_all(LINK).into_iter();
        let next = links.filter_map(|link| next_of(link.to_str().ok()?)).next();
        let plan = response.headers().get("meldb-plan").and_then(|plan| plan.to_str().ok());
        let plan = plan.map(str::to_owned);
        let text = response.bytes().await.map_err(|error| network_failure(&error))?;
        Ok(Self { status, revision, effect, expires_ms, text, next, plan })
    }
}

/// Returns the path of a link to the next page.
fn next_of(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then(|| target.to_owned())
}

/// Returns the revision of an entity tag, which a proxy may have made weak, and which is another one for
/// a compressed answer.
fn revision_of(tag: &str) -> Option<u64> {
    let opaque = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
    opaque.strip_suffix("-gzip").unwrap_or(opaque).parse().ok()
}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct Chunks {
    response: reqwest::Response,
}

impl Chunks {
    pub(super) async fn start(response: reqwest::Response) -> Result<Self> {
        Ok(Self { response: checked(response).await? })
    }

    /// Returns the next piece, or `None` at the end.
    ///
    /// # Errors
    /// `Unavailable` if the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.response.chunk().await.map_err(|error| network_failure(&error))
    }
}

/// The error body of the contract.
#[derive(Deserialize)]
struct ErrorBody {
    /// May be one that this program does not know.
    code: String,
    message: String,
    /// The members that have changed, if the condition of a write was about members.
    members: Option<IgnoredAny>,
}

/// Where history is read, or made use of.
const HISTORY: &[&str] = &["/history/", "/undo", "/revert", ":undo"];

/// Returns the response if its status is a 2xx, and the failure it speaks of otherwise.
async fn checked(response: reqwest::Response) -> Result<reqwest::Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = response.url().origin().ascii_serialization();
    let is_about_history = HISTORY.iter().any(|part| response.url().path().contains(part));
    // Of an address that it does not know, a server tells where it describes those that it does.
    let links = response.headers().get_all(LINK).into_iter();
    let is_no_route = status == reqwest::StatusCode::NOT_FOUND
        && links.filter_map(|link| link.to_str().ok()).any(|link| link.contains("service-desc"));
    let text = response.bytes().await.map_err(|error| network_failure(&error))?;
    let failure = match serde_json::from_slice::<ErrorBody>(&text) {
        Ok(ErrorBody { code, message, members }) => {
            let known = serde_json::from_value(serde_json::Value::String(code));
            let code = known.unwrap_or_else(|_| Code::of_status(status.as_u16()));
            if is_no_route {
                let message = format!("{url} does not know the address of this request");
                return Err(Failure::usage(message).hint(
                    "give --url the address of the server alone, such as http://127.0.0.1:8080; the server \
                     may also be of another version",
                ));
            }
            let failure = Failure::new(code, message);
            match hint(code, members.is_some(), is_about_history) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
        Err(_) => {
            let message = format!("{url} answered {status} and is perhaps no MelDB server");
            Failure::new(Code::of_status(status.as_u16()), message)
        }
    };
    Err(failure)
}

/// Returns what to do about a failure that a server speaks of.
fn hint(code: Code, is_about_members: bool, is_about_history: bool) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some("give a key with --key or MELDB_KEY"),
        Code::Gone if is_about_history => Some(failure::SEE_LOG),
        Code::Gone => Some(failure::BEGIN_AGAIN),
        Code::UnprocessableContent => Some(failure::A_KEY_OF_ITS_OWN),
        Code::PreconditionFailed if is_about_members => Some(failure::LOOK_AT_MEMBERS),
        _ => None,
    }
}

/// Returns the failure for a request that got no answer.
pub(super) fn network_failure(error: &reqwest::Error) -> Failure {
    let server = match error.url() {
        Some(url) => url.origin().ascii_serialization(),
        None => "the server".to_owned(),
    };
    // The innermost cause is the one that says something, such as `Connection refused`.
    let mut cause = error.source();
    let mut reason = error.to_string();
    while let Some(source) = cause {
        reason = source.to_string();
        cause = source.source();
    }
    if error.is_builder() {
        return Failure::usage(format!("cannot ask {server}: {reason}"))
            .hint("look at the key and the URL");
    }
    if error.is_request() && !error.is_connect() && !error.is_timeout() {
        let message = format!("{server} closed the connection before it answered: {reason}");
        return Failure::new(Code::Unavailable, message).hint(
            "it may have refused a long request before reading it: check the key and the tenant; \
             its log says more",
        );
    }
    Failure::new(Code::Unavailable, format!("cannot reach {server}: {reason}"))
        .hint("check that it runs and that the URL is right")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_from_any_form_of_its_tag() {
        for (tag, revision) in [
            ("\"109\"", Some(109)),
            ("W/\"109\"", Some(109)),
            ("\"109-gzip\"", Some(109)),
            ("W/\"109-gzip\"", Some(109)),
            ("\"abc\"", None),
            ("", None),
        ] {
            assert_eq!(revision_of(tag), revision, "{tag}");
        }
    }
}
