//! Writes a secret into a file that only its owner can read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use tollgate_common::secret::Secret;

use crate::dashboard::change::Outcome;
use crate::dashboard::problem::Problem;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Writes the secret into a new file of the folder, which must be closed to others.
pub(super) fn save(folder: &Path, name: &str, secret: &Secret) -> Result<Outcome, Problem> {
    let path = folder.join(name);
    write(folder, &path, secret)
        .map_err(|why| Problem::new(format!("{}: {why}", path.display())))?;
    Ok(Outcome::good(format!("{} (0600)", path.display())))
}

fn write(folder: &Path, path: &Path, secret: &Secret) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)?;
    if fs::metadata(folder)?.mode() & 0o077 != 0 {
        return Err(std::io::Error::other("others may look into this folder"));
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    writeln!(file, "{}", secret.expose())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_saved_key_is_for_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state");
        let outcome = save(&folder, "a.key", &Secret::new("sk-x")).unwrap();
        assert!(outcome.sentence.ends_with("a.key (0600)"));
        let path = folder.join("a.key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, FILE_MODE);
        assert_eq!(fs::read_to_string(&path).unwrap(), "sk-x\n");
        assert!(
            save(&folder, "a.key", &Secret::new("sk-y")).is_err(),
            "nothing is overwritten"
        );
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(save(&folder, "b.key", &Secret::new("sk-x")).is_err());
    }
}
