//! Reading the operations of a JSON Patch.

use json_patch::PatchOperation;

use super::patch::{Action, JsonPatch, Literal, Operation};
use crate::json::compile::{Request, Root, compile as compile_text};
use crate::json::error::Fault;
use crate::json::tape::{Kind, Node};
use crate::json::{Bounds, TextError, TextErrorKind, walk};

impl JsonPatch {
    /// Checks a client's JSON Patch: an array of operations (RFC 6902 §3, §4).
    ///
    /// The rules for the text are those of [`Content::compile`](crate::merge::Content::compile); `bounds` are those of the
    /// document, and the operations around its values may nest two levels deeper.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and where; a bad operation is located by its first byte.
    pub fn compile(text: &[u8], bounds: &Bounds) -> Result<Self, TextError> {
        compile(text, bounds)
    }
}

fn compile(source: &[u8], bounds: &Bounds) -> Result<JsonPatch, TextError> {
    let request = Request {
        root: Root::Operations,
        // The operations themselves, and their fields.
        tape_levels: 2,
        null_removes: false,
        bounds: Bounds { depth_max: bounds.depth() + 2, ..*bounds },
    };
    let compiled = compile_text(source, &request)?;
    let mut operations = Vec::with_capacity(compiled.tape.roots().nodes.len());
    for (index, node) in compiled.tape.roots().nodes.iter().enumerate() {
        let members = match node.kind {
            Kind::Object(object) => Ok(compiled.tape.members(object).nodes),
            Kind::Value | Kind::Remove => Err("it is not an object".to_owned()),
        };
        let operation =
            members.and_then(|members| read(&compiled.text, members)).map_err(|reason| {
                let fault = Fault::new(
                    TextErrorKind::Operation { index, reason },
                    compiled.element_starts[index],
                );
                TextError::new(source, fault)
            })?;
        operations.push(operation);
    }
    Ok(JsonPatch { text: compiled.text, operations, bounds: *bounds })
}

/// Reads one operation; the error says what is wrong with it.
fn read(text: &[u8], members: &[Node]) -> Result<Operation, String> {
    let find = |needle: &[u8]| members.iter().copied().find(|node| &text[node.needle()] == needle);
    let literal = find(b"\"value\":")
        .map(|node| Literal { range: node.value(), depth: walk::depth(&text[node.value()]) });
    let shape =
        shape(text, [find(b"\"op\":"), find(b"\"path\":"), find(b"\"from\":")], literal.is_some());
    let shape: PatchOperation = serde_json::from_slice(&shape).map_err(|error| {
        let reason = error.to_string();
        // The position would be one in `shape`.
        reason.split(" at line ").next().unwrap_or_default().to_owned()
    })?;
    let missing = || "missing field `value`".to_owned();
    let (path, action) = match shape {
        PatchOperation::Add(add) => (add.path, Action::Add(literal.ok_or_else(missing)?)),
        PatchOperation::Remove(remove) => (remove.path, Action::Remove),
        PatchOperation::Replace(replace) => {
            (replace.path, Action::Replace(literal.ok_or_else(missing)?))
        }
        PatchOperation::Move(mov) => (mov.path, Action::Move(mov.from)),
        PatchOperation::Copy(copy) => (copy.path, Action::Copy(copy.from)),
        PatchOperation::Test(test) => (test.path, Action::Test(literal.ok_or_else(missing)?)),
    };
    Ok(Operation { path, action })
}

/// The operation without what `serde_json` need not or cannot read: its value, and fields that have no meaning.
///
/// A field of the wrong sort is left out, so that it counts as missing.
fn shape(text: &[u8], members: [Option<Node>; 3], has_value: bool) -> Vec<u8> {
    let is_string = |node: &Node| text[node.value as usize] == b'"';
    let mut shape = vec![b'{'];
    for node in members.into_iter().flatten().filter(is_string) {
        shape.extend_from_slice(&text[node.member()]);
        shape.push(b',');
    }
    if has_value {
        shape.extend_from_slice(b"\"value\":null,");
    }
    if shape.last() == Some(&b',') {
        shape.pop();
    }
    shape.push(b'}');
    shape
}
