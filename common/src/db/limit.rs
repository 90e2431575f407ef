//! The columns of limits, which teams and keys have alike.

use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::StoreError;
use super::rows::Columns;
use crate::limit::{LimitSettings, Limits};

/// Binds an id and three pairs: whether a limit changes, and what it is then.
pub(crate) fn limit_query(
    sql: &'static str,
    id: String,
    limits: &LimitSettings,
) -> Query<'static, sqlx::Any, AnyArguments> {
    let changes = [
        limits.requests_per_minute,
        limits.tokens_per_minute,
        limits.parallel_calls,
    ];
    changes
        .into_iter()
        .fold(sqlx::query(sql).bind(id), |query, change| {
            query
                .bind(i64::from(change.is_some()))
                .bind(change.flatten())
        })
}

/// Reads the columns `requests_per_minute`, `tokens_per_minute` and `parallel_calls`.
pub(crate) fn read_limits(columns: &mut Columns<'_>) -> Result<Limits, StoreError> {
    Ok(Limits {
        requests_per_minute: columns.take()?,
        tokens_per_minute: columns.take()?,
        parallel_calls: columns.take()?,
    })
}
