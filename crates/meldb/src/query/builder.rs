//! Building filters in Rust.

use serde::Serialize;

use super::{
    filter::{Comparison, Filter, Node, Test, WHAT},
    literal::{Literal, reason_of},
    parse::parse_path,
    path::FieldPath,
};
use crate::types::{QueryError, json_value};

/// Returns the start of a condition on the field at a path, such as `seats`, `address.city`, `"odd name"."a.b"`, or `$id`
/// for the document's id.
///
/// An invalid path or value is an error when the filter is used.
///
/// ```
/// use meldb::field;
///
/// let filter = field("address.city").starts_with("Lon").and(field("tags").has("new"));
/// assert_eq!(filter.to_string(), r#"address.city ^= "Lon" and tags has "new""#);
/// ```
pub fn field(path: &str) -> Field {
    Field(parse_path(path))
}

/// A field that a condition is made of; see [`field`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Field(Result<FieldPath, QueryError>);

impl Field {
    /// Holds if the field has this value: numbers by value, strings by their characters, objects in any order.
    pub fn eq(self, value: impl Serialize) -> Filter {
        self.compare(Comparison::Equal, value)
    }

    /// Holds where [`eq`](Self::eq) does not, also where the field is missing.
    pub fn ne(self, value: impl Serialize) -> Filter {
        self.compare(Comparison::NotEqual, value)
    }

    /// Holds if the field has a value of the same type that comes before this one.
    pub fn lt(self, value: impl Serialize) -> Filter {
        self.compare(Comparison::Less, value)
    }

    /// Holds if the field has a value of the same type that does not come after this one.
    pub fn le(self, value: impl Serialize) -> Filter {
        self.compare(Comparison::AtMost, value)
    }

    /// Holds if the field has a value of the same type that comes after this one.
    pub fn gt(self, value: impl Serialize) -> Filter {
        self.compare(Comparison::Greater, value)
    }

    /// Holds if the field has a value of the same type that does not come before this one.
    pub fn ge(self, value: impl Serialize) -> Filter {
        self.compare(Comparison::AtLeast, value)
    }

    /// Holds if the field has one of these values.
    pub fn one_of(self, values: impl IntoIterator<Item = impl Serialize>) -> Filter {
        let values: Result<Vec<_>, _> = values.into_iter().map(literal).collect();
        self.test(values.map(Test::In))
    }

    /// Holds if the field is an array with this value among its elements.
    pub fn has(self, value: impl Serialize) -> Filter {
        self.test(literal(value).map(Test::Has))
    }

    /// Holds if the field is a string that starts with this one.
    pub fn starts_with(self, prefix: &str) -> Filter {
        self.test(Ok(Test::Prefix(Literal::string(prefix))))
    }

    /// Holds if the document has no such field.
    pub fn missing(self) -> Filter {
        self.test(Ok(Test::Missing))
    }

    /// Holds if the document has such a field, be it `null`.
    pub fn exists(self) -> Filter {
        self.test(Ok(Test::Exists))
    }

    fn compare(self, comparison: Comparison, value: impl Serialize) -> Filter {
        self.test(literal(value).map(|value| Test::Compare(comparison, value)))
    }

    fn test(self, test: Result<Test, QueryError>) -> Filter {
        Filter::new(self.0.and_then(|path| Ok(Node::Test(path, test?))))
    }
}

fn literal(value: impl Serialize) -> Result<Literal, QueryError> {
    let text = json_value(&value).map_err(|error| QueryError::new(WHAT, error.to_string()))?;
    Literal::compile(&text).map_err(|error| QueryError::new(WHAT, reason_of(&error)))
}
