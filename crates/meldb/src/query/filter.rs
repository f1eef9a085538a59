//! What documents are chosen by.

use std::fmt;

use super::{literal::Literal, path::FieldPath};
use crate::types::{
    QueryError,
    limits::{FILTER_DEPTH_MAX, FILTER_TERMS_MAX, FILTER_VALUES_MAX},
};

/// What errors call it.
pub(super) const WHAT: &str = "filter";

/// A condition on documents: a tree of conditions on single fields.
///
/// Built with [`field`](crate::field), read from text by [`parse`](str::parse) or from JSON by
/// [`from_json`](Self::from_json); `Display` writes the text. What it means is in the guide, in `docs/guide/queries.md`.
///
/// ```
/// use meldb::{Filter, field};
///
/// let built = field("role").eq("owner").and(field("seats").ge(3));
/// let read: Filter = r#"role = "owner" and seats >= 3"#.parse()?;
/// assert_eq!(built, read);
/// assert_eq!(built.to_string(), r#"role = "owner" and seats >= 3"#);
///
/// let store = meldb::Store::in_memory()?;
/// let users = store.tenant("acme")?.collection("users")?;
/// let ada = users.put("ada", serde_json::json!({"role": "owner", "seats": 3.0})).commit("me")?;
/// assert!(built.matches(&ada.document)?);
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Result<Node, QueryError>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// All of them hold; at least two.
    All(Vec<Node>),
    /// One of them holds; at least two.
    Any(Vec<Node>),
    Test(FieldPath, Test),
}

/// What has to hold of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Compare(Comparison, Literal),
    In(Vec<Literal>),
    Has(Literal),
    /// A string in its canonical text.
    Prefix(Literal),
    Missing,
    Exists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    pub(super) const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::AtMost, Self::Greater, Self::AtLeast];

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Filter {
    pub(super) fn new(node: Result<Node, QueryError>) -> Self {
        Self(node)
    }

    /// Returns the filter that every document passes.
    #[must_use]
    pub fn all() -> Self {
        Self(Ok(Node::Test(FieldPath::Id, Test::Exists)))
    }

    /// Returns the filter that both have to pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.join(other, true)
    }

    /// Returns the filter that one of both has to pass.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.join(other, false)
    }

    fn join(self, other: Self, all: bool) -> Self {
        Self(self.0.and_then(|left| Ok(Node::group(vec![left, other.0?], all))))
    }

    /// Returns the tree, once it is known to be within the limits.
    pub(super) fn checked(&self) -> Result<&Node, QueryError> {
        let node = self.0.as_ref().map_err(Clone::clone)?;
        node.check(&mut 0, 0)?;
        Ok(node)
    }
}

impl Node {
    /// Returns what holds if all of `nodes` do, or one of them; there is at least one.
    pub(super) fn group(nodes: Vec<Self>, all: bool) -> Self {
        let mut parts = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Self::All(inner) if all => parts.extend(inner),
                Self::Any(inner) if !all => parts.extend(inner),
                node => parts.push(node),
            }
        }
        match parts.len() {
            1 => parts.remove(0),
            _ if all => Self::All(parts),
            _ => Self::Any(parts),
        }
    }

    fn check(&self, terms: &mut usize, depth: usize) -> Result<(), QueryError> {
        let refused =
            |what: &str, max| Err(QueryError::new(WHAT, format!("it has more than {max} {what}")));
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                if depth > FILTER_DEPTH_MAX {
                    return refused("levels of brackets", FILTER_DEPTH_MAX);
                }
                nodes.iter().try_for_each(|node| node.check(terms, depth + 1))
            }
            Self::Test(_, test) => {
                *terms += 1;
                match test {
                    _ if *terms > FILTER_TERMS_MAX => refused("conditions", FILTER_TERMS_MAX),
                    Test::In(values) if values.len() > FILTER_VALUES_MAX => {
                        refused("values in a list of `in`", FILTER_VALUES_MAX)
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, is_inner: bool) -> fmt::Result {
        let (nodes, word, brackets) = match self {
            Self::All(nodes) => (nodes, " and ", is_inner),
            Self::Any(nodes) => (nodes, " or ", true),
            Self::Test(path, test) => return write!(f, "{path} {test}"),
        };
        f.write_str(if brackets { "(" } else { "" })?;
        for (index, node) in nodes.iter().enumerate() {
            f.write_str(if index > 0 { word } else { "" })?;
            node.write(f, true)?;
        }
        f.write_str(if brackets { ")" } else { "" })
    }
}

/// Writes the filter as text that reads back as the same filter; what is wrong with it, if it was built of something
/// invalid.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(node) => node.write(f, false),
            Err(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, value) => write!(f, "{} {value}", comparison.symbol()),
            Self::In(values) => write!(f, "in {}", list(values)),
            Self::Has(value) => write!(f, "has {value}"),
            Self::Prefix(value) => write!(f, "^= {value}"),
            Self::Missing => f.write_str("missing"),
            Self::Exists => f.write_str("exists"),
        }
    }
}

/// Returns the values as an array.
pub(super) fn list(values: &[Literal]) -> String {
    let values: Vec<_> = values.iter().map(Literal::as_str).collect();
    format!("[{}]", values.join(","))
}
