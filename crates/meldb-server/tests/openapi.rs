//! The description of the interface: committed, and true.

use std::{fs, path::PathBuf};

use meldb_http::openapi_json;
use serde_json::{Value, json};

use crate::support::{World, request};

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

/// When the interface has changed on purpose, write the file anew:
/// `MELDB_BLESS=1 cargo test -p meldb-server --test http openapi`.
#[test]
fn the_committed_description_is_the_one_that_is_served() {
    if std::env::var_os("MELDB_BLESS").is_some() {
        fs::write(committed(), openapi_json()).expect("written");
    }
    let text = fs::read_to_string(committed()).unwrap_or_default();
    assert!(
        text == openapi_json(),
        "docs/openapi.json is not what is served; if that is meant, run \
         `MELDB_BLESS=1 cargo test -p meldb-server --test http openapi`"
    );
}

#[tokio::test]
async fn the_description_is_served_and_complete() {
    let world = World::new();
    let response = world.send(request("GET", "/openapi.json", "", "")).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let served: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(served["openapi"], "3.1.0");
    let paths = served["paths"].as_object().expect("paths");
    let methods = |path: &str| {
        let item = paths[path].as_object().expect("a path");
        let mut methods: Vec<_> = item.keys().map(|method| method.to_uppercase()).collect();
        methods.sort();
        methods
    };
    for (path, sample) in [
        ("/", "/"),
        ("/health", "/health"),
        ("/ready", "/ready"),
        ("/openapi.json", "/openapi.json"),
        ("/api/v1/whoami", "/api/v1/whoami"),
        ("/api/v1/provisioning/tenants/{tenantId}", "/api/v1/provisioning/tenants/alpha"),
        (
            "/api/v1/provisioning/tenants/{tenantId}:batch",
            "/api/v1/provisioning/tenants/alpha:batch",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}",
            "/api/v1/provisioning/tenants/alpha/users",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}:query",
            "/api/v1/provisioning/tenants/alpha/users:query",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}:merge",
            "/api/v1/provisioning/tenants/alpha/users:merge",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}:count",
            "/api/v1/provisioning/tenants/alpha/users:count",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/-/collections",
            "/api/v1/provisioning/tenants/alpha/-/collections",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}",
            "/api/v1/provisioning/tenants/alpha/users/user-123",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}/versions/current",
            "/api/v1/provisioning/tenants/alpha/bots/bot-7/versions/current",
        ),
        ("/api/v1/changes/tenants/{tenantId}", "/api/v1/changes/tenants/alpha"),
        (
            "/api/v1/reporting/tenants/{tenantId}/{collection}",
            "/api/v1/reporting/tenants/alpha/users",
        ),
        ("/api/v1/admin/tenants", "/api/v1/admin/tenants"),
        ("/api/v1/admin/tenants/{tenantId}", "/api/v1/admin/tenants/alpha"),
        ("/api/v1/admin/tenants/{tenantId}/quota", "/api/v1/admin/tenants/alpha/quota"),
        (
            "/api/v1/admin/tenants/{tenantId}/{collection}/{docId}",
            "/api/v1/admin/tenants/alpha/users/user-123?pointer=",
        ),
        ("/api/v1/history/tenants/{tenantId}", "/api/v1/history/tenants/alpha"),
        ("/api/v1/history/tenants/{tenantId}/-", "/api/v1/history/tenants/alpha/-"),
        (
            "/api/v1/history/tenants/{tenantId}/{collection}/{docId}",
            "/api/v1/history/tenants/alpha/users/user-123",
        ),
        ("/api/v1/provisioning/tenants/{tenantId}:undo", "/api/v1/provisioning/tenants/alpha:undo"),
        (
            "/api/v1/provisioning/tenants/{tenantId}/-/undo",
            "/api/v1/provisioning/tenants/alpha/-/undo",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/-/revert",
            "/api/v1/provisioning/tenants/alpha/-/revert",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}/undo",
            "/api/v1/provisioning/tenants/alpha/users/user-123/undo",
        ),
        (
            "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}/revert",
            "/api/v1/provisioning/tenants/alpha/users/user-123/revert",
        ),
        ("/api/v1/admin/tenants/{tenantId}/history", "/api/v1/admin/tenants/alpha/history"),
        ("/api/v1/admin/tenants/{tenantId}/indexes", "/api/v1/admin/tenants/alpha/indexes"),
        ("/api/v1/admin/tenants/{tenantId}/-/forget", "/api/v1/admin/tenants/alpha/-/forget"),
        ("/api/v1/admin/tenants/{tenantId}/-/redact", "/api/v1/admin/tenants/alpha/-/redact"),
        (
            "/api/v1/admin/tenants/{tenantId}/{collection}/{docId}/forget",
            "/api/v1/admin/tenants/alpha/users/user-123/forget",
        ),
        (
            "/api/v1/admin/tenants/{tenantId}/{collection}/{docId}/redact",
            "/api/v1/admin/tenants/alpha/users/user-123/redact",
        ),
        ("/api/v1/admin/keys", "/api/v1/admin/keys"),
        ("/api/v1/admin/keys/{keyId}:revoke", "/api/v1/admin/keys/0123456789abcdef:revoke"),
        ("/api/v1/admin/keys/{keyId}:rotate", "/api/v1/admin/keys/0123456789abcdef:rotate"),
        ("/api/v1/admin/import", "/api/v1/admin/import"),
        ("/api/v1/admin/backup", "/api/v1/admin/backup"),
        ("/api/v1/admin/checkpoint", "/api/v1/admin/checkpoint"),
        ("/api/v1/admin/clock:reset", "/api/v1/admin/clock:reset"),
        (
            "/api/v1/reporting/tenants/{tenantId}/assistant/conversations",
            "/api/v1/reporting/tenants/alpha/assistant/conversations",
        ),
        (
            "/api/v1/reporting/tenants/{tenantId}/voc/conversations",
            "/api/v1/reporting/tenants/alpha/voc/conversations",
        ),
    ] {
        let key = match path.starts_with("/api/v1/admin/") {
            true => world.operator_key(),
            false => world.key(&["provisioning:*", "changes:*", "reporting:*", "history:*"]),
        };
        let options = world.send(request("OPTIONS", sample, &key, "")).await;
        let allow = options.headers()["allow"].to_str().expect("text");
        let mut allowed: Vec<_> = allow.split(", ").map(str::to_owned).collect();
        allowed.sort();
        assert_eq!(methods(path), allowed, "{path}");
    }
    assert_eq!(paths.len(), 43);
    assert_references_resolve(&served, &served);
}

/// A key in the query is part of the interface where it is taken, and there alone.
#[tokio::test]
async fn a_key_in_the_query_is_described_where_it_is_taken() {
    let described = async |query_token| -> Value {
        let settings = meldb_http::Settings { query_token, ..Default::default() };
        let served = World::with(settings).send(request("GET", "/openapi.json", "", "")).await;
        serde_json::from_slice(served.body()).expect("JSON")
    };
    let (off, on) = (described(false).await, described(true).await);
    let scheme = json!({"type": "apiKey", "in": "query", "name": "bearer_token"});
    let of = |described: &Value, path: &str| described["paths"][path]["get"]["security"].clone();
    let (path, schemes) = ("/api/v1/changes/tenants/{tenantId}", "/components/securitySchemes");
    assert_eq!(off.pointer(&format!("{schemes}/keyInQuery")), None);
    assert_eq!(of(&off, path), json!([{"key": []}]));
    let described = on.pointer(&format!("{schemes}/keyInQuery")).expect("a scheme");
    for (name, value) in scheme.as_object().expect("an object") {
        assert_eq!(&described[name], value);
    }
    assert_eq!(of(&on, path), json!([{"key": []}, {"keyInQuery": []}]));
    assert_eq!(of(&on, "/health"), Value::Null);
}

/// What a widely used generator refuses to do without, and what it takes for what.
#[test]
fn the_description_suits_generators() {
    let description: Value = serde_json::from_str(openapi_json()).expect("JSON");
    assert_eq!(description["info"]["license"]["identifier"], "MIT OR Apache-2.0");
    let changes = &description["components"]["schemas"]["Changes"];
    assert_eq!(changes["required"], json!(["effect", "revision", "changed", "diff"]));
    assert_eq!(changes["additionalProperties"], false);
    let written = "/paths/~1api~1v1~1provisioning~1tenants~1{tenantId}~1{collection}~1{docId}/put/\
                   responses/200/content/application~1json/schema/anyOf/0/$ref";
    let first = description.pointer(written).and_then(Value::as_str);
    assert_eq!(first, Some("#/components/schemas/Changes"), "the closed one is tried first");
}

fn assert_references_resolve(value: &Value, root: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.trim_start_matches('#');
                assert!(root.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| assert_references_resolve(member, root));
        }
        Value::Array(items) => items.iter().for_each(|item| assert_references_resolve(item, root)),
        _ => {}
    }
}

#[tokio::test]
async fn the_page_for_people_needs_nothing_from_elsewhere() {
    let world = World::new();
    let redirect = world.send(request("GET", "/docs", "", "")).await;
    assert_eq!(
        (redirect.status().as_u16(), &redirect.headers()["location"]),
        (308, &"/docs/".parse().expect("a value"))
    );
    let page = world.send(request("GET", "/docs/", "", "")).await;
    let policy = page.headers()["content-security-policy"].to_str().expect("text");
    for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(page.headers()["content-type"].to_str().expect("text").starts_with("text/html"));
    let text = String::from_utf8_lossy(page.body()).into_owned();
    for attribute in ["src=\"", "href=\""] {
        let targets = text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
        for target in targets.filter(|target| !target.starts_with("data:")) {
            assert!(!target.contains("//"), "{target} is elsewhere");
            let path = format!("/docs/{}", target.trim_start_matches("./"));
            assert_eq!(world.send(request("GET", &path, "", "")).await.status(), 200, "{path}");
        }
    }
    assert!(text.contains("<title>MelDB"), "{text}");
    let script = world.send(request("GET", "/docs/page.js", "", "")).await;
    assert!(String::from_utf8_lossy(script.body()).contains("/openapi.json"));
    for file in ["../Cargo.toml", "index.html", "swagger-initializer.js", "page.js/", "/"] {
        let nothing = world.send(request("GET", &format!("/docs/{file}"), "", "")).await;
        crate::support::assert_error(&nothing, 404, "NotFound");
    }
    let root = async |world: &World| -> Value {
        let root = world.send(request("GET", "/", "", "")).await;
        serde_json::from_slice(root.body()).expect("JSON")
    };
    assert_eq!(root(&world).await["docs"], "/docs");

    let world = World::with(meldb_http::Settings { docs: false, ..Default::default() });
    for path in ["/docs", "/docs/", "/docs/page.js"] {
        crate::support::assert_error(
            &world.send(request("GET", path, "", "")).await,
            404,
            "NotFound",
        );
    }
    assert_eq!(world.send(request("GET", "/openapi.json", "", "")).await.status(), 200);
    assert_eq!(root(&world).await.get("docs"), None);
}

/// A page that sends requests fills in the examples: an optional parameter with one would make every
/// first request a conditional one, or one of another kind.
#[test]
fn the_examples_of_parameters_are_those_of_the_demo() {
    let description: Value = serde_json::from_str(openapi_json()).expect("JSON");
    let parameters = description["components"]["parameters"].as_object().expect("parameters");
    let mut examples = Vec::new();
    for (name, parameter) in parameters {
        let is_required = parameter["required"] == Value::Bool(true);
        assert_eq!(parameter.get("example").is_some(), is_required, "{name}");
        assert!(parameter["schema"].get("examples").is_none(), "{name}");
        examples.extend(parameter["example"].as_str().map(|example| (name.as_str(), example)));
    }
    assert_eq!(
        examples,
        [
            ("actor", "importer"),
            ("all", "true"),
            ("collection", "users"),
            ("docId", "user-123"),
            ("indexName", "by_role"),
            ("indexedCollection", "users"),
            ("keyId", "0123456789abcdef"),
            ("pointer", "/versions/current"),
            ("redactedField", "/email"),
            ("revision", "2"),
            ("since", "2"),
            ("tenantId", "tenant-alpha"),
            ("versionedCollection", "bots"),
            ("versionedDocId", "bot-7"),
        ]
    );
}
