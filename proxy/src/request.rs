//! The body of an LLM call, parsed: what exists in here is valid.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_common::db::work::Object;
use tollgate_common::ledger::PromptWeight;
use tollgate_common::price::{FeeCounts, OutputKinds, RequestedTier};

use crate::conversation::Conversation;
use crate::error::ApiError;
use crate::fields::Fields;

pub(crate) mod embeddings;
pub(crate) mod job;
pub(crate) mod messages;

/// The most that an image or sound is taken for in an estimate, in tokens: its bytes say little.
const MEDIA_TOKENS: usize = 2_000;

/// Tokens that surround a message in providers' templates.
const MESSAGE_OVERHEAD_TOKENS: usize = 16;

/// Text that tokenizers cut finest has about two bytes a token; common English has four.
const BYTES_PER_TOKEN: usize = 2;

/// The most messages of one call.
const MESSAGES_MAX: usize = 10_000;

const ROLES: [&str; 6] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
];

/// The longest label of a call, in characters.
const PURPOSE_LENGTH_MAX: usize = 200;

/// The longest name of a model, in characters.
const MODEL_LENGTH_MAX: usize = 128;

/// The most answers to one prompt.
const CHOICES_MAX: i64 = 128;

/// An LLM call as a caller asks for it. Texts that only travel through stay as they were written.
#[derive(Debug)]
pub(crate) struct CallRequest<'a> {
    /// An alias or group; the team's default if absent.
    pub(crate) model: Option<String>,
    /// What is asked, in the caller's dialect.
    pub(crate) prompt: Prompt<'a>,
    /// The longest answer that the caller wants, in tokens.
    pub(crate) max_tokens: Option<i64>,
    /// How many answers the caller wants.
    pub(crate) choices: i64,
    /// Whether the answer is wanted piece by piece.
    pub(crate) stream: bool,
    /// Whether a streamed answer ends with a piece that tells the usage.
    pub(crate) include_usage: bool,
    /// The caller's label.
    pub(crate) purpose: Option<String>,
    /// Merged into the job's metadata if the call succeeds.
    pub(crate) call_metadata: Option<Object>,
    /// About how heavy the prompt is, rather too heavy than too light.
    pub(crate) weight: PromptWeight,
    /// The service tier that it asks for.
    pub(crate) service_tier: RequestedTier,
    /// Billed calls of the provider's tools that it may cause at most.
    pub(crate) fees_max: FeeCounts,
    /// Kinds of output beside text that it asks for.
    pub(crate) output_kinds: OutputKinds,
}

/// What is asked, in the dialect in which it came.
#[derive(Debug)]
pub(crate) enum Prompt<'a> {
    /// OpenAI's chat completions, and the job API, which has their words.
    Completions(Completions<'a>),
    /// Anthropic's messages.
    Messages(Box<Conversation<'a>>),
    /// Texts to be turned into vectors: all fields but the model, by name.
    Embeddings(Vec<(Cow<'a, str>, &'a RawValue)>),
}

/// A chat in OpenAI's dialect, not taken apart.
#[derive(Debug)]
pub(crate) struct Completions<'a> {
    /// A list of messages, each an object with a known role.
    pub(crate) messages: &'a RawValue,
    /// All other fields that travel, by name. Those of the documentation are valid; `model`,
    /// `stream`, `stream_options`, `max_tokens` and `max_completion_tokens` are not among them.
    pub(crate) parameters: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// Fields that are read apart, or that only Tollgate knows: they do not travel as they are.
const OWN_FIELDS: [&str; 6] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
];

impl<'a> CallRequest<'a> {
    /// Parses the body of a job's call; reports everything that is wrong with it. Fields that the
    /// documentation does not name are ignored.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let request = Self::of_job_call(&mut fields);
        fields.finish()?;
        request.ok_or_else(|| ApiError::field("messages", "Field required"))
    }

    /// Reads the fields of a job's call.
    pub(crate) fn of_job_call(fields: &mut Fields<'a>) -> Option<Self> {
        let model = fields
            .optional_text("model", MODEL_LENGTH_MAX)
            .or_else(|| fields.optional_text("model_group", MODEL_LENGTH_MAX));
        let message_tokens = parse_messages(fields);
        let parameters = parse_parameters(fields);
        let max_tokens = fields.optional_integer("max_tokens", 1);
        let purpose = fields.optional_text("purpose", PURPOSE_LENGTH_MAX);
        let call_metadata = fields.optional_object("call_metadata");
        Some(Self {
            model,
            max_tokens,
            choices: 1,
            stream: false,
            include_usage: true,
            purpose,
            call_metadata,
            weight: weight_of(message_tokens, &parameters),
            service_tier: RequestedTier::Standard,
            fees_max: FeeCounts::NONE,
            output_kinds: OutputKinds::default(),
            prompt: Prompt::Completions(Completions {
                messages: fields.raw("messages")?,
                parameters,
            }),
        })
    }

    /// Parses a body of OpenAI's chat completions. Every field travels on.
    pub(crate) fn parse_completions(body: &'a [u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let model = fields.optional_text("model", MODEL_LENGTH_MAX);
        let message_tokens = parse_messages(&mut fields);
        parse_parameters(&mut fields);
        let max_tokens = fields.optional_integer("max_tokens", 1);
        let max_tokens = fields
            .optional_integer("max_completion_tokens", 1)
            .or(max_tokens);
        let choices = fields.optional_integer("n", 1).unwrap_or(1);
        if choices > CHOICES_MAX {
            fields.problem(
                "n",
                format!("must be at most {CHOICES_MAX}"),
                "less_than_equal",
            );
        }
        let stream = fields.optional_flag("stream").unwrap_or(false);
        let include_usage = parse_stream_options(&mut fields);
        let parameters: Vec<_> = fields
            .all()
            .filter(|(name, _)| !OWN_FIELDS.contains(&name.as_ref()))
            .collect();
        let messages = fields.raw("messages");
        fields.finish()?;
        let messages = messages.ok_or_else(|| ApiError::field("messages", "Field required"))?;
        Ok(Self {
            model,
            max_tokens,
            choices,
            stream,
            include_usage,
            purpose: None,
            call_metadata: None,
            weight: weight_of(message_tokens, &parameters),
            service_tier: RequestedTier::Standard,
            fees_max: FeeCounts::NONE,
            output_kinds: OutputKinds::default(),
            prompt: Prompt::Completions(Completions {
                messages,
                parameters,
            }),
        })
    }
}

fn weight_of(message_tokens: usize, parameters: &[(Cow<'_, str>, &RawValue)]) -> PromptWeight {
    let bytes: usize = parameters.iter().map(|(_, raw)| raw.get().len()).sum();
    let tokens = message_tokens + bytes / BYTES_PER_TOKEN;
    PromptWeight::of_text(i64::try_from(tokens).unwrap_or(i64::MAX))
}

/// Reads `stream_options`: whether a streamed answer ends with its usage.
fn parse_stream_options(fields: &mut Fields<'_>) -> bool {
    #[derive(Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    let Some(raw) = fields.raw("stream_options") else {
        return false;
    };
    match serde_json::from_str::<StreamOptions>(raw.get()) {
        Ok(options) => options.include_usage.unwrap_or(false),
        Err(_) => {
            fields.problem("stream_options", "must be an object", "dict_type");
            false
        }
    }
}

/// Checks the messages and returns how many tokens they are at most, about.
fn parse_messages(fields: &mut Fields<'_>) -> usize {
    let Some(raw) = fields.raw("messages") else {
        fields.problem("messages", "Field required", "missing");
        return 0;
    };
    let messages: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
        Ok(messages) => messages,
        Err(_) => {
            fields.problem("messages", "must be a list of messages", "list_type");
            return 0;
        }
    };
    if messages.is_empty() {
        fields.problem("messages", "must have at least one message", "too_short");
    }
    if messages.len() > MESSAGES_MAX {
        let message = format!("must have at most {MESSAGES_MAX} messages");
        fields.problem("messages", message, "too_long");
        return 0;
    }
    let mut tokens = 0;
    for (index, message) in messages.into_iter().enumerate() {
        let location = vec![json!("body"), json!("messages"), json!(index)];
        tokens += MESSAGE_OVERHEAD_TOKENS + parse_message(fields, message, location);
    }
    tokens
}

fn parse_message(fields: &mut Fields<'_>, raw: &RawValue, location: Vec<Value>) -> usize {
    let Some(mut message) = Fields::of_nested(raw, location.clone()) else {
        let problem = crate::error::FieldProblem {
            location,
            message: "must be an object with role and content".to_owned(),
            kind: "dict_type",
        };
        fields.absorb(vec![problem]);
        return 0;
    };
    let role = message
        .raw("role")
        .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    if !role.is_some_and(|role| ROLES.contains(&role.as_str())) {
        message.problem(
            "role",
            format!("must be one of: {}", ROLES.join(", ")),
            "enum",
        );
    }
    let media = match message.raw("content").map(RawValue::get) {
        Some(content) if !content.starts_with('"') => media_in(content).unwrap_or_else(|| {
            message.problem(
                "content",
                "must be a string, a list of parts, or null",
                "string_type",
            );
            Media::default()
        }),
        _ => Media::default(),
    };
    fields.absorb(message.into_problems());
    // Everything that travels counts, whatever its name, but for the bytes of images and sounds.
    (raw.get().len() - media.bytes) / BYTES_PER_TOKEN + media.count * MEDIA_TOKENS
}

/// Images and sounds in a list of content parts.
#[derive(Debug, Default)]
struct Media {
    count: usize,
    bytes: usize,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    input_audio: Option<&'a RawValue>,
}

/// Finds images and sounds; `None` if the text is no list of parts. A field given twice is no part.
fn media_in(content: &str) -> Option<Media> {
    let parts: Vec<Part<'_>> = serde_json::from_str(content).ok()?;
    let mut media = Media::default();
    for part in parts {
        let of_its_kind = match part.kind.as_ref() {
            "image_url" => part.image_url,
            "input_audio" => part.input_audio,
            _ => None,
        };
        if let Some(raw) = of_its_kind {
            media.count += 1;
            media.bytes += raw.get().len();
        }
    }
    Some(media)
}

/// A parameter, what it must be, and whether its JSON is that.
type Shape = (&'static str, &'static str, fn(&str) -> bool);

const SHAPES: [Shape; 4] = [
    (
        "stop",
        "must be a string or a list of at most 4 strings",
        is_stop,
    ),
    ("response_format", "must be an object with a type", |json| {
        json.starts_with('{')
    }),
    ("tools", "must be a list of objects", is_list_of_objects),
    ("tool_choice", "must be a string or an object", |json| {
        json.starts_with(['"', '{'])
    }),
];

/// The parameters of the documentation with their ranges. What is absent is not invented.
fn parse_parameters<'a>(fields: &mut Fields<'a>) -> Vec<(Cow<'a, str>, &'a RawValue)> {
    let ranges = [
        ("temperature", 0.0..=2.0),
        ("top_p", 0.0..=1.0),
        ("frequency_penalty", -2.0..=2.0),
        ("presence_penalty", -2.0..=2.0),
    ];
    let mut parameters = Vec::new();
    for (name, range) in ranges {
        parameters.extend(
            fields
                .optional_number(name, range)
                .map(|raw| (name.into(), raw)),
        );
    }
    for (name, message, is_valid) in SHAPES {
        let Some(raw) = fields.raw(name) else {
            continue;
        };
        if is_valid(raw.get()) {
            parameters.push((name.into(), raw));
        } else {
            fields.problem(name, message, "type_error");
        }
    }
    parameters
}

fn is_stop(json: &str) -> bool {
    json.starts_with('"')
        || serde_json::from_str::<Vec<String>>(json)
            .is_ok_and(|stops| (1..=4).contains(&stops.len()))
}

fn is_list_of_objects(json: &str) -> bool {
    serde_json::from_str::<Vec<&RawValue>>(json)
        .is_ok_and(|list| list.iter().all(|item| item.get().starts_with('{')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(body: &str) -> String {
        match CallRequest::parse(body.as_bytes()) {
            Ok(_) => "valid".to_owned(),
            Err(error) => error.body()["detail"].as_str().unwrap().to_owned(),
        }
    }

    fn with(field: &str) -> String {
        detail(&format!(
            r#"{{"messages":[{{"role":"user","content":"hi"}}],{field}}}"#
        ))
    }

    #[test]
    fn documented_ranges_are_enforced_at_both_ends() {
        for valid in [
            r#""temperature":0"#,
            r#""temperature":2.0"#,
            r#""top_p":1"#,
            r#""presence_penalty":-2"#,
            r#""max_tokens":1"#,
            r#""stop":"END""#,
            r#""stop":["a","b","c","d"]"#,
            r#""temperature":null"#,
            r#""unknown":{"x":1}"#,
        ] {
            assert_eq!(with(valid), "valid", "{valid}");
        }
        for (invalid, name) in [
            (r#""temperature":2.1"#, "temperature"),
            (r#""temperature":"hot""#, "temperature"),
            (r#""top_p":-0.1"#, "top_p"),
            (r#""frequency_penalty":3"#, "frequency_penalty"),
            (r#""max_tokens":0"#, "max_tokens"),
            (r#""max_tokens":1.5"#, "max_tokens"),
            (r#""max_tokens":99999999999999999999"#, "max_tokens"),
            (r#""stop":["a","b","c","d","e"]"#, "stop"),
            (r#""stop":[]"#, "stop"),
            (r#""tools":[1]"#, "tools"),
            (r#""call_metadata":[]"#, "call_metadata"),
        ] {
            assert!(
                with(invalid).starts_with(name),
                "{invalid}: {}",
                with(invalid)
            );
        }
    }

    #[test]
    fn messages_are_checked_one_by_one() {
        for (body, part) in [
            ("{}", "messages: Field required"),
            (r#"{"messages":"hi"}"#, "must be a list"),
            (r#"{"messages":[]}"#, "at least one"),
            (r#"{"messages":["hi"]}"#, "messages[0]: must be an object"),
            (
                r#"{"messages":[{"role":"user","content":"a"},{"content":"b"}]}"#,
                "messages[1].role",
            ),
            (
                r#"{"messages":[{"role":"king","content":"a"}]}"#,
                "messages[0].role: must be one of",
            ),
            (
                r#"{"messages":[{"role":"user","content":5}]}"#,
                "messages[0].content",
            ),
        ] {
            assert!(detail(body).contains(part), "{body}: {}", detail(body));
        }
        let image = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"what?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
        let request = CallRequest::parse(image.as_bytes()).unwrap();
        assert!(request.weight.total() >= 2_000 && request.weight.total() < 2_150);
    }

    #[test]
    fn everything_that_travels_counts_in_the_estimate() {
        let long = "x".repeat(100_000);
        for message in [
            format!(r#"{{"role":"user","content":"{long}"}}"#),
            format!(r#"{{"role":"user","content":[{{"type":"\u0074ext","text":"{long}"}}]}}"#),
            format!(r#"{{"role":"user","content":[{{"type":"file","file":"{long}"}}]}}"#),
            format!(r#"{{"role":"assistant","content":null,"function_call":"{long}"}}"#),
        ] {
            let body = format!(r#"{{"messages":[{message}]}}"#);
            let request = CallRequest::parse(body.as_bytes()).unwrap();
            assert!(
                request.weight.total() >= 50_000,
                "{}",
                request.weight.total()
            );
        }
        let twice = r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#;
        assert!(detail(twice).contains("messages[0].content: must be given once"));
    }
}
