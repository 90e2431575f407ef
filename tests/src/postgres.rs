//! Fresh databases on the PostgreSQL server that `tests/run.sh` starts.

use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tollgate_common::clock::{Random as _, SystemRandom};
use url::Url;

/// Where the server is: a URL of a database whose user may create others.
pub const VARIABLE: &str = "TOLLGATE_TEST_POSTGRES_URL";

/// Another test may hold the template database; then creating is tried again so often.
const ATTEMPTS_MAX: u32 = 50;

fn server_url() -> Url {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    Url::parse(&text).unwrap_or_else(|_| {
        panic!("{VARIABLE} does not name a PostgreSQL server: run tests/run.sh, which starts one")
    })
}

/// Creates an empty database and returns its URL.
pub async fn create_database() -> String {
    sqlx::any::install_default_drivers();
    let mut url = server_url();
    let mut bytes = [0_u8; 8];
    SystemRandom.fill(&mut bytes);
    let name = format!("tollgate_{:016x}", u64::from_le_bytes(bytes));
    let mut connection = AnyConnection::connect(url.as_str())
        .await
        .unwrap_or_else(|error| panic!("{VARIABLE}: {error}: start the server by tests/run.sh"));
    for attempt in 1.. {
        let sql = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        match sqlx::raw_sql(sql).execute(&mut connection).await {
            Ok(_) => break,
            Err(error) if attempt == ATTEMPTS_MAX => panic!("cannot create {name}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    url.set_path(&name);
    url.into()
}
