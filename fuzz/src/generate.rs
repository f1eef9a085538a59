//! Documents, and patches derived from them: a patch of random names would never hit.

use std::borrow::Cow;

use arbitrary::{Arbitrary, Result, Unstructured};
use meldb::{Depth, Nulls};

/// A document, a patch made from it, and how to merge it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The text of an object.
    pub document: String,
    /// The text of a merge patch that names some of its members.
    pub patch: String,
    /// What `null` means.
    pub nulls: Nulls,
    /// How deep the merge goes.
    pub depth: Depth,
}

/// Names with everything that needs escaping, is nearly the same as another, or means something
/// elsewhere.
pub(crate) const NAMES: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "abc",
    "A",
    "\n",
    "\"",
    "\\",
    "\"a\":",
    "é",
    "😀",
    "\u{7f}",
    "\u{1}",
    "a/b",
    "~0",
    "updated",
    "updatedBy",
    "updatedX",
    "$serde_json::private::Numbe",
    "{",
    "}",
    "[",
    ",",
    ":",
    "null",
    "0",
    "long-name-that-shares-a-prefix-1",
    "long-name-that-shares-a-prefix-2",
];

pub(crate) const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "1.0",
    "1e0",
    "1E+2",
    "-1.50e-7",
    "1e400",
    "-1e-400",
    "12345678901234567890123456789012345678901",
    "0.10000000000000000000000000000000000001",
    r#""""#,
    r#""a""#,
    r#""\u0041""#,
    r#""\ud83d\ude00""#,
    r#""😀""#,
    r#""\/""#,
    r#""\n\t\"\\""#,
    r#""{\"a\":1}""#,
    r#""},""#,
    r#""\u0000""#,
];

/// Levels that a document or a patch may be wrapped in; with its own they stay within the default bounds.
const WRAPS_MAX: usize = 55;

/// Members that may be added to a document, to make it as long as those that are searched in blocks.
const FILLERS_MAX: usize = 500;

/// A member; the name comes first.
type Member = (Cow<'static, str>, Json);

#[derive(Clone)]
enum Json {
    Scalar(Cow<'static, str>),
    Array(Vec<Json>),
    Object(Vec<Member>),
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut document = object(u, 4)?;
        if u.ratio(1, 16)? {
            fill(u, &mut document)?;
        }
        let mut patch = derived(u, &document, 4)?;
        if u.ratio(1, 16)? {
            (document, patch) = wrapped(u, document, patch)?;
        }
        Ok(Self {
            document: rendered(u, &Json::Object(document))?,
            patch: rendered(u, &Json::Object(patch))?,
            nulls: if u.ratio(1, 4)? { Nulls::Keep } else { Nulls::Remove },
            depth: if u.ratio(1, 4)? { Depth::Shallow } else { Depth::Deep },
        })
    }
}

fn object(u: &mut Unstructured<'_>, depth: usize) -> Result<Vec<Member>> {
    let mut members: Vec<Member> = Vec::new();
    for _ in 0..u.int_in_range(0..=if depth == 4 { 24 } else { 5 })? {
        let name = *u.choose(NAMES)?;
        if members.iter().all(|(other, _)| other != name) {
            members.push((name.into(), value(u, depth - 1)?));
        }
    }
    Ok(members)
}

fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<Json> {
    Ok(match u.int_in_range(0..=4)? {
        0 if depth > 0 => Json::Object(object(u, depth)?),
        1 if depth > 0 => {
            let length = u.int_in_range(0..=3)?;
            Json::Array((0..length).map(|_| value(u, depth - 1)).collect::<Result<_>>()?)
        }
        _ => Json::Scalar((*u.choose(SCALARS)?).into()),
    })
}

fn derived(u: &mut Unstructured<'_>, document: &[Member], depth: usize) -> Result<Vec<Member>> {
    let mut patch: Vec<Member> = Vec::new();
    for (name, stored) in document {
        let change = match (u.int_in_range(0..=7)?, stored) {
            (0, _) => Json::Scalar("null".into()),
            (1, _) => value(u, depth - 1)?,
            (2 | 3, Json::Object(members)) if depth > 1 => {
                Json::Object(derived(u, members, depth - 1)?)
            }
            (2, same) => same.clone(),
            _ => continue,
        };
        patch.push((name.clone(), change));
    }
    for (name, change) in object(u, depth.min(2))? {
        if patch.iter().all(|(other, _)| *other != name) {
            let at = u.int_in_range(0..=patch.len())?;
            patch.insert(at, (name, change));
        }
    }
    Ok(patch)
}

/// Adds many members of many lengths, somewhere between the others.
fn fill(u: &mut Unstructured<'_>, members: &mut Vec<Member>) -> Result<()> {
    let fillers = u.int_in_range(1..=FILLERS_MAX)?;
    let (at, step) = (u.int_in_range(0..=members.len())?, u.int_in_range(1..=97_usize)?);
    let filler = |number: usize| {
        let value = match number % 3 {
            0 => format!(r#""{}""#, "x".repeat(number * step % 89)),
            1 => format!(r#"{{"a":[{number},{{}}],"b":"}},\"{{"}}"#),
            _ => number.to_string(),
        };
        (format!("filler-{number}").into(), Json::Scalar(value.into()))
    };
    members.splice(at..at, (0..fillers).map(filler));
    Ok(())
}

/// Nests document and patch in the same names, not always equally deep.
fn wrapped(
    u: &mut Unstructured<'_>,
    mut document: Vec<Member>,
    mut patch: Vec<Member>,
) -> Result<(Vec<Member>, Vec<Member>)> {
    let levels = u.int_in_range(1..=WRAPS_MAX)?;
    let patch_levels = if u.ratio(1, 4)? { u.int_in_range(0..=WRAPS_MAX)? } else { levels };
    let names = (0..WRAPS_MAX).map(|_| u.choose(NAMES).copied()).collect::<Result<Vec<_>>>()?;
    for name in names[..levels].iter().rev() {
        document = vec![((*name).into(), Json::Object(document))];
    }
    for name in names[..patch_levels].iter().rev() {
        patch = vec![((*name).into(), Json::Object(patch))];
    }
    Ok((document, patch))
}

fn rendered(u: &mut Unstructured<'_>, json: &Json) -> Result<String> {
    let mut text = String::new();
    render(u, json, &mut text)?;
    Ok(text)
}

fn render(u: &mut Unstructured<'_>, json: &Json, text: &mut String) -> Result<()> {
    match json {
        Json::Scalar(scalar) => text.push_str(scalar),
        Json::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                space(u, text)?;
                render(u, value, text)?;
            }
            text.push(']');
        }
        Json::Object(members) => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                space(u, text)?;
                render_name(u, name, text)?;
                space(u, text)?;
                text.push(':');
                space(u, text)?;
                render(u, value, text)?;
                space(u, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn space(u: &mut Unstructured<'_>, text: &mut String) -> Result<()> {
    if u.ratio(1, 8)? {
        text.push_str(u.choose(&[" ", "\n", "\t", "\r\n", "  "])?);
    }
    Ok(())
}

/// Writes a name with more escapes than it needs, now and then.
fn render_name(u: &mut Unstructured<'_>, name: &str, text: &mut String) -> Result<()> {
    text.push('"');
    for character in name.chars() {
        if u.ratio(1, 8)? || character < ' ' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let digits =
                    if u.arbitrary()? { format!("{unit:04x}") } else { format!("{unit:04X}") };
                text.push_str("\\u");
                text.push_str(&digits);
            }
        } else {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
    }
    text.push('"');
    Ok(())
}
