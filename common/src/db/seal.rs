//! Seals again, once, what databases from before hold in the form that opens anywhere.

use sqlx::AnyConnection;

use super::{Database, StoreError};
use crate::clock::Random;
use crate::id::{CredentialId, KeyId};
use crate::secret::{SealedAt, SealingKey};

/// The form in which everything sealed is stored.
const BOUND: i64 = 2;

const SELECT_VERSION: &str = "SELECT version FROM seal_version WHERE id = 1";

const SET_VERSION: &str = "UPDATE seal_version SET version = $1 WHERE id = 1";

/// The first statement of the transaction, so that one process at a time seals again.
const LOCK_VERSION: &str = "UPDATE seal_version SET version = version WHERE id = 1";

const SELECT_CREDENTIALS: &str = "
    SELECT id, sealed_key
    FROM provider_credentials
    WHERE sealed_key LIKE 'v1.%'";

const UPDATE_CREDENTIAL: &str = "UPDATE provider_credentials SET sealed_key = $1 WHERE id = $2";

const SELECT_ANSWERS: &str = "
    SELECT key_id, idempotency_key
    FROM idempotency
    WHERE sealed_body LIKE 'v1.%'";

const SELECT_ANSWER: &str = "
    SELECT sealed_body
    FROM idempotency
    WHERE idempotency_key = $1 AND key_id = $2";

const UPDATE_ANSWER: &str = "
    UPDATE idempotency
    SET sealed_body = $1
    WHERE idempotency_key = $2 AND key_id = $3";

/// Proxies load the policy, and with it the keys of providers, when its revision moves.
const BUMP_REVISION: &str = "UPDATE policy_revision SET revision = revision + 1 WHERE id = 1";

/// Seals with its place whatever is still sealed without one, and marks the database, after which
/// nothing in the earlier form is ever opened again. What another key has sealed stays for whoever
/// has that key, and keeps the mark back; what is damaged stays as it is.
pub async fn bind_all(
    database: &Database,
    key: &SealingKey,
    random: &dyn Random,
) -> Result<(), StoreError> {
    let version: i64 = sqlx::query_scalar(SELECT_VERSION)
        .fetch_one(database.pool())
        .await?;
    if version >= BOUND {
        return Ok(());
    }
    database
        .write(async |connection| {
            sqlx::query(LOCK_VERSION).execute(&mut *connection).await?;
            let version: i64 = sqlx::query_scalar(SELECT_VERSION)
                .fetch_one(&mut *connection)
                .await?;
            if version >= BOUND {
                return Ok(());
            }
            let others = bind_credentials(connection, key, random).await?
                + bind_answers(connection, key, random).await?;
            if others == 0 {
                let marked = sqlx::query(SET_VERSION).bind(BOUND);
                marked.execute(&mut *connection).await?;
            }
            sqlx::query(BUMP_REVISION).execute(&mut *connection).await?;
            Ok(())
        })
        .await
}

/// Says how many were sealed with another key.
async fn bind_credentials(
    connection: &mut AnyConnection,
    key: &SealingKey,
    random: &dyn Random,
) -> Result<usize, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as(SELECT_CREDENTIALS)
        .fetch_all(&mut *connection)
        .await?;
    let mut others = 0;
    for (row, sealed) in rows {
        let id: CredentialId = row.parse().map_err(|_| {
            StoreError::Inconsistent("a provider key without a valid id".to_owned())
        })?;
        match bound(key, &sealed, SealedAt::ProviderKey(id), random) {
            Bound::Text(text) => {
                let updated = sqlx::query(UPDATE_CREDENTIAL).bind(text).bind(row);
                updated.execute(&mut *connection).await?;
            }
            Bound::OfAnotherKey => others += 1,
            Bound::Damaged => {}
        }
    }
    Ok(others)
}

/// Says how many were sealed with another key. One answer at a time is in memory.
async fn bind_answers(
    connection: &mut AnyConnection,
    key: &SealingKey,
    random: &dyn Random,
) -> Result<usize, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as(SELECT_ANSWERS)
        .fetch_all(&mut *connection)
        .await?;
    let mut others = 0;
    for (key_id, idempotency_key) in rows {
        let sealed: String = sqlx::query_scalar(SELECT_ANSWER)
            .bind(idempotency_key.clone())
            .bind(key_id.clone())
            .fetch_one(&mut *connection)
            .await?;
        let place = SealedAt::StoredAnswer {
            key_id: &KeyId::new(&key_id),
            idempotency_key: &idempotency_key,
        };
        match bound(key, &sealed, place, random) {
            Bound::Text(text) => {
                sqlx::query(UPDATE_ANSWER)
                    .bind(text)
                    .bind(idempotency_key)
                    .bind(key_id)
                    .execute(&mut *connection)
                    .await?;
            }
            Bound::OfAnotherKey => others += 1,
            Bound::Damaged => {}
        }
    }
    Ok(others)
}

/// A text of the earlier form, sealed again.
enum Bound {
    Text(String),
    OfAnotherKey,
    Damaged,
}

fn bound(key: &SealingKey, sealed: &str, place: SealedAt<'_>, random: &dyn Random) -> Bound {
    match key.open_unbound(sealed) {
        Ok(plain) => Bound::Text(key.seal(plain.expose(), place, random)),
        Err(_) if key.is_named_by(sealed) => Bound::Damaged,
        Err(_) => Bound::OfAnotherKey,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock, SystemRandom};
    use crate::config::Config;
    use crate::db::{Access, migrate};

    const INSERT_PROVIDER: &str = "
        INSERT INTO providers (org_id, name, kind, base_url, enabled, created_at, updated_at)
        VALUES ('', 'p', 'openai', 'https://p.example/v1', 1, 0, 0)";

    const INSERT_CREDENTIAL: &str = "
        INSERT INTO provider_credentials
            (id, org_id, provider_name, sealed_key, hint, enabled, created_at)
        VALUES ($1, '', 'p', $2, '', 1, 0)";

    const INSERT_ANSWER: &str = "
        INSERT INTO idempotency
            (key_id, idempotency_key, fingerprint, operation, job_id, sealed_body, created_at)
        VALUES ('k', 'again', 'f', 'call', 'j', $1, 0)";

    async fn database(folder: &std::path::Path) -> Database {
        let url = format!("sqlite:{}", folder.join("t.db").display());
        let config = Config {
            database: url.parse().unwrap(),
            ..Config::default()
        };
        let database = Database::connect(&config, Access::Create).await.unwrap();
        migrate::migrate(&database).await.unwrap();
        sqlx::query(INSERT_PROVIDER)
            .execute(database.pool())
            .await
            .unwrap();
        database
    }

    async fn insert(database: &Database, sealed: &str) -> CredentialId {
        let id = CredentialId::new(SystemClock.now(), &SystemRandom);
        sqlx::query(INSERT_CREDENTIAL)
            .bind(id.to_string())
            .bind(sealed.to_owned())
            .execute(database.pool())
            .await
            .unwrap();
        id
    }

    async fn stored(database: &Database, id: CredentialId) -> String {
        sqlx::query_scalar("SELECT sealed_key FROM provider_credentials WHERE id = $1")
            .bind(id.to_string())
            .fetch_one(database.pool())
            .await
            .unwrap()
    }

    fn key(folder: &std::path::Path, name: &str) -> SealingKey {
        SealingKey::read_or_create(&folder.join(name), &SystemRandom).unwrap()
    }

    #[tokio::test]
    async fn what_is_sealed_without_a_place_is_sealed_again_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await;
        let (ours, other) = (key(folder.path(), "ours"), key(folder.path(), "other"));
        let mine = insert(&database, &ours.seal_unbound("mine", &SystemRandom)).await;
        let theirs = insert(&database, &other.seal_unbound("theirs", &SystemRandom)).await;
        let answer = ours.seal_unbound("{}", &SystemRandom);
        sqlx::query(INSERT_ANSWER)
            .bind(answer)
            .execute(database.pool())
            .await
            .unwrap();

        bind_all(&database, &ours, &SystemRandom).await.unwrap();
        let opened = ours.open(&stored(&database, mine).await, SealedAt::ProviderKey(mine));
        assert_eq!(opened.unwrap().expose(), "mine");
        let body: String = sqlx::query_scalar("SELECT sealed_body FROM idempotency")
            .fetch_one(database.pool())
            .await
            .unwrap();
        let place = SealedAt::StoredAnswer {
            key_id: &KeyId::new("k"),
            idempotency_key: "again",
        };
        assert_eq!(ours.open(&body, place).unwrap().expose(), "{}");
        assert!(stored(&database, theirs).await.starts_with("v1."));

        bind_all(&database, &other, &SystemRandom).await.unwrap();
        let opened = other.open(
            &stored(&database, theirs).await,
            SealedAt::ProviderKey(theirs),
        );
        assert_eq!(opened.unwrap().expose(), "theirs");

        let late = insert(&database, &ours.seal_unbound("late", &SystemRandom)).await;
        bind_all(&database, &ours, &SystemRandom).await.unwrap();
        let left = stored(&database, late).await;
        assert!(left.starts_with("v1."), "the database is marked: {left}");
        assert!(ours.open(&left, SealedAt::ProviderKey(late)).is_err());
    }
}
