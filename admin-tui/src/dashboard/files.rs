//! Files that only their owner can read, in the dashboard's state folder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::session::variable;

const FOLDER_MODE: u32 = 0o700;

/// What files of the state folder may be read and written by: their owner.
pub(crate) const FILE_MODE: u32 = 0o600;

/// Where keys, exports, saved filters and reports of crashes go.
pub(crate) fn state_folder() -> PathBuf {
    let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| ".".to_owned()));
    let base = variable("XDG_STATE_HOME").map(PathBuf::from);
    base.unwrap_or_else(|| home().join(".local/state"))
        .join("tollgate-admin")
}

/// Makes the folder, or makes sure that it is closed to others.
pub(crate) fn require_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)?;
    if fs::metadata(folder)?.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may look into this folder"));
    }
    Ok(())
}

/// A new file in a folder that is closed to others. Nothing is overwritten.
pub(crate) fn create(folder: &Path, name: &str) -> io::Result<File> {
    require_private(folder)?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(folder.join(name))
}

/// Puts a text in the place of a file, as a whole or not at all.
pub(crate) fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    use std::io::Write as _;

    require_private(folder)?;
    let beside = folder.join(format!("{name}.{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, folder.join(name))
}
