//! Writing a sub-document gives the value that merging it in from outside gives.

use serde_json::{Value, json};

use super::generate::Random;
use super::{AFTER, CASES, assert_stored_form, compile_patch, stored, value};
use crate::merge::{Bounds, Content, MemberPath, MergeOptions};

/// A path that exists more often than not, of names as the client means them.
fn path_into(random: &mut Random, document: &Value) -> Vec<String> {
    let (mut names, mut here) = (Vec::new(), document);
    loop {
        let members = here.as_object().filter(|members| !members.is_empty() && !random.one_in(6));
        let name = match members {
            Some(members) => {
                members.keys().nth(random.below(members.len())).cloned().unwrap_or_default()
            }
            None => "new".to_owned(),
        };
        here = here.get(&name).unwrap_or(&Value::Null);
        names.push(name);
        if names.len() == 4 || random.one_in(2) {
            return names;
        }
    }
}

fn at<'v>(document: &'v Value, names: &[String]) -> &'v Value {
    names.iter().fold(document, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// Puts the value at the path as RFC 7396 would, then restores the nulls that a merge would have dropped.
fn put(document: &mut Value, names: &[String], new: Value) {
    let mut place = document;
    for name in names {
        if !place.is_object() {
            *place = json!({});
        }
        place = place.as_object_mut().expect("made one").entry(name.clone()).or_insert(Value::Null);
    }
    *place = new;
}

fn stamped(mut sub: Value) -> Value {
    sub["updated"] = json!(AFTER.updated_ms);
    sub["updatedBy"] = json!(AFTER.updated_by);
    sub
}

#[test]
fn sub_documents_are_written_like_documents() {
    for case in 0..*CASES / 2 {
        let mut random = Random::new(case);
        let document = random.object(4);
        let base = stored(&random.text(&document));
        let before = value(&base);
        let names = path_into(&mut random, &before);
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let path = MemberPath::new(&borrowed, &Bounds::default()).expect("a good path");
        let json = random.object(2);
        let text = random.text(&json);
        let context =
            || format!("case {case} {names:?}\n{}\n{text}", String::from_utf8_lossy(&base));

        let content = Content::compile(text.as_bytes(), &Bounds::default()).expect("it compiles");
        let result = path.replace(Some(&base), &content, &AFTER).expect("stored form");
        let mut expected = before.clone();
        put(&mut expected, &names, stamped(value(text.as_bytes())));
        assert_eq!(value(&result), expected, "{}", context());
        assert_stored_form(&result, case);

        let old = at(&before, &names);
        let patch = compile_patch(&text, MergeOptions::default());
        let result = path.merge(&base, &patch, &AFTER).expect("stored form");
        assert_eq!(result.is_some(), old.is_object(), "{}", context());
        let Some(result) = result else { continue };
        let mut merged = old.clone();
        json_patch::merge(&mut merged, &value(text.as_bytes()));
        let mut expected = before.clone();
        put(&mut expected, &names, stamped(merged));
        assert_eq!(value(&result), expected, "{}", context());
        assert_stored_form(&result, case);

        let deleted = path.delete(&result, &AFTER).expect("stored form").expect("it is there");
        assert_eq!(at(&value(&deleted), &names), &Value::Null, "{}", context());
        assert_stored_form(&deleted, case);
    }
}
