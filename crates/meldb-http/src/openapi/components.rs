//! The parts that operations share: schemas, parameters, errors, the way to send a key.

use serde_json::{Value, json};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, ContentBuilder, HeaderBuilder, Object, ObjectBuilder,
    Ref, RefOr, Required, Response, ResponseBuilder, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{
        AdditionalProperties, ArrayBuilder, KnownFormat, OneOfBuilder, SchemaFormat, SchemaType,
    },
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    admin, batch, bulk, history, indexes,
    schema::{INDEX_NAME, RFC_3339, SIMPLE_NAME, document_example, matching, one_of, text},
};
use crate::{
    error::Code,
    query::PAGE_DOCUMENTS_MAX,
    verbs::{
        changes::PAGE_CHANGES_MAX, history::PAGE_VERSIONS_MAX,
        report::PAGE_DOCUMENTS_MAX as REPORT_MAX,
    },
};

/// The spans of time of a report.
const RANGES: [&str; 3] = ["last_day", "last_week", "last_month"];

pub(super) fn components() -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: of one tenant, with scopes, or of an operator. A key whose scopes do not let it read \
             what it writes is answered with `updated` and `updatedBy` alone"));
    let mut builder = ComponentsBuilder::new()
        .security_scheme("key", SecurityScheme::Http(bearer.build()))
        .schema("Document", document())
        .schema("DocumentWrite", document_write())
        .schema("Listed", listed())
        .schema("Change", change())
        .schema("JsonPatchOperation", json_patch_operation())
        .schema("Batch", batch::batch())
        .schema("BatchOperation", batch::operation())
        .schema("BatchAnswer", batch::answer())
        .schema("Changes", batch::changes())
        .schema("Tenant", admin::tenant())
        .schema("Quota", admin::quota())
        .schema("Erased", admin::erased())
        .schema("Key", admin::key())
        .schema("NewKey", admin::new_key())
        .schema("Rotation", admin::rotation())
        .schema("Imported", admin::imported())
        .schema("BackupSummary", admin::backup_summary())
        .schema("ClockReset", admin::clock_reset())
        .schema("Query", question())
        .schema("Count", count())
        .schema("Collections", collections())
        .schema("Error", error());
    for (name, operation) in batch::operations() {
        builder = builder.schema(name, operation);
    }
    for (name, schema) in indexes::schemas() {
        builder = builder.schema(name, schema);
    }
    for (name, schema) in bulk::schemas() {
        builder = builder.schema(name, schema);
    }
    for (name, schema) in history::schemas() {
        builder = builder.schema(name, schema);
    }
    for (component, parameter) in [
        path("tenantId", "tenantId", "The tenant that the key belongs to", TENANT_ID),
        path("collection", "collection", COLLECTION_MEANING, ("users", SIMPLE_NAME)),
        path("docId", "docId", DOCUMENT_MEANING, ("user-123", DOC_ID)),
        path("keyId", "keyId", "The id of a key", ("0123456789abcdef", KEY_ID)),
        path("versionedCollection", "collection", COLLECTION_MEANING, ("bots", SIMPLE_NAME)),
        path("versionedDocId", "docId", DOCUMENT_MEANING, ("bot-7", DOC_ID)),
        query(
            "after",
            "Behind this revision or cursor, or `now` for what is still to come; without it, from the start",
            matching(&format!("{CHANGE_CURSOR}|^now$")),
        ),
        named("changesOf", "collection", "Only changes of this collection", simple_name()),
        named("changesLimit", "limit", "The most changes of a page", limit_to(PAGE_CHANGES_MAX)),
        query("documents", "Whether each change has its document", flag()),
        named(
            "changesWhere",
            "where",
            "Only changes whose document passes this filter now, and deletes; with `collection` and `documents`. Given \
             several times, all of them",
            text(),
        ),
        header(
            "Last-Event-ID",
            "Behind the event with this id, if it is not empty; wins over `after`",
            matching(&format!("{CHANGE_CURSOR}|^$")),
        ),
        query(
            "range",
            "The time that the report covers; `last_day` if no span is given",
            one_of(&RANGES),
        ),
        query(
            "from",
            "Its first moment: epoch milliseconds or RFC 3339; without `range`; 1970 if only `to` is given",
            moment(),
        ),
        query("to", "Its end, which is left out; now, if not given", moment()),
        named("reportLimit", "limit", "The most documents of a page", limit_to(REPORT_MAX)),
        named(
            "reportCursor",
            "cursor",
            "Where the page begins: `cursor.next` of the one before, whose span of time goes on",
            text(),
        ),
        query(
            "nulls",
            "What a null in the patch does; `remove` if not given",
            one_of(&["remove", "keep"]),
        ),
        query(
            "depth",
            "How deep the merge goes; `deep` if not given",
            one_of(&["deep", "shallow"]),
        ),
        query(
            "skipUnchanged",
            "Write nothing, and stamp nothing, if no member would change",
            flag(),
        ),
        query(
            "dryRun",
            "Write nothing, and answer with the result that the write would have",
            flag(),
        ),
        required_query(
            "all",
            "all",
            "That every document of the collection is meant",
            ("true", one_of(&["true"])),
        ),
        query(
            "expireAt",
            "When the document is gone by itself: epoch milliseconds, RFC 3339, or `never`. Without this a merge \
             keeps what the document has, and a document that is put has no such time",
            expire_at(),
        ),
        query(
            "limit",
            "The most documents of a page; without it, all are streamed",
            limit_to(PAGE_DOCUMENTS_MAX),
        ),
        query("cursor", "Where the page begins: taken from the `Link` of the one before", text()),
        named(
            "afterId",
            "after",
            "Only documents behind this id, which need not exist; without `cursor`",
            matching(DOC_ID),
        ),
        query("revisions", "Whether each document has its revision", flag()),
        query(
            "where",
            "Only documents that pass this filter, such as `role = \"owner\" and seats >= 3`; given several times, all of \
             them. Without `limit`, all that pass are streamed",
            text(),
        ),
        query(
            "sort",
            "The fields that the documents are sorted by, the first one first, such as `-seats,address.city`; `-` in \
             front of one that descends, `$id` for the id. By anything but `$id` it needs `limit`",
            text(),
        ),
        query("fields", "Only these fields of each document, such as `name,address.city`", text()),
        named("afterCollection", "after", "Only collections behind this name", simple_name()),
        named(
            "collectionsLimit",
            "limit",
            "The most collections of the answer",
            limit_to(PAGE_DOCUMENTS_MAX),
        ),
        named(
            "countCursor",
            "cursor",
            "Where to go on: taken from the `Link` of the answer before",
            text(),
        ),
        required_query(
            "pointer",
            "pointer",
            "The object in the document, by JSON Pointer (RFC 6901); empty for the document itself",
            ("/versions/current", matching(POINTER)),
        ),
        named(
            "afterRevision",
            "after",
            "Behind the write at this revision, or `now` for what is still to come; without it, from the first that \
             is kept",
            matching("^(0|[1-9][0-9]{0,18})$|^now$"),
        ),
        named("writesOf", "collection", "Only writes of this collection", simple_name()),
        named("versionsLimit", "limit", "The most versions of a page", limit_to(PAGE_VERSIONS_MAX)),
        query("before", "Only versions before this revision", matching(REVISION)),
        query(
            "at",
            "What the document was: after the write at a revision, which is a bare integer, or at a time of RFC 3339",
            history::moment(),
        ),
        query("view", "With `blame`, who set each field of the document", one_of(&["blame"])),
        named(
            "part",
            "pointer",
            "Only the object in the document, by JSON Pointer (RFC 6901)",
            matching(POINTER),
        ),
        required_query(
            "revision",
            "revision",
            "The revision of a write of the document",
            ("2", matching(REVISION)),
        ),
        required_query(
            "actor",
            "actor",
            "Whose writes are taken back: `updatedBy` of them",
            ("importer", text()),
        ),
        required_query(
            "since",
            "since",
            "Only writes after this revision, which is a bare integer, or from this time of RFC 3339 on",
            ("2", history::moment()),
        ),
        named(
            "keptOf",
            "collection",
            "The collection; without it, the tenant's own document",
            simple_name(),
        ),
        named(
            "indexesOf",
            "collection",
            "The collection; without it, all of the tenant's",
            simple_name(),
        ),
        required_query(
            "indexedCollection",
            "collection",
            "The collection",
            ("users", simple_name()),
        ),
        required_query(
            "indexName",
            "name",
            "The name of the index",
            ("by_role", matching(INDEX_NAME)),
        ),
        required_query(
            "redactedField",
            "pointer",
            "The field, by JSON Pointer (RFC 6901) through objects",
            ("/email", matching("^(/([^~/]|~[01])*)+$")),
        ),
        named(
            "importTenant",
            "tenant",
            "The tenant of every line, whatever the line says",
            simple_name(),
        ),
        named("resetTenant", "tenant", "Only this tenant, and not the keys", simple_name()),
        query("firstLine", "The number of the first line, for messages", line_number()),
        header(
            "If-Match",
            "Write only if the document has one of these entity tags",
            matching(ENTITY_TAGS),
        ),
        header(
            "If-None-Match",
            "Write or answer only if it has none of these",
            matching(ENTITY_TAGS),
        ),
        header(
            "If-Unchanged-Since-Revision",
            "Write only if no member that it touches has changed since this revision; goes with \
             neither `If-Match` nor `If-None-Match`",
            matching(REVISION),
        ),
        header(
            "Idempotency-Key",
            "Make the write once, however often it is sent with this key: a repetition is given the \
             first answer, for 24 hours, with `Idempotency-Replayed: true`",
            matching(IDEMPOTENCY_KEY),
        ),
        header(
            "Prefer",
            "`return=minimal` for an answer without the document, `return=diff` for what has changed",
            text(),
        ),
    ] {
        builder = builder.parameter(component, parameter);
    }
    for code in Code::ALL {
        builder = builder.response(code.name(), error_response(code));
    }
    builder.build()
}

const COLLECTION_MEANING: &str = "The collection; it needs no creating";
const DOCUMENT_MEANING: &str = "The document in the collection";
/// The tenant of the demo, whose documents the other examples name as well.
const TENANT_ID: (&str, &str) = ("tenant-alpha", SIMPLE_NAME);
const KEY_ID: &str = "^[0-9a-f]{16}$";
/// A JSON Pointer (RFC 6901).
const POINTER: &str = "^(/([^~/]|~[01])*)*$";
const DOC_ID: &str = r"^(?!\.{1,2}$)(?!__)[A-Za-z0-9._~@:+=,!$-]{1,255}$";

/// A revision without needless digits; the largest ones are left out, to keep it readable.
const REVISION: &str = "^(0|[1-9][0-9]{0,18})$";
const CHANGE_CURSOR: &str = r"^(0|[1-9][0-9]{0,18})(\.(0|[1-9][0-9]{0,18}))?$";
/// A moment of a report in epoch milliseconds.
const TIME: &str = "^-?[0-9]{1,18}$";
/// A string of RFC 9651, or the same without its quotes.
const IDEMPOTENCY_KEY: &str = r#"^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-~]([ -~]{0,253}[!-~])?)$"#;
/// `*`, or a list of entity tags (RFC 9110, section 8.8.3), of which a few are sent at most.
const ENTITY_TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,9})$"#;

fn question() -> Object {
    let filter = OneOfBuilder::new()
        .item(text())
        .item(ObjectBuilder::new().schema_type(Type::Object).build())
        .description(Some(
            "A filter as text, or in its JSON form: `and` or `or` with a list of filters, or `field`, `op` and `value`",
        ));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("where", filter)
        .property("sort", text())
        .property("fields", text())
        .property("limit", limit_to(PAGE_DOCUMENTS_MAX))
        .property("revisions", flag())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

fn count() -> Object {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property(
            "count",
            number().description(Some("How many documents pass, of those looked at")),
        )
        .property("complete", flag())
        .required("count")
        .required("complete")
        .description(Some("If it is not complete, `Link` has where to go on counting"))
        .build()
}

fn collections() -> utoipa::openapi::schema::Array {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let collection = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("name", simple_name())
        .property("documents", number().description(Some("Missing if counting takes too long")))
        .property("bytes", number().description(Some("Of the stored texts")))
        .required("name");
    ArrayBuilder::new().items(collection).build()
}

fn flag() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).build()
}

fn expire_at() -> Object {
    matching(&format!("^[1-9][0-9]{{11,17}}$|{RFC_3339}|^never$"))
}

fn moment() -> Object {
    matching(&format!("{TIME}|{RFC_3339}"))
}

fn limit_to(max: usize) -> Object {
    let builder = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    builder.maximum(Some(max)).build()
}

fn simple_name() -> Object {
    matching(SIMPLE_NAME)
}

/// Returns a part of a path, under a name of its own among the components, with an example and
/// the pattern that it matches.
fn path(
    component: &str,
    name: &str,
    description: &str,
    (example, pattern): (&str, &str),
) -> (String, Parameter) {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(matching(pattern)))
        .example(Some(json!(example)))
        .build();
    (component.to_owned(), parameter)
}

fn query(name: &str, description: &str, schema: Object) -> (String, Parameter) {
    named(name, name, description, schema)
}

/// Returns a parameter of the query with a name of its own among the components, where another
/// endpoint has one of the same name.
fn named(component: &str, name: &str, description: &str, schema: Object) -> (String, Parameter) {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build();
    (component.to_owned(), parameter)
}

fn required_query(
    component: &str,
    name: &str,
    description: &str,
    (example, schema): (&str, Object),
) -> (String, Parameter) {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(json!(example)))
        .build();
    (component.to_owned(), parameter)
}

fn line_number() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build()
}

/// Returns an optional header.
///
/// Its example is part of the description: a page that sends requests would fill in an `example`,
/// and the request would become a conditional one that fails.
fn header(name: &str, description: &str, schema: Object) -> (String, Parameter) {
    let example = match name {
        "Prefer" => "return=minimal",
        "Last-Event-ID" | "If-Unchanged-Since-Revision" => "42",
        "Idempotency-Key" => "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
        _ => "\"42\"",
    };
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(format!("{description}. Example: `{example}`")))
        .schema(Some(schema))
        .build();
    (name.to_owned(), parameter)
}

fn any_members() -> Option<AdditionalProperties<Schema>> {
    Some(AdditionalProperties::FreeForm(true))
}

fn document() -> Object {
    let updated = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("When it was last written, in epoch milliseconds"));
    let by = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The name of the key that wrote it last"));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A JSON object. `updated` and `updatedBy` are the server's stamps; a part of a document that was written together with the whole may lack them"))
        .property("updated", updated)
        .property("updatedBy", by)
        .additional_properties(any_members())
        .examples([document_example()])
        .build()
}

fn document_write() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Any JSON object. `updated` and `updatedBy` in it are ignored"))
        .additional_properties(any_members())
        .examples([json!({"role": "owner"})])
        .build()
}

fn listed() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("id", text())
        .property("revision", ObjectBuilder::new().schema_type(Type::Integer))
        .property("data", Ref::from_schema_name("Document"))
        .required("id")
        .required("data")
        .build()
}

fn change_example() -> Value {
    json!({"revision": 42, "collection": "users", "id": "user-123", "kind": "merged",
           "updated": 1_700_000_000_000_u64, "updatedBy": "billing"})
}

fn change() -> Object {
    let number = || ObjectBuilder::new().schema_type(Type::Integer);
    let kinds = ["put", "merged", "deleted"].map(Value::from).to_vec();
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "The last write of a document. The tenant's own document has no collection and id",
        ))
        .property("revision", number())
        .property("collection", text())
        .property("id", text())
        .property("kind", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(kinds)))
        .property("updated", number())
        .property("updatedBy", text())
        .property("expireAt", number())
        .property("data", Ref::from_schema_name("Document"))
        .required("revision")
        .required("kind")
        .required("updated")
        .required("updatedBy")
        .examples([change_example()])
        .build()
}

/// Returns the content of a page of changes.
pub(super) fn changes_content() -> Content {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("changes", ArrayBuilder::new().items(Ref::from_schema_name("Change")))
        .property("cursor", text())
        .property("more", ObjectBuilder::new().schema_type(Type::Boolean))
        .required("changes")
        .required("cursor")
        .required("more");
    let example = json!({"changes": [change_example()], "cursor": "42", "more": false});
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

/// Returns the content of a page of a report.
pub(super) fn report_content() -> Content {
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("The cursor of the next page, or null"));
    let total = ObjectBuilder::new().schema_type(Type::Integer).description(Some(
        "The documents of the whole report, counted when its first page was made",
    ));
    let schema = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("total", total)
        .property("cursor", ObjectBuilder::new().property("next", next).required("next"))
        .property("data", ArrayBuilder::new().items(Ref::from_schema_name("Document")))
        .required("total")
        .required("cursor")
        .required("data");
    let mut row = document_example();
    row["ID"] = json!("user-123");
    row["TenantID"] = json!("tenant-alpha");
    let example = json!({"total": 1, "cursor": {"next": null}, "data": [row]});
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

fn json_patch_operation() -> Schema {
    let anything = Object::with_type(SchemaType::AnyValue);
    let operations = OneOfBuilder::new()
        .description(Some("One operation of a JSON Patch (RFC 6902)"))
        .item(operation_with(&["add", "replace", "test"], "value", anything))
        .item(operation_with(&["move", "copy"], "from", pointer()))
        .item(operation(&["remove"]))
        .examples([json!({"op": "replace", "path": "/role", "value": "owner"})])
        .build();
    Schema::OneOf(operations)
}

fn operation(names: &[&str]) -> ObjectBuilder {
    let names: Vec<_> = names.iter().map(|name| Value::from(*name)).collect();
    let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("op", name)
        .property("path", pointer())
        .required("op")
        .required("path")
        .additional_properties(any_members())
}

fn operation_with(names: &[&str], member: &str, schema: Object) -> ObjectBuilder {
    operation(names).property(member, schema).required(member)
}

/// Returns the schema of a JSON Pointer (RFC 6901).
fn pointer() -> Object {
    matching(POINTER)
}

fn error() -> Object {
    let codes = Code::ALL.map(|code| Value::from(code.name())).to_vec();
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("code", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)))
        .property("message", text())
        .property("operation", batch::failed_operation())
        .property("members", batch::changed_members())
        .property("fields", ArrayBuilder::new().items(text()))
        .required("code")
        .required("message")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

fn error_response(code: Code) -> Response {
    let message = "what went wrong, in words";
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Error")))
        .example(Some(json!({"code": code.name(), "message": message})))
        .build();
    let mut builder =
        ResponseBuilder::new().description(meaning(code)).content("application/json", content);
    let header = |description: &str| {
        HeaderBuilder::new().schema(Some(text())).description(Some(description)).build()
    };
    match code {
        Code::Unauthenticated => {
            builder = builder.header("WWW-Authenticate", header("`Bearer`"));
        }
        Code::MethodNotAllowed => {
            builder = builder.header("Allow", header("The methods of this address"));
        }
        Code::TooManyRequests => {
            builder = builder.header("Retry-After", header("Seconds to wait"));
        }
        _ => {}
    }
    builder.build()
}

fn meaning(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "The path, a parameter, a header or the body is malformed",
        Code::Unauthenticated => "No key, or one that is unknown, revoked or expired",
        Code::PermissionDenied => "The key belongs to another tenant or lacks the scope",
        Code::NotFound => "There is no such document or key",
        Code::MethodNotAllowed => "This address does not answer this method",
        Code::RequestTimeout => "The body did not arrive in time",
        Code::Conflict => {
            "The patch does not apply to the document, later writes have changed what is to be taken back, or a request with the same Idempotency-Key is \
             being answered"
        }
        Code::Gone => {
            "The cursor is too old, or of another store: begin at the start; or history is not kept from so long ago"
        }
        Code::PreconditionFailed => "The document does not fit the conditions of the request",
        Code::PayloadTooLarge => "The body, or the document after the write, is too large",
        Code::UnsupportedMediaType => "The body is of another media type",
        Code::UnprocessableContent => "The Idempotency-Key was used for another request",
        Code::TooManyRequests => {
            "The key has used up its rate or has too much in flight, or its address sends too many \
             requests without a valid key"
        }
        Code::HeadersTooLarge => "The target and headers are too large",
        Code::InternalError => "Something went wrong on the server",
        Code::Unavailable => {
            "The store takes no writes, or the server is shutting down, has too much in flight, or \
             cannot write its audit log"
        }
        Code::InsufficientStorage => {
            "The server's storage or the tenant's quota is full, or too many requests with \
             Idempotency-Keys are remembered"
        }
    }
}

/// Returns the content of a list.
pub(super) fn list_content() -> Content {
    let schema = ArrayBuilder::new().items(Ref::from_schema_name("Listed"));
    let example = json!([{"id": "user-123", "data": document_example()}]);
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

/// Returns the content of a JSON Patch.
pub(super) fn json_patch_content() -> Content {
    let schema = ArrayBuilder::new().items(Ref::from_schema_name("JsonPatchOperation"));
    let example = json!([{"op": "replace", "path": "/role", "value": "owner"}]);
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

/// Returns a reference to the answer for an error.
pub(super) fn error_ref(code: Code) -> RefOr<Response> {
    Ref::from_response_name(code.name()).into()
}
