//! Rules about the source itself: sizes, words, layers, and names of files that exist.

use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;
const LINE_CHARACTERS_MAX: usize = 100;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.to_owned()
}

/// All files below the root with this ending, without what is built or hidden.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "there are files ending in {ending}");
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Fails with all findings at once.
fn none(what: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{what}:\n{}", findings.join("\n"));
}

/// Each line of each Rust file, with where it is.
fn rust_lines() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for path in files(".rs") {
        let text = fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            lines.push((format!("{}:{}", shown(&path), index + 1), line.to_owned()));
        }
    }
    lines
}

#[test]
fn files_are_short_enough_to_be_read_at_once() {
    let long = files(".rs").into_iter().filter_map(|path| {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", shown(&path)))
    });
    none("files that are too long", long.collect());
}

/// The name and length of each function in a file that `cargo fmt` has formatted: it ends with the
/// first closing brace that is indented like its beginning.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = code.starts_with("fn ")
            || (code.contains(" fn ") && !code.starts_with("//") && code.contains('('));
        if !is_function || code.ends_with(';') {
            continue;
        }
        let on_one_line = code.ends_with('}');
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let length = lines[index..]
            .iter()
            .position(|line| on_one_line || *line == end);
        let name = code.split('(').next().unwrap_or_default().to_owned();
        found.push((name, length.map_or(1, |length| length + 1)));
    }
    found
}

#[test]
fn functions_are_short_enough_to_be_understood() {
    let mut long = Vec::new();
    for path in files(".rs") {
        for (name, lines) in functions(&fs::read_to_string(&path).unwrap()) {
            if lines > FUNCTION_LINES_MAX {
                long.push(format!("{}: {name} has {lines} lines", shown(&path)));
            }
        }
    }
    none("functions that are too long", long);
}

#[test]
fn lines_fit_on_a_screen() {
    let long = rust_lines().into_iter().filter(|(_, line)| {
        // A text that people read is not broken for the source's sake.
        line.chars().count() > LINE_CHARACTERS_MAX && !line.contains('"')
    });
    none(
        "lines that are too long",
        long.map(|(place, _)| place).collect(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    // Taken apart, so that this file does not contain them.
    let banned = [
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
        ["TO", "DO"].concat(),
        ["dbg", "!("].concat(),
        ["unimpl", "emented!("].concat(),
    ];
    let found = rust_lines()
        .into_iter()
        .filter(|(_, line)| banned.iter().any(|word| line.contains(word.as_str())));
    none(
        "words of unfinished work",
        found.map(|(place, _)| place).collect(),
    );
}

#[test]
fn modules_are_named_after_what_they_are_about() {
    let vague = files(".rs").into_iter().filter(|path| {
        let stem = path.file_stem().unwrap().to_string_lossy();
        let words = [
            "util", "utils", "helper", "helpers", "manager", "misc", "common",
        ];
        stem.split('_').any(|part| words.contains(&part)) || stem == "mod"
    });
    none("vague names", vague.map(|path| shown(&path)).collect());
}

/// The names under the `dependencies` sections of a crate's manifest, test-only ones excluded.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            names.push(name.to_owned());
        }
    }
    assert!(!names.is_empty(), "{folder} depends on something");
    names
}

#[test]
fn layers_know_only_what_is_below_them() {
    let servers = ["pingora", "axum", "hyper", "hyper-util", "tower"];
    let terminals = ["ratatui", "crossterm"];
    let binaries = ["tollgate-proxy", "tollgate-admin"];
    let mut wrong = Vec::new();
    for (folder, forbidden) in [
        ("common", [&servers[..], &terminals, &binaries].concat()),
        ("proxy", [&terminals[..], &binaries].concat()),
        ("admin-tui", [&servers[..], &binaries].concat()),
    ] {
        for name in dependencies(folder) {
            if forbidden.contains(&name.as_str()) {
                wrong.push(format!("{folder} depends on {name}"));
            }
        }
    }
    none("dependencies that break the layers", wrong);
}

#[test]
fn exceptions_from_lints_say_why() {
    let mut silent = Vec::new();
    for path in files(".rs") {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("[expect(") {
            let end = text[at..].find(")]").map_or(text.len(), |end| at + end);
            if !text[at..end].contains("reason") && !shown(&path).ends_with("tidy.rs") {
                silent.push(shown(&path));
            }
        }
    }
    none("exceptions without a reason", silent);
}

/// What a markdown text names in backquotes that looks like a path of this repository.
fn named_paths(text: &str) -> Vec<String> {
    let known = [
        "proxy",
        "admin-tui",
        "common",
        "migrations",
        "tests",
        ".ci",
        ".config",
    ];
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('/') && !word.contains([' ', '<', '*', '{', '…', '\n']))
        .map(|word| {
            word.trim_start_matches("./")
                .split("::")
                .next()
                .unwrap_or_default()
        })
        .filter(|word| known.contains(&word.split('/').next().unwrap_or_default()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn documents_name_files_that_exist() {
    let mut missing = Vec::new();
    for path in files(".md") {
        for named in named_paths(&fs::read_to_string(&path).unwrap()) {
            let from_root = root().join(&named).exists();
            let from_folder = path.parent().unwrap().join(&named).exists();
            if !from_root && !from_folder {
                missing.push(format!("{}: {named}", shown(&path)));
            }
        }
    }
    none("files that are named but not there", missing);
}

#[test]
fn the_measure_of_functions_is_right() {
    let text = "impl A {\n    pub async fn b(\n        c: u8,\n    ) -> u8 {\n        c\n    }\n}\n\
                fn short() {}\nfn d() {\n}\n";
    let lengths: Vec<usize> = functions(text)
        .into_iter()
        .map(|(_, length)| length)
        .collect();
    assert_eq!(lengths, [5, 1, 2]);
}
