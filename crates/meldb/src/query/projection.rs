//! Some fields of a document.

use std::str::FromStr;

use super::{
    locate::{Fields, Tree},
    parse::Parser,
    path::FieldPath,
};
use crate::{
    json::{DamagedText, walk::Members},
    types::{Document, Error, QueryError, Result, limits::PROJECTION_FIELDS_MAX},
};

const WHAT: &str = "list of fields";

/// A list of fields that a document is cut down to, such as `name,address.city`.
///
/// ```
/// let store = meldb::Store::in_memory()?;
/// let users = store.tenant("acme")?.collection("users")?;
/// let ada = serde_json::json!({"name": "Ada", "address": {"city": "London", "zip": "N1"}});
/// let ada = users.put("ada", ada).commit("me")?.document;
/// let some: meldb::Projection = "address.city,nickname".parse()?;
/// assert_eq!(some.of(&ada)?, br#"{"address":{"city":"London"}}"#);
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Debug)]
pub struct Projection(Fields);

impl FromStr for Projection {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(WHAT, text)?;
        let (mut fields, mut count) = (Fields::default(), 0);
        loop {
            match parser.path()? {
                FieldPath::Names(names) => fields.add(&names),
                FieldPath::Id => {
                    return Err(parser.error("$id is always told, and is no field of the document"));
                }
            }
            count += 1;
            if parser.rest().is_empty() {
                return Ok(Self(fields));
            }
            if count == PROJECTION_FIELDS_MAX {
                return Err(
                    parser.error(format!("it has more than {PROJECTION_FIELDS_MAX} fields"))
                );
            }
            if !parser.take(",") {
                return Err(parser.error("expected a comma between two fields"));
            }
        }
    }
}

impl Projection {
    /// Returns the object with those of the fields that the document has, in the document's order, as compact JSON. Takes
    /// time linear in the document.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the document's text is damaged.
    pub fn of(&self, document: &Document) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let copied = copy(self.0.roots(), document.as_bytes(), 0, &mut out);
        copied.map_err(|damage| Error::Damaged {
            what: document.path().to_string(),
            reason: damage.to_string(),
        })?;
        Ok(out)
    }
}

/// Copies the wanted fields of the object at `open`.
fn copy(trees: &[Tree], text: &[u8], open: usize, out: &mut Vec<u8>) -> Result<(), DamagedText> {
    out.push(b'{');
    let start = out.len();
    for member in Members::new(text, open) {
        let member = member?;
        let Some(tree) = Tree::find(trees, &text[member.name.clone()]) else { continue };
        let value = &text[member.value.clone()];
        if !tree.is_whole() && value.first() != Some(&b'{') {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(&text[member.name]);
        out.extend_from_slice(b"\":");
        if tree.is_whole() {
            out.extend_from_slice(value);
        } else {
            copy(tree.children(), text, member.value.start, out)?;
        }
    }
    out.push(b'}');
    Ok(())
}
