//! What operators send and are answered.

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Object, ObjectBuilder, Ref, Response, ResponseBuilder, Schema, Type,
    request_body::RequestBodyBuilder,
    schema::{AdditionalProperties, ArrayBuilder, KnownFormat, SchemaFormat, SchemaType},
};

use super::schema::{content, text};
use crate::{error::Code, route::Endpoint};

fn count() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(format)).minimum(Some(0)).build()
}

fn flag() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).build()
}

fn texts() -> ArrayBuilder {
    ArrayBuilder::new().items(text())
}

pub(super) fn quota() -> Object {
    let description = "How much a tenant may hold; where a number is missing or null, any amount";
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(description))
        .property("documents", or_null())
        .property("bytes", or_null())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

/// A number, or null.
fn or_null() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(0))
        .build()
}

pub(super) fn tenant() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What a tenant holds, and may hold"))
        .property("tenant", text())
        .property("documents", count())
        .property("bytes", count())
        .property("deleted", count())
        .property("revision", count())
        .property("quota", Ref::from_schema_name("Quota"))
        .required("tenant")
        .required("documents")
        .required("bytes")
        .required("deleted")
        .required("revision")
        .required("quota")
        .build()
}

pub(super) fn erased() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What was erased, and how many keys were revoked"))
        .property("documents", count())
        .property("bytes", count())
        .property("revision", count())
        .property("keys", count())
        .build()
}

pub(super) fn key() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "A key: of a tenant, with scopes, or of an operator. Times are epoch milliseconds. \
             `secret` is in the answer to the request that makes the key, and in no other",
        ))
        .property("id", text())
        .property("name", text())
        .property("tenant", text())
        .property("scopes", texts())
        .property("operator", flag())
        .property("created", count())
        .property("expires", or_null())
        .property("lastUsed", or_null())
        .property("revoked", or_null())
        .property("secret", text())
        .required("id")
        .required("name")
        .required("created")
        .build()
}

pub(super) fn new_key() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A key to be made: `tenant` and `scopes`, or `operator`"))
        .property("name", text())
        .property("tenant", text())
        .property("scopes", texts())
        .property("operator", flag())
        .property("expires", or_null())
        .required("name")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

pub(super) fn rotation() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("For how many milliseconds the old key still works; an hour by default"))
        .property("graceMs", or_null())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

pub(super) fn imported() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("How many writes were stored, and how many were there already"))
        .property("stored", count())
        .property("skipped", count())
        .build()
}

pub(super) fn backup_summary() -> Object {
    let revisions = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(Schema::Object(count())))
        .description(Some("For each tenant, the revision whose state the backup has"));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What a backup has, as `meldb backup` reads it from the file"))
        .property("tenants", revisions)
        .property("entries", count())
        .required("tenants")
        .required("entries")
        .build()
}

pub(super) fn clock_reset() -> Object {
    let time = || {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
            .property("from", count())
            .property("to", count())
            .property("documents", count())
            .property("deleted", count())
            .required("from")
            .required("to")
            .required("documents")
            .required("deleted")
    };
    let tenant = time().schema_type(Type::Object).property("tenant", text()).required("tenant");
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "What was ahead of the clock: the time of its last write before and now, and how many documents \
             and deletes were stamped anew",
        ))
        .property("now", count())
        .property("tenants", ArrayBuilder::new().items(tenant))
        .property("keys", time())
        .required("now")
        .required("tenants")
        .required("keys")
        .build()
}

fn tenant_example() -> Value {
    json!({"tenant": "tenant-alpha", "documents": 3, "bytes": 512, "deleted": 1, "revision": 42,
           "quota": {"documents": 100_000, "bytes": null}})
}

fn key_example() -> Value {
    json!({"id": "0123456789abcdef", "name": "billing", "tenant": "tenant-alpha",
           "scopes": ["provisioning:*"], "created": 1_700_000_000_000_u64})
}

fn array_of(schema: &str, example: Value) -> Content {
    let all = ArrayBuilder::new().items(Ref::from_schema_name(schema));
    ContentBuilder::new().schema(Some(all)).example(Some(json!([example]))).build()
}

/// Returns the words for an operation: what it does, and its id.
pub(super) fn words(endpoint: Endpoint, method: &Method) -> Option<(&'static str, &'static str)> {
    Some(match (endpoint, method) {
        (Endpoint::TenantStats, &Method::DELETE) => {
            ("Revoke the tenant's keys, and erase all that it has, for good", "eraseTenant")
        }
        (Endpoint::Quota, &Method::PUT) => ("Give the tenant a quota of its own", "setQuota"),
        (Endpoint::Quota, &Method::DELETE) => {
            ("Take the tenant's own quota away: the server's holds then", "clearQuota")
        }
        (Endpoint::Keys, &Method::GET) => ("List the keys, without their secrets", "listKeys"),
        (Endpoint::Keys, &Method::POST) => ("Make a key; its secret is shown once", "createKey"),
        (Endpoint::RevokeKey, &Method::POST) => ("Revoke the key for ever", "revokeKey"),
        (Endpoint::RotateKey, &Method::POST) => {
            ("Make a successor of the key; the old one works for a grace period", "rotateKey")
        }
        (Endpoint::Import, &Method::POST) => (
            "Store lines of `meldb export` as the writes that they were, with revisions and stamps",
            "importLines",
        ),
        (Endpoint::Backup, &Method::POST) => {
            ("Take a backup of what was written since another one", "backupSince")
        }
        (Endpoint::ResetClock, &Method::POST) => (
            "Take back the times that a clock once far ahead has left, to what the clock shows now: set the \
             clock right first",
            "resetClock",
        ),
        (Endpoint::Checkpoint, &Method::POST) => {
            ("Write what only the log and memory hold into the tables", "checkpoint")
        }
        _ => return None,
    })
}

/// Returns the body that an operation takes.
pub(super) fn request_body(endpoint: Endpoint, method: &Method) -> Option<RequestBodyBuilder> {
    let json = |schema: &str, example: Value| {
        RequestBodyBuilder::new().content("application/json", content(schema, example))
    };
    Some(match (endpoint, method) {
        (Endpoint::Quota, &Method::PUT) => json("Quota", json!({"documents": 100_000})),
        (Endpoint::Keys, &Method::POST) => json(
            "NewKey",
            json!({"name": "billing", "tenant": "tenant-alpha", "scopes": ["provisioning:*"]}),
        ),
        (Endpoint::RotateKey, &Method::POST) => json("Rotation", json!({"graceMs": 3_600_000})),
        (Endpoint::Backup, &Method::POST) => {
            json("BackupSummary", json!({"tenants": {"tenant-alpha": 42}, "entries": 3}))
        }
        (Endpoint::Import, &Method::POST) => {
            let lines = ContentBuilder::new().schema(Some(text())).build();
            RequestBodyBuilder::new().content("application/x-ndjson", lines)
        }
        _ => return None,
    })
}

/// Returns the answer to an operation that succeeds, but for its body.
pub(super) fn success(
    endpoint: Endpoint,
    method: &Method,
) -> Option<(&'static str, ResponseBuilder, Option<Content>)> {
    let answer = |description: &str| ResponseBuilder::new().description(description);
    let tenant = || Some(content("Tenant", tenant_example()));
    let key = || Some(content("Key", key_example()));
    Some(match (endpoint, method) {
        (Endpoint::Stats, _) => {
            ("200", answer("Every tenant"), Some(array_of("Tenant", tenant_example())))
        }
        (Endpoint::TenantStats, &Method::DELETE) => {
            let example = json!({"documents": 3, "bytes": 512, "revision": 43, "keys": 1});
            ("200", answer("It is erased"), Some(content("Erased", example)))
        }
        (Endpoint::TenantStats, _) => ("200", answer("The tenant"), tenant()),
        (Endpoint::Quota, _) => ("200", answer("What the tenant may hold now"), tenant()),
        (Endpoint::Keys, &Method::POST) | (Endpoint::RotateKey, _) => {
            ("201", answer("The new key, with its secret"), key())
        }
        (Endpoint::Keys, _) => ("200", answer("The keys"), Some(array_of("Key", key_example()))),
        (Endpoint::RevokeKey, _) => ("200", answer("The revoked key"), key()),
        (Endpoint::Import, _) => {
            let example = json!({"stored": 3, "skipped": 0});
            ("200", answer("The lines are stored"), Some(content("Imported", example)))
        }
        (Endpoint::ResetClock, _) => {
            let time = json!({"from": 4_102_444_800_000_u64, "to": 1_700_000_000_000_u64,
                              "documents": 3, "deleted": 1});
            let mut tenant = time.clone();
            tenant["tenant"] = json!("tenant-alpha");
            let example = json!({"now": 1_700_000_000_000_u64, "tenants": [tenant], "keys": time});
            ("200", answer("What was ahead is taken back"), Some(content("ClockReset", example)))
        }
        (Endpoint::Checkpoint, _) => ("204", answer("It is written"), None),
        _ => return None,
    })
}

/// Returns the answer of an operation, with its body unless it is to HEAD.
pub(super) fn response(
    method: &Method,
    builder: ResponseBuilder,
    body: Option<Content>,
) -> Response {
    match body.filter(|_| *method != Method::HEAD) {
        Some(body) => builder.content("application/json", body).build(),
        None => builder.build(),
    }
}

/// Returns what an operation that writes may be refused for, beside what any operation may.
pub(super) fn errors(endpoint: Endpoint, method: &Method) -> Vec<Code> {
    let of_bodies = [Code::RequestTimeout, Code::PayloadTooLarge, Code::UnsupportedMediaType];
    let mut codes = Vec::new();
    if request_body(endpoint, method).is_some() {
        codes.extend(of_bodies);
    }
    match (endpoint, method) {
        (Endpoint::RevokeKey | Endpoint::RotateKey, &Method::POST) => {
            codes.extend([Code::NotFound, Code::InsufficientStorage]);
            codes.extend((endpoint == Endpoint::RotateKey).then_some(Code::Conflict));
        }
        (Endpoint::Import, &Method::POST) => {
            codes.extend([Code::Conflict, Code::InsufficientStorage]);
        }
        (Endpoint::Keys | Endpoint::ResetClock, &Method::POST)
        | (Endpoint::Quota, &Method::PUT | &Method::DELETE)
        | (Endpoint::TenantStats, &Method::DELETE) => codes.push(Code::InsufficientStorage),
        _ => {}
    }
    codes
}
