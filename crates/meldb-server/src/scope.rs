//! What a key may do: scopes, parsed once.

use std::{fmt, str::FromStr};

use meldb::CollectionName;
use meldb_http::{Access, Prefix};
use serde::{Deserialize, Serialize};
use strsim::osa_distance;

/// How many letters of a word may be wrong for it to be told which one was meant.
const TYPO_LETTERS_MAX: usize = 2;
/// The first segment of routes about the whole store; no scope opens them.
const ADMIN: &str = "admin";

/// The collections of the platform's reports, whose scopes go without an access.
const PLATFORM_REPORTS: [&str; 2] = ["botconv", "vocconv"];

/// One permission of a key.
///
/// | text | allows |
/// | --- | --- |
/// | `PREFIX:*` | everything under the prefix |
/// | `PREFIX:read`, `PREFIX:write` | reading, or writing, everything under the prefix |
/// | `PREFIX:RESOURCE.read`, `PREFIX:RESOURCE.write` | reading, or writing, one resource |
/// | `PREFIX:RESOURCE.*` | both |
/// | `reporting:botconv`, `reporting:vocconv` | the platform's reports: the same as with `.read` |
///
/// PREFIX is `provisioning`, `changes`, `reporting`, `history` or `mcp`; `changes`, `reporting` and
/// `history` can only be read. RESOURCE is a collection. The wildcard stands for a whole part,
/// never for some of its letters, and write does not include read. What belongs to no collection,
/// such as the tenant's own document, needs a scope without a resource.
///
/// ```
/// use meldb::CollectionName;
/// use meldb_http::{Access, Prefix};
/// use meldb_server::Scope;
///
/// let scope: Scope = "provisioning:users.read".parse()?;
/// let users = CollectionName::parse("users")?;
/// assert!(scope.allows(Prefix::Provisioning, Some(&users), Access::Read));
/// assert!(!scope.allows(Prefix::Provisioning, Some(&users), Access::Write));
/// assert!(!scope.allows(Prefix::Provisioning, None, Access::Read));
/// let misspelt = "provisoning:users.read".parse::<Scope>().unwrap_err();
/// assert_eq!(misspelt.nearest(), Some("provisioning:users.read"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    prefix: Prefix,
    /// `None` means every resource, and what belongs to no resource.
    resource: Option<CollectionName>,
    /// `None` means both.
    access: Option<Access>,
}

/// A text is no scope, or one that could never match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a scope: {reason}{}", meant(nearest.as_deref()))]
pub struct ScopeError {
    text: String,
    reason: &'static str,
    nearest: Option<String>,
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|scope| format!("; is {scope} meant?")).unwrap_or_default()
}

impl ScopeError {
    /// Returns the valid scope that is nearest to the text, if one is near. It never allows more
    /// than the text seems to ask for.
    pub fn nearest(&self) -> Option<&str> {
        self.nearest.as_deref()
    }
}

impl Scope {
    /// Returns whether the scope allows `access` to `resource`, or to what belongs to no resource.
    pub fn allows(
        &self,
        prefix: Prefix,
        resource: Option<&CollectionName>,
        access: Access,
    ) -> bool {
        self.allows_some(prefix, access)
            && (self.resource.is_none() || self.resource.as_ref() == resource)
    }

    /// Returns whether the scope allows `access` to anything under the prefix.
    pub(crate) fn allows_some(&self, prefix: Prefix, access: Access) -> bool {
        self.prefix == prefix && self.access.is_none_or(|allowed| allowed == access)
    }

    /// Reads a scope, or says what is wrong with it.
    fn read(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "write PREFIX:*, PREFIX:read, PREFIX:write, PREFIX:RESOURCE.read, \
                            PREFIX:RESOURCE.write or PREFIX:RESOURCE.*";
        let (prefix, rest) = text.split_once(':').ok_or(FORM)?;
        if prefix == ADMIN {
            return Err("what is about the whole store is opened by operator keys alone; \
                        make one with `meldb keys create --operator`");
        }
        let prefix = prefix_of(prefix)
            .ok_or("PREFIX is provisioning, changes, reporting, history or mcp")?;
        let (resource, access) = match rest.split_once('.') {
            Some((resource, access)) => (Some(resource), access),
            // Reports are read and nothing else, and the platform's are named without saying so.
            None if prefix == Prefix::Reporting && PLATFORM_REPORTS.contains(&rest) => {
                (Some(rest), Access::Read.name())
            }
            None => (None, rest),
        };
        let access = parse_access(access).ok_or(FORM)?;
        let resource = resource.map(CollectionName::parse).transpose();
        let resource = resource.map_err(|_| "RESOURCE must be the name of a collection")?;
        if access == Some(Access::Write) && !prefix.takes_writes() {
            return Err("changes, reporting and history can only be read");
        }
        Ok(Self { prefix, resource, access })
    }
}

/// Returns the valid scope that `text` was probably meant to be.
fn nearest(text: &str) -> Option<Scope> {
    let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (given, rest) = text.split_once(':').unwrap_or(("provisioning", &text));
    if [given, rest].contains(&ADMIN) {
        return None;
    }
    let rest = rest.replace(':', ".");
    let (resource, word) = rest.split_once('.').map_or((None, &*rest), |(r, word)| (Some(r), word));
    let (prefix, resource) = match (closest(given, Prefix::ALL.map(Prefix::name)), resource) {
        (Some(prefix), resource) => (prefix_of(prefix)?, resource),
        // `users:read`: a collection in the place of the prefix.
        (None, None) => (Prefix::Provisioning, Some(given)),
        (None, Some(_)) => return None,
    };
    let (resource, word) = match (closest(word, ["*", "read", "write"]), resource) {
        (Some(word), resource) => (resource, word),
        // `reporting:calls`: a collection and no access. To read it is the least.
        (None, None) => (Some(word), "read"),
        (None, Some(_)) => return None,
    };
    let access = if prefix.takes_writes() { parse_access(word)? } else { Some(Access::Read) };
    let resource = resource.map(|name| CollectionName::parse(name.trim_end_matches('*')));
    Some(Scope { prefix, resource: resource.transpose().ok()?, access })
}

/// Returns the word that another one may be a misspelling of: most of its letters are the same.
fn closest<const COUNT: usize>(text: &str, words: [&'static str; COUNT]) -> Option<&'static str> {
    let distance = |word: &str| osa_distance(&text.to_ascii_lowercase(), word);
    let closest = words.into_iter().min_by_key(|word| distance(word))?;
    let distance = distance(closest);
    (distance <= TYPO_LETTERS_MAX && distance * 2 < closest.len()).then_some(closest)
}

fn prefix_of(name: &str) -> Option<Prefix> {
    Prefix::ALL.into_iter().find(|prefix| prefix.name() == name)
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
        Self::read(text).map_err(|reason| {
            let text: String = text.chars().take(200).collect();
            let nearest = nearest(&text).map(|scope| scope.to_string());
            ScopeError { text, reason, nearest }
        })
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
        f.write_str(self.access.map_or("*", Access::name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part() -> impl Strategy<Value = CollectionName> {
        "[a-zA-Z0-9][a-zA-Z0-9_-]{0,8}".prop_map(|name| CollectionName::parse(&name).expect(&name))
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        proptest::sample::select(&Prefix::ALL[..])
    }

    fn access() -> impl Strategy<Value = Access> {
        prop_oneof![Just(Access::Read), Just(Access::Write)]
    }

    fn scope() -> impl Strategy<Value = Scope> {
        (prefix(), proptest::option::of(part()), proptest::option::of(access()))
            .prop_map(|(prefix, resource, access)| Scope { prefix, resource, access })
    }

    /// Whether the scope allows something that a request can ask for.
    fn can_match(scope: &Scope) -> bool {
        scope.prefix.takes_writes() || scope.access != Some(Access::Write)
    }

    proptest! {
        #[test]
        fn a_scope_that_can_match_reads_back_as_it_is_written(scope in scope()) {
            let read = scope.to_string().parse::<Scope>().ok();
            prop_assert_eq!(read, can_match(&scope).then_some(scope));
        }

        #[test]
        fn a_resource_scope_allows_exactly_its_resource(
            prefix in prefix(), resource in part(), other in proptest::option::of(part()),
            granted in access(), asked in access(),
        ) {
            let scope = Scope { prefix, resource: Some(resource.clone()), access: Some(granted) };
            let same = other.as_ref() == Some(&resource);
            prop_assert_eq!(scope.allows(prefix, other.as_ref(), asked), same && granted == asked);
            prop_assert_eq!(scope.allows(prefix, Some(&resource), asked), granted == asked);
        }

        #[test]
        fn a_prefix_scope_reaches_no_other_prefix(
            prefix in prefix(), other in prefix(), resource in proptest::option::of(part()),
            asked in access(),
        ) {
            let scope = Scope { prefix, resource: None, access: None };
            prop_assert_eq!(scope.allows(other, resource.as_ref(), asked), prefix == other);
        }

        #[test]
        fn a_scope_allows_some_of_a_prefix_where_it_allows_any_resource_of_it(
            scope in scope(), prefix in prefix(), asked in access(),
        ) {
            let some = scope.allows(prefix, scope.resource.as_ref(), asked);
            prop_assert_eq!(scope.allows_some(prefix, asked), some);
        }

        #[test]
        fn a_scope_is_kept_as_its_text(scope in scope().prop_filter("it can match", can_match)) {
            let kept = serde_json::to_value(&scope).expect("a text");
            prop_assert_eq!(&kept, &serde_json::Value::from(scope.to_string()));
            prop_assert_eq!(serde_json::from_value::<Scope>(kept).ok(), Some(scope));
        }

        #[test]
        fn no_text_makes_the_parser_panic_or_lie(
            text in "(provisioning:|changes:|pro:|admin:)?.{0,40}"
        ) {
            match text.parse::<Scope>() {
                Ok(scope) => prop_assert_eq!(scope.to_string(), text),
                Err(error) => {
                    let good = error.nearest().is_none_or(|near| near.parse::<Scope>().is_ok());
                    prop_assert!(good, "{error}");
                }
            }
        }
    }

    #[test]
    fn the_platforms_reports_go_without_an_access() {
        for name in PLATFORM_REPORTS {
            let scope: Scope = format!("reporting:{name}").parse().expect("a scope");
            assert_eq!(scope.to_string(), format!("reporting:{name}.read"));
            for text in [format!("changes:{name}"), format!("provisioning:{name}")] {
                assert!(text.parse::<Scope>().is_err(), "{text}");
            }
        }
        let other = "reporting:calls".parse::<Scope>().expect_err("no scope");
        assert_eq!(other.nearest(), Some("reporting:calls.read"));
    }

    #[test]
    fn the_wildcard_stands_for_a_whole_part_only() {
        for text in [
            "*",
            "*:*",
            "*:read",
            "provisioning",
            "provisioning:",
            ":read",
            "provisioning:*.read",
            "provisioning:us*",
            "provisioning:us*.read",
            "provisioning:.read",
            "provisioning:users.",
            "provisioning:users.re*",
            "provisioning:users",
            "provisioning:users.read.write",
            "provisioning:users:read",
            "provisioning:**",
            "provisioning:READ",
            " provisioning:read",
            "provisioning:read ",
            "Provisioning:read",
            "provisioning/q:read",
            "provisioning:a/b.read",
            "",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text:?} was taken for a scope");
        }
        for rest in ["*", "read", "write", "users.read", "users.write", "users.*"] {
            let text = format!("provisioning:{rest}");
            assert!(text.parse::<Scope>().is_ok(), "{text:?} was refused");
        }
        let long = format!("provisioning:{}.read", "r".repeat(64));
        assert!(long.parse::<Scope>().is_ok());
        let longer = format!("provisioning:{}.read", "r".repeat(65));
        assert!(longer.parse::<Scope>().is_err());
    }

    /// Found by review: misspelt scopes made keys that opened nothing, and `admin:read` made a
    /// tenant's key that downloaded every tenant.
    #[test]
    fn a_scope_that_could_never_match_is_refused_with_the_nearest_one() {
        for (text, expected) in [
            ("provisoning:*", Some("provisioning:*")),
            ("provisioning:users.raed", Some("provisioning:users.read")),
            ("Provisioning:read", Some("provisioning:read")),
            ("users:read", Some("provisioning:users.read")),
            ("users.write", Some("provisioning:users.write")),
            ("provisioning:users", Some("provisioning:users.read")),
            ("provisioning:users*", Some("provisioning:users.read")),
            ("provisioning:users:write", Some("provisioning:users.write")),
            ("reporting:jobconv", Some("reporting:jobconv.read")),
            ("reporting:write", Some("reporting:read")),
            ("changes:users.write", Some("changes:users.read")),
            ("history:write", Some("history:read")),
            ("service:users.read", None),
            ("provisioning:us ers.read", Some("provisioning:users.read")),
            ("provisioning:a/b.read", None),
            ("admin:read", None),
            ("admin:*", None),
            ("admin:backup.read", None),
            ("", None),
        ] {
            let error = text.parse::<Scope>().expect_err(text);
            assert_eq!(error.nearest(), expected, "{text:?}: {error}");
        }
        let admin = "admin:read".parse::<Scope>().expect_err("no scope").to_string();
        assert!(admin.contains("--operator"), "{admin}");
        for text in ["changes:*", "history:users.*", "mcp:*", "mcp:write", "reporting:read"] {
            assert!(text.parse::<Scope>().is_ok(), "{text}");
        }
    }
}
