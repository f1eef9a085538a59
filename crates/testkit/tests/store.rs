//! The document-level suite, on every engine.

use std::collections::BTreeSet;

use meldb_testkit::fixture::TestEngine;

mod memory {
    meldb_testkit::store_conformance!(meldb_testkit::fixture::TestEngine::Memory);
}

mod fjall {
    meldb_testkit::store_conformance!(meldb_testkit::fixture::TestEngine::Fjall);
    meldb_testkit::store_on_disk_conformance!(meldb_testkit::fixture::TestEngine::Fjall);
}

mod sled {
    meldb_testkit::store_conformance!(meldb_testkit::fixture::TestEngine::Sled);
    meldb_testkit::store_on_disk_conformance!(meldb_testkit::fixture::TestEngine::Sled);
}

mod postgres {
    meldb_testkit::store_conformance!(meldb_testkit::fixture::TestEngine::Postgres);
}

/// A case that is written and not listed in the macro would be skipped without a word.
#[test]
fn every_case_of_the_suite_is_listed() {
    let list = include_str!("../src/store_suite/mod.rs");
    let listed: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        })
        .collect();
    let sources = concat!(
        include_str!("../src/store_suite/backups.rs"),
        include_str!("../src/store_suite/changes.rs"),
        include_str!("../src/store_suite/batch_limits.rs"),
        include_str!("../src/store_suite/batches.rs"),
        include_str!("../src/store_suite/conditions.rs"),
        include_str!("../src/store_suite/disk.rs"),
        include_str!("../src/store_suite/documents.rs"),
        include_str!("../src/store_suite/durability.rs"),
        include_str!("../src/store_suite/expiry.rs"),
        include_str!("../src/store_suite/history.rs"),
        include_str!("../src/store_suite/idempotency.rs"),
        include_str!("../src/store_suite/isolation.rs"),
        include_str!("../src/store_suite/listing.rs"),
        include_str!("../src/store_suite/members.rs"),
        include_str!("../src/store_suite/merging.rs"),
        include_str!("../src/store_suite/outcomes.rs"),
        include_str!("../src/store_suite/patching.rs"),
        include_str!("../src/store_suite/preserving.rs"),
        include_str!("../src/store_suite/quotas.rs"),
        include_str!("../src/store_suite/refusals.rs"),
        include_str!("../src/store_suite/revisions.rs"),
        include_str!("../src/store_suite/runtimes.rs"),
        include_str!("../src/store_suite/stamps.rs"),
        include_str!("../src/store_suite/sub_documents.rs"),
        include_str!("../src/store_suite/time_reset.rs"),
        include_str!("../src/store_suite/totals.rs"),
        include_str!("../src/store_suite/unchanged.rs"),
    );
    let written: BTreeSet<&str> = sources
        .lines()
        .filter_map(|line| line.strip_prefix("pub fn ")?.split_once("(fixture: &Fixture)"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(written, listed);
    assert_eq!(TestEngine::ALL.len(), 4, "a module above for each engine");
}
