//! A filter holds where the plain evaluation of exact values does.

use std::{cmp::Ordering, str::FromStr};

use arbitrary::{Arbitrary, Result, Unstructured};
use meldb::{
    Collection, Filter, JsonText, QueryError, Store, limits::QUERY_BYTES_MAX, memory_engine,
};
use num_bigint::BigInt;
use num_rational::BigRational;
use serde_json::Value;

use crate::{
    Case,
    generate::{NAMES, SCALARS},
};

/// A document, and what is asked of it.
#[derive(Clone, Debug)]
pub struct Asked {
    document: String,
    question: Question,
}

/// A filter in its plainest form.
#[derive(Clone, Debug)]
enum Question {
    All(Vec<Question>),
    Any(Vec<Question>),
    Test { path: Vec<String>, operator: &'static str, value: Value },
}

const OPERATORS: &[&str] =
    &["=", "!=", "<", "<=", ">", ">=", "in", "has", "^=", "missing", "exists"];

impl<'a> Arbitrary<'a> for Asked {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let document = Case::arbitrary(u)?.document;
        let value: Value = serde_json::from_str(&document).expect("a good document");
        let question = question(u, &value, 3)?;
        Ok(Self { document, question })
    }
}

fn question(u: &mut Unstructured<'_>, document: &Value, depth: usize) -> Result<Question> {
    if depth > 0 && u.ratio(1, 2)? {
        let count = u.int_in_range(2..=4)?;
        let parts = (0..count).map(|_| question(u, document, depth - 1));
        let parts = parts.collect::<Result<_>>()?;
        return Ok(if u.arbitrary()? { Question::All(parts) } else { Question::Any(parts) });
    }
    let (path, found) = place(u, document)?;
    let operator = *u.choose(OPERATORS)?;
    let value = match operator {
        "in" => {
            let count = u.int_in_range(0..=3)?;
            Value::Array((0..count).map(|_| operand(u, document, &found)).collect::<Result<_>>()?)
        }
        "has" => match &found {
            Some(Value::Array(elements)) if !elements.is_empty() => u.choose(elements)?.clone(),
            _ => operand(u, document, &found)?,
        },
        "^=" => {
            let text = match operand(u, document, &found)? {
                Value::String(text) => text,
                _ => String::new(),
            };
            let characters = u.int_in_range(0..=text.chars().count())?;
            Value::String(text.chars().take(characters).collect())
        }
        _ => operand(u, document, &found)?,
    };
    Ok(Question::Test { path, operator, value })
}

/// Returns a path, most often to something, and what is there.
fn place(u: &mut Unstructured<'_>, document: &Value) -> Result<(Vec<String>, Option<Value>)> {
    let (mut path, mut at) = (Vec::new(), Some(document));
    loop {
        let name = match at.and_then(Value::as_object) {
            Some(fields) if !fields.is_empty() && !u.ratio(1, 6)? => {
                let names: Vec<_> = fields.keys().collect();
                (*u.choose(&names)?).clone()
            }
            _ => (*u.choose(NAMES)?).to_owned(),
        };
        at = at.and_then(|value| value.as_object()?.get(&name));
        // The stamps are the store's.
        let name = if path.is_empty() && name.starts_with("updated") { "a".into() } else { name };
        if path.is_empty() {
            at = document.get(&name);
        }
        path.push(name);
        if path.len() == 60 || u.ratio(1, 3)? {
            return Ok((path, at.cloned()));
        }
    }
}

/// Returns a value to compare with: the one that is there, another one of the document, or any.
fn operand(u: &mut Unstructured<'_>, document: &Value, found: &Option<Value>) -> Result<Value> {
    Ok(match (u.int_in_range(0..=3)?, found) {
        (0 | 1, Some(found)) => found.clone(),
        (2, _) => place(u, document)?.1.unwrap_or(Value::Null),
        _ => serde_json::from_str(u.choose(SCALARS)?).expect("a scalar"),
    })
}

impl Question {
    fn text(&self) -> String {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                let word = if matches!(self, Self::All(_)) { " and " } else { " or " };
                let parts: Vec<_> = parts.iter().map(Self::text).collect();
                format!("({})", parts.join(word))
            }
            Self::Test { path, operator, value } => {
                let path: Vec<_> =
                    path.iter().map(|name| Value::from(&name[..]).to_string()).collect();
                match *operator {
                    "missing" | "exists" => format!("{} {operator}", path.join(".")),
                    _ => format!("{} {operator} {value}", path.join(".")),
                }
            }
        }
    }

    fn holds(&self, document: &Value) -> bool {
        let (path, operator, value) = match self {
            Self::All(parts) => return parts.iter().all(|part| part.holds(document)),
            Self::Any(parts) => return parts.iter().any(|part| part.holds(document)),
            Self::Test { path, operator, value } => (path, *operator, value),
        };
        let found = path.iter().try_fold(document, |at, name| at.as_object()?.get(name));
        let Some(found) = found else { return matches!(operator, "missing" | "!=") };
        let order = compare(found, value);
        let same_type = rank(found) == rank(value) || (found.is_boolean() && value.is_boolean());
        match operator {
            "=" => order.is_eq(),
            "!=" => order.is_ne(),
            "<" => same_type && order.is_lt(),
            "<=" => same_type && order.is_le(),
            ">" => same_type && order.is_gt(),
            ">=" => same_type && order.is_ge(),
            "in" => elements(value).iter().any(|one| compare(found, one).is_eq()),
            "has" => elements(found).iter().any(|one| compare(one, value).is_eq()),
            "^=" => match (found, value) {
                (Value::String(found), Value::String(start)) => found.starts_with(&start[..]),
                _ => false,
            },
            "exists" => true,
            _ => false,
        }
    }
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    }
}

/// The order of values, in the plainest way.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            rational(&a.to_string()).cmp(&rational(&b.to_string()))
        }
        (Value::String(a), Value::String(b)) => a.chars().cmp(b.chars()),
        (Value::Array(a), Value::Array(b)) => {
            let orders = a.iter().zip(b).map(|(a, b)| compare(a, b));
            orders.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let sorted = |fields: &serde_json::Map<String, Value>| {
                let mut fields: Vec<_> =
                    fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                fields.sort_by(|a, b| a.0.chars().cmp(b.0.chars()));
                fields
            };
            let (a, b) = (sorted(a), sorted(b));
            let orders =
                a.iter().zip(&b).map(|(a, b)| a.0.cmp(&b.0).then_with(|| compare(&a.1, &b.1)));
            orders.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
        }
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// Returns the value of a number, exactly.
fn rational(number: &str) -> BigRational {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = BigInt::from_str(&format!("{whole}{fraction}")).expect("digits");
    let exponent = i32::from_str(exponent).expect("a small exponent") - fraction.len() as i32;
    let power = BigInt::from(10).pow(exponent.unsigned_abs());
    match exponent < 0 {
        true => BigRational::new(digits, power),
        false => BigRational::from(digits * power),
    }
}

fn collection() -> Collection {
    let store = Store::builder().over_engine(memory_engine()).expect("opened");
    store.tenant("t").expect("an id").collection("c").expect("a name")
}

/// Asks the filter and the plain evaluation, and panics where they differ.
pub fn check_filter(asked: &Asked) {
    thread_local! {
        static COLLECTION: Collection = collection();
    }
    let text = asked.question.text();
    if text.len() > QUERY_BYTES_MAX {
        assert!(text.parse::<Filter>().is_err(), "it is too long: {text}");
        return;
    }
    let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    let stored = COLLECTION.with(|collection| {
        collection.put("d", JsonText(&asked.document)).commit("fuzz").expect("written").document
    });
    let document: Value = serde_json::from_str(&asked.document).expect("a good document");
    let expected = asked.question.holds(&document);
    let found = filter.matches(&stored).expect("a sound document");
    assert_eq!(found, expected, "{text}\n{}", asked.document);
    check_filter_text(text.as_bytes());
}

/// Reads any text as a filter, and panics if it is not read back as it is written.
pub fn check_filter_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for filter in [text.parse::<Filter>(), Filter::from_json(text)].into_iter().flatten() {
        let written = filter.to_string();
        check_form(&filter, &written, written.parse());
        let json = filter.to_json().expect("a good filter");
        check_form(&filter, &json, Filter::from_json(&json));
    }
}

/// Panics if a form of a filter is read back as something else. A form may be longer than the text
/// that the filter was read from, and so longer than a text may be: then it must be refused.
fn check_form(filter: &Filter, form: &str, read: std::result::Result<Filter, QueryError>) {
    match read {
        Err(_) if form.len() > QUERY_BYTES_MAX => {}
        read => assert_eq!(read.as_ref(), Ok(filter), "{form}"),
    }
}
