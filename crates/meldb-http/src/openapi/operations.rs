//! One operation: what it takes and every answer that it can give.

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Header, HeaderBuilder, ObjectBuilder, Ref, Required, Response,
    ResponseBuilder, Type,
    example::ExampleBuilder,
    path::{Operation, OperationBuilder},
    request_body::RequestBodyBuilder,
    schema::AnyOfBuilder,
    security::SecurityRequirement,
};

use super::batch::{answer_example, batch_example, changes_example};
use super::components::{
    changes_content, error_ref, json_patch_content, list_content, report_content,
};
use super::schema::{content, document_example};
use super::{admin, bulk, history, indexes};
use crate::{
    error::Code,
    route::{Endpoint, Opens},
};

const PLAN: &str = "How a question was answered: which documents were looked at, how they were sorted, how many it \
     were";

/// Returns the description of a method of an endpoint.
pub(super) fn operation(endpoint: Endpoint, method: &Method) -> Operation {
    let (summary, id) = words(endpoint, method);
    let mut builder =
        OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).tag(match endpoint {
            Endpoint::CurrentVersion => "versions",
            Endpoint::Changes => "changes",
            Endpoint::WhoAmI => "service",
            _ if history::has(endpoint) => "history",
            _ if is_report(endpoint) => "reporting",
            _ if endpoint.opens() == Opens::Operator => "admin",
            _ if endpoint.is_api() => "documents",
            _ => "service",
        });
    for parameter in parameters(endpoint, method) {
        builder = builder.parameter_ref(Ref::new(format!("#/components/parameters/{parameter}")));
    }
    if endpoint.is_api() {
        builder = builder.security(SecurityRequirement::new("key", Vec::<String>::new()));
    }
    if let Some(body) = request_body(endpoint, method) {
        builder = builder.request_body(Some(body.required(Some(Required::True)).build()));
    }
    for (status, response) in successes(endpoint, method) {
        builder = builder.response(status, response);
    }
    for code in errors(endpoint, method) {
        let status = code.status().as_u16().to_string();
        builder = match *method {
            // An answer to HEAD has no body to describe.
            Method::HEAD => builder.response(status, Response::new(code.name())),
            _ => builder.response(status, error_ref(code)),
        };
    }
    builder.build()
}

fn words(endpoint: Endpoint, method: &Method) -> (String, String) {
    let words = admin::words(endpoint, method)
        .or_else(|| history::words(endpoint, method))
        .or_else(|| indexes::words(endpoint, method))
        .or_else(|| bulk::words(endpoint, method));
    if let Some((summary, id)) = words {
        return (summary.to_owned(), id.to_owned());
    }
    let (noun, thing) = match endpoint {
        Endpoint::Root => ("Server", "the server's name and version"),
        Endpoint::Health => ("Health", "whether the process lives"),
        Endpoint::Ready => ("Readiness", "whether the store takes reads and writes"),
        Endpoint::OpenApi => ("Description", "this description"),
        Endpoint::WhoAmI => ("WhoAmI", "who the key is and what it may do"),
        Endpoint::DocsRedirect | Endpoint::Docs => ("Docs", "this description for people"),
        Endpoint::Tenant => ("Tenant", "the tenant's own document"),
        Endpoint::Batch => ("Batch", "documents of the tenant"),
        Endpoint::Collection => ("Collection", "the collection's documents in id order"),
        Endpoint::Count => ("Count", "how many documents of the collection pass a filter"),
        Endpoint::Collections => {
            ("Collections", "the tenant's collections, those that the key may read")
        }
        Endpoint::Query | Endpoint::BulkMerge => {
            ("Collection", "those documents of the collection that pass a filter")
        }
        Endpoint::Document => ("Document", "the document"),
        Endpoint::CurrentVersion => ("CurrentVersion", "the member `versions.current`"),
        Endpoint::Changes => ("Changes", "the tenant's changes in commit order"),
        Endpoint::Stats => ("Tenants", "what every tenant holds and may hold"),
        Endpoint::TenantStats => ("TenantStats", "what the tenant holds and may hold"),
        Endpoint::Quota => ("Quota", "the tenant's quota"),
        Endpoint::SubDocument => ("SubDocument", "the object in the document, for an operator"),
        Endpoint::Keys => ("Keys", "the keys"),
        Endpoint::RevokeKey => ("RevokeKey", "revoking a key"),
        Endpoint::RotateKey => ("RotateKey", "rotating a key"),
        Endpoint::Import => ("Import", "importing lines"),
        Endpoint::Backup => ("Backup", "a backup of the whole store"),
        Endpoint::Checkpoint => ("Checkpoint", "a checkpoint"),
        Endpoint::Report => ("Report", "the documents written in a span of time, in that order"),
        Endpoint::AssistantReport => (
            "AssistantConversations",
            "the documents of `botconv` written in a span of time, in that order",
        ),
        Endpoint::VoiceReport => (
            "VoiceConversations",
            "the documents of `vocconv` written in a span of time, in that order",
        ),
        Endpoint::ResetClock => ("ResetClock", "taking back times that are ahead of the clock"),
        Endpoint::History
        | Endpoint::OwnHistory
        | Endpoint::DocumentHistory
        | Endpoint::Undo
        | Endpoint::Revert
        | Endpoint::OwnUndo
        | Endpoint::OwnRevert
        | Endpoint::UndoBy
        | Endpoint::HistorySetting
        | Endpoint::Forget
        | Endpoint::Redact
        | Endpoint::OwnForget
        | Endpoint::OwnRedact => history::noun(endpoint),
        Endpoint::Indexes => indexes::noun(),
    };
    let (verb, summary) = match *method {
        Method::GET if endpoint == Endpoint::Collection => {
            ("list", format!("List {thing}, or those that pass a filter, in any order"))
        }
        Method::GET if endpoint == Endpoint::Collections => ("list", format!("List {thing}")),
        Method::GET => ("get", format!("Read {thing}")),
        Method::HEAD => ("head", format!("Read the headers of {thing}")),
        Method::POST if endpoint == Endpoint::Batch => {
            ("make", format!("Write {thing} together or not at all"))
        }
        Method::POST if endpoint == Endpoint::Query => ("query", format!("Find {thing}")),
        Method::OPTIONS if endpoint == Endpoint::Query => {
            ("optionsQuery", format!("Ask for the methods of {thing}"))
        }
        Method::POST => ("put", format!("Create or replace {thing}")),
        Method::PUT => ("merge", format!("Merge into {thing}; it must exist")),
        Method::PATCH => ("patch", format!("Apply a JSON Patch (RFC 6902) to {thing}")),
        Method::DELETE => ("delete", format!("Delete {thing}")),
        _ => ("options", format!("Ask for the methods of {thing}")),
    };
    (summary, format!("{verb}{noun}"))
}

fn is_report(endpoint: Endpoint) -> bool {
    endpoint == Endpoint::Report || endpoint.report().is_some()
}

fn is_write(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

fn parameters(endpoint: Endpoint, method: &Method) -> Vec<&'static str> {
    let mut names = match endpoint {
        Endpoint::Tenant
        | Endpoint::Changes
        | Endpoint::Batch
        | Endpoint::Collections
        | Endpoint::AssistantReport
        | Endpoint::VoiceReport => vec!["tenantId"],
        Endpoint::Collection
        | Endpoint::Count
        | Endpoint::Query
        | Endpoint::BulkMerge
        | Endpoint::Report => vec!["tenantId", "collection"],
        Endpoint::History
        | Endpoint::OwnHistory
        | Endpoint::OwnUndo
        | Endpoint::OwnRevert
        | Endpoint::UndoBy
        | Endpoint::HistorySetting
        | Endpoint::Indexes
        | Endpoint::OwnForget
        | Endpoint::OwnRedact => vec!["tenantId"],
        Endpoint::Document
        | Endpoint::DocumentHistory
        | Endpoint::Undo
        | Endpoint::Revert
        | Endpoint::Forget
        | Endpoint::Redact => vec!["tenantId", "collection", "docId"],
        Endpoint::CurrentVersion | Endpoint::SubDocument => {
            vec!["tenantId", "versionedCollection", "versionedDocId"]
        }
        Endpoint::TenantStats | Endpoint::Quota => vec!["tenantId"],
        Endpoint::RevokeKey | Endpoint::RotateKey => vec!["keyId"],
        _ => vec![],
    };
    // PATCH is described with a JSON Patch, which has neither: they are of a merge that is sent by PATCH.
    let of_query = endpoint
        .parameters(method)
        .iter()
        .filter(|name| *method != Method::PATCH || !["nulls", "depth"].contains(name));
    names.extend(of_query.map(|name| component(endpoint, method, name)));
    if endpoint == Endpoint::Batch && *method == Method::POST {
        names.extend(["Idempotency-Key", "Prefer"]);
    }
    if endpoint == Endpoint::Changes && matches!(*method, Method::GET | Method::HEAD) {
        names.push("Last-Event-ID");
    }
    if endpoint == Endpoint::History && matches!(*method, Method::GET | Method::HEAD) {
        names.push("Last-Event-ID");
    }
    if endpoint.takes_back() && *method == Method::POST {
        names.extend(["If-Match", "If-None-Match", "Idempotency-Key", "Prefer"]);
    }
    let on_document = endpoint.is_document();
    if on_document && *method != Method::OPTIONS {
        names.extend(["If-Match", "If-None-Match"]);
    }
    if on_document && is_write(method) {
        names.extend(["Idempotency-Key", "If-Unchanged-Since-Revision"]);
    }
    if on_document && is_write(method) && *method != Method::DELETE {
        names.push("Prefer");
    }
    names
}

/// Returns the component that describes a parameter: those that differ between endpoints have several.
fn component(endpoint: Endpoint, method: &Method, name: &'static str) -> &'static str {
    let special = history::component(endpoint, name);
    if let Some(component) = special.or_else(|| indexes::component(endpoint, method, name)) {
        return component;
    }
    match (endpoint, name) {
        (Endpoint::Changes, "collection") => "changesOf",
        (Endpoint::Changes, "limit") => "changesLimit",
        (Endpoint::Changes, "where") => "changesWhere",
        (Endpoint::Collection, "after") => "afterId",
        (Endpoint::Collections, "after") => "afterCollection",
        (Endpoint::Collections, "limit") => "collectionsLimit",
        (Endpoint::Count | Endpoint::Query, "cursor") => "countCursor",
        (Endpoint::Import, "tenant") => "importTenant",
        (Endpoint::ResetClock, "tenant") => "resetTenant",
        (endpoint, "limit") if is_report(endpoint) => "reportLimit",
        (endpoint, "cursor") if is_report(endpoint) => "reportCursor",
        (_, name) => name,
    }
}

fn request_body(endpoint: Endpoint, method: &Method) -> Option<RequestBodyBuilder> {
    let write = |example: Value| content("DocumentWrite", example);
    let (whole, part) = body_examples(endpoint);
    let body = RequestBodyBuilder::new();
    match *method {
        Method::POST if endpoint == Endpoint::Query => {
            let example = json!({
                "where": "role = \"owner\" and seats >= 3",
                "sort": "-seats", "fields": "name,seats", "limit": 20,
            });
            Some(body.content("application/json", content("Query", example)))
        }
        _ if !endpoint.is_document() && endpoint != Endpoint::Batch => {
            admin::request_body(endpoint, method)
                .or_else(|| history::request_body(endpoint, method))
                .or_else(|| indexes::request_body(endpoint, method))
                .or_else(|| bulk::request_body(endpoint, method))
        }
        Method::POST if endpoint == Endpoint::Batch => {
            let lines = ContentBuilder::new().schema(Some(Ref::from_schema_name("BatchOperation")));
            Some(
                body.content("application/json", content("Batch", batch_example()))
                    .content("application/x-ndjson", lines.build()),
            )
        }
        Method::POST => Some(body.content("application/json", write(whole))),
        Method::PUT => Some(
            body.content("application/json", write(part.clone()))
                .content("application/merge-patch+json", write(part)),
        ),
        // Of two types of bodies, generators take one, or make clients that fail: merging is PUT's.
        Method::PATCH => Some(
            body.description(Some(
                "`application/merge-patch+json` is taken as well, and means what it does with PUT",
            ))
            .content("application/json-patch+json", json_patch_content()),
        ),
        _ => None,
    }
}

/// Returns an example of a whole document and one of what to merge into it, of the demo's kind.
fn body_examples(endpoint: Endpoint) -> (Value, Value) {
    match endpoint {
        Endpoint::Tenant => {
            (json!({"name": "Alpha Robotics", "plan": "team"}), json!({"plan": "scale"}))
        }
        Endpoint::CurrentVersion | Endpoint::SubDocument => {
            (json!({"model": "m1", "temperature": 0.2}), json!({"temperature": 0.35}))
        }
        _ => (json!({"name": "Ada Byrne", "role": "member"}), json!({"role": "owner"})),
    }
}

fn text_header(description: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).build()
}

fn successes(endpoint: Endpoint, method: &Method) -> Vec<(&'static str, Response)> {
    let tag = || text_header("The document's revision, in quotes");
    let expires =
        || text_header("When the document is gone by itself, in epoch milliseconds, if it will be");
    let document = |description: &str| {
        let builder = ResponseBuilder::new().description(description);
        let builder = builder.header("ETag", tag()).header("MelDB-Expire-At", expires());
        match *method {
            Method::HEAD => builder.build(),
            _ => {
                builder.content("application/json", content("Document", document_example())).build()
            }
        }
    };
    let applied = || text_header("`return=minimal` or `return=diff`");
    let effect =
        || text_header("What was done: `created`, `replaced`, `merged`, `unchanged`, `deleted`");
    let replayed =
        || text_header("`true` if the request was made before and this is the answer of then");
    let written = |description: &str| {
        let builder = ResponseBuilder::new()
            .description(description)
            .header("ETag", tag())
            .header("MelDB-Effect", effect())
            .header("MelDB-Dry-Run", text_header("`true` if nothing was written"))
            .header("Idempotency-Replayed", replayed())
            .header("MelDB-Expire-At", expires())
            .header("Preference-Applied", applied())
            .content("application/json", written_content());
        builder.build()
    };
    let minimal = || {
        let builder = ResponseBuilder::new().description("It was written, as `Prefer` asked for");
        builder.header("ETag", tag()).header("Preference-Applied", applied()).build()
    };
    if *method != Method::OPTIONS
        && let Some((status, builder, body)) = admin::success(endpoint, method)
            .or_else(|| history::success(endpoint, method))
            .or_else(|| indexes::success(endpoint))
            .or_else(|| bulk::success(endpoint, method))
    {
        return vec![(status, admin::response(method, builder, body))];
    }
    match (endpoint, method) {
        (_, &Method::OPTIONS) => {
            let allow = text_header("The methods of this address");
            let builder = ResponseBuilder::new().description("The methods are in `Allow`");
            vec![("204", builder.header("Allow", allow).build())]
        }
        (Endpoint::Collection | Endpoint::Query, _) => {
            let link = text_header("The next page, if there is one: `<…>; rel=\"next\"`");
            let builder = ResponseBuilder::new()
                .description("The documents")
                .header("Link", link)
                .header("MelDB-Plan", text_header(PLAN));
            vec![(
                "200",
                match *method {
                    Method::HEAD => builder.build(),
                    _ => builder.content("application/json", list_content()).build(),
                },
            )]
        }
        (Endpoint::Count | Endpoint::Collections, _) => {
            let link = text_header("Where to go on, if that is not all: `<…>; rel=\"next\"`");
            let (description, schema, example) = match endpoint {
                Endpoint::Count => ("How many", "Count", json!({"count": 42, "complete": true})),
                _ => {
                    let example = json!([{"name": "users", "documents": 42, "bytes": 40_960}]);
                    ("The collections that have documents", "Collections", example)
                }
            };
            let builder = ResponseBuilder::new().description(description).header("Link", link);
            let builder = match endpoint {
                Endpoint::Count => builder.header("MelDB-Plan", text_header(PLAN)),
                _ => builder,
            };
            vec![(
                "200",
                match *method {
                    Method::HEAD => builder.build(),
                    _ => builder.content("application/json", content(schema, example)).build(),
                },
            )]
        }
        (Endpoint::Batch, _) => {
            let builder = ResponseBuilder::new().description("All of it was written");
            let answer = content("BatchAnswer", answer_example());
            let builder = builder.header("Idempotency-Replayed", replayed());
            vec![("200", builder.content("application/json", answer).build())]
        }
        (Endpoint::Backup, _) => {
            let builder = ResponseBuilder::new().description(
                "The backup, to be read by `meldb restore`; one that broke off has no last frame",
            );
            let bytes = ObjectBuilder::new().schema_type(Type::String);
            let content = ContentBuilder::new().schema(Some(bytes)).build();
            vec![(
                "200",
                match *method {
                    Method::HEAD => builder.build(),
                    _ => builder.content("application/octet-stream", content).build(),
                },
            )]
        }
        (_, &Method::DELETE) => {
            let builder = ResponseBuilder::new().description("It is gone");
            let builder = builder.header("Idempotency-Replayed", replayed());
            vec![("204", builder.header("MelDB-Effect", effect()).build())]
        }
        (_, &Method::POST) => vec![
            ("200", written("It was replaced")),
            ("201", written("It was created")),
            ("204", minimal()),
        ],
        (_, &Method::PUT | &Method::PATCH) => {
            vec![("200", written("The whole document after the write")), ("204", minimal())]
        }
        (Endpoint::Changes, _) => vec![("200", changes_success(method))],
        (endpoint, _) if is_report(endpoint) => {
            let builder = ResponseBuilder::new().description("A page of the report");
            vec![(
                "200",
                match *method {
                    Method::HEAD => builder.build(),
                    _ => builder.content("application/json", report_content()).build(),
                },
            )]
        }
        (Endpoint::WhoAmI, _) => vec![("200", service_success(endpoint, method))],
        (endpoint, _) if endpoint.is_api() => {
            let unchanged = ResponseBuilder::new().description("It is the one that you have");
            vec![
                ("200", document("The document")),
                ("304", unchanged.header("ETag", tag()).build()),
            ]
        }
        _ => vec![("200", service_success(endpoint, method))],
    }
}

fn changes_success(method: &Method) -> Response {
    let builder = ResponseBuilder::new().description(
        "A page of changes; with `Accept: text/event-stream` an endless stream of events, each with \
         its cursor as `id`, its kind as `event` and a change as `data`",
    );
    if *method == Method::HEAD {
        return builder.build();
    }
    let events = ObjectBuilder::new().schema_type(Type::String);
    let example = json!("id: 42\nevent: deleted\ndata: {\"revision\":42,…}\n\n");
    let events = ContentBuilder::new().schema(Some(events)).example(Some(example)).build();
    // Pages that send requests ask for the first one: one that ends.
    builder
        .content("application/json", changes_content())
        .content("text/event-stream", events)
        .build()
}

/// Returns the content of the answer to a write: the document, or what has changed.
fn written_content() -> Content {
    // The closed one first: every difference is an object, and so is every document.
    let schema = AnyOfBuilder::new()
        .item(Ref::from_schema_name("Changes"))
        .item(Ref::from_schema_name("Document"));
    let example = |summary: &str, value: Value| {
        ExampleBuilder::new().summary(summary).value(Some(value)).build()
    };
    ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter([
            ("document", example("The document", document_example())),
            ("diff", example("With `Prefer: return=diff`", changes_example())),
        ])
        .build()
}

fn service_success(endpoint: Endpoint, method: &Method) -> Response {
    let (description, example) = match endpoint {
        Endpoint::Root => {
            let version = env!("CARGO_PKG_VERSION");
            let example = json!({"name": "meldb", "version": version, "docs": "/docs"});
            ("The server's name and version, and where it is described to people", example)
        }
        Endpoint::Health => ("The process lives", json!({"status": "ok"})),
        Endpoint::WhoAmI => {
            let example = json!({
                "id": "0123456789abcdef", "name": "signup", "tenant": "acme",
                "scopes": ["provisioning:users.write"], "created": 1_764_000_000_000_u64, "expires": null,
            });
            (
                "The key without its secret; of an operator `operator` in place of tenant and scopes",
                example,
            )
        }
        _ => ("It is ready", json!({"status": "ready"})),
    };
    let builder = ResponseBuilder::new().description(description);
    if *method == Method::HEAD {
        return builder.build();
    }
    let schema = ObjectBuilder::new().schema_type(Type::Object);
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    builder.content("application/json", content).build()
}

fn errors(endpoint: Endpoint, method: &Method) -> Vec<Code> {
    let mut codes = vec![Code::HeadersTooLarge];
    if endpoint == Endpoint::Ready && *method != Method::OPTIONS {
        codes.push(Code::Unavailable);
    }
    if !endpoint.is_api() {
        codes.extend((!endpoint.is_probe()).then_some(Code::TooManyRequests));
        return codes;
    }
    // Without a name, a query or a body there is nothing that could be malformed.
    let has_nothing = *method == Method::OPTIONS && !endpoint.template().contains('{');
    codes.extend((!has_nothing).then_some(Code::BadRequest));
    codes.extend([
        Code::InternalError,
        Code::Unauthenticated,
        Code::TooManyRequests,
        // There is no room for the answer, the audit log cannot be written, or the store cannot.
        Code::Unavailable,
    ]);
    // Whoever is known may know that.
    codes.extend((endpoint != Endpoint::WhoAmI).then_some(Code::PermissionDenied));
    codes.extend(admin::errors(endpoint, method));
    codes.extend(history::errors(endpoint, method));
    codes.extend(indexes::errors(endpoint, method));
    codes.extend(bulk::errors(endpoint, method));
    if endpoint == Endpoint::Changes && *method != Method::OPTIONS {
        codes.push(Code::Gone);
    }
    if endpoint == Endpoint::Query && *method == Method::POST {
        codes.extend([Code::RequestTimeout, Code::PayloadTooLarge, Code::UnsupportedMediaType]);
    }
    let on_document = endpoint.is_document() && *method != Method::OPTIONS;
    if on_document {
        codes.push(Code::PreconditionFailed);
        codes.extend((*method != Method::POST).then_some(Code::NotFound));
    }
    let is_batch = endpoint == Endpoint::Batch && *method == Method::POST;
    if is_batch {
        // What its operations may be refused for.
        codes.extend([Code::NotFound, Code::PreconditionFailed]);
    }
    if is_write(method) && (on_document || is_batch) {
        let of_writes = [
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::InsufficientStorage,
            // While a request with the same key is being answered; of patches also by themselves.
            Code::Conflict,
            Code::UnprocessableContent,
        ];
        codes.extend(of_writes);
        codes.extend((*method != Method::DELETE).then_some(Code::UnsupportedMediaType));
    }
    codes
}
