//! History: what is asked of it and what it answers.

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, HeaderBuilder, Object, ObjectBuilder, Ref, ResponseBuilder, Type,
    request_body::RequestBodyBuilder,
    schema::{AdditionalProperties, AnyOfBuilder, ArrayBuilder, SchemaType},
};

use super::schema::{RFC_3339, content, document_example, matching, one_of, text};
use crate::{error::Code, route::Endpoint};

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))
}

fn texts() -> ArrayBuilder {
    ArrayBuilder::new().items(text())
}

fn list_of(schema: &str) -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name(schema))
}

/// Returns the schemas, by their names.
pub(super) fn schemas() -> [(&'static str, Object); 11] {
    [
        ("Version", version()),
        ("Versions", versions()),
        ("Writes", writes()),
        ("BlamedField", blamed_field()),
        ("Blame", blame()),
        ("UndoneField", undone_field()),
        ("UndoneBy", undone_by()),
        ("HistorySetting", setting()),
        ("HistoryKeep", keep()),
        ("Forgotten", forgotten()),
        ("Redacted", redacted()),
    ]
}

fn version() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "A write of a document: `fields` are JSON Pointers (RFC 6901) to what it changed, the empty one for the \
             whole document. The tenant's own document has no collection and id",
        ))
        .property("revision", number())
        .property("collection", text())
        .property("id", text())
        .property("kind", one_of(&["put", "merged", "deleted"]))
        .property("updated", number())
        .property("updatedBy", text())
        .property("fields", texts())
        .property("previous", number())
        .property("batch", number())
        .property("redacted", number())
        .property("redactedBy", text())
        .required("revision")
        .required("kind")
        .required("updated")
        .required("updatedBy")
        .required("fields")
        .examples([version_example()])
        .build()
}

fn versions() -> Object {
    let before = number().description(Some("Where the next page goes on, if there is one"));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("The versions of a document, newest first"))
        .property("versions", list_of("Version"))
        .property("before", before)
        .required("versions")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

fn writes() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Writes in their order, and behind which revision to go on"))
        .property("writes", list_of("Version"))
        .property("after", number())
        .property("more", ObjectBuilder::new().schema_type(Type::Boolean))
        .required("writes")
        .required("after")
        .required("more")
        .build()
}

fn blamed_field() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "A field and the write that set it; the pointer alone, where that was before the history that is kept",
        ))
        .property("pointer", text())
        .property("revision", number())
        .property("updated", number())
        .property("updatedBy", text())
        .required("pointer")
        .build()
}

fn blame() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A document, and who set each of its fields"))
        .property("revision", number())
        .property("fields", list_of("BlamedField"))
        .property("data", Ref::from_schema_name("Document"))
        .required("revision")
        .required("fields")
        .required("data")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

fn undone_field() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A field of a write; the path is empty for the tenant's own document"))
        .property("path", text())
        .property("revision", number())
        .property("field", text())
        .required("path")
        .required("revision")
        .required("field")
        .build()
}

fn undone_by() -> Object {
    let write = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("path", text())
        .property("effect", text())
        .property("revision", number())
        .required("path")
        .required("effect");
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "What was taken back, what was left since others have changed it later, and the writes that did it",
        ))
        .property("undone", list_of("UndoneField"))
        .property("left", list_of("UndoneField"))
        .property("writes", ArrayBuilder::new().items(write))
        .required("undone")
        .required("left")
        .required("writes")
        .build()
}

/// How long writes are kept: milliseconds, null for ever, 0 for not at all.
fn keep_ms() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(0))
        .description(Some("In milliseconds; null for ever, and 0 for not at all"))
}

fn setting() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "How long the writes of a collection are kept, or of the tenant's own document",
        ))
        .property("tenant", text())
        .property("collection", text())
        .property("keepMs", keep_ms())
        .required("tenant")
        .required("keepMs")
        .build()
}

fn keep() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("How long writes are to be kept"))
        .property("keepMs", keep_ms())
        .required("keepMs")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

fn forgotten() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Whether the document existed, and how many versions were removed"))
        .property("deleted", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("versions", number())
        .required("deleted")
        .required("versions")
        .build()
}

fn redacted() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Whether the document had the field, and how many versions did"))
        .property("document", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("versions", number())
        .required("document")
        .required("versions")
        .build()
}

/// A moment: a revision, or a time.
pub(super) fn moment() -> Object {
    matching(&format!("^(0|[1-9][0-9]{{0,10}})$|{RFC_3339}"))
}

fn version_example() -> Value {
    json!({"revision": 42, "collection": "users", "id": "user-123", "kind": "merged",
           "updated": 1_700_000_000_000_u64, "updatedBy": "billing", "fields": ["/role"],
           "previous": 7})
}

fn setting_example() -> Value {
    json!({"tenant": "tenant-alpha", "collection": "users", "keepMs": 7_776_000_000_u64})
}

/// Returns whether an endpoint is about history.
pub(super) fn has(endpoint: Endpoint) -> bool {
    endpoint.takes_back()
        || matches!(
            endpoint,
            Endpoint::History | Endpoint::OwnHistory | Endpoint::DocumentHistory | Endpoint::UndoBy
        )
}

/// Returns the name of an endpoint, and what it is about.
pub(super) fn noun(endpoint: Endpoint) -> (&'static str, &'static str) {
    match endpoint {
        Endpoint::History => ("Writes", "every write of the tenant in commit order"),
        Endpoint::OwnHistory => ("OwnHistory", "the versions of the tenant's own document"),
        Endpoint::DocumentHistory => ("History", "the versions of the document"),
        Endpoint::Undo => ("Undo", "taking back one write of the document"),
        Endpoint::Revert => ("Revert", "reverting the document"),
        Endpoint::OwnUndo => ("OwnUndo", "taking back one write of the tenant's own document"),
        Endpoint::OwnRevert => ("OwnRevert", "reverting the tenant's own document"),
        Endpoint::UndoBy => ("UndoBy", "taking back what an actor has written"),
        Endpoint::HistorySetting => {
            ("HistorySetting", "how long the writes of a collection are kept")
        }
        Endpoint::OwnForget => ("OwnForget", "forgetting the tenant's own document"),
        Endpoint::OwnRedact => ("OwnRedact", "redacting the tenant's own document"),
        Endpoint::Forget => ("Forget", "forgetting the document"),
        _ => ("Redact", "redacting the document"),
    }
}

/// Returns the words for an operation: what it does, and its id.
pub(super) fn words(endpoint: Endpoint, method: &Method) -> Option<(&'static str, &'static str)> {
    Some(match (endpoint, method) {
        (Endpoint::DocumentHistory, &Method::GET) => (
            "List the versions of the document, newest first; with `at`, return an earlier version; with \
             `view=blame` who set its fields",
            "getHistory",
        ),
        (Endpoint::OwnHistory, &Method::GET) => (
            "List the versions of the tenant's own document, newest first; with `at`, return an earlier version; with \
             `view=blame` who set its fields",
            "getOwnHistory",
        ),
        (Endpoint::Undo, &Method::POST) => {
            ("Take back what one write has changed in the document, and keep later ones", "undo")
        }
        (Endpoint::OwnUndo, &Method::POST) => (
            "Take back what one write has changed in the tenant's own document, and keep later ones",
            "undoOwn",
        ),
        (Endpoint::Revert, &Method::POST) => {
            ("Restore the version of the document after the write at a revision", "revert")
        }
        (Endpoint::OwnRevert, &Method::POST) => (
            "Restore the version of the tenant's own document after the write at a revision",
            "revertOwn",
        ),
        (Endpoint::UndoBy, &Method::POST) => (
            "Take back what an actor has written since, where nobody has changed the same fields later; needs \
             `history:read` as well",
            "undoBy",
        ),
        (Endpoint::HistorySetting, &Method::PUT) => {
            ("Set how long the writes of a collection are kept", "setHistory")
        }
        (Endpoint::HistorySetting, &Method::DELETE) => (
            "Leave it to the server's default how long the writes of a collection are kept",
            "clearHistory",
        ),
        (Endpoint::Forget, &Method::POST) => {
            ("Delete the document, and remove every version of it, for good", "forget")
        }
        (Endpoint::OwnForget, &Method::POST) => (
            "Delete the tenant's own document, and remove every version of it, for good",
            "forgetOwn",
        ),
        (Endpoint::Redact, &Method::POST) => {
            ("Remove a field from the document and every version of it, for good", "redact")
        }
        (Endpoint::OwnRedact, &Method::POST) => (
            "Remove a field from the tenant's own document and every version of it, for good",
            "redactOwn",
        ),
        _ => return None,
    })
}

/// Returns the component that describes a parameter of these endpoints.
pub(super) fn component(endpoint: Endpoint, name: &'static str) -> Option<&'static str> {
    Some(match (endpoint, name) {
        (Endpoint::History, "after") => "afterRevision",
        (Endpoint::History, "collection") => "writesOf",
        (Endpoint::History | Endpoint::DocumentHistory | Endpoint::OwnHistory, "limit") => {
            "versionsLimit"
        }
        (Endpoint::HistorySetting, "collection") => "keptOf",
        (Endpoint::DocumentHistory | Endpoint::Undo | Endpoint::Revert, "pointer") => "part",
        (Endpoint::Redact | Endpoint::OwnRedact, "pointer") => "redactedField",
        _ => return None,
    })
}

/// Returns the body that an operation takes.
pub(super) fn request_body(endpoint: Endpoint, method: &Method) -> Option<RequestBodyBuilder> {
    let keep = content("HistoryKeep", json!({"keepMs": 7_776_000_000_u64}));
    let body = RequestBodyBuilder::new().content("application/json", keep);
    (endpoint == Endpoint::HistorySetting && *method == Method::PUT).then_some(body)
}

/// Returns the answer to an operation that succeeds, but for its body.
pub(super) fn success(
    endpoint: Endpoint,
    method: &Method,
) -> Option<(&'static str, ResponseBuilder, Option<Content>)> {
    let answer = |description: &str| ResponseBuilder::new().description(description);
    let header = |description: &str| {
        HeaderBuilder::new().schema(Some(text())).description(Some(description)).build()
    };
    Some(match endpoint {
        Endpoint::History => {
            let builder = answer(
                "A page of writes; with `Accept: text/event-stream` an endless stream of events, each with its \
                 revision as `id`, its kind as `event` and a write as `data`",
            );
            let example = json!("id: 42\nevent: merged\ndata: {\"revision\":42,…}\n\n");
            let events = ContentBuilder::new().schema(Some(text())).example(Some(example)).build();
            let example = json!({"writes": [version_example()], "after": 42, "more": false});
            // Pages that send requests ask for the first one: one that ends.
            let builder = match *method {
                Method::HEAD => builder,
                _ => builder
                    .content("application/json", content("Writes", example))
                    .content("text/event-stream", events),
            };
            ("200", builder, None)
        }
        Endpoint::OwnHistory | Endpoint::DocumentHistory => {
            let builder = answer(
                "A page of versions; with `at` the document as it was, with `view=blame` who set its fields",
            );
            let builder = builder
                .header("ETag", header("With `at`: the version's revision, in quotes"))
                .header("Link", header("The next page, if there is one: `<…>; rel=\"next\"`"));
            ("200", builder, Some(history_content()))
        }
        Endpoint::UndoBy => {
            let field = |revision: u64| json!({"path": "users/user-123", "revision": revision, "field": "/role"});
            let write = json!({"path": "users/user-123", "effect": "merged", "revision": 43});
            let example = json!({"undone": [field(42)], "left": [], "writes": [write]});
            let builder = answer("What was taken back, and what was left");
            let builder = builder.header("MelDB-Dry-Run", header("`true` if nothing was written"));
            ("200", builder, Some(content("UndoneBy", example)))
        }
        Endpoint::HistorySetting => {
            ("200", answer("What holds now"), Some(content("HistorySetting", setting_example())))
        }
        Endpoint::Forget | Endpoint::OwnForget => {
            let example = json!({"deleted": true, "versions": 12});
            ("200", answer("It is forgotten"), Some(content("Forgotten", example)))
        }
        Endpoint::Redact | Endpoint::OwnRedact => {
            let example = json!({"document": true, "versions": 12});
            ("200", answer("It is redacted"), Some(content("Redacted", example)))
        }
        _ => return None,
    })
}

fn history_content() -> Content {
    // The closed ones first: each of them is an object, and so is every document.
    let schema = AnyOfBuilder::new()
        .item(Ref::from_schema_name("Versions"))
        .item(Ref::from_schema_name("Blame"))
        .item(Ref::from_schema_name("Document"));
    let example = |summary: &str, value: Value| {
        utoipa::openapi::example::ExampleBuilder::new().summary(summary).value(Some(value)).build()
    };
    let set_by = json!({"pointer": "/role", "revision": 42, "updated": 1_700_000_000_000_u64,
                        "updatedBy": "billing"});
    let blame = json!({"revision": 42, "fields": [{"pointer": "/name"}, set_by],
                       "data": document_example()});
    let versions = json!({"versions": [version_example()], "before": 42});
    ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter([
            ("versions", example("A page of versions", versions)),
            ("at", example("With `at`", document_example())),
            ("blame", example("With `view=blame`", blame)),
        ])
        .build()
}

/// Returns what an operation may be refused for, beside what any operation may.
pub(super) fn errors(endpoint: Endpoint, method: &Method) -> Vec<Code> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let of_writes = [Code::RequestTimeout, Code::PayloadTooLarge, Code::InsufficientStorage];
    let mut codes = Vec::new();
    match (endpoint, method) {
        (Endpoint::History, _) if reads => codes.push(Code::Gone),
        (Endpoint::OwnHistory | Endpoint::DocumentHistory, _) if reads => {
            codes.extend([Code::Gone, Code::NotFound]);
        }
        (Endpoint::UndoBy, &Method::POST) => {
            codes.extend(of_writes);
            codes.push(Code::Gone);
        }
        (Endpoint::HistorySetting, &Method::PUT) => {
            codes.extend(of_writes);
            codes.push(Code::UnsupportedMediaType);
        }
        (Endpoint::HistorySetting, &Method::DELETE)
        | (
            Endpoint::Forget | Endpoint::OwnForget | Endpoint::Redact | Endpoint::OwnRedact,
            &Method::POST,
        ) => codes.push(Code::InsufficientStorage),
        (endpoint, &Method::POST) if endpoint.takes_back() => {
            codes.extend(of_writes);
            codes.extend([
                Code::Gone,
                Code::NotFound,
                Code::Conflict,
                Code::PreconditionFailed,
                Code::UnprocessableContent,
            ]);
        }
        _ => {}
    }
    codes
}
