//! One line of an import: which document it is about, and the text for it.

use bytes::Bytes;
use meldb::{CollectionName, DocId, DocumentKey, TenantId};

use crate::{
    address::Address,
    failure::{Code, Failure, Result},
    json_text,
};

/// How a line says which document it is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// The tenant of every line; without it, each line has a member `tenant`.
    pub(crate) tenant: Option<TenantId>,
    /// The collection of every line; without it, each line has a member `collection`.
    pub(crate) collection: Option<CollectionName>,
    /// The member of a line that is the id, the line being the document; without it, each line
    /// has the members `id` and `data`.
    pub(crate) id_member: Option<String>,
}

impl Layout {
    /// Returns the document that a line is about, and the text for it, as it stands in the line.
    ///
    /// A line that has no collection and no id is about the tenant's own document. One that says that
    /// the document was deleted, as `meldb export` does, has no text.
    ///
    /// # Errors
    /// `BadRequest` with what is wrong with the line.
    pub(crate) fn read(&self, line: &Bytes) -> Result<(Address, Option<Bytes>)> {
        let members = json_text::members(line)?;
        let member = |name: &str| -> Option<&str> {
            members.iter().find(|member| member.0 == name).map(|member| member.1)
        };
        let envelope = |name: &str| match self.id_member {
            None => member(name),
            // The line is a document, and what it calls a tenant is its own affair.
            Some(_) => None,
        };
        let tenant = match (&self.tenant, envelope("tenant")) {
            (Some(tenant), _) => tenant.clone(),
            (None, Some(value)) => TenantId::parse(&name_in(value, "tenant")?)?,
            (None, None) => return Err(missing("tenant", "or name it with --tenant")),
        };
        let collection = match (&self.collection, envelope("collection")) {
            (Some(collection), _) => Some(collection.clone()),
            (None, Some(value)) => Some(CollectionName::parse(&name_in(value, "collection")?)?),
            (None, None) => None,
        };
        let id_name = self.id_member.as_deref().unwrap_or("id");
        let id = member(id_name).map(|value| name_in(value, id_name)).transpose()?;
        let text = match self.id_member {
            Some(_) => Some(line.clone()),
            None => match member("data") {
                Some(data) => Some(line.slice_ref(data.as_bytes())),
                None if member("kind") == Some("\"deleted\"") => None,
                None => {
                    let hint = "or say with --id-member that the line itself is the document";
                    return Err(missing("data", hint));
                }
            },
        };
        let key = match (collection, id) {
            (Some(collection), Some(id)) => {
                DocumentKey::Member { collection, id: DocId::parse(&id)? }
            }
            (None, None) if self.id_member.is_none() => DocumentKey::Tenant,
            (Some(_), None) => return Err(missing(id_name, "so there is no id")),
            (None, _) => return Err(missing("collection", "or name it with --collection")),
        };
        Ok((Address::new(tenant, key), text))
    }
}

fn bad(message: String) -> Failure {
    Failure::new(Code::BadRequest, message)
}

fn missing(name: &str, hint: &str) -> Failure {
    bad(format!("the member {name:?} is missing")).hint(hint)
}

/// Returns the name that a JSON value is: a string, or the digits of a whole number.
fn name_in(value: &str, member: &str) -> Result<String> {
    if value.starts_with('"') {
        return serde_json::from_str(value).map_err(|error| bad(format!("not JSON: {error}")));
    }
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(value.to_owned());
    }
    Err(bad(format!("the member {member:?} is neither a string nor a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(layout: &Layout, line: &str) -> Result<(String, String)> {
        let line = Bytes::copy_from_slice(line.as_bytes());
        let (address, text) = layout.read(&line)?;
        let text = text.as_deref().map_or("nothing".into(), String::from_utf8_lossy);
        Ok((address.to_string(), text.into_owned()))
    }

    fn users_by(member: &str) -> Layout {
        Layout {
            tenant: TenantId::parse("acme").ok(),
            collection: CollectionName::parse("users").ok(),
            id_member: Some(member.to_owned()),
        }
    }

    #[test]
    fn a_line_names_its_document_and_keeps_its_text() {
        let layout = Layout::default();
        let line = r#"{"tenant":"a","collection":"b","id":"c","data": {"n": 1.50} , "extra":1}"#;
        assert_eq!(read(&layout, line), Ok(("a/b/c".into(), r#"{"n": 1.50}"#.into())));
        let own = r#"{"tenant":"a","data":{}}"#;
        assert_eq!(read(&layout, own), Ok(("a".into(), "{}".into())));
        let gone = r#"{"tenant":"a","collection":"b","id":"c","kind":"deleted"}"#;
        assert_eq!(read(&layout, gone), Ok(("a/b/c".into(), "nothing".into())));
        let document = r#"{"code":7,"tenant":"mine"}"#;
        assert_eq!(read(&users_by("code"), document), Ok(("acme/users/7".into(), document.into())));
    }

    #[test]
    fn flags_win_over_the_members_of_the_line() {
        let layout = Layout { id_member: None, ..users_by("") };
        let line = r#"{"tenant":"other","collection":"jobs","id":"x","data":{}}"#;
        assert_eq!(read(&layout, line), Ok(("acme/users/x".into(), "{}".into())));
    }

    #[test]
    fn a_bad_line_is_told_what_is_wrong_with_it() {
        let envelope = Layout::default();
        let members = users_by("id");
        for (layout, line, reason) in [
            (&envelope, "{", "the text ends too early"),
            (&envelope, "[]", "not a JSON object"),
            (&envelope, r#"{"id":"x","data":{}}"#, "\"tenant\" is missing"),
            (&envelope, r#"{"tenant":"a","id":"x","data":{}}"#, "\"collection\" is missing"),
            (&envelope, r#"{"tenant":"a","collection":"b","data":{}}"#, "\"id\" is missing"),
            (&envelope, r#"{"tenant":"a","collection":"b","id":"c"}"#, "\"data\" is missing"),
            (&envelope, r#"{"tenant":"a","tenant":"b","data":{}}"#, "occurs twice in one object"),
            (&envelope, r#"{"tenant":"$system","data":{}}"#, "is not a tenant id"),
            (&members, r#"{"id":1.5}"#, "neither a string nor a whole number"),
            (&members, r#"{"id":"a/b"}"#, "is not a document id"),
            (&members, r#"{"name":"x"}"#, "\"id\" is missing"),
        ] {
            let failure = read(layout, line).expect_err(line);
            assert!(failure.message.contains(reason), "{line}: {failure}");
        }
    }
}
