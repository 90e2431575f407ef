use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use super::Arguments;

mod files;

fn parse(line: &str) -> Result<Arguments, ErrorKind> {
    let words = std::iter::once("tollgate-admin").chain(line.split_whitespace());
    Arguments::try_parse_from(words).map_err(|error| error.kind())
}

#[test]
fn the_grammar_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn documented_lines_are_understood() {
    for line in [
        "",
        "org create acme --name Acme",
        "org pause acme --until 2h --json",
        "team create t --org acme --credits 5 --group a --group b --markup 12.5",
        "team set t --default-model none",
        "team set t --name T --budget-mode job_based --credits-per-dollar 10 --overdraft 5",
        "team set t --tokens-per-credit 1000",
        "team set t --budget-day 50 --budget-month none",
        "team set t --group g",
        "team set t --no-groups",
        "team set t --rpm 60 --tpm none --max-parallel 0",
        "team create t --org acme --on-disconnect cancel --cache-ttl 600",
        "team set t --cache-ttl none",
        "key create --team t --expires 2027-01-01T00:00:00Z --import sk-1234 --weak",
        "key create --team t --import-stdin",
        "key create --team t --rpm 10 --tpm 10000 --max-parallel 2",
        "key set abcdefgh --label app --expires never",
        "key set abcdefgh --rpm none",
        "key rotate abcdefgh --grace 10m",
        "credits adjust t -5 --reason typo",
        "credits adjust --reason typo t -5",
        "credits ledger t --limit 10 --before 3",
        "--database-url sqlite:x.db credits verify",
        "provider add p --kind openai --key-env KEY",
        "provider add p --kind anthropic --key-stdin",
        "provider rotate p --org acme --key-stdin",
        "provider set p --base-url https://x.openai.azure.com/openai/deployments/d?api-version=1",
        "provider add-key p --key-env KEY",
        "provider keys p --org acme",
        "provider disable-key cred_0",
        "provider test p --json",
        "model add m --provider p --upstream-model gpt --input-price 1 --output-price 2.50",
        "model add m --provider p --upstream-model gpt --fallback a --fallback b:0:30 --weight 70",
        "model set m --input-price 1 --output-price 2 --cache-read-price 0.1 --cache-write-price 1.25",
        "model set m --no-fallbacks",
        "model set m --input-price 1 --output-price 2 --web-search-fee 10 --request-fee 5",
        "model set m --input-price 1 --output-price 2 --price-above 200000:2:3:cache_read=0.2",
        "price sync prices.json",
        "price sync - --format litellm --accept gpt-4o --accept o3 --dry-run",
        "price list --imported --filter seller:openai --json",
        "price list --catalogue",
        "price show openai/gpt-4o",
        "price check --days 30",
        "model set m --weight 5",
        "model set m --catalog-price",
        "model set m --max-output-tokens 100",
        "group create g --model a --model b",
        "job list --status COMPLETED",
        "key list --team t --filter status:expiring",
        "credits list --filter available<100",
        "credits ledger t --filter kind:refund",
        "credits holds t --filter idle:1h",
        "credits release 00000000-0000-7000-8000-000000000000 --reason stuck --in-flight",
        "export keys",
        "export entries --filter team:t --output entries.csv",
        "job list --filter team:acme --limit 5 --json",
        "job fail 01981f3e-0000-7000-8000-000000000001 --reason stuck",
        "call tail",
        "call tail --follow --filter status:failed --json",
        "call tail --limit 5 --before call_01981f3e000070008000000000000001",
        "audit list --target team:t",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

/// The command lines of a document, each in one piece and without what comes before its first noun.
fn lines_of(document: &str) -> Vec<String> {
    let joined = document.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| {
        let (program, rest) = line.trim().split_once(' ')?;
        let is_ours = program.rsplit('/').next() == Some("tollgate-admin");
        let command = rest.split(" #").next()?.trim();
        is_ours.then(|| command.to_owned())
    });
    lines.collect()
}

/// The words of a line, those in double quotes in one piece.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 0 {
            words.extend(part.split_whitespace().map(str::to_owned));
        } else {
            words.push(part.to_owned());
        }
    }
    words
}

#[test]
fn lines_of_the_readme_are_understood() {
    let lines = lines_of(include_str!("../../../README.md"));
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        let words = words_of(&line);
        let words = std::iter::once("tollgate-admin").chain(words.iter().map(String::as_str));
        let parsed = Arguments::try_parse_from(words);
        assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
    }
}

#[test]
fn lines_that_say_too_little_or_too_much_are_refused() {
    use ErrorKind::{ArgumentConflict, MissingRequiredArgument, ValueValidation};
    for (line, kind) in [
        ("org create acme", MissingRequiredArgument),
        ("team set t", MissingRequiredArgument),
        ("team set t --group g --no-groups", ArgumentConflict),
        ("model set m", MissingRequiredArgument),
        ("model set m --input-price 1", MissingRequiredArgument),
        ("model set m --cache-read-price 1", MissingRequiredArgument),
        ("model set m --fallback a --no-fallbacks", ArgumentConflict),
        ("model set m --weight 1001", ValueValidation),
        ("model set m --web-search-fee 1", MissingRequiredArgument),
        ("price sync", MissingRequiredArgument),
        ("price sync a.json --format csv", ErrorKind::InvalidValue),
        ("price list --imported --catalogue", ArgumentConflict),
        ("price check --days 0", ValueValidation),
        ("key set abcdefgh", MissingRequiredArgument),
        ("provider set p", MissingRequiredArgument),
        ("team set t --cache-ttl 0", ValueValidation),
        (
            "model set m --input-price 1 --output-price 2 --catalog-price",
            ArgumentConflict,
        ),
        ("provider add p --kind openai", MissingRequiredArgument),
        (
            "provider add p --kind openai --key-env K --key-stdin",
            ArgumentConflict,
        ),
        ("credits adjust t -5", MissingRequiredArgument),
        ("credits add t 0", ValueValidation),
        ("team create t --org acme --markup -1", ValueValidation),
        ("org show a/b", ValueValidation),
        ("job list --filter team:a --team a", ArgumentConflict),
        ("job fail nothing", ValueValidation),
        ("job fail", MissingRequiredArgument),
        (
            "call tail --follow --before call_01981f3e000070008000000000000001",
            ArgumentConflict,
        ),
        ("call tail --limit 0", ValueValidation),
    ] {
        assert_eq!(parse(line).err(), Some(kind), "{line}");
    }
}
