//! Group commit: the order of writes, who leads, and who waits for whom.
//!
//! A queue orders writes. While one group is committed, the next one gathers. A blocking
//! caller that finds its queue idle leads the group itself, so a single writer pays for no thread
//! hop; a blocking caller that finds it busy waits, and is either handed its answer or made the
//! leader of the next group. A future never leads, because its executor's thread must not wait
//! for a disk: the queue's own thread, started with the first future, leads in its place.
//!
//! `schedules` tries the queue under thousands of orders of its threads.
//!
//! Leader and followers, as in `LevelDB`'s and `RocksDB`'s group commit.
//!
//! **Invariants.** At most one thread leads a queue. A queue that is not empty has a leader,
//! or has just woken one. Writes of one owner are committed in the order in which they joined; owners
//! take turns, and each gets at most its share of a commit, so that one that floods the queue delays
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
