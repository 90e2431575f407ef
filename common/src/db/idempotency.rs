//! SQL of idempotency claims.

use sqlx::AnyConnection;

use super::StoreError;
use super::rows::{Columns, Values, execute_in, execute_tuples, select_pairs};
use super::work::IdempotencyClaim;
use crate::clock::Timestamp;
use crate::id::{CallId, JobId};

/// A stored claim.
#[derive(Debug, Clone)]
pub(crate) struct StoredClaim {
    pub(crate) claim: IdempotencyClaim,
    pub(crate) operation: String,
    pub(crate) job_id: JobId,
    pub(crate) call_id: Option<CallId>,
    pub(crate) sealed_body: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// Claims by their key, before the list of keys.
pub const SELECT_CLAIMS: (&str, &str) = (
    "
    SELECT key_id, idempotency_key, fingerprint, operation, job_id, call_id, sealed_body, created_at
    FROM idempotency
    WHERE (idempotency_key, key_id) IN (VALUES ",
    ")",
);

pub(crate) async fn select_claims(
    connection: &mut AnyConnection,
    keys: &[(String, String)],
) -> Result<Vec<StoredClaim>, StoreError> {
    let read = |columns: &mut Columns<'_>| {
        Ok(StoredClaim {
            claim: IdempotencyClaim {
                key_id: crate::id::KeyId::new(&columns.take::<String>()?),
                idempotency_key: columns.take()?,
                fingerprint: columns.take()?,
            },
            operation: columns.take()?,
            job_id: columns.parse()?,
            call_id: columns.parse_optional()?,
            sealed_body: columns.take()?,
            created_at: columns.time()?,
        })
    };
    select_pairs(connection, SELECT_CLAIMS, keys, read).await
}

/// A claim that has outlived its window gives way to a new one.
const UPSERT_CLAIMS: (&str, &str) = (
    "INSERT INTO idempotency
        (key_id, idempotency_key, fingerprint, operation, job_id, call_id, sealed_body, created_at)
     VALUES ",
    " ON CONFLICT (idempotency_key, key_id) DO UPDATE
     SET fingerprint = excluded.fingerprint
       , operation = excluded.operation
       , job_id = excluded.job_id
       , call_id = excluded.call_id
       , sealed_body = excluded.sealed_body
       , created_at = excluded.created_at",
);

pub(crate) async fn upsert_claims(
    connection: &mut AnyConnection,
    claims: &[StoredClaim],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, stored: &StoredClaim| {
        values.push_text(&stored.claim.key_id);
        values.push(stored.claim.idempotency_key.clone());
        values.push(stored.claim.fingerprint.clone());
        values.push(stored.operation.clone());
        values.push_text(stored.job_id);
        values.push(stored.call_id.map(|id| id.to_string()));
        values.push(stored.sealed_body.clone());
        values.push_time(stored.created_at);
    };
    execute_tuples(connection, UPSERT_CLAIMS, 8, claims, bind).await?;
    Ok(())
}

/// Forgets the claims of calls, before the list of calls.
pub const DELETE_BY_CALL: &str = "DELETE FROM idempotency WHERE call_id IN ";

/// Forgets the claims of calls that did not succeed, so that a retry does the work.
pub(crate) async fn delete_by_call(
    connection: &mut AnyConnection,
    calls: &[CallId],
) -> Result<(), StoreError> {
    execute_in(connection, (DELETE_BY_CALL, ""), calls).await?;
    Ok(())
}

/// Forgets claims from before a moment.
pub const DELETE_OLD: &str = "DELETE FROM idempotency WHERE created_at < $1";

/// Forgets claims older than their window.
pub async fn delete_old(
    connection: &mut AnyConnection,
    cutoff: Timestamp,
) -> Result<u64, StoreError> {
    let result = sqlx::query(DELETE_OLD)
        .bind(cutoff.as_micros())
        .execute(&mut *connection)
        .await?;
    Ok(result.rows_affected())
}
