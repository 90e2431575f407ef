use super::*;

fn mistake(text: &str) -> (usize, String) {
    let Mistake { line, message } = SettingsFile::parse(text).unwrap_err();
    (line, message)
}

fn says(text: &str, line: usize, words: &[&str]) {
    let (found, message) = mistake(text);
    assert_eq!(found, line, "{text}: {message}");
    for word in words {
        assert!(message.contains(word), "{text}: {message}");
    }
}

#[test]
fn an_empty_file_keeps_the_defaults_and_the_default_keys_do_not_clash() {
    let file = SettingsFile::parse("").unwrap();
    assert_eq!(file.theme, None);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    says("\ntheme = 'blue'", 2, &["theme must be ansi"]);
    says("mouse = true\nrole = 'root'", 2, &["viewer"]);
    says("chrset = 'ascii'", 1, &["chrset", "did you mean charset?"]);
    says("mouse = 1", 1, &["boolean"]);
    says("theme = ", 1, &[]);
    says(
        "# keys\n[keys]\nundo = 'u'\nrefesh = 'r'",
        4,
        &["'refesh'", "refresh"],
    );
    says("[keys]\nrefresh = 'ctrl-'", 2, &["keys.refresh"]);
    says(
        "[keys]\n\nrefresh = '?'",
        3,
        &["'?' would start both", "help"],
    );
}

#[test]
fn settings_and_keys_are_read() {
    let text = "theme = 'mono'\nrole = 'viewer'\n[keys]\nrefresh = ['r', 'ctrl-r']";
    let file = SettingsFile::parse(text).unwrap();
    assert_eq!(file.theme, Some(ThemeName::Mono));
    assert_eq!(file.role, Some(Role::Viewer));
    assert_eq!(file.keymap.changed(), [("refresh", "r ctrl-r".to_owned())]);
}

#[test]
fn the_default_file_is_valid_with_and_without_its_comments() {
    let text = default_text();
    let untouched = SettingsFile::parse(&text).unwrap();
    assert!(untouched.keymap.changed().is_empty());
    let lines = text.lines().map(|line| {
        // A sentence stays a comment, a setting does not.
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let is_setting = bare.starts_with('[') || bare.contains(" = ");
        if is_setting { bare } else { line }
    });
    let whole = lines.collect::<Vec<_>>().join("\n");
    let file = SettingsFile::parse(&whole).unwrap_or_else(|why| panic!("{why:?}\n{whole}"));
    assert_eq!(file.role, Some(Role::Owner));
    for (action, keys) in file.keymap.changed() {
        assert!(!keys.is_empty(), "{action}");
    }
}
