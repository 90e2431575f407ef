//! What an answer used that its caller did not wait for: at least what was shown, and what may have
//! been thought without being shown.

use tollgate_common::price::Usage;
use tollgate_common::provider::ProviderKind;

use crate::chat::{Chunk, Said};
use crate::conversation::Thinking;
use crate::request::{CallRequest, Prompt, text};

/// How many bytes of a tool's call are taken for a token: most of a piece of it is JSON that the
/// model has not written.
const TOOL_BYTES_PER_TOKEN: usize = 4;

/// How many tokens a piece of an answer may have at most.
pub(crate) fn tokens_at_most(chunk: &Chunk<'_>) -> i64 {
    let tokens = chunk.deltas.iter().map(|delta| tokens_of(&delta.said));
    tokens.fold(0, i64::saturating_add)
}

/// How many tokens a message may have at most.
pub(crate) fn tokens_of(said: &Said<'_>) -> i64 {
    let texts = [&said.content, &said.reasoning, &said.refusal];
    let texts = texts.into_iter().flatten();
    let texts = texts.map(|json| text::tokens_max(inside_quotes(json)));
    let tools = said.tool_calls.as_deref().map_or(0, |json| {
        i64::try_from(json.len() / TOOL_BYTES_PER_TOKEN + 1).unwrap_or(i64::MAX)
    });
    texts.fold(tools, i64::saturating_add)
}

fn inside_quotes(json: &str) -> &str {
    let inside = json.strip_prefix('"').unwrap_or(json);
    inside.strip_suffix('"').unwrap_or(inside)
}

/// Adds what was shown and what may have been thought to what was counted.
pub(crate) fn cover(usage: &mut Usage, shown: i64, hidden_total: Option<i64>) {
    let missing = shown.saturating_sub(usage.output()).max(0);
    usage.output_text = usage.output_text.saturating_add(missing);
    let hidden = hidden_total.unwrap_or(0).saturating_sub(usage.output());
    usage.output_reasoning = usage.output_reasoning.saturating_add(hidden.max(0));
}

/// Families of models, by the beginnings of their names, that show all that they write.
const SHOWING: [&str; 20] = [
    "gpt-3",
    "gpt-4",
    "chatgpt-4o",
    "text-",
    "davinci",
    "babbage",
    "llama",
    "meta-llama",
    "codellama",
    "mistral",
    "mixtral",
    "ministral",
    "codestral",
    "pixtral",
    "gemma",
    "phi-3",
    "deepseek-chat",
    "deepseek-v3",
    "qwen2",
    "command-r",
];

/// Models whose reasoning is never shown in full.
const HIDING: [&str; 5] = ["o1", "o3", "o4", "gpt-5", "codex"];

/// Whether a model may have written what neither the caller nor we have seen. `shows_reasoning`
/// says that its reasoning has come as text.
pub(crate) fn may_hide(
    kind: ProviderKind,
    upstream_model: &str,
    request: &CallRequest<'_>,
    shows_reasoning: bool,
) -> bool {
    let name = upstream_model.rsplit('/').next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let is_one_of = |families: &[&str]| families.iter().any(|family| name.starts_with(family));
    let asks = asks_for_reasoning(request);
    match kind {
        ProviderKind::Anthropic => asks,
        ProviderKind::Gemini => !is_one_of(&["gemini-1", "gemini-2.0", "gemma"]),
        ProviderKind::OpenAi if is_one_of(&HIDING) => true,
        ProviderKind::OpenAi if shows_reasoning => false,
        ProviderKind::OpenAi if name.starts_with("claude") => asks,
        ProviderKind::OpenAi => asks || !is_one_of(&SHOWING),
    }
}

/// Whether the caller wants the model to think before it answers.
fn asks_for_reasoning(request: &CallRequest<'_>) -> bool {
    match &request.prompt {
        Prompt::Messages(conversation) => {
            !matches!(conversation.thinking, None | Some(Thinking::Off))
        }
        Prompt::Completions(completions) => {
            let mut names = completions.parameters.iter().map(|(name, _)| name.as_ref());
            // An effort names no budget.
            let has_effort = names.any(|name| matches!(name, "reasoning_effort" | "reasoning"));
            has_effort || request.ask.thoughts.are_wanted()
        }
        Prompt::Embeddings(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::chat::Delta;

    fn tokens(content: &str) -> i64 {
        let json = serde_json::to_string(content).unwrap();
        let said = Said {
            content: Some(Cow::Owned(json)),
            ..Said::default()
        };
        tokens_at_most(&Chunk {
            deltas: vec![Delta {
                said,
                ..Delta::default()
            }],
            ..Chunk::default()
        })
    }

    #[test]
    fn a_text_is_never_weighed_below_its_tokens() {
        // What the tokenizers cl100k and o200k come to at most.
        for (text, least) in [
            ("The quick brown fox jumps over the lazy dog", 9),
            ("U2FsdGVkX1+vupppZksvRf5pq5g5XjFRlipRkwB0K1Y=", 30),
            ("3f2a9c1e77b04d5d8e6f", 13),
            ("xkqjzvwpbtmfhdgxkqjzvwpbtmfhdg", 10),
            ("ሰላም ለዓለም", 16),
            ("你好,世界", 5),
            ("привет мир", 4),
            ("🦀🦀", 4),
            ("a", 1),
        ] {
            assert!(tokens(text) >= least, "{text}: {}", tokens(text));
        }
        let prose = "and so it goes on and on in the same way as before ".repeat(20);
        let most = i64::try_from(prose.len()).unwrap() / 2;
        assert!(tokens(&prose) <= most, "words are not overweighed");
    }

    #[test]
    fn what_was_shown_and_what_may_be_hidden_are_used_at_least() {
        let mut usage = Usage {
            input_uncached: 10,
            output_text: 3,
            ..Usage::default()
        };
        cover(&mut usage, 20, None);
        assert_eq!((usage.output_text, usage.output_reasoning), (20, 0));
        cover(&mut usage, 20, Some(1_000));
        assert_eq!((usage.output(), usage.output_reasoning), (1_000, 980));
        cover(&mut usage, 20, Some(500));
        assert_eq!(usage.output(), 1_000);
    }

    #[test]
    fn models_that_think_in_silence_are_known_or_assumed() {
        let body = br#"{"messages": [{"role": "user", "content": "Hi"}]}"#;
        let plain = CallRequest::parse(body, 1_000).unwrap();
        let open_ai = ProviderKind::OpenAi;
        for (name, hides) in [
            ("gpt-4o", false),
            ("openai/gpt-4.1-mini", false),
            ("gpt-5", true),
            ("o3-2025-04-16", true),
            ("house-model", true),
            ("meta-llama/Llama-3.1-70B", false),
            ("claude-sonnet-4-5", false),
        ] {
            assert_eq!(may_hide(open_ai, name, &plain, false), hides, "{name}");
        }
        let body = r#"{"model": "m", "messages": [{"role": "user", "content": "Hi"}],
            "chat_template_kwargs": {"enable_thinking": true}}"#;
        for (switch, hides) in [
            (body.to_owned(), true),
            (body.replace("true", "false"), false),
        ] {
            let request = CallRequest::parse_completions(switch.as_bytes()).unwrap();
            assert_eq!(
                may_hide(open_ai, "qwen2.5", &request, false),
                hides,
                "{switch}"
            );
        }
        assert!(!may_hide(open_ai, "deepseek-reasoner", &plain, true));
        assert!(may_hide(open_ai, "o3", &plain, true), "only a summary");
        assert!(!may_hide(
            ProviderKind::Anthropic,
            "claude-x",
            &plain,
            false
        ));
        assert!(may_hide(
            ProviderKind::Gemini,
            "gemini-2.5-pro",
            &plain,
            false
        ));
    }
}
