//! No command of those below owners, and none under a forced command of SSH, leaves a file behind:
//! every subcommand with every option, as the command line's own grammar lists them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

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
const VALUES: [&str; 15] = [
    "t1",
    "jobs",
    "1",
    "01890000-0000-7000-8000-000000000000",
    "call_01890000000070008000000000000000",
    "cred_01890000000070008000000000000000",
    "10m",
    "openai",
    "http://127.0.0.1:1/v1",
    "job_based",
    "drain",
    "viewer",
    "ascii",
    "ansi",
    "bash",
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

fn is_understood(words: &[String]) -> bool {
    let words = std::iter::once("tollgate-admin").chain(words.iter().map(String::as_str));
    Arguments::command().try_get_matches_from(words).is_ok()
}

fn values_of(argument: &Arg) -> Vec<String> {
    let possible = argument.get_possible_values();
    let possible = possible.iter().map(|value| value.get_name().to_owned());
    possible.chain(VALUES.map(str::to_owned)).collect()
}

/// All ways to go on from `words` with one value for each of these arguments.
fn filled(words: Vec<String>, arguments: &[&Arg]) -> Vec<Vec<String>> {
    let Some((first, rest)) = arguments.split_first() else {
        return vec![words];
    };
    let ways = values_of(first).into_iter().flat_map(|value| {
        let mut words = words.clone();
        words.extend(words_for(first, &value));
        filled(words, rest)
    });
    ways.collect()
}

/// The shortest line of a command that the grammar takes, with `extra` in it.
fn line_with(path: &[String], command: &Command, extra: &[String]) -> Option<Vec<String>> {
    let own = own_arguments(command);
    let required: Vec<&Arg> = own
        .iter()
        .copied()
        .filter(|a| a.is_required_set())
        .collect();
    let optional: Vec<&Arg> = own
        .iter()
        .copied()
        .filter(|a| !a.is_required_set())
        .collect();
    let helpers = std::iter::once(Vec::new())
        .chain(optional.iter().map(|argument| vec![*argument]))
        .chain(optional.windows(2).map(<[&Arg]>::to_vec));
    let mut path = path.to_vec();
    path.extend(extra.iter().cloned());
    for helper in helpers {
        let wanted: Vec<&Arg> = required.iter().copied().chain(helper).collect();
        // Each argument is settled by itself, or the ways would be too many.
        if let Some(line) = settled(&path, &wanted) {
            return Some(line);
        }
    }
    None
}

/// Gives each argument the first value after which the rest can still be filled.
fn settled(path: &[String], arguments: &[&Arg]) -> Option<Vec<String>> {
    if arguments.len() <= 2 {
        let mut ways = filled(path.to_vec(), arguments).into_iter();
        return ways.find(|words| is_understood(words));
    }
    let chosen: Vec<Vec<String>> = arguments
        .iter()
        .map(|argument| {
            let fits = |value: &&String| value_fits(argument, value);
            let values = values_of(argument);
            let value = values.iter().find(fits).cloned().unwrap_or_default();
            words_for(argument, &value)
        })
        .collect();
    let words: Vec<String> = path.iter().cloned().chain(chosen.concat()).collect();
    is_understood(&words).then_some(words)
}

/// Whether an argument alone takes a value.
fn value_fits(argument: &Arg, value: &str) -> bool {
    let command = Command::new("one").arg(argument.clone().required(false));
    let words = words_for(argument, value);
    let words = std::iter::once("one").chain(words.iter().map(String::as_str));
    command.try_get_matches_from(words).is_ok()
}

/// Every line to be tried of a command and of those below it.
fn lines_of(path: &[String], command: &Command, lines: &mut Vec<Vec<String>>) {
    let mut below = command
        .get_subcommands()
        .filter(|c| c.get_name() != "help")
        .peekable();
    if below.peek().is_some() {
        for command in below {
            let mut path = path.to_vec();
            path.push(command.get_name().to_owned());
            lines_of(&path, command, lines);
        }
        return;
    }
    let base = line_with(path, command, &[]);
    let base = base.unwrap_or_else(|| panic!("no line of {path:?} is understood: add a value"));
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
        lines.extend(lines_with(path, command, argument));
    }
}

/// Lines with one argument: with a value that its command understands, and with a path.
fn lines_with(path: &[String], command: &Command, argument: &Arg) -> Vec<Vec<String>> {
    let mut others = command.clone();
    if argument.is_required_set() {
        let id = argument.get_id().as_str().to_owned();
        others = others.mut_arg(&id, |argument| argument.required(false));
    }
    let understood = |value: &String| {
        let words = words_for(argument, value);
        value_fits(argument, value).then(|| line_with(path, &others, &words))?
    };
    let own = values_of(argument).iter().find_map(understood);
    assert!(
        own.is_some() || argument.is_required_set(),
        "no value of {:?} in {path:?} is understood: add one",
        argument.get_id()
    );
    let path_like = understood(&PATH.to_owned());
    own.into_iter().chain(path_like).collect()
}

fn lines() -> Vec<Vec<String>> {
    let mut command = Arguments::command();
    command.build();
    let mut lines = Vec::new();
    lines_of(&[], &command, &mut lines);
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
