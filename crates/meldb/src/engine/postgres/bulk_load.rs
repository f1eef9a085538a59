//! Bulk-loading an empty database, which is a store when the load has finished.

use std::sync::Arc;

use super::{
    PostgresEngine,
    connect::{Address, BULK_LOADING, FORMAT},
    database::params,
    failure::Failure,
    statements,
};
use crate::{
    engine::Engine,
    types::{Error, Result},
};

impl PostgresEngine {
    /// Opens an empty database to be filled; what an earlier filling has left, that was cut off, is
    /// removed.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] if there is a store in it already, and as [`open`](Self::open).
    pub fn open_for_bulk_load(url: &str) -> Result<Self> {
        let address = Address::parse(url)?;
        let (engine, format) = Self::connect(&address)?;
        if format != BULK_LOADING {
            // Says which format it is of, if it is not this one's.
            drop(Self::open(url)?);
            if !engine.tenants(None, 1)?.is_empty() {
                return Err(Error::holds_a_store(address.shown().display()));
            }
            engine.set_format(BULK_LOADING)?;
        }
        let emptied = engine.database.query_long(statements::EMPTY, Arc::default());
        emptied.map_err(Failure::into_error)?;
        Ok(engine)
    }

    /// Makes a store of what has been filled in.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Refused`]: it is none then.
    pub fn finish_bulk_load(&self) -> Result<()> {
        self.set_format(FORMAT)
    }

    fn set_format(&self, format: i32) -> Result<()> {
        let set = self.database.query(statements::CHANGE_FORMAT, Arc::new(params![format]));
        set.map(drop).map_err(Failure::into_error)
    }
}
