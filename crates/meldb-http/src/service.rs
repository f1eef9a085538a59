//! The routes about the server itself; they need no key.

use std::{collections::HashMap, io::Read, sync::LazyLock};

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use flate2::bufread::DeflateDecoder;
use meldb::{Error, Store};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

use crate::{
    bodies::response::{empty, json},
    error::{Code, HttpError},
    identity::Identity,
    openapi::openapi_bytes,
    read_only,
};

/// The answer to `GET /`, up to the address of the page for people.
const ROOT: &str = concat!(r#"{"name":"meldb","version":""#, env!("CARGO_PKG_VERSION"), '"');

/// `GET /`; it names `/docs` unless that is switched off.
pub(crate) fn root(docs: bool, method: &Method) -> Response {
    let docs = if docs { r#","docs":"/docs""# } else { "" };
    json(Bytes::from(format!("{ROOT}{docs}}}")), method)
}

/// `GET /health`: the process lives.
pub(crate) fn health(method: &Method) -> Response {
    json(Bytes::from_static(br#"{"status":"ok"}"#), method)
}

/// `GET /ready`: the store takes reads and writes, and the server does not stop.
///
/// # Errors
/// 503 with the cause, which is for operators.
pub(crate) fn ready(store: &Store, draining: bool) -> Result<(), HttpError> {
    let unavailable = |reason: &'static str| Err(HttpError::new(Code::Unavailable, reason));
    match store.failure() {
        _ if draining => unavailable("the server is shutting down"),
        None => Ok(()),
        Some(Error::ReadOnly { cause }) => unavailable(read_only::reason(cause.kind())),
        Some(failure) => Err(failure.into()),
    }
}

/// The answer of a server that is ready.
pub(crate) fn is_ready(method: &Method) -> Response {
    json(Bytes::from_static(br#"{"status":"ready"}"#), method)
}

/// The answer of a server that is not, to everybody but operators.
pub(crate) fn not_ready() -> HttpError {
    HttpError::new(Code::Unavailable, "the server is not ready")
}

/// `GET /api/v1/whoami`: who asks, and what they may do.
pub(crate) fn who_am_i(identity: &dyn Identity, method: &Method) -> Response {
    json(Bytes::from(identity.describe().to_string()), method)
}

/// `GET /openapi.json`.
pub(crate) fn openapi(query_token: bool, method: &Method) -> Response {
    json(openapi_bytes(query_token), method)
}

/// What the page of `/docs` may load: its own files, and nothing inline but styles, which Swagger UI
/// sets on its elements.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// `GET /docs` and what the page loads: Swagger UI over `/openapi.json`.
pub(crate) fn docs(file: Option<&str>, method: &Method) -> Result<Response, HttpError> {
    // The slash matters: the page names its files relative to itself.
    let Some(file) = file else {
        let mut response = empty(StatusCode::PERMANENT_REDIRECT);
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs/"));
        return Ok(response);
    };
    let (content_type, bytes) = match file {
        "" => ("text/html; charset=utf-8", own(include_bytes!("docs/index.html"))),
        "page.js" => ("text/javascript; charset=utf-8", own(include_bytes!("docs/page.js"))),
        "swagger-ui.css" => ("text/css; charset=utf-8", packaged(file)?),
        "swagger-ui-bundle.js" => ("text/javascript; charset=utf-8", packaged(file)?),
        _ => return Err(HttpError::not_found()),
    };
    let mut response = json(bytes, method);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    Ok(response)
}

fn own(file: &'static [u8]) -> Bytes {
    Bytes::from_static(file)
}

/// Returns a file of the packaged Swagger UI, unpacked when it is first asked for.
fn packaged(file: &str) -> Result<Bytes, HttpError> {
    static UNPACKED: LazyLock<Result<HashMap<String, Bytes>, String>> =
        LazyLock::new(|| unpack(SWAGGER_UI_VENDORED).map_err(|error| error.to_string()));
    let files = UNPACKED.as_ref().map_err(|error| HttpError::internal(error.clone()))?;
    let found = files.get(file).cloned();
    found.ok_or_else(|| HttpError::internal(format!("{file} is not packaged")))
}

/// Returns the files that `/docs` serves, by their names in the archive's folder `dist`.
fn unpack(archive: &[u8]) -> Result<HashMap<String, Bytes>, Box<dyn std::error::Error>> {
    const WANTED: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];
    let archive = rawzip::ZipArchive::from_slice(archive)?;
    let (mut entries, mut files) = (archive.entries(), HashMap::new());
    while let Some(entry) = entries.next_entry()? {
        let path = entry.file_path().try_normalize()?;
        let name = path.as_ref().rsplit_once("/dist/").map(|(_, name)| name.to_owned());
        let Some(name) = name.filter(|name| WANTED.contains(&name.as_str())) else { continue };
        let packed = archive.get_entry(entry.wayfinder())?;
        let mut bytes = Vec::new();
        packed.verifying_reader(DeflateDecoder::new(packed.data())).read_to_end(&mut bytes)?;
        files.insert(name, bytes.into());
    }
    Ok(files)
}
