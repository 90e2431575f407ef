//! Why answers end, in the words of each provider, and when a stream of pieces has ended.

use std::collections::BTreeMap;

use super::failure;
use super::members::Members;
use crate::chat::{Chunk, Delta, FinishReason, ForeignReason, Vocabulary};
use crate::steps::forward::UpstreamFailure;

/// Words of servers that speak OpenAI's dialect, in small letters: OpenAI's own, and those of other
/// providers behind the same dialect.
const OPENAI: Words = Words {
    stop: &[
        "stop",
        "eos",
        "eos_token",
        "end_turn",
        "stop_sequence",
        "complete",
        "completed",
        "normal",
        "finish_reason_stop",
    ],
    length: &[
        "length",
        "max_tokens",
        "max_length",
        "max_output_tokens",
        "model_length",
        "token_limit",
        "error_limit",
    ],
    tool_calls: &["tool_calls", "tool_call", "function_call", "tool_use"],
    content_filter: &[
        "content_filter",
        "safety",
        "refusal",
        "sensitive",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "error_toxic",
        // Google's, as servers in between tell them.
        "malformed_function_call",
        "malformed_response",
        "unexpected_tool_call",
        "too_many_tool_calls",
        "missing_thought_signature",
        "no_image",
    ],
    broken: &[
        "insufficient_system_resource",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "timeout",
        "failed",
        "failure",
        "interrupted",
        "load",
        "unload",
    ],
};

/// Words of Anthropic's API. `pause_turn` and `model_context_window_exceeded` are known, but have
/// no counterpart: Anthropic's callers are told them as they are, others that the answer is cut.
const ANTHROPIC: Words = Words {
    stop: &["end_turn", "stop_sequence", "stop"],
    length: &["max_tokens", "length"],
    tool_calls: &["tool_use", "tool_calls"],
    content_filter: &["refusal", "content_filter"],
    broken: &[
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "timeout",
        "failed",
        "insufficient_system_resource",
    ],
};

/// Words of Google's API. An answer that is held back is filtered, whether for what it says or for
/// how the model wrote it: requests can bring both about, and the provider bills them.
const GEMINI: Words = Words {
    stop: &["stop"],
    length: &["max_tokens"],
    tool_calls: &[],
    content_filter: &[
        "safety",
        "recitation",
        "language",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
        "model_armor",
        "malformed_function_call",
        "malformed_response",
        "unexpected_tool_call",
        "too_many_tool_calls",
        "missing_thought_signature",
        "no_image",
        "image_other",
        "other",
    ],
    broken: &[],
};

/// What a provider's words mean.
struct Words {
    stop: &'static [&'static str],
    length: &'static [&'static str],
    tool_calls: &'static [&'static str],
    content_filter: &'static [&'static str],
    broken: &'static [&'static str],
}

impl Words {
    const fn of(vocabulary: Vocabulary) -> &'static Self {
        match vocabulary {
            Vocabulary::OpenAi => &OPENAI,
            Vocabulary::Anthropic => &ANTHROPIC,
            Vocabulary::Gemini => &GEMINI,
        }
    }
}

/// Reads why an answer ended; `None` if the provider does not say. Words that mean that the
/// provider broke the answer off are failures, and unknown words never pass for a good end.
pub(super) fn reason(
    vocabulary: Vocabulary,
    members: &Members<'_>,
    name: &str,
) -> Result<Option<FinishReason>, UpstreamFailure> {
    let Some(json) = members.said(name) else {
        return Ok(None);
    };
    let word: String = serde_json::from_str(json).unwrap_or_else(|_| json.to_owned());
    let known = word.trim().to_ascii_lowercase();
    if matches!(
        known.as_str(),
        "" | "null" | "none" | "finish_reason_unspecified"
    ) {
        return Ok(None);
    }
    let words = Words::of(vocabulary);
    let is_in = |list: &[&str]| list.contains(&known.as_str());
    let reason = if is_in(words.stop) {
        FinishReason::Stop
    } else if is_in(words.length) {
        FinishReason::Length
    } else if is_in(words.tool_calls) {
        FinishReason::ToolCalls
    } else if is_in(words.content_filter) || is_filter_of_google(&known) {
        FinishReason::ContentFilter
    } else if is_in(words.broken) || known.contains("error") {
        return Err(failure::broken_off(&known));
    } else {
        FinishReason::Foreign(ForeignReason::new(vocabulary, word.trim()))
    };
    Ok(Some(reason))
}

/// Whether a word is that of Google's servers that speak OpenAI's dialect: a filter, and after it
/// what it is for.
fn is_filter_of_google(known: &str) -> bool {
    let filter = known.split_once(':').map(|(filter, _)| filter);
    matches!(filter, Some("content_filter" | "function_call_filter"))
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must come.
    Open,
    /// A reason came together with words, as in the last piece of some providers; but it did so
    /// before, too, and words followed. Only the end of the body tells.
    Doubtful,
    /// A reason came together with words: the end, unless more words follow.
    Likely,
    /// All has been said. What is missing is the usage at most.
    Ended,
}

impl Progress {
    /// Whether the answer is complete if the body ends here as it should.
    pub(crate) fn may_end(self) -> bool {
        self != Self::Open
    }
}

/// Why the answers of a stream ended, held back until the stream's end: some servers give a reason
/// with each piece, and no reason may be told before the last words.
#[derive(Debug, Default)]
pub(super) struct Endings {
    choices: BTreeMap<u32, Ending>,
    /// Words came after a reason.
    words_followed: bool,
}

/// How one answer stands.
#[derive(Debug, Default)]
struct Ending {
    reason: Option<FinishReason>,
    /// A JSON string.
    stop_sequence: Option<String>,
    /// A reason has come, and no words after it.
    has_ended: bool,
    /// An event without words came with it, or after it.
    is_confirmed: bool,
    has_tool_calls: bool,
}

impl Endings {
    /// Notes what an event adds to an answer, in the order of events.
    pub(super) fn note(&mut self, delta: &Delta<'_>, reason: Option<FinishReason>) {
        let has_words = delta.said.says_something();
        let ending = self.choices.entry(delta.index).or_default();
        ending.has_tool_calls |= delta.said.tool_calls.is_some();
        if has_words && ending.has_ended {
            ending.has_ended = false;
            ending.is_confirmed = false;
            self.words_followed = true;
        }
        // The first reason after the last words is the one.
        if let Some(reason) = reason.filter(|_| !ending.has_ended) {
            ending.reason = Some(reason);
            ending.has_ended = true;
            ending.is_confirmed = !has_words;
        }
    }

    /// Notes the stop sequence that ended an answer.
    pub(super) fn note_stop_sequence(&mut self, index: u32, json: &str) {
        let ending = self.choices.entry(index).or_default();
        ending.stop_sequence = Some(json.to_owned());
    }

    /// Notes an event without words: reasons before it were no slips of the pen.
    pub(super) fn note_quiet_event(&mut self) {
        for ending in self.choices.values_mut() {
            ending.is_confirmed |= ending.has_ended;
        }
    }

    /// How far the stream has come, if so many answers were asked for.
    pub(super) fn progress(&self, choices: usize) -> Progress {
        let ended = || self.choices.values().filter(|ending| ending.has_ended);
        if ended().count() < choices.max(1) {
            Progress::Open
        } else if ended().all(|ending| ending.is_confirmed) {
            Progress::Ended
        } else if self.words_followed {
            Progress::Doubtful
        } else {
            Progress::Likely
        }
    }

    /// How far the stream has come, if each answer begins at once.
    pub(super) fn progress_of_begun(&self) -> Progress {
        self.progress(self.choices.len())
    }

    /// The ends of all answers that have begun, told once the stream has ended.
    pub(super) fn finish(&mut self) -> Chunk<'static> {
        let endings = std::mem::take(&mut self.choices);
        let deltas = endings.into_iter().map(|(index, ending)| Delta {
            index,
            finish_reason: Some(asked(
                ending.reason.unwrap_or(FinishReason::Stop),
                ending.has_tool_calls,
            )),
            stop_sequence: ending.stop_sequence.map(Into::into),
            ..Delta::default()
        });
        Chunk {
            deltas: deltas.collect(),
            ..Chunk::default()
        }
    }
}

/// The reason of an answer that asks for tools: many servers call its end a stop.
pub(super) fn asked(reason: FinishReason, has_tool_calls: bool) -> FinishReason {
    match reason {
        FinishReason::Stop if has_tool_calls => FinishReason::ToolCalls,
        reason => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Said;

    fn read(vocabulary: Vocabulary, json: &str) -> Result<Option<FinishReason>, UpstreamFailure> {
        let body = format!("{{\"why\":{json}}}");
        reason(vocabulary, &Members::of(&body), "why")
    }

    #[test]
    fn only_known_words_are_good_ends() {
        use Vocabulary::{Anthropic, Gemini, OpenAi};
        for vocabulary in [OpenAi, Anthropic, Gemini] {
            for nothing in ["null", "\"\"", "[]", "{}", "false", "\" \"", "\"null\""] {
                assert_eq!(read(vocabulary, nothing), Ok(None), "{nothing}");
            }
            for unknown in ["\"a_word_of_tomorrow\"", "5", "true", "\"a b\"", "[1]"] {
                let reason = read(vocabulary, unknown).unwrap().unwrap();
                let is_own = vocabulary == OpenAi && unknown.contains("tomorrow");
                let told = if is_own {
                    "a_word_of_tomorrow"
                } else {
                    "length"
                };
                let told = if vocabulary == OpenAi && unknown == "5" {
                    "5"
                } else {
                    told
                };
                let told = if vocabulary == OpenAi && unknown == "true" {
                    "true"
                } else {
                    told
                };
                assert_eq!(reason.word(), told, "{unknown}");
            }
        }
        for (vocabulary, word) in [
            (OpenAi, "stop"),
            (OpenAi, "eos"),
            (OpenAi, "STOP"),
            (Anthropic, "end_turn"),
            (Gemini, "STOP"),
        ] {
            let json = format!("\"{word}\"");
            assert_eq!(
                read(vocabulary, &json),
                Ok(Some(FinishReason::Stop)),
                "{word}"
            );
        }
    }

    #[test]
    fn words_for_a_break_are_failures() {
        for (vocabulary, word) in [
            (Vocabulary::OpenAi, "error"),
            (Vocabulary::OpenAi, "insufficient_system_resource"),
            (Vocabulary::OpenAi, "network_error"),
            (Vocabulary::OpenAi, "abort"),
            (Vocabulary::Anthropic, "error"),
            (Vocabulary::Gemini, "INTERNAL_ERROR"),
        ] {
            let failure = read(vocabulary, &format!("\"{word}\"")).unwrap_err();
            assert_eq!(failure.kind(), "provider_error", "{word}");
            let word = word.to_ascii_lowercase();
            assert!(failure.for_operators().contains(&word), "{failure:?}");
            assert!(!failure.to_string().contains(&word));
        }
    }

    #[test]
    fn answers_that_requests_can_spoil_are_held_back_but_not_broken() {
        for (vocabulary, word) in [
            (Vocabulary::Gemini, "MALFORMED_FUNCTION_CALL"),
            (Vocabulary::Gemini, "MALFORMED_RESPONSE"),
            (Vocabulary::Gemini, "UNEXPECTED_TOOL_CALL"),
            (Vocabulary::Gemini, "TOO_MANY_TOOL_CALLS"),
            (Vocabulary::Gemini, "MISSING_THOUGHT_SIGNATURE"),
            (Vocabulary::Gemini, "NO_IMAGE"),
            (Vocabulary::Gemini, "IMAGE_OTHER"),
            (Vocabulary::Gemini, "OTHER"),
            (Vocabulary::OpenAi, "malformed_function_call"),
            (
                Vocabulary::OpenAi,
                "function_call_filter: UNEXPECTED_TOOL_CALL",
            ),
            (Vocabulary::OpenAi, "content_filter: OTHER"),
        ] {
            let reason = read(vocabulary, &format!("\"{word}\""));
            assert_eq!(reason, Ok(Some(FinishReason::ContentFilter)), "{word}");
        }
    }

    #[test]
    fn reasons_without_counterpart_are_told_to_callers_of_their_dialect() {
        for word in [
            "pause_turn",
            "model_context_window_exceeded",
            "x_of_tomorrow",
        ] {
            let reason = read(Vocabulary::Anthropic, &format!("\"{word}\"")).unwrap();
            let Some(FinishReason::Foreign(foreign)) = reason else {
                panic!("{reason:?}");
            };
            assert_eq!(foreign.word_in(Vocabulary::Anthropic), Some(word));
            assert_eq!(reason.unwrap().word(), "length");
        }
        let long = format!("\"{}\"", "x".repeat(41));
        assert_eq!(
            read(Vocabulary::OpenAi, &long).unwrap().unwrap().word(),
            "length"
        );
    }

    fn piece(index: u32, text: &str) -> Delta<'_> {
        let content = Some(text.into());
        Delta {
            index,
            said: Said {
                content,
                ..Said::default()
            },
            ..Delta::default()
        }
    }

    const STOP: Option<FinishReason> = Some(FinishReason::Stop);

    #[test]
    fn a_reason_with_words_is_the_end_unless_words_follow() {
        let mut endings = Endings::default();
        assert_eq!(endings.progress(1), Progress::Open);
        endings.note(&piece(0, "\"a\""), STOP);
        assert_eq!(endings.progress(1), Progress::Likely);
        endings.note(&piece(0, "\"b\""), None);
        assert_eq!(endings.progress(1), Progress::Open);
        endings.note(&piece(0, "\"c\""), Some(FinishReason::Length));
        assert_eq!(endings.progress(1), Progress::Doubtful);
        endings.note_quiet_event();
        assert_eq!(endings.progress(1), Progress::Ended);
        endings.note(&piece(0, "\"\""), STOP);
        let told = endings.finish();
        assert_eq!(told.deltas.len(), 1);
        assert_eq!(told.deltas[0].finish_reason, Some(FinishReason::Length));
        assert!(endings.finish().is_empty());
    }

    #[test]
    fn a_stream_ends_when_all_its_answers_have() {
        let mut endings = Endings::default();
        endings.note(&piece(0, "\"\""), STOP);
        assert_eq!(endings.progress(2), Progress::Open);
        assert_eq!(endings.progress_of_begun(), Progress::Ended);
        endings.note(&piece(1, "\"x\""), None);
        assert_eq!(endings.progress_of_begun(), Progress::Open);
        endings.note(&piece(1, "\"\""), STOP);
        assert_eq!(endings.progress(2), Progress::Ended);
    }
}
