//! The way of a write: queue, plan, commit, reply.
//!
//! [`group_commit`] orders the writes and makes groups of them; the [`committer`] plans a group, commits it
//! in one step and replies.

pub(crate) mod ahead;
pub(crate) mod commit_lock;
pub(crate) mod committer;
pub(crate) mod conditions;
pub(crate) mod context;
pub(crate) mod core;
pub(crate) mod group_commit;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod idempotency;
pub(crate) mod identity;
pub(crate) mod indexes;
pub(crate) mod notify;
pub(crate) mod observer;
pub(crate) mod operation;
pub(crate) mod planner;
pub(crate) mod poll;
pub(crate) mod queues;
pub(crate) mod quota;
pub(crate) mod recent_versions;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod settings;
mod staged;
pub(crate) mod unique;
