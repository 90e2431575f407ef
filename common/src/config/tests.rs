//! The table of settings agrees with the struct, the file and the environment.

use super::*;

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let mut config = Config::default();
    let mut problems = Vec::new();
    config.apply_file("t.toml", text, &mut problems);
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

#[test]
fn the_shipped_default_is_valid_and_changes_nothing() {
    let config = read(&Config::default_file()).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn all_problems_are_reported_at_once_with_their_lines() {
    let problems =
        read("[server]\nlisten = \"nowhere\"\nthreds = 2\n\n[limits]\nbody_bytes = -1\n")
            .unwrap_err();
    let lines: Vec<&str> = problems.iter().map(|p| p.place.as_str()).collect();
    assert_eq!(lines, ["t.toml:6", "t.toml:2", "t.toml:3"]);
    assert!(
        problems[2]
            .message
            .contains("unknown setting 'server.threds'")
    );
    assert!(
        read("listen = 1").unwrap_err()[0]
            .message
            .contains("not a section")
    );
    assert!(!read("[server\nx").unwrap_err().is_empty());
}

#[test]
fn the_environment_wins_and_names_its_variable_when_wrong() {
    let environment = |name: &str| match name {
        "TOLLGATE_SERVER_THREADS" => Some("3".to_owned()),
        "DATABASE_URL" => Some("sqlite:other.db".to_owned()),
        _ => None,
    };
    let mut problems = Vec::new();
    let mut config = Config::default();
    config.apply_environment(environment, &mut problems);
    assert!(problems.is_empty());
    assert_eq!(
        (config.threads, config.database.to_string().as_str()),
        (3, "sqlite:other.db")
    );
    config.apply_environment(
        |name| (name == "TOLLGATE_LOG_JSON").then(|| "x".to_owned()),
        &mut problems,
    );
    assert_eq!(problems[0].place, "TOLLGATE_LOG_JSON");
}

#[test]
fn a_shown_configuration_has_no_password() {
    let config = read("[database]\nurl = \"postgres://u:hunter2@h/d\"").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
