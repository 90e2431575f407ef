//! From terms to conditions with bound values.

use std::fmt::Write as _;

use super::{Filter, Kind, Term, Test, Word, choices};

/// What stands for the moment of the filter in the condition of a choice.
const NOW: &str = "{now}";

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A number or a time.
    Number(i64),
    /// A text.
    Text(String),
}

/// Conditions for a statement: those that an index serves, and the rest, which are to be applied to
/// a bounded number of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Predicates {
    /// Conditions that an index serves, each beginning with ` AND `.
    pub indexed: String,
    /// The others, each beginning with ` AND `.
    pub rest: String,
    /// The values of both, in the order of their placeholders.
    pub binds: Vec<Bind>,
}

impl Predicates {
    fn placeholder(&mut self, first: usize, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", first + self.binds.len() - 1)
    }
}

impl Filter {
    /// The filter as conditions whose placeholders are numbered from `first` on.
    pub fn predicates(&self, first: usize) -> Predicates {
        let mut predicates = Predicates::default();
        for term in &self.terms {
            let condition = self.condition(term, first, &mut predicates);
            let negation = if term.is_negated { "NOT " } else { "" };
            let target = if self.term_is_indexed(term) {
                &mut predicates.indexed
            } else {
                &mut predicates.rest
            };
            // A condition on nothing is unknown, and so is its negation.
            let _ = if term.is_negated {
                write!(target, " AND {negation}COALESCE({condition}, FALSE)")
            } else {
                write!(target, " AND {condition}")
            };
        }
        predicates
    }

    fn condition(&self, term: &Term, first: usize, predicates: &mut Predicates) -> String {
        let word = term.word.and_then(|place| self.vocabulary.words.get(place));
        match (&term.test, word) {
            (Test::Text(text), _) => {
                let value = Bind::Text(contains(text));
                let placeholder = predicates.placeholder(first, value);
                let columns = self.vocabulary.text.iter();
                any(columns.map(|column| format!("{}", Like(column, &placeholder))))
            }
            (Test::Names(names), Some(word)) => any(names.iter().map(|(text, is_part)| {
                let value = if *is_part {
                    contains(text)
                } else {
                    text.clone()
                };
                let placeholder = predicates.placeholder(first, Bind::Text(value));
                within(word.column, |column| {
                    if *is_part {
                        Like(column, &placeholder).to_string()
                    } else {
                        format!("{column} = {placeholder}")
                    }
                })
            })),
            (Test::Choices(places), Some(word)) => {
                let known = choices(word);
                let chosen = places.iter().filter_map(|place| known.get(*place));
                any(chosen.map(|choice| self.at_its_time(choice.sql, first, predicates)))
            }
            (Test::Moment(moment, _), Some(word)) => {
                let value = Bind::Number(moment.as_micros());
                let placeholder = predicates.placeholder(first, value);
                format!("{} {} {placeholder}", word.column, moment_sign(word))
            }
            (Test::Number(comparison, value, _), Some(word)) => {
                let placeholder = predicates.placeholder(first, Bind::Number(*value));
                format!("{} {} {placeholder}", word.column, comparison.sign())
            }
            // Tests other than of free text come from words.
            (_, None) => "FALSE".to_owned(),
        }
    }
}

impl Filter {
    /// A condition of a choice with the moment of the filter in it.
    fn at_its_time(&self, sql: &str, first: usize, predicates: &mut Predicates) -> String {
        if !sql.contains(NOW) {
            return sql.to_owned();
        }
        let now = Bind::Number(self.now.as_micros());
        let placeholder = predicates.placeholder(first, now);
        sql.replace(NOW, &placeholder)
    }
}

const fn moment_sign(word: &Word) -> &'static str {
    match word.kind {
        Kind::Until => "<",
        _ => ">=",
    }
}

/// One condition alone stands as it is: an index is found by its wording.
fn any(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    match conditions.as_slice() {
        [one] => one.clone(),
        more => format!("({})", more.join(" OR ")),
    }
}

/// A condition on a column; on the one in braces if the text around it is a condition of its own.
fn within(text: &str, condition: impl Fn(&str) -> String) -> String {
    let braced = text.split_once('{').and_then(|(before, rest)| {
        let (column, after) = rest.split_once('}')?;
        Some(format!("{before}{}{after}", condition(column)))
    });
    braced.unwrap_or_else(|| condition(text))
}

/// The pattern for texts that contain this one.
fn contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// A comparison of a column with a pattern.
struct Like<'a>(&'a str, &'a str);

impl std::fmt::Display for Like<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LOWER({}) LIKE {} ESCAPE '\\'", self.0, self.1)
    }
}
