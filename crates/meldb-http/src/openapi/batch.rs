//! The schemas of batches, and of what answers to writes have beside documents.

use serde_json::{Value, json};
use utoipa::openapi::{
    Object, ObjectBuilder, Ref, RefOr, Schema, Type,
    schema::{AdditionalProperties, Array, ArrayBuilder, OneOfBuilder, SchemaType},
};

use super::schema::{RFC_3339, matching, one_of, text};
use crate::times::EXPIRY_MS_MIN;

/// The pattern of an operation's path.
const PATH: &str = r"^([A-Za-z0-9][A-Za-z0-9_-]{0,63}/(?!\.{1,2}(/|$))(?!__)[A-Za-z0-9._~@:+=,!$-]{1,255}(/versions/current)?)?$";

/// Returns an example of a batch, which the demo's store takes any number of times.
pub(super) fn batch_example() -> Value {
    json!({"operations": [
        {"op": "merge", "path": "users/user-124", "data": {"role": "owner"}},
        {"op": "put", "path": "jobs/job-2043", "data": {"kind": "export", "state": "queued"}},
    ]})
}

/// Returns an example of the answer to a batch.
pub(super) fn answer_example() -> Value {
    json!({"revision": 10, "results": [
        {"path": "users/user-124", "effect": "merged", "revision": 9},
        {"path": "jobs/job-2043", "effect": "created", "revision": 10},
    ]})
}

pub(super) fn batch() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Writes of one tenant that are made together or not at all"))
        .property("operations", array_of("BatchOperation"))
        .required("operations")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

/// Returns the schema of an operation: one of [`operations`].
pub(super) fn operation() -> Schema {
    let builder = OneOfBuilder::new()
        .description(Some("One write of a batch; `data` is the document or the members to merge"));
    let alternatives = operations().map(|(name, _)| Ref::from_schema_name(name));
    Schema::OneOf(alternatives.into_iter().fold(builder, OneOfBuilder::item).build())
}

/// Returns the schemas of the sorts of operations by their names, each with what it takes.
pub(super) fn operations() -> [(&'static str, Object); 5] {
    let document = || Some(Ref::from_schema_name("DocumentWrite").into());
    let skippable = |builder: ObjectBuilder| {
        let flag = ObjectBuilder::new().schema_type(Type::Boolean);
        conditional(builder).property("skipUnchanged", flag)
    };
    let merge = skippable(sort("merge", document()))
        .property("nulls", one_of(&["remove", "keep"]))
        .property("depth", one_of(&["deep", "shallow"]));
    let patch = sort("patch", Some(RefOr::T(array_of("JsonPatchOperation").into())));
    [
        ("BatchPut", skippable(sort("put", document())).build()),
        ("BatchInsert", sort("insert", document()).build()),
        ("BatchMerge", merge.build()),
        ("BatchPatch", skippable(patch).build()),
        ("BatchDelete", conditional(sort("delete", None)).build()),
    ]
}

/// Returns what all operations have, of one that is called `op`.
fn sort(op: &str, data: Option<RefOr<Schema>>) -> ObjectBuilder {
    let path =
        "COLLECTION/ID, COLLECTION/ID/versions/current, or empty for the tenant's own document";
    let path = ObjectBuilder::from(text()).pattern(Some(PATH)).description(Some(path));
    let builder = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("op", one_of(&[op]))
        .property("path", path)
        .required("op")
        .required("path")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    match data {
        Some(data) => {
            builder.property("data", data).required("data").property("expireAt", expire_at())
        }
        None => builder,
    }
}

/// Adds the conditions, of which an operation takes one.
fn conditional(operation: ObjectBuilder) -> ObjectBuilder {
    operation
        .property(
            "ifRevision",
            revision().description(Some("Only if the document is at this revision")),
        )
        .property(
            "ifUnchangedSince",
            revision().description(Some(
                "Only if no member that is touched has changed since this revision; not beside \
                 `ifRevision`",
            )),
        )
}

/// Returns the schema of a revision that a client names.
fn revision() -> ObjectBuilder {
    integer().maximum(Some(usize::MAX))
}

pub(super) fn answer() -> Object {
    let result = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("path", text())
        .property("effect", effect())
        .property("revision", integer())
        .property("data", Ref::from_schema_name("Document"))
        .property("diff", diff());
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What each operation came to; `revision` is the last one, and null if nothing was written"))
        .property("revision", ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Integer, Type::Null])))
        .property("results", ArrayBuilder::new().items(result))
        .required("revision")
        .required("results")
        .build()
}

/// Returns what `Prefer: return=diff` is answered with.
pub(super) fn changes() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "What a write has changed, as `Prefer: return=diff` asks for; `diff` is null where there was \
             nothing before",
        ))
        .property("effect", effect())
        .property("revision", integer())
        .property("changed", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("diff", diff())
        .required("effect")
        .required("revision")
        .required("changed")
        .required("diff")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build()
}

/// Returns an example of [`changes`].
pub(super) fn changes_example() -> Value {
    let operation = |value: &str| json!([{"op": "replace", "path": "/role", "value": value}]);
    let diff = json!({"forward": operation("owner"), "backward": operation("member")});
    json!({"effect": "merged", "revision": 8, "changed": true, "diff": diff})
}

pub(super) fn failed_operation() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Which operation of a batch it is, counted from 0"))
        .property("index", integer())
        .property("path", text())
        .build()
}

pub(super) fn changed_members() -> Array {
    let member =
        ObjectBuilder::new().schema_type(Type::Object).property("pointer", text()).property(
            "current",
            ObjectBuilder::new()
                .schema_type(SchemaType::AnyValue)
                .description(Some("Absent if the member is gone")),
        );
    ArrayBuilder::new().items(member).build()
}

/// Returns what an operation may say of when its document is gone by itself.
fn expire_at() -> Schema {
    let text = matching(&format!("{RFC_3339}|^never$"));
    let time = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(EXPIRY_MS_MIN));
    let time = time.description(Some("Epoch milliseconds; less looks like seconds"));
    Schema::OneOf(OneOfBuilder::new().item(time).item(text).build())
}

fn effect() -> Object {
    one_of(&["created", "replaced", "merged", "unchanged", "deleted"])
}

fn diff() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property("forward", array_of("JsonPatchOperation"))
        .property("backward", array_of("JsonPatchOperation"))
        .build()
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))
}

fn array_of(schema: &str) -> Array {
    ArrayBuilder::new().items(Ref::from_schema_name(schema)).build()
}
