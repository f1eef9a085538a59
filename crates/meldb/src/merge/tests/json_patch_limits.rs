//! What a JSON Patch may cost, and how far it may reach.

use super::{AFTER, patched, stored};
use crate::json::DEPTH_CAP;
use crate::merge::{Bounds, ConflictKind, JsonPatch, PatchFailure};

fn is_refused(result: Result<Vec<u8>, PatchFailure>, expected: ConflictKind) -> bool {
    matches!(result, Err(PatchFailure::Conflict(conflict)) if conflict.kind == expected)
}

/// Otherwise a patch that only moves things about could be too large, or a bomb pass for small.
#[test]
fn what_is_added_and_taken_away_again_leaves_the_room_that_there_was() {
    let base = stored(r#"{"list":[1,2],"object":{"x":{"y":1}},"text":"before"}"#);
    let size_max = base.len() + 100;
    // How long a value may be for the document to hold it in between.
    let room = |rounds: usize, round: &str| {
        let fits = |length: usize| {
            let value = "x".repeat(length);
            let patch = format!(
                r#"[{}{{"op":"add","path":"/big","value":"{value}"}},{{"op":"remove","path":"/big"}}]"#,
                format!("{round},").repeat(rounds),
            );
            let patch = JsonPatch::compile(patch.as_bytes(), &Bounds::default());
            patch.expect("it compiles").apply(&base, &AFTER, size_max).is_ok()
        };
        let lengths: Vec<usize> = (0..4 * size_max).collect();
        lengths.partition_point(|&length| fits(length))
    };
    let without = room(0, "");
    assert!(size_max < without && without < 2 * size_max, "{without}");
    for round in [
        r#"{"op":"add","path":"/name","value":1},{"op":"remove","path":"/name"}"#,
        r#"{"op":"add","path":"/object/name","value":[1]},{"op":"remove","path":"/object/name"}"#,
        r#"{"op":"add","path":"/list/1","value":"one"},{"op":"remove","path":"/list/1"}"#,
        r#"{"op":"add","path":"/text","value":"after"},{"op":"add","path":"/text","value":"before"}"#,
        r#"{"op":"replace","path":"/text","value":[]},{"op":"replace","path":"/text","value":"before"}"#,
        r#"{"op":"copy","from":"/object/x","path":"/copy"},{"op":"remove","path":"/copy"}"#,
        r#"{"op":"move","from":"/text","path":"/list/-"},{"op":"move","from":"/list/2","path":"/text"}"#,
    ] {
        assert_eq!(room(50, round), without, "{round}");
    }
}

#[test]
fn the_end_of_a_long_array_and_another_name_at_the_same_level_cost_nothing() {
    let elements = vec!["0"; 100_000].join(",");
    let base = stored(&format!(r#"{{"list":[{elements}],"text":"{}"}}"#, "x".repeat(500_000)));
    for round in [
        r#"{"op":"add","path":"/list/-","value":1},{"op":"remove","path":"/list/100000"}"#,
        r#"{"op":"move","from":"/text","path":"/name"},{"op":"move","from":"/name","path":"/text"}"#,
    ] {
        let patch = format!("[{}]", vec![round; 1000].join(","));
        assert!(patched(&base, &patch).is_ok(), "{round}");
    }
    let front = r#"{"op":"remove","path":"/list/0"},{"op":"add","path":"/list/0","value":1}"#;
    let patch = format!("[{}]", vec![front; 1000].join(","));
    assert!(is_refused(patched(&base, &patch), ConflictKind::TooMuchWork));
}

#[test]
fn a_pointer_leads_as_deep_as_documents_may_nest_and_no_deeper() {
    // Text that no client could have sent.
    let nested = format!("{}1{}", "[".repeat(2 * DEPTH_CAP), "]".repeat(2 * DEPTH_CAP));
    let base = format!("{{\n\"updated\":1,\n\"updatedBy\":\"\",\n\"a\":{nested}}}");
    let find = |names: usize| {
        let patch = format!(r#"[{{"op":"test","path":"/a{}","value":1}}]"#, "/0".repeat(names - 1));
        patched(base.as_bytes(), &patch)
    };
    assert!(is_refused(find(DEPTH_CAP), ConflictKind::TestFailed));
    assert!(is_refused(find(DEPTH_CAP + 1), ConflictKind::PathNotFound));
}
