//! Providers' dialects: requests, answers and streams as pure functions over bytes.

use std::borrow::Cow;

use bytes::Bytes;
use tollgate_common::provider::{BaseUrl, ProviderKind};
use tollgate_common::secret::Secret;

use self::ending::Progress;
use self::members::Members;
use crate::chat::{Chunk, Completion, Counted, Untranslatable};
use crate::conversation::Conversation;
use crate::request::{CallRequest, Prompt};
use crate::sse;
use crate::steps::forward::UpstreamFailure;

pub(crate) mod anthropic;
pub(crate) mod ending;
pub(crate) mod failure;
pub(crate) mod gemini;
pub(crate) mod members;
pub(crate) mod openai;
#[cfg(test)]
mod tests;
mod usage;

/// What a provider is asked for beside the caller's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// What the provider calls the model.
    pub(crate) upstream_model: &'a str,
    /// The longest answer, in tokens, if anyone limits it.
    pub(crate) output_tokens_max: Option<i64>,
    /// The most tokens of thoughts, where the caller asks for thoughts without a budget.
    pub(crate) thoughts_max: Option<i64>,
    /// Whether the answer is wanted piece by piece.
    pub(crate) stream: bool,
}

/// A request in a provider's dialect.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Below the base URL, with its query if it has one.
    pub(crate) endpoint: String,
    pub(crate) body: Bytes,
}

/// Says the caller's request in the provider's dialect.
pub(crate) fn encode(
    kind: ProviderKind,
    request: &CallRequest<'_>,
    order: Order<'_>,
) -> Result<Encoded, Untranslatable> {
    match (kind, &request.prompt) {
        (ProviderKind::OpenAi, Prompt::Embeddings(fields)) => {
            Ok(openai::encode_embeddings(fields, order.upstream_model))
        }
        (_, Prompt::Embeddings(_)) => Err(Untranslatable::new(
            "model",
            "does not make embeddings; use another model",
        )),
        (ProviderKind::OpenAi, Prompt::Completions(chat)) => Ok(openai::encode(chat, order)),
        (ProviderKind::OpenAi, Prompt::Messages(conversation)) => {
            openai::conversation::encode(conversation, order)
        }
        (ProviderKind::Anthropic, prompt) => anthropic::encode(&*in_full(prompt)?, order),
        (ProviderKind::Gemini, prompt) => gemini::encode(&*in_full(prompt)?, order),
    }
}

fn in_full<'r, 'a>(prompt: &'r Prompt<'a>) -> Result<Full<'r, 'a>, Untranslatable> {
    match prompt {
        Prompt::Completions(chat) => Ok(Full::Read(Box::new(Conversation::of_completions(chat)?))),
        Prompt::Messages(conversation) => Ok(Full::Known(conversation)),
        Prompt::Embeddings(_) => Err(Untranslatable::new("input", "is no conversation")),
    }
}

/// A request taken apart just now, or before.
enum Full<'r, 'a> {
    Read(Box<Conversation<'a>>),
    Known(&'r Conversation<'a>),
}

impl<'a> std::ops::Deref for Full<'_, 'a> {
    type Target = Conversation<'a>;

    fn deref(&self) -> &Conversation<'a> {
        match self {
            Self::Read(conversation) => conversation,
            Self::Known(conversation) => conversation,
        }
    }
}

/// The headers by which a provider recognizes us, and which version of its API is spoken.
pub(crate) fn headers(
    kind: ProviderKind,
    base_url: &BaseUrl,
    key: &Secret,
) -> Vec<(&'static str, Cow<'static, str>)> {
    let own = |name| (name, Cow::Owned(key.expose().to_owned()));
    match kind {
        ProviderKind::OpenAi if base_url.takes_api_key_header() => vec![own("api-key")],
        ProviderKind::OpenAi => {
            vec![("authorization", format!("Bearer {}", key.expose()).into())]
        }
        ProviderKind::Anthropic => {
            vec![
                own("x-api-key"),
                ("anthropic-version", anthropic::VERSION.into()),
            ]
        }
        ProviderKind::Gemini => vec![own("x-goog-api-key")],
    }
}

/// Reads a successful answer.
pub(crate) fn decode(kind: ProviderKind, body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    match kind {
        ProviderKind::OpenAi => openai::decode(body),
        ProviderKind::Anthropic => anthropic::decode(body),
        ProviderKind::Gemini => gemini::decode(body),
    }
}

/// What a body counts, whatever else is in it: failures have their price, too.
pub(crate) fn counted_in(kind: ProviderKind, body: &[u8]) -> Option<Counted> {
    let answer = Members::of_body(body).ok()?;
    match kind {
        ProviderKind::OpenAi => openai::answer::counted_in(&answer),
        ProviderKind::Anthropic => anthropic::answer::counted_in(&answer),
        ProviderKind::Gemini => gemini::counted_in(&answer),
    }
}

/// Reads a streamed answer, event by event.
#[derive(Debug)]
pub(crate) enum StreamDecoder {
    OpenAi(openai::stream::StreamDecoder),
    Anthropic(anthropic::stream::StreamDecoder),
    Gemini(gemini::stream::StreamDecoder),
}

impl StreamDecoder {
    /// A reader of so many answers to one prompt.
    pub(crate) fn new(kind: ProviderKind, choices: usize) -> Self {
        match kind {
            ProviderKind::OpenAi => Self::OpenAi(openai::stream::StreamDecoder::new(choices)),
            ProviderKind::Anthropic => Self::Anthropic(anthropic::stream::StreamDecoder::default()),
            ProviderKind::Gemini => Self::Gemini(gemini::stream::StreamDecoder::default()),
        }
    }

    /// What an event says; an empty chunk if nothing that concerns the caller.
    pub(crate) fn read<'e>(&mut self, event: &'e sse::Event) -> Result<Chunk<'e>, UpstreamFailure> {
        match self {
            Self::OpenAi(decoder) => decoder.read(event),
            Self::Anthropic(decoder) => decoder.read(event),
            Self::Gemini(decoder) => decoder.read(event),
        }
    }

    /// Whether nothing more is to come.
    pub(crate) const fn is_done(&self) -> bool {
        match self {
            Self::OpenAi(decoder) => decoder.is_done(),
            Self::Anthropic(decoder) => decoder.is_done(),
            Self::Gemini(decoder) => decoder.is_done(),
        }
    }

    /// How far the answer has come. A stream that ends while it is open was cut.
    pub(crate) fn progress(&self) -> Progress {
        match self {
            Self::OpenAi(decoder) => decoder.progress(),
            Self::Anthropic(decoder) => decoder.progress(),
            Self::Gemini(decoder) => decoder.progress(),
        }
    }

    /// What the last event counted, even if it told of a failure.
    pub(crate) const fn counted_last(&self) -> Option<Counted> {
        match self {
            Self::OpenAi(decoder) => decoder.counted_last(),
            Self::Anthropic(decoder) => decoder.counted_last(),
            Self::Gemini(decoder) => decoder.counted_last(),
        }
    }

    /// Why the answers ended. It is told once the stream has ended, after all words.
    pub(crate) fn finish(&mut self) -> Chunk<'static> {
        match self {
            Self::OpenAi(decoder) => decoder.finish(),
            Self::Anthropic(decoder) => decoder.finish(),
            Self::Gemini(decoder) => decoder.finish(),
        }
    }
}
