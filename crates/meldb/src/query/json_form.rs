//! Filters as JSON, for programs that would otherwise have to quote.
//!
//! ```json
//! {"and": [{"field": "role", "op": "=", "value": "owner"},
//!          {"or": [{"field": ["address", "city"], "op": "missing"}, {"field": "seats", "op": ">=", "value": 3}]}]}
//! ```

use super::{
    filter::{Comparison, Filter, Node, Test, WHAT, list},
    literal::{Literal, offset_of, reason_of},
    parse::{elements, parse_path},
    path::{FieldPath, canonical},
};
use crate::{
    json::{
        order::{Kind, inside},
        unescape::unescape,
        walk::Members,
    },
    types::{
        QueryError,
        limits::{FILTER_DEPTH_MAX, QUERY_BYTES_MAX},
    },
};

impl Filter {
    /// Reads a filter from its JSON form: an object with `and` or `or` and a list of filters, or one with `field`, `op`
    /// and, but for `missing` and `exists`, `value`. A field is a path as in text, or a list of names.
    ///
    /// ```
    /// let json = r#"{"and": [{"field": "role", "op": "=", "value": "owner"},
    ///                        {"field": ["address", "post code"], "op": "missing"}]}"#;
    /// let filter = meldb::Filter::from_json(json)?;
    /// assert_eq!(filter.to_string(), r#"role = "owner" and address."post code" missing"#);
    /// assert_eq!(meldb::Filter::from_json(&filter.to_json()?)?, filter);
    /// # Ok::<(), meldb::QueryError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(json: &str) -> Result<Self, QueryError> {
        if json.len() > QUERY_BYTES_MAX {
            return Err(refused(format!("it is longer than {QUERY_BYTES_MAX} bytes")));
        }
        let json = Literal::compile(json).map_err(|error| {
            QueryError::at(WHAT, reason_of(&error), json, offset_of(json, &error))
        })?;
        let filter = Self::new(Ok(read(&json, 0)?));
        filter.checked()?;
        Ok(filter)
    }

    /// Returns the JSON form of the filter.
    ///
    /// # Errors
    /// It was built of something invalid, or is too large.
    pub fn to_json(&self) -> Result<String, QueryError> {
        let mut json = String::new();
        write(self.checked()?, &mut json);
        Ok(json)
    }
}

fn refused(reason: impl Into<String>) -> QueryError {
    QueryError::new(WHAT, reason)
}

fn read(json: &Literal, depth: usize) -> Result<Node, QueryError> {
    if depth > FILTER_DEPTH_MAX + 1 {
        return Err(refused(format!("it has more than {FILTER_DEPTH_MAX} levels")));
    }
    if Kind::of(json.as_bytes()) != Ok(Kind::Object) {
        return Err(refused(format!("{} is no object with `and`, `or` or `field`", shown(json))));
    }
    let text = json.as_str();
    let (mut group, mut path, mut operator, mut value) = (None, None, None, None);
    // The text is canonical, so that nothing in it is damaged.
    for member in Members::new(text.as_bytes(), 0).filter_map(Result::ok) {
        let part = Literal::of_canonical(&text[member.value]);
        match &text[member.name] {
            name @ ("and" | "or") if group.is_none() => group = Some((name == "and", part)),
            "field" => path = Some(read_path(&part)?),
            "op" => operator = Some(part),
            "value" => value = Some(part),
            name => return Err(refused(format!("`{name}` is not expected in {}", shown(json)))),
        }
    }
    match (group, path, operator, value) {
        (Some((all, nodes)), None, None, None) => {
            if Kind::of(nodes.as_bytes()) != Ok(Kind::Array) || nodes.as_str() == "[]" {
                return Err(refused(format!("{} is no list of filters", shown(&nodes))));
            }
            let nodes = elements(&nodes);
            let nodes = nodes.iter().map(|node| read(node, depth + 1)).collect::<Result<_, _>>()?;
            Ok(Node::group(nodes, all))
        }
        (None, Some(path), Some(operator), value) => Ok(Node::Test(path, test(&operator, value)?)),
        _ => {
            Err(refused(format!("{} has not `and`, `or`, or `field` and `op` alone", shown(json))))
        }
    }
}

/// Returns what errors show of a part.
fn shown(json: &Literal) -> String {
    let text = json.as_str();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn read_path(json: &Literal) -> Result<FieldPath, QueryError> {
    let string = |json: &Literal| unescape(inside(json.as_bytes())).into_owned();
    match Kind::of(json.as_bytes()) {
        Ok(Kind::String) => parse_path(&string(json)),
        Ok(Kind::Array) => {
            let names = elements(json);
            if names.iter().any(|name| Kind::of(name.as_bytes()) != Ok(Kind::String)) {
                return Err(refused(format!("{} is no list of names", shown(json))));
            }
            FieldPath::of_names(names.iter().map(string).collect()).map_err(refused)
        }
        _ => Err(refused(format!("{} is no path and no list of names", shown(json)))),
    }
}

fn test(operator: &Literal, value: Option<Literal>) -> Result<Test, QueryError> {
    let operator = unescape(inside(operator.as_bytes())).into_owned();
    let kind = value.as_ref().and_then(|value| Kind::of(value.as_bytes()).ok());
    let comparison = Comparison::ALL.into_iter().find(|one| one.symbol() == operator);
    Ok(match (comparison, &operator[..], value, kind) {
        (Some(comparison), _, Some(value), _) => Test::Compare(comparison, value),
        (_, "in", Some(value), Some(Kind::Array)) => Test::In(elements(&value)),
        (_, "has", Some(value), _) => Test::Has(value),
        (_, "^=", Some(value), Some(Kind::String)) => Test::Prefix(value),
        (_, "missing", None, _) => Test::Missing,
        (_, "exists", None, _) => Test::Exists,
        (_, "missing" | "exists", Some(_), _) => {
            return Err(refused(format!("`{operator}` takes no value")));
        }
        (_, "in", ..) => return Err(refused("`in` takes a list as its value")),
        (_, "^=", ..) => return Err(refused("`^=` takes a string as its value")),
        (Some(_), ..) | (_, "has", ..) => {
            return Err(refused(format!("`{operator}` takes a value")));
        }
        _ => {
            let reason = format!("`{operator}` is none of = != < <= > >= ^= in has missing exists");
            return Err(refused(reason));
        }
    })
}

fn write(node: &Node, json: &mut String) {
    let (nodes, word) = match node {
        Node::All(nodes) => (nodes, "and"),
        Node::Any(nodes) => (nodes, "or"),
        Node::Test(path, test) => return write_test(path, test, json),
    };
    json.push_str(&format!("{{\"{word}\":["));
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write(node, json);
    }
    json.push_str("]}");
}

fn write_test(path: &FieldPath, test: &Test, json: &mut String) {
    let path = canonical(&path.to_string());
    let (operator, value) = match test {
        Test::Compare(comparison, value) => (comparison.symbol(), Some(value.to_string())),
        Test::In(values) => ("in", Some(list(values))),
        Test::Has(value) => ("has", Some(value.to_string())),
        Test::Prefix(value) => ("^=", Some(value.to_string())),
        Test::Missing => ("missing", None),
        Test::Exists => ("exists", None),
    };
    let path = String::from_utf8_lossy(&path);
    json.push_str(&format!("{{\"field\":\"{path}\",\"op\":\"{operator}\""));
    if let Some(value) = value {
        json.push_str(&format!(",\"value\":{value}"));
    }
    json.push('}');
}
