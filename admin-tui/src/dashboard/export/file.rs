//! New files for their owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::dashboard::files::{self, FILE_MODE};
use crate::dashboard::problem::Problem;

/// How many names are tried: `keys.csv`, `keys-2.csv`, ...
const NAMES_MAX: u32 = 1_000;

/// Makes a new file in the folder, with a number in its name if there is one of this name already.
pub(super) fn create(folder: &Path, name: &str) -> Result<(PathBuf, BufWriter<File>), Problem> {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "csv"));
    for number in 1..=NAMES_MAX {
        let name = match number {
            1 => name.to_owned(),
            _ => format!("{stem}-{number}.{ending}"),
        };
        let path = folder.join(&name);
        match files::create(folder, &name) {
            Ok(file) => return Ok((path, BufWriter::new(file))),
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            Err(why) => return Err(Problem::new(format!("{}: {why}", path.display()))),
        }
    }
    Err(Problem::new(format!(
        "{}: too many files named like {name}: move some away",
        folder.display()
    )))
}

/// Makes a new file that only its owner can read, wherever it is.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn files_are_numbered_and_for_their_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state");
        let (first, mut file) = create(&folder, "keys.csv").unwrap();
        file.write_all(b"kept").unwrap();
        drop(file);
        let (second, _) = create(&folder, "keys.csv").unwrap();
        assert!(second.ends_with("keys-2.csv"));
        assert_eq!(fs::read_to_string(&first).unwrap(), "kept");
        assert_eq!(fs::metadata(&first).unwrap().mode() & 0o777, FILE_MODE);
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o077, 0);
    }
}
