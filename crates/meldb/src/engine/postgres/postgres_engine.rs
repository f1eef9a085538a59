//! The PostgreSQL engine's state.

use super::database::Database;

/// An [`Engine`](crate::engine::Engine) over a database of PostgreSQL's that other processes use at the same time.
///
/// Every commit is as durable as the server makes it, whatever is asked for; `synchronous_commit = off`
/// is undone.
pub struct PostgresEngine {
    pub(super) database: Database,
    /// The tables are spread over several servers by tenant.
    pub(super) distributed: bool,
}
