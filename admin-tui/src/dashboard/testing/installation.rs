//! A new installation in a folder, for what a store reads and writes.

use std::cell::Cell;
use std::path::Path;

use tollgate_common::clock::SystemRandom;
use tollgate_common::db::migrate;
use tollgate_common::role::Role;
use tollgate_common::secret::SealingKey;

use crate::cli::Options;
use crate::dashboard::store::Source;
use crate::rights::Rights;
use crate::session::Session;

/// A new installation in a folder.
pub(crate) async fn source(folder: &Path) -> Source {
    let key_file = folder.join("secret.key");
    SealingKey::read_or_create(&key_file, &SystemRandom).unwrap();
    let config = folder.join("tollgate.toml");
    let text = format!(
        "[secrets]\nkey_file = {:?}\n",
        key_file.display().to_string()
    );
    std::fs::write(&config, text).unwrap();
    let database = folder.join("t.db");
    // An administrator's tool makes no database; an empty file is one without tables.
    tollgate_common::db::file::open_private(&database).unwrap();
    let options = Options {
        database_url: Some(format!("sqlite:{}", database.display())),
        config: Some(config),
        ..Options::default()
    };
    let rights = Rights {
        role: Role::Owner,
        read_only: None,
        no_files: None,
        is_forced: false,
    };
    let session = Session::open_later(&options, rights).unwrap();
    migrate::migrate(&session.database).await.unwrap();
    Source {
        session,
        files: folder.to_owned(),
        check: Cell::new(None),
        is_checked: Cell::new(true),
    }
}
