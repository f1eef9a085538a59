//! The whole store against a map: random verbs, conditions and reopenings, on every engine.

#[path = "model/reference.rs"]
mod reference;
#[path = "model/steps.rs"]
mod steps;
#[path = "model/system.rs"]
mod system;

use meldb_testkit::fixture::{Fixture, TestEngine};
use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use self::{reference::Reference, system::System};

/// Every counterexample found is kept in this file, and tried first.
const REGRESSIONS: &str = "tests/model/regressions.txt";

fn run<const ENGINE: usize>(cases: u32, steps: usize)
where
    System<ENGINE>: StateMachineTest<Reference = Reference>,
{
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let strategy = Reference::sequential_strategy(1..steps);
    proptest::proptest!(config.clone(), |((initial, transitions, seen) in strategy)| {
        System::<ENGINE>::test_sequential(config.clone(), initial, transitions, seen);
    });
}

const MEMORY: usize = 0;
const FJALL: usize = 1;
const SLED: usize = 2;
const POSTGRES: usize = 3;

#[test]
fn the_numbers_name_the_engines() {
    assert_eq!(TestEngine::ALL[MEMORY].name(), "memory");
    assert_eq!(TestEngine::ALL[FJALL].name(), "fjall");
    assert_eq!(TestEngine::ALL[SLED].name(), "sled");
    assert_eq!(TestEngine::ALL[POSTGRES].name(), "postgres");
}

#[test]
fn a_store_in_memory_is_a_map_of_documents() {
    run::<MEMORY>(600, 120);
}

#[test]
fn a_store_on_fjall_is_a_map_of_documents() {
    run::<FJALL>(60, 120);
}

#[test]
fn a_store_on_sled_is_a_map_of_documents() {
    run::<SLED>(60, 120);
}

#[test]
fn a_store_on_postgres_is_a_map_of_documents() {
    if Fixture::available(TestEngine::Postgres).is_some() {
        // Each case is a database of its own.
        run::<POSTGRES>(25, 120);
    }
}
