//! A pooled connection for one transaction.

use sqlx::pool::PoolConnection;
use sqlx::{Any, Connection as _, Transaction};

use super::{Database, StoreError};

/// A pooled connection that is closed, not reused, unless it is given back: a transaction whose
/// end failed, or was not waited for, may still be open on it.
#[derive(Debug)]
pub struct Lease(Option<PoolConnection<Any>>);

impl Lease {
    /// Takes a connection of the database's pool.
    pub async fn acquire(database: &Database) -> Result<Self, StoreError> {
        Ok(Self(Some(database.pool().acquire().await?)))
    }

    /// Begins a transaction that may write.
    pub async fn begin(&mut self, database: &Database) -> Result<Transaction<'_, Any>, StoreError> {
        let connection = self.0.as_mut();
        let connection =
            connection.ok_or_else(|| StoreError::Unavailable("no connection".to_owned()))?;
        Ok(connection.begin_with(database.begin_statement()).await?)
    }

    /// Gives the connection back to the pool. To be called once its transaction was committed.
    pub fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}
