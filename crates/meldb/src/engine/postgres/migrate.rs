//! Creates the tables of a store.

use super::{
    connect::{Address, FORMAT},
    database::{params, query},
    failure::Failure,
    statements,
};
use crate::types::Result;

/// Where the tables of a store are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// On one server.
    #[default]
    OneServer,
    /// Spread over the workers of Citus by tenant.
    Citus,
}

/// Makes the tables of a store in a database, as far as they are missing.
///
/// The layout is chosen once: for tables that are there it is not looked at. Returns the one that the store
/// has.
///
/// # Errors
/// [`Error::InvalidOption`](crate::Error::InvalidOption) if the URL is none;
/// [`Error::Unavailable`](crate::Error::Unavailable) or [`Error::Refused`](crate::Error::Refused) if
/// the database cannot be reached or does not do it; [`Error::UnsupportedFormat`](crate::Error::UnsupportedFormat)
/// if its tables are of another version. Nothing is changed then.
pub fn migrate(url: &str, layout: Layout) -> Result<Layout> {
    let address = Address::parse(url)?;
    let database = address.connect()?;
    let connections = database.connections();
    let work = async move {
        let mut connection = connections.get().await?;
        let there = match query(&connection, statements::FORMAT, &[]).await {
            Ok(rows) => rows.into_iter().next(),
            Err(failure) if failure.is_passing() => return Err(failure),
            Err(_) => None,
        };
        if let Some(format) = there {
            let layout = if format.try_get(1)? { Layout::Citus } else { Layout::OneServer };
            return Ok((format.try_get(0)?, layout));
        }
        let transaction = connection.transaction().await?;
        // Spreading tables over many workers takes its time.
        transaction.batch_execute(statements::UNLIMITED).await?;
        for statement in statements::MIGRATE {
            transaction.batch_execute(statement).await?;
        }
        let distributed = layout == Layout::Citus;
        if distributed {
            for statement in statements::DISTRIBUTE {
                transaction.batch_execute(statement).await?;
            }
        }
        let format = params![FORMAT, distributed];
        let set = transaction.prepare(statements::SET_FORMAT).await?;
        transaction.execute(&set, &super::database::borrowed(&format)).await?;
        transaction.commit().await?;
        Ok((FORMAT, layout))
    };
    let (format, layout) = database.run(work).map_err(Failure::into_error)?;
    address.check_format(format).map(|()| layout)
}
