//! The place behind a document of an answer, as text: `["ada",[3],[]]`, its id and what it is sorted by.

use bytes::Bytes;

use super::{
    literal::{Literal, offset_of, reason_of},
    parse::elements,
    sort::SortValues,
};
use crate::{
    json::{
        order::{Kind, inside},
        unescape::unescape,
    },
    types::{QueryError, limits::SORT_KEYS_MAX},
};

const WHAT: &str = "cursor";

/// Returns the text for an id and the values of a sort order.
pub(crate) fn cursor_text(id: &str, values: &[Option<Bytes>]) -> String {
    // No character of an id is escaped.
    let mut text = format!("[\"{id}\"");
    for value in values {
        // A missing value is an empty list, which `null` is not. Stored text is UTF-8.
        let value = value.as_deref().unwrap_or_default();
        text.push_str(&format!(",[{}]", String::from_utf8_lossy(value)));
    }
    text.push(']');
    text
}

/// Reads such a text.
pub(crate) fn cursor_parts(text: &str) -> Result<(String, SortValues), QueryError> {
    let array = Literal::compile(text)
        .map_err(|error| QueryError::at(WHAT, reason_of(&error), text, offset_of(text, &error)))?;
    let parts = match Kind::of(array.as_bytes()) {
        Ok(Kind::Array) => elements(&array),
        _ => Vec::new(),
    };
    let is = |literal: &Literal, kind| Kind::of(literal.as_bytes()) == Ok(kind);
    let (id, values) = match parts.split_first() {
        Some((id, values)) if is(id, Kind::String) && values.len() <= SORT_KEYS_MAX => (id, values),
        _ => return Err(QueryError::new(WHAT, "it is no list of an id and values")),
    };
    let value = |value: &Literal| match is(value, Kind::Array) {
        true => match &elements(value)[..] {
            [] => Ok(None),
            [one] => Ok(Some(Bytes::copy_from_slice(one.as_bytes()))),
            _ => Err(QueryError::new(WHAT, "a value of it is several")),
        },
        false => Err(QueryError::new(WHAT, "a value of it is no list")),
    };
    let values = values.iter().map(value).collect::<Result<_, _>>()?;
    Ok((unescape(inside(id.as_bytes())).into_owned(), values))
}
