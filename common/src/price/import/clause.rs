//! The clauses by which genai-prices says which names a model has.

use regex::Regex;

use super::json::Node;

/// The deepest nesting of clauses that is read.
const DEPTH_MAX: usize = 8;

/// The shortest beginning or part of a name that is taken for a name of its own.
const LITERAL_BYTES_MIN: usize = 4;

/// A condition on a name in small letters.
#[derive(Debug)]
pub(super) enum Clause {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    /// `None` if the expression is not understood: then it may be about any name.
    Regex(Option<Box<Regex>>),
    Any(Vec<Self>),
    All(Vec<Self>),
}

impl Clause {
    /// Reads a clause; `None` if it is none.
    pub(super) fn read(node: Node<'_>) -> Option<Self> {
        Self::read_below(node, 0)
    }

    fn read_below(node: Node<'_>, depth: usize) -> Option<Self> {
        if depth > DEPTH_MAX {
            return None;
        }
        let object = node.object()?;
        let (kind, value) = object.iter().next()?;
        if matches!(kind, "or" | "and") {
            let below = value.list()?.into_iter();
            let below = below.map(|node| Self::read_below(node, depth.saturating_add(1)));
            let below: Vec<Self> = below.collect::<Option<_>>()?;
            return Some(match kind {
                "or" => Self::Any(below),
                _ => Self::All(below),
            });
        }
        let text = value.text()?;
        let small = text.to_ascii_lowercase();
        Some(match kind {
            "equals" => Self::Equals(small),
            "starts_with" => Self::StartsWith(small),
            "ends_with" => Self::EndsWith(small),
            "contains" => Self::Contains(small),
            "regex" => Self::Regex(Regex::new(&text).ok().map(Box::new)),
            _ => return None,
        })
    }

    /// Whether a name in small letters fits.
    pub(super) fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Equals(text) => name == text,
            Self::StartsWith(text) => name.starts_with(text),
            Self::EndsWith(text) => name.ends_with(text),
            Self::Contains(text) => name.contains(text),
            Self::Regex(regex) => regex.as_ref().is_none_or(|regex| regex.is_match(name)),
            Self::Any(clauses) => clauses.iter().any(|clause| clause.is_match(name)),
            Self::All(clauses) => clauses.iter().all(|clause| clause.is_match(name)),
        }
    }

    /// Names that the clause spells out, with how exact they are: whole names, beginnings, parts.
    pub(super) fn literals(&self) -> Vec<(u8, &str)> {
        let literal = |rank: u8, text| vec![(rank, text)];
        let mut literals = match self {
            Self::Equals(text) => literal(1, text.as_str()),
            Self::StartsWith(text) => literal(2, text.as_str()),
            Self::Contains(text) => literal(3, text.as_str()),
            Self::EndsWith(_) | Self::Regex(_) => Vec::new(),
            Self::Any(clauses) | Self::All(clauses) => {
                clauses.iter().flat_map(Self::literals).collect()
            }
        };
        literals.retain(|(_, text)| text.len() >= LITERAL_BYTES_MIN);
        literals
    }
}
