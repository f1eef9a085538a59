//! Canonical text as a value that serde serializes.

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _, SerializeSeq as _},
};

use super::unescape::unescape;
use super::walk::{Elements, Members};

/// The text of one value, which is serialized without being parsed as a whole, in the order of its fields.
///
/// Takes time linear in the text for each level of nesting.
pub(crate) struct JsonValue<'t>(pub(crate) &'t [u8]);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0;
        match text.first() {
            Some(b'{') => {
                let members = Members::new(text, 0);
                let mut map = serializer.serialize_map(Some(members.clone().count()))?;
                for member in members {
                    let member = member.map_err(S::Error::custom)?;
                    let name = unescape(&text[member.name]);
                    map.serialize_entry(&*name, &JsonValue(&text[member.value]))?;
                }
                map.end()
            }
            Some(b'[') => {
                let elements = Elements::new(text, 0);
                let mut sequence = serializer.serialize_seq(Some(elements.clone().count()))?;
                for element in elements {
                    let element = element.map_err(S::Error::custom)?;
                    sequence.serialize_element(&JsonValue(&text[element]))?;
                }
                sequence.end()
            }
            Some(b'"') => serializer.serialize_str(&unescape(&text[1..text.len() - 1])),
            Some(b't') => serializer.serialize_bool(true),
            Some(b'f') => serializer.serialize_bool(false),
            Some(b'n') => serializer.serialize_unit(),
            _ => {
                let number: serde_json::Number =
                    serde_json::from_slice(text).map_err(S::Error::custom)?;
                number.serialize(serializer)
            }
        }
    }
}
