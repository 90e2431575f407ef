//! The body of an LLM call, parsed: what exists in here is valid.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_common::ledger::PromptWeight;
use tollgate_common::metadata::Metadata;
use tollgate_common::policy::Route;
use tollgate_common::price::{FeeCounts, OutputKinds, RequestedTier};
use tollgate_common::provider::{Endpoint, ProviderKind};

use self::demand::{Ask, always_searches};
use self::parameter::Parameters;
use crate::chat::Untranslatable;
use crate::conversation::{Conversation, Thinking};
use crate::error::ApiError;
use crate::fields::Fields;

pub(crate) mod content;
pub(crate) mod demand;
pub(crate) mod embeddings;
pub(crate) mod job;
pub(crate) mod media;
mod message;
pub(crate) mod messages;
mod parameter;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub(crate) mod thoughts;

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
    pub(crate) call_metadata: Option<Metadata>,
    /// About how many tokens the prompt has, rather too many than too few; what is held for it
    /// says `ask`.
    pub(crate) weight: PromptWeight,
    /// The service tier that it asks for.
    pub(crate) service_tier: RequestedTier,
    /// Billed calls of the provider's tools that it may cause at most.
    pub(crate) fees_max: FeeCounts,
    /// Kinds of output beside text that it asks for.
    pub(crate) output_kinds: OutputKinds,
    /// What it weighs at most, and what else it asks for.
    pub(crate) ask: Ask,
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

impl CallRequest<'_> {
    /// The shortest answer of which more than thoughts is left where thoughts count as part of it,
    /// in tokens.
    pub(crate) fn limit_min(&self) -> i64 {
        let thoughts = match &self.prompt {
            Prompt::Messages(conversation) => match conversation.thinking {
                Some(Thinking::Budget(tokens)) => tokens,
                _ => 0,
            },
            Prompt::Completions(_) => self.ask.thoughts.within_limit(),
            Prompt::Embeddings(_) => 0,
        };
        thoughts.saturating_add(1)
    }

    /// Tokens that a provider may bill for each answer beside its limit. The longest thoughts are
    /// taken for those that the request asks for without a budget. Providers of other kinds than
    /// OpenAI's count all thoughts as part of the answer.
    pub(crate) fn output_beside(&self, kind: ProviderKind, longest: i64) -> i64 {
        let is_copied = matches!(self.prompt, Prompt::Completions(_));
        let thoughts = if is_copied && kind == ProviderKind::OpenAi {
            self.ask.thoughts.beside_limit(longest)
        } else {
            0
        };
        thoughts.saturating_add(self.ask.extra_output_tokens)
    }
}

impl<'a> CallRequest<'a> {
    /// Parses the body of a job's call; reports everything that is wrong with it. Fields that the
    /// documentation does not name are ignored.
    pub(crate) fn parse(body: &'a [u8], metadata_bytes_max: usize) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let request = Self::of_job_call(&mut fields, metadata_bytes_max);
        fields.finish()?;
        request.ok_or_else(|| ApiError::field("messages", "Field required"))
    }

    /// Reads the fields of a job's call.
    pub(crate) fn of_job_call(fields: &mut Fields<'a>, metadata_bytes_max: usize) -> Option<Self> {
        let model = fields
            .optional_text("model", MODEL_LENGTH_MAX)
            .or_else(|| fields.optional_text("model_group", MODEL_LENGTH_MAX));
        let mut ask = Ask::default();
        message::read_all(fields, &mut ask);
        let parameters = parse_parameters(fields);
        for (name, raw) in &parameters {
            parameter::read(fields, Endpoint::Completions, name, raw, &mut ask);
        }
        let max_tokens = fields.optional_integer("max_tokens", 1);
        let purpose = fields.optional_text("purpose", PURPOSE_LENGTH_MAX);
        let call_metadata = fields.optional_metadata("call_metadata", metadata_bytes_max);
        Some(Self {
            model,
            max_tokens,
            choices: 1,
            stream: false,
            include_usage: true,
            purpose,
            call_metadata,
            weight: PromptWeight::of_text(ask.content.typical_tokens()),
            service_tier: ask.tier,
            fees_max: ask.fees_max,
            output_kinds: ask.output_kinds,
            ask,
            prompt: Prompt::Completions(Completions {
                messages: fields.raw("messages")?,
                parameters,
            }),
        })
    }

    /// Parses a body of OpenAI's chat completions. Fields travel by the table of fields.
    pub(crate) fn parse_completions(body: &'a [u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let model = fields.optional_text("model", MODEL_LENGTH_MAX);
        let mut ask = Ask::default();
        message::read_all(&mut fields, &mut ask);
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
        let parameters = parameter::by_table(&mut fields, Endpoint::Completions, &mut ask);
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
            weight: PromptWeight::of_text(ask.content.typical_tokens()),
            service_tier: ask.tier,
            fees_max: ask.fees_max,
            output_kinds: ask.output_kinds,
            ask,
            prompt: Prompt::Completions(Completions {
                messages,
                parameters,
            }),
        })
    }
}

impl CallRequest<'_> {
    /// The billed calls that the request causes for certain at a model, as far as they have a
    /// price: one request, and one search if it asks for searches or the model always makes them.
    pub(crate) fn fees_min(&self, route: &Route<'_>) -> FeeCounts {
        let price = route.price();
        let unit = price.and_then(|price| price.reachable(0, self.service_tier));
        let Some(fees) = unit.map(|unit| unit.fees) else {
            return FeeCounts::NONE;
        };
        let is_openai = route.provider.kind == ProviderKind::OpenAi;
        let asks = is_openai && self.fees_max.web_searches > 0;
        let searches = fees.web_search.is_some() && (asks || self.is_answered_by_search(route));
        FeeCounts {
            web_searches: i64::from(searches),
            requests: i64::from(fees.request.is_some()),
            ..FeeCounts::NONE
        }
    }

    /// Whether a model searches the web for the answer although it is not asked to.
    fn is_answered_by_search(&self, route: &Route<'_>) -> bool {
        !matches!(self.prompt, Prompt::Embeddings(_))
            && route.provider.kind == ProviderKind::OpenAi
            && always_searches(&route.model.upstream_model)
    }

    /// Refuses a model that always searches the web if nobody knows what a search costs.
    fn check_search(&self, route: &Route<'_>) -> Result<(), Untranslatable> {
        let price = route.price().filter(|_| self.is_answered_by_search(route));
        let Some(unit) = price.and_then(|price| price.reachable(0, self.service_tier)) else {
            return Ok(());
        };
        if unit.fees.web_search.or(unit.fees.request).is_some() {
            return Ok(());
        }
        let message = "searches the web for every answer, and the price of a search is not known; \
                       use another model, or let an administrator set the price web_search of \
                       this one";
        Err(Untranslatable::new("model", message))
    }

    /// Refuses, by its name, a field that the provider of a model may not be sent.
    pub(crate) fn check_demands(&self, route: &Route<'_>) -> Result<(), Untranslatable> {
        self.check_search(route)?;
        let mut demands = self.ask.demands.iter();
        let is_openai = !matches!(self.prompt, Prompt::Messages(_));
        demands.try_for_each(|demand| demand.check(route, self.service_tier, is_openai))
    }
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
fn parse_parameters<'a>(fields: &mut Fields<'a>) -> Parameters<'a> {
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
