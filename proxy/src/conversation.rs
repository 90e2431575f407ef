//! A request in full: what is needed to say it in another dialect than the one it came in.

use std::borrow::Cow;

use crate::chat::{Json, Untranslatable};
use crate::request::Completions;

mod completions;

/// A request between the dialects.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Conversation<'a> {
    /// Instructions, in order.
    pub(crate) system: Vec<Part<'a>>,
    /// What was said, in order; neighbours may be of one speaker.
    pub(crate) turns: Vec<Turn<'a>>,
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
    /// Whether the model may ask for several tools at once.
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) max_tokens: Option<i64>,
    /// How many answers are wanted; one if absent.
    pub(crate) choices: Option<i64>,
    /// JSON numbers.
    pub(crate) temperature: Option<Json<'a>>,
    pub(crate) top_p: Option<Json<'a>>,
    pub(crate) top_k: Option<Json<'a>>,
    pub(crate) frequency_penalty: Option<Json<'a>>,
    pub(crate) presence_penalty: Option<Json<'a>>,
    pub(crate) seed: Option<Json<'a>>,
    pub(crate) stop: Vec<String>,
    pub(crate) format: Format<'a>,
    pub(crate) thinking: Option<Thinking>,
    /// The caller's own name of its end user.
    pub(crate) user: Option<String>,
}

/// What one side said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn<'a> {
    pub(crate) speaker: Speaker,
    pub(crate) parts: Vec<Part<'a>>,
}

/// Who speaks. Results of tools are told by the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    User,
    Assistant,
}

/// A part of what is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text {
        text: Cow<'a, str>,
        /// A JSON object: until where the provider should remember the prompt.
        cache_control: Option<Json<'a>>,
    },
    Image {
        source: Source<'a>,
        cache_control: Option<Json<'a>>,
    },
    Audio {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        name: Option<Cow<'a, str>>,
        cache_control: Option<Json<'a>>,
    },
    /// The assistant asks for a tool.
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        /// A JSON object.
        input: Json<'a>,
        cache_control: Option<Json<'a>>,
    },
    /// What a tool said.
    ToolResult {
        /// The id of the request that it answers.
        id: Cow<'a, str>,
        content: Vec<Self>,
        is_error: bool,
        cache_control: Option<Json<'a>>,
    },
    /// What the assistant thought, with the provider's signature.
    Thinking {
        text: Cow<'a, str>,
        signature: Option<Cow<'a, str>>,
    },
    /// What the assistant thought, readable for the provider only.
    RedactedThinking {
        data: Cow<'a, str>,
    },
}

impl<'a> Part<'a> {
    pub(crate) const fn text(text: Cow<'a, str>) -> Self {
        Self::Text {
            text,
            cache_control: None,
        }
    }
}

/// Where the bytes of an image, a sound or a document are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    Base64 {
        /// As `image/png`.
        media_type: Cow<'a, str>,
        data: Cow<'a, str>,
    },
    Url(Cow<'a, str>),
}

/// A function that the model may ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tool<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) description: Option<Cow<'a, str>>,
    /// A JSON schema of its arguments; an object without properties if absent.
    pub(crate) parameters: Option<Json<'a>>,
    /// Whether the arguments must follow the schema exactly.
    pub(crate) strict: Option<bool>,
    pub(crate) cache_control: Option<Json<'a>>,
}

/// Which tools the model may or must ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolChoice<'a> {
    Auto,
    None,
    /// At least one.
    Required,
    /// This one.
    Named(Cow<'a, str>),
}

/// What the answer must look like.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Format<'a> {
    #[default]
    Text,
    /// Any JSON object.
    Object,
    /// JSON by a schema.
    Schema {
        name: Cow<'a, str>,
        /// A JSON schema.
        schema: Json<'a>,
        strict: bool,
    },
}

/// How much the model should think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    Off,
    /// As much as the model sees fit.
    Adaptive,
    Effort(Effort),
    /// At most so many tokens.
    Budget(i64),
}

/// OpenAI's `reasoning_effort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Minimal,
    Low,
    Medium,
    High,
}

impl<'a> Conversation<'a> {
    /// Reads a request in OpenAI's dialect in full. `max_tokens` is not among its parameters.
    pub(crate) fn of_completions(request: &Completions<'a>) -> Result<Self, Untranslatable> {
        completions::read(request)
    }
}
