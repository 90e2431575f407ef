//! Scripts that use the proxy with the clients that applications are written with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Environment, Process};
use crate::wait;

/// Longer than any script takes; one that hangs fails its test.
const TIMEOUT: Duration = Duration::from_mins(5);

/// A set of Python packages, as `tests/install.sh` lays them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// Those of `tests/python/requirements.txt`.
    Newest,
    /// The same, with those of `tests/python/requirements-instructor.txt` before them.
    Instructor,
}

/// Where `tests/install.sh` puts Python and its packages.
fn installed() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // The test is target/<profile>/deps/it-….
    let target = test.ancestors().nth(3).expect("a target folder");
    target.join("python")
}

/// Runs a script of `tests/python` and fails, showing what it wrote, unless it ends well.
pub async fn run(script: &str, packages: Packages, environment: &Environment) {
    let python = installed().join("bin/python");
    assert!(
        python.exists(),
        "{} is not there: run tests/install.sh, or tests/run.sh, which does",
        python.display()
    );
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let folder = tempfile::tempdir().expect("a folder for the script");
    let mut command = Command::new(python);
    command
        .arg(sources.join(script))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .env_clear()
        .envs(environment.iter().cloned())
        // The folder of the sources stays as it is.
        .env("PYTHONPYCACHEPREFIX", installed().join("compiled"))
        .env("PYTHONUTF8", "1")
        .env("NO_PROXY", "127.0.0.1");
    if packages == Packages::Instructor {
        command.env("PYTHONPATH", installed().join("instructor"));
    }
    let mut process = Process::start(command, folder.path().join("log"));
    let status = wait::until_within(TIMEOUT, "the script has ended", async || process.ended());
    let status = status.await;
    assert!(
        status.success(),
        "{script} failed ({status}):\n{}",
        process.log()
    );
}
