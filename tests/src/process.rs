//! Processes of the built binaries.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tollgate_common::clock::{Random as _, SystemRandom};

use crate::wait;

/// Variables of the caller's environment that processes get; all others could change a test.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "HOME", "LLVM_PROFILE_FILE"];

/// Name and value of environment variables.
pub type Environment = Vec<(String, String)>;

/// The binary of that name beside this test's own.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // The test is target/<profile>/deps/it-…, the binaries are target/<profile>/….
    let folder = test.parent().and_then(Path::parent).expect("target folder");
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is not there: run cargo build --workspace, or tests/run.sh, which does",
        path.display()
    );
    path
}

/// What processes get of the caller's environment.
pub fn kept_variables() -> impl Iterator<Item = (&'static str, OsString)> {
    let kept = KEPT_VARIABLES.into_iter();
    kept.filter_map(|variable| std::env::var_os(variable).map(|value| (variable, value)))
}

fn command(name: &str, arguments: &[&str], folder: &Path, environment: &Environment) -> Command {
    let mut command = Command::new(binary(name));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_clear()
        .envs(kept_variables())
        .envs(environment.iter().cloned());
    command
}

/// What a process that ended by itself left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs a binary to its end.
pub async fn run(
    name: &str,
    arguments: &[&str],
    folder: &Path,
    environment: &Environment,
) -> Finished {
    let mut command = command(name, arguments, folder, environment);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("the task runs")
        .expect("the binary starts");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running process whose output goes to a file. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a binary; what it writes is appended to `log`.
    pub fn spawn(
        name: &str,
        arguments: &[&str],
        folder: &Path,
        environment: &Environment,
        log: PathBuf,
    ) -> Self {
        Self::start(command(name, arguments, folder, environment), log)
    }

    /// Starts any program; what it writes is appended to `log`.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let open = || File::options().create(true).append(true).open(&log);
        let child = command
            .stdout(open().expect("the log can be written"))
            .stderr(open().expect("the log can be written"))
            .spawn()
            .expect("the program starts");
        Self { child, log }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has written so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        // A process that is gone already cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, as a service manager does.
    pub fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "the process is there to be told to stop");
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> ExitStatus {
        wait::until("the process has ended", async || self.ended()).await
    }

    /// Waits until it has written `text`.
    pub async fn wait_for_output(&mut self, text: &str) {
        let what = format!("the process has written {text:?}");
        wait::until(&what, async || {
            let log = self.log();
            assert!(
                self.ended().is_none() || log.contains(text),
                "the process ended before it wrote {text:?}:\n{log}"
            );
            log.contains(text).then_some(())
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            show_end_of(&self.log);
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "whoever reads a failed test needs its log"
)]
fn show_end_of(log: &Path) {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(30)..];
    eprintln!("--- end of {}\n{}\n---", log.display(), end.join("\n"));
}

/// A port that nobody listens on.
///
/// It is below the range from which systems take the ports of outgoing connections, so that no
/// connection of a test beside this one occupies it before it is listened on.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    for _ in 0..100 {
        let mut bytes = [0_u8; 2];
        SystemRandom.fill(&mut bytes);
        let port = FIRST + u16::from_le_bytes(bytes) % COUNT;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("found no free port from {FIRST} on");
}
