//! Writes a secret into a file that only its owner can read.

use std::io::Write as _;
use std::path::Path;

use tollgate_common::secret::Secret;

use crate::dashboard::change::Outcome;
use crate::dashboard::files;
use crate::dashboard::problem::Problem;

/// Writes the secret into a new file of the folder, which must be closed to others.
pub(super) fn save(folder: &Path, name: &str, secret: &Secret) -> Result<Outcome, Problem> {
    let path = folder.join(name);
    write(folder, name, secret)
        .map_err(|why| Problem::new(format!("{}: {why}", path.display())))?;
    Ok(Outcome::good(format!("{} (0600)", path.display())))
}

fn write(folder: &Path, name: &str, secret: &Secret) -> std::io::Result<()> {
    let mut file = files::create(folder, name)?;
    writeln!(file, "{}", secret.expose())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_saved_key_is_for_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state");
        let outcome = save(&folder, "a.key", &Secret::new("sk-x")).unwrap();
        assert!(outcome.sentence.ends_with("a.key (0600)"));
        let path = folder.join("a.key");
        assert_eq!(
            fs::metadata(&path).unwrap().mode() & 0o777,
            files::FILE_MODE
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "sk-x\n");
        assert!(
            save(&folder, "a.key", &Secret::new("sk-y")).is_err(),
            "nothing is overwritten"
        );
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(save(&folder, "b.key", &Secret::new("sk-x")).is_err());
    }
}
