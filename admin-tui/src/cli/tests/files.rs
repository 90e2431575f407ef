//! No command of those below owners, and none under a forced command of SSH, leaves a file behind:
//! every subcommand with every option, as the command line's own grammar lists them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
use tollgate_common::clock::SystemRandom;
use tollgate_common::config::Config;
use tollgate_common::db::{Access, Database, migrate};
use tollgate_common::role::Role;
use tollgate_common::secret::SealingKey;

use crate::cli::{Arguments, forced};

/// Holds the words of a command line for [`program`].
const WORDS: &str = "TOLLGATE_TEST_WORDS";

/// Stands between the words.
const SEPARATOR: char = '\u{1f}';

/// What is put where a path may be taken.
const PATH: &str = "written.out";

/// What else is put in the place of a value, until the grammar takes one; all nouns have a `t1`.
const VALUES: [&str; 27] = [
    "t1",
    "jobs",
    "1",
    "01890000-0000-7000-8000-000000000000",
    "call_01890000000070008000000000000000",
    "cred_01890000000070008000000000000000",
    "audit_01890000000070008000000000000000",
    "10m",
    "openai",
    "http://127.0.0.1:1/v1",
    "job_based",
    "drain",
    "viewer",
    "ascii",
    "ansi",
    "bash",
    "id",
    "-5",
    "none",
    "2030-01-01T00:00:00Z",
    "completed",
    "t1:1",
    "never",
    "active",
    "200000:2.5:15",
    "priority:2.5:15",
    "up",
];

/// How long a command may run that has no end of its own.
const PATIENCE: Duration = Duration::from_secs(3);

/// The program itself, in a process that one of the tests below has started.
#[test]
#[ignore = "the program, for the other tests of this module"]
fn program() {
    let Ok(words) = std::env::var(WORDS) else {
        return;
    };
    let words = words.split(SEPARATOR).map(Into::into);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let code = runtime.block_on(crate::program(words));
    std::process::exit(i32::from(code));
}

/// An installation with a folder for the account that runs commands and one to run them in, both
/// empty.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "work", "installation"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let place = Self { folder };
        let config = Config {
            database: place.database().parse().unwrap(),
            ..Config::default()
        };
        let database = Database::connect(&config, Access::Create).await.unwrap();
        migrate::migrate(&database).await.unwrap();
        let key = place.installed("secret.key");
        SealingKey::read_or_create(&key, &SystemRandom).unwrap();
        let text = format!("[secrets]\nkey_file = {:?}\n", key.display().to_string());
        fs::write(place.installed("tollgate.toml"), text).unwrap();
        for line in [
            "org create t1 --name t1",
            "team create t1 --org t1 --credits 50",
            "provider add t1 --kind openai --base-url http://127.0.0.1:1/v1 --key-env HOME",
            "model add t1 --provider t1 --upstream-model gpt-4o",
            "group create t1 --model t1",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let code = place.run(&Mode::OWNER, &words);
            assert_eq!(code, Some(0), "{line}");
        }
        place
    }

    fn installed(&self, name: &str) -> PathBuf {
        self.folder.path().join("installation").join(name)
    }

    fn database(&self) -> String {
        format!("sqlite:{}", self.installed("t.db").display())
    }

    /// Runs a command line; says what it exits with, if it does.
    fn run(&self, mode: &Mode, words: &[&str]) -> Option<i32> {
        let (database, config) = (self.database(), self.installed("tollgate.toml"));
        let config = config.display().to_string();
        let role = mode.role.word();
        let mut line = vec![
            "tollgate-admin",
            "--database-url",
            &database,
            "--config",
            &config,
        ];
        line.extend(["--role", role, "--actor", "vic"]);
        if !mode.is_forced {
            line.extend(words);
        }
        let mut process = Process::new(std::env::current_exe().unwrap());
        process
            .args([
                "--exact",
                "cli::tests::files::program",
                "--ignored",
                "--nocapture",
            ])
            .env_clear()
            .env("HOME", self.folder.path().join("home"))
            .env(WORDS, line.join(&SEPARATOR.to_string()))
            .current_dir(self.folder.path().join("work"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if mode.is_forced {
            process.env(forced::VARIABLE, shell_words::join(words));
        }
        let mut child = process.spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap().code()
    }

    /// All files but those of the database, with what is in them.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.folder.path(), &mut files);
        files.retain(|path, _| {
            let name = path.file_name().and_then(|name| name.to_str());
            !name.is_some_and(|name| name.starts_with("t.db"))
        });
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.insert(path.clone(), Vec::new());
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

/// Who runs a command, and how.
struct Mode {
    role: Role,
    is_forced: bool,
}

impl Mode {
    const OWNER: Self = Self {
        role: Role::Owner,
        is_forced: false,
    };
}

/// The options and arguments of a command that are its own.
fn own_arguments(command: &Command) -> Vec<&Arg> {
    let arguments = command.get_arguments();
    let built_in = ["help", "version"];
    arguments
        .filter(|argument| {
            !argument.is_global_set() && !built_in.contains(&argument.get_id().as_str())
        })
        .collect()
}

/// The words for one argument with a value.
fn words_for(argument: &Arg, value: &str) -> Vec<String> {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    match argument.get_long() {
        Some(long) if takes_value => vec![format!("--{long}"), value.to_owned()],
        Some(long) => vec![format!("--{long}")],
        None => vec![value.to_owned()],
    }
}

/// What the grammar says of the words after a command, if it does not take them.
fn mistake(command: &Command, words: &[String]) -> Option<ErrorKind> {
    let words = std::iter::once(command.get_name()).chain(words.iter().map(String::as_str));
    let parsed = command.clone().try_get_matches_from(words);
    parsed.err().map(|error| error.kind())
}

fn values_of(argument: &Arg) -> Vec<String> {
    let possible = argument.get_possible_values();
    let possible = possible.iter().map(|value| value.get_name().to_owned());
    possible.chain(VALUES.map(str::to_owned)).collect()
}

/// The shortest line of a command that the grammar takes, with a value for one of its arguments.
fn line_with(
    path: &[String],
    command: &Command,
    chosen: Option<(&Arg, &str)>,
) -> Option<Vec<String>> {
    let own = own_arguments(command);
    let is_chosen =
        |argument: &Arg| chosen.is_some_and(|(one, _)| one.get_id() == argument.get_id());
    let wanted = own
        .iter()
        .copied()
        .filter(|argument| argument.is_required_set() || is_chosen(argument));
    let wanted: Vec<&Arg> = wanted.collect();
    let others = own
        .iter()
        .copied()
        .filter(|argument| !argument.is_required_set() && !is_chosen(argument));
    let others: Vec<&Arg> = others.collect();
    // Some arguments want one or two others beside them.
    let helpers = std::iter::once(&[][..])
        .chain(others.chunks(1))
        .chain(others.windows(2));
    helpers.into_iter().find_map(|helpers| {
        let mut words = Vec::new();
        for argument in wanted.iter().chain(helpers) {
            let values = match chosen {
                Some((one, value)) if one.get_id() == argument.get_id() => vec![value.to_owned()],
                _ => values_of(argument),
            };
            words = values
                .iter()
                .find_map(|value| extended(command, &words, argument, value))?;
        }
        mistake(command, &words)
            .is_none()
            .then(|| path.iter().cloned().chain(words).collect())
    })
}

/// The words with one more argument, if it takes the value.
fn extended(
    command: &Command,
    words: &[String],
    argument: &Arg,
    value: &str,
) -> Option<Vec<String>> {
    let words: Vec<String> = words
        .iter()
        .cloned()
        .chain(words_for(argument, value))
        .collect();
    let is_bad = matches!(
        mistake(command, &words),
        Some(ErrorKind::ValueValidation | ErrorKind::InvalidValue)
    );
    (!is_bad).then_some(words)
}

/// Every line to be tried of a command and of those below it.
fn lines_of(
    path: &[String],
    command: &Command,
    lines: &mut Vec<Vec<String>>,
    missing: &mut Vec<String>,
) {
    let mut below = command
        .get_subcommands()
        .filter(|c| c.get_name() != "help")
        .peekable();
    if below.peek().is_some() {
        for command in below {
            let mut path = path.to_vec();
            path.push(command.get_name().to_owned());
            lines_of(&path, command, lines, missing);
        }
        return;
    }
    let base = line_with(path, command, None);
    let Some(base) = base else {
        missing.push(format!("{path:?}"));
        return;
    };
    let globals = "--json --raw --reason written.out --read-only --theme ansi --charset ascii";
    let globals = globals.split(' ').filter(|_| path.is_empty());
    let mut with_globals: Vec<String> = globals.map(str::to_owned).collect();
    with_globals.extend(base.iter().cloned());
    if !path.is_empty() {
        let globals = "--json --raw --reason written.out";
        with_globals.extend(globals.split(' ').map(str::to_owned));
    }
    lines.extend([base, with_globals]);
    for argument in own_arguments(command) {
        let understood = |value: &String| line_with(path, command, Some((argument, value)));
        match values_of(argument).iter().find_map(understood) {
            Some(line) => lines.push(line),
            None => missing.push(format!("{path:?} {:?}", argument.get_id())),
        }
        lines.extend(understood(&PATH.to_owned()));
    }
}

fn lines() -> Vec<Vec<String>> {
    let mut command = Arguments::command();
    command.build();
    let mut lines = Vec::new();
    let mut missing = Vec::new();
    lines_of(&[], &command, &mut lines, &mut missing);
    assert!(
        missing.is_empty(),
        "add a value that these take: {missing:#?}"
    );
    lines.sort();
    lines.dedup();
    lines
}

async fn leaves_no_file(mode: Mode) {
    let place = Place::new().await;
    let before = place.files();
    for line in lines() {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        let _ = place.run(&mode, &words);
        assert_eq!(place.files(), before, "{} {}", mode.role, line.join(" "));
    }
}

#[tokio::test]
async fn no_command_of_a_viewer_leaves_a_file() {
    leaves_no_file(Mode {
        role: Role::Viewer,
        is_forced: false,
    })
    .await;
}

#[tokio::test]
async fn no_command_of_an_operator_leaves_a_file() {
    leaves_no_file(Mode {
        role: Role::Operator,
        is_forced: false,
    })
    .await;
}

#[tokio::test]
async fn no_command_of_a_viewer_over_ssh_leaves_a_file() {
    leaves_no_file(Mode {
        role: Role::Viewer,
        is_forced: true,
    })
    .await;
}

#[tokio::test]
async fn no_command_of_an_operator_over_ssh_leaves_a_file() {
    leaves_no_file(Mode {
        role: Role::Operator,
        is_forced: true,
    })
    .await;
}

#[tokio::test]
async fn an_owner_writes_a_file_but_not_over_ssh() {
    let place = Place::new().await;
    let before = place.files();
    let export = ["export", "jobs", "--output", PATH];
    let forced = Mode {
        role: Role::Owner,
        is_forced: true,
    };
    assert_eq!(place.run(&forced, &export), Some(5));
    assert_eq!(
        place.run(&forced, &["dev", "seed", "--beside-real-teams"]),
        Some(5)
    );
    assert_eq!(place.files(), before);
    assert_eq!(place.run(&Mode::OWNER, &export), Some(0));
    assert_eq!(
        place.files().len(),
        before.len() + 1,
        "the harness sees new files"
    );
}

#[test]
fn every_subcommand_and_option_is_tried() {
    let lines = lines();
    let tried = |words: &[&str]| {
        let holds = |line: &Vec<String>| words.iter().all(|word| line.iter().any(|w| w == word));
        lines.iter().any(holds)
    };
    assert!(tried(&["export", "--output", PATH]));
    assert!(tried(&["dev", "seed", "--beside-real-teams"]));
    assert!(tried(&["call", "tail", "--follow"]));
    assert!(tried(&["provider", "test"]));
    assert!(lines.len() > 150, "{}", lines.len());
}
