//! The differential test with cases drawn at random: 20,000 of each kind, or as many as
//! `MELDB_ORACLE_CASES` says.

use arbitrary::{Arbitrary, Unstructured};
use meldb_fuzz::{Case, check_canonical, check_damaged, check_merge};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

fn cases() -> u64 {
    match std::env::var("MELDB_ORACLE_CASES") {
        Ok(cases) => cases.parse().expect("MELDB_ORACLE_CASES is a number"),
        Err(_) => 20_000,
    }
}

/// Runs `check` on random cases; a failure names the seed that brings it back.
fn each_case(check: impl Fn(&Case, &mut StdRng) + std::panic::RefUnwindSafe) {
    let first = rand::random::<u32>();
    for seed in 0..cases() {
        let seed = u64::from(first) + seed;
        let run = || {
            let mut random = StdRng::seed_from_u64(seed);
            let mut bytes = vec![0; 16_384];
            random.fill_bytes(&mut bytes);
            let case = Case::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes");
            check(&case, &mut random);
            case
        };
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed} fails");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_merge_by_splice_equals_a_merge_by_the_oracle() {
    each_case(|case, _| check_merge(case));
}

#[test]
fn a_document_is_accepted_whole_and_a_damaged_one_refused() {
    each_case(|case, random| {
        check_canonical(case.document.as_bytes());
        check_canonical(&damaged(case.document.as_bytes(), random));
    });
}

#[test]
fn a_merge_into_damaged_text_does_not_panic() {
    each_case(|case, random| {
        let stored = meldb::merge::Content::compile(case.document.as_bytes(), &Default::default())
            .expect("a good document")
            .stamped(&meldb::merge::Stamp { updated_ms: 1, updated_by: "first" });
        check_damaged(case, &damaged(&stored, random));
    });
}

#[test]
fn an_object_that_the_oracle_takes_for_a_number_is_an_object() {
    let text = br#"{"$serde_json::private::Number":1}"#;
    assert!(serde_json::from_slice::<serde_json::Value>(text).is_err());
    check_canonical(text);
    check_canonical(br#"{"a":{"\u0024serde_json::private::Number":"12"}}"#);
    let kept = meldb::merge::Content::compile(text, &Default::default())
        .expect("a good document")
        .stamped(&meldb::merge::Stamp { updated_ms: 1, updated_by: "first" });
    assert!(kept.ends_with(b",\n\"$serde_json::private::Number\":1}"));
}

/// Returns the text with a few bytes changed, dropped or doubled.
fn damaged(text: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..random.random_range(1..4) {
        if text.is_empty() {
            break;
        }
        let at = random.random_range(0..text.len());
        match random.random_range(0..4) {
            0 => text[at] = *b"{}[]\",:\\\n0".get(random.random_range(0..10)).expect("in range"),
            1 => text[at] ^= 1 << random.random_range(0..8),
            2 => drop(text.remove(at)),
            _ => text.truncate(at),
        }
    }
    text
}

#[test]
fn the_oracle_catches_a_planted_difference() {
    let case = Case {
        document: r#"{"a":1.0}"#.to_owned(),
        patch: r#"{"a":1.0}"#.to_owned(),
        nulls: meldb::Nulls::Remove,
        depth: meldb::Depth::Deep,
    };
    check_merge(&case);
    let rounded: serde_json::Value = serde_json::from_str(r#"{"a":1}"#).expect("JSON");
    let exact: serde_json::Value = serde_json::from_str(&case.document).expect("JSON");
    assert_ne!(rounded, exact, "the oracle does not see digits");
}
