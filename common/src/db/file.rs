//! The files of a SQLite database: for their owner only.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// What follows the name of the database in the names of the files beside it.
const BESIDE: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// Opens a file for writing, made if it is not there, for its owner only whatever the umask is.
/// One that is there stays as it is. SQLite gives the files beside a database the same mode.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(file) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                // A umask can take rights away from the owner, too.
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).open(path)
        }
        Err(error) => Err(error),
    }
}

/// Which of the database's files others than their owner may read or write.
pub fn exposed(config: &Config) -> Vec<PathBuf> {
    let Some(file) = config.database.sqlite_file() else {
        return Vec::new();
    };
    let names = BESIDE
        .iter()
        .map(|end| PathBuf::from(format!("{file}{end}")));
    names.filter(|path| is_exposed(path)).collect()
}

/// What to tell of files that others may read, if there are any.
pub fn exposure_warning(config: &Config) -> Option<String> {
    let files = exposed(config);
    if files.is_empty() {
        return None;
    }
    let names: Vec<String> = files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let names = names.join(" ");
    Some(format!(
        "others may read the database, which holds what callers sent: run chmod 600 {names}"
    ))
}

#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_path: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::db::{Access, Database, migrate};

    #[tokio::test]
    async fn the_files_of_a_new_database_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.db");
        let config = Config {
            database: format!("sqlite:{}", file.display()).parse().unwrap(),
            ..Config::default()
        };
        let database = Database::connect(&config, Access::Create).await.unwrap();
        migrate::migrate(&database).await.unwrap();
        let mut count = 0;
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
            count += 1;
        }
        assert!(count >= 2, "the database and its log");
        assert_eq!(exposure_warning(&config), None);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let warning = exposure_warning(&config).unwrap();
        assert!(warning.contains(&format!("chmod 600 {}", file.display())));
        let kept = open_private(&file).unwrap();
        let mode = kept.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "what is there stays as it is");
    }
}
