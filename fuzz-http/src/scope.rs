//! A key may do what its scope says, and nothing else, however a path is written.

use arbitrary::Arbitrary;
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use meldb::CollectionName;
use meldb_http::Access;
use meldb_server::Scope;

use crate::{
    pieces::joined,
    world::{SECRET, World},
};

/// A scope, and what is asked for with it; the bytes stand for pieces of texts.
#[derive(Arbitrary, Clone, Debug)]
pub struct Asked {
    method: u8,
    scope: Vec<u8>,
    path: Vec<u8>,
}

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

const SCOPE_PIECES: &[&[u8]] = &[
    b"provisioning:",
    b"changes:",
    b"reporting:",
    b"admin:",
    b":",
    b"*",
    b".",
    b"read",
    b"write",
    b"users",
    b"users.",
    b"bots.",
    b"b",
    b"-",
    b"_",
];

const PATH_PIECES: &[&[u8]] = &[
    b"provisioning/tenants/alpha",
    b"provisioning/tenants/alpha/users",
    b"provisioning",
    b"changes",
    b"reporting",
    b"admin/backup",
    b"/",
    b"/tenants",
    b"/alpha",
    b"/beta",
    b"/%61lpha",
    b"/users",
    b"/bots",
    b"/%75sers",
    b"/ada",
    b"/versions/current",
    b":batch",
    b"%3Abatch",
    b"%2F",
    b"%",
    b"..",
    b"?collection=users",
    b"&collection=bots",
    b"?range=last_day",
];

/// A batch and a document in one: it writes to `users`.
const BODY: &str = r#"{"operations":[{"op":"merge","path":"users/ada","data":{"n":1}}]}"#;

/// Sends the request, and panics if it is answered although the scope does not say so, refused
/// although it does, or answered with what the scope does not let anybody read.
pub fn check_scope(asked: &Asked) {
    let text = String::from_utf8(joined(SCOPE_PIECES, &asked.scope)).expect("ASCII");
    let scope = match text.parse::<Scope>() {
        Ok(scope) => scope,
        Err(_) => return assert!(!is_scope(&text), "{text:?} is a scope"),
    };
    assert!(is_scope(&text), "{text:?} is not a scope");
    assert_eq!(scope.to_string(), text);
    let method = METHODS[usize::from(asked.method) % METHODS.len()].clone();
    let path = [b"/api/v1/".as_slice(), &joined(PATH_PIECES, &asked.path)].concat();
    let world = World::new();
    let request = Request::builder()
        .method(method.clone())
        .uri(path.as_slice())
        .header("host", "localhost")
        .header("authorization", world.key("alpha", scope.clone()))
        .body(Body::from(BODY));
    let Ok(request) = request else { return };
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().map(str::to_owned));
    let access = match method {
        Method::GET | Method::HEAD | Method::OPTIONS => Access::Read,
        _ => Access::Write,
    };
    let meant = Meant::read(&path, query.as_deref());
    let permitted = meant.as_ref().is_some_and(|meant| meant.is_permitted(&text, access));
    let answer = world.send(request);
    let shown = format!("{text}: {method} {path} {query:?}: {}", answer.status());
    assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "{shown}");
    assert!(permitted || !answer.status().is_success(), "answered {shown}");
    assert!(!permitted || answer.status() != StatusCode::FORBIDDEN, "refused {shown}");
    let told = String::from_utf8_lossy(answer.body());
    assert!(!told.contains(SECRET), "{shown} tells of another tenant");
    let reads = meant.is_some_and(|meant| meant.is_permitted(&text, Access::Read));
    assert!(reads || !told.contains("Ada"), "{shown} tells of a document");
}

/// The texts of scopes that permit something.
fn permitting(prefix: &str, resource: Option<&str>, access: Access) -> Vec<String> {
    let access = match access {
        Access::Read => "read",
        Access::Write => "write",
    };
    let mut texts = vec![format!("{prefix}:*"), format!("{prefix}:{access}")];
    if let Some(resource) = resource {
        texts.extend([format!("{prefix}:{resource}.*"), format!("{prefix}:{resource}.{access}")]);
    }
    texts
}

/// Whether a text is one of those of a prefix and the name that it holds, and can match.
fn is_scope(text: &str) -> bool {
    let (prefix, rest) = text.split_once(':').unwrap_or_default();
    let resource = rest.split_once('.').map(|(resource, _)| resource);
    let is_name = |name: &str| CollectionName::parse(name).is_ok();
    let accesses = match prefix {
        "provisioning" | "mcp" => &[Access::Read, Access::Write][..],
        "changes" | "reporting" | "history" => &[Access::Read],
        _ => &[],
    };
    let mut texts = accesses.iter().flat_map(|access| permitting(prefix, resource, *access));
    resource.is_none_or(is_name) && texts.any(|one| one == text)
}

/// What a path without a flaw names.
struct Meant {
    prefix: String,
    tenant: Option<String>,
    resource: Option<String>,
}

impl Meant {
    fn read(path: &str, query: Option<&str>) -> Option<Self> {
        let segments = path.strip_prefix("/api/v1/")?.split('/').map(decoded);
        let mut segments = segments.collect::<Option<Vec<String>>>()?;
        let prefix = segments[0].clone();
        if segments.get(1).is_none_or(|tenants| tenants != "tenants") {
            return Some(Self { prefix, tenant: None, resource: None });
        }
        if let [_, _, tenant] = segments.as_slice()
            && prefix == "provisioning"
            && let Some(tenant) = tenant.strip_suffix(":batch")
        {
            // It is in the body that a batch names its resources, which is `users` here.
            segments = vec![prefix.clone(), String::new(), tenant.to_owned(), "users".to_owned()];
        }
        let mut resource = segments.get(3).cloned();
        if prefix == "changes" && resource.is_none() {
            let pairs = query.unwrap_or_default().split('&');
            resource =
                pairs.filter_map(|pair| pair.strip_prefix("collection=")).next().map(str::to_owned);
        }
        Some(Self { prefix, tenant: segments.get(2).cloned(), resource })
    }

    fn is_permitted(&self, scope: &str, access: Access) -> bool {
        let texts = permitting(&self.prefix, self.resource.as_deref(), access);
        self.tenant.as_ref().is_none_or(|tenant| tenant == "alpha")
            && texts.iter().any(|one| one == scope)
    }
}

/// Returns a segment as it is meant, or `None` if no name can be written so.
fn decoded(raw: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = raw;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let meant = match letter {
            '%' => {
                let digits = rest
                    .get(..2)
                    .filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
                rest = &rest[2..];
                char::from(u8::from_str_radix(digits, 16).ok()?)
            }
            other => other,
        };
        if !meant.is_ascii() || matches!(meant, '/' | '\0') {
            return None;
        }
        text.push(meant);
    }
    (!text.is_empty()).then_some(text)
}
