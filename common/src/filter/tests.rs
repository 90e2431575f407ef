use proptest::prelude::*;

use super::*;

const STATES: &[Choice] = &[
    Choice {
        word: "failed",
        sql: "state = 'failed'",
    },
    Choice {
        word: "completed",
        sql: "state = 'completed'",
    },
];

const WORDS: Vocabulary = Vocabulary {
    noun: "jobs",
    words: &[
        Word {
            name: "team",
            kind: Kind::Name,
            column: "team_id",
            is_indexed: true,
        },
        Word {
            name: "type",
            kind: Kind::Name,
            column: "job_type",
            is_indexed: false,
        },
        Word {
            name: "status",
            kind: Kind::Choice(STATES),
            column: "",
            is_indexed: true,
        },
        Word {
            name: "since",
            kind: Kind::Since,
            column: "created_at",
            is_indexed: true,
        },
        Word {
            name: "calls",
            kind: Kind::Count,
            column: "total_calls",
            is_indexed: false,
        },
        Word {
            name: "cost",
            kind: Kind::Dollars,
            column: "total_cost",
            is_indexed: false,
        },
    ],
    text: &["id", "error_message"],
};

const NOW: Timestamp = Timestamp::from_micros(1_782_909_671_000_000);

fn parse(text: &str) -> Result<Filter, FilterError> {
    Filter::parse(&WORDS, text, NOW)
}

#[test]
fn terms_become_conditions_with_bound_values() {
    let filter =
        parse("team:acme status:failed since:1h type:~sum,chat calls>3 cost<=0.5").unwrap();
    let predicates = filter.predicates(3);
    assert_eq!(
        predicates.indexed,
        " AND team_id = $3 AND state = 'failed' AND created_at >= $4"
    );
    assert_eq!(
        predicates.rest,
        " AND (LOWER(job_type) LIKE $5 ESCAPE '\\' OR job_type = $6) AND total_calls > $7 \
         AND total_cost <= $8"
    );
    let hour_ago = NOW.minus(std::time::Duration::from_hours(1)).as_micros();
    assert_eq!(
        predicates.binds,
        [
            Bind::Text("acme".to_owned()),
            Bind::Number(hour_ago),
            Bind::Text("%sum%".to_owned()),
            Bind::Text("chat".to_owned()),
            Bind::Number(3),
            Bind::Number(500_000_000),
        ]
    );
    assert!(!filter.is_indexed());
    assert_eq!(filter.only("team"), Some("acme"));
    assert_eq!(filter.only("type"), None);
}

#[test]
fn negation_lets_rows_without_a_value_through() {
    let predicates = parse("!status:failed,completed !\"a_b\"")
        .unwrap()
        .predicates(1);
    assert_eq!(
        predicates.rest,
        " AND NOT COALESCE((state = 'failed' OR state = 'completed'), FALSE) AND NOT \
         COALESCE((LOWER(id) LIKE $1 ESCAPE '\\' OR LOWER(error_message) LIKE $1 ESCAPE '\\'), FALSE)"
    );
    assert_eq!(predicates.binds, [Bind::Text("%a\\_b%".to_owned())]);
}

#[test]
fn what_is_wrong_is_named_with_what_would_do() {
    let why = |text: &str| parse(text).unwrap_err();
    assert_eq!(why("team:a colour:red").position, 7);
    assert!(why("colour:red").message.contains("use team, type, status"));
    assert!(why("status:lost").message.contains("failed, completed"));
    assert!(why("since:soon").message.contains("15m"));
    assert!(why("calls>many").message.contains("whole number"));
    assert!(why("cost>x").message.contains("dollars as 0.5"));
    assert!(why("team>a").message.contains("team:value"));
    assert!(why("team:").message.contains("needs a value"));
    assert!(why("\"open").message.contains("not closed"));
    assert!(parse("").unwrap().is_all());
}

#[test]
fn the_last_word_is_completed() {
    let names = |name: &str| match name {
        "team" => vec!["acme".to_owned(), "acme-eu".to_owned()],
        _ => Vec::new(),
    };
    let all = |text: &str| complete(&WORDS, text, &names);
    assert_eq!(all("team:x st"), ["team:x status:"]);
    assert_eq!(all("!status:f"), ["!status:failed"]);
    assert_eq!(all("status:failed,c"), ["status:failed,completed"]);
    assert_eq!(all("team:acme-"), ["team:acme-eu"]);
    assert_eq!(all("ca"), ["calls>"]);
    assert!(all("nothing:").is_empty());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        if let Ok(filter) = parse(&text) {
            let count = filter.predicates(1).binds.len();
            prop_assert!(count <= text.chars().count());
        }
    }

    #[test]
    fn a_filter_is_read_as_it_is_shown(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("team:a,~b"), Just("!type:chat"), Just("status:failed"), Just("since:1h"),
                Just("calls>=3"), Just("cost<0.5"), Just("word"), Just("\"two words\""),
                Just("\"a:b\""), Just("!x"),
            ],
            0..6,
        )
    ) {
        let filter = parse(&pieces.join(" ")).unwrap();
        prop_assert_eq!(parse(&filter.to_string()).unwrap(), filter);
    }
}

#[test]
fn a_word_of_which_a_row_has_many_is_a_condition_around_the_column() {
    const MANY: Vocabulary = Vocabulary {
        noun: "models",
        words: &[Word {
            name: "group",
            kind: Kind::Name,
            column: "EXISTS (SELECT 1 FROM m WHERE m.id = s.id AND {m.name})",
            is_indexed: false,
        }],
        text: &[],
    };
    let filter = Filter::parse(&MANY, "!group:a,~B", NOW).unwrap();
    let predicates = filter.predicates(1);
    assert_eq!(
        predicates.rest,
        " AND NOT COALESCE((EXISTS (SELECT 1 FROM m WHERE m.id = s.id AND m.name = $1) \
         OR EXISTS (SELECT 1 FROM m WHERE m.id = s.id AND LOWER(m.name) LIKE $2 ESCAPE '\\')), \
         FALSE)"
    );
}
