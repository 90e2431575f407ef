//! The language in which lists are filtered, the same in every list and on the command line:
//! `team:acme status:failed,cancelled since:1h type:~sum calls>3 !user:bot "free text"`.
//!
//! A list's [`Vocabulary`] says which words it knows and which column each stands for; only texts
//! of a vocabulary become SQL, whatever somebody types becomes a bound value.

use std::fmt;

use crate::clock::{Timestamp, parse_span};
use crate::money::NanoUsd;

mod parse;
mod sql;
#[cfg(test)]
mod tests;

pub use sql::{Bind, Predicates};

/// What a word stands for.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text: `word:one,other`, `word:~part`.
    Name,
    /// One of some words; each stands for a condition.
    Choice(&'static [Choice]),
    /// At or after a moment: `since:1h`, `since:2026-07-01`.
    Since,
    /// Before a moment.
    Until,
    /// A whole number: `calls>3`.
    Count,
    /// Dollars, stored as nano-dollars: `cost>0.5`.
    Dollars,
}

/// One of the words that a choice takes.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// The condition that it stands for; worded like the index that serves it. `{now}` stands for
    /// the moment at which the filter was read.
    pub sql: &'static str,
}

/// A word of a vocabulary.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// What follows it.
    pub kind: Kind,
    /// The column that it is about; not used by choices. Where one row has many such texts, it is a
    /// condition with the column in braces: `EXISTS (SELECT 1 FROM t WHERE t.id = s.id AND {t.a})`,
    /// in which `s` is the row.
    pub column: &'static str,
    /// Whether an index serves it, so that no row is read in vain.
    pub is_indexed: bool,
}

/// The words that a list knows.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    /// What is listed, as `jobs`.
    pub noun: &'static str,
    /// The words.
    pub words: &'static [Word],
    /// The columns that free text is looked for in.
    pub text: &'static [&'static str],
}

/// Why a filter was not understood; names the place and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Where in the text, in characters from 0 on.
    pub position: usize,
    /// What is wrong, and what would do.
    pub message: String,
}

/// How a number is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Comparison {
    const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::More => ">",
        }
    }
}

/// What a term asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// Any of these texts; `true` if a part is enough.
    Names(Vec<(String, bool)>),
    /// Any of these choices, by their places.
    Choices(Vec<usize>),
    /// A moment, and how it was written.
    Moment(Timestamp, String),
    /// A number, and how it was written.
    Number(Comparison, i64, String),
    /// Free text.
    Text(String),
}

/// One condition of a filter. All of them must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    is_negated: bool,
    /// The place of the word in the vocabulary; free text has none.
    word: Option<usize>,
    test: Test,
}

/// What a list is narrowed to.
#[derive(Debug, Clone)]
pub struct Filter {
    vocabulary: &'static Vocabulary,
    terms: Vec<Term>,
    /// When it was read.
    now: Timestamp,
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.vocabulary.noun == other.vocabulary.noun && self.terms == other.terms
    }
}

impl Filter {
    /// A filter that lets everything through.
    pub const fn all(vocabulary: &'static Vocabulary) -> Self {
        Self {
            vocabulary,
            terms: Vec::new(),
            now: Timestamp::from_micros(0),
        }
    }

    /// A filter that one word narrows to one text, which stands as it is.
    pub fn only_word(vocabulary: &'static Vocabulary, name: &str, text: &str) -> Self {
        let place = vocabulary.words.iter().position(|word| word.name == name);
        Self {
            terms: vec![Term {
                is_negated: false,
                word: place,
                test: Test::Names(vec![(text.to_owned(), false)]),
            }],
            ..Self::all(vocabulary)
        }
    }

    /// Reads a filter; spans as `1h` are counted back from `now`.
    pub fn parse(
        vocabulary: &'static Vocabulary,
        text: &str,
        now: Timestamp,
    ) -> Result<Self, FilterError> {
        let terms = parse::terms(vocabulary, text, now)?;
        Ok(Self {
            vocabulary,
            terms,
            now,
        })
    }

    /// Whether it lets everything through.
    pub const fn is_all(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it has a single condition.
    pub const fn has_one_term(&self) -> bool {
        self.terms.len() == 1
    }

    /// Whether an index serves every condition, so that no row is read in vain.
    pub fn is_indexed(&self) -> bool {
        self.terms.iter().all(|term| self.term_is_indexed(term))
    }

    fn term_is_indexed(&self, term: &Term) -> bool {
        let single = match &term.test {
            Test::Names(names) => matches!(names.as_slice(), [(_, false)]),
            Test::Choices(choices) => choices.len() == 1,
            Test::Moment(..) => true,
            Test::Number(..) | Test::Text(_) => false,
        };
        let word = term.word.and_then(|place| self.vocabulary.words.get(place));
        single && !term.is_negated && word.is_some_and(|word| word.is_indexed)
    }

    /// The moment that a word gives, if it is there.
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        let place = self.vocabulary.words.iter().position(|w| w.name == name)?;
        let mut of_word = self.terms.iter().filter(|t| t.word == Some(place));
        of_word.find_map(|term| match &term.test {
            Test::Moment(moment, _) if !term.is_negated => Some(*moment),
            _ => None,
        })
    }

    /// The part of it that indexes serve.
    #[must_use]
    pub fn indexed_part(&self) -> Self {
        let indexed = self.terms.iter().filter(|term| self.term_is_indexed(term));
        Self {
            vocabulary: self.vocabulary,
            terms: indexed.cloned().collect(),
            now: self.now,
        }
    }

    /// The one choice that a word is narrowed to, if it is.
    pub fn choice(&self, name: &str) -> Option<&'static str> {
        let place = self.vocabulary.words.iter().position(|w| w.name == name)?;
        let known = choices(&self.vocabulary.words[place]);
        let term = self.terms.iter().find(|t| t.word == Some(place))?;
        match &term.test {
            Test::Choices(chosen) if !term.is_negated => match chosen.as_slice() {
                [one] => known.get(*one).map(|choice| choice.word),
                _ => None,
            },
            _ => None,
        }
    }

    /// The one text that a word is narrowed to, if it is.
    pub fn only(&self, name: &str) -> Option<&str> {
        let place = self.vocabulary.words.iter().position(|w| w.name == name);
        let term = self
            .terms
            .iter()
            .find(|t| t.word == place && place.is_some())?;
        match &term.test {
            Test::Names(names) if !term.is_negated => match names.as_slice() {
                [(text, false)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, term) in self.terms.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            if term.is_negated {
                f.write_str("!")?;
            }
            let word = term.word.and_then(|place| self.vocabulary.words.get(place));
            let name = word.map(|word| word.name).unwrap_or_default();
            match &term.test {
                Test::Names(names) => {
                    let names: Vec<String> = names.iter().map(shown_name).collect();
                    write!(f, "{name}:{}", names.join(","))?;
                }
                Test::Choices(places) => {
                    let choices = word.map_or(&[][..], |word| choices(word));
                    let chosen = places.iter().filter_map(|place| choices.get(*place));
                    let words: Vec<&str> = chosen.map(|choice| choice.word).collect();
                    write!(f, "{name}:{}", words.join(","))?;
                }
                Test::Moment(_, written) => write!(f, "{name}:{written}")?,
                Test::Number(comparison, _, written) => {
                    write!(f, "{name}{}{written}", comparison.sign())?;
                }
                Test::Text(text) => f.write_str(&parse::quoted(text, true))?,
            }
        }
        Ok(())
    }
}

fn shown_name((text, is_part): &(String, bool)) -> String {
    let sign = if *is_part { "~" } else { "" };
    format!("{sign}{}", parse::quoted(text, false))
}

/// The words that a choice takes.
const fn choices(word: &Word) -> &'static [Choice] {
    match word.kind {
        Kind::Choice(choices) => choices,
        _ => &[],
    }
}

/// What the last word of a text may be completed to: the whole text, changed. `names` are values
/// of words that stand for names, as `("team", ids)`.
pub fn complete(
    vocabulary: &Vocabulary,
    text: &str,
    names: &dyn Fn(&str) -> Vec<String>,
) -> Vec<String> {
    let start = text.rfind(' ').map_or(0, |place| place + 1);
    let (before, last) = text.split_at(start);
    let (sign, last) = match last.strip_prefix('!') {
        Some(rest) => ("!", rest),
        None => ("", last),
    };
    let Some((name, value)) = last.split_once(':') else {
        return vocabulary
            .words
            .iter()
            .filter(|word| word.name.starts_with(last))
            .map(|word| format!("{before}{sign}{}{}", word.name, separator(word)))
            .collect();
    };
    let (kept, value) = match value.rsplit_once(',') {
        Some((kept, value)) => (format!("{kept},"), value),
        None => (String::new(), value),
    };
    let Some(word) = vocabulary.words.iter().find(|word| word.name == name) else {
        return Vec::new();
    };
    let values = match word.kind {
        Kind::Choice(choices) => choices.iter().map(|c| c.word.to_owned()).collect(),
        Kind::Since | Kind::Until => ["15m", "1h", "24h", "7d"].map(str::to_owned).to_vec(),
        Kind::Name => names(name),
        Kind::Count | Kind::Dollars => Vec::new(),
    };
    let fitting = values.into_iter().filter(|v| v.starts_with(value));
    fitting
        .map(|value| format!("{before}{sign}{name}:{kept}{value}"))
        .collect()
}

const fn separator(word: &Word) -> &'static str {
    match word.kind {
        Kind::Count | Kind::Dollars => ">",
        _ => ":",
    }
}

/// Dollars as nano-dollars.
fn nano_dollars(text: &str) -> Option<i64> {
    NanoUsd::parse_dollars(text).map(|amount| amount.0)
}

/// A moment: a day, a time, or a span back from now.
pub fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(span) = parse_span(text) {
        return Some(now.minus(span));
    }
    let is_day = text.len() == 10;
    let whole = if is_day {
        format!("{text}T00:00:00Z")
    } else if text.ends_with('Z') || text.contains('+') {
        text.to_owned()
    } else {
        format!("{text}Z")
    };
    Timestamp::parse_rfc3339(&whole)
}
