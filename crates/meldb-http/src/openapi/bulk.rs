//! Writes to many documents: what is asked of them and what they answer.

use axum::http::Method;
use serde_json::json;
use utoipa::openapi::{
    Content, HeaderBuilder, Object, ObjectBuilder, Ref, ResponseBuilder, Type,
    request_body::RequestBodyBuilder,
    schema::{AdditionalProperties, OneOfBuilder},
};

use super::schema::{content, text};
use crate::{error::Code, route::Endpoint};

fn number(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).description(Some(description))
}

fn flag(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description))
}

/// Returns the schemas, by their names.
pub(super) fn schemas() -> [(&'static str, Object); 3] {
    [("BulkMerge", bulk_merge()), ("MergedStep", merged_step()), ("DeletedStep", deleted_step())]
}

fn bulk_merge() -> Object {
    let filter = OneOfBuilder::new()
        .item(text())
        .item(ObjectBuilder::new().schema_type(Type::Object).build())
        .description(Some(
            "Which documents: a filter as text, or in its JSON form; `$id exists` passes all",
        ));
    let after = ObjectBuilder::new().schema_type(Type::String).description(Some(
        "Where to go on: `after` of the answer before, with the same filter, patch and options",
    ));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("where", filter)
        .property("patch", Ref::from_schema_name("DocumentWrite"))
        .property("after", after)
        .required("where")
        .required("patch")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

fn merged_step() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "What a step of the merge did, or would do: at most 250 documents, all of them or none",
        ))
        .property("matched", number("How many documents passed the filter"))
        .property("merged", number("How many of them were written"))
        .property("unchanged", number("How many of them stay as they are"))
        .property("examined", number("How many documents were looked at"))
        .property("complete", flag("Whether this was the last step"))
        .property("after", text())
        .required("matched")
        .required("merged")
        .required("unchanged")
        .required("examined")
        .required("complete")
        .build()
}

fn deleted_step() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "What a step of the delete did, or would do: at most 250 documents, all of them or none. Send the request \
             again until it is complete. A dry run counts 100,000 documents at most",
        ))
        .property("deleted", number("How many documents are gone"))
        .property("complete", flag("Whether none are left"))
        .required("deleted")
        .required("complete")
        .build()
}

/// Returns whether an operation is one of these.
pub(super) fn has(endpoint: Endpoint, method: &Method) -> bool {
    matches!(
        (endpoint, method),
        (Endpoint::BulkMerge, &Method::POST) | (Endpoint::Collection, &Method::DELETE)
    )
}

/// Returns the words for an operation: what it does, and its id.
pub(super) fn words(endpoint: Endpoint, method: &Method) -> Option<(&'static str, &'static str)> {
    Some(match (endpoint, method) {
        (Endpoint::BulkMerge, &Method::POST) => (
            "Merge into the documents that pass a filter, one step of at most 250; needs to read the collection as well",
            "mergeMany",
        ),
        (Endpoint::BulkMerge, _) => {
            ("Ask for the methods of merging into many", "optionsMergeMany")
        }
        (Endpoint::Collection, &Method::DELETE) => {
            ("Delete all documents of the collection, one step of at most 250", "deleteCollection")
        }
        _ => return None,
    })
}

/// Returns the body that an operation takes.
pub(super) fn request_body(endpoint: Endpoint, method: &Method) -> Option<RequestBodyBuilder> {
    let example = json!({"where": "role = \"trial\"", "patch": {"role": "member"}});
    let body = RequestBodyBuilder::new().content("application/json", content("BulkMerge", example));
    (endpoint == Endpoint::BulkMerge && *method == Method::POST).then_some(body)
}

/// Returns the answer to an operation that succeeds, but for its body.
pub(super) fn success(
    endpoint: Endpoint,
    method: &Method,
) -> Option<(&'static str, ResponseBuilder, Option<Content>)> {
    if !has(endpoint, method) {
        return None;
    }
    let (description, body) = match endpoint {
        Endpoint::BulkMerge => {
            let example = json!({"matched": 3, "merged": 3, "unchanged": 0, "examined": 42,
                                 "complete": true});
            ("What the step did", content("MergedStep", example))
        }
        _ => {
            let example = json!({"deleted": 3, "complete": true});
            ("What the step did", content("DeletedStep", example))
        }
    };
    let dry = HeaderBuilder::new()
        .schema(Some(text()))
        .description(Some("`true` if nothing was written"))
        .build();
    let builder = ResponseBuilder::new().description(description).header("MelDB-Dry-Run", dry);
    Some(("200", builder, Some(body)))
}

/// Returns what an operation may be refused for, beside what any operation may.
pub(super) fn errors(endpoint: Endpoint, method: &Method) -> Vec<Code> {
    match endpoint {
        _ if !has(endpoint, method) => Vec::new(),
        Endpoint::BulkMerge => vec![
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
            Code::InsufficientStorage,
        ],
        _ => vec![Code::InsufficientStorage],
    }
}
