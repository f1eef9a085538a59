//! Reading filters and paths from text.
//!
//! ```text
//! filter  = test *( "and" test )
//! test    = "(" filter ")" / "(" test 1*( "or" test ) ")" / path check
//! check   = ( "=" / "!=" / "<" / "<=" / ">" / ">=" / "has" ) value / "in" array / "^=" string / "missing" / "exists"
//! path    = "$id" / name *( "." name )
//! name    = 1*( letter / digit / "_" / "-" ) / string       but no "-" in front
//! value, array, string                                      as in JSON
//! ```
//!
//! Takes time linear in the text, which is at most [`QUERY_BYTES_MAX`] long.

use std::str::FromStr;

use super::{
    filter::{Comparison, Filter, Node, Test, WHAT},
    literal::{Literal, offset_of, reason_of},
    path::{FieldPath, ID, is_plain},
};
use crate::{
    json::{
        unescape::unescape,
        walk::{Elements, string_end, value_end},
    },
    types::{
        QueryError,
        limits::{FILTER_DEPTH_MAX, FILTER_TERMS_MAX, FILTER_VALUES_MAX, QUERY_BYTES_MAX},
    },
};

impl FromStr for Filter {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(WHAT, text)?;
        let node = parser.filter(0)?;
        match parser.rest() {
            "" => Ok(Self::new(Ok(node))),
            rest if parser.word() == "or" || rest.starts_with("||") => {
                Err(parser.error("`or` is written in brackets: (a = 1 or b = 2)"))
            }
            rest if rest.starts_with(')') => Err(parser.error("there is no bracket to close")),
            _ => Err(parser.error("expected `and`, or the end of the filter")),
        }
    }
}

/// Reads a path that is all of `text`.
pub(super) fn parse_path(text: &str) -> Result<FieldPath, QueryError> {
    let mut parser = Parser::new("path", text)?;
    let path = parser.path()?;
    match parser.rest() {
        "" => Ok(path),
        _ => {
            Err(parser
                .error("expected the end of the path; a name with other characters is quoted"))
        }
    }
}

/// Reads a text from the front.
pub(super) struct Parser<'t> {
    what: &'static str,
    text: &'t str,
    at: usize,
    terms: usize,
}

impl<'t> Parser<'t> {
    /// Begins with `text`, which errors call `what`.
    pub(super) fn new(what: &'static str, text: &'t str) -> Result<Self, QueryError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(QueryError::new(
                what,
                format!("it is longer than {QUERY_BYTES_MAX} bytes"),
            ));
        }
        let mut parser = Self { what, text, at: 0, terms: 0 };
        parser.skip_space();
        Ok(parser)
    }

    /// Returns what has not been read.
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Returns the error for what comes next.
    pub(super) fn error(&self, reason: impl Into<String>) -> QueryError {
        QueryError::at(self.what, reason, self.text, self.at)
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Takes `token` and the space behind it, if it comes next.
    pub(super) fn take(&mut self, token: &str) -> bool {
        let comes = self.rest().starts_with(token);
        if comes {
            self.at += token.len();
            self.skip_space();
        }
        comes
    }

    /// Returns the letters that come next.
    fn word(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|character: char| !is_plain(character)).unwrap_or(rest.len());
        &rest[..end]
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.word() == word && self.take(word)
    }

    /// Reads what stands inside of `depth` brackets.
    fn filter(&mut self, depth: usize) -> Result<Node, QueryError> {
        let mut nodes = vec![self.test(depth)?];
        let joint = match self.word() {
            "or" if depth > 0 => "or",
            _ => "and",
        };
        while self.take_word(joint) {
            nodes.push(self.test(depth)?);
        }
        if depth > 0 && matches!(self.word(), "and" | "or") {
            return Err(
                self.error("`and` and `or` are not mixed: put what belongs together in brackets")
            );
        }
        Ok(Node::group(nodes, joint == "and"))
    }

    fn test(&mut self, depth: usize) -> Result<Node, QueryError> {
        let start = self.at;
        if self.take("(") {
            if depth == FILTER_DEPTH_MAX {
                self.at = start;
                return Err(
                    self.error(format!("it has more than {FILTER_DEPTH_MAX} levels of brackets"))
                );
            }
            let node = self.filter(depth + 1)?;
            return match self.take(")") {
                true => Ok(node),
                false => Err(self.error("expected `and`, `or` or the closing bracket")),
            };
        }
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return Err(self.error(format!("it has more than {FILTER_TERMS_MAX} conditions")));
        }
        if self.rest().is_empty() {
            return Err(self.error("expected a condition, such as role = \"owner\""));
        }
        Ok(Node::Test(self.path()?, self.check()?))
    }

    /// Reads a path and the space behind it.
    pub(super) fn path(&mut self) -> Result<FieldPath, QueryError> {
        let start = self.at;
        if self.rest().starts_with('$') {
            self.at += 1;
            if self.word() != &ID[1..] {
                self.at = start;
                return Err(self.error(
                    "only $id, the document's id, begins with $; a field of such a name is quoted",
                ));
            }
            self.take(&ID[1..]);
            return Ok(FieldPath::Id);
        }
        let mut names = vec![self.name()?];
        while self.rest().starts_with('.') {
            self.at += 1;
            names.push(self.name()?);
        }
        self.skip_space();
        FieldPath::of_names(names)
            .map_err(|reason| QueryError::at(self.what, reason, self.text, start))
    }

    fn name(&mut self) -> Result<String, QueryError> {
        if self.rest().starts_with('"') {
            let text = self.string()?;
            let value = self.literal_at(text, self.at - text.len())?;
            let inside = value.as_str();
            return Ok(unescape(&inside.as_bytes()[1..inside.len() - 1]).into_owned());
        }
        match self.word() {
            "" => Err(self.error("expected the name of a field")),
            name if name.starts_with('-') => Err(self.error("a name that begins with - is quoted")),
            name => {
                self.at += name.len();
                Ok(name.to_owned())
            }
        }
    }

    /// Takes a string in its quotes.
    fn string(&mut self) -> Result<&'t str, QueryError> {
        let end = string_end(self.text.as_bytes(), self.at)
            .ok_or_else(|| self.error("the string has no end"))?;
        self.take_until(end)
    }

    /// Takes the text up to an offset.
    fn take_until(&mut self, end: usize) -> Result<&'t str, QueryError> {
        let text = self.text.get(self.at..end).ok_or_else(|| self.error("the value has no end"))?;
        self.at = end;
        Ok(text)
    }

    fn check(&mut self) -> Result<Test, QueryError> {
        if self.rest().starts_with("==") {
            return Err(self.error("two values are compared with a single ="));
        }
        if self.take("^=") {
            return match self.rest().starts_with('"') {
                true => Ok(Test::Prefix(self.value()?)),
                false => Err(self.error("expected a string: ^= compares the start of strings")),
            };
        }
        // The longer ones first.
        for comparison in Comparison::ALL.into_iter().rev().filter(|one| one.symbol().len() == 2) {
            if self.take(comparison.symbol()) {
                return Ok(Test::Compare(comparison, self.value()?));
            }
        }
        for comparison in Comparison::ALL.into_iter().filter(|one| one.symbol().len() == 1) {
            if self.take(comparison.symbol()) {
                return Ok(Test::Compare(comparison, self.value()?));
            }
        }
        if self.take_word("missing") {
            return Ok(Test::Missing);
        }
        if self.take_word("exists") {
            return Ok(Test::Exists);
        }
        if self.take_word("has") {
            return Ok(Test::Has(self.value()?));
        }
        if self.take_word("in") {
            return self.values();
        }
        Err(self.error("expected one of = != < <= > >= ^= in has missing exists"))
    }

    fn values(&mut self) -> Result<Test, QueryError> {
        if !self.rest().starts_with('[') {
            return Err(self.error("expected a list of values, such as [\"owner\", \"admin\"]"));
        }
        let start = self.at;
        let array = self.value()?;
        let values = elements(&array);
        if values.len() > FILTER_VALUES_MAX {
            let reason = format!("the list has more than {FILTER_VALUES_MAX} values");
            return Err(QueryError::at(self.what, reason, self.text, start));
        }
        Ok(Test::In(values))
    }

    /// Reads a JSON value and the space behind it.
    fn value(&mut self) -> Result<Literal, QueryError> {
        let (start, rest) = (self.at, self.rest());
        let text = match rest.bytes().next() {
            None => return Err(self.error("expected a value")),
            Some(b'"') => self.string()?,
            Some(b'{' | b'[') => {
                let end = value_end(self.text.as_bytes(), start);
                self.take_until(end.ok_or_else(|| self.error("the value has no end"))?)?
            }
            Some(b'\'') => return Err(self.error("a string has double quotes: \"…\"")),
            Some(_) => {
                let part = |character: char| is_plain(character) || matches!(character, '.' | '+');
                let end = rest.find(|character| !part(character)).unwrap_or(rest.len());
                let text = &rest[..end];
                let is_word = text.starts_with(|first: char| first.is_alphabetic() || first == '_');
                if is_word && !matches!(text, "true" | "false" | "null") {
                    let reason = format!("{text} is no JSON value; a text has quotes: \"{text}\"");
                    return Err(self.error(reason));
                }
                if text.is_empty() {
                    return Err(self.error("expected a JSON value, such as \"owner\", 3 or true"));
                }
                self.take_until(start + end)?
            }
        };
        let value = self.literal_at(text, start)?;
        self.skip_space();
        Ok(value)
    }

    fn literal_at(&self, text: &str, start: usize) -> Result<Literal, QueryError> {
        Literal::compile(text).map_err(|error| {
            QueryError::at(self.what, reason_of(&error), self.text, start + offset_of(text, &error))
        })
    }
}

/// Returns the elements of an array.
pub(super) fn elements(array: &Literal) -> Vec<Literal> {
    let text = array.as_str();
    // The text is canonical, and so is what is found in it.
    let elements = Elements::new(text.as_bytes(), 0).filter_map(Result::ok);
    elements.map(|element| Literal::of_canonical(&text[element])).collect()
}
