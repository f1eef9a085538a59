//! What operators send and are answered about indexes.

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, Object, ObjectBuilder, Ref, ResponseBuilder, Type,
    request_body::RequestBodyBuilder,
    schema::{AdditionalProperties, ArrayBuilder},
};

use super::schema::{INDEX_NAME, SIMPLE_NAME, content, matching, text};
use crate::{error::Code, route::Endpoint};

const WHAT: &str = "the indexes of the tenant's collections";

/// Returns the schemas, by their names.
pub(super) fn schemas() -> [(&'static str, Object); 3] {
    [("Index", index()), ("Indexes", indexes()), ("NewIndex", new_index())]
}

fn closed() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn flag() -> ObjectBuilder {
    let description = "Whether no two documents may have the same values";
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description))
}

fn described(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn index() -> Object {
    let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    closed()
        .description(Some("An index, and how far it is"))
        .property("collection", text())
        .property("name", text())
        .property("fields", described("The paths of its fields, with commas between them"))
        .property("unique", flag())
        .property("state", described("`ready`, `building` or `failed`"))
        .property("documents", count.description(Some("How many documents have been read")))
        .property("failure", described("Why it cannot be built"))
        .required("collection")
        .required("name")
        .required("fields")
        .required("state")
        .build()
}

fn indexes() -> Object {
    closed()
        .description(Some("The indexes of a tenant, or of one of its collections"))
        .property("tenant", text())
        .property("indexes", ArrayBuilder::new().items(Ref::from_schema_name("Index")))
        .required("tenant")
        .required("indexes")
        .examples([example()])
        .build()
}

fn new_index() -> Object {
    closed()
        .description(Some(
            "An index to be defined. It is filled in the background; questions are answered by it once it is ready. If it is \
             to be unique, the answer comes when it is filled, and is 409 if two documents have the same values",
        ))
        .property("collection", matching(SIMPLE_NAME))
        .property("name", matching(INDEX_NAME))
        .property("fields", described("The paths of its fields, with commas between them"))
        .property("unique", flag())
        .required("collection")
        .required("name")
        .required("fields")
        .examples([new_example()])
        .build()
}

fn example() -> Value {
    let index = json!({
        "collection": "users", "name": "by_role", "fields": "role,seats", "state": "ready",
    });
    json!({"tenant": "acme", "indexes": [index]})
}

fn new_example() -> Value {
    json!({"collection": "users", "name": "by_role", "fields": "role,seats"})
}

/// Returns the name of the endpoint, and what it is about.
pub(super) fn noun() -> (&'static str, &'static str) {
    ("Indexes", WHAT)
}

/// Returns the words for an operation: what it does, and its id.
pub(super) fn words(endpoint: Endpoint, method: &Method) -> Option<(&'static str, &'static str)> {
    match (endpoint, method) {
        (Endpoint::Indexes, &Method::PUT) => {
            Some(("Define an index of a collection; once more does nothing", "defineIndex"))
        }
        (Endpoint::Indexes, &Method::DELETE) => {
            Some(("Drop an index of a collection, if it is there", "dropIndex"))
        }
        _ => None,
    }
}

/// Returns the component that describes a parameter.
pub(super) fn component(
    endpoint: Endpoint,
    method: &Method,
    name: &'static str,
) -> Option<&'static str> {
    match (endpoint, name) {
        (Endpoint::Indexes, "collection") if *method == Method::DELETE => Some("indexedCollection"),
        (Endpoint::Indexes, "collection") => Some("indexesOf"),
        (Endpoint::Indexes, "name") => Some("indexName"),
        _ => None,
    }
}

/// Returns the body that an operation takes.
pub(super) fn request_body(endpoint: Endpoint, method: &Method) -> Option<RequestBodyBuilder> {
    let body =
        RequestBodyBuilder::new().content("application/json", content("NewIndex", new_example()));
    (endpoint == Endpoint::Indexes && *method == Method::PUT).then_some(body)
}

/// Returns the answer to an operation that succeeds, but for its body.
pub(super) fn success(
    endpoint: Endpoint,
) -> Option<(&'static str, ResponseBuilder, Option<Content>)> {
    let builder = ResponseBuilder::new().description("What there is now");
    (endpoint == Endpoint::Indexes).then(|| ("200", builder, Some(content("Indexes", example()))))
}

/// Returns what an operation may be refused for, beside what any operation may.
pub(super) fn errors(endpoint: Endpoint, method: &Method) -> Vec<Code> {
    match (endpoint, method) {
        (Endpoint::Indexes, &Method::PUT) => vec![
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::InsufficientStorage,
            Code::UnsupportedMediaType,
            Code::Conflict,
        ],
        (Endpoint::Indexes, &Method::DELETE) => vec![Code::InsufficientStorage],
        _ => Vec::new(),
    }
}
