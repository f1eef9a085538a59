//! A JSON Patch on text gives the value that the `json-patch` crate gives.

use json_patch::jsonptr::PointerBuf;
use serde_json::{Value, json};

use super::generate::Random;
use super::{CASES, assert_stored_form, patched, stored, unstamp, value};
use crate::merge::PatchFailure;

/// All pointers into `value`, and some that lead just beside.
fn pointers(value: &Value, here: &PointerBuf, found: &mut Vec<PointerBuf>) {
    found.push(here.clone());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                pointers(value, &here.with_trailing_token(name.as_str()), found);
            }
            found.push(here.with_trailing_token("new"));
            found.push(here.with_trailing_token("~ / \" \\"));
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                pointers(value, &here.with_trailing_token(index.to_string()), found);
            }
            found.push(here.with_trailing_token(elements.len().to_string()));
            found.push(here.with_trailing_token("-"));
        }
        _ if found.len().is_multiple_of(7) => found.push(here.with_trailing_token("0")),
        _ => {}
    }
}

/// Returns an operation that has good prospects on `document`, as text and as value.
fn operation(random: &mut Random, document: &Value) -> (String, Value) {
    let mut all = Vec::new();
    pointers(document, &PointerBuf::root(), &mut all);
    let (path, from) = (random.pick(&all).to_string(), random.pick(&all).to_string());
    let text = loop {
        let json = random.value(2);
        let text = random.text(&json);
        // The root stays an object, or hardly any case would have a result.
        if !path.is_empty() || text.trim_start().starts_with('{') {
            break text;
        }
    };
    let shape = match random.below(8) {
        0 => json!({"op": "remove", "path": path}),
        1 => json!({"op": "move", "from": from, "path": path}),
        2 => json!({"op": "copy", "from": from, "path": path}),
        3 | 4 => json!({"op": "replace", "path": path}),
        5 => {
            let expected = document.pointer(&path).cloned().filter(|_| !random.one_in(10));
            let test = json!({"op": "test", "path": path, "value": expected.unwrap_or_else(|| json!("elsewhere"))});
            return (test.to_string(), test);
        }
        _ => json!({"op": "add", "path": path}),
    };
    let mut whole = shape.clone();
    whole["value"] = serde_json::from_str(&text).expect("the value is JSON");
    let shape = shape.to_string();
    (format!(r#"{},"value":{text}}}"#, &shape[..shape.len() - 1]), whole)
}

#[test]
fn json_patch_is_rfc_6902() {
    let (mut applied, mut refused) = (0, 0);
    for case in 0..*CASES {
        let mut random = Random::new(case);
        let document = random.object(3);
        let base = stored(&random.text(&document));
        let mut expected: Value = serde_json::from_slice(&base).expect("a stored text is JSON");
        let mut texts = Vec::new();
        let mut failed = None;
        for number in 0..1 + random.below(5) {
            let (text, operation) = operation(&mut random, &expected);
            texts.push(text);
            let one: json_patch::Patch =
                serde_json::from_value(json!([operation])).expect("a good operation");
            // A root that is no object any more is the end of the oracle's part.
            if json_patch::patch(&mut expected, &one).is_err() || !expected.is_object() {
                failed = Some(number);
                break;
            }
        }
        let patch = format!("[{}]", texts.join(","));
        let context = || format!("case {case}\n{}\n{patch}", String::from_utf8_lossy(&base));
        match (patched(&base, &patch), failed) {
            (Ok(result), None) => {
                unstamp(&mut expected);
                assert_eq!(value(&result), expected, "{}", context());
                assert_stored_form(&result, case);
                applied += 1;
            }
            (Err(PatchFailure::Conflict(conflict)), Some(number)) => {
                assert_eq!(conflict.operation, number, "{}", context());
                refused += 1;
            }
            (result, failed) => panic!("{result:?} {failed:?} {}", context()),
        }
    }
    assert!(applied > *CASES / 4 && refused > *CASES / 10, "{applied} {refused}");
}
