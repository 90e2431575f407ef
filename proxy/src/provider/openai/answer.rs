//! Answers, whole and piece by piece. Whatever is not as documented costs only itself.

use std::borrow::Cow;

use serde_json::Value;

use super::super::ending::{self, asked};
use super::super::failure;
use super::super::members::{Count, Members, list};
use super::super::usage::{Beside, Counts, first, service_tier};
use crate::chat::{
    Choice, Completion, Counted, FinishReason, Json, Named, Said, Vocabulary, joined,
};
use crate::steps::forward::UpstreamFailure;

/// Tokens that a cache served, and those of reasoning, are counted inside the totals.
const BESIDE: Beside = Beside {
    caches: false,
    reasoning: false,
};

/// Members of an answer that are read apart, or written anew.
const ANSWER_OWN: [&str; 7] = [
    "id",
    "object",
    "created",
    "choices",
    "usage",
    "error",
    "service_tier",
];

/// Members of a choice that are read apart, or written anew.
const CHOICE_OWN: [&str; 8] = [
    "index",
    "message",
    "delta",
    "text",
    "finish_reason",
    "logprobs",
    "usage",
    "error",
];

/// Members of a message that are read apart, or written anew.
const MESSAGE_OWN: [&str; 7] = [
    "role",
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "tool_calls",
    "id",
];

/// Parts of names that would tell callers who the provider is, or what it calls the model.
const TELLING: [&str; 9] = [
    "model",
    "provider",
    "fingerprint",
    "upstream",
    "backend",
    "deployment",
    "gateway",
    "groq",
    "litellm",
];

/// Whether a member that is not ours may travel to the caller.
fn passes(name: &str, own: &[&str]) -> bool {
    let has = |part: &&str| {
        let mut windows = name.as_bytes().windows(part.len());
        windows.any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    };
    !own.contains(&name) && !TELLING.iter().any(has)
}

/// The members of an answer that travel as they are.
pub(super) fn other_members<'a>(answer: &Members<'a>) -> Named<'a> {
    answer.others(|name| passes(name, &ANSWER_OWN))
}

/// The members of a choice that travel as they are.
pub(super) fn other_choice_members<'a>(choice: &Members<'a>) -> Named<'a> {
    choice.others(|name| passes(name, &CHOICE_OWN))
}

/// What a message says, or a piece of one; `None` if it has a content that is no text, and says
/// nothing else.
pub(super) fn read_said<'a>(message: &Members<'a>) -> Option<Said<'a>> {
    let mut parts = Parts::default();
    let mut is_text = true;
    let content = match message.raw("content") {
        Some(json) if json.starts_with('"') => Some(Cow::Borrowed(json)),
        Some(json) if json.starts_with('[') => {
            for part in list(json) {
                parts.take(part);
            }
            joined(std::mem::take(&mut parts.content))
        }
        Some(json) if json.starts_with('{') => {
            parts.take(json);
            joined(std::mem::take(&mut parts.content))
        }
        other => {
            is_text = other.is_none();
            None
        }
    };
    let reasoning = message.string("reasoning_content");
    let reasoning = reasoning.or_else(|| message.string("reasoning"));
    let mut others = message.others(|name| passes(name, &MESSAGE_OWN));
    for (name, json) in &mut others {
        if name == "function_call"
            && let Some(call) = with_text_arguments(json, &[])
        {
            *json = Cow::Owned(call);
        }
    }
    if !parts.images.is_empty() {
        let images = format!("[{}]", parts.images.join(","));
        others.push((Cow::Borrowed("images"), Cow::Owned(images)));
    }
    let said = Said {
        content,
        reasoning: reasoning
            .map(Cow::Borrowed)
            .or_else(|| joined(parts.reasoning)),
        refusal: message.string("refusal").map(Cow::Borrowed),
        tool_calls: tool_calls(message),
        others,
        ..Said::default()
    };
    (is_text || said.says_something()).then_some(said)
}

/// Requests for tools: those that are objects, with arguments that are texts.
fn tool_calls<'a>(message: &Members<'a>) -> Option<Json<'a>> {
    let json = message.raw("tool_calls")?;
    let all = list(json);
    let is_call = |call: &&str| call.starts_with('{') && *call != "{}";
    let calls: Vec<Json<'a>> = all.iter().copied().filter(is_call).map(with_text).collect();
    let is_documented = |call: &Json<'_>| matches!(call, Cow::Borrowed(_));
    if calls.len() == all.len() && calls.iter().all(is_documented) {
        return (!calls.is_empty()).then_some(Cow::Borrowed(json));
    }
    (!calls.is_empty()).then(|| Cow::Owned(format!("[{}]", calls.join(","))))
}

/// A request for a tool with its arguments as a text, as callers expect them.
fn with_text(call: &str) -> Json<'_> {
    with_text_arguments(call, &["function"]).map_or(Cow::Borrowed(call), Cow::Owned)
}

/// A request whose arguments, in the object on the way `path`, are an object and no text, with the
/// text of that object; nothing if they are a text.
fn with_text_arguments(call: &str, path: &[&str]) -> Option<String> {
    let at = path
        .iter()
        .fold(Members::of(call), |members, name| members.object(name));
    let arguments = at.raw("arguments").filter(|json| json.starts_with('{'))?;
    let mut value: Value = serde_json::from_str(call).ok()?;
    let object = path
        .iter()
        .try_fold(&mut value, |value, name| value.get_mut(name))?;
    let object = object.as_object_mut()?;
    object.insert("arguments".to_owned(), Value::from(arguments));
    Some(value.to_string())
}

/// A content that is a list: some servers tell thoughts and texts as its parts.
#[derive(Default)]
struct Parts<'a> {
    content: Vec<Json<'a>>,
    reasoning: Vec<Json<'a>>,
    images: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn take(&mut self, json: &'a str) {
        if json.starts_with('"') {
            self.content.push(Cow::Borrowed(json));
            return;
        }
        let part = Members::of(json);
        if part.raw("image_url").is_some() {
            self.images.push(json);
        }
        let thoughts = part.raw("thinking").or_else(|| part.raw("reasoning"));
        match thoughts {
            Some(text) if text.starts_with('"') => self.reasoning.push(Cow::Borrowed(text)),
            Some(texts) => {
                let texts = list(texts).into_iter().map(Members::of);
                let texts = texts.filter_map(|text| text.text("text"));
                self.reasoning.extend(texts);
            }
            None => self.content.extend(part.text("text")),
        }
    }
}

/// What was counted. Some servers tell it elsewhere than OpenAI: beside the usage, or in a choice.
pub(super) fn read_counts(answer: &Members<'_>, choices: &[Members<'_>]) -> Counts {
    let mut counts = Counts::default();
    for choice in choices {
        counts.update(&counts_of(&choice.object("usage")));
    }
    counts.update(&counts_of(&answer.object("x_groq").object("usage")));
    counts.update(&counts_of(&answer.object("usage")));
    counts.service_tier = service_tier(answer.word("service_tier"));
    counts
}

/// The counts of a usage, under the names of all servers that speak the dialect.
fn counts_of(usage: &Members<'_>) -> Counts {
    if usage.is_empty() {
        return Counts::default();
    }
    let object = |names: [&str; 2]| {
        let [first, second] = names.map(|name| usage.object(name));
        if first.is_empty() { second } else { first }
    };
    let input = object(["prompt_tokens_details", "input_tokens_details"]);
    let output = object(["completion_tokens_details", "output_tokens_details"]);
    let cached = input.object("cached_tokens_details");
    let written = usage.object("cache_creation");
    let either = |inner: Count, outer: Count| if inner.get().is_some() { inner } else { outer };
    Counts {
        prompt: first(usage, &["prompt_tokens", "input_tokens"]),
        completion: first(usage, &["completion_tokens", "output_tokens"]),
        total: usage.count("total_tokens"),
        cache_read: either(
            input.count("cached_tokens"),
            first(
                usage,
                &[
                    "prompt_cache_hit_tokens",
                    "cached_tokens",
                    "cache_read_input_tokens",
                ],
            ),
        ),
        cache_write: either(
            first(&input, &["cache_write_tokens", "cache_creation_tokens"]),
            usage.count("cache_creation_input_tokens"),
        ),
        cache_write_5m: written.count("ephemeral_5m_input_tokens"),
        cache_write_1h: written.count("ephemeral_1h_input_tokens"),
        cache_miss: usage.count("prompt_cache_miss_tokens"),
        input_audio: input.count("audio_tokens"),
        input_image: input.count("image_tokens"),
        cached_audio: cached.count("audio_tokens"),
        cached_image: cached.count("image_tokens"),
        added_prompt: usage.count("citation_tokens"),
        reasoning: either(
            output.count("reasoning_tokens"),
            usage.count("reasoning_tokens"),
        ),
        output_audio: output.count("audio_tokens"),
        output_image: output.count("image_tokens"),
        rejected: output.count("rejected_prediction_tokens"),
        ..fees_of(usage)
    }
}

/// The counts of what a provider did beside making tokens.
fn fees_of(usage: &Members<'_>) -> Counts {
    let tools = usage.object("server_tool_use");
    let details = usage.object("server_side_tool_usage_details");
    let mut searches = first(usage, &["num_search_queries", "num_sources_used"]);
    searches.update(tools.count("web_search_requests"));
    searches.update(first(&details, &["web_search_calls"]));
    Counts {
        web_searches: searches,
        file_searches: details.count("file_search_calls"),
        code_executions: details.count("code_interpreter_calls"),
        ..Counts::default()
    }
}

/// Disjoint buckets of what was counted.
pub(super) fn counted(counts: &Counts) -> Option<Counted> {
    counts.resolve(BESIDE)
}

/// What an answer counts, whatever else is in it.
pub(crate) fn counted_in(answer: &Members<'_>) -> Option<Counted> {
    let choices = answer.list("choices").into_iter().map(Members::of);
    counted(&read_counts(answer, &choices.collect::<Vec<_>>()))
}

/// Why a choice ended.
pub(super) fn reason(choice: &Members<'_>) -> Result<Option<FinishReason>, UpstreamFailure> {
    ending::reason(Vocabulary::OpenAi, choice, "finish_reason")
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    let answer = Members::of_body(body)?;
    let wire: Vec<Members<'_>> = answer
        .list("choices")
        .into_iter()
        .map(Members::of)
        .collect();
    let choices = wire
        .iter()
        .map(read_choice)
        .collect::<Result<Vec<_>, _>>()?;
    if !choices.iter().any(Option::is_some) {
        return Err(failure::no_answer("choices"));
    }
    Ok(Completion {
        choices: choices.into_iter().map(Option::unwrap_or_default).collect(),
        counted: counted(&read_counts(&answer, &wire)),
        others: other_members(&answer),
    })
}

/// A choice; nothing if there is no message to read in it.
fn read_choice<'a>(wire: &Members<'a>) -> Result<Option<Choice<'a>>, UpstreamFailure> {
    let reason = reason(wire)?.unwrap_or(FinishReason::Stop);
    let message = wire.object("message");
    let message = if message.is_empty() {
        wire.object("delta")
    } else {
        message
    };
    let said = if message.is_empty() {
        // What servers of completions without a chat have.
        wire.text("text").map(|text| Said {
            content: Some(text),
            ..Said::default()
        })
    } else {
        read_said(&message)
    };
    Ok(said.map(|said| Choice {
        finish_reason: asked(reason, said.tool_calls.is_some()),
        said,
        stop_sequence: None,
        logprobs: logprobs(wire),
        others: other_choice_members(wire),
    }))
}

/// Probabilities of the words, if they are what callers expect.
pub(super) fn logprobs<'a>(choice: &Members<'a>) -> Option<Json<'a>> {
    let json = choice.said("logprobs");
    json.filter(|json| json.starts_with('{')).map(Cow::Borrowed)
}
