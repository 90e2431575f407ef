//! From text to terms.

use super::{
    Comparison, FilterError, Kind, Term, Test, Vocabulary, Word, choices, moment, nano_dollars,
};
use crate::clock::Timestamp;

/// The longest filter.
const CHARACTERS_MAX: usize = 1_000;

/// One piece of a filter: where it begins, and its text with quoted parts marked.
struct Piece {
    position: usize,
    text: String,
    is_quoted: bool,
}

/// Reads all terms of a filter.
pub(super) fn terms(
    vocabulary: &Vocabulary,
    text: &str,
    now: Timestamp,
) -> Result<Vec<Term>, FilterError> {
    if text.chars().count() > CHARACTERS_MAX {
        return Err(FilterError {
            position: CHARACTERS_MAX,
            message: format!("a filter has at most {CHARACTERS_MAX} characters"),
        });
    }
    pieces(text)?
        .into_iter()
        .map(|piece| term(vocabulary, &piece, now))
        .collect()
}

/// Cuts at spaces that are not within quotes.
fn pieces(text: &str) -> Result<Vec<Piece>, FilterError> {
    let mut pieces = Vec::new();
    let mut current: Option<Piece> = None;
    let mut quote: Option<usize> = None;
    for (position, character) in text.chars().enumerate() {
        if character.is_whitespace() && quote.is_none() {
            pieces.extend(current.take());
            continue;
        }
        let piece = current.get_or_insert_with(|| Piece {
            position,
            text: String::new(),
            is_quoted: character == '"',
        });
        if character == '"' {
            quote = match quote {
                Some(_) => None,
                None => Some(position),
            };
        } else {
            piece.text.push(character);
        }
    }
    if let Some(position) = quote {
        return Err(FilterError {
            position,
            message: "the quote is not closed: write \"free text\"".to_owned(),
        });
    }
    pieces.extend(current);
    Ok(pieces)
}

fn term(vocabulary: &Vocabulary, piece: &Piece, now: Timestamp) -> Result<Term, FilterError> {
    let (is_negated, text) = match piece.text.strip_prefix('!') {
        Some(rest) if !piece.is_quoted => (true, rest),
        _ => (false, piece.text.as_str()),
    };
    let sign = text.find([':', '<', '>', '=']);
    let named = sign.filter(|_| !piece.is_quoted);
    let Some(at) = named else {
        return free_text(piece, is_negated, text);
    };
    let (name, rest) = text.split_at(at);
    let fail = |message: String| FilterError {
        position: piece.position,
        message,
    };
    let place = vocabulary.words.iter().position(|word| word.name == name);
    let place = place.ok_or_else(|| fail(unknown(vocabulary, name)))?;
    let word = &vocabulary.words[place];
    Ok(Term {
        is_negated,
        word: Some(place),
        test: test(word, rest, now).map_err(fail)?,
    })
}

fn free_text(piece: &Piece, is_negated: bool, text: &str) -> Result<Term, FilterError> {
    if text.trim().is_empty() {
        return Err(FilterError {
            position: piece.position,
            message: "there is nothing to look for here".to_owned(),
        });
    }
    Ok(Term {
        is_negated,
        word: None,
        test: Test::Text(text.to_owned()),
    })
}

fn unknown(vocabulary: &Vocabulary, name: &str) -> String {
    let words: Vec<&str> = vocabulary.words.iter().map(|word| word.name).collect();
    format!(
        "'{name}' is no word for {}: use {}, or \"quotes\" for free text",
        vocabulary.noun,
        words.join(", ")
    )
}

/// Reads what follows a word, its sign included.
fn test(word: &Word, rest: &str, now: Timestamp) -> Result<Test, String> {
    let name = word.name;
    if matches!(word.kind, Kind::Count | Kind::Dollars) {
        return number(word, rest);
    }
    let value = rest
        .strip_prefix(':')
        .ok_or_else(|| format!("{name} is compared with ':', as {name}:value"))?;
    if value.is_empty() {
        return Err(format!("{name}: needs a value"));
    }
    match word.kind {
        Kind::Choice(_) => choice(word, value),
        Kind::Since | Kind::Until => moment(value, now)
            .map(|moment| Test::Moment(moment, value.to_owned()))
            .ok_or_else(|| {
                format!("{name}: write a span as 15m, 1h or 7d, or a time as 2026-07-01T12:00")
            }),
        _ => names(name, value),
    }
}

fn names(name: &str, value: &str) -> Result<Test, String> {
    let names: Vec<(String, bool)> = value
        .split(',')
        .map(|text| match text.strip_prefix('~') {
            Some(part) => (part.to_owned(), true),
            None => (text.to_owned(), false),
        })
        .collect();
    if names.iter().any(|(text, _)| text.is_empty()) {
        return Err(format!("{name}: a value is empty"));
    }
    Ok(Test::Names(names))
}

fn choice(word: &Word, value: &str) -> Result<Test, String> {
    let choices = choices(word);
    let place = |text: &str| {
        choices
            .iter()
            .position(|choice| choice.word == text)
            .ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|choice| choice.word).collect();
                format!("{}: '{text}' is none of {}", word.name, words.join(", "))
            })
    };
    value
        .split(',')
        .map(place)
        .collect::<Result<_, _>>()
        .map(Test::Choices)
}

fn number(word: &Word, rest: &str) -> Result<Test, String> {
    let signs = [
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::More),
        ("<", Comparison::Less),
        ("=", Comparison::Equal),
        (":", Comparison::Equal),
    ];
    let found = signs
        .iter()
        .find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?)));
    let (comparison, written) = found.ok_or_else(|| format!("{} needs a number", word.name))?;
    let value = match word.kind {
        Kind::Dollars => nano_dollars(written),
        _ => written.parse().ok(),
    };
    let value = value.ok_or_else(|| {
        let example = match word.kind {
            Kind::Dollars => "dollars as 0.5",
            _ => "a whole number",
        };
        format!("{}: '{written}' is not {example}", word.name)
    })?;
    Ok(Test::Number(comparison, value, written.to_owned()))
}

/// A text as it must be written to be read as itself. Free text that looks like a word, and any
/// text with spaces, needs quotes.
pub(super) fn quoted(text: &str, is_free: bool) -> String {
    let special =
        |c: char| c.is_whitespace() || (is_free && [':', '<', '>', '=', '!'].contains(&c));
    if text.contains(special) {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}
