//! What the benchmarks share: documents, keys, the stores to measure, and how they are measured.

pub mod cases;
pub mod documents;
pub mod hostile;
pub mod keys;
pub mod kind;
pub mod measure;
pub mod stores;
pub mod subject;
pub mod subjects;

/// The allocator of the `meldb` program, for every subject that allocates through Rust.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The store's own commit lane, compiled from its source, so that a peer behind "the same group
/// committer" is behind the very same code.
#[allow(dead_code, unreachable_pub, reason = "peers write blocking only")]
#[path = "../../crates/meldb/src/commit/group_commit/leader.rs"]
mod lane;
/// The order in which the lane takes what waits.
#[allow(dead_code, unreachable_pub, reason = "peers write blocking only")]
#[path = "../../crates/meldb/src/commit/group_commit/queue.rs"]
mod queue;
/// Where the lane's source finds its limits.
use meldb::limits;
/// And what it waits with.
#[path = "../../crates/meldb/src/commit/group_commit/sync.rs"]
mod sync;
