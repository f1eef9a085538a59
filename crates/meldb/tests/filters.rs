//! What filters mean: the table of cases in `specs/`, and what the table cannot show.

use meldb::{Collection, Error, Filter, JsonText, Sort, Store, field, limits};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows.
    name: String,
    filter: String,
    /// Documents that pass.
    #[serde(default)]
    matches: Vec<String>,
    /// Documents that do not.
    #[serde(default)]
    others: Vec<String>,
    /// Why the filter is refused instead.
    #[serde(default)]
    error: Option<String>,
    /// The column of that, from 1.
    #[serde(default)]
    column: usize,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../specs/filter-semantics.json")).expect("a table")
}

fn users() -> Collection {
    let store = Store::in_memory().expect("opens");
    store.tenant("acme").expect("an id").collection("users").expect("a name")
}

#[test]
fn every_case_of_the_table_holds() {
    let users = users();
    for Case { name, filter: text, matches, others, error, column } in cases() {
        let filter = match (text.parse::<Filter>(), error) {
            (Ok(filter), None) => filter,
            (Err(found), Some(reason)) => {
                assert_eq!(found.reason(), reason, "{name}");
                assert_eq!(found.position(), Some((1, column)), "{name}");
                continue;
            }
            (found, _) => panic!("{name}: {found:?}"),
        };
        for (documents, expected) in [(matches, true), (others, false)] {
            for document in documents {
                let stored = users.put("case", JsonText(&document)).commit("spec").expect(&name);
                let found = filter.matches(&stored.document).expect("a sound document");
                assert_eq!(found, expected, "{name}: {text}: {document}");
            }
        }
    }
}

#[test]
fn a_filter_reads_back_from_its_text_and_its_json() {
    for case in cases().iter().filter(|case| case.error.is_none()) {
        let filter: Filter = case.filter.parse().expect("a filter");
        assert_eq!(filter.to_string().parse().as_ref(), Ok(&filter), "{}", case.name);
        let json = filter.to_json().expect("JSON");
        assert_eq!(Filter::from_json(&json).as_ref(), Ok(&filter), "{}: {json}", case.name);
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    }
}

#[test]
fn the_builder_makes_what_is_read() {
    let built = field("role").one_of(["owner", "admin"]).and(
        field("seats")
            .ge(3)
            .or(field("a.\"b c\"").missing())
            .or(field("n").ne(1.5).and(field("$id").starts_with("x"))),
    );
    let text = r#"role in ["owner","admin"] and (seats >= 3 or a."b c" missing or (n != 1.5 and $id ^= "x"))"#;
    assert_eq!(built.to_string(), text);
    assert_eq!(text.parse(), Ok(built));
    assert_eq!(Filter::all().to_string().parse(), Ok(Filter::all()));
}

#[test]
fn what_is_wrong_with_a_built_filter_is_told_when_it_is_used() {
    let stored = users().put("ada", JsonText("{}")).commit("me").expect("written").document;
    for (filter, reason) in [
        (
            field("a b").eq(1),
            "expected the end of the path; a name with other characters is quoted",
        ),
        (field("").eq(1), "expected the name of a field"),
        (
            field("a").eq(f64::NAN).and(field("b").eq(1)),
            "a number is NaN or infinite, which JSON does not have; leave it out, or give `null`",
        ),
        (
            (0..=limits::FILTER_TERMS_MAX)
                .map(|n| field("a").eq(n))
                .reduce(Filter::or)
                .expect("some"),
            "it has more than 100 conditions",
        ),
        (
            field("a").one_of(0..=limits::FILTER_VALUES_MAX),
            "it has more than 1000 values in a list of `in`",
        ),
    ] {
        match filter.matches(&stored) {
            Err(Error::InvalidQuery(error)) => assert_eq!(error.reason(), reason),
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn json_that_is_no_filter_is_refused() {
    for (json, reason) in [
        ("{", "expected a member name in quotes"),
        ("[]", "[] is no object with `and`, `or` or `field`"),
        (r#"{"and":[]}"#, "[] is no list of filters"),
        (r#"{"and":[1]}"#, "1 is no object with `and`, `or` or `field`"),
        (r#"{"field":"a"}"#, r#"{"field":"a"} has not `and`, `or`, or `field` and `op` alone"#),
        (
            r#"{"field":"a","op":"like","value":1}"#,
            "`like` is none of = != < <= > >= ^= in has missing exists",
        ),
        (r#"{"field":"a","op":"in","value":1}"#, "`in` takes a list as its value"),
        (r#"{"field":"a","op":"missing","value":1}"#, "`missing` takes no value"),
        (r#"{"field":"a","op":"="}"#, "`=` takes a value"),
        (r#"{"field":[],"op":"missing"}"#, "a path has 1 to 512 names"),
        (r#"{"field":["a",1],"op":"missing"}"#, r#"["a",1] is no list of names"#),
        (
            r#"{"field":"a b","op":"missing"}"#,
            "expected the end of the path; a name with other characters is quoted",
        ),
        (
            r#"{"fields":"a","op":"missing"}"#,
            r#"`fields` is not expected in {"fields":"a","op":"missing"}"#,
        ),
    ] {
        let error = Filter::from_json(json).expect_err(json);
        assert_eq!(error.reason(), reason, "{json}");
    }
    let deep = format!(
        "{}{{\"field\":\"a\",\"op\":\"exists\"}}{}",
        r#"{"and":["#.repeat(25),
        "]}".repeat(25)
    );
    assert_eq!(Filter::from_json(&deep).expect_err("deep").reason(), "it has more than 16 levels");
}

/// What is refused is refused before anything is built of it.
#[test]
fn hostile_filters_are_refused_at_once() {
    let terms = vec!["a = 1"; 100_000].join(" and ");
    let brackets = "(".repeat(60_000);
    let path = vec!["a"; 30_000].join(".") + " = 1";
    let values = format!("a in [{}1]", "1,".repeat(2_000));
    let nested = format!("a = {}", "[".repeat(60_000));
    for (text, reason) in [
        (&terms, "it is longer than 65536 bytes"),
        (&terms[..8 * 1000 - 3].to_owned(), "it has more than 100 conditions"),
        (&brackets, "it has more than 16 levels of brackets"),
        (&path, "a path has 1 to 512 names"),
        (&values, "the list has more than 1000 values"),
        (&nested, "the value has no end"),
    ] {
        assert_eq!(text.parse::<Filter>().expect_err("hostile").reason(), reason);
    }
    let nested = format!("a = {}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(
        nested.parse::<Filter>().expect_err("deep").reason(),
        "the value is nested too deep"
    );
}

#[test]
fn an_error_has_line_and_column() {
    let error = "a = 1\nand b = [1,\n 2, x]".parse::<Filter>().expect_err("no JSON");
    assert_eq!(error.position(), Some((3, 5)));
    let error = "a = 1\nand b".parse::<Filter>().expect_err("no operator");
    let shown = "the filter is not valid: expected one of = != < <= > >= ^= in has missing exists, at line 2, column 6";
    assert_eq!(error.to_string(), shown);
    let error = "a,,b".parse::<Sort>().expect_err("no name");
    assert_eq!(
        error.to_string(),
        "the sort order is not valid: expected the name of a field, at line 1, column 3"
    );
}
