//! What a key may do: scopes, parsed once.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest prefix or resource of a scope, in bytes.
const PART_BYTES_MAX: usize = 64;

/// What a request does to a resource, as far as scopes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It looks: GET, HEAD and OPTIONS.
    Read,
    /// Everything else.
    Write,
}

/// One permission of a key.
///
/// | text | allows |
/// | --- | --- |
/// | `PREFIX:*` | everything under the prefix |
/// | `PREFIX:read`, `PREFIX:write` | reading, or writing, everything under the prefix |
/// | `PREFIX:RESOURCE.read`, `PREFIX:RESOURCE.write` | reading, or writing, one resource |
/// | `PREFIX:RESOURCE.*` | both |
///
/// PREFIX is the first path segment behind `/api/v1/`, RESOURCE the segment behind
/// `tenants/{tenantId}/`, a collection. The wildcard stands for a whole part, never for some of
/// its letters, and write does not include read.
///
/// ```
/// use meldb_http::{Access, Scope};
///
/// let scope: Scope = "provisioning:users.read".parse()?;
/// assert!(scope.allows("provisioning", Some("users"), Access::Read));
/// assert!(!scope.allows("provisioning", Some("users"), Access::Write));
/// assert!(!scope.allows("provisioning", Some("users2"), Access::Read));
/// assert!("provisioning:us*".parse::<Scope>().is_err());
/// # Ok::<(), meldb_http::ScopeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    prefix: String,
    /// `None` means every resource, and what belongs to no resource.
    resource: Option<String>,
    /// `None` means both.
    access: Option<Access>,
}

/// A text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a scope: write PREFIX:*, PREFIX:read, PREFIX:write, PREFIX:RESOURCE.read, \
     PREFIX:RESOURCE.write or PREFIX:RESOURCE.*"
)]
pub struct ScopeError {
    text: String,
}

impl Scope {
    /// Returns whether the scope allows `access` to `resource`, or to what belongs to no resource.
    pub fn allows(&self, prefix: &str, resource: Option<&str>, access: Access) -> bool {
        self.prefix == prefix
            && self.access.is_none_or(|allowed| allowed == access)
            && (self.resource.is_none() || self.resource.as_deref() == resource)
    }

    /// Returns whether the scope allows `access` to anything under the prefix.
    pub(crate) fn allows_some(&self, prefix: &str, access: Access) -> bool {
        self.prefix == prefix && self.access.is_none_or(|allowed| allowed == access)
    }
}

fn is_part(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts_well && text.len() <= PART_BYTES_MAX && text.bytes().all(allowed)
}

fn parse_access(text: &str) -> Option<Option<Access>> {
    match text {
        "*" => Some(None),
        "read" => Some(Some(Access::Read)),
        "write" => Some(Some(Access::Write)),
        _ => None,
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let parse = || {
            let (prefix, rest) = text.split_once(':')?;
            let (resource, access) = match rest.split_once('.') {
                Some((resource, access)) => (Some(resource), access),
                None => (None, rest),
            };
            let access = parse_access(access)?;
            (is_part(prefix) && resource.is_none_or(is_part)).then(|| Self {
                prefix: prefix.to_owned(),
                resource: resource.map(str::to_owned),
                access,
            })
        };
        parse().ok_or_else(|| ScopeError { text: text.chars().take(200).collect() })
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.prefix)?;
        if let Some(resource) = &self.resource {
            write!(f, "{resource}.")?;
        }
        f.write_str(match self.access {
            None => "*",
            Some(Access::Read) => "read",
            Some(Access::Write) => "write",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9][a-zA-Z0-9_-]{0,8}"
    }

    fn access() -> impl Strategy<Value = Access> {
        prop_oneof![Just(Access::Read), Just(Access::Write)]
    }

    proptest! {
        #[test]
        fn every_scope_reads_back_as_it_is_written(
            prefix in part(), resource in proptest::option::of(part()),
            access in proptest::option::of(access()),
        ) {
            let scope = Scope { prefix, resource, access };
            prop_assert_eq!(scope.to_string().parse::<Scope>(), Ok(scope));
        }

        #[test]
        fn a_resource_scope_allows_exactly_its_resource(
            prefix in part(), resource in part(), other in proptest::option::of(part()),
            granted in access(), asked in access(),
        ) {
            let scope = Scope { prefix: prefix.clone(), resource: Some(resource.clone()), access: Some(granted) };
            let same = other.as_deref() == Some(resource.as_str());
            prop_assert_eq!(scope.allows(&prefix, other.as_deref(), asked), same && granted == asked);
            prop_assert_eq!(scope.allows(&prefix, Some(&resource), asked), granted == asked);
        }

        #[test]
        fn a_prefix_scope_reaches_no_other_prefix(
            prefix in part(), other in part(), resource in proptest::option::of(part()), asked in access(),
        ) {
            let scope = Scope { prefix: prefix.clone(), resource: None, access: None };
            prop_assert_eq!(scope.allows(&other, resource.as_deref(), asked), prefix == other);
        }

        #[test]
        fn a_scope_allows_some_of_a_prefix_where_it_allows_any_resource_of_it(
            prefix in part(), other in part(), resource in proptest::option::of(part()),
            granted in proptest::option::of(access()), asked in access(),
        ) {
            let scope = Scope { prefix: prefix.clone(), resource, access: granted };
            for prefix in [prefix, other] {
                let some = scope.allows(&prefix, scope.resource.as_deref(), asked);
                prop_assert_eq!(scope.allows_some(&prefix, asked), some);
            }
        }

        #[test]
        fn a_scope_is_kept_as_its_text(
            prefix in part(), resource in proptest::option::of(part()),
            access in proptest::option::of(access()),
        ) {
            let scope = Scope { prefix, resource, access };
            let kept = serde_json::to_value(&scope).expect("a text");
            prop_assert_eq!(&kept, &serde_json::Value::from(scope.to_string()));
            prop_assert_eq!(serde_json::from_value::<Scope>(kept).ok(), Some(scope));
        }

        #[test]
        fn no_text_makes_the_parser_panic_or_lie(text in ".{0,40}") {
            if let Ok(scope) = text.parse::<Scope>() {
                prop_assert_eq!(scope.to_string(), text);
            }
        }
    }

    #[test]
    fn the_wildcard_stands_for_a_whole_part_only() {
        for text in [
            "*",
            "*:*",
            "*:read",
            "p",
            "p:",
            ":read",
            "p:*.read",
            "p:us*",
            "p:us*.read",
            "p:.read",
            "p:users.",
            "p:users.re*",
            "p:users",
            "p:users.read.write",
            "p:users:read",
            "p:**",
            "p:READ",
            " p:read",
            "p:read ",
            "p/q:read",
            "p:a/b.read",
            "",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text:?} was taken for a scope");
        }
        for text in ["p:*", "p:read", "p:write", "p:users.read", "p:users.write", "p:users.*"] {
            assert!(text.parse::<Scope>().is_ok(), "{text:?} was refused");
        }
        let long = format!("p:{}.read", "r".repeat(PART_BYTES_MAX));
        assert!(long.parse::<Scope>().is_ok());
        let longer = format!("p:{}.read", "r".repeat(PART_BYTES_MAX + 1));
        assert!(longer.parse::<Scope>().is_err());
    }
}
