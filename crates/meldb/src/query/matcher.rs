//! Asking stored texts whether they pass a filter.

use std::cmp::Ordering;

use super::{
    filter::{Comparison, Filter, Node, Test},
    literal::Literal,
    locate::{Fields, Located, Slot},
    path::FieldPath,
};
use crate::{
    json::{
        DamagedText,
        order::{Kind, compare, inside},
        unescape::unescape,
        walk::Elements,
    },
    types::{Document, DocumentKey, Error, QueryError, Result},
};

/// How many tests that may read a whole array cost about as much as finding the fields.
const THOROUGH_TESTS_FREE: usize = 8;

/// A filter that is ready to be asked of many documents.
#[derive(Debug)]
pub(crate) struct Matcher {
    fields: Fields,
    check: Check,
    /// How many tests may read a whole value of any length.
    thorough_tests: usize,
    /// What is known of the document that is being asked about; its memory is used again.
    located: Located,
}

#[derive(Debug)]
enum Check {
    All(Vec<Check>),
    Any(Vec<Check>),
    Test(Subject, Compiled),
}

/// What a test is about.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Id,
    Field(Slot),
}

#[derive(Debug)]
enum Compiled {
    Compare(Comparison, Operand),
    /// In the order of values.
    In(Vec<Operand>),
    Has(Operand),
    Prefix(String),
    Missing,
    Exists,
}

/// A value that documents are compared with.
#[derive(Debug)]
struct Operand {
    text: Literal,
    kind: Kind,
}

impl Matcher {
    /// Compiles a filter.
    ///
    /// # Errors
    /// It was built of something invalid, or is too large.
    pub(crate) fn new(filter: &Filter) -> Result<Self, QueryError> {
        let node = filter.checked()?;
        let mut fields = Fields::default();
        node.each_test(&mut |path, _| {
            if let FieldPath::Names(names) = path {
                fields.add(names);
            }
        });
        let check = Check::new(node, &fields)?;
        let (thorough_tests, located) = (check.thorough_tests(), fields.nothing_located());
        Ok(Self { fields, check, thorough_tests, located })
    }

    /// Returns what asking a text costs, in bytes of texts that a plain filter is asked of: tests that may read a whole
    /// array each count, if there are more than a few.
    pub(crate) fn cost(&self, text: &[u8]) -> usize {
        text.len() * (1 + self.thorough_tests / THOROUGH_TESTS_FREE)
    }

    /// Returns whether the document with this id and this stored text passes.
    ///
    /// Takes time linear in the text for each of at most four top-level fields, or once for more of them.
    pub(crate) fn matches(&mut self, id: Option<&str>, text: &[u8]) -> Result<bool, DamagedText> {
        self.located.clear();
        // No character of an id is escaped in JSON.
        let id = match self.check.asks_for_id() {
            true => id.map(|id| format!("\"{id}\"")),
            false => None,
        };
        let mut document = Asked {
            fields: &self.fields,
            located: &mut self.located,
            id: id.as_ref().map(|id| id.as_bytes()),
            text,
        };
        self.check.holds(&mut document)
    }
}

impl Filter {
    /// Returns whether a document passes. To ask it of many, use [`Collection::find`](crate::Collection::find).
    ///
    /// A tenant's own document has no id, so that every condition on `$id` but `missing` and `!=` fails.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] if the filter was built of something invalid or is too large, [`Error::Damaged`] if the
    /// document's text is damaged.
    pub fn matches(&self, document: &Document) -> Result<bool> {
        let id = match document.path().key() {
            DocumentKey::Tenant => None,
            DocumentKey::Member { id, .. } => Some(id.as_str()),
        };
        let found = Matcher::new(self)?.matches(id, document.as_bytes());
        found.map_err(|damage| Error::Damaged {
            what: document.path().to_string(),
            reason: damage.to_string(),
        })
    }
}

/// A document that is asked about.
struct Asked<'a> {
    fields: &'a Fields,
    located: &'a mut Located,
    id: Option<&'a [u8]>,
    text: &'a [u8],
}

impl<'a> Asked<'a> {
    fn value(&mut self, subject: Subject) -> Result<Option<&'a [u8]>, DamagedText> {
        match subject {
            Subject::Id => Ok(self.id),
            Subject::Field(slot) => self.fields.value(slot, self.text, self.located),
        }
    }
}

impl Check {
    /// Counts the tests that may read a whole array or object of the document.
    fn thorough_tests(&self) -> usize {
        let is_container = |operand: &Operand| matches!(operand.kind, Kind::Array | Kind::Object);
        match self {
            Self::All(checks) | Self::Any(checks) => checks.iter().map(Self::thorough_tests).sum(),
            Self::Test(_, Compiled::Has(_)) => 1,
            Self::Test(_, Compiled::Compare(_, operand)) => usize::from(is_container(operand)),
            Self::Test(_, Compiled::In(operands)) => {
                operands.iter().filter(|one| is_container(one)).count()
            }
            Self::Test(..) => 0,
        }
    }

    fn new(node: &Node, fields: &Fields) -> Result<Self, QueryError> {
        let all = |nodes: &[Node]| -> Result<Vec<Self>, QueryError> {
            nodes.iter().map(|node| Self::new(node, fields)).collect()
        };
        Ok(match node {
            Node::All(nodes) => Self::All(all(nodes)?),
            Node::Any(nodes) => Self::Any(all(nodes)?),
            Node::Test(path, test) => {
                let subject = match path {
                    FieldPath::Id => Subject::Id,
                    FieldPath::Names(names) => {
                        let slot = fields.slot(names);
                        let lost = || QueryError::new(super::filter::WHAT, "a field was not added");
                        Subject::Field(slot.ok_or_else(lost)?)
                    }
                };
                Self::Test(subject, Compiled::new(test))
            }
        })
    }

    fn asks_for_id(&self) -> bool {
        match self {
            Self::All(checks) | Self::Any(checks) => checks.iter().any(Self::asks_for_id),
            Self::Test(subject, _) => matches!(subject, Subject::Id),
        }
    }

    fn holds(&self, document: &mut Asked<'_>) -> Result<bool, DamagedText> {
        let (checks, decides) = match self {
            Self::All(checks) => (checks, false),
            Self::Any(checks) => (checks, true),
            Self::Test(subject, test) => return test.holds(document.value(*subject)?),
        };
        for check in checks {
            if check.holds(document)? == decides {
                return Ok(decides);
            }
        }
        Ok(!decides)
    }
}

impl Compiled {
    fn new(test: &Test) -> Self {
        let operands = |values: &[Literal]| {
            let mut operands: Vec<_> = values.iter().map(Operand::new).collect();
            operands.sort_by(|a, b| a.compare(b.text.as_bytes()).unwrap_or(Ordering::Equal));
            operands
        };
        match test {
            Test::Compare(comparison, value) => Self::Compare(*comparison, Operand::new(value)),
            Test::In(values) => Self::In(operands(values)),
            Test::Has(value) => Self::Has(Operand::new(value)),
            Test::Prefix(value) => Self::Prefix(unescape(inside(value.as_bytes())).into_owned()),
            Test::Missing => Self::Missing,
            Test::Exists => Self::Exists,
        }
    }

    fn holds(&self, value: Option<&[u8]>) -> Result<bool, DamagedText> {
        let Some(value) = value else {
            return Ok(matches!(self, Self::Missing | Self::Compare(Comparison::NotEqual, _)));
        };
        match self {
            Self::Missing => Ok(false),
            Self::Exists => Ok(true),
            Self::Compare(comparison, operand) => operand.holds(*comparison, value),
            Self::In(operands) => {
                let mut damage = None;
                let found = operands.binary_search_by(|operand| {
                    operand.compare(value).unwrap_or_else(|error| {
                        damage = Some(error);
                        Ordering::Equal
                    })
                });
                damage.map_or(Ok(found.is_ok()), Err)
            }
            Self::Has(operand) => {
                if Kind::of(value)? != Kind::Array {
                    return Ok(false);
                }
                for element in Elements::new(value, 0) {
                    if operand.compare(&value[element?])?.is_eq() {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Prefix(prefix) => {
                if Kind::of(value)? != Kind::String {
                    return Ok(false);
                }
                let raw = inside(value);
                // An escape is longer than its character: that much of the text has the start that is compared.
                Ok(match memchr::memchr(b'\\', raw) {
                    Some(escape) if escape < prefix.len() => {
                        unescape(raw).as_bytes().starts_with(prefix.as_bytes())
                    }
                    _ => raw.starts_with(prefix.as_bytes()),
                })
            }
        }
    }
}

impl Operand {
    fn new(text: &Literal) -> Self {
        // The text is canonical.
        let kind = Kind::of(text.as_bytes()).unwrap_or(Kind::Null);
        Self { text: text.clone(), kind }
    }

    /// Compares this value with another one.
    fn compare(&self, value: &[u8]) -> Result<Ordering, DamagedText> {
        compare(Some(self.text.as_bytes()), Some(value))
    }

    fn holds(&self, comparison: Comparison, value: &[u8]) -> Result<bool, DamagedText> {
        let is_range = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if is_range && !self.kind.is_type_of(Kind::of(value)?) {
            return Ok(false);
        }
        let order = self.compare(value)?.reverse();
        Ok(match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::AtMost => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
        })
    }
}

impl Node {
    /// Calls `each` for every test.
    pub(super) fn each_test(&self, each: &mut impl FnMut(&FieldPath, &Test)) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                nodes.iter().for_each(|node| node.each_test(each))
            }
            Self::Test(path, test) => each(path, test),
        }
    }
}
