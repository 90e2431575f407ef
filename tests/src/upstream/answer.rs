//! What is asked and answered, in no provider's dialect yet.

use serde_json::{Value, json};

use super::schema;
use super::script::{Ending, Says, Script, Tokens};

/// What matters of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) model: String,
    /// The secret that it shows.
    pub(super) key: String,
    pub(super) stream: bool,
    /// Whether a stream should tell its usage.
    pub(super) include_usage: bool,
    /// The text of the last message; empty if it is no text.
    pub(super) prompt: String,
    /// The form that the answer should have.
    pub(super) form: Option<Form>,
    /// The first stop sequence.
    pub(super) stop: Option<String>,
    pub(super) body: Value,
}

/// A schema for an answer or for a tool's arguments.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) tool: Option<String>,
    pub(super) schema: Value,
}

/// A part of an answer, in the fragments in which a stream brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Thought(Vec<String>),
    Text(Vec<String>),
    Tool {
        name: String,
        arguments: Vec<String>,
    },
}

/// How many tokens an answer says that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) cached: i64,
    pub(super) written: i64,
    pub(super) reasoned: i64,
}

impl Usage {
    fn of(tokens: Tokens, usual: (i64, i64)) -> Option<Self> {
        (!tokens.untold).then(|| Self {
            input: tokens.input.unwrap_or(usual.0),
            output: tokens.output.unwrap_or(usual.1),
            cached: tokens.cached,
            written: tokens.written,
            reasoned: tokens.reasoned,
        })
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) parts: Vec<Part>,
    pub(super) ending: Ending,
    pub(super) usage: Option<Usage>,
    /// Whether `null` is written where it may be.
    pub(super) nulls: bool,
}

impl Answer {
    /// What the script answers to this; `usual` tokens went in and out if it does not say.
    pub(super) fn of(script: &Script, asked: &Asked, usual: (i64, i64)) -> Self {
        let mut parts = Vec::new();
        if script.thinks {
            parts.push(Part::Thought(strings(&["Let me", " think."])));
        }
        parts.extend(said(&script.says, asked));
        Self {
            parts,
            ending: script.ending,
            usage: Usage::of(script.tokens, usual),
            nulls: script.nulls,
        }
    }

    /// Its text in one piece; nothing if it has none.
    pub(super) fn text(&self) -> Option<String> {
        let texts: Vec<String> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(fragments) => Some(fragments.concat()),
                _ => None,
            })
            .collect();
        (!texts.is_empty()).then(|| texts.concat())
    }

    /// Whether it asks for tools.
    pub(super) fn has_tools(&self) -> bool {
        let is_tool = |part: &Part| matches!(part, Part::Tool { .. });
        self.parts.iter().any(is_tool)
    }
}

fn said(says: &Says, asked: &Asked) -> Vec<Part> {
    let text = |fragments| vec![Part::Text(fragments)];
    match says {
        Says::Hello => text(strings(&["Hel", "lo", "!"])),
        Says::Text(said) => text(words_of(said)),
        Says::Words(count) => text((0..*count).map(|index| format!("{index} ")).collect()),
        Says::Large(length) => text(pieces(&"é".repeat(length / 2), 1_000)),
        Says::Unicode => text(strings(&["Grü", "ße, ", "世界", "! 🦀"])),
        Says::Echo => text(pieces(&asked.body.to_string(), 50)),
        Says::Fill => filled(asked),
        Says::Tools(count) => (0..*count).map(weather).collect(),
        Says::Nothing => vec![],
    }
}

/// A call of a tool that tells the weather.
fn weather(index: usize) -> Part {
    let city = ["Paris", "Oslo", "Lima"][index % 3];
    Part::Tool {
        name: "weather".to_owned(),
        arguments: pieces(&json!({ "city": city }).to_string(), 5),
    }
}

fn filled(asked: &Asked) -> Vec<Part> {
    let Some(form) = &asked.form else {
        return vec![Part::Text(pieces(&schema::person().to_string(), 5))];
    };
    let fragments = pieces(&schema::sample(&form.schema).to_string(), 5);
    vec![match &form.tool {
        None => Part::Text(fragments),
        Some(name) => Part::Tool {
            name: name.clone(),
            arguments: fragments,
        },
    }]
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Pieces of this many characters.
fn pieces(text: &str, length: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(length).map(String::from_iter).collect()
}

/// Words with the spaces after them.
fn words_of(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// The text of a message's last text part.
pub(super) fn text_of(content: &Value) -> String {
    let text = match content {
        Value::String(text) => Some(text.as_str()),
        Value::Array(parts) => parts.iter().rev().find_map(|part| part["text"].as_str()),
        _ => None,
    };
    text.unwrap_or_default().to_owned()
}
