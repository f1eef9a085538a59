//! Commit lanes: the order of writes, group commit, and who waits for whom.
//!
//! A lane orders writes. While one group is being committed the next one gathers. A blocking
//! caller that finds its lane idle leads the group itself, so a single writer pays for no thread
//! hop; a blocking caller that finds it busy waits, and is either handed its answer or made the
//! leader of the next group. A future never leads, because its executor's thread must not wait
//! for a disk: the lane's own thread, started with the first future, leads in its place.
//!
//! `schedules` tries the lane under thousands of orders of its threads.
//!
//! Leader and followers, as in `LevelDB`'s and `RocksDB`'s group commit.
//!
//! **Invariants.** At most one thread leads a lane. A lane whose queue is not empty has a leader,
//! or has just woken one. Writes of one owner are committed in the order in which they joined; owners
//! take turns, and none has more than its share of a commit, so that one who floods the lane delays
//! only itself (`queue`).

mod leader;
mod queue;
mod sync;

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

pub(crate) use leader::{Commit, CommitQueue, Done};
pub(crate) use queue::Weight;
