//! Several processes on one database: nothing is lost, nothing is made twice, and nobody is told what
//! is not so, whatever is killed meanwhile. `cargo xtask fleet` does it for longer.

use std::time::Duration;

use meldb_testkit::{
    fleet::{self, Counts, Disturbance, Fleet},
    postgres::{Cluster, MISSING},
    skip::skip,
};

fn run(processes: usize, writes_max: u64, rounds: u64, disturbance: Disturbance) -> Option<Counts> {
    let Some(mut cluster) = Cluster::start() else {
        skip(std::thread::current().name().unwrap_or_default(), MISSING);
        return None;
    };
    let fleet = Fleet {
        program: vec![env!("CARGO_BIN_EXE_fleet_writer").into()],
        processes,
        threads: 8,
        writes_max,
        pace: Duration::from_millis(300),
    };
    Some(fleet::run(&mut cluster, &fleet, rounds, disturbance, |_, _| ()))
}

#[test]
fn four_processes_of_eight_writers_share_a_tenant() {
    let Some(counts) = run(4, 40, 1, Disturbance::None) else { return };
    // Three in four append, once each; what counts up may have to try again.
    assert!(counts.made >= 4 * 8 * 40, "{counts}");
    assert_eq!((counts.unknown, counts.cut), (0, 0), "{counts}");
}

#[test]
fn a_process_is_killed() {
    let Some(counts) = run(2, u64::MAX, 3, Disturbance::KillClient) else { return };
    assert!(counts.made > 100, "{counts}");
}

#[test]
fn connections_are_ended() {
    let Some(counts) = run(2, u64::MAX, 3, Disturbance::EndConnections) else { return };
    assert!(counts.made > 100, "{counts}");
}

#[test]
fn the_server_is_killed() {
    let Some(counts) = run(2, u64::MAX, 2, Disturbance::KillServer) else { return };
    assert!(counts.made > 20, "{counts}");
    let Some(counts) = run(2, u64::MAX, 2, Disturbance::KillBackend) else { return };
    assert!(counts.made > 20, "{counts}");
}
