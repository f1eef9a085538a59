//! Schemas that all parts of the description use.

use serde_json::{Value, json};
use utoipa::openapi::{Content, ContentBuilder, Object, ObjectBuilder, Ref, Type};

/// The name of a tenant or a collection.
pub(super) const SIMPLE_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$";
/// The name of an index.
pub(super) const INDEX_NAME: &str = "^[A-Za-z0-9_-]{1,64}$";
/// A time of RFC 3339 of this century.
pub(super) const RFC_3339: &str = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])\
     T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,3})?(Z|[+-]0[0-9]:[0-5][0-9])$";

/// Returns an example of a document as it is stored.
pub(super) fn document_example() -> Value {
    json!({"updated": 1_700_000_000_000_u64, "updatedBy": "billing", "name": "Ada Byrne", "role": "owner"})
}

pub(super) fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// Returns an enumeration. A schema has no default: generated clients would send it, also beside
/// what it does not go with.
pub(super) fn one_of(values: &[&str]) -> Object {
    let values = values.iter().map(|value| Value::from(*value));
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(values.collect::<Vec<_>>()))
        .build()
}

pub(super) fn matching(pattern: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

/// Returns the content of an answer with a schema of the components.
pub(super) fn content(schema: &str, example: Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example)).build()
}
