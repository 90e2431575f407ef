//! Google's Gemini API (`POST /models/{model}:generateContent`):
//! <https://ai.google.dev/api/generate-content>.

use self::parts::{Heard, Naming};
use super::ending::{self, asked};
use super::failure;
use super::members::{Count, Members, list};
use super::usage::{Beside, Counts, service_tier};
use crate::chat::{Choice, Completion, Counted, FinishReason, Vocabulary};
use crate::steps::forward::UpstreamFailure;

mod contents;
mod json;
mod media;
mod parts;
mod request;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

pub(crate) use request::encode;

/// The prompt's count has the cached tokens inside, the answer's is without the thoughts.
const BESIDE: Beside = Beside {
    caches: false,
    reasoning: true,
};

/// Whether the provider would not answer at all.
fn is_blocked(answer: &Members<'_>) -> bool {
    answer
        .object("promptFeedback")
        .said("blockReason")
        .is_some()
}

/// The parts of a candidate.
fn parts_of<'a>(candidate: &Members<'a>) -> Vec<&'a str> {
    match candidate.raw("content") {
        // Some servers have a text, or a list of parts, in the place of the object.
        Some(json) if json.starts_with('"') => vec![json],
        Some(json) if json.starts_with('[') => list(json),
        Some(json) => match Members::of(json).raw("parts") {
            Some(parts) if parts.starts_with('{') => vec![parts],
            Some(parts) => list(parts),
            None => Vec::new(),
        },
        None => Vec::new(),
    }
}

/// What was counted, in tokens. Counts that are zero are left out.
fn counts_of(answer: &Members<'_>) -> Counts {
    let usage = answer.object("usageMetadata");
    let of_modality = |name: &str, modality: &str| {
        let details = usage.list(name).into_iter().map(Members::of);
        let mut of_it =
            details.filter(|detail| detail.word("modality").as_deref() == Some(modality));
        of_it
            .next()
            .map_or(Count::Absent, |detail| detail.count("tokenCount"))
    };
    Counts {
        prompt: usage.count("promptTokenCount"),
        completion: usage.count("candidatesTokenCount"),
        total: usage.count("totalTokenCount"),
        cache_read: usage.count("cachedContentTokenCount"),
        added_prompt: usage.count("toolUsePromptTokenCount"),
        reasoning: usage.count("thoughtsTokenCount"),
        input_audio: of_modality("promptTokensDetails", "AUDIO"),
        input_image: of_modality("promptTokensDetails", "IMAGE"),
        cached_audio: of_modality("cacheTokensDetails", "AUDIO"),
        cached_image: of_modality("cacheTokensDetails", "IMAGE"),
        output_audio: of_modality("candidatesTokensDetails", "AUDIO"),
        output_image: of_modality("candidatesTokensDetails", "IMAGE"),
        service_tier: service_tier(usage.word("serviceTier"))
            .or_else(|| service_tier(answer.word("serviceTier")))
            .or_else(|| service_tier(usage.word("trafficType"))),
        ..Counts::default()
    }
}

/// Disjoint buckets of what was counted. The API leaves out a completion of no tokens, as in the
/// first pieces of a stream and in answers that are held back.
fn counted(counts: &Counts) -> Option<Counted> {
    let mut counts = *counts;
    if counts.prompt.get().is_some() && counts.completion == Count::Absent {
        let is_all_told = counts.total.get().is_none();
        counts.completion = if is_all_told {
            Count::Of(0)
        } else {
            Count::Absent
        };
    }
    counts.resolve(BESIDE)
}

/// What an answer counts, whatever else is in it.
pub(crate) fn counted_in(answer: &Members<'_>) -> Option<Counted> {
    counted(&counts_of(answer))
}

/// Why an answer ended.
fn reason(candidate: &Members<'_>) -> Result<Option<FinishReason>, UpstreamFailure> {
    ending::reason(Vocabulary::Gemini, candidate, "finishReason")
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    let wire = Members::of_body(body)?;
    let candidates = wire
        .list("candidates")
        .into_iter()
        .filter(|json| json.starts_with('{'));
    let mut candidates: Vec<(u32, Members<'_>)> = candidates
        .map(Members::of)
        .zip(0..)
        .map(|(candidate, place)| (candidate.index("index").unwrap_or(place), candidate))
        .collect();
    candidates.sort_by_key(|(index, _)| *index);
    let response_id = wire.word("responseId").unwrap_or_default();
    let choices = candidates
        .iter()
        .map(|(index, candidate)| read_choice(candidate, *index, &response_id))
        .collect::<Result<Vec<_>, _>>()?;
    let mut choices: Vec<Choice<'_>> = choices.into_iter().flatten().collect();
    if choices.is_empty() {
        if !is_blocked(&wire) {
            return Err(failure::no_answer("candidates"));
        }
        choices.push(Choice {
            finish_reason: FinishReason::ContentFilter,
            ..Choice::default()
        });
    }
    Ok(Completion {
        choices,
        counted: counted(&counts_of(&wire)),
        ..Completion::default()
    })
}

/// A candidate; nothing if all that it has cannot be read.
fn read_choice<'a>(
    wire: &Members<'a>,
    index: u32,
    response_id: &str,
) -> Result<Option<Choice<'a>>, UpstreamFailure> {
    let reason = reason(wire)?.unwrap_or(FinishReason::Stop);
    let naming = Naming {
        response_id,
        candidate: index,
        calls_before: None,
    };
    let heard = Heard::read(&parts_of(wire), naming);
    let mut said = heard.said;
    if heard.has_unreadable && !said.says_something() {
        return Ok(None);
    }
    said.reasoning_signature = heard.call_signature.or(heard.text_signature);
    Ok(Some(Choice {
        finish_reason: asked(reason, heard.calls > 0),
        said,
        ..Choice::default()
    }))
}
